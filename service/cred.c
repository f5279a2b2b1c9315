/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "service/cred.h"

int cred_proc_fd = -1;
const char *const door_names[DOOR_MAX] = {"preload", "fuse", "self"};

/* The line of a status file that begins with `key`, after the key; NULL if there is none. */
static const char *status_line(const char *status, const char *key)
{
	const char *line = strstr(status, key);
	return line ? line + strlen(key) : NULL;
}

static int groups_parse(const char *text, gid_t **ret, size_t *ret_count)
{
	size_t count = 0, room = 16;
	gid_t *groups = malloc(room * sizeof(*groups));

	while (groups && *text && *text != '\n') {
		char *end;
		unsigned long gid = strtoul(text, &end, 10);
		if (end == text)
			break;
		if (count == room) {
			gid_t *more = realloc(groups, (room *= 2) * sizeof(*groups));
			if (!more) {
				free(groups);
				return -ENOMEM;
			}
			groups = more;
		}
		groups[count++] = gid;
		for (text = end; *text == ' '; text++)
			;
	}
	if (!groups)
		return -ENOMEM;
	*ret = groups;
	*ret_count = count;
	return 0;
}

/* The whole file, which is as long as the process has groups; to be freed. NULL with errno. */
static char *status_read(int proc_fd, pid_t pid)
{
	char name[40], *text = NULL;
	size_t size = 0, room = 0, asked;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "%d/status", pid);
	fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	do {
		char *more = realloc(text, (room += 4096) + 1);
		n = -1;
		if (!more)
			break;
		text = more;
		asked = room - size;
		n = read(fd, text + size, asked);
		size += n > 0 ? (size_t)n : 0;
	} while (n == (ssize_t)asked); /* the kernel gives all that fits */
	close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[size] = 0;
	return text;
}

/* Who it is among processes. */
static void process_place(const char *status, struct process *p)
{
	const char *parent = status_line(status, "\nPPid:\t"), *inner = status_line(status, "\nNSpid:");

	sscanf(status, "Name:\t%15[^\n]", p->name);
	p->parent = parent ? atoi(parent) : 0;
	for (; inner && *inner && *inner != '\n'; inner++)
		p->depth += *inner == '\t';
}

static int process_parse(const char *status, struct process *p)
{
	const char *uid = status_line(status, "\nUid:\t"), *gid = status_line(status, "\nGid:\t");
	const char *umask = status_line(status, "\nUmask:\t"), *groups = status_line(status, "\nGroups:\t");
	const char *bound = status_line(status, "\nCapBnd:\t"), *effective = status_line(status, "\nCapEff:\t");
	unsigned saved;

	/* real, effective, saved, filesystem */
	if (!uid || sscanf(uid, "%u %*u %u %u", &p->real_uid, &saved, &p->uid) != 3 || !gid ||
	    sscanf(gid, "%u %*u %u %u", &p->real_gid, &saved, &p->gid) != 3 || !groups)
		return -EPROTO;
	process_place(status, p);
	p->capabilities = effective ? strtoull(effective, NULL, 16) : 0;
	p->mounts = !bound || strtoull(bound, NULL, 16) >> CAP_SYS_ADMIN & 1;
	if (umask)
		p->umask = strtoul(umask, NULL, 8) & 0777;
	return groups_parse(groups, &p->groups, &p->group_count);
}

int process_read(int proc_fd, pid_t pid, struct process *ret)
{
	char *status = status_read(proc_fd, pid);
	struct process p = {.umask = 022};
	int r;

	if (!status)
		return -errno;
	r = process_parse(status, &p);
	free(status);
	if (r == 0)
		*ret = p;
	return r;
}

static int thread_parse(char *status, pid_t *ret_pid, pid_t *ret_inner_tid)
{
	const char *tgid = status_line(status, "\nTgid:\t");
	char *inner = strstr(status, "\nNSpid:\t"), *end;

	if (!tgid || !inner)
		return -EPROTO;
	*ret_pid = atoi(tgid);
	end = strchr(++inner, '\n');
	if (end)
		*end = 0;
	*ret_inner_tid = atoi(strrchr(inner, '\t') + 1);
	return 0;
}

int thread_identify(int proc_fd, pid_t tid, pid_t *ret_pid, pid_t *ret_inner_tid)
{
	char *status = status_read(proc_fd, tid);
	int r = status ? thread_parse(status, ret_pid, ret_inner_tid) : -errno;

	free(status);
	return r;
}

pid_t process_inner_pid(int proc_fd, pid_t pid)
{
	pid_t process, inner;

	return thread_identify(proc_fd, pid, &process, &inner) < 0 ? pid : inner;
}

/* A set of signals: bit n - 1 is signal n. */
static uint64_t status_signals(const char *status, const char *key)
{
	const char *line = status_line(status, key);

	return line ? strtoull(line, NULL, 16) : 0;
}

#define SIGNAL(n) (1ull << ((n) - 1))

bool thread_dies(int proc_fd, pid_t tid)
{
	/* What the default action of does not end a process. */
	static const uint64_t harmless = SIGNAL(SIGSTOP) | SIGNAL(SIGTSTP) | SIGNAL(SIGTTIN) | SIGNAL(SIGTTOU) |
					 SIGNAL(SIGCONT) | SIGNAL(SIGCHLD) | SIGNAL(SIGURG) | SIGNAL(SIGWINCH);
	char *status = status_read(proc_fd, tid);
	uint64_t pending, kept;

	if (!status)
		return true;
	pending = status_signals(status, "\nSigPnd:\t") | status_signals(status, "\nShdPnd:\t");
	kept = status_signals(status, "\nSigBlk:\t") | status_signals(status, "\nSigIgn:\t") |
	       status_signals(status, "\nSigCgt:\t");
	free(status);
	return pending & (SIGNAL(SIGKILL) | (~kept & ~harmless));
}

bool process_is_stopped(int proc_fd, pid_t pid)
{
	char *status = status_read(proc_fd, pid);
	const char *state = status ? strstr(status, "\nState:\t") : NULL;
	bool stopped = state && (state[8] == 'T' || state[8] == 't');

	free(status);
	return stopped;
}

void process_fini(struct process *process)
{
	free(process->groups);
	process->groups = NULL;
}

uint64_t cred_timeout;

/* The service's own work has all the time that it needs: nobody waits for it. */
static int64_t deadline_of(enum door door)
{
	uint64_t timeout = __atomic_load_n(&cred_timeout, __ATOMIC_RELAXED);

	return !timeout || door == DOOR_SELF ? 0 : ls_now() + (int64_t)timeout;
}

void caller_init(struct caller *caller, enum door door, const char *tenant, uid_t uid, gid_t gid, pid_t pid)
{
	caller->call = (struct ls_call){.tenant = tenant, .cred = &caller->cred, .deadline = deadline_of(door)};
	caller->cred = (struct ls_cred){.uid = uid, .gid = gid};
	caller->door = door;
	caller->pid = pid;
	caller->tid = pid;
	caller->umask = 0;
	caller->session = NULL;
	caller->lease = NULL;
	caller->learns = false;
	caller->groups_known = false;
	caller->more_groups = NULL;
}

void caller_fini(struct caller *caller)
{
	free(caller->more_groups);
	caller->more_groups = NULL;
}

bool caller_is_root(const struct caller *caller)
{
	return caller->cred.uid == 0;
}

static void caller_load_groups(struct caller *caller)
{
	struct process p = {0};

	caller->groups_known = true;
	if (caller->pid <= 0 || process_read(cred_proc_fd, caller->pid, &p) < 0)
		return;
	caller->more_groups = p.groups;
	caller->cred.groups = p.groups;
	caller->cred.group_count = p.group_count;
}

bool caller_in_group(struct caller *caller, gid_t gid)
{
	if (caller->cred.gid == gid)
		return true;
	if (!caller->groups_known)
		caller_load_groups(caller);
	for (size_t i = 0; i < caller->cred.group_count; i++)
		if (caller->cred.groups[i] == gid)
			return true;
	return false;
}
