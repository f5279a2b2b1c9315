/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points that the host lacks: there in a namespace of our own, with all that was there, and nowhere
 * else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "engine/mimic.h"

static char base[] = "/tmp/polytropon-mimic-XXXXXX";

static char *in_base(const char *name)
{
	static char path[4][PATH_MAX];
	static int next;
	char *p = path[next++ % 4];

	snprintf(p, PATH_MAX, "%s/%s", base, name);
	return p;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool holds(const char *path, const char *text)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	close(fd);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, n);
}

/* Each check runs in a child with a mount namespace of its own; its exit status is the line that failed. */
#define CHECK(x)                                                                                           \
	do {                                                                                               \
		if (!(x))                                                                                  \
			_exit(__LINE__ & 0xff ?: 1);                                                       \
	} while (0)

static void in_namespace(void (*check)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0);
		check();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("status %x: line %d (modulo 256) failed", status, WEXITSTATUS(status));
}

static void check_below(void)
{
	struct mimic mimic = {};
	struct error error;
	struct stat st, was;
	char real[PATH_MAX], target[64] = "";

	CHECK(mount("tmpfs", in_base("host/mounted"), "tmpfs", 0, NULL) == 0);
	put(in_base("host/mounted/deep"), "below a mount");
	CHECK(stat(in_base("host"), &was) == 0);
	CHECK(mimic_directory(&mimic, in_base("host/new/a/b"), real, &error) == 0);
	CHECK(!strcmp(real, in_base("host/new/a/b")));
	CHECK(stat(in_base("host/new/a/b"), &st) == 0 && S_ISDIR(st.st_mode) &&
	      (st.st_mode & 07777) == 0755);
	/* what was there */
	CHECK(holds(in_base("host/file"), "content") && holds(in_base("host/dir/inside"), "inside"));
	CHECK(holds(in_base("host/mounted/deep"), "below a mount"));
	CHECK(readlink(in_base("host/link"), target, sizeof(target)) == 4 && !memcmp(target, "file", 4));
	CHECK(stat(in_base("host"), &st) == 0 && st.st_mode == was.st_mode && st.st_uid == was.st_uid &&
	      st.st_gid == was.st_gid && st.st_dev != was.st_dev);
	CHECK(stat(in_base("host/dir"), &st) == 0 && (st.st_mode & 07777) == 0710 && st.st_uid == 12);
	/* below an entry it is the host's still */
	put(in_base("host/dir/written"), "through");
	/* a second one in the same place needs no second cover */
	CHECK(mimic_directory(&mimic, in_base("host/other"), real, &error) == 0 && mimic.count == 1);
	/* one that is there needs nothing */
	CHECK(mimic_directory(&mimic, in_base("host/dir"), real, &error) == 0 && mimic.count == 1);
	/* a file is no directory */
	CHECK(mimic_directory(&mimic, in_base("host/file/x"), real, &error) == -ENOTDIR);
}

static void only_the_namespace_sees_it(void **state)
{
	struct stat st;

	assert_int_equal(mkdir(in_base("host"), 0777), 0);
	assert_int_equal(chmod(in_base("host"), 01777), 0);
	assert_int_equal(chown(in_base("host"), 3, 4), 0);
	assert_int_equal(mkdir(in_base("host/dir"), 0710), 0);
	assert_int_equal(chown(in_base("host/dir"), 12, 13), 0);
	assert_int_equal(mkdir(in_base("host/mounted"), 0755), 0);
	put(in_base("host/file"), "content");
	put(in_base("host/dir/inside"), "inside");
	assert_int_equal(symlink("file", in_base("host/link")), 0);
	in_namespace(check_below);
	assert_int_equal(stat(in_base("host/new"), &st), -1);
	assert_int_equal(stat(in_base("host/other"), &st), -1);
	assert_int_equal(stat(in_base("host/mounted/deep"), &st), -1);
	assert_true(holds(in_base("host/dir/written"), "through"));
}

static void check_root(void)
{
	struct mimic mimic = {};
	struct stat old, new, proc;
	struct error error;
	char real[PATH_MAX];

	CHECK(stat("/", &old) == 0);
	CHECK(mimic_directory(&mimic, "/polytropon-not-there/x", real, &error) == 0);
	CHECK(stat("/", &new) == 0 && new.st_dev != old.st_dev &&new.st_mode == old.st_mode);
	CHECK(stat("/polytropon-not-there/x", &new) == 0);
	CHECK(stat("/proc/self", &proc) == 0 && access("/bin/sh", X_OK) == 0 &&
	      access("/dev/null", W_OK) == 0);
	CHECK(holds(in_base("host/file"), "content"));
	CHECK(stat("/..", &old) == 0 && stat("/", &new) == 0 &&
	      old.st_ino == new.st_ino &&old.st_dev == new.st_dev);
	/* and with a root of our own, another place */
	CHECK(mimic_directory(&mimic, "/polytropon-too", real, &error) == 0 && mimic.count == 1);
	CHECK(mimic_directory(&mimic, in_base("host/new"), real, &error) == 0 && mimic.count == 2);
}

static void a_new_root_has_all_of_the_old(void **state)
{
	struct stat st;

	in_namespace(check_root);
	assert_int_equal(stat("/polytropon-not-there", &st), -1);
	assert_int_equal(stat("/polytropon-too", &st), -1);
}

static void check_links(void)
{
	struct mimic mimic = {};
	struct error error;
	char real[PATH_MAX], expected[PATH_MAX];

	snprintf(expected, sizeof(expected), "%s", in_base("host/dir/sub"));
	CHECK(mimic_directory(&mimic, in_base("to-dir/sub"), real, &error) == 0 && !strcmp(real, expected));
}

static void a_path_through_a_link_is_its_real_path(void **state)
{
	assert_int_equal(symlink("host/dir", in_base("to-dir")), 0);
	in_namespace(check_links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_namespace_sees_it),
		cmocka_unit_test(a_new_root_has_all_of_the_old),
		cmocka_unit_test(a_path_through_a_link_is_its_real_path),
	};
	char command[PATH_MAX];
	int failed;

	if (geteuid() != 0)
		return 77;
	if (!mkdtemp(base))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL) != 0;
	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	return system(command) != 0 || failed;
}
