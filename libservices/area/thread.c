/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "libservices/area/thread.h"

enum { STACK = 256 * 1024 }; /* callbacks of others run on it */

int area_thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		pthread_setname_np(*ret, name);
	return -r;
}
