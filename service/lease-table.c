/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables as such: who gets which, and how one makes room for another.
 *
 * A table stays for those who come back when nobody uses it, until its place is needed. Its address in the service never
 * changes: threads may have it in hand, with an entry for the old one. They look at `id` with the set's lock held; so
 * whoever changes the id and then takes each lock once knows that all who had seen the old id are done.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/lease-internal.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

struct leases leases = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int table_new(void)
{
	int fd = memfd_create("polytropon-leases", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, sizeof(struct lease_table)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* After this only the mapping that we have can write. */
static int table_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

/* Lets nobody enter anything in an old table any more. When this returns, all who were about to have finished. */
static void table_retire(struct lease *lease)
{
	uint16_t others = ~(1u << (lease - leases.lease));

	__atomic_store_n(&lease->table->closed, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&lease->id, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < LEASE_NAME_SETS + LEASE_ATTR_SETS; i++) {
		struct lease_set *set = i < LEASE_NAME_SETS ? &leases.name[i] : &leases.attr[i - LEASE_NAME_SETS];
		lease_set_lock(set);
		__atomic_fetch_and(&set->tables, others, __ATOMIC_RELAXED);
		lease_set_unlock(set);
	}
}

/* A new table at the place of the old one, whose address threads may still have in hand. */
static int lease_map(struct lease *lease)
{
	int fd = table_new();
	void *memory;

	if (fd < 0)
		return -errno;
	if (lease->table)
		table_retire(lease);
	memory = mmap(lease->table, sizeof(struct lease_table), PROT_READ | PROT_WRITE,
		      MAP_SHARED | (lease->table ? MAP_FIXED : 0), fd, 0);
	if (memory == MAP_FAILED || table_seal(fd) < 0) {
		close(fd);
		if (memory != MAP_FAILED && !lease->table)
			munmap(memory, sizeof(struct lease_table));
		return -ENOMEM;
	}
	if (lease->table)
		close(lease->fd);
	lease->table = memory;
	lease->fd = fd;
	return 0;
}

static bool lease_is(const struct lease *lease, const struct process *who, unsigned view)
{
	return lease->table && lease->view == view && lease->uid == who->uid && lease->gid == who->gid &&
	       lease->group_count == who->group_count &&
	       (!who->group_count || !memcmp(lease->groups, who->groups, who->group_count * sizeof(gid_t)));
}

static struct lease *lease_find(const struct process *who, unsigned view)
{
	struct lease *free = NULL;

	for (struct lease *l = leases.lease; l < leases.lease + LEASES_MAX; l++) {
		if (lease_is(l, who, view) && l->id)
			return l;
		/* One that nobody uses is kept for those who come back, while there are others. */
		if (!l->users && (!free || (free->table && !l->table)))
			free = l;
	}
	return free;
}

static int lease_begin(struct lease *lease, const struct process *who, unsigned view, uint32_t generation)
{
	gid_t *groups = malloc(who->group_count * sizeof(gid_t) + 1);

	if (!groups || lease_map(lease) < 0) {
		free(groups);
		return -ENOMEM;
	}
	if (who->group_count)
		memcpy(groups, who->groups, who->group_count * sizeof(gid_t));
	free(lease->groups);
	lease->groups = groups;
	lease->group_count = who->group_count;
	lease->view = view;
	lease->uid = who->uid;
	lease->gid = who->gid;
	lease->table->magic = WIRE_MAGIC;
	lease->table->version = WIRE_VERSION;
	lease->table->generation = generation;
	__atomic_store_n(&lease->id, ++leases.last_id, __ATOMIC_SEQ_CST);
	return 0;
}

struct lease *lease_open(const struct process *who, unsigned view, uint32_t generation)
{
	struct lease *lease;

	/* access(2) asks with the real ids, everything else with the effective ones. */
	if (who->uid != who->real_uid || who->gid != who->real_gid)
		return NULL;
	pthread_mutex_lock(&leases.lock);
	lease = lease_find(who, view);
	if (lease && !(lease->id && lease_is(lease, who, view)) && lease_begin(lease, who, view, generation) < 0)
		lease = NULL;
	if (lease)
		lease->users++;
	pthread_mutex_unlock(&leases.lock);
	return lease;
}

void lease_close(struct lease *lease)
{
	if (!lease)
		return;
	pthread_mutex_lock(&leases.lock);
	lease->users--;
	pthread_mutex_unlock(&leases.lock);
}

int lease_fd(const struct lease *lease)
{
	return lease->fd;
}

uint32_t lease_id(const struct lease *lease)
{
	return lease->id;
}

void leases_end(void)
{
	pthread_mutex_lock(&leases.lock);
	for (struct lease *l = leases.lease; l < leases.lease + LEASES_MAX; l++)
		if (l->table)
			__atomic_store_n(&l->table->closed, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&leases.lock);
}

void leases_end_view(unsigned view)
{
	pthread_mutex_lock(&leases.lock);
	for (struct lease *l = leases.lease; l < leases.lease + LEASES_MAX; l++)
		if (l->table && l->view == view) {
			__atomic_store_n(&l->table->closed, 1, __ATOMIC_SEQ_CST);
			__atomic_store_n(&l->id, 0, __ATOMIC_SEQ_CST);
		}
	pthread_mutex_unlock(&leases.lock);
}
