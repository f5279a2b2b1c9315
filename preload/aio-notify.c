/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the program that a request has ended: nothing, a signal with a value, or a function in a thread of its
 * own. Cancelled requests are told of like others.
 *
 * What is told was copied when the request was submitted, for its block may be gone by now. A thread that cannot
 * be made is tried again for a while, and then the notice is lost; so is a signal if the process has as many
 * pending as it may.
 */
#include <errno.h>
#include <signal.h>
#include "ipc/sys.h"
#include "preload/aio.h"

enum {
	SIGNALS_MAX = 64,
	TRIES = 100,
	TRY_NS = 10 * 1000 * 1000,
	FROM_ASYNCIO = -4, /* SI_ASYNCIO */
};

/* siginfo_t of a signal with a value, as the kernel has it. */
struct aio_siginfo {
	int32_t signo, error, code, pad;
	int32_t pid;
	uint32_t uid;
	uint64_t value;
	uint64_t rest[12];
};

_Static_assert(sizeof(struct aio_siginfo) == sizeof(siginfo_t), "layout");

int aio_notice_set(struct aio_request *r, const struct aio_event *event)
{
	switch (event->notify) {
	case SIGEV_NONE:
		break;
	case SIGEV_SIGNAL:
		/* 0, as in a block that was zeroed: no signal. */
		if (event->signo < 0 || event->signo > SIGNALS_MAX)
			return -EINVAL;
		break;
	case SIGEV_THREAD:
		if (!event->function)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	r->notice.value = event->value;
	r->notice.signo = event->signo;
	r->notice.notify = event->notify;
	r->notice.function = event->function;
	r->notice.attributes = event->attributes;
	return 0;
}

static void notice_signal(const struct aio_request *r)
{
	struct aio_siginfo info = {.signo = r->notice.signo, .code = FROM_ASYNCIO, .pid = sys_getpid(),
				   .uid = (uint32_t)sys0(__NR_getuid), .value = r->notice.value};

	if (r->notice.signo)
		sys3(__NR_rt_sigqueueinfo, info.pid, info.signo, (long)&info);
}

/* Begins with the signals blocked of whoever made it. */
static void *notice_thread(void *arg)
{
	struct aio_request *r = arg;
	void (*function)(uint64_t) = r->notice.function;
	uint64_t value = r->notice.value;

	aio_request_put(r);
	aio_signals_restore(0);
	function(value);
	return NULL;
}

static int notice_thread_start(struct aio_request *r)
{
	static const struct sys_time while_ = {0, TRY_NS};
	int tries, ret = -EAGAIN;

	for (tries = 0; ret == -EAGAIN && tries < TRIES; tries++) {
		if (tries)
			sys_nanosleep(&while_);
		ret = aio_thread(r->notice.attributes, 0, notice_thread, r);
	}
	return ret;
}

static void notice_give(struct aio_request *r)
{
	if (r->notice.notify == SIGEV_THREAD && notice_thread_start(r) == 0)
		return;
	if (r->notice.notify == SIGEV_SIGNAL)
		notice_signal(r);
	aio_request_put(r);
}

void aio_notify_group(struct aio_request *group)
{
	if (__atomic_sub_fetch(&group->members, 1, __ATOMIC_ACQ_REL) == 0)
		notice_give(group);
}

void aio_notify(struct aio_request *r)
{
	struct aio_request *group = r->group;

	if (r->awaited)
		aio_futex_wake(&r->block->error, 0x7fffffff);
	notice_give(r);
	if (group)
		aio_notify_group(group);
}
