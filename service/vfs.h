/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a filesystem instance, with permission checks, set-id rules and the other doors' caches
 * kept right: what all doors share. By inode and name; walk.h turns paths into those.
 *
 * All return 0 or a count, or a negative errno. Inodes and open files returned are referenced. Any thread.
 */
#pragma once

#include "service/cred.h"
#include "service/instance.h"
#include "service/ofd.h"

/* Set once at start: an inode that sessions have open has lost a name. */
extern void (*vfs_orphaned)(void *arg, struct inode *inode);
extern void *vfs_orphaned_arg;
/* The same: whether sessions have it open to write, and the kernel does not know. */
extern bool (*vfs_written)(void *arg, struct inode *inode);
extern void *vfs_written_arg;

struct entry { /* what a name led to */
	struct inode *inode;
	struct ls_attr attr;
};

/* A directory's attributes, if the caller may do that in it (MAY_*). */
int vfs_dir(struct caller *c, struct inode *dir, unsigned may, struct ls_attr *ret);
int vfs_lookup(struct caller *c, struct inode *dir, const char *name, struct entry *ret);
/* The same without the check of search permission, when the caller of this has just made it. */
int vfs_lookup_checked(struct caller *c, struct inode *dir, const char *name, struct entry *ret);
int vfs_parent(struct caller *c, struct inode *dir, struct entry *ret);
int vfs_getattr(struct caller *c, struct inode *inode, struct ofd *ofd, struct ls_attr *ret);
int vfs_setattr(struct caller *c, struct inode *inode, struct ofd *ofd, const struct ls_attr *in, unsigned set,
		struct ls_attr *ret);
int vfs_access(struct caller *c, struct inode *inode, unsigned may);
ssize_t vfs_readlink(struct caller *c, struct inode *inode, char *buf, size_t size);

/*
 * What makes something takes the mode as it was asked for: the caller's umask, or the directory's default ACL, is taken
 * into account here.
 */
int vfs_mknod(struct caller *c, struct inode *dir, const char *name, mode_t mode, unsigned major, unsigned minor,
	      struct entry *ret);
int vfs_mkdir(struct caller *c, struct inode *dir, const char *name, mode_t mode, struct entry *ret);
int vfs_symlink(struct caller *c, struct inode *dir, const char *name, const char *target, struct entry *ret);
int vfs_link(struct caller *c, struct inode *inode, struct inode *dir, const char *name, struct ls_attr *ret);
int vfs_unlink(struct caller *c, struct inode *dir, const char *name);
int vfs_rmdir(struct caller *c, struct inode *dir, const char *name);
int vfs_rename(struct caller *c, struct inode *dir, const char *name, struct inode *dir2, const char *name2,
	       unsigned flags);

/* Opens an inode that is there; truncates for O_TRUNC. path: a hint for the open file, may be NULL. */
int vfs_open(struct caller *c, struct inode *inode, int flags, const char *path, struct ofd **ret);
/* A regular file that was not there; -EEXIST otherwise. */
int vfs_create(struct caller *c, struct inode *dir, const char *name, mode_t mode, int flags, const char *path,
	       struct ofd **ret, struct entry *ret_entry);
int vfs_tmpfile(struct caller *c, struct inode *dir, mode_t mode, int flags, struct ofd **ret,
		struct entry *ret_entry);

ssize_t vfs_read(struct caller *c, struct ofd *ofd, const struct iovec *iov, int iovcnt, off_t offset);
/* flags: enum ls_write_flags, beside what the open file's own flags say. */
ssize_t vfs_write(struct caller *c, struct ofd *ofd, const struct iovec *iov, int iovcnt, off_t offset,
		  unsigned flags, off_t *ret_end);
int vfs_fsync(struct caller *c, struct ofd *ofd, int datasync);
int vfs_sync(struct caller *c, struct instance *fs);
int vfs_fallocate(struct caller *c, struct ofd *ofd, int mode, off_t offset, off_t length);
off_t vfs_seek(struct caller *c, struct ofd *ofd, off_t offset, int whence);
ssize_t vfs_copy(struct caller *c, struct ofd *in, off_t in_off, struct ofd *out, off_t out_off, size_t length);
int vfs_readdir(struct caller *c, struct ofd *ofd, uint64_t cookie, ls_emit *emit, void *arg);
int vfs_statfs(struct caller *c, struct inode *inode, struct ls_statfs *ret);
int vfs_advise(struct caller *c, struct ofd *ofd, off_t offset, off_t length, int advice);

ssize_t vfs_getxattr(struct caller *c, struct inode *inode, const char *name, void *buf, size_t size);
int vfs_setxattr(struct caller *c, struct inode *inode, const char *name, const void *buf, size_t size, int flags);
ssize_t vfs_listxattr(struct caller *c, struct inode *inode, char *buf, size_t size);
int vfs_removexattr(struct caller *c, struct inode *inode, const char *name);

/* The kernel says that a descriptor of the file was closed: more about that may follow. */
void vfs_closed(struct inode *inode);
/* A descriptor of it was closed: whoever opens the file elsewhere is to see what was written. An error is fsync's to tell. */
void vfs_flush(struct caller *c, struct ofd *ofd);
/* A lock at once or -EAGAIN. */
int vfs_lock(struct caller *c, struct ofd *ofd, const struct lock_range *range);
/* flock(2) operation on the open file; wait as in lock.h (NULL: LOCK_NB). */
int vfs_flock(struct caller *c, struct ofd *ofd, int operation, struct lock_wait *wait);
