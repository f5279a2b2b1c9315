/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls and memory helpers for freestanding code (docs/architecture.md): x86-64, inline, raw.
 *
 * A call returns what the kernel returns: >= 0, or a negative errno. Nothing here touches errno. Structures
 * are passed as `void *`, so that a file may take their definitions from libc's headers or the kernel's;
 * the two sets cannot be included together, and this header includes neither.
 */
#pragma once

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __NR_futex_waitv /* since Linux 5.16 */
#define __NR_futex_waitv 449
#endif

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys5(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys2(long nr, long a, long b)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

static inline long sys1(long nr, long a)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a) : "rcx", "r11", "memory");
	return ret;
}

static inline long sys0(long nr)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr) : "rcx", "r11", "memory");
	return ret;
}

static inline int sys_failed(long ret)
{
	return (unsigned long)ret >= (unsigned long)-4095L;
}

/* ---- named ----------------------------------------------------------------------------------- */

/* Same layout as struct timespec of the kernel's 64-bit interfaces. */
struct sys_time {
	int64_t sec, nsec;
};

enum {
	SYS_NS = 1000000000,
	SYS_CLOCK_MONOTONIC = 1,
	SYS_FUTEX_WAIT = 0,
	SYS_FUTEX_WAKE = 1,
	SYS_FUTEX2_SIZE_U32 = 2,
};

/* struct futex_waitv of <linux/futex.h> */
struct sys_waitv {
	uint64_t value;
	uint64_t address;
	uint32_t flags;
	uint32_t pad;
};

/* All our futexes are shared between processes, so none is FUTEX_PRIVATE. `timeout` is relative, or NULL. */
static inline long sys_futex_wait(const uint32_t *word, uint32_t value, const struct sys_time *timeout)
{
	return sys6(__NR_futex, (long)word, SYS_FUTEX_WAIT, value, (long)timeout, 0, 0);
}

static inline long sys_futex_wake(uint32_t *word, int count)
{
	return sys6(__NR_futex, (long)word, SYS_FUTEX_WAKE, count, 0, 0, 0);
}

/* `until` is absolute, CLOCK_MONOTONIC, or NULL. Restarted after SA_RESTART handlers, unlike
 * sys_futex_wait with a timeout, which then fails with -EINTR. -ENOSYS before Linux 5.16. */
static inline long sys_futex_waitv(const struct sys_waitv *waits, unsigned count, const struct sys_time *until)
{
	return sys5(__NR_futex_waitv, (long)waits, count, 0, (long)until, SYS_CLOCK_MONOTONIC);
}

static inline void *sys_mmap(void *hint, size_t length, int prot, int flags, int fd, long offset)
{
	return (void *)sys6(__NR_mmap, (long)hint, (long)length, prot, flags, fd, offset);
}

static inline long sys_munmap(void *address, size_t length)
{
	return sys2(__NR_munmap, (long)address, (long)length);
}

static inline long sys_madvise(void *address, size_t length, int advice)
{
	return sys3(__NR_madvise, (long)address, (long)length, advice);
}

static inline long sys_openat(int dir, const char *path, int flags, int mode)
{
	return sys4(__NR_openat, dir, (long)path, flags, mode);
}

static inline long sys_close(int fd)
{
	return sys1(__NR_close, fd);
}

static inline long sys_socket(int domain, int type, int protocol)
{
	return sys3(__NR_socket, domain, type, protocol);
}

static inline long sys_connect(int fd, const void *address, unsigned length)
{
	return sys3(__NR_connect, fd, (long)address, length);
}

static inline long sys_sendto(int fd, const void *data, size_t length, int flags)
{
	return sys6(__NR_sendto, fd, (long)data, (long)length, flags, 0, 0);
}

static inline long sys_recvmsg(int fd, void *message, int flags)
{
	return sys3(__NR_recvmsg, fd, (long)message, flags);
}

static inline long sys_poll(void *fds, unsigned count, int timeout_ms)
{
	return sys3(__NR_poll, (long)fds, count, timeout_ms);
}

static inline long sys_nanosleep(const struct sys_time *duration)
{
	return sys2(__NR_nanosleep, (long)duration, 0);
}

static inline void sys_yield(void)
{
	sys0(__NR_sched_yield);
}

static inline int sys_getpid(void)
{
	return (int)sys0(__NR_getpid);
}

static inline int sys_gettid(void)
{
	return (int)sys0(__NR_gettid);
}

/* CLOCK_MONOTONIC in ns. A system call (there is no vDSO without libc): not for fast paths; see sys_cycles. */
static inline int64_t sys_now(void)
{
	struct sys_time now = {0, 0};

	sys2(__NR_clock_gettime, SYS_CLOCK_MONOTONIC, (long)&now);
	return now.sec * SYS_NS + now.nsec;
}

/* ---- the processor ---------------------------------------------------------------------------- */

static inline uint64_t sys_cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* The time stamp, and the core that it was read on: Linux keeps (node << 12 | cpu) in TSC_AUX. */
static inline uint64_t sys_cycles_cpu(uint32_t *ret_cpu)
{
	uint32_t lo, hi, aux;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	*ret_cpu = aux & 0xfff;
	return (uint64_t)hi << 32 | lo;
}

static inline void sys_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/* The thread pointer: differs between the live threads of a process. A vfork child has its parent's. */
static inline uintptr_t sys_thread_pointer(void)
{
	uintptr_t tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

static inline uintptr_t sys_stack_pointer(void)
{
	uintptr_t sp;

	__asm__ volatile("movq %%rsp, %0" : "=r"(sp));
	return sp;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* For a few hundred bytes and more; a constant small size is better as a structure assignment. */
static inline void mem_copy(void *to, const void *from, size_t length)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
}

static inline void mem_fill(void *to, int byte, size_t length)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(byte) : "memory");
}

static inline void mem_zero(void *to, size_t length)
{
	mem_fill(to, 0, length);
}

/* Regions that overlap. */
static inline void mem_move(void *to, const void *from, size_t length)
{
	char *t = (char *)to;
	const char *f = (const char *)from;

	if (t <= f || t >= f + length) {
		mem_copy(to, from, length);
		return;
	}
	while (length--)
		t[length] = f[length];
}

static inline int mem_compare(const void *a, const void *b, size_t length)
{
	const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;

	for (; length--; x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

static inline size_t str_length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/* At most `max`: for strings that may lack their NUL. */
static inline size_t str_length_max(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

static inline int str_compare(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

static inline int str_equal(const char *a, const char *b)
{
	return str_compare(a, b) == 0;
}

static inline int str_begins(const char *s, const char *with)
{
	while (*with && *s == *with)
		s++, with++;
	return !*with;
}

/* The last `c` in s, or NULL. */
static inline char *str_last(const char *s, char c)
{
	const char *found = NULL;

	for (; *s; s++)
		if (*s == c)
			found = s;
	return (char *)(uintptr_t)found;
}
