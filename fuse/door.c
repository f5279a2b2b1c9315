/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuse/door-internal.h"
#include "fuse/ops.h"

/* Interrupts a thread's read of /dev/fuse; nothing else. */
static void on_stop_signal(int signal)
{
}

static void *door_run(void *arg)
{
	struct fuse_door *door = arg;
	struct fuse_buf buf = {.mem = NULL};

	while (!__atomic_load_n(&door->stopping, __ATOMIC_ACQUIRE)) {
		int n = turn_receive(door, &buf);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) /* unmounted */
			break;
		door_message(door, &buf);
		turn_served(door);
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
