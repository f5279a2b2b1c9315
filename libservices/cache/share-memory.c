/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files behind a share: `state` and `marks`, memory files as long as the largest shared file needs,
 * which nobody can cut; and the data file, when a new one has to take its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libservices/cache/cache.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define STATE_SIZE (SHARE_HEADER + (size_t)CACHE_SHARED_PAGES * sizeof(uint32_t))
#define MARKS_SIZE (SHARE_MARKS_HEADER + (size_t)CACHE_SHARED_PAGES)

int cshare_fd_to_read(int fd)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

/* A memory file that cannot be cut, mapped. */
static int memory_new(const char *name, size_t size, void **ret_map)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), r;
	void *map;

	if (fd < 0)
		return -errno;
	map = ftruncate(fd, size) == 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
				       : MAP_FAILED;
	if (map == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		r = -errno;
		if (map != MAP_FAILED)
			munmap(map, size);
		close(fd);
		return r;
	}
	*ret_map = map;
	return fd;
}

static struct share *share_free(struct share *s)
{
	if (!s)
		return NULL;
	if (s->state)
		munmap(s->state, STATE_SIZE);
	if (s->marks)
		munmap(s->marks, MARKS_SIZE);
	if (s->state_fd >= 0)
		close(s->state_fd);
	if (s->marks_fd >= 0)
		close(s->marks_fd);
	if (s->data_fd >= 0)
		close(s->data_fd);
	free(s);
	return NULL;
}

static int share_new(struct share **ret)
{
	struct share *s = calloc(1, sizeof(*s));
	int fd;

	if (!s)
		return -ENOMEM;
	*s = (struct share){.state_fd = -1,
			    .marks_fd = -1,
			    .data_fd = -1,
			    .pages = CACHE_SHARED_PAGES,
			    .grant_session = UINT32_MAX};
	fd = memory_new("state", STATE_SIZE, (void **)&s->state);
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0)
		s->state_fd = cshare_fd_to_read(fd);
	if (fd >= 0)
		close(fd);
	if (s->state_fd >= 0)
		s->marks_fd = memory_new("marks", MARKS_SIZE, (void **)&s->marks);
	if (s->marks_fd < 0) {
		share_free(s);
		return -EAGAIN;
	}
	s->state->magic = SHARE_MAGIC;
	s->state->grant_session = UINT32_MAX;
	*ret = s;
	return 0;
}

static void words_set(struct cinode *c)
{
	for (struct chunk *chunk = chunk_from(c, 0, false); chunk;
	     chunk = chunk_from(c, chunk->index + 1, false))
		for (unsigned i = 0; i < CHUNK_PAGES; i++)
			if (chunk->present & 1u << i)
				cshare_came(c, chunk->index * CHUNK_PAGES + i);
}

/* With io and the lock held. */
int cshare_begin(struct cinode *c, const struct ls_call *call, bool large)
{
	struct share *s = NULL;
	struct ls_attr attr;
	int r = ls_getattr(c->cache->below, call, c->below, NULL, &attr);

	if (r == 0)
		r = body_to_file(c, large);
	if (r == 0)
		r = share_new(&s);
	if (r < 0)
		return r;
	LIST_INIT(&s->ranges);
	s->data_fd = cshare_fd_to_read(c->data);
	if (s->data_fd < 0) {
		r = s->data_fd;
		share_free(s);
		return r;
	}
	cinode_hold(c);
	__atomic_store_n(&c->share, s, __ATOMIC_RELEASE);
	cshare_size(c);
	cshare_mode(c, attr.mode);
	words_set(c);
	return 0;
}

void cshare_end(struct cinode *c)
{
	struct share *s = c->share;

	/* Whoever maps the state only now, and takes the last epoch for its own, sees that it is over. */
	__atomic_store_n(&s->state->magic, 0, __ATOMIC_SEQ_CST);
	cshare_epoch(s);
	__atomic_add_fetch(&c->users, -1u, __ATOMIC_RELAXED); /* the caller holds it, too */
	budget_charge(c->cache->budget, NULL, -(int64_t)s->charged);
	for (struct chunk *chunk = chunk_from(c, 0, false); chunk;
	     chunk = chunk_from(c, chunk->index + 1, false)) {
		free(chunk->hash);
		chunk->hash = NULL;
	}
	__atomic_store_n(&c->share, NULL, __ATOMIC_RELEASE);
	share_free(s);
	if (!c->chunks)
		cdata_end(c);
}

void cshare_fini(struct cinode *c)
{
	struct share_range *range;

	if (!c->share)
		return;
	while ((range = LIST_FIRST(&c->share->ranges))) {
		LIST_REMOVE(range, link);
		free(range);
	}
	cshare_end(c);
}

static int marks_renew(struct share *s)
{
	struct share_marks *marks = NULL;
	int fd = memory_new("marks", MARKS_SIZE, (void **)&marks);

	if (fd < 0)
		return fd;
	munmap(s->marks, MARKS_SIZE);
	close(s->marks_fd);
	s->marks = marks;
	s->marks_fd = fd;
	return 0;
}

/* Pages of a chunk from *i on that are neighbours. */
static int pages_copy(struct cinode *c, const struct chunk *chunk, unsigned *i, int fd)
{
	uint64_t start = (chunk->index * CHUNK_PAGES + *i) * CACHE_PAGE;
	char bytes[CACHE_CHUNK];
	struct iovec iov = {bytes, 0};
	int r;

	for (; *i < CHUNK_PAGES && (chunk->present & 1u << *i); ++*i)
		iov.iov_len += CACHE_PAGE;
	r = body_read(c, bytes, start, iov.iov_len);
	return r < 0 ? r : cdata_write(fd, &iov, 1, start);
}

/* What is present. */
static int data_copy(struct cinode *c, int fd)
{
	int r = 0;

	for (struct chunk *chunk = chunk_from(c, 0, false); chunk && r == 0; chunk = chunk_from(c, chunk->index + 1, false))
		for (unsigned i = 0; i < CHUNK_PAGES && r == 0; i++)
			if (chunk->present & 1u << i)
				r = pages_copy(c, chunk, &i, fd);
	return r;
}

/*
 * The epoch first, then the marks, then the bytes: what a client stored and found good is in what is
 * copied; what it stores later it will find not to be good.
 */
int cshare_renew(struct cinode *c, bool marks)
{
	struct share *s = c->share;
	bool large = false;
	int fd, to_read, r;

	cshare_epoch(s);
	cshare_merge(c);
	fd = cdata_new(c->cache, &large);
	if (fd < 0)
		return fd;
	to_read = cshare_fd_to_read(fd);
	r = to_read < 0 ? to_read : data_copy(c, fd);
	if (r == 0 && marks)
		r = marks_renew(s);
	if (r < 0) {
		if (to_read >= 0)
			close(to_read);
		close(fd);
		return r;
	}
	cdata_clear(c); /* also if somebody has it mapped still */
	cdata_end(c);
	close(s->data_fd);
	cdata_begin(c, fd, large);
	s->data_fd = to_read;
	s->length = 0;
	cshare_length(c, true);
	return 0;
}
