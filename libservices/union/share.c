/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory: the branch's, so that what nobody has changed is cached once for all unions.
 *
 * A file below may be shared to read. When it is copied up, those shares are ended there at once, with a new epoch, so
 * that whoever copies from the memory looks again, and asks again, and gets the copy's; and only then is the copy
 * changed. Their holders do not know, and end them in their own time: those ends are not passed on.
 *
 * Programs' own mappings cannot be taken back: one of a file below goes on to show that file, as with the kernel's
 * overlay. What would let somebody write (the kernel too, in passthrough) is given of a copy only, and of a file whose
 * data is in several places nothing is.
 */
#include <errno.h>

#include "libservices/union/union.h"

static bool share_changes(enum ls_share_how how)
{
	return how == LS_SHARE_WRITE || how == LS_SHARE_MAP_WRITE;
}

static int share_below(struct ls *ls, const struct ls_call *call, struct union_inode *inode, enum ls_share_how how,
		       off_t offset, off_t length, struct ls_share *ret)
{
	int r;

	if (inode->parts || (!inode->above && how == LS_SHARE_KERNEL))
		return -EOPNOTSUPP;
	/* Of which of the two a mapping's end is could not be told. */
	if (inode->old.inode && how == LS_SHARE_MAP)
		return -EAGAIN;
	r = ls_share(ls->below[inode->real.branch], call, inode->real.inode, how, offset, length, ret);
	inode->copiers += r == 0 && !inode->above && how == LS_SHARE_READ;
	inode->maps += r == 0 && !inode->above && how == LS_SHARE_MAP;
	return r;
}

int union_share(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, enum ls_share_how how,
		off_t offset, off_t length, struct ls_share *ret)
{
	struct union_inode *inode = union_inode_of(ls_inode);
	int r = 0;

	if (inode->type != S_IFREG)
		return -EOPNOTSUPP;
	if (share_changes(how))
		r = union_of(ls)->writable ? union_up(union_of(ls), call, inode) : -EROFS;
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->content);
	r = share_below(ls, call, inode, how, offset, length, ret);
	pthread_rwlock_unlock(&inode->content);
	return r;
}

static int unshare_map(struct ls *ls, const struct ls_call *call, struct union_inode *inode, off_t offset, off_t length)
{
	struct union_real real = inode->old.inode ? inode->old : inode->real;
	int r = ls_unshare(ls->below[real.branch], call, real.inode, LS_SHARE_MAP, offset, length);

	inode->maps -= inode->maps > 0;
	if (inode->old.inode && inode->maps == 0) {
		if (!inode->old_lent)
			ls_forget(ls->below[real.branch], call, real.inode, 1);
		inode->old.inode = NULL;
	}
	return r;
}

int union_unshare(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, enum ls_share_how how,
		  off_t offset, off_t length)
{
	struct union_inode *inode = union_inode_of(ls_inode);
	int r = 0;

	pthread_rwlock_wrlock(&inode->content);
	if (how == LS_SHARE_MAP) {
		r = unshare_map(ls, call, inode, offset, length);
	} else if (how == LS_SHARE_READ && inode->recalled) {
		inode->recalled--;
	} else {
		inode->copiers -= how == LS_SHARE_READ && inode->copiers > 0;
		r = ls_unshare(ls->below[inode->real.branch], call, inode->real.inode, how, offset, length);
	}
	pthread_rwlock_unlock(&inode->content);
	return r;
}

void union_shares_recall(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	struct ls *below = u->ls->below[inode->real.branch];

	if (inode->copiers)
		ls_unshare(below, call, inode->real.inode, LS_SHARE_NONE, 0, 0);
	for (; inode->copiers > 0; inode->copiers--, inode->recalled++)
		ls_unshare(below, call, inode->real.inode, LS_SHARE_READ, 0, 0);
}

int union_grant(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, uint32_t session)
{
	struct union_inode *inode = union_inode_of(ls_inode);

	if (inode->type != S_IFREG || !union_is_above(inode) || union_is_partial(inode))
		return -EOPNOTSUPP;
	return ls_grant(ls->below[0], call, inode->real.inode, session);
}
