/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's names, twice: a hash table to find one, and an array in the order of their cookies to list
 * them.
 *
 * A new name gets the next cookie and goes to the array's end; a removed one leaves a hole. So cookies only
 * grow, a cookie's place is found by bisection even when its name is gone, and somebody who lists a
 * directory while names come and go sees each that stays exactly once. (He stops at the cookie that was the
 * last when he started; else somebody who adds names as fast as he reads would keep him for ever.) When
 * more than half of the array is holes it is packed, in place: removing a name allocates nothing and cannot
 * fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/mem/mem.h"

enum { BUCKETS_MIN = 8, PLACES_MIN = 8, COOKIE_DOTDOT = 2 };

static uint64_t name_hash(const struct mem *mem, const char *name, size_t len)
{
	uint64_t hash = mem->seed ^ len, word;

	for (; len > 0; len -= len < 8 ? len : 8, name += 8) {
		word = 0;
		memcpy(&word, name, len < 8 ? len : 8);
		hash = (hash ^ word) * 0x9fb21c651e98df25u;
		hash ^= hash >> 32;
	}
	return hash;
}

static struct mem_entry **dir_bucket(const struct mem_dir *dir, uint64_t hash)
{
	return &dir->bucket[hash & (dir->bucket_count - 1)];
}

struct mem_entry *mem_dir_find(const struct mem *mem, const struct mem_dir *dir, const char *name)
{
	size_t len = strlen(name);
	uint64_t hash = name_hash(mem, name, len);
	struct mem_entry *e;

	if (!dir->bucket_count)
		return NULL;
	for (e = *dir_bucket(dir, hash); e; e = e->next)
		if (e->hash == hash && e->len == len && memcmp(e->name, name, len) == 0)
			break;
	return e;
}

static int dir_grow_buckets(struct mem_dir *dir)
{
	struct mem_dir bigger = {.bucket_count = dir->bucket_count ? dir->bucket_count * 2 : BUCKETS_MIN};
	struct mem_entry *e, **to;

	bigger.bucket = calloc(bigger.bucket_count, sizeof(*bigger.bucket));
	if (!bigger.bucket)
		return -ENOMEM;
	for (size_t i = 0; i < dir->bucket_count; i++)
		while ((e = dir->bucket[i])) {
			dir->bucket[i] = e->next;
			to = dir_bucket(&bigger, e->hash);
			e->next = *to;
			*to = e;
		}
	free(dir->bucket);
	dir->bucket = bigger.bucket;
	dir->bucket_count = bigger.bucket_count;
	return 0;
}

static int dir_grow_places(struct mem_dir *dir)
{
	size_t max = dir->place_max ? dir->place_max * 2 : PLACES_MIN;
	struct mem_place *place = realloc(dir->place, max * sizeof(*place));

	if (!place)
		return -ENOMEM;
	dir->place = place;
	dir->place_max = max;
	return 0;
}

static uint64_t entry_cost(size_t len)
{
	return sizeof(struct mem_entry) + len + 1 + 2 * sizeof(struct mem_place);
}

static int dir_make_room(struct mem *mem, struct mem_dir *dir, size_t len)
{
	int r = mem_charge(mem, entry_cost(len));

	if (r < 0)
		return r;
	if (dir->count == dir->bucket_count)
		r = dir_grow_buckets(dir);
	if (r == 0 && dir->place_count == dir->place_max)
		r = dir_grow_places(dir);
	if (r < 0)
		mem_uncharge(mem, entry_cost(len));
	return r;
}

int mem_dir_add(struct mem *mem, struct mem_dir *dir, const char *name, struct mem_inode *inode)
{
	size_t len = strlen(name);
	struct mem_entry *e, **to;
	int r = dir_make_room(mem, dir, len);

	if (r < 0)
		return r;
	e = malloc(sizeof(*e) + len + 1);
	if (!e) {
		mem_uncharge(mem, entry_cost(len));
		return -ENOMEM;
	}
	if (dir->last_cookie < COOKIE_DOTDOT)
		dir->last_cookie = COOKIE_DOTDOT;
	e->hash = name_hash(mem, name, len);
	e->cookie = ++dir->last_cookie;
	e->inode = mem_inode_ref(inode);
	e->len = len;
	memcpy(e->name, name, len + 1);
	to = dir_bucket(dir, e->hash);
	e->next = *to;
	*to = e;
	dir->place[dir->place_count++] = (struct mem_place){e->cookie, e};
	dir->count++;
	return 0;
}

size_t mem_dir_after(const struct mem_dir *dir, uint64_t cookie)
{
	size_t low = 0, high = dir->place_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (dir->place[middle].cookie <= cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void dir_pack(struct mem_dir *dir)
{
	size_t n = 0;

	for (size_t i = 0; i < dir->place_count; i++)
		if (dir->place[i].entry)
			dir->place[n++] = dir->place[i];
	dir->place_count = n;
	if (n == 0) {
		free(dir->place);
		free(dir->bucket);
		dir->place = NULL;
		dir->bucket = NULL;
		dir->place_max = dir->bucket_count = 0;
	}
}

struct mem_inode *mem_dir_remove(struct mem *mem, struct mem_dir *dir, struct mem_entry *entry)
{
	struct mem_inode *inode = entry->inode;
	struct mem_entry **p;

	for (p = dir_bucket(dir, entry->hash); *p != entry; p = &(*p)->next)
		;
	*p = entry->next;
	dir->place[mem_dir_after(dir, entry->cookie) - 1].entry = NULL;
	mem_uncharge(mem, entry_cost(entry->len));
	free(entry);
	if (--dir->count < dir->place_count / 2)
		dir_pack(dir);
	return inode;
}

void mem_dir_fini(struct mem *mem, struct mem_dir *dir)
{
	for (size_t i = 0; i < dir->place_count; i++) {
		if (dir->place[i].entry)
			mem_uncharge(mem, entry_cost(dir->place[i].entry->len));
		free(dir->place[i].entry);
	}
	free(dir->place);
	free(dir->bucket);
}
