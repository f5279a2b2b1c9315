/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock for many readers or one writer under which nobody starves.
 *
 * glibc's favours one side: readers that overlap keep writers out for ever, or writers that queue keep
 * readers out. Here it favours readers, but while a writer waits, readers that come later queue behind it
 * at the gate.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct fair_lock {
	pthread_rwlock_t rw;
	pthread_mutex_t gate;
	unsigned waiting; /* writers; atomic */
};

static inline void fair_lock_init(struct fair_lock *l)
{
	pthread_rwlock_init(&l->rw, NULL);
	pthread_mutex_init(&l->gate, NULL);
	l->waiting = 0;
}

static inline void fair_lock_fini(struct fair_lock *l)
{
	pthread_rwlock_destroy(&l->rw);
	pthread_mutex_destroy(&l->gate);
}

static inline void fair_lock_read(struct fair_lock *l)
{
	bool queue = __atomic_load_n(&l->waiting, __ATOMIC_RELAXED) > 0;

	if (queue)
		pthread_mutex_lock(&l->gate);
	pthread_rwlock_rdlock(&l->rw);
	if (queue)
		pthread_mutex_unlock(&l->gate);
}

static inline bool fair_lock_try_write(struct fair_lock *l)
{
	return pthread_rwlock_trywrlock(&l->rw) == 0;
}

static inline void fair_lock_write(struct fair_lock *l)
{
	if (fair_lock_try_write(l))
		return;
	__atomic_add_fetch(&l->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&l->gate);
	pthread_rwlock_wrlock(&l->rw);
	pthread_mutex_unlock(&l->gate);
	__atomic_sub_fetch(&l->waiting, 1, __ATOMIC_RELAXED);
}

static inline void fair_unlock(struct fair_lock *l)
{
	pthread_rwlock_unlock(&l->rw);
}
