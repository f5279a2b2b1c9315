/* SPDX-License-Identifier: Apache-2.0 */
/* Cases about threads, their cancellation, and what lies on the stack and in the registers meanwhile. */
#include "tests/unit/patch/subject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <execinfo.h>
#endif

enum { THREADS = 6, ROUNDS = 3000, RACES = 400 };

static int never[2]; /* a pipe into which nobody writes */
static int cleanups;

static void *thread_main(void *arg)
{
	int zero = open("/dev/zero", O_RDONLY);
	char data[64];

	for (int n = 0; n < ROUNDS; n++) {
		CHECK(read(FAKE_FD, data, 8) == 8 && data[7] == 'x');
		CHECK(read(zero, data, 8) == 8 && data[7] == 0);
		CHECK(pwrite(FAKE_FD, data, 2, n) == (2 + n) % 3);
		CHECK(lseek(FAKE_FD, 0, SEEK_SET) == -1 && errno == ESPIPE);
	}
	CHECK(close(zero) == 0);
	return arg;
}

int subject_threads(void)
{
	pthread_t thread[THREADS];
	void *result;

	for (int n = 0; n < THREADS; n++)
		CHECK(pthread_create(&thread[n], NULL, thread_main, &cleanups) == 0);
	for (int n = 0; n < THREADS; n++)
		CHECK(pthread_join(thread[n], &result) == 0 && result == &cleanups);
	return 0;
}

static void cleanup(void *arg)
{
	__atomic_fetch_add(&cleanups, 1, __ATOMIC_RELAXED);
}

static void *in_read(void *arg)
{
	char byte;

	pthread_cleanup_push(cleanup, NULL);
	for (;;)
		read(never[0], &byte, 1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *in_poll(void *arg)
{
	struct pollfd fd = {.fd = never[0], .events = POLLIN};

	pthread_cleanup_push(cleanup, NULL);
	for (;;)
		poll(&fd, 1, -1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *in_pause(void *arg)
{
	pthread_cleanup_push(cleanup, NULL);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *in_handled(void *arg)
{
	char data[64];

	pthread_cleanup_push(cleanup, NULL);
	for (;;)
		CHECK(read(arg ? FAKE_FD_SLOW : FAKE_FD, data, 30) == 30);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *disabled(void *arg)
{
	char data[64];

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	CHECK(read(FAKE_FD_SLOW, data, 60) == 60 && read(FAKE_FD, data, 8) == 8);
	return arg;
}

static void cancel_after(void *(*run)(void *), void *arg, int us)
{
	int before = cleanups;
	pthread_t thread;
	void *result;

	CHECK(pthread_create(&thread, NULL, run, arg) == 0);
	usleep((useconds_t)us);
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(run == disabled ? result == arg : result == PTHREAD_CANCELED && cleanups == before + 1);
}

int subject_cancel(void)
{
	CHECK(pipe(never) == 0);
	cancel_after(in_read, NULL, 30000);
	cancel_after(in_poll, NULL, 30000);
	cancel_after(in_pause, NULL, 30000);
	cancel_after(disabled, &never, 10000);
	return 0;
}

/* The call that is being handled ends; the next cancellation point is where the thread does. */
int subject_cancel_handled(void)
{
	for (int n = 0; n < 5; n++)
		cancel_after(in_handled, &never, 15000 + 3000 * n);
	cancel_after(in_handled, NULL, 1000);
	return 0;
}

/* A cancellation at any moment is not lost. The test that runs this has a time limit. */
int subject_cancel_race(void)
{
	CHECK(pipe(never) == 0);
	for (int n = 0; n < RACES; n++)
		cancel_after(n & 1 ? in_read : in_handled, NULL, n % 40);
	return 0;
}

#ifdef __GLIBC__
static void *frames[64];
static volatile sig_atomic_t frame_count;

static void on_alarm(int signal)
{
	if (!frame_count)
		frame_count = backtrace(frames, 64);
}

/* From inside the dispatcher an unwinder finds the way back through entry.S and libc to our callers. */
int __attribute__((noinline)) subject_unwind(void)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval once = {{0, 0}, {0, 20000}};
	void *here[64];
	int depth = backtrace(here, 64);
	char data[64];

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &once, NULL) == 0);
	CHECK(read(FAKE_FD_SLOW, data, 60) == 60);
	CHECK(depth > 2 && frame_count > depth + 3);
	for (int n = 1; n < depth - 1; n++)
		CHECK(here[depth - n] == frames[frame_count - n]);
	return 0;
}
#else
int subject_unwind(void)
{
	return 77;
}
#endif

int subject_dlopen(void)
{
	void *library = dlopen("libm.so.6", RTLD_NOW);

#ifdef __GLIBC__
	CHECK(library && ((double (*)(double))dlsym(library, "floor"))(2.5) == 2.0 && dlclose(library) == 0);
#endif
	CHECK(!dlopen("/nowhere/libnone.so", RTLD_NOW));
	return 0;
}

/*
 * Everything but rax, rcx and r11 is as the kernel would leave it. glibc's read() touches no other register
 * before the system call nor after it.
 */
static int registers_survive(int fd, char *data, long expect)
{
	long bad;

	__asm__ volatile("movq $0x1111, %%rbx\n\tmovq $0x2222, %%r8\n\tmovq $0x3333, %%r9\n\t"
			 "movq $0x4444, %%r10\n\tmovq $0x5555, %%r12\n\tmovq $0x6666, %%r13\n\t"
			 "movq $0x7777, %%r14\n\tmovq $0x8888, %%r15\n\tmovq %%rbx, %%xmm5\n\tmovq %%r9, %%xmm15\n\t"
			 "movslq %[fd], %%rdi\n\tmovq %[data], %%rsi\n\tmovq $7, %%rdx\n\t"
			 "call *%[function]\n\t"
			 "cmpq %[expect], %%rax\n\tjne 1f\n\t"
			 "cmpq $7, %%rdx\n\tjne 1f\n\tcmpq $0x1111, %%rbx\n\tjne 1f\n\t"
			 "cmpq $0x2222, %%r8\n\tjne 1f\n\tcmpq $0x3333, %%r9\n\tjne 1f\n\t"
			 "cmpq $0x4444, %%r10\n\tjne 1f\n\tcmpq $0x5555, %%r12\n\tjne 1f\n\t"
			 "cmpq $0x6666, %%r13\n\tjne 1f\n\tcmpq $0x7777, %%r14\n\tjne 1f\n\t"
			 "cmpq $0x8888, %%r15\n\tjne 1f\n\tcmpq %[data], %%rsi\n\tjne 1f\n\t"
			 "movq %%xmm5, %%rax\n\tcmpq $0x1111, %%rax\n\tjne 1f\n\t"
			 "movq %%xmm15, %%rax\n\tcmpq $0x3333, %%rax\n\tjne 1f\n\t"
			 "movl $0, %k[bad]\n\tjmp 2f\n1:\tmovl $1, %k[bad]\n2:\n\t"
			 : [bad] "=&a"(bad)
			 : [fd] "m"(fd), [data] "m"(data), [expect] "m"(expect), [function] "m"(*(void *[]){(void *)read})
			 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm5",
			   "xmm15", "memory", "cc");
	return !bad;
}

int subject_registers(void)
{
#if defined(__GLIBC__) && !defined(SUBJECT_SANITIZED)
	char data[16];
	int zero = open("/dev/zero", O_RDONLY);

	CHECK(zero >= 0 && registers_survive(zero, data, 7) && registers_survive(FAKE_FD, data, 7));
	return 0;
#else
	return 77;
#endif
}
