/* SPDX-License-Identifier: Apache-2.0 */
/* Forks, execs, spawns: what children share with their parents, and what they do not. */
#include "tests/integration/preload/check.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>

extern char **environ;

static char buf[256];

static void grandchild(int fd)
{
	CHILD {
		EQUAL(write(fd, "grandchild ", 11), 11);
	}
}

static void offset_is_shared(void)
{
	int fd = open(at("f"), O_RDWR | O_CREAT | O_TRUNC, 0644);

	EQUAL(write(fd, "parent ", 7), 7);
	CHILD {
		EQUAL(lseek(fd, 0, SEEK_CUR), 7);
		EQUAL(write(fd, "child ", 6), 6);
		grandchild(fd);
	}
	EQUAL(write(fd, "end", 3), 3);
	holds(at("f"), "parent child grandchild end");
	EQUAL(lseek(fd, 0, SEEK_SET), 0);
	CHILD {
		EQUAL(read(fd, buf, 7), 7);
	}
	EQUAL(read(fd, buf, 5), 5);
	EQUAL(memcmp(buf, "child", 5), 0);
	close(fd);
}

/* node, python and java do this: an fd that is close-on-exec becomes the child's output, and both go on. */
static void cloexec_made_output(void)
{
	int fd = open(at("out"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	EQUAL(write(fd, "1\n", 2), 2);
	CHILD {
		dup2(fd, 1);
		execl("/bin/sh", "sh", "-c", "echo 2; /bin/echo 3; (echo 4)", NULL);
		_exit(9);
	}
	EQUAL(write(fd, "5\n", 2), 2);
	close(fd);
	holds(at("out"), "1\n2\n3\n4\n5\n");
}

static void inherited_over_exec(void)
{
	int fd = open(at("in"), O_RDWR | O_CREAT | O_TRUNC, 0644), gone = open(at("in"), O_RDONLY | O_CLOEXEC);
	char command[128];

	EQUAL(write(fd, "one two three", 13), 13);
	EQUAL(lseek(fd, 4, SEEK_SET), 4);
	snprintf(command, sizeof(command), "read x <&%d && [ \"$x\" = 'two three' ] && ! [ -e /proc/self/fd/%d ]", fd, gone);
	/* read wants a line */
	EQUAL(pwrite(fd, "\n", 1, 13), 1);
	CHILD {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(9);
	}
	EQUAL(lseek(fd, 0, SEEK_CUR), 14);
	close(fd);
	close(gone);
}

static void copy_program(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
	char buf[65536];
	ssize_t n;

	CHECK(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		EQUAL(write(out, buf, n), n);
	EQUAL(n, 0);
	close(in);
	EQUAL(close(out), 0);
}

/* Nobody writes to a program while it runs, and anybody may when it has ended. */
static void running_program(void)
{
	int ends[2], begun[2], status, fd, round;
	char byte;
	pid_t pid;

	copy_program("/bin/cat", at("prog"));
	for (round = 0; round < 3; round++) {
		EQUAL(pipe2(ends, O_CLOEXEC), 0);
		EQUAL(pipe2(begun, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0) {
			dup2(ends[0], 0);
			execl(at("prog"), "prog", NULL);
			_exit(1);
		}
		close(ends[0]);
		close(begun[1]);
		EQUAL(read(begun[0], &byte, 1), 0);
		close(begun[0]);
		FAILS(open(at("prog"), O_WRONLY), ETXTBSY);
		FAILS(open(at("prog"), O_RDWR | O_TRUNC), ETXTBSY);
		FAILS(truncate(at("prog"), 0), ETXTBSY);
		fd = open(at("prog"), O_RDONLY);
		EQUAL(read(fd, &byte, 1), 1);
		close(fd);
		close(ends[1]);
		EQUAL(waitpid(pid, &status, 0), pid);
		EQUAL(status, 0);
		fd = open(at("prog"), O_WRONLY);
		CHECK(fd >= 0);
		close(fd);
	}
	EQUAL(truncate(at("prog"), 0), 0);
	EQUAL(unlink(at("prog")), 0);
}

static int runs(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl(at("prog"), "prog", "/dev/null", NULL);
		_exit(errno == ETXTBSY ? 26 : 1);
	}
	EQUAL(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Nothing runs that somebody may write to, be he killed or close it in the moment before. */
static void written_program(void)
{
	int begun[2], round;
	char byte;
	pid_t pid;

	copy_program("/bin/cat", at("prog"));
	for (round = 0; round < 10; round++) {
		EQUAL(pipe2(begun, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0) {
			int fd = open(at("prog"), O_WRONLY);

			if (fd < 0 || write(begun[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		EQUAL(read(begun[0], &byte, 1), 1);
		close(begun[0]);
		close(begun[1]);
		EQUAL(runs(), 26);
		EQUAL(kill(pid, SIGKILL), 0);
		EQUAL(waitpid(pid, NULL, 0), pid);
		EQUAL(runs(), 0);
		close(open(at("prog"), O_RDWR));
		EQUAL(runs(), 0);
	}
	EQUAL(unlink(at("prog")), 0);
}

/* An exec that fails leaves everything as it was. */
static void failed_exec(void)
{
	int keep = open(at("keep"), O_RDWR | O_CREAT | O_TRUNC, 0644), cloexec = open(at("keep"), O_RDWR | O_CLOEXEC);

	write_file(at("noexec"), "nothing that runs");
	EQUAL(chmod(at("noexec"), 0755), 0);
	EQUAL(write(keep, "0123456789", 10), 10);
	EQUAL(lseek(cloexec, 5, SEEK_SET), 5);
	FAILS(execl("/nonexistent", "x", NULL), ENOENT);
	FAILS(execl(at("noexec"), "x", NULL), ENOEXEC);
	EQUAL(read(cloexec, buf, 10), 5);
	EQUAL(lseek(keep, 0, SEEK_CUR), 10);
	EQUAL(write(keep, "x", 1), 1);
	EQUAL(pread(cloexec, buf, 20, 0), 11);
	close(keep);
	close(cloexec);
}

static void vforked(void)
{
	int fd = open(at("vf"), O_RDWR | O_CREAT | O_TRUNC, 0644), status;
	pid_t child;

	EQUAL(write(fd, "a", 1), 1);
	child = vfork();
	if (child == 0) {
		dup2(fd, 1);
		close(fd);
		execl("/bin/echo", "echo", "-n", "b", NULL);
		_exit(9);
	}
	waitpid(child, &status, 0);
	EQUAL(status, 0);
	/* the child's close was its own */
	EQUAL(write(fd, "c", 1), 1);
	close(fd);
	holds(at("vf"), "abc");
}

static void spawned(void)
{
	posix_spawn_file_actions_t actions;
	char *args[] = {"sh", "-c", "cat; echo more >&2", NULL};
	int err = open(at("err"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	pid_t child;

	write_file(at("src"), "from a file\n");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, at("src"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, at("dst"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	posix_spawn_file_actions_adddup2(&actions, err, 2);
	EQUAL(posix_spawn(&child, "/bin/sh", &actions, NULL, args, environ), 0);
	child_ok(child);
	posix_spawn_file_actions_destroy(&actions);
	EQUAL(write(err, "!", 1), 1);
	close(err);
	holds(at("dst"), "from a file\n");
	holds(at("err"), "more\n!");
}

static void redirections(void)
{
	char command[8192];
	FILE *p;

	snprintf(command, sizeof(command),
		 "cd %s && { echo a; /bin/echo b; } > g && echo c >> g && cat < g > h && exec 3<>h && read x <&3 && "
		 "read y <&3 && echo $x$y >&3 && while read l; do echo \"<$l>\"; done < h > i && "
		 "(cd .. && pwd) > /dev/null && cat h i | tr '\\n' ,",
		 dir);
	p = popen(command, "r");
	CHECK(p);
	CHECK(fgets(buf, sizeof(buf), p));
	EQUAL(pclose(p), 0);
	if (strcmp(buf, "a,b,ab,<a>,<b>,<ab>,"))
		fprintf(stderr, "got %s\n", buf), _exit(1);
}

/* A program on the file system itself, and a script. */
static void programs_on_it(void)
{
	char command[8192];

	snprintf(command, sizeof(command), "cp /bin/echo '%s' && '%s' yes > '%s'", at("echo"), at("echo"), at("said"));
	EQUAL(system(command), 0);
	holds(at("said"), "yes\n");
	write_file(at("script"), "#!/bin/sh\necho script $1\n");
	EQUAL(chmod(at("script"), 0755), 0);
	snprintf(command, sizeof(command), "'%s' two > '%s'", at("script"), at("said"));
	EQUAL(system(command), 0);
	holds(at("said"), "script two\n");
}

static void unlinked_in_a_child(void)
{
	int fd = open(at("gone"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	struct stat st;

	EQUAL(write(fd, "still", 5), 5);
	EQUAL(unlink(at("gone")), 0);
	CHILD {
		EQUAL(fstat(fd, &st), 0);
		EQUAL(st.st_nlink, 0);
		EQUAL(pread(fd, buf, 10, 0), 5);
		EQUAL(write(fd, " here", 5), 5);
		CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	}
	EQUAL(lseek(fd, 0, SEEK_CUR), 10);
	FAILS(open(at("gone"), O_RDONLY), ENOENT);
	close(fd);
}

static void many_forks(void)
{
	int fd = open(at("count"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	struct stat st;
	pid_t child[20];

	for (int i = 0; i < 20; i++)
		if ((child[i] = fork()) == 0) {
			int own = open(at("count"), O_WRONLY | O_APPEND);
			for (int n = 0; n < 20; n++)
				EQUAL(write(n % 2 ? own : fd, "x", 1), 1);
			_exit(0);
		}
	for (int i = 0; i < 20; i++)
		child_ok(child[i]);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_size, 400);
	close(fd);
}

MAIN(offset_is_shared, cloexec_made_output, inherited_over_exec, failed_exec, vforked, spawned, redirections,
     programs_on_it, running_program, written_program, unlinked_in_a_child, many_forks)
