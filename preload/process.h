/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dispatcher knows of the process that it runs in.
 *
 * `process` is zero in the child of a fork, which thereby begins anew (its descriptors are the kernel's, made
 * so before the fork). `process_kept` goes with the child: how the process was started, and what it did that
 * cannot be undone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "libfs/fs.h"
#include "preload/dispatch.h"

enum {
	FD_MAX = 65536,   /* descriptors from here on are never placeholders */
	PROCESS_FORKERS = 8,
};

enum process_mode {
	MODE_LAZY = 0, /* placeholders, made real when something needs it */
	MODE_OFF,
	MODE_REAL,     /* every open is the kernel's */
	MODE_STRICT,   /* as lazy; ends the program when a rule of ours is broken: for tests */
};

enum process_limits {
	NO_PLACEHOLDERS = 1 << 0, /* descriptors are used where we do not see it: all must be real */
	NO_PATHS = 1 << 1,        /* paths no longer mean what the pool's mount table says */
	NO_SERVICE = 1 << 2,      /* the process may not make our system calls any more */
};

/* Why a descriptor was made real; in the order of WIRE_COUNT_REAL_CALL and the counts after it. */
enum reason {
	WHY_DEFAULT, /* a call that we do not serve */
	WHY_MAP,
	WHY_STANDARD, /* dup2 onto 2 */
	WHY_FORK,
	WHY_EXEC,
	WHY_PASSED, /* to another process, or to an io_uring */
	WHY_PROC,   /* named in /proc/self/fd */
	WHY_POLL,
	WHY_CLASS, /* the process lost its placeholders for good */
	WHY_NUMBER, /* a descriptor beyond FD_MAX, or soon beyond RLIMIT_NOFILE */
	WHY_MAX
};

_Static_assert(WIRE_COUNT_REAL_CALL + WHY_MAX == WIRE_COUNT_MAX, "a count for each");

struct process {
	uint32_t pid; /* 0: nobody has looked since the fork */
	uint32_t placeholders; /* descriptors that are */
	uint32_t fd_top;       /* all descriptors that we know are below */
	uint32_t fd_changes;   /* incremented before a placeholder's number is given up */
	uint32_t source;       /* 1 + a descriptor that probably is a placeholder */
	uint32_t vacant;       /* 1 + a descriptor that the program has closed, and we not yet: preload/fd-vacant.c */
	uint64_t used;         /* in its lower half: no number below is free */
	uint32_t posix_locked; /* took a POSIX lock at some time */
	uint32_t size_limit;   /* RLIMIT_FSIZE: enum size_limit */
	uint32_t moving;       /* lock: a thread makes a descriptor real (fd-materialise.c) */
	uint32_t vforks;       /* threads between vfork and its return; more of them than vfork_tid: ask for ever */
	uint32_t vfork_tid[PROCESS_FORKERS];
	uint32_t cwd;          /* preload/fd-cwd.c */
	uint32_t cwd_told;     /* and the kernel stands at its token */
	uint32_t tokens;       /* some mount has no FUSE: descriptors that nobody has looked at may be tokens */
	uint32_t mount_checked, mount_good; /* bits: the mount's path leads to the mount in this process */
	/* Wants to know of a descriptor before it is closed or replaced: preload/aio.c, once it is used. */
	void (*closing)(uint32_t fd);
	uint32_t fd[FD_MAX]; /* preload/fd.h */
} __attribute__((aligned(4096))); /* whole pages, and nothing else in them */

struct process_kept {
	uint32_t mode;
	uint32_t limits;
	/* Where the working directory was when we went there, if the kernel cannot: it is ours. Else empty. */
	char cwd[FS_PATH_MAX];
};

extern struct process process;
extern struct process_kept process_kept;

/* Once, by preload_init. 0 or -errno. */
int process_init(uint32_t mode);
/* The start of every call. 0: this is a child that shares our memory; touch nothing, the kernel serves it. */
int process_enter_slow(void);
static inline int process_enter(void)
{
	return __builtin_expect(process.pid && !process.vforks, 1) || process_enter_slow();
}

/* The calling thread is about to vfork, or to clone a process that shares our memory (`for_ever`). */
void process_vfork(int for_ever);

/* Gives up what `limits` says, for good; makes all descriptors real first if that is part of it. */
void process_limit(uint32_t limits);

static inline int process_limited(uint32_t limits)
{
	return (process_kept.limits & limits) != 0;
}

/* Something may write files and is limited in their size: the kernel counts and signals. */
int process_size_limited(void);
void process_size_limit_changed(void);

static inline int process_strict(void)
{
	return process_kept.mode == MODE_STRICT;
}

/* A descriptor, of whomever, is about to be closed or replaced by the program. */
static inline void process_closing(uint64_t fd)
{
	void (*closing)(uint32_t) = __atomic_load_n(&process.closing, __ATOMIC_RELAXED);

	if (__builtin_expect(closing != NULL, 0))
		closing((uint32_t)fd);
}

/* In strict mode ends the program, saying what was broken; else does nothing. */
void process_broken(const char *what, int64_t number);
