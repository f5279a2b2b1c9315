/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem in memory, for tests and for scratch data.
 *
 * Everything is charged to one budget, `size`: the pages of files, and by the byte names, links' targets
 * and extended attributes. Inodes have a limit of their own. Removing charges nothing and allocates
 * nothing, so it works when the filesystem is full. mem.h has the order of the locks.
 *
 * File data lies in memory of this process's own and is copied in and out: pool.c, data.c.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libservices/mem/mem.h"

int mem_charge(struct mem *mem, uint64_t bytes)
{
	uint64_t limit = __atomic_load_n(&mem->limit, __ATOMIC_RELAXED);
	uint64_t used = __atomic_load_n(&mem->used, __ATOMIC_RELAXED);

	do {
		if (used > limit || bytes > limit - used)
			return -ENOSPC;
	} while (!__atomic_compare_exchange_n(&mem->used, &used, used + bytes, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return 0;
}

void mem_uncharge(struct mem *mem, uint64_t bytes)
{
	__atomic_sub_fetch(&mem->used, bytes, __ATOMIC_RELAXED);
}

uint64_t mem_free_bytes(const struct mem *mem)
{
	uint64_t limit = __atomic_load_n(&mem->limit, __ATOMIC_RELAXED);
	uint64_t used = __atomic_load_n(&mem->used, __ATOMIC_RELAXED);

	return used < limit ? limit - used : 0;
}

int mem_sync(struct ls *ls, const struct ls_call *call)
{
	return 0;
}

int mem_statfs(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	const struct mem *mem = mem_of(ls);
	uint64_t files = __atomic_load_n(&mem->inode_limit, __ATOMIC_RELAXED);
	uint64_t files_used = __atomic_load_n(&mem->inode_used, __ATOMIC_RELAXED);
	uint64_t bytes_free = mem_free_bytes(mem);

	*ret = (struct ls_statfs){
		.bsize = MEM_PAGE,
		.frsize = MEM_PAGE,
		.blocks = __atomic_load_n(&mem->limit, __ATOMIC_RELAXED) / MEM_PAGE,
		.bfree = bytes_free / MEM_PAGE,
		.bavail = bytes_free / MEM_PAGE,
		.files = files,
		.ffree = files_used < files ? files - files_used : 0,
		.namelen = NAME_MAX,
		.type = TMPFS_MAGIC, /* what programs conclude from that holds here too: gone at the end */
	};
	return 0;
}

static int mem_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	struct mem *mem = mem_of(ls);
	uint64_t n;

	if (strcmp(option, "size") == 0) {
		ls_parse_size(value, &n);
		__atomic_store_n(&mem->limit, n, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&mem->inode_limit, strtoull(value, NULL, 10), __ATOMIC_RELAXED);
	}
	return 0;
}

static int mem_make_root(struct ls *ls)
{
	static const struct ls_cred root_cred;
	const struct ls_call call = {.tenant = ls->tenant, .cred = &root_cred};
	struct mem_new what = {.mode = S_IFDIR | 0755, .nlink = 2};
	struct mem *mem = mem_of(ls);
	int r = mem_inode_new(mem, &call, &what, &mem->root);

	if (r < 0)
		return r;
	ls->root = (struct ls_inode *)mem->root;
	ls->root_attr = mem->root->attr;
	return 0;
}

static void mem_type_close(struct ls *ls)
{
	struct mem *mem = mem_of(ls);

	mem_table_fini(mem);
	mem_pool_fini(&mem->pool);
	pthread_mutex_destroy(&mem->rename);
	free(mem);
}

static int mem_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	struct mem *mem = calloc(1, sizeof(*mem));
	int r;

	if (!mem)
		return -ENOMEM;
	ls->state = mem;
	for (const struct ls_option *o = ls->type->options; o->name; o++)
		mem_set(ls, o->name, json_object_get_string(json_object_object_get(config, o->name)), error,
			error_size);
	/* Nobody outside should be able to choose names that fall into one bucket. */
	if (getrandom(&mem->seed, sizeof(mem->seed), GRND_NONBLOCK) < 0)
		mem->seed = (uintptr_t)mem;
	pthread_mutex_init(&mem->rename, NULL);
	mem_table_init(mem);
	mem_pool_init(&mem->pool);
	r = mem_make_root(ls);
	if (r < 0)
		mem_type_close(ls);
	return r;
}

static const struct ls_option mem_options[] = {
	{"size", LS_SIZE, "1G", MEM_CHUNK, 1ull << 50, "how much it holds: data, names and attributes", 1},
	{"inodes", LS_COUNT, "1000000", 1, 1ull << 40, "how many files, directories and so on it holds", 1},
	{NULL},
};

const struct ls_type ls_type_mem = {
	.name = "mem",
	.help = "a filesystem in memory, gone when it is closed",
	.unset = LS_REFUSE,
	.options = mem_options,
	.primary = "size",
	.open = mem_type_open,
	.close = mem_type_close,
	.set = mem_set,
	.ops = {
		.lookup = mem_lookup,
		.forget = mem_forget,
		.resolve = mem_resolve,
		.parent = mem_parent,
		.getattr = mem_getattr,
		.setattr = mem_setattr,
		.readlink = mem_readlink,
		.mknod = mem_mknod,
		.mkdir = mem_mkdir,
		.symlink = mem_symlink,
		.link = mem_link,
		.unlink = mem_unlink,
		.rmdir = mem_rmdir,
		.rename = mem_rename,
		.open = mem_open,
		.create = mem_create,
		.tmpfile = mem_tmpfile,
		.release = mem_release,
		.read = mem_read,
		.write = mem_write,
		.fsync = mem_fsync,
		.sync = mem_sync,
		.fallocate = mem_fallocate,
		.seek = mem_seek,
		.readdir = mem_readdir,
		.statfs = mem_statfs,
		.getxattr = mem_getxattr,
		.setxattr = mem_setxattr,
		.listxattr = mem_listxattr,
		.removexattr = mem_removexattr,
		.advise = mem_advise,
	},
};
