/* SPDX-License-Identifier: Apache-2.0 */
/* Where a process is: working directories, directory descriptors, "..", umask. */
#include "tests/integration/preload/check.h"

#include <dirent.h>
#include <limits.h>

static char buf[PATH_MAX];
static struct stat st;

static void is_here(const char *name)
{
	CHECK(getcwd(buf, sizeof(buf)));
	if (strcmp(buf, *name ? at(name) : dir))
		fprintf(stderr, "here is %s, not %s/%s\n", buf, dir, name), _exit(1);
}

static void moving_about(void)
{
	int d;

	EQUAL(chdir(dir), 0);
	is_here("");
	EQUAL(mkdir("a", 0755), 0);
	EQUAL(mkdir("a/b", 0755), 0);
	write_file("a/file", "in a");
	EQUAL(chdir("a"), 0);
	is_here("a");
	holds("file", "in a");
	holds("./file", "in a");
	holds("../a/file", "in a");
	holds("b/../file", "in a");
	EQUAL(chdir("b"), 0);
	is_here("a/b");
	FAILS(open("file", O_RDONLY), ENOENT);
	EQUAL(chdir("../.."), 0);
	is_here("");
	d = open("a", O_RDONLY | O_DIRECTORY);
	EQUAL(fchdir(d), 0);
	is_here("a");
	holds("file", "in a");
	close(d);
	holds("file", "in a");
	FAILS(chdir("file"), ENOTDIR);
	FAILS(chdir("none"), ENOENT);
	is_here("a");
	EQUAL(stat("", &st), -1);
	EQUAL(errno, ENOENT);
	EQUAL(chdir("/"), 0);
	FAILS(open("file", O_RDONLY), ENOENT);
	EQUAL(chdir(dir), 0);
}

static void above_the_top(void)
{
	char up[] = "../../../../../../../../../../../etc/passwd";

	EQUAL(chdir(at("a/b")), 0);
	EQUAL(access(up, R_OK), 0);
	EQUAL(stat(up, &st), 0);
	EQUAL(close(open(up, O_RDONLY)), 0);
	EQUAL(stat("../../..", &st), 0);
	CHECK(S_ISDIR(st.st_mode));
	FAILS(rename("../file", "/dev/x"), EXDEV);
	EQUAL(chdir(dir), 0);
}

/* A directory that is renamed, or removed, under us. */
static void moved_under_us(void)
{
	EQUAL(mkdir("m1", 0755), 0);
	EQUAL(chdir("m1"), 0);
	CHILD {
		EQUAL(rename(at("m1"), at("m2")), 0);
	}
	write_file("f", "x");
	holds(at("m2/f"), "x");
	EQUAL(unlink("f"), 0);
	EQUAL(rmdir(at("m2")), 0);
	FAILS(open("f", O_RDWR | O_CREAT, 0644), ENOENT);
	EQUAL(chdir(dir), 0);
}

static void in_children(void)
{
	EQUAL(chdir("a"), 0);
	CHILD {
		holds("file", "in a");
		EQUAL(chdir("b"), 0);
		write_file("child", "c");
	}
	is_here("a");
	holds("b/child", "c");
	EQUAL(system("[ $(cat file | wc -c) = 4 ] && cd b && [ $(cat child) = c ] && ls .. | grep -q file"), 0);
	EQUAL(chdir(dir), 0);
}

static void directory_descriptors(void)
{
	int d = open("a", O_RDONLY | O_DIRECTORY), f, moved = fcntl(d, F_DUPFD_CLOEXEC, 50);

	f = openat(d, "new", O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(f >= 0);
	FAILS(openat(f, "x", O_RDONLY), ENOTDIR);
	close(f);
	EQUAL(fstatat(moved, "new", &st, 0), 0);
	EQUAL(faccessat(moved, "new", W_OK, 0), 0);
	EQUAL(fchmodat(moved, "new", 0640, 0), 0);
	EQUAL(linkat(d, "new", moved, "new2", 0), 0);
	EQUAL(symlinkat("new", d, "sym"), 0);
	EQUAL(readlinkat(d, "sym", buf, sizeof(buf)), 3);
	EQUAL(renameat(d, "new2", AT_FDCWD, "out"), 0);
	EQUAL(unlinkat(AT_FDCWD, "out", 0), 0);
	EQUAL(unlinkat(d, "sym", 0), 0);
	FAILS(openat(99, "x", O_RDONLY), EBADF);
	f = openat(99, at("a/new"), O_RDONLY); /* an absolute path needs no base */
	CHECK(f >= 0);
	close(f);
	CHILD { /* and a child has them */
		EQUAL(fstatat(d, "new", &st, 0), 0);
		EQUAL(mkdirat(d, "bychild", 0700), 0);
	}
	EQUAL(unlinkat(moved, "bychild", AT_REMOVEDIR), 0);
	close(d);
	f = openat(moved, "../a/new", O_RDONLY);
	CHECK(f >= 0);
	close(f);
	close(moved);
}

static void masks(void)
{
	EQUAL(umask(077), 022);
	EQUAL(close(open("u1", O_RDWR | O_CREAT, 0666)), 0);
	EQUAL(stat("u1", &st), 0);
	EQUAL(st.st_mode, S_IFREG | 0600);
	CHILD {
		EQUAL(umask(0), 077);
		EQUAL(mkdir("u2", 01777), 0);
		EQUAL(stat("u2", &st), 0);
		EQUAL(st.st_mode, S_IFDIR | 01777);
	}
	EQUAL(mkfifo("u3", 0666), 0);
	EQUAL(stat("u3", &st), 0);
	EQUAL(st.st_mode, S_IFIFO | 0600);
	EQUAL(umask(022), 077);
	EQUAL(system("umask 027; : > u4"), 0);
	EQUAL(stat("u4", &st), 0);
	EQUAL(st.st_mode, S_IFREG | 0640);
}

/* Whoever walks through a directory, and whatever changes beside it, it keeps its name. */
static void named_throughout(void)
{
	pid_t walker;
	int d;

	EQUAL(mkdir(at("busy"), 0755), 0);
	EQUAL(chdir(at("busy")), 0);
	walker = fork();
	for (int i = 0; walker == 0 && i < 100000; i++) {
		EQUAL(mkdir(at("beside"), 0755), 0);
		EQUAL(rmdir(at("beside")), 0);
		d = open(at("busy/."), O_PATH);
		CHECK(d >= 0);
		close(d);
	}
	if (walker == 0)
		_exit(0);
	for (int i = 0; i < 5000; i++)
		is_here("busy");
	kill(walker, SIGKILL);
	EQUAL(waitpid(walker, NULL, 0), walker);
	EQUAL(rmdir(at("busy")), 0);
	EQUAL(chdir(dir), 0);
	rmdir(at("beside"));
}

/* Where the kernel tells no path, glibc goes up by "..", as far as /: on the way it opens what is above the top. */
static void deeper_than_a_path(void)
{
	static char here[2 * PATH_MAX];
	size_t deep = strlen(dir);
	struct stat up;

	EQUAL(chdir(dir), 0);
	for (; deep < PATH_MAX + 100; deep += strlen("/deep")) {
		EQUAL(mkdir("deep", 0755), 0);
		EQUAL(chdir("deep"), 0);
	}
#ifdef __GLIBC__
	FAILS(getcwd(here, PATH_MAX) ? 0 : -1, ERANGE);
	CHECK(getcwd(here, sizeof(here)));
	EQUAL(strlen(here), deep);
	EQUAL(strncmp(here, at("deep/"), strlen(at("deep/"))), 0);
#else
	FAILS(getcwd(here, sizeof(here)) ? 0 : -1, ENAMETOOLONG);
#endif
	for (; deep > strlen(dir); deep -= strlen("/deep")) {
		EQUAL(chdir(".."), 0);
		EQUAL(rmdir("deep"), 0);
	}
	EQUAL(stat(".", &up), 0);
	EQUAL(stat(dir, &st), 0);
	EQUAL(up.st_ino, st.st_ino);
}

MAIN(named_throughout, moving_about, above_the_top, deeper_than_a_path, moved_under_us, in_children, directory_descriptors, masks)
