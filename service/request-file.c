/* SPDX-License-Identifier: Apache-2.0 */
/* The preload door's operations on open files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "service/lease.h"
#include "service/pending.h"
#include "service/perm.h"
#include "service/request.h"
#include "service/share.h"
#include "service/token.h"

static struct ofd *ofd_of(struct request *q)
{
	return session_handle_get(q->session, q->in->handle);
}

/* Hands an open file to the client. Takes over the reference. */
static int64_t give_handle(struct request *q, struct ofd *ofd)
{
	int64_t handle = session_handle_new(q->session, ofd);

	if (handle < 0)
		return handle;
	q->out.handle = handle;
	return 0;
}

static bool is_special(mode_t type)
{
	return type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR || type == S_IFBLK;
}

/* O_CREAT, and the name was not there. Returns 1 if somebody else made it meanwhile. */
static int64_t open_create(struct request *q, struct walk *w, int flags)
{
	struct entry entry;
	struct ofd *ofd;
	int r;

	if (w->slash)
		return -EISDIR;
	r = vfs_create(&q->caller, w->dir, w->last, q->in->mode, flags, w->path_known ? w->path : NULL, &ofd, &entry);
	if (r == -EEXIST && !(flags & O_EXCL))
		return 1;
	if (r < 0)
		return r;
	wire_attr_from(&entry.attr, &q->out.attr);
	inode_unref(entry.inode);
	q->out.arg = WIRE_OPENED_CREATED;
	return give_handle(q, ofd);
}

/* O_PATH: no file of the layer's, so that nothing can be done with it but to start from it. */
static int64_t open_path_only(struct request *q, struct walk *w, int flags)
{
	struct ofd *ofd;
	int r = ofd_new(inode_ref(w->inode), NULL, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW),
			w->path_known ? w->path : NULL, &ofd);

	if (r < 0)
		return r;
	wire_attr_from(&w->attr, &q->out.attr);
	return give_handle(q, ofd);
}

/* All of the file as it was under one change count. False: it does not fit, or changes. */
static bool data_take(struct request *q, struct ofd *ofd, size_t room, uint64_t *ret_change)
{
	struct iovec iov = {q->payload, room};
	struct ls_attr attr;
	ssize_t n;

	*ret_change = lease_learn(&q->caller, ofd->inode);
	if (!*ret_change || vfs_getattr(&q->caller, ofd->inode, ofd, &attr) < 0 || attr.size > room)
		return false;
	n = vfs_read(&q->caller, ofd, &iov, 1, 0);
	if (n != (ssize_t)attr.size)
		return false;
	q->out.out_len = n;
	return true;
}

/* The bytes of a small file along with its open. */
static void open_data(struct request *q, struct ofd *ofd)
{
	size_t room = q->in->out_max < q->payload_size ? q->in->out_max : q->payload_size;
	uint64_t change;

	if (ofd->inode->type != S_IFREG || (ofd->flags & O_ACCMODE) != O_RDONLY)
		return;
	/* The first time, reading may change the access time. */
	for (int i = 0; i < 2 && data_take(q, ofd, room, &change); i++)
		if (lease_known(&q->caller, ofd->inode) == change) {
			q->out.arg |= WIRE_OPENED_DATA;
			q->out.change = change;
			return;
		}
	q->out.out_len = 0;
}

static int64_t open_existing(struct request *q, struct walk *w, int flags)
{
	struct ls_attr attr;
	struct ofd *ofd;
	int r;

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if ((flags & O_CREAT) && (w->slash || w->inode->type == S_IFDIR))
		return -EISDIR;
	if ((flags & O_DIRECTORY) && w->inode->type != S_IFDIR)
		return -ENOTDIR;
	if (flags & O_PATH)
		return open_path_only(q, w, flags);
	if (w->inode->type == S_IFLNK)
		return -ELOOP;
	if (is_special(w->inode->type))
		return WIRE_ESCAPE;
	r = perm_create_existing(&q->caller, &w->dir_attr, &w->attr, flags);
	if (r == 0)
		r = vfs_open(&q->caller, w->inode, flags, w->path_known ? w->path : NULL, &ofd);
	if (r < 0)
		return r;
	attr = w->attr;
	if (flags & O_TRUNC)
		vfs_getattr(&q->caller, w->inode, ofd, &attr);
	wire_attr_from(&attr, &q->out.attr);
	if (q->in->flags & WIRE_WANT_DATA)
		open_data(q, ofd);
	return give_handle(q, ofd);
}

static int64_t open_tmpfile(struct request *q, int flags)
{
	struct entry entry;
	struct ofd *ofd;
	struct walk w;
	int r = request_walk(q, q->in->base, q->path, WALK_FOLLOW, &w);

	if (r < 0)
		return r;
	r = w.inode->type == S_IFDIR ? vfs_tmpfile(&q->caller, w.inode, q->in->mode, flags, &ofd, &entry) : -ENOTDIR;
	walk_end(&w);
	if (r < 0)
		return r;
	wire_attr_from(&entry.attr, &q->out.attr);
	inode_unref(entry.inode);
	return give_handle(q, ofd);
}

/* What a handle names already, opened once more. */
static int64_t open_again(struct request *q, int flags)
{
	struct ofd *ofd = ofd_of(q), *again;
	struct ls_attr attr;
	int64_t r;

	if (!ofd)
		return -EBADF;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		r = -EEXIST;
	else if ((flags & O_DIRECTORY) && ofd->inode->type != S_IFDIR)
		r = -ENOTDIR;
	else if ((flags & O_CREAT) && ofd->inode->type == S_IFDIR)
		r = -EISDIR;
	else if (ofd->inode->type != S_IFREG && ofd->inode->type != S_IFDIR)
		r = WIRE_ESCAPE;
	else
		r = vfs_open(&q->caller, ofd->inode, flags & ~O_CREAT, ofd->path, &again);
	if (r == 0)
		r = vfs_getattr(&q->caller, ofd->inode, again, &attr);
	if (r == 0) {
		wire_attr_from(&attr, &q->out.attr);
		r = give_handle(q, again);
	}
	ofd_unref(ofd);
	return r;
}

int64_t request_open(struct request *q)
{
	int flags = q->in->arg;
	unsigned how = (flags & O_NOFOLLOW) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? 0 : WALK_FOLLOW;
	int64_t r;

	session_parked_busy(q->session);
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
	if (q->in->flags & WIRE_EMPTY)
		return open_again(q, flags);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return (flags & O_ACCMODE) == O_RDONLY ? -EINVAL : open_tmpfile(q, flags);
	if (flags & O_CREAT)
		how |= WALK_CREATE;
	for (int tries = 0;; tries++) {
		struct walk w;
		r = request_walk(q, q->in->base, q->path, how, &w);
		if (r < 0)
			return r;
		r = w.inode ? open_existing(q, &w, flags) : open_create(q, &w, flags);
		walk_end(&w);
		/* Made or removed under us: look again, but not for ever. */
		if (r != 1 && !(r == -ENOENT && (flags & O_CREAT) && tries < 3))
			return r;
		if (tries >= 100)
			return -EEXIST;
	}
}

/* Closing any descriptor of an inode drops the process's POSIX locks on it. */
static void drop_process_locks(struct request *q, struct ofd *ofd)
{
	lock_drop(&ofd->inode->locks, session_lock_owner(q->session), false);
}

int64_t request_close(struct request *q)
{
	struct ofd *ofd = session_handle_take(q->session, q->in->handle);

	if (!ofd)
		return -EBADF;
	drop_process_locks(q, ofd);
	ofd_unref(ofd);
	return 0;
}

int64_t request_flush(struct request *q)
{
	struct ofd *ofd = ofd_of(q);

	if (!ofd)
		return -EBADF;
	drop_process_locks(q, ofd);
	ofd_unref(ofd);
	return 0;
}

/* Memory of this thread for data that goes from or to the client's own memory. */
static char *transfer_buffer(void)
{
	static _Thread_local char *buffer;

	if (!buffer)
		buffer = malloc(WIRE_BULK);
	return buffer;
}

static size_t data_room(const struct request *q)
{
	size_t room = q->in->where == WIRE_IN_CLIENT ? WIRE_BULK : q->payload_size;

	return q->in->length < room ? q->in->length : room;
}

/* The offset that a request speaks of: its own, or the open file's, which nobody else moves until position_end. */
static off_t position_begin(struct request *q, struct ofd *ofd)
{
	if (!(q->in->flags & WIRE_OWN_OFFSET))
		return q->in->offset;
	pthread_mutex_lock(&ofd->position_lock);
	return ofd->position;
}

static void position_end(struct request *q, struct ofd *ofd, off_t to)
{
	if (!(q->in->flags & WIRE_OWN_OFFSET))
		return;
	ofd->position = to;
	pthread_mutex_unlock(&ofd->position_lock);
}

int64_t request_read(struct request *q)
{
	bool direct = q->in->where == WIRE_IN_CLIENT;
	struct iovec iov = {direct ? transfer_buffer() : q->payload, data_room(q)};
	struct ofd *ofd = ofd_of(q);
	int64_t n;
	off_t at;

	if (!ofd)
		return -EBADF;
	at = position_begin(q, ofd);
	if (!iov.iov_base)
		n = -ENOMEM;
	else
		n = vfs_read(&q->caller, ofd, &iov, 1, at);
	if (n > 0 && direct)
		n = cma_write(q->session->pid, q->in->address, iov.iov_base, n);
	position_end(q, ofd, n > 0 ? at + n : at);
	if (q->caller.learns) /* reading may have changed its access time */
		lease_learn(&q->caller, ofd->inode);
	ofd_unref(ofd);
	if (n > 0)
		q->out.out_len = direct ? 0 : n;
	return n;
}

static unsigned write_flags(const struct request *q)
{
	unsigned flags = q->in->flags & WIRE_APPEND ? LS_WRITE_APPEND : 0;

	if (q->in->arg & RWF_APPEND)
		flags |= LS_WRITE_APPEND;
	if (q->in->arg & RWF_DSYNC)
		flags |= LS_WRITE_DSYNC;
	if (q->in->arg & RWF_SYNC)
		flags |= LS_WRITE_SYNC;
	return flags;
}

int64_t request_write(struct request *q)
{
	bool direct = q->in->where == WIRE_IN_CLIENT;
	struct iovec iov = {direct ? transfer_buffer() : q->payload, data_room(q)};
	struct ofd *ofd = ofd_of(q);
	off_t at, end = 0;
	int64_t n = iov.iov_len;

	if (!ofd)
		return -EBADF;
	if (!iov.iov_base)
		n = -ENOMEM;
	else if (direct)
		n = cma_read(q->session->pid, iov.iov_base, q->in->address, iov.iov_len);
	at = position_begin(q, ofd);
	if (n >= 0) {
		iov.iov_len = n;
		n = vfs_write(&q->caller, ofd, &iov, 1, at, write_flags(q), &end);
	}
	position_end(q, ofd, n > 0 ? end : at);
	ofd_unref(ofd);
	q->out.offset = end;
	return n;
}

struct dirents {
	char *buf;
	size_t used, size;
	uint64_t next;
	bool full;
};

static int dirent_emit(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct dirents *d = arg;
	struct {
		uint64_t ino;
		int64_t off;
		uint16_t reclen;
		uint8_t type;
	} __attribute__((packed)) head = {ino, next, (19 + len + 1 + 7) & ~7u, type};

	if (d->used + head.reclen > d->size) {
		d->full = true;
		return 1;
	}
	memset(d->buf + d->used + head.reclen - 8, 0, 8);
	memcpy(d->buf + d->used, &head, 19);
	memcpy(d->buf + d->used + 19, name, len);
	d->buf[d->used + 19 + len] = 0;
	d->used += head.reclen;
	d->next = next;
	return 0;
}

int64_t request_getdents(struct request *q)
{
	struct dirents d = {.buf = q->payload, .size = q->payload_size};
	struct ofd *ofd = ofd_of(q);
	uint64_t at, change;
	int64_t r;

	if (!ofd)
		return -EBADF;
	if (q->in->out_max < d.size)
		d.size = q->in->out_max;
	d.next = at = position_begin(q, ofd);
	change = q->in->flags & WIRE_WANT_DATA ? lease_learn(&q->caller, ofd->inode) : 0;
	r = vfs_readdir(&q->caller, ofd, at, dirent_emit, &d);
	if (r >= 0 && !at && !d.full && change && lease_known(&q->caller, ofd->inode) == change) {
		q->out.arg = WIRE_LISTED_ALL;
		q->out.change = change;
	}
	if (r >= 0 && d.full && !d.used)
		r = -EINVAL;
	position_end(q, ofd, r < 0 ? at : d.next);
	ofd_unref(ofd);
	if (r < 0)
		return r;
	q->out.offset = d.next;
	q->out.out_len = d.used;
	return d.used;
}

int64_t request_fallocate(struct request *q)
{
	struct ofd *ofd = ofd_of(q);
	int r;

	if (!ofd)
		return -EBADF;
	r = vfs_fallocate(&q->caller, ofd, q->in->arg, q->in->offset, q->in->length);
	ofd_unref(ofd);
	return r;
}

int64_t request_fsync(struct request *q)
{
	struct ofd *ofd = ofd_of(q);
	int r;

	if (!ofd && !q->in->handle && q->in->arg <= UINT32_MAX)
		return share_sync(&q->caller, q->session, q->in->arg);
	if (!ofd)
		return -EBADF;
	r = vfs_fsync(&q->caller, ofd, q->in->flags & WIRE_DATASYNC);
	ofd_unref(ofd);
	return r;
}

/* lseek(2) from `at`. */
static off_t seek_from(struct request *q, struct ofd *ofd, off_t at)
{
	off_t offset = q->in->offset, r;
	struct ls_attr attr;

	switch (q->in->arg) {
	case SEEK_SET:
		at = 0;
		break;
	case SEEK_CUR:
		break;
	case SEEK_END:
		r = vfs_getattr(&q->caller, ofd->inode, ofd, &attr);
		if (r < 0)
			return r;
		at = attr.size;
		break;
	default:
		return vfs_seek(&q->caller, ofd, offset, q->in->arg);
	}
	return __builtin_add_overflow(at, offset, &r) || r < 0 ? -EINVAL : r;
}

int64_t request_seek(struct request *q)
{
	struct ofd *ofd = ofd_of(q);
	off_t r, at;

	if (!ofd)
		return -EBADF;
	if (q->in->flags & WIRE_OWN_OFFSET) {
		at = position_begin(q, ofd);
		r = seek_from(q, ofd, at);
		position_end(q, ofd, r < 0 ? at : r);
	} else {
		r = vfs_seek(&q->caller, ofd, q->in->offset, q->in->arg);
	}
	ofd_unref(ofd);
	if (r < 0)
		return r;
	q->out.offset = r;
	return 0;
}

int64_t request_setfl(struct request *q)
{
	enum { CHANGEABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME };
	struct ofd *ofd = ofd_of(q);
	int r = 0;

	if (!ofd)
		return -EBADF;
	if ((q->in->arg & O_NOATIME) && !(ofd->flags & O_NOATIME)) {
		struct ls_attr attr;
		r = vfs_getattr(&q->caller, ofd->inode, ofd, &attr);
		if (r == 0 && attr.uid != q->caller.cred.uid && !caller_is_root(&q->caller))
			r = -EPERM;
	}
	if (r == 0)
		__atomic_store_n(&ofd->flags, (ofd->flags & ~CHANGEABLE) | (q->in->arg & CHANGEABLE),
				 __ATOMIC_RELAXED);
	ofd_unref(ofd);
	return r;
}

int64_t request_copy(struct request *q)
{
	struct ofd *in = ofd_of(q), *out = session_handle_get(q->session, q->in->base);
	int64_t n = -EBADF;

	if (in && out)
		n = vfs_copy(&q->caller, in, q->in->offset, out, q->in->arg, q->in->length);
	ofd_unref(in);
	ofd_unref(out);
	return n;
}

int64_t request_fadvise(struct request *q)
{
	struct ofd *ofd = ofd_of(q);
	int r;

	if (!ofd)
		return -EBADF;
	r = vfs_advise(&q->caller, ofd, q->in->offset, q->in->length, q->in->arg);
	ofd_unref(ofd);
	return r;
}

static int64_t put_text(struct request *q, const char *text)
{
	size_t length = strlen(text);

	if (length + 1 > q->payload_size)
		return -ENAMETOOLONG;
	memcpy(q->payload, text, length + 1);
	q->out.out_len = length + 1;
	return length;
}

/* The open file's hint path, if it still leads there. Owned by the caller; NULL if it does not. */
static char *path_verified(struct request *q, struct ofd *ofd)
{
	struct caller self;
	struct walk w;
	char *path;
	bool good = false;

	pthread_mutex_lock(&ofd->lock);
	path = ofd->path ? strdup(ofd->path) : NULL;
	pthread_mutex_unlock(&ofd->lock);
	if (!path)
		return NULL;
	caller_init(&self, DOOR_SELF, q->service->pool, 0, 0, 0);
	if (walk(&self, ofd->inode->fs->root, "", path, 0, &w) == 0) {
		good = w.inode == ofd->inode;
		walk_end(&w);
	}
	caller_fini(&self);
	if (!good) {
		free(path);
		path = NULL;
	}
	return path;
}

int64_t request_materialise(struct request *q)
{
	struct ofd *ofd = ofd_of(q);
	char *path = NULL, name[64];
	int64_t r;

	if (!ofd)
		return -EBADF;
	if (q->in->arg == 0)
		path = path_verified(q, ofd);
	snprintf(name, sizeof(name), PENDING_NAME "%llx", (unsigned long long)ofd->id);
	r = pending_add(q->session, q->in->tid, ofd);
	if (r == 0)
		r = put_text(q, path ? path : name);
	free(path);
	ofd_unref(ofd);
	return r;
}

int64_t request_getpath(struct request *q)
{
	struct ofd *ofd = ofd_of(q);
	char *path;
	int64_t r;

	if (!ofd)
		return -EBADF;
	path = path_verified(q, ofd);
	r = path ? put_text(q, path) : -ENOENT;
	free(path);
	ofd_unref(ofd);
	return r;
}

/* /proc/<pid>/cwd or fd/<n> of the caller, as a path relative to its mount; NULL if that cannot be told. */
static char *proc_path(struct service *s, struct instance *fs, const char *link)
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(s->proc_fd, link, path, sizeof(path) - 1), gone = strlen(" (deleted)");

	if (n < 0)
		return NULL;
	path[n] = 0;
	/* So it says also while the kernel looks the name up again; whether it is true, path_verified finds out. */
	if (n > gone && !strcmp(path + n - gone, " (deleted)"))
		path[n - gone] = 0;
	if (strncmp(path, fs->path, fs->path_len) || (path[fs->path_len] && path[fs->path_len] != '/'))
		return NULL;
	return strdup(path + fs->path_len + (path[fs->path_len] == '/'));
}

/* What the inode number of a token leads to. */
static int64_t adopt_token(struct request *q, struct instance *fs)
{
	struct ofd *ofd = token_find(fs, q->in->offset);
	struct ls_attr attr;
	int64_t r;

	if (!ofd)
		return -ESTALE;
	r = vfs_getattr(&q->caller, ofd->inode, ofd, &attr);
	if (r < 0) {
		ofd_unref(ofd);
		return r;
	}
	wire_attr_from(&attr, &q->out.attr);
	q->out.arg = __atomic_load_n(&ofd->flags, __ATOMIC_RELAXED);
	return give_handle(q, ofd);
}

static int64_t adopt_from(struct request *q, struct instance *fs)
{
	struct inode *inode;
	struct statx st;
	struct ofd *ofd;
	char link[64], *path;
	int r;

	if (q->in->arg == UINT64_MAX)
		snprintf(link, sizeof(link), "%d/cwd", q->session->pid);
	else
		snprintf(link, sizeof(link), "%d/fd/%u", q->session->pid, (unsigned)q->in->arg);
	/* DONT_SYNC: the answer must not need this service. */
	if (statx(q->service->proc_fd, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_TYPE, &st) < 0)
		return -errno;
	if (makedev(st.stx_dev_major, st.stx_dev_minor) != fs->dev || st.stx_ino != q->in->offset)
		return -EXDEV;
	if (fs->token_dir >= 0)
		return adopt_token(q, fs);
	if (!S_ISDIR(st.stx_mode))
		return -ENOTDIR;
	inode = st.stx_ino == fs->root->ino ? inode_ref(fs->root) : inode_find(fs, st.stx_ino);
	if (!inode)
		return -ESTALE;
	path = proc_path(q->service, fs, link);
	r = ofd_new(inode, NULL, O_PATH | O_DIRECTORY, path, &ofd);
	free(path);
	return r < 0 ? r : give_handle(q, ofd);
}

int64_t request_adopt(struct request *q)
{
	struct instance *fs = service_mount_get(q->service, q->in->base & 0x7fffffffu);
	int64_t r;

	if (!fs)
		return -EINVAL;
	r = (q->in->base & 0x80000000u) && session_sees(q->session, fs->index) ? adopt_from(q, fs) : -EINVAL;
	service_mount_put(fs);
	return r;
}
