/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "service/store.h"

enum { STORE_DEPTH_MAX = 4096 };

static const struct ls_cred root_cred;

void store_init(struct store *st, struct ls *ls, unsigned seconds)
{
	*st = (struct store){.ls = ls, .call = {.tenant = ls->tenant, .cred = &root_cred}};
	if (seconds)
		st->call.deadline = ls_now() + seconds * 1000000000ll;
}

void store_put(struct store *st, struct ls_inode *inode)
{
	if (inode && inode != st->ls->root)
		ls_forget(st->ls, &st->call, inode, 1);
}

/* The next name of a path: 1, 0 at the end, -EINVAL if it is none. */
static int path_next(const char **path, char name[static NAME_MAX + 1])
{
	size_t len;

	*path += strspn(*path, "/");
	len = strcspn(*path, "/");
	if (len == 0)
		return 0;
	if (len > NAME_MAX || (len == 1 && **path == '.') || (len == 2 && !strncmp(*path, "..", 2)))
		return -EINVAL;
	memcpy(name, *path, len);
	name[len] = 0;
	*path += len;
	return 1;
}

/* The references of those on the way are ended, and `from` is the caller's. */
static void passed(struct store *st, struct ls_inode *dir, const struct ls_inode *from)
{
	if (dir != from)
		store_put(st, dir);
}

int store_dir_below(struct store *st, struct ls_inode *from, const char *path, struct ls_inode **ret, struct ls_attr *ret_attr)
{
	struct ls_inode *dir = from, *next;
	struct ls_attr attr = {0};
	char name[NAME_MAX + 1];
	int r;

	while ((r = path_next(&path, name)) == 1) {
		r = ls_lookup(st->ls, &st->call, dir, name, &next, &attr);
		passed(st, dir, from);
		if (r < 0)
			return r;
		dir = next;
		if (!S_ISDIR(attr.mode)) {
			r = -ENOTDIR;
			break;
		}
	}
	if (r == 0 && dir == from)
		r = -EINVAL;
	if (r < 0) {
		passed(st, dir, from);
		return r;
	}
	*ret = dir;
	if (ret_attr)
		*ret_attr = attr;
	return 0;
}

int store_dir(struct store *st, const char *path, struct ls_inode **ret, struct ls_attr *ret_attr)
{
	return store_dir_below(st, st->ls->root, path, ret, ret_attr);
}

int store_has(struct store *st, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = ls_lookup(st->ls, &st->call, dir, name, &inode, &attr);

	if (r == 0)
		store_put(st, inode);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

int store_make(struct store *st, struct ls_inode *dir, const char *name, mode_t mode, struct ls_inode **ret)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = ls_mkdir(st->ls, &st->call, dir, name, mode, &inode, &attr);

	if (r == -EEXIST)
		r = ls_lookup(st->ls, &st->call, dir, name, &inode, &attr);
	if (r == 0 && !S_ISDIR(attr.mode)) {
		store_put(st, inode);
		r = -ENOTDIR;
	}
	if (r == 0)
		*ret = inode;
	return r;
}

/* ---- small files --------------------------------------------------------------------------------------- */

static ssize_t read_all(struct store *st, struct ls_file *f, char *text)
{
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0 && used < STORE_TEXT_MAX) {
		struct iovec iov = {text + used, STORE_TEXT_MAX - used};
		n = ls_read(st->ls, &st->call, f, &iov, 1, used);
		used += n > 0 ? n : 0;
	}
	return n < 0 ? n : n > 0 ? -EFBIG : (ssize_t)used;
}

int store_read(struct store *st, struct ls_inode *dir, const char *name, char **ret)
{
	char *text = malloc(STORE_TEXT_MAX + 1);
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	ssize_t n;

	n = text ? ls_lookup(st->ls, &st->call, dir, name, &inode, &attr) : -ENOMEM;
	if (n == 0) {
		n = S_ISREG(attr.mode) ? ls_open(st->ls, &st->call, inode, O_RDONLY, &f) : -EINVAL;
		if (n == 0) {
			n = read_all(st, f, text);
			ls_release(st->ls, &st->call, f);
		}
		store_put(st, inode);
	}
	if (n < 0) {
		free(text);
		return n;
	}
	text[n] = 0;
	*ret = text;
	return 0;
}

static int write_all(struct store *st, struct ls_file *f, const char *text)
{
	struct iovec iov = {(char *)text, strlen(text)};
	off_t end = 0;
	ssize_t n = 0;

	while (iov.iov_len > 0 && n >= 0) {
		n = ls_write(st->ls, &st->call, f, &iov, 1, end, 0, &end);
		iov.iov_base = (char *)iov.iov_base + (n > 0 ? n : 0);
		iov.iov_len -= n > 0 ? n : 0;
	}
	return n < 0 ? n : ls_fsync(st->ls, &st->call, f, 0);
}

int store_write(struct store *st, struct ls_inode *dir, const char *name, const char *text)
{
	char fresh[NAME_MAX + 1];
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	int r;

	snprintf(fresh, sizeof(fresh), ".%.200s.new", name);
	r = ls_unlink(st->ls, &st->call, dir, fresh);
	if (r == 0 || r == -ENOENT)
		r = ls_create(st->ls, &st->call, dir, fresh, 0644, O_WRONLY, &inode, &attr, &f);
	if (r < 0)
		return r;
	r = write_all(st, f, text);
	ls_release(st->ls, &st->call, f);
	store_put(st, inode);
	if (r == 0)
		r = ls_rename(st->ls, &st->call, dir, fresh, dir, name, 0);
	return r;
}

/* ---- lists, and removal --------------------------------------------------------------------------------- */

int store_list(struct store *st, struct ls_inode *dir, char **ret)
{
	return ls_names(st->ls, &st->call, dir, ret);
}

static int remove_at(struct store *st, struct ls_inode *dir, const char *name, unsigned depth, const bool *stop);

/* What is below goes first. A tree that is too deep for the stack of a thread is the tenant's own: it stays. */
static int remove_inside(struct store *st, struct ls_inode *dir, unsigned depth, const bool *stop)
{
	char *names;
	int r = depth < STORE_DEPTH_MAX ? store_list(st, dir, &names) : -ELOOP;

	if (r < 0)
		return r;
	for (const char *name = names; *name && r == 0; name += strlen(name) + 1)
		r = remove_at(st, dir, name, depth + 1, stop);
	free(names);
	return r;
}

static int remove_at(struct store *st, struct ls_inode *dir, const char *name, unsigned depth, const bool *stop)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r;

	if (__atomic_load_n(stop, __ATOMIC_RELAXED))
		return -ECANCELED;
	r = ls_unlink(st->ls, &st->call, dir, name);
	if (r != -EISDIR && r != -EPERM)
		return r == -ENOENT ? 0 : r;
	r = ls_lookup(st->ls, &st->call, dir, name, &inode, &attr);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = S_ISDIR(attr.mode) ? remove_inside(st, inode, depth, stop) : -EPERM;
	store_put(st, inode);
	return r < 0 ? r : ls_rmdir(st->ls, &st->call, dir, name);
}

int store_remove(struct store *st, struct ls_inode *dir, const char *name, const bool *stop)
{
	return remove_at(st, dir, name, 0, stop);
}
