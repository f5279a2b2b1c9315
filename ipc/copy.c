/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies through shared memory. General registers only: this runs in other people's programs, below their
 * libc, where vector registers may hold anything and may not be saved.
 */
#include "ipc/copy.h"
#include "ipc/sys.h"

enum {
	LINE = 64,
	AHEAD = 10, /* lines prefetched at once, before the pipeline starts */
};

void copy_smc(void *to, const void *from, uint64_t length)
{
	mem_copy(to, from, length);
}

static inline void line_prefetch(const char *from)
{
	__asm__ volatile("prefetchnta (%0)" : : "r"(from));
}

/* Past the caches: the copy does not push out what the program works on. */
static inline void line_store(char *to, const char *from)
{
	uint64_t a, b, c, d;

	for (int half = 0; half < LINE; half += LINE / 2) {
		__asm__ volatile("movq (%5), %0\n\tmovq 8(%5), %1\n\tmovq 16(%5), %2\n\tmovq 24(%5), %3\n\t"
				 "movnti %0, (%4)\n\tmovnti %1, 8(%4)\n\tmovnti %2, 16(%4)\n\tmovnti %3, 24(%4)"
				 : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d)
				 : "r"(to + half), "r"(from + half)
				 : "memory");
	}
}

/* Whole lines, `to` aligned. */
static void lines_copy(char *to, const char *from, uint64_t lines)
{
	for (int i = 0; i < AHEAD; i++)
		line_prefetch(from + i * LINE);
	for (; lines >= 2; lines -= 2) {
		line_prefetch(from + AHEAD * LINE);
		line_prefetch(from + (AHEAD + 1) * LINE);
		line_store(to, from);
		line_store(to + LINE, from + LINE);
		to += 2 * LINE;
		from += 2 * LINE;
	}
	if (lines)
		line_store(to, from);
	/* Non-temporal stores are not ordered with others: before whatever tells the reader that the data is
	 * there. Partner: the reader's acquiring load of that word. */
	__asm__ volatile("sfence" ::: "memory");
}

void copy_smo(void *to, const void *from, uint64_t length)
{
	char *t = to;
	const char *f = from;
	uint64_t head = -(uintptr_t)t % LINE;

	if (length < head + LINE) {
		mem_copy(t, f, length);
		return;
	}
	mem_copy(t, f, head);
	length -= head;
	lines_copy(t + head, f + head, length / LINE);
	mem_copy(t + head + length / LINE * LINE, f + head + length / LINE * LINE, length % LINE);
}
