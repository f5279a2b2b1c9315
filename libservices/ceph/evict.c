/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that the cluster has thrown out.
 *
 * libcephfs comes back by itself, with another address, and tells nobody. But what was delegated to us before has ended without a
 * recall, and others may have changed it since: what is kept of it counts no more, and what was changed of it and not yet
 * written must not be written over what they wrote. The first is seen to here: while files are delegated, one thread looks at the
 * clients' addresses every second, and recalls all that a client had whose address is another. The second is for those who write:
 * a handle to write is dead after that, and a write of what was kept (LS_WRITE_KEPT) that finds it so, or comes to a file whose
 * handle was found so since its last delegation, is -ESTALE (data.c).
 *
 * With `exclusive` there is nobody who could have changed anything, nothing is delegated, and all is written again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/ceph/ceph.h"
#include "libservices/wait.h"

enum { LOOK = 1 }; /* s */

/* True once after it was thrown out. */
static bool was_thrown_out(struct ceph_client *client)
{
	char *address = NULL;
	bool other;

	if (ceph_getaddrs(client->mount, &address) < 0)
		return false;
	other = client->address && strcmp(client->address, address) != 0;
	if (other || !client->address) {
		free(client->address);
		client->address = strdup(address);
	}
	ceph_buffer_free(address);
	return other;
}

/* With the lock held. */
static void look(struct ceph *c)
{
	struct ceph_file *file;

	for (unsigned i = 0; i < c->clients; i++) {
		if (!was_thrown_out(&c->client[i]))
			continue;
		c->watch.thrown_out++;
		fprintf(stderr, "<4>pool '%s': ceph: the cluster has thrown out the client; what was not yet written of shared files is "
				"lost\n", c->ls->tenant);
		LIST_FOREACH(file, &c->watch.delegated, delegated_link)
			if (file->inode->client == &c->client[i])
				ceph_recall(file);
	}
}

static void *watch(void *arg)
{
	struct ceph *c = arg;
	struct ceph_watch *w = &c->watch;

	pthread_mutex_lock(&w->lock);
	look(c); /* what the addresses are */
	while (!w->ending) {
		int64_t until = LIST_EMPTY(&w->delegated) ? 0 : ls_now() + LOOK * 1000000000ll;

		if (ls_wait_until(&w->change, &w->lock, until) == ETIMEDOUT)
			look(c);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

void ceph_watch_add(struct ceph *c, struct ceph_file *file)
{
	struct ceph_watch *w = &c->watch;

	pthread_mutex_lock(&w->lock);
	if (LIST_EMPTY(&w->delegated))
		pthread_cond_signal(&w->change);
	LIST_INSERT_HEAD(&w->delegated, file, delegated_link);
	pthread_mutex_unlock(&w->lock);
}

void ceph_watch_remove(struct ceph *c, struct ceph_file *file)
{
	pthread_mutex_lock(&c->watch.lock);
	LIST_REMOVE(file, delegated_link);
	pthread_mutex_unlock(&c->watch.lock);
}

int ceph_watch_begin(struct ceph *c)
{
	struct ceph_watch *w = &c->watch;
	int r;

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
	LIST_INIT(&w->delegated);
	r = -pthread_create(&w->thread, NULL, watch, c);
	w->runs = r == 0;
	return r;
}

void ceph_watch_end(struct ceph *c)
{
	struct ceph_watch *w = &c->watch;

	if (!w->runs)
		return;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->runs = false;
	for (unsigned i = 0; i < c->clients; i++)
		free(c->client[i].address);
}
