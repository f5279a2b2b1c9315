/* SPDX-License-Identifier: Apache-2.0 */
/*
 * polytropon-service: the filesystem service of one pool. The engine starts it; it is of no use alone.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuse/door.h"
#include "service/boot.h"
#include "service/booting.h"
#include "service/control.h"
#include "service/cred.h"
#include "service/perm.h"
#include "service/roots.h"
#include "service/sandbox.h"
#include "service/service.h"
#include "service/session.h"
#include "service/share.h"
#include "service/socket.h"
#include "service/lease.h"
#include "service/limit.h"
#include "service/vfs.h"
#include "service/token.h"

/*
 * Descriptors are needed for what all clients have open, whatever the limit is that the engine was started with: as many
 * as the kernel lets a process have, by its own default, or the half of it, and so on.
 */
static void limits_raise(void)
{
	enum { FILES_MOST = 1 << 20 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	for (rlim_t most = FILES_MOST; most > limit.rlim_max; most /= 2)
		if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){most, most}) == 0)
			return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * Clients wait for our threads, each of which has a few microseconds' work for them: to ask for short turns is to be let
 * run when woken, though others are running, with the same share of the core (sched(7), EEVDF, since Linux 6.12). Threads
 * started from here on inherit it.
 */
static void turns_shorten(void)
{
	struct { /* struct sched_attr, which glibc does not have, and whose header it does not bear */
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {.size = sizeof(attr), .policy = SCHED_OTHER, .runtime = 100 * 1000};

	attr.nice = getpriority(PRIO_PROCESS, 0);
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

static int doors_open(struct boot *b, struct service *s)
{
	for (unsigned m = 0; m < s->mount_count; m++) {
		int r;
		if (b->fuse_fd[m] < 0)
			continue;
		r = fuse_door_open(s, s->mount[m], b->fuse_fd[m], b->fuse_live[m], &s->door[m]);
		if (r < 0) {
			snprintf(b->error, sizeof(b->error), "FUSE door of '%s': %s", s->mount[m]->path, strerror(-r));
			return r;
		}
	}
	return 0;
}

static const struct root_door door_of_roots = {fuse_door_open, fuse_door_stop, fuse_door_close};

static int service_start(struct boot *b, struct service *s)
{
	struct back_config config = {.table = s->table, .cpus = s->cpus, .queues = s->queues};
	int r;

	cred_proc_fd = s->proc_fd;
	lock_reap = sessions_reap;
	lock_reap_arg = s;
	vfs_orphaned = sessions_parked_drop;
	vfs_orphaned_arg = s;
	vfs_written = sessions_write;
	vfs_written_arg = s;
	copy_measure(&s->copy);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = s->epoll_fd < 0 ? -errno : back_new(&config, &s->back);
	if (r == 0)
		r = flusher_start(s);
	if (r == 0)
		r = workers_start(s);
	if (r < 0) {
		snprintf(b->error, sizeof(b->error), "start of pool '%s': %s", s->pool, strerror(-r));
		return r;
	}
	r = doors_open(b, s);
	return r < 0 ? r : boot_roots(b, s);
}

/* Clients that wait for a service look at this word. */
static void table_announce(struct service *s, unsigned generation)
{
	s->table->service_pid = getpid();
	__atomic_store_n(&s->table->generation, generation, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->table->service_state, WIRE_SERVICE_UP, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &s->table->generation, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	syscall(SYS_futex, &s->table->service_state, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void service_stop(struct service *s)
{
	leases_end();
	for (unsigned m = 0; m < s->mount_count; m++)
		s->door[m] = fuse_door_close(s->door[m]);
	for (unsigned m = s->mount_count; m < s->root_top; m++)
		if (s->mount[m])
			fuse_door_stop(s->door[m]);
	workers_join(s);
	share_linger_end(NULL);
	limit_stop();
	hosts_locks_end();
	flusher_stop(s);
	for (unsigned m = s->mount_count; m < s->root_top; m++)
		s->mount[m] = instance_free(s->mount[m]);
	for (unsigned m = 0; m < s->mount_count; m++) {
		struct caller self;
		caller_init(&self, DOOR_SELF, s->pool, 0, 0, 0);
		ls_sync(s->mount[m]->stack, &self.call);
		caller_fini(&self);
		tokens_close(s->mount[m]);
		s->mount[m] = instance_free(s->mount[m]);
	}
	roots_fini(s);
}

int main(int argc, char **argv)
{
	static struct boot boot;
	static struct service service;
	int r;

	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts("polytropon-service " POLYTROPON_VERSION);
		return 0;
	}
	if (argc < 2 || argc > 3 || strcmp(argv[1], "--boot")) { /* and the pool's name, for people */
		fprintf(stderr, "polytropon-service is started by polytropon; see polytropon(1)\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	umask(0);
	limits_raise();
	turns_shorten();
	pthread_mutex_init(&service.sessions_lock, NULL);
	pthread_mutex_init(&service.watch_lock, NULL);
	pthread_rwlock_init(&service.mounts_lock, NULL);
	service.root_door = &door_of_roots;
	limit_init();
	r = boot_receive(&boot);
	if (r == 0) {
		boot_prepare(&boot);
		r = sandbox_enter(boot_network(&boot)); /* before layers start threads, which inherit it */
		if (r < 0)
			snprintf(boot.error, sizeof(boot.error), "give up privileges: %s", strerror(-r));
	}
	if (r == 0)
		r = boot_apply(&boot, &service);
	if (r == 0)
		r = service_start(&boot, &service);
	if (r < 0) {
		control_answer(BOOT_FD, control_error(boot.error));
		return 1;
	}
	table_announce(&service, boot.generation);
	control_answer(BOOT_FD, control_ok());
	r = socket_loop(&service);
	service_stop(&service);
	if (service.stop_asked)
		control_answer(BOOT_FD, control_ok());
	return r < 0;
}
