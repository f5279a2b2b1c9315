/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data file: a file's cached bytes at their own offsets, on the pool's private tmpfs, for clients to map.
 *
 * The service copies it by system calls: who may write such a file may cut it too, and a mapping would make that our
 * death.
 *
 * There are two: one has large folios (huge=within_size). A page that is written there gets its memory in the largest
 * aligned piece, up to 2 MiB, that ends within the file and has no other memory yet. That costs a fraction of single pages,
 * wherever it is used; but what is a hole behind the write, or before it in its piece, gets memory too, which nobody has
 * counted. So only what makes the file longer, without a hole before it, is stored like that; other absent pages are one by
 * one, by way of a mapping that has no large folios. Who maps a file, and the kernel where it passes through, would store
 * into holes by themselves: they have it on the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libservices/cache/cache.h"

enum { PIECE = 2 << 20 };

int cdata_write(int fd, struct iovec *iov, int n, uint64_t offset)
{
	while (n > 0) {
		ssize_t done = pwritev(fd, iov, n, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -ENOSPC;
		offset += done;
		for (; n > 0 && (size_t)done >= iov->iov_len; n--)
			done -= iov++->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= done;
		}
	}
	return 0;
}

/* What is not there any more, as a sharer has cut it off, reads as zeros. */
int cdata_read(int fd, char *buf, uint64_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t n = pread(fd, buf, length, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(buf, 0, length);
			break;
		}
		buf += n;
		offset += n;
		length -= n;
	}
	return 0;
}

/* Whether the absent pages of a write get memory for themselves, and for nothing else. */
static bool fills_densely(const struct cinode *c, uint64_t first, uint64_t last, const struct stat *st)
{
	uint64_t absent = body_absent(c, first, last), piece = absent / (PIECE / CACHE_PAGE) * (PIECE / CACHE_PAGE);

	return absent > last || (absent * CACHE_PAGE >= (uint64_t)st->st_size && (absent == piece || body_present(c, piece, absent - 1)));
}

/* By the kernel's hands, which find out if the file has been cut. False: not all of it could be. */
static bool store_pages(int fd, const struct iovec *iov, int n, uint64_t offset, uint64_t length)
{
	uint64_t start = offset / CACHE_PAGE * CACHE_PAGE;
	size_t room = offset + length - start;
	struct iovec to = {.iov_len = length};
	char *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
	bool good;

	if (at == MAP_FAILED)
		return false;
	to.iov_base = at + (offset - start);
	good = madvise(at, room, MADV_NOHUGEPAGE) == 0 && process_vm_writev(getpid(), iov, n, &to, 1, 0) == (ssize_t)length;
	munmap(at, room);
	return good;
}

int cdata_fill(const struct cinode *c, struct iovec *iov, int n, uint64_t offset)
{
	uint64_t length = 0, end;
	struct stat st;

	for (int i = 0; i < n; i++)
		length += iov[i].iov_len;
	end = offset + length;
	if (!length || !c->data_large || fstat(c->data, &st) < 0 ||
	    fills_densely(c, page_index(offset), page_index(end - 1), &st))
		return cdata_write(c->data, iov, n, offset);
	if (end > (uint64_t)st.st_size && ftruncate(c->data, end) < 0)
		return -errno;
	return store_pages(c->data, iov, n, offset, length) ? 0 : cdata_write(c->data, iov, n, offset);
}

static void punch(const struct cinode *c, uint64_t start, uint64_t length)
{
	fallocate(c->data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length);
}

void cdata_punch(const struct cinode *c, const struct chunk *chunk, unsigned mask)
{
	uint64_t start = chunk->index * CACHE_CHUNK;

	if (mask == chunk->present && !cshare_kernel_has(c)) {
		punch(c, start, CACHE_CHUNK);
		return;
	}
	while (mask) {
		unsigned first = __builtin_ctz(mask), n = __builtin_ctz(~(mask >> first));
		punch(c, start + first * CACHE_PAGE, n * CACHE_PAGE);
		mask &= ~(((1u << n) - 1) << first);
	}
}

/* Opened once more, for the first open of such a file does not count as one (kernel.c). */
static int data_in_memory(void)
{
	int fd = memfd_create("cache", MFD_CLOEXEC), again = -1;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd >= 0) {
		again = open(path, O_RDWR | O_CLOEXEC);
		close(fd);
	}
	return again;
}

int cdata_new(const struct cache *cache, bool *large)
{
	int dir, fd;

	*large = *large && cache->large_dir >= 0;
	dir = *large ? cache->large_dir : cache->dir;
	fd = dir >= 0 ? openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : data_in_memory();
	return fd < 0 ? -errno : fd;
}

void cdata_clear(const struct cinode *c)
{
	struct stat st;

	if (fstat(c->data, &st) == 0 && st.st_size > 0)
		punch(c, 0, st.st_size);
}

void cdata_begin(struct cinode *c, int fd, bool large)
{
	c->data = fd;
	c->data_large = large;
	c->data_uid = UINT32_MAX;
	c->data_copied = false;
	__atomic_add_fetch(&c->cache->budget->data_files, 1, __ATOMIC_RELAXED);
}

void cdata_end(struct cinode *c)
{
	close(c->data);
	c->data = -1;
	__atomic_sub_fetch(&c->cache->budget->data_files, 1, __ATOMIC_RELAXED);
}

bool cdata_are_many(const struct cache *cache)
{
	return __atomic_load_n(&cache->budget->data_files, __ATOMIC_RELAXED) >= cache->budget->data_files_many;
}
