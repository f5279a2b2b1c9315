/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What asynchronous I/O stands on: libc's threads, the way to the files, a lock.
 *
 * Threads are libc's, not raw clones: setuid(2) and its like must reach them (libc tells every thread that it
 * knows), for they make requests in the program's name; and SIGEV_THREAD promises real ones. The functions are
 * looked up by name in the objects that are loaded, in the dynamic linker's order, so a tool that replaces
 * pthread_create is used too.
 */
#include <errno.h>
#include <signal.h>
#include "ipc/sys.h"
#include "preload/aio.h"
#include "preload/dispatch.h"
#include "preload/got.h"

enum {
	THREAD_DETACHED = 1, /* PTHREAD_CREATE_DETACHED of both libcs */
	FUTEX_WAIT_BITSET_PRIVATE = 9 | 128,
	FUTEX_WAKE_PRIVATE = 1 | 128,
	LIBC_SIGNAL = 32,
};

static const char names[] = "pthread_create\0pthread_detach\0pthread_attr_init\0pthread_attr_destroy\0"
			    "pthread_attr_setdetachstate\0pthread_attr_getdetachstate\0"
			    "pthread_attr_setstacksize\0pthread_setcanceltype\0__errno_location\0__libc_current_sigrtmin\0";

enum { FUNCTIONS = sizeof(struct aio_libc) / sizeof(void *) };

enum { LIBC_UNKNOWN, LIBC_GOOD, LIBC_WITHOUT };

static struct aio_libc libc;
static uint32_t libc_known;
/* From 32 to below the program's first: to end threads and to change the identity of all. Two in glibc, three in musl. */
static uint64_t signals_of_libc = 3ull << (LIBC_SIGNAL - 1);

static uintptr_t function_find(const char *name)
{
	const struct link_object *object;
	uintptr_t at = 0;

	for (object = image_objects(); object && !at; object = object->next)
		at = got_function(object, name);
	return at;
}

/* Several threads may do this at once: all come to the same. */
static uint32_t libc_find(void)
{
	uintptr_t *functions = (uintptr_t *)&libc;
	const char *name = names;
	unsigned n, missing = 0;

	for (n = 0; n < FUNCTIONS; n++, name += str_length(name) + 1) {
		functions[n] = function_find(name);
		missing += !functions[n];
	}
	if (missing)
		return LIBC_WITHOUT;
	signals_of_libc = (1ull << (libc.sigrtmin() - 1)) - (1ull << (LIBC_SIGNAL - 1));
	return LIBC_GOOD;
}

const struct aio_libc *aio_libc(void)
{
	uint32_t known = __atomic_load_n(&libc_known, __ATOMIC_ACQUIRE);

	if (known == LIBC_UNKNOWN) {
		known = libc_find();
		__atomic_store_n(&libc_known, known, __ATOMIC_RELEASE);
	}
	return known == LIBC_GOOD ? &libc : NULL;
}

/* With the program's own attributes. A joinable thread that nobody joins would stay for ever. */
static int thread_with(const void *attributes, void *(*start)(void *), void *arg)
{
	uintptr_t thread;
	int state = 0, r;

	libc.attr_getdetachstate(attributes, &state);
	r = libc.create(&thread, attributes, start, arg);
	if (r == 0 && state != THREAD_DETACHED)
		libc.detach(thread);
	return -r;
}

int aio_thread(const void *attributes, size_t stack, void *(*start)(void *), void *arg)
{
	uintptr_t own[AIO_ATTRIBUTES], thread;
	int r;

	if (attributes)
		return thread_with(attributes, start, arg);
	r = libc.attr_init(own);
	if (r)
		return -r;
	libc.attr_setdetachstate(own, THREAD_DETACHED);
	if (stack)
		libc.attr_setstacksize(own, stack);
	r = libc.create(&thread, own, start, arg);
	libc.attr_destroy(own);
	/* glibc takes thread-local storage from the stack; some programs have much of it. */
	return r == EINVAL && stack ? aio_thread(NULL, 0, start, arg) : -r;
}

int64_t aio_answer(int64_t r)
{
	if (r >= 0)
		return r;
	aio_libc();
	if (libc.errno_location)
		*libc.errno_location() = (int)-r;
	return -1;
}

int64_t aio_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct preload_regs regs = {.nr = nr, .a = {a, b, c, d}};

	if (preload_status.coverage != PRELOAD_NONE && preload_dispatch(&regs))
		return regs.ret;
	return sys4(nr, (long)a, (long)b, (long)c, (long)d);
}

/* ---- the lock --------------------------------------------------------------------------------- */

enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED };

uint64_t aio_signals_block(void)
{
	uint64_t block = ~signals_of_libc, old = 0;

	sys4(__NR_rt_sigprocmask, SIG_BLOCK, (long)&block, (long)&old, sizeof(block));
	return old;
}

void aio_signals_restore(uint64_t mask)
{
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask));
}

long aio_futex_wait(const void *word, uint32_t value, const struct sys_time *until)
{
	return sys6(__NR_futex, (long)word, FUTEX_WAIT_BITSET_PRIVATE, value, (long)until, 0, 0xffffffff);
}

void aio_futex_wake(void *word, uint32_t count)
{
	sys3(__NR_futex, (long)word, FUTEX_WAKE_PRIVATE, count);
}

void aio_lock(void)
{
	uint32_t word = LOCK_FREE;

	if (__atomic_compare_exchange_n(&aio.lock, &word, LOCK_HELD, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&aio.lock, LOCK_AWAITED, __ATOMIC_ACQUIRE) != LOCK_FREE)
		aio_futex_wait(&aio.lock, LOCK_AWAITED, NULL);
}

void aio_unlock(void)
{
	uint32_t ring = aio.ring;

	aio.ring = 0;
	if (__atomic_exchange_n(&aio.lock, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED)
		aio_futex_wake(&aio.lock, 1);
	if (ring)
		aio_futex_wake(&aio.calls, ring);
}
