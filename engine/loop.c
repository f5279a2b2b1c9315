/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/loop.h"

#include <errno.h>

int loop_add(int epoll, struct source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

int loop_change(int epoll, struct source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(epoll, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_close(int epoll, struct source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
	close_p(&source->fd);
}

void loop_wait(int epoll, int timeout)
{
	struct epoll_event event;
	struct source *source;

	if (epoll_wait(epoll, &event, 1, timeout) != 1)
		return;
	source = event.data.ptr;
	source->ready(source, event.events);
}
