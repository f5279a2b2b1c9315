/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads with files and pipes of their own, all at once, for so many seconds: nothing is lost, done twice, or
 * out of order. Cancellations race with completions, signals interrupt everything, children fork in the middle.
 */
#include <sys/time.h>
#include "tests/integration/aio/claims.h"

enum { THREADS = 12, SLOTS = 64, SLOT = 1000, BYTES = 48 };

struct thread {
	pthread_t id;
	unsigned seed, number;
	int fd, append;
	int generation[SLOTS]; /* what each slot of the file holds */
	uint64_t appended, rounds;
};

static struct thread all[THREADS];
static int stop;
static volatile int interrupted;
static volatile long signals_wanted, signals_seen, threads_wanted, threads_seen;
static int sink[2];

static unsigned dice(struct thread *t, unsigned sides)
{
	return (unsigned)rand_r(&t->seed) / 7 % sides;
}

/* A handler that does what handlers do. */
static void on_alarm(int sig)
{
	int saved = errno;
	char c;

	__sync_fetch_and_add(&interrupted, 1);
	if (write(sink[1], "x", 1) == 1 && read(sink[0], &c, 1) != 1)
		_exit(3);
	errno = saved;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	if (info->si_code == SI_ASYNCIO)
		__sync_fetch_and_add(&signals_seen, 1);
}

static void on_thread(union sigval value)
{
	__sync_fetch_and_add((volatile long *)value.sival_ptr, 1);
}

static void ask_notice(struct thread *t, struct aiocb *b)
{
	unsigned how = dice(t, 40);

	if (how < 8) {
		b->aio_sigevent.sigev_notify = SIGEV_SIGNAL;
		b->aio_sigevent.sigev_signo = SIGRTMIN;
		__sync_fetch_and_add(&signals_wanted, 1);
	} else if (how == 8) {
		b->aio_sigevent.sigev_notify = SIGEV_THREAD;
		b->aio_sigevent.sigev_notify_function = on_thread;
		b->aio_sigevent.sigev_value.sival_ptr = (void *)&threads_seen;
		__sync_fetch_and_add(&threads_wanted, 1);
	}
}

static void fill(char *to, int slot, int generation)
{
	for (int i = 0; i < SLOT; i++)
		to[i] = (char)(slot * 7 + generation * 13 + i);
}

/* ---- files ------------------------------------------------------------------------------------ */

static void file_check(struct thread *t)
{
	static __thread char got[SLOTS * SLOT], wanted[SLOT];
	struct aiocb b[SLOTS];
	int i;

	for (i = 0; i < SLOTS; i++)
		EQUAL(aio_read(block(&b[i], t->fd, got + i * SLOT, SLOT, i * SLOT)), 0);
	for (i = 0; i < SLOTS; i++) {
		EQUAL(done(&b[i]), SLOT);
		fill(wanted, i, t->generation[i]);
		CHECK(!memcmp(wanted, got + i * SLOT, SLOT));
	}
}

/* Writes some slots, perhaps cancels; what was cancelled was not done. */
static void file_round(struct thread *t)
{
	static __thread char data[SLOTS][SLOT];
	struct aiocb b[SLOTS], sync, *list[SLOTS];
	int i, n = 1 + dice(t, SLOTS), cancel = dice(t, 3), synced = dice(t, 4) == 0, listed = dice(t, 3) == 0;

	for (i = 0; i < n; i++) {
		fill(data[i], i, t->generation[i] + 1);
		list[i] = block(&b[i], t->fd, data[i], SLOT, i * SLOT);
		list[i]->aio_lio_opcode = LIO_WRITE;
		ask_notice(t, list[i]);
		if (!listed)
			EQUAL(aio_write(list[i]), 0);
	}
	if (listed)
		EQUAL(lio_listio(LIO_NOWAIT, list, n, NULL), 0);
	if (synced)
		EQUAL(aio_fsync(O_DSYNC, block(&sync, t->fd, NULL, 0, 0)), 0);
	if (cancel == 1)
		CHECK(aio_cancel(t->fd, NULL) >= 0);
	for (i = 0; i < n && cancel == 2; i += 1 + dice(t, 4))
		CHECK(aio_cancel(t->fd, list[i]) >= 0);
	if (synced) {
		ended(&sync);
		for (i = 0; i < n && !aio_error(&sync); i++)
			CHECK(aio_error(list[i]) != EINPROGRESS);
	}
	for (i = 0; i < n; i++) {
		if (ended(list[i]) == ECANCELED && cancel)
			continue;
		EQUAL(done(list[i]), SLOT);
		t->generation[i]++;
	}
	file_check(t);
}

static void append_round(struct thread *t)
{
	struct aiocb b[BYTES];
	uint64_t number[BYTES], got;
	int i, n = 1 + dice(t, BYTES);

	for (i = 0; i < n; i++) {
		number[i] = t->appended + i;
		block(&b[i], t->append, &number[i], 8, 0);
		ask_notice(t, &b[i]);
		EQUAL(aio_write(&b[i]), 0);
	}
	for (i = 0; i < n; i++)
		EQUAL(done(&b[i]), 8);
	for (i = 0; i < n; i++) {
		EQUAL(pread(t->append, &got, 8, (off_t)(t->appended + i) * 8), 8);
		EQUAL(got, number[i]);
	}
	t->appended += n;
}

/* Closes with writes under way. */
static void close_round(struct thread *t)
{
	struct aiocb b[16];
	char name[32], data[SLOT] = "";
	int i, fd;

	if (!in_pool())
		return;
	snprintf(name, sizeof(name), "closing-%u", t->number);
	fd = open(at(name), O_RDWR | O_CREAT, 0644);
	CHECK(fd >= 0);
	for (i = 0; i < 16; i++)
		EQUAL(aio_write(block(&b[i], fd, data, SLOT, i * SLOT)), 0);
	EQUAL(close(fd), 0);
	for (i = 0; i < 16; i++)
		CHECK(aio_error(&b[i]) == ECANCELED || (aio_error(&b[i]) == 0 && aio_return(&b[i]) == SLOT));
}

/* ---- pipes ------------------------------------------------------------------------------------ */

/* Reads that wait, some cancelled while the data comes: every byte comes once, in order. */
static void pipe_round(struct thread *t)
{
	struct aiocb in[BYTES], out[BYTES];
	unsigned char got[BYTES], sent[BYTES], rest[BYTES], next = 0;
	int ends[2], i, n = 1 + dice(t, BYTES), cancel = dice(t, 2), left = 0;

	EQUAL(pipe(ends), 0);
	for (i = 0; i < n; i++) {
		sent[i] = (unsigned char)i;
		block(&in[i], ends[0], &got[i], 1, 0);
		ask_notice(t, &in[i]);
		EQUAL(aio_read(&in[i]), 0);
	}
	for (i = 0; i < n; i++) {
		EQUAL(aio_write(block(&out[i], ends[1], &sent[i], 1, 0)), 0);
		if (cancel && dice(t, 3) == 0)
			CHECK(aio_cancel(ends[0], dice(t, 8) ? &in[dice(t, n)] : NULL) >= 0);
	}
	for (i = 0; i < n; i++)
		EQUAL(done(&out[i]), 1);
	for (i = 0; i < n; i++) {
		if (ended(&in[i]) == ECANCELED && cancel) {
			left++;
			continue;
		}
		EQUAL(done(&in[i]), 1);
		EQUAL(got[i], next++);
	}
	if (left)
		EQUAL(read(ends[0], rest, sizeof(rest)), left);
	for (i = 0; i < left; i++)
		EQUAL(rest[i], next++);
	close(ends[0]), close(ends[1]);
}

/* ---- children --------------------------------------------------------------------------------- */

static void fork_round(struct thread *t)
{
	struct aiocb b[8];
	char name[32];
	int i;

	if (!ours())
		return;
	for (i = 0; i < 8; i++)
		EQUAL(aio_read(block(&b[i], t->fd, name, 1, i)), 0);
	CHILD {
		struct aiocb its;
		int fd;

		snprintf(name, sizeof(name), "child-%u", t->number);
		fd = open(at(name), O_RDWR | O_CREAT | O_TRUNC, 0644);
		EQUAL(aio_write(block(&its, fd, "child", 5, 0)), 0);
		EQUAL(done(&its), 5);
		EQUAL(close(fd), 0);
		holds(at(name), "child");
	}
	for (i = 0; i < 8; i++)
		EQUAL(done(&b[i]), 1);
}

/* ---- threads ---------------------------------------------------------------------------------- */

static void thread_open(struct thread *t)
{
	char name[32], data[SLOT];

	snprintf(name, sizeof(name), "slots-%u", t->number);
	t->fd = open(at(name), O_RDWR | O_CREAT | O_TRUNC, 0644);
	snprintf(name, sizeof(name), "append-%u", t->number);
	t->append = open(at(name), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);
	CHECK(t->fd >= 0 && t->append >= 0);
	for (int i = 0; i < SLOTS; i++) {
		fill(data, i, 0);
		EQUAL(pwrite(t->fd, data, SLOT, i * SLOT), SLOT);
	}
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); t->rounds++)
		switch (dice(t, 12)) {
		case 0:
			fork_round(t);
			break;
		case 1:
			close_round(t);
			break;
		case 2:
		case 3:
			append_round(t);
			break;
		case 4:
		case 5:
		case 6:
			pipe_round(t);
			break;
		default:
			file_round(t);
		}
	return NULL;
}

static void settle(volatile long *seen, volatile long *wanted)
{
	int64_t end = now_ms() + 10000;

	while (__sync_fetch_and_add(seen, 0) != *wanted && now_ms() < end)
		sleep_ms(10);
	EQUAL(*seen, *wanted);
}

static void stress(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct itimerval often = {{0, 3000}, {0, 3000}}, never = {0};
	const char *seconds = getenv("AIO_SECONDS");
	uint64_t rounds = 0;
	unsigned i;

	EQUAL(sigaction(SIGRTMIN, &action, NULL), 0);
	action = (struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	EQUAL(sigaction(SIGALRM, &action, NULL), 0);
	EQUAL(pipe(sink), 0);
	for (i = 0; i < THREADS; i++) {
		all[i].number = i;
		all[i].seed = (unsigned)getpid() * 100 + i;
		thread_open(&all[i]);
		EQUAL(pthread_create(&all[i].id, NULL, thread_main, &all[i]), 0);
	}
	EQUAL(setitimer(ITIMER_REAL, &often, NULL), 0);
	sleep_ms(seconds ? atoi(seconds) * 1000 : 5000);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		EQUAL(pthread_join(all[i].id, NULL), 0);
		rounds += all[i].rounds;
	}
	EQUAL(setitimer(ITIMER_REAL, &never, NULL), 0);
	settle(&signals_seen, &signals_wanted);
	settle(&threads_seen, &threads_wanted);
	CHECK(rounds && interrupted);
	printf("%lu rounds, %ld signals, %ld threads, %d interruptions\n", rounds, signals_seen, threads_seen,
	       interrupted);
}

MAIN(stress)
