/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: the identity that a request is checked with.
 *
 * A session's comes from the kernel at attach (SO_PEERCRED, SO_PEERGROUPS, /proc), a FUSE request's from
 * its header. Supplementary groups of a FUSE request are read from /proc only when an answer depends on
 * them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "libservices/libservice.h"

enum door { DOOR_PRELOAD, DOOR_FUSE, DOOR_SELF, DOOR_MAX };
extern const char *const door_names[DOOR_MAX];

enum { CRED_GROUPS_MAX = 64 };

struct session;
struct lease;

/* One request being served. Lives on the stack of the thread that serves it. */
struct caller {
	struct ls_call call; /* call.cred points to cred */
	struct ls_cred cred;
	enum door door;
	pid_t pid; /* thread group, in the host's PID namespace; 0 where unknown */
	pid_t tid;
	mode_t umask; /* for what this request makes, of the mode that it asks for */
	struct session *session; /* of DOOR_PRELOAD */
	struct lease *lease;     /* where to enter what the caller may know: lease.h; NULL: nowhere */
	uint32_t lease_id;
	bool learns;             /* enter what this request finds on its way */
	bool groups_known;
	gid_t groups[CRED_GROUPS_MAX];
	gid_t *more_groups; /* instead of groups[] where there are more; owned */
};

/* What the service knows of a process from the kernel. */
struct process {
	uid_t uid, real_uid;
	gid_t gid, real_gid;
	mode_t umask;
	pid_t parent;   /* in the host's PID namespace */
	unsigned depth; /* of its PID namespace: 1 is the host's */
	char name[16];
	bool mounts; /* it may change its mount namespace, or become who may */
	uint64_t capabilities; /* effective ones, as bits */
	gid_t *groups; /* owned */
	size_t group_count;
};

/* Reads /proc/<pid>/status; fs ids are the effective ones. 0 or -errno. */
int process_read(int proc_fd, pid_t pid, struct process *ret);
void process_fini(struct process *process);
/* By a signal or a debugger. */
bool process_is_stopped(int proc_fd, pid_t pid);

/* A thread's process, and the thread's number in its innermost PID namespace. 0 or -errno. */
int thread_identify(int proc_fd, pid_t tid, pid_t *ret_pid, pid_t *ret_inner_tid);
/* A process's number in its innermost PID namespace; the one given if that cannot be told. */
pid_t process_inner_pid(int proc_fd, pid_t pid);

/* A signal that ends it waits for the thread, or it has ended already. */
bool thread_dies(int proc_fd, pid_t tid);

void caller_init(struct caller *caller, enum door door, const char *tenant, uid_t uid, gid_t gid, pid_t pid);
void caller_fini(struct caller *caller);

bool caller_is_root(const struct caller *caller);
bool caller_in_group(struct caller *caller, gid_t gid);

/* How long a client's operation may wait for what stores the files, in ns; 0: for ever. Set by the key `timeout`. */
extern uint64_t cred_timeout;

/* Set once at start: the host's /proc, for groups of FUSE callers. */
extern int cred_proc_fd;
