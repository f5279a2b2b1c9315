/* SPDX-License-Identifier: Apache-2.0 */
/* inotify and dnotify see what is made, moved, written and removed, by this process and by others. */
#include "tests/integration/preload/check.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/xattr.h>
#include <utime.h>

enum {
	CHANGES = IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_ATTRIB | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF,
};

static int notices = -1;

static int watch(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	CHECK(fd >= 0);
	CHECK(inotify_add_watch(fd, path, CHANGES) > 0);
	return fd;
}

/* What was told since the last time: bits that were seen, of that name. The kernel tells before the call returns. */
static uint32_t seen(const char *name)
{
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	uint32_t bits = 0;
	ssize_t n;

	while ((n = read(notices, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len) {
			struct inotify_event *event = (struct inotify_event *)p;
			if (!strcmp(event->len ? event->name : "", name))
				bits |= event->mask;
		}
	return bits & CHANGES;
}

static void nothing_is_left(void)
{
	char buf[8192];

	FAILS(read(notices, buf, sizeof(buf)), EAGAIN);
}

static void names(void)
{
	EQUAL(mkdir(at("d"), 0755), 0);
	notices = watch(at("d"));
	nothing_is_left();
	EQUAL(mkdir(at("d/a"), 0755), 0);
	EQUAL(seen("a"), IN_CREATE);
	EQUAL(symlink("x", at("d/l")), 0);
	EQUAL(seen("l"), IN_CREATE);
	EQUAL(mkfifo(at("d/p"), 0600), 0);
	EQUAL(seen("p"), IN_CREATE);
	EQUAL(rename(at("d/l"), at("d/m")), 0);
	EQUAL(seen("l"), IN_MOVED_FROM);
	EQUAL(rename(at("d/m"), at("d/n")), 0);
	EQUAL(seen("n"), IN_MOVED_TO);
	EQUAL(rename(at("d/n"), at("out")), 0);
	EQUAL(seen("n"), IN_MOVED_FROM);
	EQUAL(rename(at("out"), at("d/in")), 0);
	EQUAL(seen("in"), IN_MOVED_TO);
	EQUAL(unlink(at("d/in")), 0);
	EQUAL(seen("in"), IN_DELETE);
	EQUAL(unlink(at("d/p")), 0);
	EQUAL(rmdir(at("d/a")), 0);
	EQUAL(seen("a"), IN_DELETE);
	EQUAL(close(notices), 0);
	EQUAL(rmdir(at("d")), 0);
}

static void files_of_a_directory(void)
{
	EQUAL(mkdir(at("d"), 0755), 0);
	write_file(at("d/old"), "old");
	notices = watch(at("d"));
	write_file(at("d/f"), "text");
	EQUAL(seen("f"), IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE);
	CHILD write_file(at("d/old"), "new");
	EQUAL(seen("old"), IN_MODIFY | IN_CLOSE_WRITE);
	CHILD EQUAL(truncate(at("d/old"), 1), 0);
	EQUAL(seen("old"), IN_MODIFY);
	EQUAL(chmod(at("d/old"), 0600), 0);
	EQUAL(seen("old"), IN_ATTRIB);
	EQUAL(utime(at("d/old"), NULL), 0);
	EQUAL(seen("old"), IN_ATTRIB);
	EQUAL(setxattr(at("d/old"), "user.x", "1", 1, 0), 0);
	EQUAL(seen("old"), IN_ATTRIB);
	EQUAL(link(at("d/old"), at("d/also")), 0);
	EQUAL(seen("also"), IN_CREATE);
	holds(at("d/old"), "n");
	nothing_is_left();
	EQUAL(unlink(at("d/also")), 0);
	EQUAL(unlink(at("d/old")), 0);
	EQUAL(unlink(at("d/f")), 0);
	EQUAL(close(notices), 0);
	EQUAL(rmdir(at("d")), 0);
}

/* Who had it open before writes on, at the same place. */
static void a_file(void)
{
	int fd = open(at("log"), O_RDWR | O_CREAT | O_APPEND, 0644), at_end = open(at("log"), O_RDWR);
	char block[4096];

	CHECK(fd >= 0 && at_end >= 0);
	memset(block, 'b', sizeof(block));
	for (int i = 0; i < 40; i++)
		EQUAL(write(fd, block, sizeof(block)), sizeof(block));
	EQUAL(lseek(at_end, 10, SEEK_SET), 10);
	EQUAL(write(at_end, "one", 3), 3);
	notices = watch(at("log"));
	EQUAL(write(fd, "two", 3), 3);
	EQUAL(seen(""), IN_MODIFY);
	EQUAL(write(at_end, "three", 5), 5);
	EQUAL(seen(""), IN_MODIFY);
	EQUAL(lseek(at_end, 0, SEEK_CUR), 18);
	EQUAL(pread(at_end, block, 8, 10), 8);
	CHECK(!memcmp(block, "onethree", 8));
	CHILD EQUAL(pwrite(fd, "x", 1, 0), 1);
	EQUAL(seen(""), IN_MODIFY);
	EQUAL(fchmod(fd, 0600), 0);
	EQUAL(seen(""), IN_ATTRIB);
	EQUAL(ftruncate(at_end, 5), 0);
	EQUAL(seen(""), IN_MODIFY);
	EQUAL(close(fd), 0);
	EQUAL(close(at_end), 0);
	EQUAL(rename(at("log"), at("log.1")), 0);
	CHECK(seen("") & IN_MOVE_SELF);
	EQUAL(unlink(at("log.1")), 0);
	CHECK(seen("") & IN_DELETE_SELF);
	EQUAL(close(notices), 0);
}

static void links(void)
{
	write_file(at("f"), "f");
	EQUAL(symlink("f", at("l")), 0);
	notices = watch(at("l"));
	write_file(at("f"), "g");
	CHECK(seen("") & IN_MODIFY);
	EQUAL(close(notices), 0);
	EQUAL(unlink(at("l")), 0);
	EQUAL(unlink(at("f")), 0);
	FAILS(inotify_add_watch(notices, at("f"), CHANGES), EBADF);
	notices = inotify_init1(IN_CLOEXEC);
	FAILS(inotify_add_watch(notices, at("f"), CHANGES), ENOENT);
	EQUAL(close(notices), 0);
}

/* dnotify tells by a signal of which directory, and no more. */
static int told(void)
{
	const struct timespec now = {0};
	siginfo_t about;
	sigset_t told;
	int fd = -1;

	sigemptyset(&told);
	sigaddset(&told, SIGRTMIN);
	while (sigtimedwait(&told, &about, &now) == SIGRTMIN)
		fd = about.si_fd;
	return fd;
}

static void a_directory_with_a_signal(void)
{
	sigset_t held;
	int fd;

	sigemptyset(&held);
	sigaddset(&held, SIGRTMIN);
	EQUAL(sigprocmask(SIG_BLOCK, &held, NULL), 0);
	EQUAL(mkdir(at("d"), 0755), 0);
	fd = open(at("d"), O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	EQUAL(fcntl(fd, F_SETSIG, SIGRTMIN), 0);
	EQUAL(fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_RENAME | DN_MODIFY | DN_ATTRIB | DN_MULTISHOT), 0);
	EQUAL(told(), -1);
	write_file(at("d/f"), "f");
	EQUAL(told(), fd);
	CHILD write_file(at("d/f"), "more");
	EQUAL(told(), fd);
	EQUAL(chmod(at("d/f"), 0600), 0);
	EQUAL(told(), fd);
	EQUAL(rename(at("d/f"), at("d/g")), 0);
	EQUAL(told(), fd);
	EQUAL(unlink(at("d/g")), 0);
	EQUAL(told(), fd);
	EQUAL(fcntl(fd, F_NOTIFY, 0), 0);
	EQUAL(mkdir(at("d/e"), 0755), 0);
	EQUAL(told(), -1);
	EQUAL(close(fd), 0);
	EQUAL(rmdir(at("d/e")), 0);
	EQUAL(rmdir(at("d")), 0);
	FAILS(fcntl(fd, F_NOTIFY, DN_CREATE), EBADF);
}

MAIN(names, files_of_a_directory, a_file, links, a_directory_with_a_signal)
