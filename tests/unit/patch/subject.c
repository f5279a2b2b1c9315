/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program whose system calls are redirected: subject CASE. Runs in glibc and in musl, with the test dispatcher.
 * Exits with 0, with 77 if the case does not apply, or with a sentence.
 */
#include "tests/unit/patch/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void subject_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s (errno %d)\n", file, line, what, errno);
	_exit(1);
}

static int handled(void)
{
	char data[16] = "";

	CHECK(read(FAKE_FD, data, 10) == 10 && memcmp(data, "xxxxxxxxxx", 11) == 0);
	CHECK(pwrite(FAKE_FD, data, 2, 30) == 2 && pwrite(FAKE_FD, data, 3, 10) == 1);
	CHECK(fcntl(FAKE_FD, 0x40, 0x05) == 0x45);
	errno = 0;
	CHECK(lseek(FAKE_FD, 0, SEEK_CUR) == -1 && errno == ESPIPE);
	CHECK(fsync(FAKE_FD) == 0 && fchmod(FAKE_FD, 0) == 0 && ftruncate(FAKE_FD, 1) == 0);
	/* longs: the last one lies on the stack, where an int would have anything beside it */
	CHECK(syscall(SYS_copy_file_range, FAKE_FD, 100000L, 20000L, 3000L, 400L, 50L) == 123450);
	CHECK(syscall(SYS_read, FAKE_FD, data, 3) == 3);
	CHECK(close(FAKE_FD) == 0);
	return 0;
}

/* The kernel answers what the dispatcher does not. */
static int passed(void)
{
	char data[16] = "";
	int ends[2];

	CHECK(pipe(ends) == 0 && write(ends[1], "hello", 5) == 5);
	CHECK(read(ends[0], data, sizeof(data)) == 5 && memcmp(data, "hello", 5) == 0);
	CHECK(close(ends[0]) == 0 && close(ends[0]) == -1 && errno == EBADF && close(ends[1]) == 0);
	CHECK(read(FAKE_FD + 5, data, 1) == -1 && errno == EBADF);
	CHECK(syscall(SYS_getpid) == getpid() && syscall(100000) == -1 && errno == ENOSYS);
	return 0;
}

/* A filter kills the program if a handled call reaches the kernel. */
static int kernel_untouched(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FAKE_FD, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	return handled();
}

/* No dispatcher: the kernel does not know the descriptor. */
static int unhandled(void)
{
	char byte;

	CHECK(read(FAKE_FD, &byte, 1) == -1 && errno == EBADF);
	return 0;
}

/* Only functions of libc that the program itself calls. */
static int functions(void)
{
	char data[16] = "";
	int fd;

#ifdef SUBJECT_SANITIZED_IN_PROGRAM
	return 77; /* read() is the program's own, which finds libc's by dlsym() */
#endif
	CHECK(read(FAKE_FD, data, 10) == 10 && close(FAKE_FD) == 0);
	errno = 0;
	CHECK(lseek(FAKE_FD, 0, SEEK_CUR) == -1 && errno == ESPIPE);
	fd = open("/proc/self/status", O_RDONLY);
	CHECK(fd >= 0 && read(fd, data, 5) == 5 && memcmp(data, "Name:", 5) == 0 && close(fd) == 0);
	CHECK(open("/nowhere/at/all", O_RDONLY) == -1 && errno == ENOENT);
	return 0;
}

/* Becomes `next` with memory that nobody may make executable. */
static int mdwe(const char *next)
{
	if (prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) < 0)
		return 77;
	execl("/proc/self/exe", "subject", next, NULL);
	return 1;
}

static int filtered(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {1, code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	execl("/proc/self/exe", "subject", "unhandled", NULL);
	return 1;
}

/* ---- signals ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;
static int pipe_ends[2];
static sigjmp_buf jump;

static void on_alarm(int signal)
{
	signals++;
	if (signals == 2)
		CHECK(write(pipe_ends[1], "y", 1) == 1);
}

static void on_alarm_jump(int signal)
{
	siglongjmp(jump, 1);
}

static void alarm_set(void (*handler)(int), int flags, int ms)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	struct itimerval every = {{0, ms * 1000}, {0, ms * 1000}};

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static int restart(void)
{
	char byte;

	CHECK(pipe(pipe_ends) == 0);
	alarm_set(on_alarm, SA_RESTART, 20);
	CHECK(read(pipe_ends[0], &byte, 1) == 1 && byte == 'y' && signals >= 2);
	alarm_set(on_alarm, 0, 20);
	CHECK(read(pipe_ends[0], &byte, 1) == -1 && errno == EINTR);
	return 0;
}

/* A handler that interrupts a call in the dispatcher makes calls of its own, and later does not return. */
static int longjmp_out(void)
{
	char data[200];
	volatile int round = 0;

	CHECK(pipe(pipe_ends) == 0);
	alarm_set(on_alarm, SA_RESTART, 10);
	while (signals < 2) /* on a busy machine, alarms fall together */
		CHECK(read(FAKE_FD_SLOW, data, 60) == 60);
	alarm_set(on_alarm_jump, SA_NODEFER, 5);
	if (sigsetjmp(jump, 1) == 0 || ++round < 20) {
		read(FAKE_FD_SLOW, data, sizeof(data));
		return 1;
	}
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
	return handled();
}

/* ---- processes -------------------------------------------------------------------------------- */

static int exit_of(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int clone_main(void *arg)
{
	char byte;

	*(volatile int *)arg = read(FAKE_FD, &byte, 1) == 1 && write(pipe_ends[1], "c", 1) == 1;
	return 0;
}

static void raw_clone(void)
{
	volatile int good = 0;
	size_t size = 256 * 1024;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), byte;

	CHECK(pipe(pipe_ends) == 0);
	CHECK(exit_of(clone(clone_main, stack + size, CLONE_VM | CLONE_FILES | SIGCHLD, (void *)&good)) == 0);
	CHECK(good && read(pipe_ends[0], &byte, 1) == 1 && byte == 'c');
}

static void spawn_to(const char *path)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = {"/bin/echo", "spawned", NULL}, data[16] = "";
	pid_t pid;
	int fd;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) == 0 && exit_of(pid) == 0);
	posix_spawn_file_actions_destroy(&actions);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, data, sizeof(data)) == 8 && memcmp(data, "spawned\n", 8) == 0);
	CHECK(close(fd) == 0 && unlink(path) == 0);
}

static int processes(void)
{
	char line[32] = "", path[] = "/tmp/patch-subject-XXXXXX";
	FILE *pipe_from;
	pid_t pid;
	int fd = mkstemp(path);

	CHECK(fd >= 0 && close(fd) == 0);
	pid = fork();
	if (pid == 0)
		_exit(handled() == 0 ? 41 : 1);
	CHECK(exit_of(pid) == 41);
	pid = vfork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 42", NULL);
		_exit(1);
	}
	CHECK(exit_of(pid) == 42);
	CHECK(WEXITSTATUS(system("exit 43")) == 43);
	pipe_from = popen("echo popen", "r");
	CHECK(pipe_from && fgets(line, sizeof(line), pipe_from) && strcmp(line, "popen\n") == 0);
	CHECK(pclose(pipe_from) == 0);
	spawn_to(path);
	raw_clone();
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} cases[] = {
		{"handled", handled}, {"passed", passed}, {"kernel-untouched", kernel_untouched},
		{"unhandled", unhandled}, {"functions", functions}, {"filtered", filtered}, {"restart", restart},
		{"longjmp", longjmp_out}, {"processes", processes}, {"threads", subject_threads},
		{"cancel", subject_cancel}, {"cancel-handled", subject_cancel_handled},
		{"cancel-race", subject_cancel_race}, {"unwind", subject_unwind}, {"dlopen", subject_dlopen},
		{"registers", subject_registers},
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "mdwe") == 0)
		return mdwe(argv[2]);
	for (size_t n = 0; argc == 2 && n < sizeof(cases) / sizeof(cases[0]); n++)
		if (strcmp(argv[1], cases[n].name) == 0)
			return cases[n].run();
	fprintf(stderr, "subject: no such case\n");
	return 2;
}
