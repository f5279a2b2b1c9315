/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs with the library in them: test-attach MODE LIBRARY SUBJECT. MODE is in-place, overlay (from a private
 * tmpfs at /run, which needs root) or linker (overlay, and ld.so too). The cases are the subject's.
 */
#include "preload/class.h"
#include "preload/overlay.h"
#include "preload/patch.h"
#include "tests/unit/patch/dispatch.h"
#include "tests/unit/patch/library.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *mode, *library, *subject;
static int overlays;
static struct patch_counters *counters;
static char counters_path[32];

enum { TIME_LIMIT = 60 };

/* Runs argv with the library; returns its exit status, or -signal. */
static int run(char *const argv[], const char *variable)
{
	char preload[512], where[64];
	int status = 0;
	pid_t pid;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	snprintf(where, sizeof(where), "PATCH_TEST_COUNTERS=%s", counters_path);
	memset(counters, 0, sizeof(*counters));
	pid = fork();
	if (pid == 0) {
		alarm(TIME_LIMIT);
		putenv(preload);
		putenv(where);
		putenv("ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0");
		if (strcmp(mode, "linker") == 0)
			putenv("PATCH_TEST_LINKER=1");
		if (variable)
			putenv((char *)(uintptr_t)variable);
		execv(argv[0], argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_case(const char *name, const char *next)
{
	char *argv[] = {(char *)(uintptr_t)subject, (char *)(uintptr_t)name, (char *)(uintptr_t)next, NULL};

	return run(argv, NULL);
}

static void expect(const char *name)
{
	int got = run_case(name, NULL);

	if (got == 77)
		printf("%s: does not apply here\n", name);
	else if (got)
		fail_msg("%s: exit status %d", name, got);
}

static void handled_and_passed_calls_are_right(void **state)
{
	expect("handled");
	assert_int_equal(counters->status.coverage, PRELOAD_FULL);
	assert_int_equal(counters->status.skipped, 0);
	assert_true(overlays ? counters->status.overlays >= 1 : counters->status.overlays == 0);
	assert_true(counters->calls[SYS_read] >= 2 && counters->calls[SYS_copy_file_range] == 1);
	assert_int_equal(counters->strange, 0);
	printf("%s: %u sites\n", mode, counters->status.sites);
	expect("passed");
	expect("registers");
}

static void handled_calls_never_reach_the_kernel(void **state)
{
	expect("kernel-untouched");
}

static void signals_restart_interrupt_and_jump(void **state)
{
	expect("restart");
	assert_int_equal(counters->calls[SYS_read], 2); /* the restarted one came once */
	expect("longjmp");
	expect("unwind");
}

static void processes_of_every_kind(void **state)
{
	expect("processes");
	expect("threads");
	assert_int_equal(counters->calls[SYS_pwrite64], 6 * 3000);
	expect("dlopen");
}

static void cancellation_is_neither_lost_nor_early(void **state)
{
	expect("cancel");
	expect("cancel-handled");
	assert_true(counters->slow_begun > 0);
	assert_int_equal(counters->slow_begun, counters->slow_done);
	expect("cancel-race");
}

/* Text cannot be changed: the overlay does not mind, and without it functions are redirected. */
static void memory_deny_write_execute(void **state)
{
	int got = run_case("mdwe", overlays ? "handled" : "functions");

	if (got == 77)
		return;
	assert_int_equal(got, 0);
	assert_int_equal(counters->status.coverage, overlays ? PRELOAD_FULL : PRELOAD_PARTIAL);
	assert_true(overlays || counters->status.slots > 0);
}

static void some_processes_are_left_alone(void **state)
{
	char *argv[] = {(char *)(uintptr_t)subject, "unhandled", NULL};

	assert_int_equal(run(argv, "POLYTROPON_MODE=off"), 0);
	assert_int_equal(run(argv, "PATCH_TEST_LOAD_ONLY=1"), 0);
	assert_int_equal(run_case("filtered", NULL), 0);
}

static void file_make(const char *to, const void *data, size_t size)
{
	FILE *out = fopen(to, "w");

	assert_true(out && fwrite(data, 1, size, out) == size && fclose(out) == 0 && chmod(to, 0755) == 0);
}

/* A libc that there is neither a table nor an overlay for. */
static void an_unknown_libc_is_scanned(void **state)
{
	char folder[] = "/tmp/patch-attach-XXXXXX", path[64], command[64];
	struct library libc;
	char *argv[] = {"/lib64/ld-linux-x86-64.so.2", "--library-path", folder, (char *)(uintptr_t)subject, "passed",
			NULL};

	if (strstr(subject, "musl") || strstr(subject, "asan"))
		skip();
	if (library_load(&libc, "/lib/x86_64-linux-gnu/libc.so.6") < 0 || !mkdtemp(folder))
		skip();
	libc.note[3] ^= 0x55;
	snprintf(path, sizeof(path), "%s/libc.so.6", folder);
	file_make(path, libc.file, libc.size);
	library_unload(&libc);
	/* not "handled": read() is one of the few that the scan cannot place */
	assert_int_equal(run(argv, NULL), 0);
	assert_int_equal(counters->status.coverage, PRELOAD_PARTIAL);
	assert_true(counters->status.sites > 100 && counters->status.overlays == (strcmp(mode, "linker") == 0));
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

/* /run with nothing but overlays, for this process and its children. 0, or -errno. */
static int overlays_mount(void)
{
	char error[256] = "";
	int dir;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755,huge=within_size") < 0)
		return -errno;
	if (mkdir("/run/polytropon", 0755) < 0 || mkdir("/run/polytropon/patch", 0755) < 0)
		return -errno;
	dir = open("/run/polytropon/patch", O_RDONLY | O_DIRECTORY);
	overlays = overlay_write_all(dir, "", error, sizeof(error));
	close(dir);
	if (overlays < 0)
		fprintf(stderr, "%s\n", error);
	return overlays;
}

static int counters_make(void)
{
	int fd;

	strcpy(counters_path, "/tmp/patch-counters-XXXXXX");
	fd = mkstemp(counters_path);
	if (fd < 0 || ftruncate(fd, sizeof(*counters)) < 0)
		return -1;
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return counters == MAP_FAILED ? -1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handled_and_passed_calls_are_right),
		cmocka_unit_test(handled_calls_never_reach_the_kernel),
		cmocka_unit_test(signals_restart_interrupt_and_jump),
		cmocka_unit_test(processes_of_every_kind),
		cmocka_unit_test(cancellation_is_neither_lost_nor_early),
		cmocka_unit_test(memory_deny_write_execute),
		cmocka_unit_test(some_processes_are_left_alone),
		cmocka_unit_test(an_unknown_libc_is_scanned),
	};
	int failed;

	if (argc != 4)
		return 2;
	mode = argv[1];
	library = argv[2];
	subject = argv[3];
	if (strcmp(mode, "in-place") != 0 && overlays_mount() < 0) {
		fprintf(stderr, "no overlays: %s\n", strerror(errno));
		return 77;
	}
	if (counters_make() < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL) != 0;
	unlink(counters_path);
	return failed;
}
