/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuse/door-internal.h"
#include "fuse/ops.h"

enum {
	SPIN_NS = 40 * 1000,
	YIELD_NS = 5 * 1000,   /* of spinning, and others may run */
	CROWDED_NS = 5 * 1000,
	GAP_MAX_NS = 60 * 1000, /* between two messages that are close: who sleeps meanwhile is woken in that */
	STREAK_MIN = 8,        /* so many that are close, and it is worth to spin */
	PAUSES = 16,
};

/* Interrupts a thread's read of /dev/fuse; nothing else. */
static void on_stop_signal(int signal)
{
}

/*
 * The kernel wakes readers by turns. So only few are let read while there is little to do: one that has just been at
 * work is quicker than one that has slept. When all of those are at work, another takes their place.
 */
static void turn_wait(struct fuse_door *door)
{
	pthread_mutex_lock(&door->turn_lock);
	while (door->waiting >= DOOR_WAITING && !__atomic_load_n(&door->stopping, __ATOMIC_ACQUIRE))
		pthread_cond_wait(&door->turn, &door->turn_lock);
	door->waiting++;
	pthread_mutex_unlock(&door->turn_lock);
}

static void turn_over(struct fuse_door *door)
{
	bool last;

	pthread_mutex_lock(&door->turn_lock);
	last = --door->waiting == 0;
	pthread_mutex_unlock(&door->turn_lock);
	if (last)
		pthread_cond_signal(&door->turn);
}

/* Lets others have the core. False if they took it for so long that spinning on it is wrong. */
static bool core_shared(int64_t *now)
{
	int64_t before = *now;

	sched_yield();
	*now = ls_now();
	return *now - before < CROWDED_NS;
}

/*
 * To be woken takes longer than to serve most messages. Where they follow each other closely, who has served one looks
 * whether there is another, for about as long as that, and by himself.
 */
static void door_spin(struct fuse_door *door)
{
	struct pollfd readable = {.fd = door->fd, .events = POLLIN};
	int64_t now = ls_now(), end = now + SPIN_NS, yield = now + YIELD_NS;

	if (__atomic_load_n(&door->streak, __ATOMIC_RELAXED) < STREAK_MIN ||
	    __atomic_load_n(&door->service->table->one_core, __ATOMIC_RELAXED) ||
	    __atomic_exchange_n(&door->spins, true, __ATOMIC_ACQUIRE))
		return;
	while (now < end && poll(&readable, 1, 0) == 0) {
		for (unsigned i = 0; i < PAUSES; i++)
			__builtin_ia32_pause(); /* each look takes the lock that who asks needs, too */
		now = ls_now();
		if (now < yield)
			continue;
		if (!core_shared(&now))
			break;
		yield = now + YIELD_NS;
	}
	__atomic_store_n(&door->spins, false, __ATOMIC_RELEASE);
}

/* A message has come; the one before was served at `served`. */
static void streak_note(struct fuse_door *door, int64_t served)
{
	unsigned streak = __atomic_load_n(&door->streak, __ATOMIC_RELAXED);
	bool close = served && ls_now() - served < GAP_MAX_NS;

	__atomic_store_n(&door->streak, !close ? 0 : streak < STREAK_MIN ? streak + 1 : streak, __ATOMIC_RELAXED);
}

static void *door_run(void *arg)
{
	struct fuse_door *door = arg;
	struct fuse_buf buf = {.mem = NULL};

	while (!__atomic_load_n(&door->stopping, __ATOMIC_ACQUIRE)) {
		int n;
		turn_wait(door);
		door_spin(door);
		n = fuse_session_receive_buf(door->session, &buf);
		turn_over(door);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) /* unmounted */
			break;
		streak_note(door, __atomic_load_n(&door->served_at, __ATOMIC_RELAXED));
		door_message(door, &buf);
		__atomic_store_n(&door->served_at, ls_now(), __ATOMIC_RELAXED);
	}
	free(buf.mem);
	return NULL;
}

static int threads_start(struct fuse_door *door)
{
	pthread_attr_t attr;
	int r = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 * 1024);
	while (door->threads < DOOR_THREADS && r == 0) {
		r = pthread_create(&door->thread[door->threads], &attr, door_run, door);
		if (r == 0)
			door->threads++;
	}
	pthread_attr_destroy(&attr);
	return door->threads ? 0 : -r;
}

/* INIT is answered by one thread, before there are others. */
static int init_first(struct fuse_door *door)
{
	struct fuse_buf buf = {.mem = NULL};
	int n;

	do
		n = fuse_session_receive_buf(door->session, &buf);
	while (n == -EINTR || n == -EAGAIN);
	if (n > 0)
		fuse_session_process_buf(door->session, &buf);
	free(buf.mem);
	return n > 0 && door->init_answered ? 0 : -EPROTO;
}

int fuse_door_open(struct service *s, struct instance *fs, int fd, bool live, struct fuse_door **ret)
{
	char *argv[] = {"polytropon", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct sigaction stop = {.sa_handler = on_stop_signal};
	struct fuse_door *door = calloc(1, sizeof(*door));
	int r;

	if (!door) {
		close(fd);
		return -ENOMEM;
	}
	*door = (struct fuse_door){.service = s, .fs = fs, .fd = fd, .replay = live,
				   .init = s->table->mount[fs->index].fuse_init,
				   .incarnation = s->table->generation + 1};
	pthread_mutex_init(&door->files_lock, NULL);
	pthread_mutex_init(&door->turn_lock, NULL);
	pthread_cond_init(&door->turn, NULL);
	pthread_cond_init(&door->held_less, NULL);
	sigaction(SIGUSR1, &stop, NULL);
	door->session = fuse_session_new(&args, &fuse_door_ops, sizeof(fuse_door_ops), door);
	r = door->session ? fuse_session_custom_io(door->session, &fuse_door_io, fd) : -ENOMEM;
	if (r == 0)
		r = init_first(door);
	if (r < 0) {
		fuse_door_close(door);
		return r;
	}
	/* INC_EPOCH came with FUSE 7.44; what an earlier service told the kernel is void. */
	door->epoch = door->init[0] > 7 || door->init[1] >= 44;
	fs->door = door;
	fs->hooks = &fuse_door_hooks;
	if (live) {
		door_names_void(door);
		door_resend(door);
	}
	r = threads_start(door);
	if (r < 0) {
		fuse_door_close(door);
		return r;
	}
	*ret = door;
	return 0;
}

void fuse_door_stop(struct fuse_door *door)
{
	pthread_mutex_lock(&door->turn_lock);
	__atomic_store_n(&door->stopping, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&door->turn);
	pthread_cond_broadcast(&door->held_less);
	pthread_mutex_unlock(&door->turn_lock);
	while (door->threads > 0) {
		pthread_t thread = door->thread[door->threads - 1];
		/* The signal may come before the read that it is to end. */
		while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
			pthread_kill(thread, SIGUSR1);
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		door->threads--;
	}
	door_held_end(door);
	for (unsigned i = 0; i < door->file_room; i++)
		ofd_unref(door->files[i].ofd);
	free(door->files);
	door->files = NULL;
	door->file_room = 0;
}

struct fuse_door *fuse_door_close(struct fuse_door *door)
{
	if (!door)
		return NULL;
	door->fs->hooks = NULL;
	fuse_door_stop(door);
	if (door->session)
		fuse_session_destroy(door->session); /* closes the descriptor */
	else
		close(door->fd);
	pthread_mutex_destroy(&door->files_lock);
	pthread_mutex_destroy(&door->turn_lock);
	pthread_cond_destroy(&door->turn);
	pthread_cond_destroy(&door->held_less);
	free(door);
	return NULL;
}
