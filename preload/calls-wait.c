/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that name many descriptors in memory: waiting for them, and passing them to others. */
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include "ipc/sys.h"
#include "preload/calls.h"

int call_poll(struct preload_regs *r)
{
	const struct pollfd *p = (const struct pollfd *)r->a[0];
	uint64_t i, count = (uint32_t)r->a[1];

	if (!process.placeholders || count > FD_MAX || !address_good(r->a[0], count * sizeof(*p)))
		return 0;
	for (i = 0; i < count; i++)
		fd_materialise((uint32_t)p[i].fd, WHY_POLL);
	return 0;
}

/* select and pselect6 */
int call_select(struct preload_regs *r)
{
	uint64_t fd, count = (uint32_t)r->a[0];
	int set;

	if (!process.placeholders || count > FD_MAX)
		return 0;
	for (set = 1; set <= 3; set++) {
		const uint64_t *bits = (const uint64_t *)r->a[set];

		if (!address_good(r->a[set], count / 8))
			continue;
		for (fd = 0; fd < count && fd < process.fd_top; fd++)
			if (bits[fd / 64] >> fd % 64 & 1)
				fd_materialise(fd, WHY_POLL);
	}
	return 0;
}

/* What the kernel says of regular files and directories. */
int call_epoll_ctl(struct preload_regs *r)
{
	struct fs_file *f = fd_file(r->a[2]);

	return f ? call_done_file(r, f, -EPERM) : 0;
}

static void pass_rights(const struct msghdr *m)
{
	char *p = m->msg_control, *end = p + m->msg_controllen;

	if (!address_good((uint64_t)p, m->msg_controllen))
		return;
	while ((uint64_t)(end - p) >= sizeof(struct cmsghdr)) {
		const struct cmsghdr *c = (const struct cmsghdr *)p;
		const int *fd = (const int *)(p + CMSG_LEN(0)), *last;

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > (uint64_t)(end - p))
			return;
		last = (const int *)(p + c->cmsg_len);
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			for (; fd < last; fd++)
				fd_materialise((uint32_t)*fd, WHY_PASSED);
		if (CMSG_ALIGN(c->cmsg_len) > (uint64_t)(end - p))
			return;
		p += CMSG_ALIGN(c->cmsg_len);
	}
}

int call_sendmsg(struct preload_regs *r)
{
	if (process.placeholders && address_good(r->a[1], sizeof(struct msghdr)))
		pass_rights((const struct msghdr *)r->a[1]);
	return 0;
}

int call_sendmmsg(struct preload_regs *r)
{
	const struct mmsghdr *m = (const struct mmsghdr *)r->a[1];
	uint64_t i, count = (uint32_t)r->a[2] < 1024 ? (uint32_t)r->a[2] : 1024;

	if (!process.placeholders || !address_good(r->a[1], count * sizeof(*m)))
		return 0;
	for (i = 0; i < count; i++)
		pass_rights(&m[i].msg_hdr);
	return 0;
}
