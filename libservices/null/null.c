/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The template: a layer that serves an empty directory, which nobody can change.
 *
 * What it does not set is refused. A new layer starts as a copy of this folder and a line in types.c.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "libservices/libservice.h"

enum { NULL_ROOT = 1, NULL_BLOCK = 4096 };

static int null_lookup(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		       struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	return -ENOENT;
}

static void null_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n) {}

static int null_parent(struct ls *ls, const struct ls_call *call, struct ls_inode *dir,
		       struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	*ret_inode = ls->root;
	*ret_attr = ls->root_attr;
	return 0;
}

static int null_resolve(struct ls *ls, const struct ls_call *call, uint64_t ino,
			struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	return ino == NULL_ROOT ? null_parent(ls, call, ls->root, ret_inode, ret_attr) : -ESTALE;
}

static int null_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode,
			struct ls_file *f, struct ls_attr *ret_attr)
{
	*ret_attr = ls->root_attr;
	return 0;
}

/* There is nothing to remember about an open directory: the root stands for it. */
static int null_open(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, int flags,
		     struct ls_file **ret_file)
{
	*ret_file = (struct ls_file *)inode;
	return 0;
}

static void null_release(struct ls *ls, const struct ls_call *call, struct ls_file *f) {}

static int null_readdir(struct ls *ls, const struct ls_call *call, struct ls_file *f, uint64_t cookie,
			ls_emit *emit, void *arg)
{
	if (cookie < 1 && emit(arg, ".", 1, NULL_ROOT, S_IFDIR >> 12, 1))
		return 0;
	if (cookie < 2)
		emit(arg, "..", 2, NULL_ROOT, S_IFDIR >> 12, 2);
	return 0;
}

static int null_sync(struct ls *ls, const struct ls_call *call)
{
	return 0;
}

static int null_statfs(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	*ret = (struct ls_statfs){.bsize = NULL_BLOCK, .frsize = NULL_BLOCK, .namelen = 255};
	return 0;
}

static int null_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	struct ls_attr *root = &ls->root_attr;

	root->ino = NULL_ROOT;
	root->mode = S_IFDIR | 0555;
	root->nlink = 2;
	root->blksize = NULL_BLOCK;
	clock_gettime(CLOCK_REALTIME, &root->btime);
	root->atime = root->mtime = root->ctime = root->btime;
	ls->root = (struct ls_inode *)root; /* any address of its own will do */
	ls->traits = LS_RDONLY;
	return 0;
}

const struct ls_type ls_type_null = {
	.name = "null",
	.help = "an empty directory that nobody can change",
	.unset = LS_REFUSE,
	.open = null_type_open,
	.ops = {
		.lookup = null_lookup,
		.forget = null_forget,
		.resolve = null_resolve,
		.parent = null_parent,
		.getattr = null_getattr,
		.open = null_open,
		.release = null_release,
		.readdir = null_readdir,
		.sync = null_sync,
		.statfs = null_statfs,
	},
};
