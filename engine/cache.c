/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cache.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/mounts.h"
#include "libservices/libservice.h"

enum { FLOOR = 256 << 20 };

int cache_dir_open(struct pool *pool)
{
	struct error none = {0};

	/*
	 * Neither its size nor its number of files is limited here: the cache counts what it has, the cgroup pays.
	 * Since 6.14 what makes a file of a tmpfs longer gets large folios, which cost a fraction to fill, to map and to
	 * free, if the kernel was built with them. libservices/cache/data.c says what is stored there.
	 */
	if (pool->cache < 0 && pool->cache_large < 0 && kernel_is(6, 14))
		pool->cache_large = mount_tmpfs("mode=0700,size=0,nr_inodes=0,huge=within_size", &none);
	if (pool->cache < 0)
		pool->cache = mount_tmpfs("mode=0700,size=0,nr_inodes=0", &pool->error);
	return pool->cache < 0 ? pool->cache : 0;
}

static int is_cache(const char *type, struct json_object *config, void *arg)
{
	return !strcmp(type, "cache");
}

struct dirs {
	int plain, large;
};

static int put_dirs(const char *type, struct json_object *config, void *arg)
{
	const struct dirs *dirs = arg;

	if (!is_cache(type, config, NULL))
		return 0;
	json_object_object_add(config, "dir", json_object_new_int(dirs->plain));
	if (dirs->large >= 0)
		json_object_object_add(config, "large_dir", json_object_new_int(dirs->large));
	return 0;
}

/* What the pool says of it; NULL: nothing. */
static const char *size_given(struct json_object *spec)
{
	return json_string(json_child(spec, "cache", json_type_object), "size");
}

static bool is_wanted(struct json_object *spec, struct json_object *stack)
{
	const char *size = size_given(spec);
	uint64_t bytes = 1;

	if (size)
		ls_parse_size(size, &bytes);
	return bytes && !json_object_object_get_ex(stack, "null", NULL) &&
	       !stack_walk(stack, is_cache, NULL);
}

/*
 * What a pool gets that says nothing of its cache's size: an eighth of the machine's memory, or a quarter of its own; beyond the
 * floor only as long as nobody else needs it.
 */
static void put_size(struct json_object *spec, struct json_object *config)
{
	const char *memory = json_string(spec, "memory");
	uint64_t own = 0, size = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 8;

	if (memory && ls_parse_size(memory, &own) == 0 && own / 4 < size)
		size = own / 4;
	json_object_object_add(config, "size", json_object_new_uint64(size));
	json_object_object_add(config, "floor", json_object_new_uint64(size < FLOOR ? size : FLOOR));
}

static struct json_object *cache_over(struct json_object *spec, struct json_object *stack)
{
	struct json_object *config = json_object_new_object(), *layer = json_object_new_object();

	json_object_object_add(config, "below", stack);
	if (!size_given(spec))
		put_size(spec, config);
	json_object_object_add(layer, "cache", config);
	return layer;
}

static int is_union(const char *type, struct json_object *config, void *arg)
{
	struct json_object **ret = arg;

	if (strcmp(type, "union"))
		return 0;
	*ret = json_child(config, "below", json_type_array);
	return 1;
}

/* Below a union, so that what several have in common is there once: each branch has one. */
static struct json_object *cache_put_in(struct json_object *spec, struct json_object *stack)
{
	struct json_object *branches = NULL;

	if (stack_walk(stack, is_union, &branches) != 1 || !branches)
		return cache_over(spec, stack);
	for (size_t i = 0; i < json_object_array_length(branches); i++) {
		struct json_object *branch = json_object_get(json_object_array_get_idx(branches, i));
		json_object_array_put_idx(branches, i, cache_put_in(spec, branch));
	}
	return stack;
}

struct json_object *cache_put_on(struct json_object *spec, struct json_object *stack, int dir, int large)
{
	struct dirs dirs = {dir, large};

	if (is_wanted(spec, stack))
		stack = cache_put_in(spec, stack);
	stack_walk(stack, put_dirs, &dirs);
	return stack;
}
