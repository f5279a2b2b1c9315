/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process has seen of files it may remember, but never longer than it is true: another process changes things,
 * and as soon as that says so, this one sees it. The other is served by the same library, or by the kernel alone.
 */
#include "tests/integration/preload/check.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

static struct stat st;
static char buf[70000];

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

/* rwx for all three, and for the user 7 rx, with a mask. As good as any as a value of something else. */
static const unsigned char acl[] = {
	2, 0, 0, 0,
	1, 0, 7, 0, 255, 255, 255, 255,
	2, 0, 5, 0, 7, 0, 0, 0,
	4, 0, 7, 0, 255, 255, 255, 255,
	16, 0, 7, 0, 255, 255, 255, 255,
	32, 0, 7, 0, 255, 255, 255, 255,
};

/* ---- the other ------------------------------------------------------------------------------- */

static int other_in, other_out;
static pid_t other_pid;

static int store_mapped(const char *path, const char *text)
{
	static char *memory;
	static int fd = -1;
	size_t n = strlen(text);

	if (fd < 0) {
		fd = open(path, O_RDWR);
		memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED)
			return -1;
	}
	memcpy(memory, text, n);
	return 0;
}

static int other_does(const char *what, const char *a, const char *b)
{
	int fd, r = -1;

	if (!strcmp(what, "unlink"))
		return unlink(a);
	if (!strcmp(what, "mkdir"))
		return mkdir(a, 0755);
	if (!strcmp(what, "rmdir"))
		return rmdir(a);
	if (!strcmp(what, "rename"))
		return rename(a, b);
	if (!strcmp(what, "exchange"))
		return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2);
	if (!strcmp(what, "link"))
		return link(a, b);
	if (!strcmp(what, "symlink"))
		return symlink(b, a);
	if (!strcmp(what, "chmod"))
		return chmod(a, strtol(b, NULL, 8));
	if (!strcmp(what, "truncate"))
		return truncate(a, atoi(b));
	if (!strcmp(what, "xattr"))
		return lsetxattr(a, b, acl, sizeof(acl), 0);
	if (!strcmp(what, "xattr-"))
		return lremovexattr(a, b);
	if (!strcmp(what, "map"))
		return store_mapped(a, b);
	if (!strcmp(what, "write") || !strcmp(what, "append") || !strcmp(what, "replace")) {
		fd = open(a, *what == 'a' ? O_WRONLY | O_APPEND : O_WRONLY | O_CREAT | (*what == 'r' ? O_TRUNC : 0), 0644);
		if (fd >= 0)
			r = write(fd, b, strlen(b)) == (ssize_t)strlen(b) ? 0 : -1;
		close(fd);
	}
	return r;
}

/* Commands of three words, each answered with a byte when it is done. */
static int other_main(void)
{
	char line[3][4096];
	char answer;

	for (;;) {
		for (int i = 0; i < 3; i++)
			if (read(0, line[i], sizeof(line[i])) != sizeof(line[i]))
				return 0;
		answer = other_does(line[0], line[1], line[2]) == 0 ? 'y' : 'n';
		if (write(1, &answer, 1) != 1)
			return 1;
	}
}

static void other_start(const char *program, const char *mode)
{
	int to[2], from[2];

	EQUAL(pipe(to), 0);
	EQUAL(pipe(from), 0);
	other_pid = fork();
	if (other_pid == 0) {
		setenv("POLYTROPON_MODE", mode, 1);
		dup2(to[0], 0);
		dup2(from[1], 1);
		for (int fd = 3; fd < 20; fd++)
			close(fd);
		execl(program, program, "--other", (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	other_in = to[1];
	other_out = from[0];
}

static void other_end(void)
{
	int status;

	close(other_in);
	close(other_out);
	EQUAL(waitpid(other_pid, &status, 0), other_pid);
	EQUAL(status, 0);
}

static void other(const char *what, const char *a, const char *b)
{
	char line[3][4096];
	char answer;

	snprintf(line[0], sizeof(line[0]), "%s", what);
	snprintf(line[1], sizeof(line[1]), "%s", a);
	snprintf(line[2], sizeof(line[2]), "%s", b);
	EQUAL(write(other_in, line, sizeof(line)), sizeof(line));
	EQUAL(read(other_out, &answer, 1), 1);
	if (answer != 'y')
		fprintf(stderr, "%s %s %s\n", what, a, b);
	EQUAL(answer, 'y');
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Often enough that whatever can be remembered is. */
#define OFTEN(what)                                                                                   \
	for (int often_ = 0; often_ < 4; often_++)                                                    \
	what

static ssize_t reads(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	if (n >= 0)
		buf[n] = 0;
	EQUAL(close(fd), 0);
	return n;
}

static unsigned listed(const char *path, const char *name)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned found = 0;

	CHECK(d);
	while ((e = readdir(d)))
		found += !strcmp(e->d_name, name);
	closedir(d);
	return found;
}

static void names_come_and_go(void)
{
	ino_t before;

	OFTEN(FAILS(stat(at("name"), &st), ENOENT));
	OFTEN(FAILS(open(at("name"), O_RDONLY), ENOENT));
	OFTEN(EQUAL(listed(dir, "name"), 0));
	other("write", at("name"), "x");
	EQUAL(stat(at("name"), &st), 0);
	EQUAL(listed(dir, "name"), 1);
	OFTEN(EQUAL(access(at("name"), R_OK), 0));
	OFTEN(EQUAL(reads(at("name")), 1));
	OFTEN(EQUAL(listed(dir, "name"), 1));
	other("rename", at("name"), at("moved"));
	FAILS(stat(at("name"), &st), ENOENT);
	FAILS(open(at("name"), O_RDONLY), ENOENT);
	EQUAL(listed(dir, "name"), 0);
	EQUAL(reads(at("moved")), 1);
	OFTEN(EQUAL(stat(at("moved"), &st), 0));
	before = st.st_ino;
	other("write", at("new"), "two");
	OFTEN(EQUAL(reads(at("new")), 3));
	other("rename", at("new"), at("moved"));
	EQUAL(stat(at("moved"), &st), 0);
	CHECK(st.st_ino != before);
	EQUAL(reads(at("moved")), 3);
	other("write", at("third"), "third");
	OFTEN(EQUAL(reads(at("moved")), 3));
	OFTEN(EQUAL(reads(at("third")), 5));
	other("exchange", at("third"), at("moved"));
	EQUAL(reads(at("moved")), 5);
	EQUAL(reads(at("third")), 3);
	other("unlink", at("moved"), "");
	other("unlink", at("third"), "");
	FAILS(open(at("moved"), O_RDONLY), ENOENT);
	FAILS(access(at("moved"), F_OK), ENOENT);
	other("symlink", at("moved"), "elsewhere");
	EQUAL(lstat(at("moved"), &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	EQUAL(readlink(at("moved"), buf, sizeof(buf)), 9);
	other("unlink", at("moved"), "");
	OFTEN(FAILS(readlink(at("moved"), buf, sizeof(buf)), ENOENT));
}

static void directories_change(void)
{
	int d;

	other("mkdir", at("d"), "");
	other("write", at("d/f"), "inside");
	OFTEN(EQUAL(reads(at("d/f")), 6));
	d = open(at("d"), O_RDONLY | O_DIRECTORY);
	other("rename", at("d"), at("e"));
	FAILS(open(at("d/f"), O_RDONLY), ENOENT);
	OFTEN(EQUAL(reads(at("e/f")), 6));
	OFTEN(EQUAL(fstatat(d, "f", &st, 0), 0));
	other("unlink", at("e/f"), "");
	FAILS(fstatat(d, "f", &st, 0), ENOENT);
	OFTEN(EQUAL(listed(at("e"), "f"), 0));
	other("rmdir", at("e"), "");
	FAILS(stat(at("e"), &st), ENOENT);
	EQUAL(fstat(d, &st), 0);
	FAILS(openat(d, "f", O_RDONLY | O_CREAT, 0644), ENOENT);
	EQUAL(close(d), 0);
	other("mkdir", at("d"), "");
	EQUAL(stat(at("d"), &st), 0);
	EQUAL(st.st_nlink, 2);
	OFTEN(EQUAL(stat(at("d"), &st), 0));
	other("mkdir", at("d/sub"), "");
	EQUAL(stat(at("d"), &st), 0);
	EQUAL(st.st_nlink, 3);
	other("rmdir", at("d/sub"), "");
	EQUAL(stat(at("d"), &st), 0);
	EQUAL(st.st_nlink, 2);
	other("rmdir", at("d"), "");
}

static void attributes_change(void)
{
	int fd;

	other("write", at("f"), "0123456789");
	fd = open(at("f"), O_RDONLY);
	OFTEN(EQUAL(fstat(fd, &st), 0));
	EQUAL(st.st_size, 10);
	other("append", at("f"), "abc");
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_size, 13);
	OFTEN(EQUAL(stat(at("f"), &st), 0));
	other("chmod", at("f"), "600");
	EQUAL(stat(at("f"), &st), 0);
	EQUAL(st.st_mode & 07777, 0600);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_mode & 07777, 0600);
	other("link", at("f"), at("g"));
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_nlink, 2);
	other("unlink", at("g"), "");
	EQUAL(stat(at("f"), &st), 0);
	EQUAL(st.st_nlink, 1);
	other("truncate", at("f"), "5");
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_size, 5);
	OFTEN(FAILS(access(at("f"), X_OK), EACCES));
	other("chmod", at("f"), "700");
	EQUAL(access(at("f"), X_OK), 0);
	other("unlink", at("f"), "");
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_nlink, 0);
	close(fd);
}

/* Nobody sees an attribute that is not there, nor misses one that is, whatever he has asked for before. */
static void extended_attributes_change(void)
{
	static const char *const name[] = {"security.mark", ACCESS, DEFAULT, "trusted.t", "user.u"};
	int fd, privileged;

	write_file(at("attributes"), "x");
	EQUAL(mkdir(at("attributes.d"), 0755), 0);
	EQUAL(symlink("attributes", at("attributes.l")), 0);
	fd = open(at("attributes"), O_RDONLY);
	privileged = lsetxattr(at("attributes"), name[0], "", 0, 0) == 0 && lremovexattr(at("attributes"), name[0]) == 0;
	for (unsigned i = 0; i < 5; i++) {
		const char *path = i == 2 ? at("attributes.d") : at("attributes");

		if (!privileged && (i == 0 || i == 3))
			continue;
		for (unsigned k = 0; k < 5; k++)
			OFTEN(FAILS(getxattr(path, name[k], buf, sizeof(buf)), ENODATA));
		OFTEN(FAILS(getxattr(path, "user.u", NULL, 0), ENODATA));
		OFTEN(EQUAL(listxattr(path, buf, sizeof(buf)), 0));
		OFTEN(EQUAL(flistxattr(fd, buf, sizeof(buf)), 0));
		other("xattr", path, name[i]);
		EQUAL(getxattr(path, name[i], buf, sizeof(buf)), sizeof(acl));
		EQUAL(memcmp(buf, acl, sizeof(acl)), 0);
		EQUAL(listxattr(path, buf, sizeof(buf)), strlen(name[i]) + 1);
		EQUAL(flistxattr(fd, buf, sizeof(buf)), i == 2 ? 0 : strlen(name[i]) + 1);
		FAILS(fgetxattr(fd, name[i], buf, 1), i == 2 ? ENODATA : ERANGE);
		other("xattr-", path, name[i]);
	}
	OFTEN(FAILS(lgetxattr(at("attributes.l"), "security.mark", buf, sizeof(buf)), ENODATA));
	OFTEN(FAILS(lgetxattr(at("attributes.l"), ACCESS, buf, sizeof(buf)), EOPNOTSUPP));
	OFTEN(EQUAL(llistxattr(at("attributes.l"), buf, sizeof(buf)), 0));
	if (privileged) {
		other("xattr", at("attributes.l"), "security.mark");
		EQUAL(lgetxattr(at("attributes.l"), "security.mark", buf, sizeof(buf)), sizeof(acl));
		EQUAL(llistxattr(at("attributes.l"), buf, sizeof(buf)), 14);
	}
	OFTEN(FAILS(getxattr(at("attributes"), "what.is.this", buf, sizeof(buf)), EOPNOTSUPP));
	OFTEN(FAILS(getxattr(at("attributes"), "security.", buf, sizeof(buf)), EINVAL));
	EQUAL(close(fd), 0);
	EQUAL(unlink(at("attributes")), 0);
	FAILS(getxattr(at("attributes"), "security.mark", buf, sizeof(buf)), ENOENT);
	EQUAL(unlink(at("attributes.l")), 0);
	EQUAL(rmdir(at("attributes.d")), 0);
}

static void data_changes(void)
{
	int fd;

	other("write", at("data"), "first");
	fd = open(at("data"), O_RDONLY);
	OFTEN(EQUAL(reads(at("data")), 5));
	other("write", at("data"), "SECON");
	EQUAL(reads(at("data")), 5);
	EQUAL(memcmp(buf, "SECON", 5), 0);
	OFTEN(EQUAL(pread(fd, buf, 100, 1), 4));
	other("append", at("data"), "more");
	EQUAL(pread(fd, buf, 100, 1), 8);
	EQUAL(memcmp(buf, "ECONmore", 8), 0);
	OFTEN(EQUAL(reads(at("data")), 9));
	other("truncate", at("data"), "2");
	EQUAL(reads(at("data")), 2);
	OFTEN(EQUAL(reads(at("data")), 2));
	other("replace", at("data"), "wholly new");
	EQUAL(reads(at("data")), 10);
	EQUAL(memcmp(buf, "wholly new", 10), 0);
	OFTEN(EQUAL(reads(at("data")), 10));
	/* Through memory, which nobody is told of. */
	other("map", at("data"), "MAPPED");
	EQUAL(reads(at("data")), 10);
	EQUAL(memcmp(buf, "MAPPED new", 10), 0);
	OFTEN(EQUAL(reads(at("data")), 10));
	other("map", at("data"), "mapped");
	EQUAL(pread(fd, buf, 100, 0), 10);
	EQUAL(memcmp(buf, "mapped new", 10), 0);
	close(fd);
	other("unlink", at("data"), "");
	/* Our own writes. */
	write_file(at("own"), "one");
	OFTEN(holds(at("own"), "one"));
	write_file(at("own"), "three");
	holds(at("own"), "three");
	fd = open(at("own"), O_RDWR);
	OFTEN(EQUAL(pread(fd, buf, 100, 0), 5));
	EQUAL(pwrite(fd, "T", 1, 0), 1);
	EQUAL(pread(fd, buf, 100, 0), 5);
	EQUAL(buf[0], 'T');
	close(fd);
	EQUAL(unlink(at("own")), 0);
}

/* ---- what was closed leaves nothing behind ---------------------------------------------------- */

/* A directory that was looked at can go, and its listing does not come back. */
static void listings_go_with_their_directories(void)
{
	EQUAL(mkdir(at("dd"), 0755), 0);
	write_file(at("dd/x"), "");
	OFTEN(EQUAL(listed(at("dd"), "x"), 1));
	EQUAL(unlink(at("dd/x")), 0);
	EQUAL(listed(at("dd"), "x"), 0);
	other("rmdir", at("dd"), "");
	other("mkdir", at("dd"), "");
	EQUAL(listed(at("dd"), "x"), 0);
	other("write", at("dd/y"), "");
	EQUAL(listed(at("dd"), "y"), 1);
	other("unlink", at("dd/y"), "");
	other("rmdir", at("dd"), "");
}

static void locks_end_with_their_files(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd, other_fd;

	write_file(at("lock"), "x");
	OFTEN(EQUAL(reads(at("lock")), 1));
	fd = open(at("lock"), O_RDONLY);
	EQUAL(flock(fd, LOCK_EX), 0);
	EQUAL(close(fd), 0);
	fd = open(at("lock"), O_RDONLY);
	other_fd = open(at("lock"), O_RDONLY);
	EQUAL(flock(other_fd, LOCK_EX | LOCK_NB), 0);
	FAILS(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(other_fd);
	EQUAL(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	/* Closing any descriptor of the file drops the process's record locks. */
	OFTEN(EQUAL(reads(at("lock")), 1));
	fd = open(at("lock"), O_RDWR);
	EQUAL(fcntl(fd, F_SETLK, &lock), 0);
	EQUAL(reads(at("lock")), 1);
	if (fork() == 0) {
		int mine = open(at("lock"), O_RDWR);
		_exit(fcntl(mine, F_SETLK, &lock) == 0 ? 0 : 1);
	}
	int status;
	wait(&status);
	EQUAL(status, 0);
	close(fd);
	EQUAL(unlink(at("lock")), 0);
}

static void positions_begin_at_the_start(void)
{
	int fd;

	write_file(at("p"), "0123456789");
	for (int i = 0; i < 4; i++) {
		fd = open(at("p"), O_RDONLY);
		EQUAL(read(fd, buf, 4), 4);
		EQUAL(memcmp(buf, "0123", 4), 0);
		EQUAL(read(fd, buf, 100), 6);
		EQUAL(memcmp(buf, "456789", 6), 0);
		EQUAL(read(fd, buf, 100), 0);
		EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		FAILS(write(fd, "x", 1), EBADF);
		close(fd);
	}
	EQUAL(unlink(at("p")), 0);
}

/* ---- all at once ----------------------------------------------------------------------------- */

enum { WRITES = 3000, READERS = 3, DIGITS = 10 };

/* The last number that the writer knows to be in the file; in memory that both processes have. */
static unsigned *acknowledged;

static unsigned number_of(const char *text)
{
	char digits[DIGITS + 1] = "";

	memcpy(digits, text, DIGITS);
	return atoi(digits);
}

static void number_write(unsigned n)
{
	char text[DIGITS + 1];
	int fd;

	sprintf(text, "%010u", n);
	if (n % 3 == 0) {
		fd = open(at("next"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
		EQUAL(write(fd, text, DIGITS), DIGITS);
		EQUAL(close(fd), 0);
		EQUAL(rename(at("next"), at("number")), 0);
	} else {
		fd = open(at("number"), O_WRONLY);
		EQUAL(pwrite(fd, text, DIGITS, 0), DIGITS);
		EQUAL(close(fd), 0);
	}
}

static void *number_read(void *arg)
{
	unsigned before = 0;

	while (before < WRITES) {
		char text[64];
		ssize_t n;
		int fd;
		before = __atomic_load_n(acknowledged, __ATOMIC_SEQ_CST);
		fd = open(arg, O_RDONLY);
		CHECK(fd >= 0);
		n = read(fd, text, sizeof(text));
		EQUAL(n, DIGITS);
		if (number_of(text) < before) {
			fprintf(stderr, "read %u after %u was written\n", number_of(text), before);
			_exit(1);
		}
		EQUAL(fstat(fd, &(struct stat){0}), 0);
		EQUAL(close(fd), 0);
	}
	return NULL;
}

/* Threads that open, read and close a file which another process overwrites and replaces. */
static void nothing_old_is_read(void)
{
	pthread_t thread[READERS];
	char *path = strdup(at("number"));
	int status;

	acknowledged = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	write_file(at("number"), "0000000000");
	if (fork() == 0) {
		for (unsigned n = 1; n <= WRITES; n++) {
			number_write(n);
			__atomic_store_n(acknowledged, n, __ATOMIC_SEQ_CST);
		}
		_exit(0);
	}
	for (unsigned i = 0; i < READERS; i++)
		EQUAL(pthread_create(&thread[i], NULL, number_read, path), 0);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	wait(&status);
	EQUAL(status, 0);
	free(path);
	EQUAL(unlink(at("number")), 0);
}

/* ---- who we are ------------------------------------------------------------------------------ */

static void other_people_may_less(void)
{
	int status;

	if (getuid())
		return;
	EQUAL(mkdir(at("private"), 0700), 0);
	write_file(at("private/f"), "secret");
	OFTEN(EQUAL(reads(at("private/f")), 6));
	OFTEN(EQUAL(stat(at("private/f"), &st), 0));
	OFTEN(FAILS(stat(at("private/none"), &st), ENOENT));
	if (fork() == 0) {
		OFTEN(EQUAL(stat(at("private/f"), &st), 0));
		EQUAL(setgid(65534), 0);
		EQUAL(setuid(65534), 0);
		FAILS(stat(at("private/f"), &st), EACCES);
		FAILS(stat(at("private/none"), &st), EACCES);
		FAILS(open(at("private/f"), O_RDONLY), EACCES);
		FAILS(access(at("private/f"), F_OK), EACCES);
		EQUAL(stat(at("private"), &st), 0);
		_exit(0);
	}
	wait(&status);
	EQUAL(status, 0);
	/* There and back. */
	OFTEN(EQUAL(reads(at("private/f")), 6));
	EQUAL(seteuid(65534), 0);
	FAILS(open(at("private/f"), O_RDONLY), EACCES);
	FAILS(stat(at("private/f"), &st), EACCES);
	EQUAL(access(at("private/f"), F_OK), 0); /* by the real id */
	EQUAL(seteuid(0), 0);
	EQUAL(reads(at("private/f")), 6);
	EQUAL(unlink(at("private/f")), 0);
	EQUAL(rmdir(at("private")), 0);
}

static void thousands_are_opened(void)
{
	char name[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "many%d", i % 200);
		if (i < 200)
			write_file(at(name), name);
		EQUAL(reads(at(name)), strlen(name));
		EQUAL(strcmp(buf, name), 0);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		EQUAL(unlink(at(name)), 0);
		FAILS(open(at(name), O_RDONLY), ENOENT);
	}
}

int main(int argc, char **argv)
{
	static const char *const modes[] = {"lazy", "off"};

	if (argc == 2 && !strcmp(argv[1], "--other"))
		return other_main();
	dir = argv[1];
	for (unsigned i = 0; i < 2; i++) {
		other_start(argv[0], modes[i]);
		names_come_and_go();
		directories_change();
		attributes_change();
		extended_attributes_change();
		data_changes();
		listings_go_with_their_directories();
		other_end();
	}
	positions_begin_at_the_start();
	locks_end_with_their_files();
	other_people_may_less();
	thousands_are_opened();
	nothing_old_is_read();
	return 0;
}
