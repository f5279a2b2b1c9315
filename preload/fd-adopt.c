/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that we did not open: inherited over exec or fork, received, or opened by the kernel.
 *
 * Most calls on them are just the kernel's. Two kinds need a handle: locks, for a lock taken through one door must
 * be the same process's at the other; and directories from which paths start. The service gives a handle for the
 * very open file by an ioctl on the descriptor; for a directory opened with O_PATH, and the working directory, it
 * looks into /proc. What we learn is kept until we see the descriptor closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "preload/fd.h"

int fd_identify(int fd, const char *path, struct fd_identity *ret)
{
	struct statx st;
	long r = sys5(__NR_statx, fd, (long)path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
		      STATX_TYPE | STATX_INO, (long)&st);

	*ret = (struct fd_identity){0};
	if (r < 0)
		return (int)r;
	ret->dev = (st.stx_dev_minor & 0xff) | (uint64_t)st.stx_dev_major << 8 |
		   (uint64_t)(st.stx_dev_minor & ~0xffu) << 12;
	ret->ino = st.stx_ino;
	ret->type = st.stx_mode & S_IFMT;
	return 0;
}

/* Only if nobody entered something better meanwhile. */
static int learn(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
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
	learn(&process.fd[fd], FD_UNKNOWN, mount < 0 ? FD_ENTRY(FD_FOREIGN, 0) : FD_ENTRY(FD_PASS, mount));
	return FD_STATE(fd_entry(fd));
}

/* A handle for the open file of a descriptor. */
static int64_t adopt_handle(uint32_t fd, uint32_t mount, const struct fd_identity *id, uint32_t *ret_flags)
{
	struct wire_adopt got = {0, 0};
	struct wire_attr attr;
	int64_t r;

	if (fs_ready() < 0)
		return -EIO;
	if (sys3(__NR_ioctl, fd, WIRE_IOC_ADOPT, (long)&got) == 0) {
		*ret_flags = got.flags;
		return got.handle;
	}
	if (id->type != S_IFDIR)
		return -ENOTTY;
	r = fs_adopt(mount, id->ino, fd, &attr);
	*ret_flags = O_RDONLY | O_DIRECTORY | O_PATH;
	return r;
}

static struct fs_file *adopt_file(uint32_t mount, int64_t handle, uint32_t flags, const struct fd_identity *id)
{
	struct wire_attr attr = {.ino = id->ino, .mode = id->type};
	struct fs_file *f = fs_file_new(mount, (uint32_t)handle, flags, &attr);

	if (f)
		f->offset = FS_MOVED; /* it is the kernel's */
	else
		fs_close((uint32_t)handle, fs_session());
	process.counters.adopted++;
	return f;
}

static void adopt(uint32_t fd)
{
	uint32_t entry = fd_entry(fd), flags;
	struct fd_identity id;
	struct fs_file *f;
	int64_t handle;

	if (fd_identify((int)fd, "", &id) < 0 || (id.type != S_IFDIR && id.type != S_IFREG))
		return;
	if (fs_route_dev(id.dev) != (int)FD_INDEX(entry)) { /* closed unseen, and the number used again */
		learn(&process.fd[fd], entry, FD_UNKNOWN);
		return;
	}
	handle = adopt_handle(fd, FD_INDEX(entry), &id, &flags);
	if (handle < 0)
		return;
	f = adopt_file(FD_INDEX(entry), handle, flags, &id);
	if (!f)
		return;
	/* fd_enter makes it visible and counts it; another thread that adopted it too is put in its place. */
	if (fd_entry(fd) == entry)
		fd_enter(fd, FD_REAL, f);
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

void fd_adopt_locked(uint64_t fd)
{
	struct fs_file *f = process.posix_locked ? fd_adopt(fd) : NULL;

	if (f)
		fs_file_put(f);
}

static struct fs_file *cwd_adopt(void)
{
	struct fd_identity id;
	struct wire_attr attr;
	int64_t handle;
	int mount;

	if (fd_identify(AT_FDCWD, "", &id) < 0 || (mount = fs_route_dev(id.dev)) < 0)
		return NULL;
	handle = fs_adopt((uint32_t)mount, id.ino, UINT64_MAX, &attr);
	return handle < 0 ? NULL : adopt_file((uint32_t)mount, handle, O_RDONLY | O_DIRECTORY | O_PATH, &id);
}

/* The child of a fork opens anew what its parent had. */
static struct fs_file *cwd_reopen(void)
{
	struct fs_opened opened;
	struct fs_object o;

	if (!fs_route(process_kept.cwd, &o) || fs_open(&o, O_RDONLY | O_DIRECTORY, 0, &opened) < 0)
		return NULL;
	return fs_file_new(o.mount, opened.handle, O_RDONLY | O_DIRECTORY, &opened.attr);
}

/* process.cwd is an entry word like a descriptor's: UNKNOWN, FOREIGN or REAL. */
static void cwd_learn(void)
{
	struct fs_file *f = process_kept.cwd[0] ? cwd_reopen() : cwd_adopt();
	uint32_t entry = f ? FD_ENTRY(FD_REAL, fs_file_index(f)) : FD_ENTRY(FD_FOREIGN, 0);

	if (!learn(&process.cwd, FD_UNKNOWN, entry) && f)
		fs_file_put(f);
}

struct fs_file *fd_cwd(void)
{
	struct fs_file *f;
	int again;

	for (again = 0; again < 4; again++) {
		if (FD_STATE(__atomic_load_n(&process.cwd, __ATOMIC_ACQUIRE)) == FD_UNKNOWN)
			cwd_learn();
		f = fd_word_get(&process.cwd, FD_IN(FD_REAL));
		if (!f || !fs_file_stale(f))
			return f;
		fs_file_put(f);
		fd_cwd_changed();
	}
	return NULL;
}

int64_t fd_cwd_set(struct fs_file *dir)
{
	int64_t r = fs_getpath(dir, process_kept.cwd, sizeof(process_kept.cwd));

	if (r >= 0)
		fd_cwd_changed();
	return r < 0 ? r : 0;
}

void fd_cwd_changed(void)
{
	uint32_t entry = __atomic_exchange_n(&process.cwd, FD_UNKNOWN, __ATOMIC_ACQ_REL);

	if (FD_STATE(entry) == FD_REAL)
		fs_file_put(fs_file_at(FD_INDEX(entry)));
}
