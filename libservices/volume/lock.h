/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock for many readers or one writer under which nobody starves: while somebody waits to write, those
 * who come later queue behind him at the gate. glibc's own favours one side for ever.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct vol_lock {
	pthread_rwlock_t rw;
	pthread_mutex_t gate;
	unsigned waiting; /* to write; atomic */
};

static inline void vol_lock_init(struct vol_lock *l)
{
	pthread_rwlock_init(&l->rw, NULL);
	pthread_mutex_init(&l->gate, NULL);
	l->waiting = 0;
}

static inline void vol_lock_fini(struct vol_lock *l)
{
	pthread_rwlock_destroy(&l->rw);
	pthread_mutex_destroy(&l->gate);
}

static inline void vol_lock_read(struct vol_lock *l)
{
	if (__atomic_load_n(&l->waiting, __ATOMIC_RELAXED) == 0) {
		pthread_rwlock_rdlock(&l->rw);
		return;
	}
	pthread_mutex_lock(&l->gate);
	pthread_rwlock_rdlock(&l->rw);
	pthread_mutex_unlock(&l->gate);
}

static inline bool vol_lock_try_write(struct vol_lock *l)
{
	return pthread_rwlock_trywrlock(&l->rw) == 0;
}

static inline void vol_lock_write(struct vol_lock *l)
{
	if (vol_lock_try_write(l))
		return;
	__atomic_add_fetch(&l->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&l->gate);
	pthread_rwlock_wrlock(&l->rw);
	pthread_mutex_unlock(&l->gate);
	__atomic_sub_fetch(&l->waiting, 1, __ATOMIC_RELAXED);
}

static inline void vol_unlock(struct vol_lock *l)
{
	pthread_rwlock_unlock(&l->rw);
}
