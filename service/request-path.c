/* SPDX-License-Identifier: Apache-2.0 */
/* The preload door's operations on names and attributes. */
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/lease.h"
#include "service/perm.h"
#include "service/request.h"

static unsigned follow(const struct request *q)
{
	return q->in->flags & WIRE_NOFOLLOW ? 0 : WALK_FOLLOW;
}

static size_t out_room(const struct request *q)
{
	return q->in->out_max < q->payload_size ? q->in->out_max : q->payload_size;
}

int64_t request_getattr(struct request *q)
{
	struct object o;
	struct ls_attr attr;
	struct walk w;
	int r;

	if (q->in->flags & WIRE_EMPTY) {
		r = request_object(q, 0, &o);
		if (r == 0) {
			if (q->caller.learns)
				lease_learn(&q->caller, o.inode);
			r = vfs_getattr(&q->caller, o.inode, o.ofd, &attr);
			object_end(&o);
		}
	} else {
		r = request_walk(q, q->in->base, q->path, follow(q), &w);
		if (r == 0) {
			attr = w.attr;
			walk_end(&w);
		}
	}
	if (r == 0)
		wire_attr_from(&attr, &q->out.attr);
	return r;
}

static void setattr_times(struct request *q, struct ls_attr *in)
{
	struct wire_times times;

	memcpy(&times, q->payload + q->data_at, sizeof(times));
	in->atime = (struct timespec){times.atime, times.atime_ns};
	in->mtime = (struct timespec){times.mtime, times.mtime_ns};
}

int64_t request_setattr(struct request *q)
{
	struct ls_attr in = {.mode = q->in->mode, .uid = (uint32_t)q->in->more.arg2, .gid = q->in->more.arg2 >> 32,
			     .size = q->in->offset}, attr;
	unsigned set = q->in->arg & 0xff; /* the wire's bits are the layers' */
	struct object o;
	int r;

	_Static_assert((int)WIRE_SET_MTIME_NOW == (int)LS_SET_MTIME_NOW, "the same bits");
	if ((set & (WIRE_SET_ATIME | WIRE_SET_MTIME)) && q->data_at + sizeof(struct wire_times) <= q->payload_size)
		setattr_times(q, &in);
	if (in.atime.tv_nsec >= 1000000000 || in.mtime.tv_nsec >= 1000000000)
		return -EINVAL;
	r = request_object_change(q, follow(q), &o);
	if (r < 0)
		return r;
	r = vfs_setattr(&q->caller, o.inode, o.ofd, &in, set, &attr);
	object_end(&o);
	if (r == 0)
		wire_attr_from(&attr, &q->out.attr);
	return r;
}

int64_t request_access(struct request *q)
{
	struct object o;
	int r = request_object(q, follow(q), &o);

	if (r < 0)
		return r;
	if (q->in->mode & ~7u)
		r = -EINVAL;
	else
		r = vfs_access(&q->caller, o.inode, q->in->mode); /* R_OK etc. are MAY_READ etc. */
	object_end(&o);
	return r;
}

int64_t request_readlink(struct request *q)
{
	struct object o;
	int64_t r = request_object(q, 0, &o);

	if (r < 0)
		return r;
	r = vfs_readlink(&q->caller, o.inode, q->payload, out_room(q));
	object_end(&o);
	if (r > 0)
		q->out.out_len = r;
	return r;
}

/* The place of a new name: its directory is there, the name is not. dir_ok: a slash behind it is allowed. */
static int new_name(struct request *q, uint32_t base, const char *path, bool dir_ok, struct walk *w)
{
	int r = request_walk_change(q, base, path, WALK_CREATE | WALK_PARENT, w);

	if (r < 0)
		return r;
	if (w->inode || w->kind != LAST_NORMAL)
		r = -EEXIST;
	else if (w->slash && !dir_ok)
		r = -ENOENT;
	if (r < 0)
		walk_end(w);
	return r;
}

static int64_t made(struct request *q, struct walk *w, int r, struct entry *entry)
{
	walk_end(w);
	if (r < 0)
		return r;
	wire_attr_from(&entry->attr, &q->out.attr);
	inode_unref(entry->inode);
	return 0;
}

int64_t request_mkdir(struct request *q)
{
	struct entry entry;
	struct walk w;
	int r = new_name(q, q->in->base, q->path, true, &w);

	if (r < 0)
		return r;
	r = vfs_mkdir(&q->caller, w.dir, w.last, WIRE_MODE_ASKED(q->in->mode), &entry);
	if (r == 0)
		lease_learn_empty(&q->caller, entry.inode, &entry.attr);
	return made(q, &w, r, &entry);
}

int64_t request_mknod(struct request *q)
{
	struct entry entry;
	struct walk w;
	int r;

	switch (q->in->mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	r = new_name(q, q->in->base, q->path, false, &w);
	if (r < 0)
		return r;
	r = vfs_mknod(&q->caller, w.dir, w.last, WIRE_MODE_ASKED(q->in->mode), q->in->arg >> 32, (uint32_t)q->in->arg,
		      &entry);
	return made(q, &w, r, &entry);
}

int64_t request_symlink(struct request *q)
{
	struct entry entry;
	struct walk w;
	int r = new_name(q, q->in->base, q->path, false, &w);

	return r < 0 ? r : made(q, &w, vfs_symlink(&q->caller, w.dir, w.last, q->path2, &entry), &entry);
}

int64_t request_link(struct request *q)
{
	struct ls_attr attr;
	struct object o;
	struct walk w;
	int r = request_object_change(q, follow(q), &o);

	if (r < 0)
		return r;
	r = new_name(q, q->in->more.base2, q->path2, false, &w);
	if (r == 0) {
		r = vfs_link(&q->caller, o.inode, w.dir, w.last, &attr);
		if (r == 0)
			lease_learn(&q->caller, o.inode);
		walk_end(&w);
	}
	object_end(&o);
	return r;
}

int64_t request_unlink(struct request *q)
{
	bool dir = q->in->flags & WIRE_REMOVEDIR;
	struct walk w;
	int r = request_walk_change(q, q->in->base, q->path, WALK_PARENT, &w);

	if (r < 0)
		return r;
	switch (w.kind) {
	case LAST_NORMAL:
		if (dir)
			r = vfs_rmdir(&q->caller, w.dir, w.last);
		else
			r = w.slash ? (w.inode->type == S_IFDIR ? -EISDIR : -ENOTDIR)
				    : vfs_unlink(&q->caller, w.dir, w.last);
		break;
	case LAST_DOT:
		r = dir ? -EINVAL : -EISDIR;
		break;
	case LAST_DOTDOT:
		r = dir ? -ENOTEMPTY : -EISDIR;
		break;
	case LAST_ROOT:
		r = dir ? -EBUSY : -EISDIR;
		break;
	}
	walk_end(&w);
	return r;
}

int64_t request_rename(struct request *q)
{
	unsigned flags = q->in->arg;
	struct walk from, to;
	int r = request_walk_change(q, q->in->base, q->path, WALK_PARENT, &from);

	if (r < 0)
		return r;
	r = request_walk_change(q, q->in->more.base2, q->path2, WALK_CREATE | WALK_PARENT, &to);
	if (r < 0) {
		walk_end(&from);
		return r;
	}
	if (from.kind != LAST_NORMAL)
		r = -EBUSY;
	else if (to.kind != LAST_NORMAL)
		r = (flags & 1) ? -EEXIST : -EBUSY; /* RENAME_NOREPLACE */
	else if ((from.slash || to.slash) && from.inode->type != S_IFDIR)
		r = -ENOTDIR;
	else
		r = vfs_rename(&q->caller, from.dir, from.last, to.dir, to.last, flags);
	walk_end(&from);
	walk_end(&to);
	return r;
}

int64_t request_statfs(struct request *q)
{
	struct ls_statfs st;
	struct wire_statfs out;
	struct object o;
	int r = request_object(q, WALK_FOLLOW, &o);

	if (r < 0)
		return r;
	r = vfs_statfs(&q->caller, o.inode, &st);
	object_end(&o);
	if (r < 0)
		return r;
	out = (struct wire_statfs){st.bsize, st.frsize, st.blocks, st.bfree, st.bavail,
				   st.files, st.ffree, st.namelen, FUSE_SUPER_MAGIC}; /* both doors say so */
	memcpy(q->payload, &out, sizeof(out));
	q->out.out_len = sizeof(out);
	return 0;
}

int64_t request_syncfs(struct request *q)
{
	struct inode *inode;
	char *path;
	int r;

	if (q->in->handle) {
		struct ofd *ofd = session_handle_get(q->session, q->in->handle);
		if (!ofd)
			return -EBADF;
		r = vfs_sync(&q->caller, ofd->inode->fs);
		ofd_unref(ofd);
		return r;
	}
	r = session_base(q->session, q->in->base, &inode, &path);
	if (r < 0)
		return r;
	free(path);
	r = vfs_sync(&q->caller, inode->fs);
	inode_unref(inode);
	return r;
}

/* There is none of that name: who asks for one asks for more. */
static void xattrs_learn(struct request *q, struct inode *inode)
{
	if (!q->caller.learns)
		return;
	lease_learn(&q->caller, inode);
	lease_learn_bare(&q->caller, inode);
}

int64_t request_getxattr(struct request *q)
{
	struct object o;
	int64_t r = request_object(q, follow(q), &o);

	if (r < 0)
		return r;
	r = vfs_getxattr(&q->caller, o.inode, q->path2, q->payload, out_room(q));
	if (r == -ENODATA)
		xattrs_learn(q, o.inode);
	object_end(&o);
	if (r > 0 && q->in->out_max)
		q->out.out_len = r;
	return r;
}

int64_t request_setxattr(struct request *q)
{
	struct object o;
	char *value;
	int r;

	if (q->in->length > q->payload_size - q->data_at)
		return -E2BIG;
	/* Layers read the value more than once. */
	value = malloc(q->in->length + 1);
	if (!value)
		return -ENOMEM;
	memcpy(value, q->payload + q->data_at, q->in->length);
	r = request_object_change(q, follow(q), &o);
	if (r == 0) {
		r = vfs_setxattr(&q->caller, o.inode, q->path2, value, q->in->length, q->in->arg);
		object_end(&o);
	}
	free(value);
	return r;
}

int64_t request_listxattr(struct request *q)
{
	struct object o;
	int64_t r = request_object(q, follow(q), &o);

	if (r < 0)
		return r;
	r = vfs_listxattr(&q->caller, o.inode, q->payload, out_room(q));
	if (r == 0)
		xattrs_learn(q, o.inode);
	object_end(&o);
	if (r > 0 && q->in->out_max)
		q->out.out_len = r;
	return r;
}

int64_t request_removexattr(struct request *q)
{
	struct object o;
	int r = request_object_change(q, follow(q), &o);

	if (r < 0)
		return r;
	r = vfs_removexattr(&q->caller, o.inode, q->path2);
	object_end(&o);
	return r;
}
