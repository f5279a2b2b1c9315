/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files that move no data, and the ways between our handles and the kernel's descriptors. */
#include <errno.h>
#include <fcntl.h>
#include "ipc/sys.h"
#include "libfs/internal.h"
#include "libfs/park.h"
#include "libfs/memory.h"

static int64_t handle_begin(struct fs_op *op, enum wire_op code, const struct fs_file *f)
{
	int64_t r = fs_op_begin(op, code, f->session, 0);

	if (r >= 0)
		op->q->handle = f->handle;
	return r;
}

int64_t fs_close(uint32_t handle, uint64_t session)
{
	struct fs_op op;

	/* With a session that ended, it is closed. */
	if (session != fs_session() || fs_op_begin(&op, WIRE_CLOSE, session, 0) < 0)
		return 0;
	op.q->handle = handle;
	return fs_op_finish(&op);
}

int64_t fs_flush(struct fs_file *f)
{
	struct fs_op op;
	int64_t r = handle_begin(&op, WIRE_FLUSH, f);

	return r < 0 ? r : fs_op_finish(&op);
}

int64_t fs_fsync(struct fs_file *f, int datasync)
{
	struct fs_op op;
	int64_t r = handle_begin(&op, WIRE_FSYNC, f);

	if (r < 0)
		return r;
	op.q->flags = datasync ? WIRE_DATASYNC : 0;
	return fs_op_finish(&op);
}

int64_t fs_syncfs(uint32_t mount)
{
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_SYNCFS, 0, 0);

	if (r < 0)
		return r;
	op.q->base = WIRE_MOUNT(mount);
	return fs_op_finish(&op);
}

int64_t fs_fallocate(struct fs_file *f, int mode, uint64_t offset, uint64_t length)
{
	struct fs_op op;
	int64_t r = handle_begin(&op, WIRE_FALLOCATE, f);

	if (r < 0)
		return r;
	op.q->flags = fs_file_alone(f);
	op.q->arg = (uint64_t)(uint32_t)mode;
	op.q->offset = offset;
	op.q->length = length;
	return fs_op_finish(&op);
}

int64_t fs_fadvise(struct fs_file *f, uint64_t offset, uint64_t length, int advice)
{
	struct fs_op op;
	int64_t r;

	/* The service's read-ahead finds that out by itself. */
	if ((advice == POSIX_FADV_SEQUENTIAL || advice == POSIX_FADV_NOREUSE) && (int64_t)length >= 0 && !(f->flags & O_PATH))
		return 0;
	r = handle_begin(&op, WIRE_FADVISE, f);
	if (r < 0)
		return r;
	op.q->arg = (uint64_t)(uint32_t)advice;
	op.q->offset = offset;
	op.q->length = length;
	return fs_op_finish(&op);
}

int64_t fs_seek(struct fs_file *f, uint64_t offset, int whence, uint16_t flags)
{
	struct fs_op op;
	int64_t r = handle_begin(&op, WIRE_SEEK, f);

	if (r < 0)
		return r;
	op.q->flags = flags;
	op.q->offset = offset;
	op.q->arg = (uint64_t)(uint32_t)whence;
	r = fs_op_call(&op);
	if (r >= 0)
		r = (int64_t)op.a->offset;
	fs_op_end(&op);
	return r;
}

int64_t fs_setfl(struct fs_file *f, uint32_t flags)
{
	struct fs_op op;
	int64_t r = handle_begin(&op, WIRE_SETFL, f);

	if (r < 0)
		return r;
	op.q->arg = flags;
	return fs_op_finish(&op);
}

/*
 * Sends a request that may wait for long. -EAGAIN: it was not sent; the slot is released, try again with another
 * after a pause. Else the slot stays the caller's.
 */
static int64_t handle_wait(struct fs_op *op)
{
	int r = front_call(fs_front(), op->slot, 1);

	if (r != -EAGAIN)
		return r < 0 ? r : op->a->result;
	fs_op_end(op);
	op->slot = NULL;
	r = front_pause(fs_front());
	return r < 0 ? r : -EAGAIN;
}

int64_t fs_flock(struct fs_file *f, int how)
{
	struct fs_op op;
	int64_t r;

	f->path = 0; /* its closing ends the lock */
	do {
		r = handle_begin(&op, WIRE_FLOCK, f);
		if (r < 0)
			return r;
		op.q->arg = (uint64_t)(uint32_t)how;
		r = handle_wait(&op);
	} while (!op.slot && r == -EAGAIN);
	if (op.slot)
		fs_op_end(&op);
	return r;
}

int64_t fs_lock(struct fs_file *f, struct fs_lock *lock)
{
	struct fs_op op;
	int64_t r;

	f->path = 0;
	if (lock->command == F_SETLK || lock->command == F_SETLKW)
		park_end();
	do {
		r = handle_begin(&op, WIRE_LOCK, f);
		if (r < 0)
			return r;
		op.q->arg = lock->command;
		op.q->mode = lock->type;
		op.q->offset = lock->start;
		op.q->length = lock->length;
		r = handle_wait(&op);
	} while (!op.slot && r == -EAGAIN);
	if (!op.slot)
		return r;
	if (r >= 0) {
		lock->type = (uint32_t)op.a->arg;
		lock->start = op.a->offset;
		lock->length = op.a->length;
		lock->pid = op.a->handle;
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_adopt(uint32_t mount, uint64_t ino, uint64_t fd, struct wire_attr *ret_attr, uint32_t *ret_flags)
{
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_ADOPT, 0, 0);

	if (r < 0)
		return r;
	op.q->base = WIRE_MOUNT(mount);
	op.q->offset = ino;
	op.q->arg = fd;
	r = fs_op_call(&op);
	if (r >= 0) {
		r = op.a->handle;
		*ret_attr = op.a->attr;
		*ret_flags = (uint32_t)op.a->arg;
	}
	fs_op_end(&op);
	return r;
}

/* The mount's own path and a slash, or just the slash. Returns its length. */
static uint32_t handle_mount_prefix(const char *at, uint32_t n, char *to)
{
	mem_copy(to, at, n);
	to[n] = '/';
	return n + 1;
}

/*
 * The reply holds a path relative to the mount; makes it absolute in place, in the bulk area, which is much
 * longer than any path.
 */
static void handle_absolute(struct fs_op *op, uint32_t mount, uint64_t length)
{
	const char *at = fs_route_path(mount);
	uint32_t n = fs_path_length(at), prefix = n > 1 && n < WIRE_MOUNT_PATH_MAX ? n + 1 : 1;

	if (length >= FS_PATH_MAX)
		length = FS_PATH_MAX - 1;
	mem_move(op->payload + prefix, op->payload, length);
	handle_mount_prefix(at, prefix - 1, op->payload);
	op->payload[prefix + length] = 0;
}

int64_t fs_materialise(struct fs_file *f, int always, int64_t (*open)(const char *path, void *arg), void *arg)
{
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_MATERIALISE, f->session, WIRE_BULK);

	if (r < 0)
		return r;
	op.q->more.tid = (uint32_t)sys_gettid(); /* the one request whose thread matters */
	op.q->handle = f->handle;
	op.q->arg = always ? 1 : 0;
	op.q->out_max = FS_PATH_MAX;
	r = fs_op_call(&op);
	if (r >= 0) {
		handle_absolute(&op, f->mount, (uint64_t)r);
		r = open(op.payload, arg);
	}
	fs_op_end(&op);
	return r;
}

/* The file's absolute path, in op->payload. Its length; fs_op_end then. Or -errno. `gone`: also of one without any. */
static int64_t handle_path(struct fs_op *op, const struct fs_file *f, int gone)
{
	int64_t r = fs_op_begin(op, WIRE_GETPATH, f->session, WIRE_BULK);
	uint64_t n;

	if (r < 0)
		return r;
	op->q->handle = f->handle;
	op->q->arg = gone ? 1 : 0;
	op->q->out_max = FS_PATH_MAX;
	r = fs_op_call(op);
	if (r < 0) {
		fs_op_end(op);
		return r;
	}
	handle_absolute(op, f->mount, (uint64_t)r);
	n = fs_path_length(op->payload);
	if (n > 1 && op->payload[n - 1] == '/')
		op->payload[--n] = 0;
	return (int64_t)n;
}

int64_t fs_getpath(struct fs_file *f, char *buf, uint64_t size)
{
	struct fs_op op;
	int64_t n = handle_path(&op, f, 0), r;

	if (n < 0)
		return n;
	r = (uint64_t)n >= size ? -ERANGE : fs_memory_writable((uint64_t)buf, (uint64_t)n + 1) ? n : -EFAULT;
	if (r >= 0)
		mem_copy(buf, op.payload, (uint64_t)n + 1);
	fs_op_end(&op);
	return r;
}

int64_t fs_getlink(struct fs_file *f, char *buf, uint64_t size)
{
	struct fs_op op;
	int64_t n = handle_path(&op, f, 1);

	if (n < 0)
		return n;
	if ((uint64_t)n > size)
		n = (int64_t)size;
	if (fs_memory_writable((uint64_t)buf, (uint64_t)n))
		mem_copy(buf, op.payload, (uint64_t)n);
	else
		n = -EFAULT;
	fs_op_end(&op);
	return n;
}

int64_t fs_fetch(struct fs_file *f)
{
	return front_fetch(fs_front(), f->handle, UINT64_MAX);
}

int64_t fs_token(struct fs_file *f, uint64_t offset)
{
	return fs_file_stale(f) ? -EIO : front_fetch(fs_front(), f->handle, offset);
}
