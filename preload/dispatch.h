/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the mechanism, which brings libc's system calls here (start.c, patch.c, entry.S), and the
 * dispatcher, which decides and serves them (dispatch.c).
 */
#pragma once

#include <stdint.h>

/* entry.S builds it on the program's stack and knows its layout. */
struct preload_regs {
	int64_t nr;
	uint64_t a[6];
	int64_t ret;
	uint64_t site; /* what the kernel would see as the program counter: after the syscall instruction */
	uint64_t sp;   /* the program's stack pointer at the call */
};

_Static_assert(sizeof(struct preload_regs) == 80, "entry.S");

/*
 * 1: handled, regs->ret is the result (negative errno as the kernel returns). 0: do the system call
 * unchanged. `nr` and `a` are where the registers are kept: the program gets them back as they are left
 * here, and so does the kernel; leave them alone.
 *
 * Runs on the program's stack, below its red zone, on any thread, in signal handlers, between vfork and exec,
 * and possibly not to its end: a signal handler may siglongjmp away. A call that the kernel restarts after a
 * signal does not come here again.
 */
int preload_dispatch(struct preload_regs *regs);

/* Called once by the constructor, before any site is patched: 0 = do not patch (mode off, not in a pool). */
int preload_init(char **envp);

/* How much of the process's file activity comes to the dispatcher. Known before its first call. */
enum preload_coverage {
	PRELOAD_NONE = 0,
	/* Some calls do not come: only some functions are redirected (preload/got.c), or it is a libc that nobody
	 * made a table for, and the scan has left calls unplaced. Then a close may be missed, so nothing may be
	 * remembered of a descriptor, and every descriptor must be real. Calls that name a path are safe. */
	PRELOAD_PARTIAL = 1,
	/* Every call of interest that libc makes. */
	PRELOAD_FULL = 2,
};

struct preload_status {
	uint32_t coverage; /* enum preload_coverage */
	uint32_t sites;    /* redirected */
	uint32_t skipped;  /* whose bytes were not as expected, or that had no room for a jump */
	uint32_t overlays; /* libraries whose text came from WIRE_PATCH_DIR */
	uint32_t slots;    /* entries of global offset tables, if text could not be patched */
	uint32_t class_;   /* enum preload_class, preload/class.h */
};

extern struct preload_status preload_status;

/*
 * glibc's dynamic linker makes system calls of its own: 0.4 % of all, nearly all of them before main, and then for
 * dlopen. It opens, maps and closes; no descriptor of its goes elsewhere. Redirecting it costs 30 us, so that is left
 * to the dispatcher: call this when the process begins to use our files, or never, and the FUSE mount serves
 * dlopen. Any thread, any number of times.
 */
void preload_patch_linker(void);
