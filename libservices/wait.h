/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/*
 * Waits on `cond`, with `lock` held, until it is signalled or it is `when`, as ls_now() has it; 0: without
 * end. 0, also for no reason, or ETIMEDOUT. The clock is named in each wait: the variable needs no
 * attribute for it.
 */
static inline int ls_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t when)
{
	const struct timespec t = {when / 1000000000, when % 1000000000};

	return when ? pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &t)
		    : pthread_cond_wait(cond, lock);
}
