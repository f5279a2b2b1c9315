/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: looking them up, making them, removing and moving them.
 *
 * `.snap` is in every directory, though no listing shows it: the directory of its snapshots. A directory made there is a
 * snapshot, removing it removes the snapshot. Nothing else may be called so: libcephfs would make files that nobody
 * reaches any more.
 *
 * Ceph knows plain moves only. What the other kinds need is done in steps, one caller at a time and unseen by callers
 * of this instance (`names`); other clients of the cluster may see the steps, and come between them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "libservices/ceph/ceph.h"

static bool is_snap_name(const char *name)
{
	return strcmp(name, CEPH_SNAP_NAME) == 0;
}

int64_t ceph_change_begin(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void ceph_change_end(struct ceph_inode *dir, int64_t began)
{
	int64_t seen = __atomic_load_n(&dir->changed, __ATOMIC_RELAXED);

	while (seen < began &&
	       !__atomic_compare_exchange_n(&dir->changed, &seen, began, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* ---- lookup, parent -------------------------------------------------------------------------------- */

static int name_find(struct ceph_job *j, Inode *dir, const char *name)
{
	j->in = NULL;
	return ceph_ll_lookup(j->client->mount, dir, name, &j->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
}

static bool is_shared_out(const struct ceph_job *j)
{
	return j->c->clients > 1 && j->inode == j->c->root;
}

/* Of a directory, size and times are the other client's to know: to ask for them here would take them from it. */
static ssize_t name_share_out(struct ceph_job *j)
{
	ssize_t r;

	j->in = NULL;
	j->client = j->inode->client;
	r = ceph_ll_lookup(j->client->mount, j->inode->in, j->name, &j->in, &j->stx, CEPH_STATX_INO | CEPH_STATX_MODE, 0, j->perm);
	if (r < 0)
		return r;
	if (S_ISDIR(j->stx.stx_mode))
		ceph_job_share_out(j, false);
	r = ceph_ll_getattr(j->client->mount, j->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
	if (r < 0)
		ceph_ll_put(j->client->mount, j->in);
	return r;
}

static ssize_t lookup_run(struct ceph_job *j)
{
	ssize_t r;

	pthread_rwlock_rdlock(&j->c->names);
	r = is_shared_out(j) ? name_share_out(j) : name_find(j, j->inode->in, j->name);
	pthread_rwlock_unlock(&j->c->names);
	return r;
}

/* A job on a name that gives an inode. */
static int job_to_inode(struct ceph_job *j, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	int r;

	j->undo = ceph_undo_inode;
	r = ceph_job_do(&j);
	if (r >= 0)
		r = ceph_job_inode(j, ret_inode, ret_attr);
	ceph_job_end(j);
	return r;
}

static int name_enter(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		      struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ceph_job *j;
	int r;

	if (ceph_inode_of(dir)->type != S_IFDIR)
		return -ENOTDIR;
	r = ceph_job_named(ceph_of(ls), call, lookup_run, dir, name, &j);
	return r < 0 ? r : job_to_inode(j, ret_inode, ret_attr);
}

int ceph_lookup_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		   struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	int r = ls_name_check(name);

	return r < 0 ? r : name_enter(ls, call, dir, name, ret_inode, ret_attr);
}

int ceph_parent_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, struct ls_inode **ret_inode,
		   struct ls_attr *ret_attr)
{
	struct ceph *c = ceph_of(ls);
	int r;

	if (ceph_inode_of(dir) != c->root)
		return name_enter(ls, call, dir, "..", ret_inode, ret_attr);
	r = ceph_getattr_op(ls, call, dir, NULL, ret_attr);
	if (r == 0)
		*ret_inode = (struct ls_inode *)ceph_inode_ref(c, c->root);
	return r;
}

/* ---- making ---------------------------------------------------------------------------------------- */

static ssize_t mkdir_run(struct ceph_job *j)
{
	int r;

	j->in = NULL;
	j->client = j->inode->client;
	r = ceph_ll_mkdir(j->client->mount, j->inode->in, j->name, j->mode, &j->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
	if (r == 0 && is_shared_out(j))
		ceph_job_share_out(j, true);
	return r;
}

static ssize_t mknod_run(struct ceph_job *j)
{
	j->in = NULL;
	return ceph_ll_mknod(j->client->mount, j->inode->in, j->name, j->mode, makedev(j->offset, j->length), &j->in, &j->stx,
			     CEPH_STATX_ALL_STATS, 0, j->perm);
}

static ssize_t symlink_run(struct ceph_job *j)
{
	j->in = NULL;
	return ceph_ll_symlink(j->client->mount, j->inode->in, j->name, j->buf, &j->in, &j->stx, CEPH_STATX_ALL_STATS, 0,
			       j->perm);
}

static int job_making(struct ls *ls, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
		      struct ls_inode *dir, const char *name, struct ceph_job **ret)
{
	int r = ls_name_check(name);

	if (r < 0)
		return r;
	if (ceph_inode_of(dir)->type != S_IFDIR)
		return -ENOTDIR;
	if (is_snap_name(name))
		return -EEXIST;
	r = ceph_job_named(ceph_of(ls), call, run, dir, name, ret);
	if (r == 0)
		(*ret)->changes = true;
	return r;
}

int ceph_mkdir_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name, mode_t mode,
		  struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ceph_job *j;
	int r = job_making(ls, call, mkdir_run, dir, name, &j);

	if (r < 0)
		return r;
	j->mode = mode & 07777;
	return job_to_inode(j, ret_inode, ret_attr);
}

int ceph_mknod_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name, mode_t mode,
		  unsigned major, unsigned minor, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ceph_job *j;
	int r = job_making(ls, call, mknod_run, dir, name, &j);

	if (r < 0)
		return r;
	j->mode = mode;
	j->offset = major;
	j->length = minor;
	return job_to_inode(j, ret_inode, ret_attr);
}

int ceph_symlink_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		    const char *target, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	size_t n = strlen(target);
	struct ceph_job *j;
	int r = n == 0 ? -ENOENT : n >= PATH_MAX ? -ENAMETOOLONG : job_making(ls, call, symlink_run, dir, name, &j);

	if (r < 0)
		return r;
	r = ceph_job_room(j, n + 1);
	if (r < 0) {
		ceph_job_end(j);
		return r;
	}
	memcpy(j->buf, target, n + 1);
	return job_to_inode(j, ret_inode, ret_attr);
}

static ssize_t link_run(struct ceph_job *j)
{
	int r = ceph_job_meet(j);

	if (r == 0)
		r = ceph_ll_link(j->client->mount, j->in2, j->inode->in, j->name, j->perm);
	if (r < 0)
		return r;
	return ceph_ll_getattr(j->inode2->client->mount, j->inode2->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
}

int ceph_link_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_inode *dir,
		 const char *name, struct ls_attr *ret_attr)
{
	struct ceph_job *j;
	int r = job_making(ls, call, link_run, dir, name, &j);

	if (r < 0)
		return r;
	j->inode2 = ceph_inode_ref(j->c, ceph_inode_of(inode));
	r = ceph_inode_of(inode)->type == S_IFDIR ? -EPERM : ceph_job_do(&j);
	if (r == 0)
		ceph_attr(j->inode2, &j->stx, ret_attr);
	ceph_job_end(j);
	return r;
}

/* ---- removing -------------------------------------------------------------------------------------- */

static ssize_t unlink_run(struct ceph_job *j)
{
	return ceph_ll_unlink(j->client->mount, j->inode->in, j->name, j->perm);
}

/* To remove a snapshot that is not there leaves libcephfs unable to end: it is looked for first. */
static ssize_t rmdir_run(struct ceph_job *j)
{
	int r;

	if (j->inode->snap == CEPH_SNAPDIR) {
		r = name_find(j, j->inode->in, j->name);
		if (r < 0)
			return r;
		ceph_ll_put(j->client->mount, j->in);
	}
	return ceph_ll_rmdir(j->client->mount, j->inode->in, j->name, j->perm);
}

static int name_remove(struct ls *ls, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
		       struct ls_inode *dir, const char *name)
{
	struct ceph_job *j;
	int r = is_snap_name(name) ? -EPERM : ls_name_check(name);

	if (r == 0)
		r = ceph_job_named(ceph_of(ls), call, run, dir, name, &j);
	if (r < 0)
		return r;
	j->changes = true;
	return ceph_job_do_end(j);
}

int ceph_unlink_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	return name_remove(ls, call, unlink_run, dir, name);
}

int ceph_rmdir_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	return name_remove(ls, call, rmdir_run, dir, name);
}

/* ---- moving ---------------------------------------------------------------------------------------- */

static int move(struct ceph_job *j, Inode *dir, const char *name, Inode *dir2, const char *name2)
{
	return ceph_ll_rename(j->client->mount, dir, name, dir2, name2, j->perm);
}

/* Is the name there? Its inode's number goes to *ret_ino. */
static int name_look(struct ceph_job *j, Inode *dir, const char *name, uint64_t *ret_ino)
{
	int r = name_find(j, dir, name);

	if (r < 0)
		return r;
	*ret_ino = j->stx.stx_ino;
	ceph_ll_put(j->client->mount, j->in);
	return 0;
}

/* Of two names of one file, libcephfs would forget one, though the MDS leaves both. */
static int move_plainly(struct ceph_job *j)
{
	uint64_t a, b;

	if (name_look(j, j->in2, j->name2, &b) == 0 && name_look(j, j->inode->in, j->name, &a) == 0 && a == b)
		return 0;
	return move(j, j->inode->in, j->name, j->in2, j->name2);
}

static int move_to_free(struct ceph_job *j)
{
	uint64_t ino;
	int r = name_look(j, j->in2, j->name2, &ino);

	if (r == 0)
		return -EEXIST;
	return r == -ENOENT ? move(j, j->inode->in, j->name, j->in2, j->name2) : r;
}

/* By way of a third name. If that fails half way, the first is moved back. */
static int exchange(struct ceph_job *j)
{
	char third[64];
	uint64_t a, b;
	int r = name_look(j, j->inode->in, j->name, &a);

	if (r == 0)
		r = name_look(j, j->in2, j->name2, &b);
	if (r < 0 || a == b)
		return r;
	snprintf(third, sizeof(third), ".polytropon-exchange-%llx-%llx", (unsigned long long)a,
		 (unsigned long long)__atomic_add_fetch(&j->c->serial, 1, __ATOMIC_RELAXED));
	r = move(j, j->inode->in, j->name, j->inode->in, third);
	if (r < 0)
		return r;
	r = move(j, j->in2, j->name2, j->inode->in, j->name);
	if (r < 0) {
		move(j, j->inode->in, third, j->inode->in, j->name);
		return r;
	}
	r = move(j, j->inode->in, third, j->in2, j->name2);
	if (r < 0) {
		move(j, j->inode->in, j->name, j->in2, j->name2);
		move(j, j->inode->in, third, j->inode->in, j->name);
	}
	return r;
}

static int move_and_cover(struct ceph_job *j)
{
	uint64_t a, b;
	int r = name_look(j, j->inode->in, j->name, &a);

	if (r == 0 && name_look(j, j->in2, j->name2, &b) == 0) {
		if (j->flags & RENAME_NOREPLACE)
			return -EEXIST;
		if (a == b)
			return 0;
	}
	if (r == 0)
		r = move(j, j->inode->in, j->name, j->in2, j->name2);
	if (r < 0)
		return r;
	j->in = NULL;
	r = ceph_ll_mknod(j->client->mount, j->inode->in, j->name, S_IFCHR, 0, &j->in, &j->stx, CEPH_STATX_INO, 0, j->perm);
	if (r == 0)
		ceph_ll_put(j->client->mount, j->in);
	return r;
}

static ssize_t rename_run(struct ceph_job *j)
{
	int r = ceph_job_meet(j);

	if (r < 0)
		return r;
	if (j->flags == 0)
		return move_plainly(j);
	pthread_rwlock_wrlock(&j->c->names);
	if (j->flags & RENAME_WHITEOUT)
		r = move_and_cover(j);
	else
		r = j->flags & RENAME_EXCHANGE ? exchange(j) : move_to_free(j);
	pthread_rwlock_unlock(&j->c->names);
	return r;
}

int ceph_rename_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		   struct ls_inode *dir2, const char *name2, unsigned flags)
{
	struct ceph_job *j;
	int r = ls_rename_check(flags);

	if (r < 0)
		return r;
	if (is_snap_name(name) || is_snap_name(name2))
		return -EPERM;
	r = ls_name_check(name);
	if (r == 0)
		r = ls_name_check(name2);
	if (r == 0)
		r = ceph_job_named(ceph_of(ls), call, rename_run, dir, name, &j);
	if (r < 0)
		return r;
	j->inode2 = ceph_inode_ref(j->c, ceph_inode_of(dir2));
	strcpy(j->name2, name2);
	j->flags = flags;
	j->changes = true;
	return ceph_job_do_end(j);
}
