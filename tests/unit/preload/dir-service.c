/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/preload/dir-service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "preload/class.h"
#include "preload/dispatch.h"
#include "tests/unit/libfs/fake-front.h"

char dir_service_path[64];
unsigned dir_service_open, dir_service_count[64];
int call_served;
struct preload_status preload_status = {.coverage = PRELOAD_FULL};

#define F_TOKEN "/run/mount/.token"
enum { HANDLES = 64, ABOVE = 200 }; /* its descriptors are out of the program's way */
static int root;
static struct {
	int fd;
	char path[256];
} handle[HANDLES];

const char *class_getenv(char **envp, const char *name)
{
	return getenv(name);
}

static int fd_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);

	close(fd);
	return up;
}

static int base_fd(uint32_t base)
{
	return base & 0x80000000u ? root : handle[base].fd;
}

static void attr_of(const struct stat *st, struct wire_attr *a)
{
	*a = (struct wire_attr){.ino = st->st_ino, .mode = st->st_mode, .nlink = (uint32_t)st->st_nlink,
				.uid = st->st_uid, .gid = st->st_gid, .size = (uint64_t)st->st_size,
				.blocks = (uint64_t)st->st_blocks, .blksize = (uint32_t)st->st_blksize,
				.mtime = st->st_mtim.tv_sec, .mtime_ns = (uint32_t)st->st_mtim.tv_nsec};
}

static int64_t result(long r)
{
	return r < 0 ? -errno : r;
}

static int64_t give(int fd, struct wire_reply *a)
{
	char link[64];
	struct stat st;
	unsigned h;
	ssize_t n;

	for (h = 1; h < HANDLES && handle[h].fd; h++)
		;
	handle[h].fd = fd_up(fd);
	fstat(handle[h].fd, &st);
	attr_of(&st, &a->attr);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle[h].fd);
	n = readlink(link, handle[h].path, sizeof(handle[h].path) - 1);
	handle[h].path[n < 0 ? 0 : n] = 0;
	a->handle = h;
	dir_service_open++;
	return 0;
}

static int64_t serve_open(const struct wire_request *q, const char *path, struct wire_reply *a)
{
	int fd = openat(base_fd(q->base), *path ? path : ".", (int)q->arg | O_CLOEXEC, q->mode);

	return fd < 0 ? -errno : give(fd, a);
}

static int64_t serve_close(const struct wire_request *q)
{
	if (!handle[q->handle].fd)
		return -EBADF;
	close(handle[q->handle].fd);
	handle[q->handle].fd = 0;
	dir_service_open--;
	return 0;
}

static int64_t serve_getattr(const struct wire_request *q, const char *path, struct wire_reply *a)
{
	struct stat st;
	int r = q->flags & WIRE_EMPTY
			? fstat(handle[q->handle].fd, &st)
			: fstatat(base_fd(q->base), *path ? path : ".", &st,
				  q->flags & WIRE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);

	if (r < 0)
		return -errno;
	attr_of(&st, &a->attr);
	return 0;
}

static int64_t serve_setattr(const struct wire_request *q, const char *path)
{
	int fd = q->flags & WIRE_EMPTY ? dup(handle[q->handle].fd) : openat(base_fd(q->base), path, O_RDWR);
	int64_t r = fd < 0 ? -errno : 0;

	if (r == 0 && (q->arg & WIRE_SET_SIZE))
		r = result(ftruncate(fd, (off_t)q->offset));
	if (r == 0 && (q->arg & WIRE_SET_MODE))
		r = result(fchmod(fd, q->mode));
	close(fd);
	return r;
}

/* Tokens: by the inode number of each, the handle of what it stands for. Our forks have both. */
static struct {
	uint64_t ino;
	int fd;
} token[HANDLES];

static int serve_fetch(uint32_t h, uint64_t offset)
{
	const char *name = F_TOKEN;
	struct stat st;
	unsigned t;
	int fd;

	fstat(handle[h].fd, &st);
	if (S_ISDIR(st.st_mode) ? mkdir(name, 0111) : mknod(name, S_IFSOCK, 0))
		return -errno;
	fd = open(name, O_PATH | O_CLOEXEC);
	S_ISDIR(st.st_mode) ? rmdir(name) : unlink(name);
	for (t = 0; token[t].ino; t++)
		;
	if (offset != UINT64_MAX)
		lseek(handle[h].fd, (off_t)offset, SEEK_SET);
	fstat(fd, &st);
	token[t].ino = st.st_ino;
	token[t].fd = fd_up(dup(handle[h].fd));
	return fd;
}

static int64_t serve_token(uint64_t ino, struct wire_reply *a)
{
	unsigned t;

	for (t = 0; token[t].ino && token[t].ino != ino; t++)
		;
	a->arg = token[t].ino ? (uint64_t)fcntl(token[t].fd, F_GETFL) : 0;
	return token[t].ino ? give(dup(token[t].fd), a) : -ESTALE;
}

/* The kernel keeps the offset of a handle's descriptor for all our forks. */
static int64_t serve_own_offset(const struct wire_request *q, char *payload, struct wire_reply *a)
{
	int fd = handle[q->handle].fd;

	switch (q->op) {
	case WIRE_READ:
		return result(read(fd, payload, q->length));
	case WIRE_WRITE:
		return result(write(fd, payload, q->length));
	case WIRE_GETDENTS:
		return result(syscall(SYS_getdents64, fd, payload, q->out_max));
	}
	a->offset = (uint64_t)lseek(fd, (off_t)q->offset, (int)q->arg);
	return result((long)a->offset);
}

static int64_t serve_getdents(const struct wire_request *q, char *payload, struct wire_reply *a)
{
	int fd = handle[q->handle].fd;
	long r;

	lseek(fd, (off_t)q->offset, SEEK_SET);
	r = syscall(SYS_getdents64, fd, payload, q->out_max);
	a->offset = (uint64_t)lseek(fd, 0, SEEK_CUR);
	return result(r);
}

static int64_t serve_write(const struct wire_request *q, const char *payload, struct wire_reply *a)
{
	int fd = handle[q->handle].fd;
	long r = pwrite(fd, payload, q->length, (off_t)q->offset); /* appends, if the file is opened so */

	a->offset = fcntl(fd, F_GETFL) & O_APPEND ? (uint64_t)lseek(fd, 0, SEEK_END) : q->offset + (uint64_t)r;
	return result(r);
}

static int64_t serve_materialise(const struct wire_request *q, char *payload)
{
	const char *path = handle[q->handle].path;
	size_t n = strlen(dir_service_path);

	if (strncmp(path, dir_service_path, n))
		return -ENOENT;
	strcpy(payload, path[n] ? path + n + 1 : "");
	return (int64_t)strlen(payload);
}

static int64_t serve_adopt(const struct wire_request *q, struct wire_reply *a)
{
	char link[64];
	int fd;

	if (!(fake_table.mount[0].flags & WIRE_MOUNT_FUSE))
		return serve_token(q->offset, a);
	if (q->arg == UINT64_MAX)
		snprintf(link, sizeof(link), ".");
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", (int)q->arg);
	fd = open(link, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? -errno : give(fd, a);
}

static int64_t serve_lock(const struct wire_request *q)
{
	return q->mode == F_WRLCK || q->mode == F_UNLCK ? 0 : -EAGAIN;
}

static int64_t serve(const struct wire_request *q, char *payload, struct wire_reply *a)
{
	const char *path = payload, *path2 = payload + q->path_len + 1;

	if (q->flags & WIRE_OWN_OFFSET)
		return serve_own_offset(q, payload, a);
	switch (q->op) {
	case WIRE_OPEN:
		return serve_open(q, path, a);
	case WIRE_CLOSE:
		return serve_close(q);
	case WIRE_READ:
		return result(pread(handle[q->handle].fd, payload, q->length, (off_t)q->offset));
	case WIRE_WRITE:
		return serve_write(q, payload, a);
	case WIRE_GETATTR:
		return serve_getattr(q, path, a);
	case WIRE_SETATTR:
		return serve_setattr(q, path);
	case WIRE_ACCESS:
		return q->flags & WIRE_EMPTY ? 0 : result(faccessat(base_fd(q->base), path, (int)q->mode, 0));
	case WIRE_READLINK:
		return result(readlinkat(base_fd(q->base), path, payload, q->out_max));
	case WIRE_GETDENTS:
		return serve_getdents(q, payload, a);
	case WIRE_MKDIR:
		return result(mkdirat(base_fd(q->base), path, q->mode));
	case WIRE_SYMLINK:
		return result(symlinkat(path2, base_fd(q->base), path));
	case WIRE_LINK:
		return result(linkat(base_fd(q->base), path, base_fd(q->more.base2), path2, 0));
	case WIRE_UNLINK:
		return result(unlinkat(base_fd(q->base), path, q->flags & WIRE_REMOVEDIR ? AT_REMOVEDIR : 0));
	case WIRE_RENAME:
		return result(renameat2(base_fd(q->base), path, base_fd(q->more.base2), path2, (unsigned)q->arg));
	case WIRE_FSYNC:
	case WIRE_FLUSH:
	case WIRE_SETFL:
	case WIRE_FADVISE:
	case WIRE_FLOCK:
	case WIRE_SYNCFS:
		return 0;
	case WIRE_LOCK:
		a->arg = q->mode;
		return serve_lock(q);
	case WIRE_MATERIALISE:
	case WIRE_GETPATH:
		return serve_materialise(q, payload);
	case WIRE_ADOPT:
		return serve_adopt(q, a);
	}
	return -EOPNOTSUPP;
}

static int dir_serve(struct fake_call *call)
{
	const struct wire_request *q = &call->request;

	dir_service_count[q->op]++;
	call->reply.result = serve(q, call->payload, &call->reply);
	return 0;
}

static int private_run(void)
{
	static const char *const dirs[] = {"/run/polytropon", "/run/mount"};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		return -errno;
	for (unsigned i = 0; i < 2; i++)
		if (mkdir(dirs[i], 0755) < 0)
			return -errno;
	/* a file system of its own: descriptors are recognised by it */
	if (mount("tmpfs", "/run/mount", "tmpfs", 0, NULL) < 0)
		return -errno;
	close(open(WIRE_PLACEHOLDER, O_CREAT | O_WRONLY, 0));
	return 0;
}

int dir_service_start(void)
{
	struct stat st;
	int r = private_run();

	if (r < 0)
		return r;
	strcpy(dir_service_path, "/run/mount");
	root = fd_up(open(dir_service_path, O_PATH | O_DIRECTORY));
	stat(WIRE_PLACEHOLDER, &st);
	fake_table.placeholder_ino_lo = (uint32_t)st.st_ino;
	fake_table.placeholder_ino_hi = (uint32_t)(st.st_ino >> 32);
	fake_table.placeholder_dev_lo = (uint32_t)st.st_dev;
	fake_table.placeholder_dev_hi = (uint32_t)(st.st_dev >> 32);
	stat(dir_service_path, &st);
	fake_mount(0, dir_service_path, WIRE_MOUNT_FUSE, st.st_dev);
	fake_serve = dir_serve;
	fake_fetch = serve_fetch;
	return 0;
}

int64_t call6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	struct preload_regs regs = {.nr = nr, .a = {a, b, c, d, e, f}};
	long r;

	call_served = preload_dispatch(&regs);
	if (call_served)
		return regs.ret;
	r = syscall(nr, a, b, c, d, e, f);
	return r < 0 ? -errno : r;
}
