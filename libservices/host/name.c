/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in the host's directories. Every step goes by a directory's descriptor and a name without a slash;
 * no symbolic link is ever followed.
 *
 * Who changes a directory holds its stripe for writing, who looks a name up for reading: some things take
 * two steps. The kernel makes an object for us, root, and then we give it to its owner: no tenant sees it
 * before it has its owner, and no tenant can put another file under the name so that we would give that one
 * away. And before a name is removed we hold its inode, so that it is not lost with its last name
 * (table.c): it must still be that name's when the name is removed. Processes of the host are trusted not
 * to interfere.
 *
 * The process's umask must be 0: the mode has been decided by the service.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libservices/host/name.h"

static int name_check(const char *name)
{
	if (!*name)
		return -ENOENT;
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') ? -EINVAL : 0;
}

static struct fair_lock *stripe_of(struct host *h, const struct host_inode *dir)
{
	return &h->stripe[(uintptr_t)dir / sizeof(*dir) % HOST_STRIPES];
}

static int host_dir_use_locked(struct host_dir_use *use, struct ls *ls, struct ls_inode *dir,
			       const char *name)
{
	int r = name_check(name);

	*use = (struct host_dir_use){.h = host_of(ls), .dir = host_inode_of(dir)};
	if (r < 0)
		return r;
	if (use->dir->type != S_IFDIR)
		return -ENOTDIR;
	use->fd = host_hold(use->h, use->dir);
	return use->fd < 0 ? use->fd : 0;
}

int host_dir_use(struct host_dir_use *use, struct ls *ls, struct ls_inode *dir, const char *name,
		 bool changing)
{
	int r = host_dir_use_locked(use, ls, dir, name);

	if (r < 0)
		return r;
	use->stripe = stripe_of(use->h, use->dir);
	if (changing)
		fair_lock_write(use->stripe);
	else
		fair_lock_read(use->stripe);
	return 0;
}

void host_dir_done(struct host_dir_use *use)
{
	if (use->stripe)
		fair_unlock(use->stripe);
	host_let_go(use->h, use->dir);
}

/* ---- looking up ---------------------------------------------------------------------------------- */

int host_fd_enter(struct host *h, int fd, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct host_inode *inode;
	struct statx sx;
	int r = host_statx(fd, "", &sx);

	if (r < 0) {
		close(fd);
		return r;
	}
	r = host_inode_enter(h, fd, &sx, &inode);
	if (r < 0)
		return r;
	host_attr(inode, &sx, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	return 0;
}

static int name_enter(struct host *h, int dirfd, const char *name, struct ls_inode **ret_inode,
		      struct ls_attr *ret_attr)
{
	struct host_inode *inode;
	struct statx sx;
	int fd, r = host_statx(dirfd, name, &sx);

	if (r < 0)
		return r;
	/* An inode that we have open cannot have changed its number: this is the one. */
	inode = host_inode_known(h, &sx);
	if (inode) {
		host_attr(inode, &sx, ret_attr);
		*ret_inode = (struct ls_inode *)inode;
		return 0;
	}
	fd = host_openat(h, dirfd, name, O_PATH | O_NOFOLLOW, 0);
	return fd < 0 ? fd : host_fd_enter(h, fd, ret_inode, ret_attr);
}

int host_lookup(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct host_dir_use use;
	int r = host_dir_use(&use, ls, dir, name, false);

	if (r < 0)
		return r;
	r = name_enter(use.h, use.fd, name, ret_inode, ret_attr);
	host_dir_done(&use);
	return r;
}

/*
 * Is the directory our root or below it? Somebody on the host may have moved it out, or its descriptor may
 * reach it on another mount than we came by; from there ".." would lead out of the tenant's tree.
 */
static int below_root(struct host *h, int fd)
{
	struct statx sx, last = {0};
	int r, up, at = host_openat(h, fd, ".", O_PATH | O_DIRECTORY, 0);

	while (at >= 0) {
		r = host_statx(at, "", &sx);
		if (r == 0 && host_dev(&sx) == h->root->dev && sx.stx_ino == h->root->ino)
			break;
		if (r == 0 && host_dev(&sx) == host_dev(&last) && sx.stx_ino == last.stx_ino)
			r = -ESTALE;
		last = sx;
		up = r < 0 ? r : host_openat(h, at, "..", O_PATH | O_DIRECTORY, 0);
		close(at);
		at = up;
	}
	if (at < 0)
		return at;
	close(at);
	return 0;
}

int host_parent(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir,
		struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct host_inode *dir = host_inode_of(ls_dir);
	struct host *h = host_of(ls);
	int r, up, fd;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	fd = host_hold(h, dir);
	if (fd < 0)
		return fd;
	up = host_openat(h, fd, dir == h->root ? "." : "..", O_PATH | O_DIRECTORY, 0);
	host_let_go(h, dir);
	if (up < 0)
		return up;
	r = below_root(h, up);
	if (r < 0) {
		close(up);
		return r;
	}
	return host_fd_enter(h, up, ret_inode, ret_attr);
}

/* ---- links, removals, moves ---------------------------------------------------------------------- */

int host_link(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_inode *dir,
	      const char *name, struct ls_attr *ret_attr)
{
	struct host_dir_use use;
	int fd, r = host_dir_use(&use, ls, dir, name, true);

	if (r < 0)
		return r;
	fd = host_hold(use.h, host_inode_of(inode));
	r = fd < 0 ? fd : linkat(fd, "", use.fd, name, AT_EMPTY_PATH) < 0 ? -errno : 0;
	if (fd >= 0)
		host_let_go(use.h, host_inode_of(inode));
	host_dir_done(&use);
	return r < 0 ? r : host_getattr(ls, call, inode, NULL, ret_attr);
}

static int name_remove(struct ls *ls, struct ls_inode *dir, const char *name, int flags)
{
	struct host_inode *victim;
	struct host_dir_use use;
	int r = host_dir_use(&use, ls, dir, name, true);

	if (r < 0)
		return r;
	victim = host_hold_victim(use.h, use.fd, name);
	r = unlinkat(use.fd, name, flags) < 0 ? -errno : 0;
	if (victim)
		host_let_go(use.h, victim);
	host_dir_done(&use);
	return r;
}

int host_unlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	return name_remove(ls, dir, name, 0);
}

int host_rmdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	return name_remove(ls, dir, name, AT_REMOVEDIR);
}

/* Two directories, their stripes in one order for everybody; one stripe once. */
static int dirs_use(struct host_dir_use *a, struct host_dir_use *b, struct ls *ls, struct ls_inode *dir,
		    const char *name, struct ls_inode *dir2, const char *name2)
{
	struct host *h = host_of(ls);
	const struct fair_lock *stripe = stripe_of(h, host_inode_of(dir)),
			       *stripe2 = stripe_of(h, host_inode_of(dir2));
	int r;

	if (stripe <= stripe2)
		r = host_dir_use(a, ls, dir, name, true);
	else
		r = host_dir_use(b, ls, dir2, name2, true);
	if (r < 0)
		return r;
	if (stripe < stripe2)
		r = host_dir_use(b, ls, dir2, name2, true);
	else if (stripe > stripe2)
		r = host_dir_use(a, ls, dir, name, true);
	else
		r = host_dir_use_locked(b, ls, dir2, name2);
	if (r < 0)
		host_dir_done(stripe <= stripe2 ? a : b);
	return r;
}

static int rename_names(struct host_dir_use *a, const char *name, struct host_dir_use *b, const char *name2,
			unsigned flags)
{
	struct host_inode *victim = host_hold_victim(b->h, b->fd, name2);
	int r = renameat2(a->fd, name, b->fd, name2, flags) < 0 ? -errno : 0;

	if (victim)
		host_let_go(b->h, victim);
	return r;
}

/* The kernel leaves a whiteout that is root's: it belongs to who moved the file. */
static int rename_whiteout(const struct ls_call *call, struct host_dir_use *a, const char *name,
			   struct host_dir_use *b, const char *name2, unsigned flags)
{
	struct statx before = {0}, after;
	int fd, r;

	host_statx(a->fd, name, &before);
	r = rename_names(a, name, b, name2, flags);
	if (r < 0)
		return r;
	fd = host_openat(a->h, a->fd, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	r = host_statx(fd, "", &after);
	if (r == 0 && after.stx_ino != before.stx_ino) /* else two names of one file: nothing happened */
		r = host_fd_own(a->h, call, fd, after.stx_mode);
	close(fd);
	return r;
}

int host_rename(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		struct ls_inode *dir2, const char *name2, unsigned flags)
{
	struct host_dir_use a, b;
	int r = dirs_use(&a, &b, ls, dir, name, dir2, name2);

	if (r < 0)
		return r;
	if (flags & RENAME_WHITEOUT)
		r = rename_whiteout(call, &a, name, &b, name2, flags);
	else
		r = rename_names(&a, name, &b, name2, flags);
	host_dir_done(&a);
	host_dir_done(&b);
	return r;
}
