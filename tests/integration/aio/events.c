/* SPDX-License-Identifier: Apache-2.0 */
/* How a program hears of its requests: waiting, signals, threads; and how it ends them: cancel, close, fork. */
#include <dirent.h>
#include <sys/syscall.h>
#include "tests/integration/aio/claims.h"

static void on_signal(int sig)
{
}

static int open_new(const char *name)
{
	int fd = open(at(name), O_RDWR | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	return fd;
}

/* A read that waits until something is written to ends[1]. */
static void blocked(struct aiocb *b, int ends[2], char *c)
{
	EQUAL(pipe(ends), 0);
	EQUAL(aio_read(block(b, ends[0], c, 1, 0)), 0);
}

static void finish(struct aiocb *b, int ends[2])
{
	EQUAL(write(ends[1], "x", 1), 1);
	EQUAL(done(b), 1);
	close(ends[0]), close(ends[1]);
}

/* ---- aio_suspend ------------------------------------------------------------------------------ */

static void suspend_times_out(void)
{
	struct aiocb b, other;
	const struct aiocb *list[3] = {NULL, &b, &other};
	struct timespec none = {0, 0}, some = {0, 30000000}, bad = {0, 1000000000};
	int ends[2], others[2], count;
	int64_t start;
	char c;

	blocked(&b, ends, &c);
	blocked(&other, others, &c);
	for (count = 2; count <= 3; count++) {
		start = now_ms();
		FAILS(aio_suspend(list, count, &none), EAGAIN);
		FAILS(aio_suspend(list, count, &some), EAGAIN);
		CHECK(now_ms() - start >= 29);
		if (ours())
			FAILS(aio_suspend(list, count, &bad), EINVAL);
	}
	EQUAL(aio_error(&b), EINPROGRESS);
	EQUAL(write(ends[1], "x", 1), 1);
	EQUAL(aio_suspend(list, 3, NULL), 0);
	EQUAL(aio_error(&b), 0);
	EQUAL(aio_error(&other), EINPROGRESS);
	EQUAL(aio_suspend(list, 3, &none), 0);
	finish(&other, others);
	close(ends[0]), close(ends[1]);
}

static void suspend_is_interrupted(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct timespec later = {30, 0};
	struct aiocb b, other;
	const struct aiocb *list[2] = {&b, &other};
	int ends[2], others[2], count, timed;
	char c;

	EQUAL(sigaction(SIGALRM, &action, NULL), 0);
	blocked(&b, ends, &c);
	blocked(&other, others, &c);
	for (count = 1; count <= 2; count++)
		for (timed = 0; timed < 2; timed++) {
			const struct itimerval_ { struct timeval every, first; } soon = {{0, 0}, {0, 20000}};

			syscall(SYS_setitimer, 0, &soon, NULL);
			FAILS(aio_suspend(list, count, timed ? &later : NULL), EINTR);
		}
	finish(&b, ends);
	finish(&other, others);
}

static void *suspender(void *arg)
{
	const struct aiocb *list[2] = {arg, NULL};

	while (aio_error(arg) == EINPROGRESS)
		EQUAL(aio_suspend(list, 2, NULL), 0);
	return NULL;
}

static void suspend_by_many(void)
{
	pthread_t t[8];
	struct aiocb b;
	int ends[2], i;
	char c;

	blocked(&b, ends, &c);
	for (i = 0; i < 8; i++)
		EQUAL(pthread_create(&t[i], NULL, suspender, &b), 0);
	sleep_ms(20);
	finish(&b, ends);
	for (i = 0; i < 8; i++)
		EQUAL(pthread_join(t[i], NULL), 0);
}

static void suspend_is_a_cancellation_point(void)
{
	struct aiocb b;
	pthread_t t;
	void *how;
	int ends[2];
	char c;

	blocked(&b, ends, &c);
	EQUAL(pthread_create(&t, NULL, suspender, &b), 0);
	sleep_ms(20);
	EQUAL(pthread_cancel(t), 0);
	EQUAL(pthread_join(t, &how), 0);
	CHECK(how == PTHREAD_CANCELED);
	finish(&b, ends);
}

/* ---- signals ---------------------------------------------------------------------------------- */

static struct aiocb *signalled_block;
static volatile int signalled, signal_value, signal_good, signal_elsewhere;

static void on_completion(int sig, siginfo_t *info, void *context)
{
	signal_good = info->si_code == SI_ASYNCIO && info->si_pid == getpid() &&
		      (!signalled_block || aio_error(signalled_block) != EINPROGRESS);
	signal_value = info->si_value.sival_int;
	/* Long enough for the next one to look for a thread that is free. */
	sleep_ms(1);
	signal_elsewhere += syscall(SYS_gettid) != getpid();
	signalled++;
}

static void ask_signal(struct sigevent *event, int value)
{
	struct sigaction action = {.sa_sigaction = on_completion, .sa_flags = SA_SIGINFO | SA_RESTART};

	EQUAL(sigaction(SIGRTMIN, &action, NULL), 0);
	event->sigev_notify = SIGEV_SIGNAL;
	event->sigev_signo = SIGRTMIN;
	event->sigev_value.sival_int = value;
	signalled = signal_good = 0;
}

static void signals(void)
{
	int fd = open_new("signals"), i;
	struct aiocb b[20];

	block(&b[0], fd, "x", 1, 0);
	ask_signal(&b[0].aio_sigevent, 4711);
	signalled_block = &b[0];
	EQUAL(aio_write(&b[0]), 0);
	comes(&signalled, 1);
	EQUAL(signal_value, 4711);
	EQUAL(signal_good, 1);
	/* each one comes */
	signalled_block = NULL;
	for (i = 0; i < 20; i++) {
		block(&b[i], fd, "x", 1, i);
		ask_signal(&b[i].aio_sigevent, i);
	}
	for (i = 0; i < 20; i++)
		EQUAL(aio_write(&b[i]), 0);
	comes(&signalled, 20);
	EQUAL(signal_elsewhere, 0);
	for (i = 0; i < 20; i++)
		EQUAL(done(&b[i]), 1);
	EQUAL(close(fd), 0);
}

static void list_signals_once(void)
{
	struct aiocb b[5], waiting, *list[6] = {&b[0], &b[1], &b[2], &b[3], &b[4], &waiting};
	int fd = open_new("list"), ends[2], i;
	struct sigevent event;
	char c;

	memset(&event, 0, sizeof(event));
	ask_signal(&event, 99);
	signalled_block = NULL;
	for (i = 0; i < 5; i++)
		block(&b[i], fd, "x", 1, i)->aio_lio_opcode = LIO_WRITE;
	EQUAL(pipe(ends), 0);
	block(&waiting, ends[0], &c, 1, 0)->aio_lio_opcode = LIO_READ;
	EQUAL(lio_listio(LIO_NOWAIT, list, 6, &event), 0);
	for (i = 0; i < 5; i++)
		EQUAL(done(&b[i]), 1);
	sleep_ms(20);
	EQUAL(signalled, 0);
	EQUAL(write(ends[1], "x", 1), 1);
	comes(&signalled, 1);
	EQUAL(signal_value, 99);
	EQUAL(done(&waiting), 1);
	/* a list of nothing ends at once */
	EQUAL(lio_listio(LIO_NOWAIT, list, 0, &event), 0);
	comes(&signalled, 2);
	close(fd), close(ends[0]), close(ends[1]);
}

/* ---- threads ---------------------------------------------------------------------------------- */

static volatile int called, called_value, called_good;
static pthread_t main_thread;
static size_t stack_wanted;

static void on_end(union sigval value)
{
	size_t size = 0;
	pthread_attr_t attributes;
	sigset_t mask;

	EQUAL(pthread_getattr_np(pthread_self(), &attributes), 0);
	EQUAL(pthread_attr_getstacksize(&attributes, &size), 0);
	EQUAL(pthread_attr_destroy(&attributes), 0);
	EQUAL(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	/* glibc rounds */
	called_good = !pthread_equal(pthread_self(), main_thread) && !sigismember(&mask, SIGUSR1) &&
		      (!stack_wanted || (size >= stack_wanted && size < stack_wanted + 65536));
	called_value = value.sival_int;
	__sync_fetch_and_add(&called, 1);
}

static void ask_thread(struct sigevent *event, int value, pthread_attr_t *attributes)
{
	event->sigev_notify = SIGEV_THREAD;
	event->sigev_notify_function = on_end;
	event->sigev_notify_attributes = attributes;
	event->sigev_value.sival_int = value;
	main_thread = pthread_self();
	called = called_good = 0;
}

static void threads(void)
{
	struct aiocb b[10], *list[10];
	int fd = open_new("threads"), i, joinable;
	pthread_attr_t attributes;
	struct sigevent event;

	block(&b[0], fd, "x", 1, 0);
	ask_thread(&b[0].aio_sigevent, 12, NULL);
	EQUAL(aio_write(&b[0]), 0);
	comes(&called, 1);
	EQUAL(called_value, 12);
	EQUAL(called_good, 1);
	EQUAL(done(&b[0]), 1);

	stack_wanted = 1 << 20;
	for (joinable = 0; joinable < (ours() ? 2 : 1); joinable++) {
		EQUAL(pthread_attr_init(&attributes), 0);
		EQUAL(pthread_attr_setstacksize(&attributes, stack_wanted), 0);
		if (!joinable)
			EQUAL(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), 0);
		for (i = 0; i < 10; i++) {
			list[i] = block(&b[i], fd, "x", 1, i);
			list[i]->aio_lio_opcode = LIO_WRITE;
		}
		memset(&event, 0, sizeof(event));
		ask_thread(&event, 34, &attributes);
		EQUAL(lio_listio(LIO_NOWAIT, list, 10, &event), 0);
		comes(&called, 1);
		EQUAL(called_value, 34);
		EQUAL(called_good, 1);
		for (i = 0; i < 10; i++)
			EQUAL(aio_error(&b[i]), 0);
		EQUAL(pthread_attr_destroy(&attributes), 0);
	}
	stack_wanted = 0;
	EQUAL(close(fd), 0);
}

/* ---- aio_cancel ------------------------------------------------------------------------------- */

static void cancels(void)
{
	struct aiocb b[3], whole;
	int ends[2], fd = open_new("cancel"), i;
	char c[3], got;

	signalled_block = NULL;
	EQUAL(aio_write(block(&whole, fd, "x", 1, 0)), 0);
	EQUAL(done(&whole), 1);
	EQUAL(aio_cancel(fd, &whole), AIO_ALLDONE);
	EQUAL(aio_cancel(fd, NULL), AIO_ALLDONE);
	EQUAL(pipe(ends), 0);
	EQUAL(aio_cancel(ends[0], NULL), AIO_ALLDONE);
	for (i = 0; i < 3; i++)
		block(&b[i], ends[0], &c[i], 1, 0);
	ask_signal(&b[1].aio_sigevent, 5);
	for (i = 0; i < 3; i++)
		EQUAL(aio_read(&b[i]), 0);
	sleep_ms(20);
	FAILS(aio_cancel(fd, &b[1]), EINVAL);
	EQUAL(aio_cancel(ends[0], &b[1]), AIO_CANCELED);
	EQUAL(aio_error(&b[1]), ECANCELED);
	EQUAL(aio_return(&b[1]), -1);
	comes(&signalled, 1);
	EQUAL(signal_value, 5);
	if (ours()) {
		/* also the one that waits for data; and it takes none */
		EQUAL(aio_cancel(ends[0], &b[0]), AIO_CANCELED);
		EQUAL(aio_error(&b[0]), ECANCELED);
		EQUAL(write(ends[1], "ab", 2), 2);
		EQUAL(done(&b[2]), 1);
		EQUAL(c[2], 'a');
		EQUAL(read(ends[0], &got, 1), 1);
		EQUAL(got, 'b');
		for (i = 0; i < 3; i++)
			EQUAL(aio_read(block(&b[i], ends[0], &c[i], 1, 0)), 0);
		EQUAL(aio_cancel(ends[0], NULL), AIO_CANCELED);
		for (i = 0; i < 3; i++)
			EQUAL(aio_error(&b[i]), ECANCELED);
	} else {
		EQUAL(write(ends[1], "ab", 2), 2);
		EQUAL(done(&b[0]), 1);
		EQUAL(done(&b[2]), 1);
	}
	close(ends[0]), close(ends[1]), close(fd);
}

/* ---- close ------------------------------------------------------------------------------------ */

static void closes(void)
{
	enum { WRITES = 300 };
	static struct aiocb b[WRITES];
	struct aiocb read_;
	char data[4096], back[4096], c;
	int ends[2], fd, i;

	if (!in_pool())
		return;
	blocked(&read_, ends, &c);
	EQUAL(close(ends[0]), 0);
	EQUAL(aio_error(&read_), ECANCELED);
	close(ends[1]);

	blocked(&read_, ends, &c);
	FAILS(dup2(12345, ends[0]), EBADF);
	EQUAL(aio_error(&read_), EINPROGRESS);
	EQUAL(dup2(ends[1], ends[0]), ends[0]);
	EQUAL(aio_error(&read_), ECANCELED);
	close(ends[0]), close(ends[1]);

	memset(data, 'd', sizeof(data));
	fd = open_new("closed");
	for (i = 0; i < WRITES; i++)
		EQUAL(aio_write(block(&b[i], fd, data, sizeof(data), (off_t)i * 4096)), 0);
	EQUAL(close(fd), 0);
	fd = open(at("closed"), O_RDONLY);
	for (i = 0; i < WRITES; i++) {
		if (aio_error(&b[i]) == ECANCELED)
			continue;
		EQUAL(aio_error(&b[i]), 0);
		EQUAL(aio_return(&b[i]), 4096);
		EQUAL(pread(fd, back, 4096, (off_t)i * 4096), 4096);
		CHECK(!memcmp(back, data, 4096));
	}
	EQUAL(close(fd), 0);
}

/* ---- fork ------------------------------------------------------------------------------------- */

static void forks(void)
{
	struct aiocb b, mine[20];
	int ends[2], fd = open_new("fork"), i, n;
	char c;

	for (n = 0; n < 10; n++) {
		blocked(&b, ends, &c);
		for (i = 0; i < 20; i++)
			EQUAL(aio_write(block(&mine[i], fd, "x", 1, i)), 0);
		CHILD {
			struct aiocb its;

			fd = open_new("forked");
			/* glibc hands down the parent's requests, but not the threads to do any */
			if (!ours())
				_exit(0);
			EQUAL(aio_cancel(ends[0], NULL), AIO_ALLDONE);
			EQUAL(aio_write(block(&its, fd, "y", 1, 0)), 0);
			EQUAL(done(&its), 1);
		}
		for (i = 0; i < 20; i++)
			EQUAL(done(&mine[i]), 1);
		EQUAL(aio_error(&b), EINPROGRESS);
		finish(&b, ends);
	}
	if (ours())
		holds(at("forked"), "y");
	EQUAL(close(fd), 0);
}

/* ---- threads come and go ----------------------------------------------------------------------- */

static int tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2; /* . and .. */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void workers_end(void)
{
	int fd = open_new("workers"), i;
	int64_t until = now_ms() + 10000;
	struct aiocb b[100];

	for (i = 0; i < 100; i++)
		EQUAL(aio_write(block(&b[i], fd, "x", 1, i)), 0);
	if (ours())
		CHECK(tasks() <= 20);
	for (i = 0; i < 100; i++)
		EQUAL(done(&b[i]), 1);
	while (ours() && tasks() > 1 && now_ms() < until)
		sleep_ms(100);
	if (ours())
		EQUAL(tasks(), 1);
	EQUAL(close(fd), 0);
}

/* A new identity is that of the workers too, also of those that wait. */
static void identity(void)
{
	if (!ours() || geteuid())
		return;
	CHILD {
		int fd = open_new("identity"), ends[2];
		struct aiocb b, waiting;
		struct dirent *e;
		DIR *d;
		char c;

		blocked(&waiting, ends, &c);
		EQUAL(aio_write(block(&b, fd, "x", 1, 0)), 0);
		EQUAL(done(&b), 1);
		EQUAL(setuid(65534), 0);
		CHECK((d = opendir("/proc/self/task")));
		while ((e = readdir(d))) {
			char name[300], text[2000] = "";

			snprintf(name, sizeof(name), "/proc/self/task/%s/status", e->d_name);
			fd = open(name, O_RDONLY);
			if (e->d_name[0] == '.' || fd < 0)
				continue;
			CHECK(read(fd, text, sizeof(text) - 1) > 0);
			CHECK(strstr(text, "Uid:\t65534\t65534\t65534\t65534"));
			close(fd);
		}
		finish(&waiting, ends);
	}
}

/* Our own file's descriptor is still the placeholder that open made: O_PATH in the kernel. */
static void placeholders_stay(void)
{
	int fd = open_new("placeholder");
	struct aiocb b;
	long flags;

	if (strcmp(getenv("AIO"), "lazy"))
		return;
	EQUAL(aio_write(block(&b, fd, "x", 1, 0)), 0);
	EQUAL(done(&b), 1);
	EQUAL(aio_fsync(O_SYNC, block(&b, fd, "x", 1, 0)), 0);
	EQUAL(done(&b), 0);
	__asm__ volatile("syscall" : "=a"(flags) : "a"(SYS_fcntl), "D"((long)fd), "S"((long)F_GETFL), "d"(0L)
			 : "rcx", "r11", "memory");
	CHECK(flags & O_PATH);
	EQUAL(close(fd), 0);
}

MAIN(suspend_times_out, suspend_is_interrupted, suspend_by_many, suspend_is_a_cancellation_point, signals,
     list_signals_once, threads, cancels, closes, forks, identity, placeholders_stay, workers_end)
