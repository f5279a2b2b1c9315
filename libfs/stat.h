/* SPDX-License-Identifier: Apache-2.0 */
/* From the wire's attributes to the structures of stat(2), whose layout libc and the kernel share on x86-64. */
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include "libfs/fs.h"

/* st_dev as stat(2) has it, which is the kernel's encoding. */
static inline uint64_t stat_dev(uint64_t major, uint64_t minor)
{
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffull) << 12 | (major & ~0xfffull) << 32;
}

static inline void stat_fill(struct stat *to, const struct wire_attr *a, uint64_t dev)
{
	*to = (struct stat){
		.st_dev = dev,
		.st_ino = a->ino,
		.st_nlink = a->nlink,
		.st_mode = a->mode,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = stat_dev(a->rdev_major, a->rdev_minor),
		.st_size = (int64_t)a->size,
		.st_blksize = a->blksize,
		.st_blocks = (int64_t)a->blocks,
		.st_atim = {a->atime, a->atime_ns},
		.st_mtim = {a->mtime, a->mtime_ns},
		.st_ctim = {a->ctime, a->ctime_ns},
	};
}

static inline void statx_fill(struct statx *to, const struct wire_attr *a, uint64_t dev)
{
	*to = (struct statx){
		.stx_mask = STATX_BASIC_STATS | STATX_BTIME,
		.stx_blksize = a->blksize,
		.stx_nlink = a->nlink,
		.stx_uid = a->uid,
		.stx_gid = a->gid,
		.stx_mode = (uint16_t)a->mode,
		.stx_ino = a->ino,
		.stx_size = a->size,
		.stx_blocks = a->blocks,
		.stx_atime = {a->atime, a->atime_ns},
		.stx_mtime = {a->mtime, a->mtime_ns},
		.stx_ctime = {a->ctime, a->ctime_ns},
		.stx_btime = {a->btime, a->btime_ns},
		.stx_rdev_major = a->rdev_major,
		.stx_rdev_minor = a->rdev_minor,
		.stx_dev_major = (uint32_t)(dev >> 8) & 0xfff,
		.stx_dev_minor = (uint32_t)((dev & 0xff) | (dev >> 12 & 0xfff00)),
	};
}

/* One of utimensat(2)'s times; 0 if tv_nsec is none that it knows. */
static inline int stat_time_valid(const struct timespec *t)
{
	return t->tv_nsec == UTIME_OMIT || t->tv_nsec == UTIME_NOW || (t->tv_nsec >= 0 && t->tv_nsec <= 999999999);
}

static inline uint32_t stat_time(const struct timespec *t, uint32_t set, uint32_t now, int64_t *ret, uint32_t *ret_ns)
{
	if (t->tv_nsec == UTIME_OMIT)
		return 0;
	if (t->tv_nsec == UTIME_NOW)
		return set | now;
	*ret = t->tv_sec;
	*ret_ns = (uint32_t)t->tv_nsec;
	return set;
}

/* What utimensat(2) would set; both times are valid. */
static inline void stat_times(const struct timespec times[2], struct fs_setattr *in)
{
	*in = (struct fs_setattr){0};
	in->set = stat_time(&times[0], WIRE_SET_ATIME, WIRE_SET_ATIME_NOW, &in->times.atime, &in->times.atime_ns) |
		  stat_time(&times[1], WIRE_SET_MTIME, WIRE_SET_MTIME_NOW, &in->times.mtime, &in->times.mtime_ns);
}

/* chown's arguments: -1 leaves one alone. */
static inline void stat_owner(uint32_t uid, uint32_t gid, struct fs_setattr *in)
{
	*in = (struct fs_setattr){.owner = uid | (uint64_t)gid << 32};
	in->set = (uid != ~0u ? WIRE_SET_UID : 0) | (gid != ~0u ? WIRE_SET_GID : 0);
}
