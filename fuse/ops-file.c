/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE messages about open files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/buffer.h"
#include "fuse/ops.h"
#include "service/lease.h"
#include "service/limit.h"
#include "service/pending.h"
#include "service/perm.h"
#include "service/session.h"
#include "service/share.h"

/*
 * Files opened for reading go through the page cache; those opened for writing bypass it, but for mappings. In
 * both cases the pages that the kernel holds are dropped when the bytes change through another door.
 */
static void cache_mode(struct fuse_door *door, struct ofd *ofd, const struct share_pass *pass, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct inode *inode = ofd->inode;

	fi->direct_io = writes || (fi->flags & O_DIRECT) || pass->direct;
	fi->keep_cache = !fi->direct_io && !door->fs->shared;
	/* Maps, splice and copy_file_range go through the page cache whatever we say. */
	__atomic_store_n(&inode->kernel_pages, true, __ATOMIC_SEQ_CST);
}

/* Numbers an open file for the kernel, whose reference it takes over. */
static int file_give(struct op *op, struct ofd *ofd, struct fuse_file_info *fi)
{
	struct inode *inode = ofd->inode;

	struct share_pass pass;
	int r;

	fi->fh = door_file_new(op->door, ofd);
	if (!fi->fh)
		return -ENOMEM;
	if (inode->type != S_IFREG)
		return 0;
	r = share_kernel_pass(&op->c, ofd, fi->flags, &pass);
	if (r < 0) {
		ofd_unref(door_file_take(op->door, fi->fh));
		return r;
	}
	fi->fh = door_file_passes(op->door, fi->fh, &pass);
	if (!pass.passes) {
		cache_mode(op->door, ofd, &pass, fi);
		return 0;
	}
	fi->direct_io = pass.direct; /* the kernel drops what pages it has, as keep_cache is not set */
	transport_open_passes(pass.id);
	return 0;
}

static void file_forget(struct op *op, uint64_t number)
{
	ofd_unref(door_file_take(op->door, number));
}

static int open_node(struct op *op, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct inode *inode = inode_of(op->door, node);
	struct ofd *ofd;
	int r;

	if (!inode)
		return -ESTALE;
	r = pending_take(op->c.tid, inode, &ofd);
	if (r == 0)
		r = vfs_open(&op->c, inode, fi->flags, NULL, &ofd);
	inode_unref(inode);
	return r < 0 ? r : file_give(op, ofd, fi);
}

static void open_reply(struct op *op, int r, struct fuse_file_info *fi)
{
	if (r < 0) {
		ops_status(op, r);
		return;
	}
	if (fuse_reply_open(op->req, fi) == -ENOENT) /* interrupted: no release will come */
		file_forget(op, fi->fh);
	transport_open_end();
	ops_end(op, 0);
}

void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct op op;

	ops_begin(&op, req, WIRE_OPEN);
	open_reply(&op, open_node(&op, node, fi), fi);
}

void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct op op;

	ops_begin(&op, req, WIRE_OPEN);
	fi->flags |= O_DIRECTORY;
	open_reply(&op, open_node(&op, node, fi), fi);
}

/* The name was there after all: what open with O_CREAT does then. */
static int create_existing(struct op *op, struct inode *dir, const char *name, struct fuse_file_info *fi,
			   struct ofd **ret, struct entry *entry)
{
	struct ls_attr dir_attr;
	int r = vfs_lookup(&op->c, dir, name, entry);

	if (r < 0)
		return r;
	r = entry->inode->type != S_IFREG ? -ESTALE /* the kernel looks again */
					  : vfs_getattr(&op->c, dir, NULL, &dir_attr);
	if (r == 0)
		r = perm_create_existing(&op->c, &dir_attr, &entry->attr, fi->flags);
	if (r == 0)
		r = vfs_open(&op->c, entry->inode, fi->flags, NULL, ret);
	if (r < 0)
		inode_unref(entry->inode);
	return r;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	struct entry entry;
	struct inode *dir;
	struct ofd *ofd;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_OPEN);
	dir = inode_of(op.door, parent);
	if (!dir) {
		ops_status(&op, -ESTALE);
		return;
	}
	will_tell_name(dir);
	if (!strcmp(name, "/")) /* no name: O_TMPFILE; see transport.c */
		r = vfs_tmpfile(&op.c, dir, mode, fi->flags, &ofd, &entry);
	else
		r = vfs_create(&op.c, dir, name, mode, fi->flags, NULL, &ofd, &entry);
	if (r == -EEXIST && !(fi->flags & O_EXCL))
		r = create_existing(&op, dir, name, fi, &ofd, &entry);
	inode_unref(dir);
	if (r == 0) {
		r = file_give(&op, ofd, fi);
		if (r < 0)
			inode_unref(entry.inode);
	}
	if (r < 0) {
		ops_status(&op, r);
		return;
	}
	entry_fill(&op, &entry, &e);
	r = fuse_reply_create(req, &e, fi);
	transport_open_end();
	if (r == -ENOENT) {
		struct inode *inode = inode_of(op.door, e.ino);
		file_forget(&op, fi->fh);
		if (inode) {
			inode_lookup_forget(inode, 1);
			inode_unref(inode);
		}
	}
	ops_end(&op, 0);
}

/* The open file of a message. After a restart of the service the kernel names files that it does not know. */
static struct ofd *file_of(struct op *op, struct fuse_file_info *fi)
{
	return fi ? door_file_get(op->door, fi->fh) : NULL;
}

/* The kernel takes a short answer for the end of the file. */
static void told_end(struct inode *inode, uint64_t end)
{
	uint64_t known = __atomic_load_n(&inode->kernel_size, __ATOMIC_SEQ_CST);

	while (end < known && !__atomic_compare_exchange_n(&inode->kernel_size, &known, end, false, __ATOMIC_SEQ_CST,
							   __ATOMIC_SEQ_CST))
		;
}

void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct iovec iov = {door_buffer_take(), size < DOOR_MAX_IO ? size : DOOR_MAX_IO};
	struct ofd *ofd;
	struct op op;
	ssize_t n;

	ops_begin(&op, req, WIRE_READ);
	ofd = file_of(&op, fi);
	if (!ofd)
		n = -EIO;
	else if (ofd->flags & O_PATH || !iov.iov_base)
		n = iov.iov_base ? -EBADF : -ENOMEM;
	else /* the kernel reads pages of files opened write-only too, and has checked the mode of read(2) */
		n = ls_read(op.door->fs->stack, &op.c.call, ofd->file, &iov, 1, offset);
	if (n > 0 && !op.door->fs->counted)
		limit_moved(op.c.call.payer, LIMIT_READ_BPS, n);
	if (n > 0)
		lease_accessed(&op.c, ofd->inode);
	if (n >= 0 && (size_t)n < size)
		told_end(ofd->inode, offset + n);
	ofd_unref(ofd);
	if (n < 0)
		fuse_reply_err(req, -n);
	else
		fuse_reply_buf(req, iov.iov_base, n);
	door_buffer_give(iov.iov_base);
	ops_end(&op, n);
}

void op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct iovec iov = {(char *)buf, size};
	struct ofd *ofd;
	off_t end;
	struct op op;
	ssize_t n;

	ops_begin(&op, req, WIRE_WRITE);
	ofd = file_of(&op, fi);
	if (!ofd) {
		n = -EIO;
	} else if (fi->writepage) { /* a mapping's page: its place is fixed, whatever O_APPEND says */
		n = ls_write(op.door->fs->stack, &op.c.call, ofd->file, &iov, 1, offset, 0, &end);
		inode_mark_dirty(ofd->inode);
	} else {
		/* fcntl may have changed it, which the kernel keeps to itself. */
		if ((ofd->flags ^ fi->flags) & O_APPEND)
			__atomic_store_n(&ofd->flags, ofd->flags ^ O_APPEND, __ATOMIC_RELAXED);
		n = vfs_write(&op.c, ofd, &iov, 1, offset, 0, &end);
	}
	ofd_unref(ofd);
	if (n < 0)
		fuse_reply_err(req, -n);
	else
		fuse_reply_write(req, n);
	ops_end(&op, n);
}

void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct ofd *ofd;
	struct op op;

	ops_begin(&op, req, WIRE_FLUSH);
	ofd = file_of(&op, fi);
	if (ofd) {
		hosts_lock_drop(ofd->inode, (struct lock_owner){LOCK_OWNER_KERNEL, fi->lock_owner}, false);
		vfs_closed(ofd->inode);
		vfs_flush(&op.c, ofd);
	}
	/* What was written since the service that knew it has ended, nobody has got. */
	ops_status(&op, !ofd && (fi->fh & DOOR_PASSES) ? -EIO : 0);
	ofd_unref(ofd);
}

void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct op op;

	ops_begin(&op, req, WIRE_CLOSE);
	file_forget(&op, fi->fh);
	ops_status(&op, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
	struct ofd *ofd;
	struct op op;

	ops_begin(&op, req, WIRE_FSYNC);
	ofd = file_of(&op, fi);
	ops_status(&op, ofd ? vfs_fsync(&op.c, ofd, datasync) : -EIO);
	ofd_unref(ofd);
}

struct listing {
	struct op *op;
	struct inode *dir;
	char *buf;
	size_t used, size;
};

static int listing_emit(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct listing *l = arg;
	char text[NAME_MAX + 1];
	struct stat st = {.st_ino = ino, .st_mode = DTTOIF(type)};
	size_t n;

	if (len > NAME_MAX)
		return 0;
	memcpy(text, name, len);
	text[len] = 0;
	n = fuse_add_direntry(l->op->req, l->buf + l->used, l->size - l->used, text, &st, next);
	if (n > l->size - l->used)
		return 1;
	l->used += n;
	return 0;
}

/* With attributes. The kernel's lookup count rises for each, but for "." and "..". */
static int listing_emit_plus(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct listing *l = arg;
	struct fuse_entry_param e = {.attr = {.st_ino = ino, .st_mode = DTTOIF(type)}};
	char text[NAME_MAX + 1];
	struct entry entry;
	size_t n, room = l->size - l->used;

	if (len > NAME_MAX)
		return 0;
	memcpy(text, name, len);
	text[len] = 0;
	if (fuse_add_direntry_plus(l->op->req, NULL, 0, text, NULL, 0) > room)
		return 1;
	if (strcmp(text, ".") && strcmp(text, "..") && vfs_lookup(&l->op->c, l->dir, text, &entry) == 0)
		entry_fill(l->op, &entry, &e);
	n = fuse_add_direntry_plus(l->op->req, l->buf + l->used, room, text, &e, next);
	l->used += n;
	return 0;
}

struct names { /* copied out of the layer first: looking each up from within its readdir might deadlock */
	struct {
		char name[NAME_MAX + 1];
		uint64_t ino, next;
		unsigned type, len;
	} *entry;
	size_t count, room;
};

static int names_emit(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct names *names = arg;

	if (names->count == names->room || len > NAME_MAX)
		return 1;
	memcpy(names->entry[names->count].name, name, len);
	names->entry[names->count].name[len] = 0;
	names->entry[names->count].len = len;
	names->entry[names->count].ino = ino;
	names->entry[names->count].next = next;
	names->entry[names->count].type = type;
	names->count++;
	return 0;
}

static int list_plus(struct op *op, struct ofd *ofd, off_t offset, struct listing *l)
{
	struct names names = {.room = 64};
	int r;

	names.entry = calloc(names.room, sizeof(*names.entry));
	if (!names.entry)
		return -ENOMEM;
	r = vfs_readdir(&op->c, ofd, offset, names_emit, &names);
	for (size_t i = 0; r == 0 && i < names.count; i++)
		if (listing_emit_plus(l, names.entry[i].name, names.entry[i].len, names.entry[i].ino,
				      names.entry[i].type, names.entry[i].next))
			break;
	free(names.entry);
	return r;
}

static void list(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi, bool plus)
{
	struct listing l = {.buf = door_buffer_take(), .size = size < DOOR_MAX_IO ? size : DOOR_MAX_IO};
	struct ofd *ofd;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_GETDENTS);
	l.op = &op;
	ofd = file_of(&op, fi);
	if (!ofd || !l.buf) {
		r = ofd ? -ENOMEM : -EIO;
	} else if (plus) {
		l.dir = ofd->inode;
		will_tell_name(l.dir);
		r = list_plus(&op, ofd, offset, &l);
	} else {
		r = vfs_readdir(&op.c, ofd, offset, listing_emit, &l);
	}
	ofd_unref(ofd);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, l.buf, l.used);
	door_buffer_give(l.buf);
	ops_end(&op, r);
}

void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, size, offset, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, size, offset, fi, true);
}

void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
	struct ofd *ofd;
	struct op op;

	ops_begin(&op, req, WIRE_FALLOCATE);
	ofd = file_of(&op, fi);
	ops_status(&op, ofd ? vfs_fallocate(&op.c, ofd, mode, offset, length) : -EIO);
	ofd_unref(ofd);
}

void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct ofd *ofd;
	struct op op;
	off_t r;

	ops_begin(&op, req, WIRE_SEEK);
	ofd = file_of(&op, fi);
	r = ofd ? vfs_seek(&op.c, ofd, offset, whence) : -EIO;
	ofd_unref(ofd);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_lseek(req, r);
	ops_end(&op, r);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t node, off_t offset, struct fuse_file_info *fi, fuse_ino_t node2,
			off_t offset2, struct fuse_file_info *fi2, size_t length, int flags)
{
	struct ofd *in, *out;
	struct op op;
	ssize_t n;

	ops_begin(&op, req, WIRE_COPY);
	in = file_of(&op, fi);
	out = file_of(&op, fi2);
	n = in && out ? vfs_copy(&op.c, in, offset, out, offset2, length) : -EIO;
	ofd_unref(in);
	ofd_unref(out);
	if (n < 0)
		fuse_reply_err(req, -n);
	else
		fuse_reply_write(req, n);
	ops_end(&op, n);
}

/* A preloaded program asks for a handle of the open file behind one of its FUSE descriptors. */
static int adopt(struct op *op, struct fuse_file_info *fi, struct wire_adopt *ret)
{
	struct session *session;
	struct ofd *ofd;
	pid_t pid, tid;
	int64_t r;

	if (thread_identify(cred_proc_fd, op->c.tid, &pid, &tid) < 0)
		return -ESRCH;
	session = session_of_pid(op->door->service, pid);
	if (!session)
		return -ENOTTY;
	ofd = file_of(op, fi);
	r = ofd ? session_handle_new(session, ofd_ref(ofd)) : -EIO;
	if (r >= 0)
		*ret = (struct wire_adopt){.handle = r, .flags = ofd->flags};
	ofd_unref(ofd);
	back_session_put(&session->back);
	return r < 0 ? r : 0;
}

void op_ioctl(fuse_req_t req, fuse_ino_t node, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
	      const void *in, size_t in_size, size_t out_size)
{
	struct wire_adopt result;
	struct op op;
	int r = -ENOTTY;

	ops_begin(&op, req, WIRE_ADOPT);
	if (cmd == WIRE_IOC_ADOPT && out_size >= sizeof(result))
		r = adopt(&op, fi, &result);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_ioctl(req, 0, &result, sizeof(result));
	ops_end(&op, r);
}
