/* SPDX-License-Identifier: Apache-2.0 */
/* Names: made, moved, linked and removed, and every way in which that fails. */
#include "tests/integration/preload/check.h"

#include <limits.h>
#include <linux/fs.h>

static struct stat st;

static void creating(void)
{
	int fd = open(at("a"), O_RDWR | O_CREAT | O_EXCL, 0644);

	CHECK(fd >= 0);
	close(fd);
	FAILS(open(at("a"), O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	FAILS(open(at("none"), O_RDWR), ENOENT);
	FAILS(open(at("none/a"), O_RDWR | O_CREAT, 0644), ENOENT);
	FAILS(open(at("a/b"), O_RDWR | O_CREAT, 0644), ENOTDIR);
	FAILS(open(at("a/"), O_RDONLY), ENOTDIR);
	FAILS(open(at("new/"), O_RDWR | O_CREAT, 0644), EISDIR);
	FAILS(open(dir, O_RDWR), EISDIR);
	FAILS(open(dir, O_RDONLY | O_CREAT, 0644), EISDIR);
	FAILS(open(at("a"), O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("", O_RDONLY), ENOENT);
	EQUAL(mknod(at("m"), S_IFREG | 0600, 0), 0);
	FAILS(mknod(at("m"), S_IFREG | 0600, 0), EEXIST);
	EQUAL(mkfifo(at("fifo"), 0600), 0);
	EQUAL(stat(at("fifo"), &st), 0);
	CHECK(S_ISFIFO(st.st_mode));
	fd = open(at("fifo"), O_RDWR | O_NONBLOCK);
	CHECK(fd >= 0);
	EQUAL(write(fd, "x", 1), 1);
	close(fd);
}

static void directories(void)
{
	EQUAL(mkdir(at("d"), 0755), 0);
	FAILS(mkdir(at("d"), 0755), EEXIST);
	FAILS(mkdir(at("a"), 0755), EEXIST);
	EQUAL(mkdir(at("d/e/"), 0755), 0);
	FAILS(mkdir(at("none/e"), 0755), ENOENT);
	FAILS(rmdir(at("d")), ENOTEMPTY);
	FAILS(rmdir(at("a")), ENOTDIR);
	FAILS(rmdir(at("d/.")), EINVAL);
	FAILS(rmdir(at("d/e/..")), ENOTEMPTY);
	FAILS(unlink(at("d")), EISDIR);
	EQUAL(stat(at("d"), &st), 0);
	EQUAL(st.st_nlink == 3 || st.st_nlink == 1, 1);
	EQUAL(rmdir(at("d/e")), 0);
	EQUAL(rmdir(at("d//")), 0);
	FAILS(rmdir(at("d")), ENOENT);
}

static void renaming(void)
{
	int fd, d;

	write_file(at("r1"), "one");
	write_file(at("r2"), "two");
	fd = open(at("r2"), O_RDWR);
	EQUAL(rename(at("r1"), at("r2")), 0);
	FAILS(access(at("r1"), F_OK), ENOENT);
	holds(at("r2"), "one");
	EQUAL(fstat(fd, &st), 0); /* the one that was replaced lives on */
	EQUAL(st.st_nlink, 0);
	EQUAL(pwrite(fd, "x", 1, 0), 1);
	close(fd);
	holds(at("r2"), "one");
	FAILS(rename(at("r1"), at("r3")), ENOENT);
	EQUAL(mkdir(at("d1"), 0755), 0);
	EQUAL(mkdir(at("d1/d2"), 0755), 0);
	FAILS(rename(at("d1"), at("d1/d2/x")), EINVAL);
	FAILS(rename(at("r2"), at("d1")), EISDIR);
	FAILS(rename(at("d1"), at("r2")), ENOTDIR);
	FAILS(rename(at("d1/."), at("x")), EBUSY);
	d = open(at("d1/d2"), O_RDONLY | O_DIRECTORY);
	EQUAL(renameat(AT_FDCWD, at("r2"), d, "moved"), 0);
	EQUAL(rename(at("d1"), at("d3")), 0);
	EQUAL(fstatat(d, "moved", &st, 0), 0); /* a directory that moved is still itself */
	holds(at("d3/d2/moved"), "one");
	EQUAL(renameat2(d, "moved", AT_FDCWD, at("r4"), RENAME_NOREPLACE), 0);
	write_file(at("r5"), "five");
	FAILS(renameat2(AT_FDCWD, at("r4"), AT_FDCWD, at("r5"), RENAME_NOREPLACE), EEXIST);
	EQUAL(renameat2(AT_FDCWD, at("r4"), AT_FDCWD, at("r5"), RENAME_EXCHANGE), 0);
	FAILS(renameat2(AT_FDCWD, at("none"), AT_FDCWD, at("r5"), RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	holds(at("r4"), "five");
	holds(at("r5"), "one");
	FAILS(rename(at("r4"), "/proc/x"), EXDEV);
	close(d);
}

static void linking(void)
{
	char buf[16];
	struct stat other;

	write_file(at("l1"), "linked");
	EQUAL(link(at("l1"), at("l2")), 0);
	FAILS(link(at("l1"), at("l2")), EEXIST);
	EQUAL(stat(at("l1"), &st), 0);
	EQUAL(stat(at("l2"), &other), 0);
	EQUAL(st.st_ino, other.st_ino);
	EQUAL(st.st_nlink, 2);
	EQUAL(rename(at("l1"), at("l2")), 0); /* the same file: nothing happens */
	EQUAL(access(at("l1"), F_OK), 0);
	FAILS(link(dir, at("l3")), EPERM);
	EQUAL(symlink("l1", at("s")), 0);
	EQUAL(lstat(at("s"), &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	EQUAL(st.st_size, 2);
	EQUAL(readlink(at("s"), buf, sizeof(buf)), 2);
	EQUAL(readlink(at("s"), buf, 1), 1);
	FAILS(readlink(at("l1"), buf, sizeof(buf)), EINVAL);
	FAILS(readlink(at("s"), buf, 0), EINVAL);
	holds(at("s"), "linked");
	FAILS(open(at("s"), O_RDONLY | O_NOFOLLOW), ELOOP);
	EQUAL(link(at("s"), at("s2")), 0);
	EQUAL(lstat(at("s2"), &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	EQUAL(linkat(AT_FDCWD, at("s"), AT_FDCWD, at("l4"), AT_SYMLINK_FOLLOW), 0);
	EQUAL(lstat(at("l4"), &st), 0);
	CHECK(S_ISREG(st.st_mode));
	EQUAL(symlink("none", at("dangling")), 0);
	FAILS(open(at("dangling"), O_RDONLY), ENOENT);
	FAILS(open(at("dangling"), O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	EQUAL(close(open(at("dangling"), O_RDWR | O_CREAT, 0644)), 0);
	EQUAL(access(at("none"), F_OK), 0);
	EQUAL(symlink("loop2", at("loop1")), 0);
	EQUAL(symlink("loop1", at("loop2")), 0);
	FAILS(open(at("loop1"), O_RDONLY), ELOOP);
	FAILS(symlink("", at("x")), ENOENT);
}

/* Symbolic links that lead away, and back in. */
static void leaving(void)
{
	char target[4200], buf[4];
	int fd;

	EQUAL(symlink("/etc/passwd", at("out")), 0);
	EQUAL(stat(at("out"), &st), 0);
	CHECK(st.st_size > 0);
	fd = open(at("out"), O_RDONLY);
	EQUAL(read(fd, buf, 4), 4);
	close(fd);
	EQUAL(mkdir(at("deep"), 0755), 0);
	snprintf(target, sizeof(target), "%s/r4", dir);
	EQUAL(symlink(target, at("deep/absolute")), 0);
	holds(at("deep/absolute"), "five");
	EQUAL(symlink("../r4", at("deep/relative")), 0);
	holds(at("deep/relative"), "five");
	EQUAL(symlink("/", at("deep/root")), 0);
	snprintf(target, sizeof(target), "deep/root/%s/r4", dir);
	holds(at(target), "five");
	EQUAL(access(at("deep/../../../../../../../../etc/passwd"), R_OK), 0);
	snprintf(target, sizeof(target), "/tmp/polytropon-link-%d", getpid());
	EQUAL(symlink(dir, target), 0);
	strcat(target, "/r4");
	holds(target, "five");
	*strrchr(target, '/') = 0;
	EQUAL(unlink(target), 0);
}

static void too_long(void)
{
	char name[300], *path = malloc(6000);

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	EQUAL(close(open(at(name), O_RDWR | O_CREAT, 0644)), 0);
	EQUAL(unlink(at(name)), 0);
	name[255] = 'n';
	name[256] = 0;
	FAILS(open(at(name), O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
	strcpy(path, dir);
	while (strlen(path) < 4094)
		strcat(path, "/.");
	path[4095] = 0;
	EQUAL(stat(path, &st), 0);
	strcat(path, "/.");
	strcat(path, "/.");
	FAILS(stat(path, &st), ENAMETOOLONG);
	free(path);
}

static void unlinked_but_open(void)
{
	int fd = open(at("gone"), O_RDWR | O_CREAT, 0644), again;
	char buf[8];

	EQUAL(unlink(at("gone")), 0);
	EQUAL(write(fd, "alive", 5), 5);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_nlink, 0);
	EQUAL(st.st_size, 5);
	again = open(at("gone"), O_RDWR | O_CREAT | O_EXCL, 0644);
	EQUAL(write(again, "new", 3), 3);
	EQUAL(pread(fd, buf, 8, 0), 5);
	EQUAL(ftruncate(fd, 1), 0);
	EQUAL(fchmod(fd, 0600), 0);
	close(fd);
	holds(at("gone"), "new");
	close(again);
}

static void without_a_name(void)
{
	char link[64];
	int fd = open(dir, O_TMPFILE | O_RDWR, 0644);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return;
	CHECK(fd >= 0);
	EQUAL(write(fd, "anonymous", 9), 9);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	EQUAL(linkat(AT_FDCWD, link, AT_FDCWD, at("named"), AT_SYMLINK_FOLLOW), 0);
	EQUAL(write(fd, "!", 1), 1);
	close(fd);
	holds(at("named"), "anonymous!");
}

static void path_descriptors(void)
{
	int d = open(dir, O_PATH | O_DIRECTORY), p = open(at("r4"), O_PATH), fd;
	char link[64];

	CHECK(d >= 0 && p >= 0);
	fd = openat(d, "r4", O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	EQUAL(mkdirat(d, "viapath", 0755), 0);
	EQUAL(unlinkat(d, "viapath", AT_REMOVEDIR), 0);
	FAILS(read(p, link, 1), EBADF);
	FAILS(read(d, link, 1), EBADF);
	EQUAL(fstat(p, &st), 0);
	EQUAL(st.st_size, 4);
	EQUAL(fstatat(p, "", &st, AT_EMPTY_PATH), 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", p);
	fd = open(link, O_RDWR);
	EQUAL(read(fd, link, 4), 4);
	close(fd);
	close(d);
	close(p);
	FAILS(fstatat(d, "r4", &st, 0), EBADF);
}

/* Does /proc/self/fd show the descriptor as that name in the directory? */
static int shown_as(int fd, const char *name)
{
	char link[64], wanted[PATH_MAX + 64], got[PATH_MAX + 64], first[4], *real = realpath(dir, NULL);
	ssize_t n;

	CHECK(real);
	snprintf(wanted, sizeof(wanted), "%s/%s", real, name);
	free(real);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, got, sizeof(got) - 1);
	CHECK(n > 4);
	got[n] = 0;
	EQUAL(readlink(link, first, sizeof(first)), sizeof(first));
	CHECK(!memcmp(got, first, sizeof(first)));
	return !strcmp(got, wanted);
}

static void names_of_descriptors(void)
{
	int fd, other;

	write_file(at("shown"), "old");
	write_file(at("onto"), "new");
	fd = open(at("shown"), O_RDONLY);
	CHECK(fd >= 0 && shown_as(fd, "shown"));
	close(fd);
	fd = open(at("shown"), O_RDONLY);
	other = open(at("onto"), O_RDONLY);
	CHECK(fd >= 0 && other >= 0);
	EQUAL(rename(at("onto"), at("shown")), 0);
	CHECK(shown_as(fd, "shown (deleted)"));
	CHILD CHECK(shown_as(fd, "shown (deleted)"));
	holds(at("shown"), "new");
	close(other);
	close(fd);
	fd = open(at("shown"), O_RDONLY);
	EQUAL(unlink(at("shown")), 0);
	CHECK(shown_as(fd, "shown (deleted)"));
	close(fd);
}

MAIN(creating, directories, renaming, linking, leaving, too_long, unlinked_but_open, without_a_name, path_descriptors,
     names_of_descriptors)
