/* SPDX-License-Identifier: Apache-2.0 */
/* Front and back driver together: calls, and all that may happen to a thread in a call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ipc/rcqb.h"
#include "tests/unit/ipc/server.h"

#define SECOND 1000000000ull

struct fixture {
	char *dir;
	int cpus[WIRE_QUEUES_MAX];
	struct server_config config;
	struct server *server;
	struct front *f;
	char *stacks; /* of one test */
	int failures;
};

enum { STACK = 1 << 20 };

static struct front *front_new(const char *dir)
{
	struct front *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(f, MAP_FAILED);
	assert_int_equal(madvise(f, sizeof(*f), MADV_WIPEONFORK), 0);
	f->dir = dir;
	return f;
}

static void front_free(struct front *f)
{
	front_detach(f);
	munmap(f, sizeof(*f));
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	x->dir = server_dir_new();
	x->config = (struct server_config){.dir = x->dir, .cpus = x->cpus, .workers = 2, .pin = 1};
	x->config.queues = server_cpus(x->cpus, 4);
	if (x->config.queues == 1)
		x->cpus[1] = x->cpus[0];
	x->f = front_new(x->dir);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	front_free(x->f);
	if (x->server)
		server_stop(x->server);
	server_dir_remove(x->dir);
	free(x);
	return 0;
}

static void fixture_start(struct fixture *x)
{
	assert_int_equal(server_start(&x->config, &x->server), 0);
	assert_int_equal(front_attach(x->f, SECOND), 0);
}

/* ---- calls -------------------------------------------------------------------------------------- */

static int call(struct front *f, struct wire_request request, int interruptible, int64_t *ret_result)
{
	struct wire_slot *slot = front_claim(f);
	int r;

	if (!slot)
		return -ENOTCONN;
	slot->request = request;
	r = front_call(f, slot, interruptible);
	if (r == 0)
		*ret_result = slot->reply.result;
	front_release(f, slot);
	return r;
}

static int call_null(struct front *f, uint64_t arg)
{
	int64_t result = 0;
	int r = call(f, (struct wire_request){.op = WIRE_NULL, .arg = arg}, 0, &result);

	return r < 0 ? r : result == (int64_t)(2 * arg) ? 0 : -EBADMSG;
}

static int call_op(struct front *f, enum wire_op op, uint64_t length, int interruptible)
{
	int64_t result = 0;
	int r = call(f, (struct wire_request){.op = (uint16_t)op, .length = length}, interruptible, &result);

	return r < 0 ? r : (int)result;
}

static unsigned orphans(const struct front *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FRONT_SESSIONS; i++)
		for (unsigned j = 0; j < WIRE_SLOTS; j++)
			n += f->sessions[i].claim[j].orphan;
	return n;
}

static unsigned claims(const struct front *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FRONT_SESSIONS; i++)
		for (unsigned j = 0; j < WIRE_SLOTS; j++)
			n += f->sessions[i].claim[j].claimed && !f->sessions[i].claim[j].orphan;
	return n;
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	while (nanosleep(&t, &t) < 0)
		continue;
}

static int64_t cpu_us(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000ll + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void requests_are_answered(void **state)
{
	struct fixture *x = *state;

	fixture_start(x);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(call_null(x->f, i), 0);
	assert_int_equal(claims(x->f), 0);
}

static void payloads_come_back(void **state)
{
	struct fixture *x = *state;
	static const struct {
		int where;
		size_t size;
	} cases[] = {{WIRE_IN_INLINE, WIRE_INLINE}, {WIRE_IN_BULK, WIRE_BULK}};

	fixture_start(x);
	for (int i = 0; i < 2; i++) {
		struct wire_slot *slot = front_claim(x->f);
		const unsigned char *payload = front_payload(slot, cases[i].where);

		slot->request = (struct wire_request){.op = WIRE_READ, .arg = 0xa0 + (uint64_t)i,
			.where = (uint16_t)cases[i].where, .length = cases[i].size};
		assert_int_equal(front_call(x->f, slot, 0), 0);
		for (size_t j = 0; j < cases[i].size; j++)
			assert_int_equal(payload[j], 0xa0 + i);
		front_release(x->f, slot);
	}
}

struct caller {
	struct front *f;
	unsigned calls;
	int failures;
	pthread_t thread;
};

static void *caller_run(void *arg)
{
	struct caller *c = arg;

	for (unsigned i = 0; i < c->calls; i++)
		c->failures += call_null(c->f, i) != 0;
	return NULL;
}

/* More threads than slots, and than cores. */
static void threads_share_a_session(void **state)
{
	struct fixture *x = *state;
	struct caller callers[40];

	fixture_start(x);
	for (int i = 0; i < 40; i++) {
		callers[i] = (struct caller){.f = x->f, .calls = 500};
		assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]), 0);
	}
	for (int i = 0; i < 40; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].failures, 0);
	}
	assert_int_equal(claims(x->f), 0);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* How many had to report that they were not. */
static uint64_t others_are_served_during(struct fixture *x, enum wire_op op)
{
	struct back_counters counters;
	int status;
	pid_t pid;

	x->config.queues = 1; /* all use the same */
	fixture_start(x);
	pid = fork();
	if (pid == 0) {
		struct front *f = front_new(x->dir);

		if (front_attach(f, SECOND) < 0)
			_exit(1);
		/* From another core, so that the worker spins, and says so during the long request, too. */
		pin(x->cpus[1]);
		for (uint64_t i = 0; i < 5000; i++)
			if (call_null(f, i) < 0)
				_exit(2);
		_exit(call_op(f, op, SECOND * 9 / 10, 0) != 0);
	}
	sleep_ms(300);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(call_null(x->f, i), 0);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* the long one is still under way */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	back_counters(server_back(x->server), &counters);
	x->server = server_stop(x->server);
	return counters.kicks;
}

/* A report helps, but late. On a machine that is busy with other things there may be one for no fault of ours. */
static void assert_others_are_served_during(struct fixture *x, enum wire_op op)
{
	for (int i = 0; i < 3; i++)
		if (others_are_served_during(x, op) == 0)
			return;
	fail_msg("the others had to wait");
}

static void a_long_request_delays_nobody(void **state)
{
	assert_others_are_served_during(*state, WIRE_FSYNC);
}

static void not_even_if_it_was_not_announced(void **state)
{
	assert_others_are_served_during(*state, WIRE_SYNCFS);
}

/* ---- signals ------------------------------------------------------------------------------------ */

static struct front *handler_front;
static volatile int handler_result, handler_runs;
static sigjmp_buf handler_jump;

static void handler_call(int sig)
{
	handler_result = call_null(handler_front, 4242);
	handler_runs++;
}

static void handler_note(int sig)
{
	handler_runs++;
}

static void handler_leave(int sig)
{
	handler_runs++;
	siglongjmp(handler_jump, 1);
}

static void handle(void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	handler_runs = 0;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

static void alarm_in_ms(unsigned ms)
{
	struct itimerval timer = {.it_value = {ms / 1000, ms % 1000 * 1000}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void a_handler_may_call_while_a_call_waits(void **state)
{
	struct fixture *x = *state;

	fixture_start(x);
	handler_front = x->f;
	handler_result = -1;
	handle(handler_call, 0);
	alarm_in_ms(50);
	assert_int_equal(call_op(x->f, WIRE_FSYNC, SECOND / 5, 0), 0);
	assert_int_equal(handler_runs, 1);
	assert_int_equal(handler_result, 0);
	assert_int_equal(claims(x->f), 0);
}

static void a_handler_may_call_at_any_moment(void **state)
{
	struct fixture *x = *state;
	struct itimerval often = {{0, 200}, {0, 200}};

	fixture_start(x);
	handler_front = x->f;
	handler_result = 0;
	handle(handler_call, SA_RESTART);
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t i = 0; i < 30000; i++) {
		assert_int_equal(call_null(x->f, i), 0);
		assert_int_equal(handler_result, 0);
	}
	alarm_in_ms(0);
	assert_true(handler_runs > 0);
	assert_int_equal(claims(x->f), 0);
}

/* The handlers' stack lies right above the thread's: there a handler's frame looks like a caller's. */
static void *call_with_a_stack_above(void *arg)
{
	struct fixture *x = arg;
	stack_t stack = {.ss_sp = x->stacks + STACK, .ss_size = STACK}, none = {.ss_flags = SS_DISABLE};
	sigset_t alarm_only;

	sigaltstack(&stack, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	for (int i = 0; i < 5; i++) {
		alarm_in_ms(10);
		x->failures += call_op(x->f, WIRE_FSYNC, SECOND / 50, 0) != 0;
		x->failures += handler_result != 0 || claims(x->f) != 0 || orphans(x->f) != 0;
	}
	sigaltstack(&none, NULL);
	return NULL;
}

static void a_handler_on_its_own_stack_steals_nothing(void **state)
{
	struct fixture *x = *state;
	pthread_attr_t attributes;
	sigset_t alarm_only;
	pthread_t thread;

	fixture_start(x);
	x->stacks = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	handler_front = x->f;
	handle(handler_call, SA_RESTART | SA_ONSTACK);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstack(&attributes, x->stacks, STACK), 0);
	assert_int_equal(pthread_create(&thread, &attributes, call_with_a_stack_above, x), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	assert_int_equal(x->failures, 0);
	assert_int_equal(handler_runs, 5);
	munmap(x->stacks, 2 * STACK);
}

static void a_lock_wait_is_interrupted(void **state)
{
	struct fixture *x = *state;

	fixture_start(x);
	handle(handler_note, 0);
	alarm_in_ms(50);
	assert_int_equal(call_op(x->f, WIRE_FLOCK, 0, 1), -EINTR);
	assert_int_equal(handler_runs, 1);
	assert_int_equal(claims(x->f), 0);
	assert_int_equal(call_null(x->f, 1), 0);
}

static void *flush_later(void *arg)
{
	sleep_ms(300);
	call_op(arg, WIRE_FLUSH, 0, 0);
	return NULL;
}

/* The claim that front-wait.c is built on: futex_waitv goes on after a handler with SA_RESTART. */
static void a_lock_wait_is_restarted(void **state)
{
	struct fixture *x = *state;
	struct itimerval often = {{0, 20000}, {0, 20000}};
	sigset_t alarm_only;
	pthread_t thread;

	fixture_start(x);
	handle(handler_note, SA_RESTART);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	assert_int_equal(pthread_create(&thread, NULL, flush_later, x->f), 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(call_op(x->f, WIRE_FLOCK, 0, 1), 0);
	alarm_in_ms(0);
	assert_true(handler_runs >= 5);
	pthread_join(thread, NULL);
}

static void an_uninterruptible_call_goes_on(void **state)
{
	struct fixture *x = *state;

	fixture_start(x);
	handle(handler_note, 0);
	alarm_in_ms(30);
	assert_int_equal(call_op(x->f, WIRE_FSYNC, SECOND / 10, 0), 0);
	assert_int_equal(handler_runs, 1);
}

static void a_call_that_was_jumped_out_of_is_found(void **state)
{
	struct fixture *x = *state;
	volatile int i;

	fixture_start(x);
	handle(handler_leave, 0);
	/* Many more often than there are slots. */
	for (i = 0; i < 3 * WIRE_SLOTS; i++) {
		if (!sigsetjmp(handler_jump, 1)) {
			alarm_in_ms(3);
			call_op(x->f, WIRE_FLOCK, 0, 1);
			fail();
		}
		assert_int_equal(call_null(x->f, 1), 0);
	}
	assert_int_equal(handler_runs, 3 * WIRE_SLOTS);
	assert_true(claims(x->f) <= 1); /* the last one is found by a call from the same place */
	assert_true(server_waits(x->server) <= 1); /* what they waited for was cancelled */
}

/* ---- threads and processes that end --------------------------------------------------------------- */

/* Ends the thread at once, as nothing of libc does: no frame is left in order. */
static void handler_dies(int sig)
{
	syscall(SYS_exit, 0);
}

static void *wait_for_ever(void *arg)
{
	call_op(arg, WIRE_FLOCK, 0, 0);
	return NULL;
}

static void slots_of_dead_threads_are_found(void **state)
{
	struct fixture *x = *state;
	pthread_t threads[WIRE_SLOTS];

	fixture_start(x);
	handle(handler_dies, 0);
	for (int i = 0; i < WIRE_SLOTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_ever, x->f), 0);
	while (server_waits(x->server) < WIRE_SLOTS)
		sleep_ms(1);
	sleep_ms(20); /* until all sleep */
	for (int i = 0; i < WIRE_SLOTS; i++) {
		pthread_kill(threads[i], SIGALRM);
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(claims(x->f), WIRE_SLOTS);
	server_end_waits(x->server);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(call_null(x->f, i), 0);
}

static void a_forked_child_begins_anew(void **state)
{
	struct fixture *x = *state;
	int status;
	pid_t pid;

	fixture_start(x);
	assert_int_equal(call_null(x->f, 1), 0);
	pid = fork();
	if (pid == 0) {
		if (x->f->attached || front_claim(x->f))
			_exit(1);
		x->f->dir = x->dir;
		if (front_attach(x->f, SECOND) < 0)
			_exit(2);
		for (uint64_t i = 0; i < 1000; i++)
			if (call_null(x->f, i) < 0)
				_exit(3);
		_exit(0);
	}
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(call_null(x->f, i), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_vfork_child_may_call(void **state)
{
	struct fixture *x = *state;
	int status;
	pid_t pid;

	fixture_start(x);
	pid = vfork();
	if (pid == 0)
		_exit(call_null(x->f, 5) != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(call_null(x->f, 1), 0);
	assert_int_equal(claims(x->f), 0);
}

static void lock_waits_leave_slots_for_others(void **state)
{
	struct fixture *x = *state;
	struct wire_slot *slots[WIRE_SLOTS / 2];
	struct front_claim *claim;

	fixture_start(x);
	claim = x->f->sessions[x->f->attached - 1].claim;
	for (int i = 0; i < WIRE_SLOTS / 2; i++)
		slots[i] = front_claim(x->f);
	/* What other threads' waits look like. */
	for (int i = 0; i < WIRE_SLOTS; i++)
		claim[i].patient = claim[i].claimed;
	assert_int_equal(call_op(x->f, WIRE_FLOCK, 0, 1), -EAGAIN);
	assert_int_equal(server_waits(x->server), 0);
	assert_int_equal(front_pause(x->f), 0);
	for (int i = 0; i < WIRE_SLOTS / 2; i++)
		front_release(x->f, slots[i]);
	assert_int_equal(call_null(x->f, 1), 0);
}

static void front_pause_is_interrupted(void **state)
{
	struct fixture *x = *state;
	struct itimerval often = {{0, 20000}, {0, 20000}};
	int r = 0;

	handle(handler_note, 0);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 1000 && r == 0; i++)
		r = front_pause(x->f);
	alarm_in_ms(0);
	assert_int_equal(r, -EINTR);
}

/* ---- the service ends ------------------------------------------------------------------------------ */

struct burial {
	const char *dir;
	pid_t server;
	pthread_t thread;
};

static void *bury_later(void *arg)
{
	struct burial *b = arg;

	sleep_ms(200);
	kill(b->server, SIGKILL);
	waitpid(b->server, NULL, 0);
	server_bury(b->dir);
	return NULL;
}

static void a_dead_service_wakes_its_clients(void **state)
{
	struct fixture *x = *state;
	struct burial b = {.dir = x->dir, .server = server_fork(&x->config)};
	time_t start = time(NULL);

	assert_true(b.server > 0);
	assert_int_equal(front_attach(x->f, SECOND), 0);
	assert_int_equal(pthread_create(&b.thread, NULL, bury_later, &b), 0);
	assert_int_equal(call_op(x->f, WIRE_FLOCK, 0, 0), -EIO);
	assert_true(time(NULL) - start <= 2);
	pthread_join(b.thread, NULL);
	assert_int_equal(call_null(x->f, 1), -EIO);
	assert_int_equal(front_attach(x->f, SECOND / 5), -EAGAIN); /* it waited in vain */
}

static void sessions_follow_the_service(void **state)
{
	struct fixture *x = *state;
	struct wire_slot *held;
	pid_t pid = server_fork(&x->config);

	assert_int_equal(front_attach(x->f, SECOND), 0);
	for (int lap = 0; lap < 3 * FRONT_SESSIONS; lap++) {
		assert_int_equal(call_null(x->f, 7), 0);
		held = front_claim(x->f);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		server_bury(x->dir);
		pid = server_fork(&x->config);
		assert_int_equal(front_attach(x->f, 5 * SECOND), 0);
		/* A slot of the dead service's session stays where it is until it is released. */
		held->request.op = WIRE_NULL;
		assert_int_equal(front_call(x->f, held, 0), -EIO);
		front_release(x->f, held);
		assert_int_equal(claims(x->f), 0);
		for (unsigned i = 0; i < FRONT_SESSIONS; i++)
			assert_true(i + 1 == x->f->attached || !x->f->sessions[i].segment);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void attaching_waits_for_a_restart(void **state)
{
	struct fixture *x = *state;
	pid_t pid = server_fork(&x->config), starter;

	assert_int_equal(front_attach(x->f, SECOND), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	server_bury(x->dir);
	starter = fork();
	if (starter == 0) {
		struct server *server;

		sleep_ms(300);
		if (server_start(&x->config, &server) < 0)
			_exit(1);
		sleep_ms(2000);
		_exit(0);
	}
	assert_int_equal(front_attach(x->f, 10 * SECOND), 0);
	assert_int_equal(call_null(x->f, 1), 0);
	kill(starter, SIGKILL);
	waitpid(starter, NULL, 0);
}

static void outside_of_a_pool_there_is_no_table(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(front_table(x->f), -ENOENT);
	assert_int_equal(front_attach(x->f, 0), -ENOENT);
	assert_null(front_claim(x->f));
}

/* ---- lost requests --------------------------------------------------------------------------------- */

/* Every slot of every queue looks as if it were still full, of a lap that is far away. */
static void ruin(struct front *f)
{
	struct front_session *s = &f->sessions[f->attached - 1];

	for (unsigned q = 0; q < s->queue_count; q++) {
		struct rcqb *ring = (struct rcqb *)(s->queues + (size_t)q * s->queue_stride);

		for (unsigned i = 0; i < 1u << s->queue_shift; i++)
			ring->slot[i].word = rcqb_empty(s->queue_shift, ring->tail) - (5ull << RCQB_TURN_SHIFT);
	}
}

static void a_ruined_queue_is_kicked(void **state)
{
	struct fixture *x = *state;
	struct back_counters counters;

	fixture_start(x);
	for (uint64_t i = 0; i < 20; i++) {
		sleep_ms(2);
		ruin(x->f);
		assert_int_equal(call_null(x->f, i), 0);
	}
	back_counters(server_back(x->server), &counters);
	assert_true(counters.kicks > 0);
}

static void a_request_in_no_queue_is_kicked(void **state)
{
	struct fixture *x = *state;
	struct wire_slot *slot;

	fixture_start(x);
	sleep_ms(20); /* until the workers sleep */
	slot = front_claim(x->f);
	slot->request = (struct wire_request){.op = WIRE_NULL, .arg = 8};
	__atomic_store_n(&slot->state, WIRE_SLOT_SUBMITTED, __ATOMIC_RELEASE);
	assert_int_equal(front_hello(x->f, WIRE_HELLO_KICK), 0);
	for (int i = 0; i < 5000 && __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != WIRE_SLOT_DONE; i++)
		sleep_ms(1);
	assert_int_equal(slot->state, WIRE_SLOT_DONE);
	assert_int_equal(slot->reply.result, 16);
	front_release(x->f, slot);
}

static void a_session_that_the_service_lost_is_reported(void **state)
{
	struct fixture *x = *state;

	fixture_start(x);
	x->f->sessions[x->f->attached - 1].number ^= 0x550000;
	assert_int_equal(call_null(x->f, 1), -EIO);
	assert_int_equal(front_attach(x->f, SECOND), 0);
	assert_int_equal(call_null(x->f, 1), 0);
}

/* ---- idleness -------------------------------------------------------------------------------------- */

static void an_idle_pool_burns_nothing(void **state)
{
	struct fixture *x = *state;
	int64_t before;

	fixture_start(x);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(call_null(x->f, i), 0);
	sleep_ms(10);
	before = cpu_us(RUSAGE_SELF);
	sleep_ms(2000);
	assert_true(cpu_us(RUSAGE_SELF) - before < 5000);
}

static void one_core_never_spins(void **state)
{
	struct fixture *x = *state;
	const struct wire_table *table;
	cpu_set_t all;
	int64_t before;

	/* On different cores, so that nothing but the table's word keeps them from it. */
	sched_getaffinity(0, sizeof(all), &all);
	x->config.one_core = 1;
	x->config.queues = 1;
	fixture_start(x);
	pin(x->cpus[1]);
	table = server_table(x->server);
	for (uint64_t i = 0; i < 3000; i++) {
		assert_int_equal(call_null(x->f, i), 0);
		assert_int_not_equal(table->worker[0].state, WIRE_WORKER_SPINNING);
	}
	sched_setaffinity(0, sizeof(all), &all);
	for (unsigned i = 0; i < FRONT_PACES; i++)
		assert_int_equal(x->f->pace[i].delay | x->f->pace[i].spin | x->f->pace[i].missed, 0);
	before = cpu_us(RUSAGE_SELF);
	for (int i = 0; i < 20; i++)
		assert_int_equal(call_op(x->f, WIRE_FSYNC, SECOND / 50, 0), 0);
	assert_true(cpu_us(RUSAGE_SELF) - before < 20 * 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST(payloads_come_back),
		TEST(threads_share_a_session),
		TEST(a_long_request_delays_nobody),
		TEST(not_even_if_it_was_not_announced),
		TEST(a_handler_may_call_while_a_call_waits),
		TEST(a_handler_may_call_at_any_moment),
		TEST(a_handler_on_its_own_stack_steals_nothing),
		TEST(a_lock_wait_is_interrupted),
		TEST(a_lock_wait_is_restarted),
		TEST(an_uninterruptible_call_goes_on),
		TEST(a_call_that_was_jumped_out_of_is_found),
		TEST(slots_of_dead_threads_are_found),
		TEST(a_forked_child_begins_anew),
		TEST(a_vfork_child_may_call),
		TEST(lock_waits_leave_slots_for_others),
		TEST(front_pause_is_interrupted),
		TEST(a_dead_service_wakes_its_clients),
		TEST(sessions_follow_the_service),
		TEST(attaching_waits_for_a_restart),
		TEST(outside_of_a_pool_there_is_no_table),
		TEST(a_ruined_queue_is_kicked),
		TEST(a_request_in_no_queue_is_kicked),
		TEST(a_session_that_the_service_lost_is_reported),
		TEST(an_idle_pool_burns_nothing),
		TEST(one_core_never_spins),
	};

	return cmocka_run_group_tests_name("ipc-session", tests, NULL, NULL) != 0;
}
