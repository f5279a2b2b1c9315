/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE messages about names and attributes, as operations of the instance. Those on files: ops-file.c. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fuse/ops.h"
#include "service/acl.h"
#include "service/pending.h"
#include "service/share.h"

void ops_begin(struct op *op, fuse_req_t req, unsigned stat)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	*op = (struct op){.req = req, .door = fuse_req_userdata(req), .stat = stat,
			   .started_at = stat_started()};
	caller_init(&op->c, DOOR_FUSE, op->door->fs->tenant, ctx->uid, ctx->gid, ctx->pid);
	op->c.call.payer = door_payer();
	op->c.umask = ctx->umask;
	op->about = about_operation(op->door->service, ctx);
	stat_begin();
}

void ops_end(struct op *op, int64_t result)
{
	stat_record(DOOR_FUSE, op->stat, op->started_at, result, &op->about);
	caller_fini(&op->c);
}

/* Answers with an error or with plain success. */
void ops_status(struct op *op, int r)
{
	fuse_reply_err(op->req, r < 0 ? -r : 0);
	ops_end(op, r);
}

void stat_from(const struct fuse_door *door, const struct ls_attr *attr, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = attr->ino;
	st->st_mode = attr->mode;
	st->st_nlink = attr->nlink;
	st->st_uid = attr->uid;
	st->st_gid = attr->gid;
	st->st_rdev = makedev(attr->rdev_major, attr->rdev_minor);
	st->st_size = attr->size;
	st->st_blocks = attr->blocks;
	st->st_blksize = attr->blksize;
	st->st_atim = attr->atime;
	st->st_mtim = attr->mtime;
	st->st_ctim = attr->ctime;
}

enum { FOR_EVER = 1000000000 };

/*
 * A moment even where others change files behind us: each permission check of one path walk would ask again. Nothing
 * where clients change them by themselves. To be called after the attributes were read.
 */
double attr_timeout(const struct fuse_door *door, struct inode *inode)
{
	if (share_is_written(inode))
		return 0;
	return door->fs->shared ? 0.02 : FOR_EVER;
}

double entry_timeout(const struct fuse_door *door)
{
	if (door->fs->shared)
		return 0;
	return door->epoch ? FOR_EVER : 1;
}

/* Before anything is read that the kernel will be told: a change from now on sends a notice. */
void will_tell_attr(struct inode *inode)
{
	__atomic_store_n(&inode->kernel_attr, true, __ATOMIC_SEQ_CST);
}

static void told_size(struct inode *inode, const struct ls_attr *attr)
{
	__atomic_store_n(&inode->kernel_size, attr->size, __ATOMIC_SEQ_CST);
}

void will_tell_name(struct inode *dir)
{
	if (!dir->fs->shared)
		__atomic_store_n(&dir->kernel_names, true, __ATOMIC_SEQ_CST);
}

/*
 * Fills the answer for an entry whose reference it takes over: the kernel's lookup count holds the inode from
 * here on. The attributes are read again once the inode is marked as told, so that no change slips between.
 */
void entry_fill(struct op *op, struct entry *entry, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){.ino = node_of(entry->inode), .entry_timeout = entry_timeout(op->door)};
	/* What the kernel has of a file from an earlier service may be passed through to that one's cache. */
	if (entry->inode->type == S_IFREG)
		e->generation = op->door->incarnation;
	inode_lookup_add(entry->inode);
	will_tell_attr(entry->inode);
	if (vfs_getattr(&op->c, entry->inode, NULL, &entry->attr) < 0)
		e->attr_timeout = 0;
	else
		e->attr_timeout = attr_timeout(op->door, entry->inode);
	told_size(entry->inode, &entry->attr);
	stat_from(op->door, &entry->attr, &e->attr);
	inode_unref(entry->inode);
}

static void entry_reply_for(struct op *op, int r, struct entry *entry, double timeout)
{
	struct fuse_entry_param e;

	if (r < 0) {
		ops_status(op, r);
		return;
	}
	entry_fill(op, entry, &e);
	e.entry_timeout = timeout;
	if (fuse_reply_entry(op->req, &e) < 0) { /* interrupted: the kernel does not know it */
		struct inode *inode = inode_of(op->door, e.ino);
		if (inode) {
			inode_lookup_forget(inode, 1);
			inode_unref(inode);
		}
	}
	ops_end(op, 0);
}

static void entry_reply(struct op *op, int r, struct entry *entry)
{
	entry_reply_for(op, r, entry, entry_timeout(op->door));
}

/* Runs `call` with the inode of a node in hand; -ESTALE if this service does not know it. */
#define WITH_INODE(op, node, var, call)                                                                   \
	({                                                                                                \
		struct inode *var = inode_of((op)->door, node);                                           \
		int64_t r_##var = var ? (int64_t)(call) : -ESTALE;                                        \
		inode_unref(var);                                                                         \
		r_##var;                                                                                  \
	})

/* The same with a directory, for an answer that tells of a name in it. */
#define TELLING_NAME(op, node, dir, call) WITH_INODE(op, node, dir, (will_tell_name(dir), call))

static bool is_open_name(const char *name)
{
	return !strncmp(name, WIRE_OPEN_NAME, strlen(WIRE_OPEN_NAME));
}

static int lookup(struct op *op, struct inode *dir, const char *name, struct entry *entry)
{
	if (dir == op->door->fs->root && is_open_name(name)) {
		entry->inode = pending_lookup(op->c.tid, name);
		return entry->inode ? vfs_getattr(&op->c, entry->inode, NULL, &entry->attr) : -ENOENT;
	}
	will_tell_name(dir);
	return vfs_lookup(&op->c, dir, name, entry);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct entry entry;
	double timeout;
	struct op op;
	int r;

	ops_begin(&op, req, STAT_LOOKUP);
	/* One of ours is asked for again, and then it is gone: fs_materialise. */
	timeout = is_open_name(name) ? 0 : entry_timeout(op.door);
	r = WITH_INODE(&op, parent, dir, lookup(&op, dir, name, &entry));
	if (r == -ENOENT && timeout > 0) {
		struct fuse_entry_param e = {.entry_timeout = timeout};
		fuse_reply_entry(req, &e);
		ops_end(&op, r);
		return;
	}
	entry_reply_for(&op, r, &entry, timeout);
}

static void forget_one(struct fuse_door *door, fuse_ino_t node, uint64_t n)
{
	struct inode *inode = inode_of(door, node);

	if (!inode)
		return;
	inode_lookup_forget(inode, n);
	inode_unref(inode);
}

static void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t n)
{
	forget_one(fuse_req_userdata(req), node, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_one(fuse_req_userdata(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void attr_reply(struct op *op, int r, const struct ls_attr *attr)
{
	struct stat st;

	if (r < 0) {
		ops_status(op, r);
		return;
	}
	stat_from(op->door, attr, &st);
	fuse_reply_attr(op->req, &st, op->attr_timeout);
	ops_end(op, 0);
}

static int getattr_told(struct op *op, struct inode *inode, struct ls_attr *ret)
{
	int r = vfs_getattr(&op->c, inode, NULL, ret);

	if (r == 0)
		told_size(inode, ret);
	op->attr_timeout = attr_timeout(op->door, inode);
	return r;
}

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct ls_attr attr;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_GETATTR);
	r = WITH_INODE(&op, node, inode, (will_tell_attr(inode), getattr_told(&op, inode, &attr)));
	attr_reply(&op, r, &attr);
}

static int setattr_told(struct op *op, struct inode *inode, struct ofd *ofd, const struct ls_attr *in, unsigned set,
			struct ls_attr *ret)
{
	int r = vfs_setattr(&op->c, inode, ofd, in, set, ret);

	if (r == 0)
		told_size(inode, ret);
	op->attr_timeout = attr_timeout(op->door, inode);
	return r;
}

static void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	static const struct {
		int fuse;
		unsigned ls;
	} bits[] = {
		{FUSE_SET_ATTR_MODE, LS_SET_MODE},
		{FUSE_SET_ATTR_UID, LS_SET_UID},
		{FUSE_SET_ATTR_GID, LS_SET_GID},
		{FUSE_SET_ATTR_SIZE, LS_SET_SIZE},
		{FUSE_SET_ATTR_ATIME, LS_SET_ATIME},
		{FUSE_SET_ATTR_MTIME, LS_SET_MTIME},
		{FUSE_SET_ATTR_ATIME_NOW, LS_SET_ATIME | LS_SET_ATIME_NOW},
		{FUSE_SET_ATTR_MTIME_NOW, LS_SET_MTIME | LS_SET_MTIME_NOW},
	};
	struct ls_attr in = {.mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid, .size = st->st_size,
			     .atime = st->st_atim, .mtime = st->st_mtim}, attr;
	struct ofd *ofd = NULL;
	unsigned set = 0;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_SETATTR);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (to_set & bits[i].fuse)
			set |= bits[i].ls;
	if (fi)
		ofd = door_file_get(op.door, fi->fh);
	r = WITH_INODE(&op, node, inode,
		       (will_tell_attr(inode), setattr_told(&op, inode, ofd, &in, set, &attr)));
	ofd_unref(ofd);
	attr_reply(&op, r, &attr);
}

static void op_readlink(fuse_req_t req, fuse_ino_t node)
{
	char target[PATH_MAX];
	struct op op;
	ssize_t n;

	ops_begin(&op, req, WIRE_READLINK);
	n = WITH_INODE(&op, node, inode, vfs_readlink(&op.c, inode, target, sizeof(target) - 1));
	if (n < 0) {
		ops_status(&op, n);
		return;
	}
	target[n] = 0;
	fuse_reply_readlink(req, target);
	ops_end(&op, n);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct entry entry;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_MKNOD);
	r = TELLING_NAME(&op, parent, dir, vfs_mknod(&op.c, dir, name, mode, major(rdev), minor(rdev), &entry));
	entry_reply(&op, r, &entry);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct entry entry;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_MKDIR);
	r = TELLING_NAME(&op, parent, dir, vfs_mkdir(&op.c, dir, name, mode, &entry));
	entry_reply(&op, r, &entry);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct entry entry;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_SYMLINK);
	r = TELLING_NAME(&op, parent, dir, vfs_symlink(&op.c, dir, name, target, &entry));
	entry_reply(&op, r, &entry);
}

static void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
	struct entry entry = {.inode = NULL};
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_LINK);
	entry.inode = inode_of(op.door, node);
	r = !entry.inode ? -ESTALE
			 : TELLING_NAME(&op, parent, dir, vfs_link(&op.c, entry.inode, dir, name, &entry.attr));
	if (r < 0)
		inode_unref(entry.inode);
	entry_reply(&op, r, &entry);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op;

	ops_begin(&op, req, WIRE_UNLINK);
	ops_status(&op, WITH_INODE(&op, parent, dir, vfs_unlink(&op.c, dir, name)));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op;

	ops_begin(&op, req, WIRE_UNLINK);
	ops_status(&op, WITH_INODE(&op, parent, dir, vfs_rmdir(&op.c, dir, name)));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t parent2, const char *name2,
		      unsigned flags)
{
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_RENAME);
	r = WITH_INODE(&op, parent, dir,
		       WITH_INODE(&op, parent2, dir2, vfs_rename(&op.c, dir, name, dir2, name2, flags)));
	ops_status(&op, r);
}

static void op_access(fuse_req_t req, fuse_ino_t node, int mask)
{
	struct op op;

	ops_begin(&op, req, WIRE_ACCESS);
	ops_status(&op, WITH_INODE(&op, node, inode, vfs_access(&op.c, inode, mask & 7)));
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct ls_statfs st;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_STATFS);
	r = WITH_INODE(&op, node ? node : FUSE_ROOT_ID, inode, vfs_statfs(&op.c, inode, &st));
	if (r < 0) {
		ops_status(&op, r);
		return;
	}
	struct statvfs out = {.f_bsize = st.bsize, .f_frsize = st.frsize, .f_blocks = st.blocks, .f_bfree = st.bfree,
			      .f_bavail = st.bavail, .f_files = st.files, .f_ffree = st.ffree, .f_favail = st.ffree,
			      .f_namemax = st.namelen};
	fuse_reply_statfs(req, &out);
	ops_end(&op, 0);
}

/* A value or a list, or, if no size was given, the length that it has. Frees buf. */
static void xattr_reply(struct op *op, ssize_t n, char *buf, size_t size)
{
	if (n < 0)
		fuse_reply_err(op->req, -n);
	else if (size)
		fuse_reply_buf(op->req, buf, n);
	else
		fuse_reply_xattr(op->req, n);
	ops_end(op, n);
	free(buf);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	char *buf = size ? malloc(size) : NULL;
	struct op op;
	ssize_t n;

	ops_begin(&op, req, WIRE_GETXATTR);
	/* The kernel keeps an ACL as it does attributes. */
	n = size && !buf ? -ENOMEM
			 : WITH_INODE(&op, node, inode,
				      (will_tell_attr(inode), vfs_getxattr(&op.c, inode, name, buf, size)));
	xattr_reply(&op, n, buf, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	char *buf = size ? malloc(size) : NULL;
	struct op op;
	ssize_t n;

	ops_begin(&op, req, WIRE_LISTXATTR);
	n = size && !buf ? -ENOMEM : WITH_INODE(&op, node, inode, vfs_listxattr(&op.c, inode, buf, size));
	xattr_reply(&op, n, buf, size);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size, int flags)
{
	struct op op;

	ops_begin(&op, req, WIRE_SETXATTR);
	ops_status(&op, WITH_INODE(&op, node, inode, vfs_setxattr(&op.c, inode, name, value, size, flags)));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
	struct op op;

	ops_begin(&op, req, WIRE_REMOVEXATTR);
	ops_status(&op, WITH_INODE(&op, node, inode, vfs_removexattr(&op.c, inode, name)));
}

/*
 * The kernel checks permissions itself, by the mode; what it lets pass, the service checks by the ACL, too. It would
 * ask for the ACLs of all that it checks, and keep them as it keeps attributes; but not of the root, which it made before it
 * was told of ACLs: each step of a user through another's root would be a message. So that is for those who show, by
 * an ACL of the root itself, that they use ACLs.
 */
static bool uses_acls(struct instance *fs)
{
	struct caller self;
	ssize_t n;

	caller_init(&self, DOOR_SELF, fs->tenant, 0, 0, 0);
	n = vfs_getxattr(&self, fs->root, ACL_ACCESS, NULL, 0);
	if (n <= 0)
		n = vfs_getxattr(&self, fs->root, ACL_DEFAULT, NULL, 0);
	caller_fini(&self);
	return n > 0;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fuse_door *door = userdata;

	conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_EXPLICIT_INVAL_DATA);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
				       FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_IOCTL_DIR | FUSE_CAP_PARALLEL_DIROPS |
				       FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				       FUSE_CAP_ASYNC_DIO);
	/*
	 * Pages go when we say so, too; but of a size that has become smaller there is no notice. So the kernel is to ask
	 * before it reads what its pages have, if it was told that the attributes are void: it takes a short answer for the
	 * end of the file, but not if two come, the later one first.
	 */
	conn->want |= conn->capable & FUSE_CAP_AUTO_INVAL_DATA;
	if (!door->fs->shared)
		conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
	/* Where a directory has a default ACL, the umask does not count. */
	conn->want |= conn->capable & FUSE_CAP_DONT_MASK;
	if (uses_acls(door->fs))
		conn->want |= conn->capable & FUSE_CAP_POSIX_ACL;
	conn->max_write = DOOR_MAX_IO;
	conn->max_read = 0;
	conn->max_background = 64;
	conn->time_gran = 1;
}

const struct fuse_lowlevel_ops fuse_door_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.access = op_access,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_release,
	.fsyncdir = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
	.ioctl = op_ioctl,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
};
