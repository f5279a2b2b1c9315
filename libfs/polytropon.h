/* SPDX-License-Identifier: Apache-2.0 */
/*
 * polytropon.h - the files of a pool, without system calls.
 *
 * For programs that run in a pool (`polytropon run POOL -- program`) and would rather call the pool's filesystem
 * service themselves than through open(2) and its like. Link with `pkg-config --libs polytropon`.
 *
 * Every function returns 0 or more, or a negative errno; none sets errno. Paths are absolute and as the pool's
 * processes see them; -ENOTSUP says that a path belongs to no mount of the pool, or leaves it by a symbolic link.
 * Whatever has a name from <fcntl.h> or <sys/stat.h> means the same here as there.
 *
 * Files are small integers of this library's, not file descriptors, and belong to the process that opened them: the
 * child of a fork has none. The functions may be called from any thread and from signal handlers. The connection
 * lasts as long as the process; while the service is being restarted calls wait, and files that were open before
 * then give -EIO.
 */
#ifndef POLYTROPON_H
#define POLYTROPON_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Connects now, instead of at the first use. -ENOENT: this process is in no pool. */
int polytropon_connect(void);

/* ---- open files ------------------------------------------------------------------------------ */

/* A file, or -errno. Directories too, with O_RDONLY. O_PATH and O_TMPFILE are -ENOTSUP. */
int polytropon_open(const char *path, int flags, mode_t mode);
int polytropon_close(int file);

ssize_t polytropon_read(int file, void *buf, size_t size);
ssize_t polytropon_write(int file, const void *buf, size_t size);
ssize_t polytropon_pread(int file, void *buf, size_t size, off_t offset);
ssize_t polytropon_pwrite(int file, const void *buf, size_t size, off_t offset);
ssize_t polytropon_preadv(int file, const struct iovec *iov, int count, off_t offset);
ssize_t polytropon_pwritev(int file, const struct iovec *iov, int count, off_t offset);
off_t polytropon_lseek(int file, off_t offset, int whence);

int polytropon_fstat(int file, struct stat *ret);
int polytropon_ftruncate(int file, off_t size);
int polytropon_fallocate(int file, int mode, off_t offset, off_t length);
int polytropon_fsync(int file);
int polytropon_fdatasync(int file);
/* Waits, unless with LOCK_NB. */
int polytropon_flock(int file, int operation);
/* At most `length` bytes from one file to another, inside the service. */
ssize_t polytropon_copy(int in, off_t in_offset, int out, off_t out_offset, size_t length);

/* ---- directories ----------------------------------------------------------------------------- */

struct polytropon_dirent {
	uint64_t ino;
	unsigned char type; /* DT_* */
	char name[256];
};
/* The next entry of a directory that is open, by a request of its own. 1: *ret is it; 0: there is none. */
int polytropon_readdir(int file, struct polytropon_dirent *ret);
/* Many entries at once, in the records of getdents64(2). Bytes; 0 at the end. */
ssize_t polytropon_getdents(int file, void *buf, size_t size);
/* Back to the first entry. */
int polytropon_rewinddir(int file);

/* ---- names ----------------------------------------------------------------------------------- */

int polytropon_stat(const char *path, struct stat *ret);
int polytropon_lstat(const char *path, struct stat *ret);
int polytropon_access(const char *path, int mode);
int polytropon_mkdir(const char *path, mode_t mode);
int polytropon_rmdir(const char *path);
int polytropon_unlink(const char *path);
int polytropon_rename(const char *from, const char *to);
int polytropon_link(const char *from, const char *to);
int polytropon_symlink(const char *target, const char *path);
/* The length; no NUL is added. */
ssize_t polytropon_readlink(const char *path, char *buf, size_t size);
int polytropon_chmod(const char *path, mode_t mode);
int polytropon_chown(const char *path, uid_t uid, gid_t gid);
int polytropon_truncate(const char *path, off_t size);
int polytropon_utimens(const char *path, const struct timespec times[2]);

ssize_t polytropon_getxattr(const char *path, const char *name, void *buf, size_t size);
int polytropon_setxattr(const char *path, const char *name, const void *value, size_t size, int flags);
ssize_t polytropon_listxattr(const char *path, char *buf, size_t size);
int polytropon_removexattr(const char *path, const char *name);

#ifdef __cplusplus
}
#endif

#endif
