/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that move data from one open file to another.
 *
 * sendfile(2) knows no files but the kernel's, so it is done here by reading and writing: what is ours by the
 * library, the other side, such as a socket or a file of the host, by the kernel.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/calls.h"

enum {
	COPY_PIECE = 16 << 20, /* so that a signal finds the program between pieces */
	SEND_FIRST = 4096,     /* on the stack: most files are small */
	SEND_PIECE = 256 << 10,
};

/* One of the two. */
struct side {
	struct fs_file *file; /* NULL: the kernel's */
	uint64_t fd;
	int64_t *offset; /* the caller's; NULL: the open file's own */
};

/* FS_KERNEL if the kernel keeps the offset of what is ours. */
static int64_t side_place(const struct side *s)
{
	int64_t r;

	if (s->offset)
		return *s->offset;
	r = s->file ? fs_lseek(s->file, 0, SEEK_CUR) : sys3(__NR_lseek, (long)s->fd, 0, SEEK_CUR);
	return s->file && r == -EAGAIN ? FS_KERNEL : r;
}

static void side_move(const struct side *s, int64_t to)
{
	if (s->offset)
		*s->offset = to;
	else if (s->file)
		fs_lseek(s->file, to, SEEK_SET);
	else
		sys3(__NR_lseek, (long)s->fd, to, SEEK_SET);
}

/* ---- copy_file_range --------------------------------------------------------------------------- */

static int64_t copy_check(const struct fs_file *in, const struct fs_file *out)
{
	if (in->type == S_IFDIR || out->type == S_IFDIR)
		return -EISDIR;
	if ((in->flags & O_ACCMODE) == O_WRONLY || (out->flags & O_ACCMODE) == O_RDONLY || (out->flags & O_APPEND))
		return -EBADF;
	return in->mount == out->mount ? 0 : FS_KERNEL;
}

static int64_t copy_range(const struct side *in, const struct side *out, uint64_t length)
{
	int64_t from, to, r = copy_check(in->file, out->file);

	if (r < 0)
		return r;
	from = side_place(in);
	to = side_place(out);
	if (from == FS_KERNEL || to == FS_KERNEL || process_size_limited())
		return FS_KERNEL;
	if (from < 0 || to < 0)
		return -EINVAL;
	length = length < COPY_PIECE ? length : COPY_PIECE;
	r = length ? fs_copy(in->file, (uint64_t)from, out->file, (uint64_t)to, length) : 0;
	if (r > 0) {
		side_move(in, from + r);
		side_move(out, to + r);
	}
	return r == -EOPNOTSUPP ? FS_KERNEL : r;
}

int call_copy_file_range(struct preload_regs *r)
{
	struct fs_file *in = fd_file(r->a[0]), *out = fd_file(r->a[2]);
	int64_t result = FS_KERNEL;

	/* From one file system to another of a different kind: what the kernel says of it. */
	if ((in && !out && fd_is_foreign(r->a[2])) || (out && !in && fd_is_foreign(r->a[0])))
		result = -EXDEV;
	else if (in && out && r->a[5])
		result = -EINVAL;
	else if (in && out && (!r->a[1] || fs_memory_writable(r->a[1], 8)) && (!r->a[3] || fs_memory_writable(r->a[3], 8)))
		result = copy_range(&(struct side){in, r->a[0], (int64_t *)r->a[1]},
				    &(struct side){out, r->a[2], (int64_t *)r->a[3]}, r->a[4]);
	if (in)
		fs_file_put(in);
	if (out)
		fs_file_put(out);
	return call_done(r, result);
}

/* ---- sendfile ---------------------------------------------------------------------------------- */

struct send {
	struct side in, out;
	int64_t from; /* moves on */
	uint64_t done;
};

/* May it be written to by this? The kernel's refusals. */
static int64_t send_check_out(const struct send *s)
{
	const struct fs_file *f = s->out.file;
	int64_t flags = f ? f->flags : sys2(__NR_fcntl, (long)s->out.fd, F_GETFL);

	if (flags < 0)
		return flags;
	if (flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY || (f && f->type == S_IFDIR))
		return -EBADF;
	if (flags & O_APPEND)
		return -EINVAL;
	return f && process_size_limited() ? FS_KERNEL : 0;
}

/* Of the kernel's only regular files: others have no place to read at. */
static int64_t send_check_in(const struct send *s)
{
	const struct fs_file *f = s->in.file;
	struct stat st;

	if (f && (f->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (f)
		return f->type == S_IFDIR ? -EINVAL : 0;
	return sys_failed(sys2(__NR_fstat, (long)s->in.fd, (long)&st)) || !S_ISREG(st.st_mode) ? FS_KERNEL : 0;
}

static int64_t send_read(const struct send *s, void *buf, uint64_t size)
{
	const struct iovec iov = {buf, size};

	return s->in.file ? fs_readv(s->in.file, &iov, 1, (uint64_t)s->from)
			  : sys4(__NR_pread64, (long)s->in.fd, (long)buf, (long)size, s->from);
}

static int64_t send_write(const struct send *s, void *buf, uint64_t size)
{
	const struct iovec iov = {buf, size};

	return s->out.file ? fs_writev_next(s->out.file, &iov, 1, 0) : sys3(__NR_write, (long)s->out.fd, (long)buf, (long)size);
}

/* Up to `size`, by way of buf. What was moved, 0 at the end of the file, or -errno. */
static int64_t send_piece(struct send *s, void *buf, uint64_t size)
{
	int64_t r = send_read(s, buf, size);

	if (r > 0)
		r = send_write(s, buf, (uint64_t)r);
	if (r > 0) {
		s->from += r;
		s->done += (uint64_t)r;
	}
	return r;
}

/* What follows the first piece, between two of our files: the service has both. -EOPNOTSUPP: it cannot. */
static int64_t send_copy(struct send *s, uint64_t size)
{
	struct fs_file *in = s->in.file, *out = s->out.file;
	int64_t r, to = in && out && in->mount == out->mount ? side_place(&s->out) : -EOPNOTSUPP;

	if (to < 0)
		return -EOPNOTSUPP;
	r = fs_copy(in, (uint64_t)s->from, out, (uint64_t)to, size);
	if (r > 0) {
		side_move(&s->out, to + r);
		s->from += r;
		s->done += (uint64_t)r;
	}
	return r;
}

static int64_t send_rest(struct send *s, uint64_t count)
{
	uint64_t size = count - s->done < SEND_PIECE ? count - s->done : SEND_PIECE, want;
	int64_t r = send_copy(s, count - s->done);
	void *buf;

	if (r >= 0)
		return r;
	buf = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_failed((int64_t)buf))
		return -ENOMEM;
	do {
		want = count - s->done < size ? count - s->done : size;
		r = send_piece(s, buf, want);
	} while (r == (int64_t)want && s->done < count);
	sys_munmap(buf, size);
	return r;
}

static int64_t send_all(struct send *s, uint64_t count)
{
	char first[SEND_FIRST];
	uint64_t want = count < sizeof(first) ? count : sizeof(first);
	int64_t r = count ? send_piece(s, first, want) : 0;

	if (r == (int64_t)want && s->done < count)
		r = send_rest(s, count < COPY_PIECE ? count : COPY_PIECE);
	if (s->done)
		return (int64_t)s->done;
	return s->out.file && r == -EAGAIN ? FS_KERNEL : r; /* another thread made it real meanwhile */
}

static int64_t send_file(struct send *s, uint64_t count)
{
	int64_t r = send_check_in(s);

	if (r == 0)
		r = send_check_out(s);
	if (r == 0 && s->out.file)
		r = side_place(&s->out) == FS_KERNEL ? FS_KERNEL : 0;
	if (r < 0)
		return r;
	s->from = side_place(&s->in);
	if (s->from < 0)
		return s->from == FS_KERNEL ? FS_KERNEL : -EINVAL;
	r = send_all(s, count);
	if (r > 0)
		side_move(&s->in, s->from);
	return r;
}

int call_sendfile(struct preload_regs *r)
{
	struct send s = {
		.in = {fd_file(r->a[1]), r->a[1], (int64_t *)r->a[2]},
		.out = {fd_file(r->a[0]), r->a[0], NULL},
	};
	int64_t result = FS_KERNEL;

	if ((s.in.file || s.out.file) && (!r->a[2] || fs_memory_writable(r->a[2], 8)))
		result = send_file(&s, r->a[3]);
	if (s.in.file)
		fs_file_put(s.in.file);
	if (s.out.file)
		fs_file_put(s.out.file);
	return call_done(r, result);
}
