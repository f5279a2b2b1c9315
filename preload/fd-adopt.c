/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that we did not open: inherited over exec or fork, received, or opened by the kernel.
 *
 * Most calls on them are just the kernel's. Two kinds need a handle: locks, for a lock taken through one door must
 * be the same process's at the other; and directories from which paths start. The service gives a handle for the
 * very open file by an ioctl on the descriptor; for a directory opened with O_PATH, and the working directory, it
 * looks into /proc. What we learn is kept until we see the descriptor closed.
 *
 * Without FUSE the kernel opens nothing of ours, but there are tokens (fd-token.c), and every call on them is ours:
 * fd_learn is asked for each descriptor that a call names.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "ipc/front-count.h"
#include "ipc/sys.h"
#include "libfs/stat.h"
#include "preload/fd.h"

int fd_identify(int fd, const char *path, struct fd_identity *ret)
{
	struct statx st;
	long r = sys5(__NR_statx, fd, (long)path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
		      STATX_TYPE | STATX_INO, (long)&st);

	*ret = (struct fd_identity){0};
	if (r < 0)
		return (int)r;
	ret->dev = stat_dev(st.stx_dev_major, st.stx_dev_minor);
	ret->ino = st.stx_ino;
	ret->type = st.stx_mode & S_IFMT;
	return 0;
}

/* Only if nobody entered something better meanwhile. */
static int learn(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int64_t fd_kernel_path(int fd, char *buf, uint64_t size)
{
	char link[32] = "/proc/self/fd/", digits[12];
	unsigned n = 14, i = 0;
	long r;

	if (fd == AT_FDCWD) {
		r = sys2(__NR_getcwd, (long)buf, (long)size);
		return r < 0 ? r : r - 1;
	}
	for (; fd > 9; fd /= 10)
		digits[i++] = (char)('0' + fd % 10);
	for (link[n++] = (char)('0' + fd); i;)
		link[n++] = digits[--i];
	link[n] = 0;
	return sys3(__NR_readlink, (long)link, (long)buf, (long)size);
}

uint32_t fd_foreign(int fd, uint32_t type)
{
	char path[WIRE_MOUNT_PATH_MAX];
	int64_t n = (fd == AT_FDCWD || process.tokens) && type == S_IFDIR ? fd_kernel_path(fd, path, sizeof(path)) : 0;

	return FD_ENTRY(FD_FOREIGN, n > 0 && fs_route_above(path, (uint32_t)n));
}

int fd_is_above(uint64_t fd)
{
	uint32_t entry = (int)fd == AT_FDCWD ? __atomic_load_n(&process.cwd, __ATOMIC_ACQUIRE) : fd_entry(fd);

	return entry == FD_ENTRY(FD_FOREIGN, 1);
}

enum fd_state fd_probe(uint32_t fd)
{
	uint32_t entry = fd_entry(fd);
	struct fd_identity id;
	int mount;

	if (FD_STATE(entry) != FD_UNKNOWN || fd >= FD_MAX)
		return FD_STATE(entry);
	if (fd_identify((int)fd, "", &id) < 0)
		return FD_UNKNOWN;
	mount = fs_route_dev(id.dev);
	learn(&process.fd[fd], FD_UNKNOWN, mount < 0 ? fd_foreign((int)fd, id.type) : FD_ENTRY(FD_PASS, mount));
	return FD_STATE(fd_entry(fd));
}

int fd_is_foreign(uint64_t fd)
{
	return (uint32_t)fd < FD_MAX && fd_probe((uint32_t)fd) == FD_FOREIGN;
}

/* A handle for the open file of a descriptor on a FUSE mount. */
static int64_t adopt_handle(uint32_t fd, uint32_t mount, const struct fd_identity *id, uint32_t *ret_flags)
{
	struct wire_adopt got = {0, 0};
	struct wire_attr attr;
	uint32_t unused;
	int64_t r;

	if (id->type != S_IFDIR && id->type != S_IFREG)
		return -EINVAL;
	if (fs_ready() < 0)
		return -EIO;
	if (sys3(__NR_ioctl, fd, WIRE_IOC_ADOPT, (long)&got) == 0) {
		*ret_flags = got.flags;
		return got.handle;
	}
	if (id->type != S_IFDIR)
		return -ENOTTY;
	r = fs_adopt(mount, id->ino, fd, &attr, &unused);
	*ret_flags = O_RDONLY | O_DIRECTORY | O_PATH;
	return r;
}

struct fs_file *fd_adopt_file(uint32_t mount, int64_t handle, uint32_t flags, uint64_t ino, uint32_t type)
{
	struct wire_attr attr = {.ino = ino, .mode = type};
	struct fs_file *f = fs_file_new(mount, (uint32_t)handle, flags, &attr);

	if (f)
		f->offset = FS_MOVED; /* it is the kernel's */
	else
		fs_close((uint32_t)handle, fs_session());
	front_count(WIRE_COUNT_ADOPTED, 1);
	return f;
}

static struct fs_file *adopt_real(uint32_t fd, uint32_t mount, const struct fd_identity *id)
{
	uint32_t flags;
	int64_t handle = adopt_handle(fd, mount, id, &flags);

	return handle < 0 ? NULL : fd_adopt_file(mount, handle, flags, id->ino, id->type);
}

static struct fs_file *adopt_token(uint32_t fd, uint32_t mount, const struct fd_identity *id)
{
	struct wire_attr attr;
	struct fs_file *f;
	uint32_t flags;
	int64_t handle = fs_adopt(mount, id->ino, fd, &attr, &flags);

	if (handle < 0)
		return NULL;
	f = fd_adopt_file(mount, handle, flags, attr.ino, attr.mode);
	if (f)
		f->offset = FS_KEPT;
	return f;
}

static void adopt(uint32_t fd)
{
	uint32_t entry = fd_entry(fd), mount = FD_INDEX(entry);
	int real = (fs_table()->mount[mount].flags & WIRE_MOUNT_FUSE) != 0;
	struct fd_identity id;
	struct fs_file *f;

	if (fd_identify((int)fd, "", &id) < 0)
		return;
	if (fs_route_dev(id.dev) != (int)mount) { /* closed unseen, and the number used again */
		learn(&process.fd[fd], entry, FD_UNKNOWN);
		return;
	}
	f = real ? adopt_real(fd, mount, &id) : adopt_token(fd, mount, &id);
	if (!f)
		return;
	/* fd_enter makes it visible and counts it; another thread that adopted it too is put in its place. */
	if (fd_entry(fd) == entry)
		fd_enter(fd, real ? FD_REAL : FD_PLACEHOLDER, f);
	else
		fs_file_put(f);
}

struct fs_file *fd_adopt(uint64_t fd)
{
	struct fs_file *f = fd_file(fd);

	if (f || (uint32_t)fd >= FD_MAX || fd_probe((uint32_t)fd) != FD_PASS)
		return f;
	adopt((uint32_t)fd);
	return fd_file(fd);
}

void fd_learn(uint64_t fd)
{
	struct fs_file *f = (uint32_t)fd < FD_MAX && fd_is(fd, FD_UNKNOWN) ? fd_adopt(fd) : NULL;

	if (f)
		fs_file_put(f);
}

void fd_adopt_locked(uint64_t fd)
{
	struct fs_file *f = process.posix_locked ? fd_adopt(fd) : NULL;

	if (f)
		fs_file_put(f);
}
