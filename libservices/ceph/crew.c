/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that end in time.
 *
 * A call of libcephfs that needs the cluster blocks until the cluster answers, for ever if need be, and cannot be
 * interrupted without giving up the client and all that it has not yet written. So helpers make the calls: threads of
 * the layer, which may be stuck, while the caller waits until its deadline at most and goes away with -ETIMEDOUT.
 *
 * What a call needs is therefore the job's, not the caller's: copies of names and data, references to inodes and files.
 * A job that was left by its caller goes on; when it ends, what it got is given back (`undo`), and the job with it. What
 * it changed stays changed, as with any file system over a network: a timeout does not say that nothing was done.
 *
 * Most calls are answered from what libcephfs keeps, in less time than it takes to wake a thread. So a helper that has just
 * ended a job looks out for the next for some microseconds before it sleeps, and so does a caller for its answer; but not where
 * the process has one core.
 *
 * There are as many helpers as calls at once, up to a limit; then calls wait in a queue, until their deadline, too. A
 * job that still waits when its time is over never starts.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libservices/ceph/ceph.h"
#include "libservices/wait.h"

enum {
	IDLE_MAX = 8,   /* helpers that wait for work; others end */
	STACK = 1 << 20,
	END_WAIT = 3, /* s, for helpers at the end */
	SPIN = 200,    /* looks, some microseconds: waking a sleeper costs more */
	AGAIN = 100000000, /* ns between attempts of a client that is about to be back */
};

/* ---- the queue --------------------------------------------------------------------------------- */

static void queue_remove(struct ceph_crew *crew, struct ceph_job *j)
{
	TAILQ_REMOVE(&crew->queue, j, link);
	__atomic_store_n(&crew->queued, crew->queued - 1, __ATOMIC_RELAXED);
}

/* What those who look out do not take, a sleeper is woken for. */
static void queue_added(struct ceph_crew *crew)
{
	__atomic_store_n(&crew->queued, crew->queued + 1, __ATOMIC_RELAXED);
	if (crew->queued > crew->looking)
		pthread_cond_signal(&crew->come);
}

/* ---- helpers --------------------------------------------------------------------------------------- */

/* An MDS without room refuses as if it were for lack of rights, with which others were let through before. */
static ssize_t error_of(struct ceph_job *j, ssize_t r)
{
	if (j->changes && r >= 0)
		__atomic_store_n(&j->c->may_change, true, __ATOMIC_RELAXED);
	if (j->changes && r == -EACCES && __atomic_load_n(&j->c->may_change, __ATOMIC_RELAXED))
		return -ENOSPC;
	return r == -ESHUTDOWN || r == -EOWNERDEAD || r == -ENOTCONN ? -EIO : r;
}

/*
 * What one client has changed the MDS shows to another when it has written it down, which is when somebody asks for that, or seconds
 * later. So it is asked where two of ours have to do with it.
 */
static void change_show(struct ceph_job *j)
{
	if (j->meets)
		ceph_ll_sync_inode(j->client->mount, j->inode->in, 0);
}

/*
 * A client that the cluster has thrown out finds a new identity after a moment; meanwhile all calls fail with
 * -ESHUTDOWN. What has not been done can be done then.
 */
static ssize_t job_run(struct ceph_job *j)
{
	struct timespec pause = {0, AGAIN};
	int64_t began = j->changes ? ceph_change_begin() : 0;
	ssize_t r;

	while ((r = j->run(j)) == -ESHUTDOWN && ls_now() + AGAIN < j->deadline)
		nanosleep(&pause, NULL);
	if (j->changes && r >= 0)
		ceph_change_end(j->inode, began);
	if (j->changes && r >= 0 && j->inode2)
		ceph_change_end(j->inode2, began);
	if (j->changes && r >= 0)
		change_show(j);
	return error_of(j, r);
}

/* With the crew's lock held on entry and return. */
static void job_finish(struct ceph_crew *crew, struct ceph_job *j, ssize_t r)
{
	j->result = r;
	if (j->state != CEPH_LEFT) {
		__atomic_store_n(&j->state, CEPH_DONE, __ATOMIC_RELEASE);
		pthread_cond_signal(&j->done);
		return;
	}
	crew->late += j->late;
	pthread_mutex_unlock(&crew->lock);
	if (r >= 0 && j->undo)
		j->undo(j);
	ceph_job_end(j);
	pthread_mutex_lock(&crew->lock);
}

/* With the lock held on entry and return. */
static void look_out(struct ceph_crew *crew)
{
	crew->looking++;
	pthread_mutex_unlock(&crew->lock);
	for (unsigned i = 0; i < crew->spin && !__atomic_load_n(&crew->queued, __ATOMIC_RELAXED); i++)
		__builtin_ia32_pause();
	pthread_mutex_lock(&crew->lock);
	crew->looking--;
}

static void *helper(void *arg)
{
	struct ceph_crew *crew = arg;
	bool awake = false; /* there has just been a job */
	struct ceph_job *j;
	ssize_t r;

	pthread_mutex_lock(&crew->lock);
	for (;;) {
		crew->idle++;
		if (awake && !crew->queued)
			look_out(crew);
		awake = true;
		while (!(j = TAILQ_FIRST(&crew->queue)) && !crew->ending && crew->idle <= IDLE_MAX)
			pthread_cond_wait(&crew->come, &crew->lock);
		crew->idle--;
		if (!j)
			break;
		queue_remove(crew, j);
		if (j->state == CEPH_QUEUED)
			j->state = CEPH_RUNNING;
		pthread_mutex_unlock(&crew->lock);
		r = job_run(j);
		pthread_mutex_lock(&crew->lock);
		job_finish(crew, j, r);
	}
	crew->helpers--;
	pthread_cond_broadcast(&crew->gone);
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* With the lock held. */
static int helper_start(struct ceph_crew *crew)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, helper, crew);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	crew->helpers += r == 0;
	return -r;
}

/* ---- waiting --------------------------------------------------------------------------------------- */

/* Said once when calls get no answer, and once when for a while none has been without. */
static void silence_note(struct ceph *c, bool silent)
{
	struct ceph_crew *crew = &c->crew;

	if (silent)
		__atomic_store_n(&crew->silent_at, ls_now(), __ATOMIC_RELAXED);
	else if (!__atomic_load_n(&crew->silent, __ATOMIC_RELAXED) ||
		 ls_now() - __atomic_load_n(&crew->silent_at, __ATOMIC_RELAXED) <
			 (int64_t)__atomic_load_n(&crew->timeout, __ATOMIC_RELAXED))
		return;
	if (__atomic_exchange_n(&crew->silent, silent, __ATOMIC_RELAXED) != silent)
		fprintf(stderr, silent ? "<4>pool '%s': ceph: the cluster does not answer in time; calls end with ETIMEDOUT\n"
				       : "<5>pool '%s': ceph: the cluster answers again\n",
			c->ls->tenant);
}

/* With the lock held: the time is over. */
static void job_leave(struct ceph_crew *crew, struct ceph_job **j)
{
	crew->timed_out++;
	if ((*j)->state == CEPH_QUEUED) {
		queue_remove(crew, *j);
		return;
	}
	(*j)->state = CEPH_LEFT;
	(*j)->late = true;
	*j = NULL;
}

ssize_t ceph_job_do(struct ceph_job **job)
{
	struct ceph_job *j = *job;
	struct ceph *c = j->c;
	struct ceph_crew *crew = &c->crew;
	ssize_t r = 0;

	pthread_mutex_lock(&crew->lock);
	j->state = CEPH_QUEUED;
	TAILQ_INSERT_TAIL(&crew->queue, j, link);
	crew->calls++;
	if (crew->idle == 0 && crew->helpers < crew->max)
		r = helper_start(crew);
	if (r < 0 && crew->helpers == 0) {
		TAILQ_REMOVE(&crew->queue, j, link);
		pthread_mutex_unlock(&crew->lock);
		return r;
	}
	queue_added(crew);
	pthread_mutex_unlock(&crew->lock);
	for (unsigned i = 0; i < crew->spin && __atomic_load_n(&j->state, __ATOMIC_ACQUIRE) != CEPH_DONE; i++)
		__builtin_ia32_pause();
	pthread_mutex_lock(&crew->lock);
	r = 0;
	while (j->state != CEPH_DONE && r == 0)
		r = -ls_wait_until(&j->done, &crew->lock, j->deadline);
	if (j->state == CEPH_DONE)
		r = j->result;
	else
		job_leave(crew, job);
	pthread_mutex_unlock(&crew->lock);
	silence_note(c, r == -ETIMEDOUT);
	return r;
}

void ceph_job_start(struct ceph_job *j)
{
	struct ceph_crew *crew = &j->c->crew;

	pthread_mutex_lock(&crew->lock);
	j->state = CEPH_LEFT;
	TAILQ_INSERT_HEAD(&crew->queue, j, link);
	if (crew->idle == 0)
		helper_start(crew);
	queue_added(crew);
	pthread_mutex_unlock(&crew->lock);
}

ssize_t ceph_job_do_end(struct ceph_job *j)
{
	ssize_t r = ceph_job_do(&j);

	ceph_job_end(j);
	return r;
}

/* ---- the crew -------------------------------------------------------------------------------------- */

int ceph_crew_init(struct ceph_crew *crew, unsigned max, uint64_t timeout)
{
	cpu_set_t set;

	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->come, NULL);
	pthread_cond_init(&crew->gone, NULL);
	TAILQ_INIT(&crew->queue);
	TAILQ_INIT(&crew->spare);
	crew->max = max;
	crew->spin = sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1 ? SPIN : 0;
	crew->timeout = timeout;
	return 0;
}

bool ceph_crew_fini(struct ceph_crew *crew)
{
	int64_t until = ls_now() + END_WAIT * 1000000000ll;
	struct ceph_job *j;
	int r = 0;

	pthread_mutex_lock(&crew->lock);
	crew->ending = true;
	pthread_cond_broadcast(&crew->come);
	while (crew->helpers && r == 0)
		r = ls_wait_until(&crew->gone, &crew->lock, until);
	r = crew->helpers;
	pthread_mutex_unlock(&crew->lock);
	if (r)
		return false;
	while ((j = TAILQ_FIRST(&crew->spare))) {
		TAILQ_REMOVE(&crew->spare, j, link);
		ceph_job_free(j);
	}
	pthread_cond_destroy(&crew->come);
	pthread_cond_destroy(&crew->gone);
	pthread_mutex_destroy(&crew->lock);
	return true;
}
