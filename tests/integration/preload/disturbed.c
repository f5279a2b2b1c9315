/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and threads in the middle of everything. */
#include "tests/integration/preload/check.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/time.h>

static char page[65536];

static volatile sig_atomic_t ticks;
static int handler_fd;

static void on_tick(int sig)
{
	int saved = errno, fd;

	ticks++;
	EQUAL(write(handler_fd, "t", 1), 1);
	fd = open(at("h"), O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	errno = saved;
}

static void timer(long us)
{
	struct itimerval it = {{0, us}, {0, us}};

	setitimer(ITIMER_REAL, &it, NULL);
}

/* A handler that uses the same files, on a small stack of its own. */
static void handlers_use_files(void)
{
	static char alternate[16384];
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_RESTART};
	struct stat st;
	int fd, i;

	EQUAL(sigaltstack(&stack, NULL), 0);
	write_file(at("h"), "");
	handler_fd = open(at("log"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	sigaction(SIGALRM, &action, NULL);
	timer(700);
	fd = open(at("data"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	for (i = 0; i < 3000 || ticks < 20; i++) {
		EQUAL(write(fd, page, 1000), 1000);
		EQUAL(lseek(fd, -1000, SEEK_CUR), i * 1000);
		EQUAL(read(fd, page, 1000), 1000);
	}
	timer(0);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_size, i * 1000);
	EQUAL(fstat(handler_fd, &st), 0);
	EQUAL(st.st_size, ticks);
	close(fd);
	close(handler_fd);
}

/* The handler and the code that it interrupts write through one descriptor. */
static void handlers_share_an_offset(void)
{
	struct stat st;
	int i;

	ticks = 0;
	handler_fd = open(at("both"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	timer(700);
	for (i = 0; i < 3000 || ticks < 20; i++)
		EQUAL(write(handler_fd, "c", 1), 1);
	timer(0);
	EQUAL(fstat(handler_fd, &st), 0);
	EQUAL(st.st_size, i + ticks);
	EQUAL(lseek(handler_fd, 0, SEEK_CUR), i + ticks);
	close(handler_fd);
}

static sigjmp_buf back;

static void on_jump(int sig)
{
	siglongjmp(back, 1);
}

/* A handler that never returns: nothing may stay claimed or locked. */
static void handlers_jump_out(void)
{
	volatile int jumps = 0;
	int fd = open(at("jump"), O_RDWR | O_CREAT | O_TRUNC, 0644);

	signal(SIGALRM, on_jump);
	while (jumps < 200) {
		if (sigsetjmp(back, 1)) {
			jumps++;
			continue;
		}
		timer(300);
		for (;;) {
			pwrite(fd, page, sizeof(page), 0);
			pread(fd, page, sizeof(page), 0);
			access(at("jump"), F_OK);
		}
	}
	timer(0);
	signal(SIGALRM, SIG_IGN);
	EQUAL(pwrite(fd, "x", 1, 0), 1);
	EQUAL(pread(fd, page, 1, 0), 1);
	close(fd);
	holds(at("h"), "");
}

/* Many threads, each with files of its own, sharing the numbers. */
static void *busy(void *arg)
{
	char name[32], text[32], got[32];
	long self = (long)arg;

	for (int i = 0; i < 300; i++) {
		int fd, copy;

		snprintf(name, sizeof(name), "t%ld-%d", self, i % 7);
		snprintf(text, sizeof(text), "thread %ld round %d", self, i);
		fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
		CHECK(fd >= 0);
		copy = i % 3 ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 20);
		EQUAL(write(fd, text, strlen(text)), strlen(text));
		if (i % 5 == 0)
			CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
		close(fd);
		EQUAL(lseek(copy, 0, SEEK_SET), 0);
		memset(got, 0, sizeof(got));
		EQUAL(read(copy, got, sizeof(got)), strlen(text));
		if (strcmp(got, text))
			fprintf(stderr, "thread %ld read '%s', not '%s'\n", self, got, text), _exit(1);
		EQUAL(close(copy), 0);
		if (i % 50 == 0)
			CHILD {
				_exit(access(name, F_OK) != 0);
			}
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[6];

	EQUAL(chdir(dir), 0);
	for (long i = 0; i < 6; i++)
		EQUAL(pthread_create(&t[i], NULL, busy, (void *)i), 0);
	for (int i = 0; i < 6; i++)
		EQUAL(pthread_join(t[i], NULL), 0);
	EQUAL(chdir("/"), 0);
}

/* Two threads make the same file real while others read it. */
static int common;

static void *reader(void *arg)
{
	char byte;

	for (int i = 0; i < 400; i++)
		EQUAL(read(common, &byte, 1), 1);
	return NULL;
}

static void *mapper(void *arg)
{
	usleep(100);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, common, 0) != MAP_FAILED);
	return NULL;
}

static void made_real_in_the_middle(void)
{
	for (int round = 0; round < 30; round++) {
		pthread_t t[4];

		common = open(at("common"), O_RDWR | O_CREAT | O_TRUNC, 0644);
		EQUAL(write(common, page, 4096), 4096);
		EQUAL(lseek(common, 0, SEEK_SET), 0);
		for (int i = 0; i < 4; i++)
			EQUAL(pthread_create(&t[i], NULL, i < 2 ? reader : mapper, NULL), 0);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		EQUAL(lseek(common, 0, SEEK_CUR), 800);
		close(common);
	}
}

static void *cancelled(void *arg)
{
	int fd = open(at("cancel"), O_RDWR | O_CREAT, 0644);

	for (;;) {
		pwrite(fd, page, 100, 0);
		pread(fd, page, 100, 0);
	}
	return NULL;
}

static void cancellation(void)
{
	for (int i = 0; i < 50; i++) {
		pthread_t t;
		void *result;

		EQUAL(pthread_create(&t, NULL, cancelled, NULL), 0);
		usleep(500);
		EQUAL(pthread_cancel(t), 0);
		EQUAL(pthread_join(t, &result), 0);
		CHECK(result == PTHREAD_CANCELED);
	}
	holds(at("h"), "");
}

MAIN(handlers_use_files, handlers_share_an_offset, handlers_jump_out, threads, made_real_in_the_middle, cancellation)
