/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tree out of many: a writable branch over up to 128 that are only read, in overlayfs' on-disk convention.
 *
 *   walk.c    what a name is, from the branches: whiteouts, opaque directories, redirects, merged directories
 *   name.c    the same, remembered; tree.c: how
 *   list.c    listings
 *   up.c      copying up; copy.c: what is copied; work.c: where
 *   make.c, remove.c, rename.c   changes of names
 *   file.c    open files, which follow a copy-up; parts.c: of large files only what is changed; share.c: shared pages
 *   mark.c    extended attributes: the convention's, and the users'
 *   inode.c   inodes and their numbers
 *
 * The branches are the union's alone (unless they say that they are not, LS_SHARED): what it knows of them holds.
 * Branches that are only read may be under several unions, as whole layers are under several unions' stacks.
 * union.h has the order of the locks.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libservices/union/union.h"

int union_statfs(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	return ls_statfs(ls->below[0], call, ret);
}

int union_sync(struct ls *ls, const struct ls_call *call)
{
	return union_of(ls)->writable ? ls_sync(ls->below[0], call) : 0;
}

static void union_stats(struct ls *ls, ls_figure *figure, void *arg)
{
	struct union_fs *u = union_of(ls);

	figure(arg, "names", __atomic_load_n(&u->name_total, __ATOMIC_RELAXED));
	figure(arg, "name_hits", __atomic_load_n(&u->hits, __ATOMIC_RELAXED));
	figure(arg, "walks", __atomic_load_n(&u->walks, __ATOMIC_RELAXED));
	figure(arg, "copied_files", __atomic_load_n(&u->copied_files, __ATOMIC_RELAXED));
	figure(arg, "copied_bytes", __atomic_load_n(&u->copied_bytes, __ATOMIC_RELAXED));
}

static const char *config_text(struct json_object *config, const char *key)
{
	return json_object_get_string(json_object_object_get(config, key));
}

static void config_read(struct union_fs *u, struct json_object *config)
{
	u->name_limit = strtoull(config_text(config, "names"), NULL, 10);
	ls_parse_size(config_text(config, "ranges"), &u->range_min);
	u->prefix = strcmp(config_text(config, "marks"), "user") == 0 ? "user.overlay." : "trusted.overlay.";
	u->writable = strcmp(config_text(config, "readonly"), "true") != 0 && !(u->ls->below[0]->traits & LS_RDONLY);
}

static void union_type_close(struct ls *ls)
{
	struct union_fs *u = union_of(ls);

	union_table_fini(u);
	union_work_close(u);
	free((char *)u->work_name);
	pthread_mutex_destroy(&u->rename);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* The root is merged from all roots, down to one that is opaque. */
static int open_root(struct union_fs *u, const struct ls_call *call)
{
	struct union_found found = {.attr = u->ls->below[0]->root_attr};
	char opaque[4], impure[4], partial[4];
	int r = 0;

	for (unsigned i = 0; i < u->count && r == 0; i++) {
		struct union_real *real = &found.real[found.count++];
		*real = (struct union_real){u->ls->below[i]->root, i, false};
		r = union_mark_get(u, call, real, "opaque", opaque, sizeof(opaque));
		real->marked = r == 1 && *opaque == 'x';
		if (r == 1 && *opaque == 'y')
			break;
		r = r < 0 ? r : 0;
	}
	for (unsigned i = 0; i < u->count && r >= 0; i++) {
		struct union_real root = {u->ls->below[i]->root, i, false};
		r = union_mark_get(u, call, &root, "union.partial", partial, sizeof(partial));
		u->partial[i] = r > 0;
	}
	if (r >= 0)
		r = union_mark_get(u, call, &found.real[0], "impure", impure, sizeof(impure));
	if (r < 0)
		return r;
	found.impure = u->writable && r > 0;
	r = union_inode_enter(u, call, &found, &u->root);
	if (r == 0)
		u->ls->root = (struct ls_inode *)u->root;
	return r < 0 ? r : union_attr(u, call, u->root, NULL, &u->ls->root_attr);
}

static int union_begin(struct union_fs *u, struct json_object *config, char *error, size_t error_size)
{
	static const struct ls_cred root_cred;
	const struct ls_call call = {.tenant = u->ls->tenant, .cred = &root_cred};
	int r = union_table_init(u);

	if (r == 0)
		u->work_name = strdup(config_text(config, "work"));
	if (r == 0 && !u->work_name)
		r = -ENOMEM;
	if (r == 0 && (!*u->work_name || strchr(u->work_name, '/') || *u->work_name == '/')) {
		snprintf(error, error_size, "union: work '%s' must be a name", u->work_name);
		return -EINVAL;
	}
	if (r == 0 && u->writable) {
		r = union_work_open(u, error, error_size);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = open_root(u, &call);
	if (r < 0)
		snprintf(error, error_size, "union: the branches' roots: %s", strerror(-r));
	return r;
}

static int union_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	const char *marks = config_text(config, "marks");
	struct union_fs *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	if (strcmp(marks, "trusted") != 0 && strcmp(marks, "user") != 0) {
		snprintf(error, error_size, "union: marks '%s' must be trusted or user", marks);
		free(u);
		return -EINVAL;
	}
	ls->state = u;
	u->ls = ls;
	u->count = ls->below_count;
	config_read(u, config);
	ls->traits = u->writable ? 0 : LS_RDONLY;
	for (unsigned i = 0; i < u->count; i++)
		ls->traits |= ls->below[i]->traits & (LS_SHARED | (i == 0 ? LS_FLUSHES : 0));
	u->shared = ls->traits & LS_SHARED;
	if (getrandom(&u->seed, sizeof(u->seed), GRND_NONBLOCK) < 0)
		u->seed = (uintptr_t)u;
	pthread_mutex_init(&u->rename, NULL);
	pthread_mutex_init(&u->lock, NULL);
	r = union_begin(u, config, error, error_size);
	if (r < 0)
		union_type_close(ls);
	return r;
}

static int union_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	uint64_t size = 0;

	if (strcmp(option, "names") == 0) {
		__atomic_store_n(&union_of(ls)->name_limit, strtoull(value, NULL, 10), __ATOMIC_RELAXED);
	} else {
		ls_parse_size(value, &size);
		__atomic_store_n(&union_of(ls)->range_min, size, __ATOMIC_RELAXED);
	}
	return 0;
}

static const struct ls_option union_options[] = {
	{"readonly", LS_BOOL, "false", 0, 0, "the first branch is only read, too", 0},
	{"marks", LS_STRING, "trusted", 0, 0, "where overlayfs' marks are: trusted.overlay.*, or user.overlay.*", 0},
	{"work", LS_STRING, ".union-work", 0, 0, "the name of the work directory, in the first branch's root", 0},
	{"ranges", LS_SIZE, "4M", 0, 0, "files as large as this are copied up by range; 0: none", 1},
	{"names", LS_COUNT, "200000", 100, 1ull << 40, "how many names to remember", 1},
	{NULL},
};

const struct ls_type ls_type_union = {
	.name = "union",
	.help = "one writable branch over others that are only read",
	.unset = LS_REFUSE,
	.below_min = 1,
	.below_max = UNION_BRANCHES,
	.options = union_options,
	.open = union_type_open,
	.close = union_type_close,
	.set = union_set,
	.stats = union_stats,
	.ops = {
#define X(ret, op_name, ...) .op_name = union_##op_name,
		LS_OPS(X)
#undef X
	},
};
