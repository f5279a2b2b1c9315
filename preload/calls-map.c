/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of files: of their cached data (map.c), else the kernel makes them, of descriptors that are real. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "ipc/sys.h"
#include "preload/calls.h"

enum { COPY_MAX = 16384, PAGE = 4096 };

/* Reads the file into memory that is there, up to its end. Returns how much that was. */
static int64_t mmap_fill(struct fs_file *f, void *at, uint64_t length, uint64_t offset)
{
	struct iovec part = {at, length};
	int64_t n;

	while (part.iov_len && (n = fs_readv(f, &part, 1, offset)) != 0) {
		if (n < 0)
			return n;
		part.iov_base = (char *)part.iov_base + n;
		part.iov_len -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return (int64_t)(length - part.iov_len);
}

/*
 * A small file that is mapped privately to be read is copied, which costs a hundredth of a share of its memory. Nothing
 * says whether such a map shows later changes of the file.
 */
static int copy_suits(const struct preload_regs *r, const struct fs_file *f)
{
	return (r->a[3] & MAP_TYPE) == MAP_PRIVATE && r->a[2] == PROT_READ && r->a[1] <= COPY_MAX && !r->a[5] &&
	       (f->flags & O_ACCMODE) == O_RDONLY && f->type == S_IFREG && !(r->a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE));
}

/* Without FUSE a private map is a copy, as it may be; a shared one there is not. `whole`: no page is behind its end. */
static int64_t mmap_copy(const struct preload_regs *r, struct fs_file *f, int whole)
{
	uint64_t length = r->a[1], prot = r->a[2], flags = r->a[3], offset = r->a[5];
	char *at;
	int64_t n;

	if ((f->flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	if (f->type != S_IFREG || ((flags & MAP_TYPE) != MAP_PRIVATE && (prot & PROT_WRITE)))
		return -ENODEV;
	if (!length || offset % PAGE)
		return -EINVAL;
	at = sys_mmap((void *)r->a[0], length, PROT_READ | PROT_WRITE,
		      (int)(MAP_PRIVATE | MAP_ANONYMOUS | (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT))), -1, 0);
	if (sys_failed((long)at))
		return (long)at;
	fs_memory_changed((uint64_t)at, length);
	n = mmap_fill(f, at, length, offset);
	if (n >= 0 && whole && (uint64_t)n + PAGE - 1 < (length + PAGE - 1) / PAGE * PAGE)
		n = -ENODATA; /* the rest is not to be touched */
	if (n >= 0)
		n = sys3(__NR_mprotect, (long)at, (long)length, (long)prot);
	if (n < 0)
		sys_munmap(at, length);
	fs_memory_changed((uint64_t)at, length);
	return n < 0 ? n : (int64_t)at;
}

/*
 * A map ends where the kernel believes that the file ends, and it does not ask when it maps. It may not know yet
 * what came by us: so it is made to ask.
 */
int call_mmap(struct preload_regs *r)
{
	uint64_t fd = r->a[4];
	struct statx st;
	struct fs_file *f;
	int64_t at;

	if ((r->a[3] & MAP_ANONYMOUS) || (uint32_t)fd >= FD_MAX || fd_probe((uint32_t)fd) < FD_PASS)
		return r->a[3] & MAP_FIXED ? call_mmap_fixed(r) : 0;
	f = fd_file(fd);
	if (f) {
		at = copy_suits(r, f) ? mmap_copy(r, f, 1) : -ENODATA;
		if (at < 0)
			at = map_file(r, f);
		if (at != FS_KERNEL)
			return call_done_file(r, f, at);
		fs_file_put(f);
	}
	f = process.tokens ? fd_adopt(fd) : NULL;
	if (f && !(fs_table()->mount[f->mount].flags & WIRE_MOUNT_FUSE))
		return call_done_file(r, f, mmap_copy(r, f, 0));
	if (f)
		fs_file_put(f);
	r->ret = fd_materialise(fd, WHY_MAP);
	if (r->ret < 0)
		return 1;
	sys5(__NR_statx, (long)fd, (long)"", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, (long)&st);
	return r->a[3] & MAP_FIXED ? call_mmap_fixed(r) : 0;
}

/* The kernel checks the range, and does what is its. */
int call_msync(struct preload_regs *r)
{
	if (!map_any() || !(r->a[2] & MS_SYNC))
		return 0;
	r->ret = sys3(__NR_msync, (long)r->a[0], (long)r->a[1], (long)r->a[2]);
	if (r->ret == 0)
		r->ret = map_sync(r->a[0], r->a[1]);
	return 1;
}
