/* SPDX-License-Identifier: Apache-2.0 */
/* One FUSE message being answered. */
#pragma once

#include "fuse/door-internal.h"
#include "service/stats.h"

struct op {
	fuse_req_t req;
	struct fuse_door *door;
	struct caller c;
	unsigned stat;
	int64_t started_at;
	double attr_timeout;
	struct stat_about about;
};

/* about.c. The message that this thread is going to answer; NULL: none. And what it tells, at the beginning of the answer:
 * once it is answered whose it was may be gone. */
void about_message(const struct fuse_buf *buf);
struct stat_about about_operation(struct service *s, const struct fuse_ctx *ctx);

void ops_begin(struct op *op, fuse_req_t req, unsigned stat);
void ops_end(struct op *op, int64_t result);
void ops_status(struct op *op, int r);

void stat_from(const struct fuse_door *door, const struct ls_attr *attr, struct stat *st);
double attr_timeout(const struct fuse_door *door, struct inode *inode);
double entry_timeout(const struct fuse_door *door);
void will_tell_attr(struct inode *inode);
void will_tell_name(struct inode *dir);
void entry_fill(struct op *op, struct entry *entry, struct fuse_entry_param *e);

/* ops-file.c */
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t node, off_t offset, struct fuse_file_info *fi, fuse_ino_t node2,
			off_t offset2, struct fuse_file_info *fi2, size_t length, int flags);
void op_ioctl(fuse_req_t req, fuse_ino_t node, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
	      const void *in, size_t in_size, size_t out_size);
/* ops-lock.c */
void op_getlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, struct flock *lock);
void op_setlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, struct flock *lock, int sleep);
void op_flock(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, int operation);
