/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

/* A thread of an area: a small stack, no signals. 0 or -errno. */
int area_thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *arg);
