/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "service/roots.h"

struct instance *service_mount_get(struct service *s, unsigned n)
{
	struct instance *fs;

	if (n >= SERVICE_MOUNTS_MAX)
		return NULL;
	if (n < s->mount_count) {
		inode_ref(s->mount[n]->root);
		return s->mount[n];
	}
	pthread_rwlock_rdlock(&s->mounts_lock);
	fs = s->mount[n];
	if (fs)
		inode_ref(fs->root);
	pthread_rwlock_unlock(&s->mounts_lock);
	return fs;
}

void service_mount_put(struct instance *fs)
{
	inode_unref(fs->root);
}

unsigned service_mount_top(const struct service *s)
{
	unsigned top = __atomic_load_n(&s->root_top, __ATOMIC_ACQUIRE);

	return top > s->mount_count ? top : s->mount_count;
}

struct ls *service_stack(const struct service *s, unsigned n)
{
	return s->roots && !strcmp(s->mount[n]->path, WIRE_ROOTS) ? roots_store(s) : s->mount[n]->stack;
}
