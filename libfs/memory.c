/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that are good.
 *
 * Where the kernel says EFAULT we would crash, and a library may not catch that: signal handlers are the program's.
 * So each page of the program's is looked at before it is touched. A table remembers those that were good, and a page
 * that is in it costs a nanosecond. Others are tried by system calls that touch one word of it and do nothing:
 *
 *   to read   rt_sigprocmask of an operation that there is not, for the kernel fetches the set first   160 ns
 *   to write  FUTEX_WAKE_OP with "or 0"                                                                410 ns
 *   many      MADV_POPULATE_READ and _WRITE (since Linux 5.14), a page of a run                        180 ns
 *
 * (process_vm_readv of oneself: 680 ns; mincore: 1100 ns, and it knows no permissions.) The first fetches as a program
 * does, so it also makes a stack grow, which the others do not, and process_vm_writev by the service does not either.
 * A page that is touched for the first time costs its page fault here instead of there.
 *
 * The caller reports what the program unmaps or protects, when that is done. A page found good before that and entered
 * after it would stay in the table for ever, so whoever enters one looks afterwards whether there was a report. What no
 * report comes of (ld.so unmaps a library, a mapped file is cut short) and a thread that unmaps what another passes to
 * a call at that moment end as they do in any function of libc's: with a signal.
 */
#include "libfs/memory.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include "ipc/sys.h"
#include "libfs/fs.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

enum {
	PAGE = 1 << FS_MEMORY_SHIFT,
	RUN_MIN = 4, /* pages: from here on one call for all is cheaper */
	RUN_MAX = 64,
};

uint64_t fs_memory_seen[FS_MEMORY_PAGES] __attribute__((aligned(4096)));

static struct {
	uint32_t watched;
	uint32_t changes; /* reports */
} memory;

void fs_memory_watch(void)
{
	memory.watched = 1;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void page_forget(uint64_t first, uint64_t last, uint64_t *seen)
{
	uint64_t page = __atomic_load_n(seen, __ATOMIC_RELAXED) >> 2;

	if (page >= first && page <= last)
		__atomic_store_n(seen, 0, __ATOMIC_RELAXED);
}

void fs_memory_changed(uint64_t at, uint64_t length)
{
	uint64_t first = at >> FS_MEMORY_SHIFT, last = (at + length - 1) >> FS_MEMORY_SHIFT;
	uint64_t i, count = last - first + 1;

	if (!length)
		return;
	/* A full barrier before the table is read. Partner: page_remember. */
	__atomic_add_fetch(&memory.changes, 1, __ATOMIC_SEQ_CST);
	if (count > FS_MEMORY_PAGES)
		count = FS_MEMORY_PAGES;
	for (i = 0; i < count; i++)
		page_forget(first, last, &fs_memory_seen[(first + i) % FS_MEMORY_PAGES]);
}

/* Enters pages that were found good when there had been so many reports. */
static void page_remember(uint64_t page, uint64_t count, int write, uint32_t changes)
{
	uint64_t i;

	for (i = 0; i < count; i++)
		__atomic_store_n(&fs_memory_seen[(page + i) % FS_MEMORY_PAGES],
				 (page + i) << 2 | (write ? FS_MEMORY_WRITE : FS_MEMORY_READ), __ATOMIC_RELAXED);
	/* Either we see the report here, or who reports sees our entry. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < count && __atomic_load_n(&memory.changes, __ATOMIC_RELAXED) != changes; i++)
		__atomic_store_n(&fs_memory_seen[(page + i) % FS_MEMORY_PAGES], 0, __ATOMIC_RELAXED);
}

/* ---- trying ---------------------------------------------------------------------------------- */

static int try_read(uint64_t page)
{
	enum { NO_SUCH_OPERATION = 99 };

	/* Not its first word: that of the first page is NULL, which means "no set". */
	return sys4(__NR_rt_sigprocmask, NO_SUCH_OPERATION, (long)(page << FS_MEMORY_SHIFT) + 8, 0, 8) != -EFAULT;
}

static int try_write(uint64_t page)
{
	static uint32_t nobody_waits_here;
	const int or_0 = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, 0);

	return sys6(__NR_futex, (long)&nobody_waits_here, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0,
		    (long)(page << FS_MEMORY_SHIFT), or_0) >= 0;
}

static int page_try(uint64_t page, int write)
{
	uint32_t changes = __atomic_load_n(&memory.changes, __ATOMIC_ACQUIRE);

	if (!(write && try_write(page)) && !(try_read(page) && (!write || try_write(page))))
		return 0;
	page_remember(page, 1, write, changes);
	return 1;
}

static uint64_t run_try(uint64_t page, uint64_t count, int write)
{
	uint32_t changes = __atomic_load_n(&memory.changes, __ATOMIC_ACQUIRE);

	if (count > RUN_MAX)
		count = RUN_MAX;
	if (count < RUN_MIN || sys_madvise((void *)(page << FS_MEMORY_SHIFT), count << FS_MEMORY_SHIFT,
					   write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) < 0)
		return (uint64_t)page_try(page, write);
	page_remember(page, count, write, changes);
	return count;
}

/* ---- ranges and strings ---------------------------------------------------------------------- */

uint64_t fs_memory_look(uint64_t at, uint64_t length, int write)
{
	uint64_t page = at >> FS_MEMORY_SHIFT, last = (at + length - 1) >> FS_MEMORY_SHIFT, end = at;

	if (!length || !memory.watched)
		return length;
	while (page <= last) {
		uint64_t n = fs_memory_known(page, write) ? 1 : run_try(page, last - page + 1, write);

		if (!n)
			break;
		page += n;
		end = page << FS_MEMORY_SHIFT;
	}
	return end - at < length ? end - at : length;
}

/* The first byte of a word that is 0, or 8. */
static inline unsigned word_nul(uint64_t word)
{
	uint64_t found = (word - 0x0101010101010101) & ~word & 0x8080808080808080;

	return found ? (unsigned)__builtin_ctzll(found) / 8 : 8;
}

/* The first NUL of `length` bytes within a page, or `length`. By whole words: they do not leave the page. */
static uint64_t page_scan(uint64_t at, uint64_t length)
{
	uint64_t p = at & ~7ull, word = *(const uint64_t *)p | ((1ull << at % 8 * 8) - 1);
	unsigned nul;

	while ((nul = word_nul(word)) == 8) {
		p += 8;
		if (p - at >= length)
			return length;
		word = *(const uint64_t *)p;
	}
	return p + nul - at < length ? p + nul - at : length;
}

static inline int64_t text_scan(uint64_t at, int checked)
{
	uint64_t here = PAGE - at % PAGE, n;

	if (checked && !fs_memory_readable(at, 1))
		return -EFAULT;
	n = page_scan(at, here);
	if (n < here || n == FS_PATH_MAX)
		return (int64_t)n;
	if (checked && !fs_memory_readable(at + here, 1))
		return -EFAULT;
	return (int64_t)(n + page_scan(at + here, FS_PATH_MAX - n));
}

int64_t fs_memory_text(uint64_t at)
{
	return text_scan(at, 1);
}

uint32_t fs_path_length(const char *path)
{
	return (uint32_t)text_scan((uint64_t)path, 0);
}
