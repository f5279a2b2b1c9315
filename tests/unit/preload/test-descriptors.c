/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: placeholders, what makes them real, and what the kernel's table and ours must agree on. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "ipc/wire.h"
#include "preload/fd.h"
#include "preload/process.h"
#include "tests/unit/libfs/fake-front.h"
#include "tests/unit/preload/dir-service.h"

#define F(name) "/run/mount/" name
static char buf[64];

static int opened(const char *path, int flags)
{
	int64_t fd = CALL(openat, AT_FDCWD, path, flags, 0644);

	assert_true(call_served);
	assert_in_range(fd, 0, 100);
	assert_true(fd_is((uint64_t)fd, FD_PLACEHOLDER));
	return (int)fd;
}

/* Whatever it is, the vacant descriptor is gone then. */
static void kernel_is_asked(void)
{
	CALL(getppid, 0);
	assert_false(call_served);
	assert_int_equal(process.vacant, 0);
}

static void closed(int fd)
{
	assert_int_equal(CALL(close, fd), 0);
	kernel_is_asked();
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_true(fd_is((uint64_t)fd, FD_UNKNOWN));
}

static void lowest_number_and_flags(void **state)
{
	int a = opened(F("a"), O_RDWR | O_CREAT | O_CLOEXEC), b = opened(F("a"), O_RDONLY);
	int low = dup(0);

	assert_int_equal(b, a + 1);
	assert_int_equal(low, b + 1);
	close(low);
	assert_int_equal(CALL(fcntl, a, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(fcntl, b, F_GETFD), 0);
	assert_int_equal(CALL(fcntl, a, F_GETFL), O_RDWR | 0100000);
	closed(a);
	assert_int_equal(opened(F("a"), O_RDONLY), a);
	closed(a);
	closed(b);
	assert_int_equal(dir_service_open, 0);
	assert_int_equal(process.placeholders, 0);
}

static void offset_is_shared_by_duplicates(void **state)
{
	int a = opened(F("s"), O_RDWR | O_CREAT | O_TRUNC);
	int64_t b = CALL(dup, a), c = CALL(fcntl, a, F_DUPFD_CLOEXEC, 40);

	assert_int_equal(c, 40);
	assert_int_equal(CALL(fcntl, c, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(write, a, "0123456789", 10), 10);
	assert_int_equal(CALL(lseek, b, 3, SEEK_SET), 3);
	assert_int_equal(CALL(read, c, buf, 2), 2);
	assert_memory_equal(buf, "34", 2);
	assert_int_equal(CALL(lseek, a, 0, SEEK_CUR), 5);
	assert_true(call_served);
	closed(a);
	closed((int)b);
	assert_int_equal(dir_service_open, 1);
	assert_int_equal(CALL(read, c, buf, 9), 5);
	closed((int)c);
	assert_int_equal(dir_service_open, 0);
}

static void made_real_all_at_once(void **state)
{
	int a = opened(F("m"), O_RDWR | O_CREAT | O_TRUNC);
	int64_t b = CALL(fcntl, a, F_DUPFD_CLOEXEC, 0);
	char *p;

	CALL(write, a, "0123456789", 10);
	CALL(lseek, a, 4, SEEK_SET);
	p = (char *)CALL(mmap, 0, 4096, PROT_READ, MAP_SHARED, a, 0);
	assert_memory_equal(p, "0123456789", 10);
	munmap(p, 4096);
	assert_true(fd_is((uint64_t)a, FD_REAL));
	assert_true(fd_is((uint64_t)b, FD_REAL));
	assert_int_equal(process.placeholders, 0);
	/* they are the kernel's now, and share the offset that we had */
	assert_int_equal(read(a, buf, 1), 1);
	assert_int_equal(read((int)b, buf + 1, 1), 1);
	assert_memory_equal(buf, "45", 2);
	assert_int_equal(fcntl(a, F_GETFD), 0);
	assert_int_equal(fcntl((int)b, F_GETFD), FD_CLOEXEC);
	/* without the offset they are ours still */
	assert_int_equal(CALL(pread64, a, buf, 3, 7), 3);
	assert_true(call_served);
	CALL(read, a, buf, 1);
	assert_false(call_served);
	closed(a);
	closed((int)b);
	assert_int_equal(dir_service_open, 0);
}

static void dup2_over_and_onto_standard(void **state)
{
	int a = opened(F("d"), O_WRONLY | O_CREAT | O_TRUNC), b = opened(F("e"), O_WRONLY | O_CREAT | O_TRUNC);
	int saved = dup(2);

	assert_int_equal(CALL(dup2, a, b), b);
	assert_int_equal(dir_service_open, 1);
	assert_int_equal(CALL(dup3, a, a, 0), -EINVAL);
	assert_int_equal(CALL(dup2, a, a), a);
	assert_true(fd_is((uint64_t)a, FD_PLACEHOLDER));
	assert_int_equal(CALL(dup2, 99, b), -EBADF);
	assert_true(fd_is((uint64_t)b, FD_PLACEHOLDER));
	assert_int_equal(CALL(write, b, "x", 1), 1);
	assert_int_equal(CALL(dup2, a, 1), 1);
	assert_true(fd_is(1, FD_PLACEHOLDER));
	assert_int_equal(CALL(write, 1, "y", 1), 1);
	assert_int_equal(CALL(dup2, a, 2), 2);
	assert_true(fd_is(1, FD_REAL));
	assert_true(fd_is(2, FD_REAL));
	assert_int_equal(write(2, "z", 1), 1);
	assert_int_equal(CALL(dup2, saved, 2), 2);
	assert_true(fd_is(2, FD_UNKNOWN));
	assert_int_equal(CALL(dup2, saved, 1), 1);
	CALL(dup2, saved, a);
	assert_true(fd_is((uint64_t)a, FD_UNKNOWN));
	closed(b);
	assert_int_equal(dir_service_open, 0);
	close(a);
	close(saved);
	a = open(F("d"), O_RDONLY);
	assert_int_equal(read(a, buf, 9), 3);
	assert_memory_equal(buf, "xyz", 3);
	close(a);
}

/* The kernel gives a number away that we thought to be a placeholder's. */
static void closed_unseen(void **state)
{
	int a = opened(F("u"), O_RDWR | O_CREAT), b;

	close(a);
	b = opened(F("v"), O_RDWR | O_CREAT);
	assert_int_equal(a, b);
	assert_int_equal(process.placeholders, 1);
	assert_int_equal(dir_service_open, 1);
	CALL(write, b, "v", 1);
	closed(b);
	/* and another file has it: that must not be replaced by ours */
	a = opened(F("u"), O_RDWR);
	CALL(dup, a);
	dup2(0, a);
	CALL(mmap, 0, 4096, PROT_READ, MAP_SHARED, a + 1, 0);
	assert_true(fd_is((uint64_t)a + 1, FD_REAL));
	assert_int_not_equal(fd_is((uint64_t)a, FD_REAL), 1);
	{
		struct stat st0, st1;
		fstat(0, &st0);
		fstat(a, &st1);
		assert_int_equal(st0.st_ino, st1.st_ino);
	}
	close(a);
	closed(a + 1);
	assert_int_equal(dir_service_open, 0);
}

static void close_range_closes_ours(void **state)
{
	int a = opened(F("r"), O_RDWR | O_CREAT), b = opened(F("r"), O_RDWR), c = dup(0);

	assert_int_equal(CALL(close_range, a, c, 4), 0); /* CLOEXEC */
	assert_true(fd_is((uint64_t)b, FD_PLACEHOLDER));
	assert_int_equal(fcntl(b, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(close_range, a, c, 0), 0);
	assert_int_equal(fcntl(c, F_GETFD), -1);
	assert_true(fd_is((uint64_t)a, FD_UNKNOWN));
	assert_int_equal(process.placeholders, 0);
	assert_int_equal(dir_service_open, 0);
}

static void no_more_descriptors(void **state)
{
	struct rlimit old, few;
	int a = opened(F("n"), O_RDWR | O_CREAT);

	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){(rlim_t)a + 1, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(CALL(openat, AT_FDCWD, F("n"), O_RDWR), -EMFILE);
	assert_int_equal(CALL(dup, a), -EMFILE);
	assert_int_equal(CALL(fcntl, a, F_DUPFD, 5000), -EINVAL);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(dir_service_open, 1);
	closed(a);
}

static void errors_of_the_access_mode(void **state)
{
	int a = opened(F("x"), O_WRONLY | O_CREAT), b = opened(F("x"), O_RDONLY), d = opened(F(""), O_RDONLY);

	assert_int_equal(CALL(read, a, buf, 1), -EBADF);
	assert_int_equal(CALL(write, b, buf, 1), -EBADF);
	assert_int_equal(CALL(pread64, b, buf, 1, -1), -EINVAL);
	assert_int_equal(CALL(read, b, 8, 1), 0); /* there is nothing to put there */
	assert_int_equal(CALL(read, b, (uint64_t)-1, 1), -EFAULT);
	assert_int_equal(CALL(write, a, buf, 5), 5);
	assert_int_equal(CALL(read, b, 8, 1), -EFAULT);
	assert_int_equal(CALL(write, a, 8, 1), -EFAULT);
	assert_int_equal(CALL(lseek, b, 0, SEEK_CUR), 0);
	assert_int_equal(CALL(lseek, a, 0, SEEK_CUR), 5);
	assert_int_equal(CALL(read, b, 8, 0), 0);
	assert_int_equal(CALL(read, b, buf, -1), -EINVAL);
	assert_int_equal(CALL(read, d, buf, 1), -EISDIR);
	assert_int_equal(CALL(ftruncate, b, 0), -EINVAL);
	assert_int_equal(CALL(ioctl, b, TCGETS, buf), -ENOTTY);
	assert_int_equal(CALL(epoll_ctl, 0, 1, b, buf), -EPERM);
	assert_int_equal(process.placeholders, 3);
	closed(a);
	closed(b);
	closed(d);
}

static void ioctls(void **state)
{
	int a = opened(F("i"), O_RDWR | O_CREAT | O_TRUNC), n = -1, on = 1;

	CALL(write, a, "0123456789", 10);
	CALL(lseek, a, 4, SEEK_SET);
	assert_int_equal(CALL(ioctl, a, FIONREAD, &n), 0);
	assert_int_equal(n, 6);
	assert_int_equal(CALL(ioctl, a, FIOCLEX), 0);
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(ioctl, a, FIONBIO, &on), 0);
	assert_int_equal(CALL(fcntl, a, F_GETFL), O_RDWR | O_NONBLOCK | 0100000);
	assert_int_equal(CALL(fcntl, a, F_SETFL, O_APPEND), 0);
	assert_int_equal(CALL(fcntl, a, F_GETFL), O_RDWR | O_APPEND | 0100000);
	assert_true(fd_is((uint64_t)a, FD_PLACEHOLDER));
	closed(a);
}

static void directories(void **state)
{
	int d = opened(F(""), O_RDONLY | O_DIRECTORY);
	char entries[4096];
	int64_t n = CALL(getdents64, d, entries, sizeof(entries)), fd;

	assert_in_range(n, 1, sizeof(entries));
	assert_int_equal(CALL(getdents64, d, entries, sizeof(entries)), 0);
	assert_int_equal(CALL(lseek, d, 0, SEEK_SET), 0);
	assert_int_equal(CALL(getdents64, d, entries, sizeof(entries)), n);
	fd = CALL(openat, d, "below", O_RDWR | O_CREAT, 0600);
	assert_true(fd_is((uint64_t)fd, FD_PLACEHOLDER));
	closed((int)fd);
	assert_int_equal(CALL(unlinkat, d, "below", 0), 0);
	assert_true(call_served);
	closed(d);
}

/* Opened by the kernel: known by its device, taken over when a path starts from it or a lock is set. */
static void adopted(void **state)
{
	int d = open(F(""), O_RDONLY | O_DIRECTORY), other = open("/", O_PATH);
	struct stat st;

	assert_int_equal(CALL(mkdirat, d, "sub", 0755), 0);
	assert_true(call_served);
	assert_true(fd_is((uint64_t)d, FD_REAL));
	CALL(newfstatat, other, "tmp", &st, 0);
	assert_false(call_served);
	assert_true(fd_is((uint64_t)other, FD_FOREIGN));
	assert_int_equal(CALL(unlinkat, d, "sub", AT_REMOVEDIR), 0);
	closed(d);
	CALL(close, other);
	assert_true(fd_is((uint64_t)other, FD_UNKNOWN));
	assert_int_equal(dir_service_open, 0);
}

static void working_directory(void **state)
{
	char cwd[256];

	CALL(mkdirat, AT_FDCWD, F("wd"), 0755);
	assert_int_equal(CALL(chdir, F("wd")), 0);
	assert_int_equal(CALL(mkdir, "rel", 0777), 0);
	assert_true(call_served);
	assert_int_equal(access(F("wd/rel"), F_OK), 0);
	assert_int_equal(CALL(rmdir, "rel"), 0);
	assert_int_equal(CALL(getcwd, cwd, sizeof(cwd)), strlen(F("wd")) + 1);
	assert_int_equal(CALL(chdir, "/"), 0);
	CALL(rmdir, "rel");
	assert_false(call_served);
	CALL(rmdir, F("wd"));
	assert_int_equal(dir_service_open, 0);
}

static void shown_in_proc(void **state)
{
	int a = opened(F("p"), O_RDWR | O_CREAT), b = opened(F("q"), O_RDWR | O_CREAT);
	char path[64], target[64];
	int64_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
	n = CALL(readlink, path, target, sizeof(target));
	assert_int_equal(n, strlen(F("p")));
	assert_memory_equal(target, F("p"), (size_t)n);
	assert_true(fd_is((uint64_t)b, FD_PLACEHOLDER));
	CALL(openat, AT_FDCWD, "/dev/fd", O_PATH);
	assert_true(fd_is((uint64_t)b, FD_REAL));
	CALL(close, b + 1);
	closed(a);
	closed(b);
}

static void poll_makes_real(void **state)
{
	int a = opened(F("w"), O_RDWR | O_CREAT);
	struct pollfd p = {a, POLLIN | POLLOUT, 0};

	assert_int_equal(CALL(poll, &p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLOUT);
	closed(a);
}

static void passed_over_a_socket(void **state)
{
	int a = opened(F("z"), O_RDWR | O_CREAT | O_TRUNC), pair[2], got;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	char text[1] = "m";
	struct iovec iov = {text, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &a, sizeof(int));
	assert_int_equal(CALL(sendmsg, pair[0], &m, 0), 1);
	assert_int_equal(recvmsg(pair[1], &m, 0), 1);
	memcpy(&got, CMSG_DATA(c), sizeof(int));
	assert_int_equal(write(got, "there", 5), 5);
	assert_int_equal(CALL(pread64, a, buf, 9, 0), 5);
	close(got);
	close(pair[0]);
	close(pair[1]);
	closed(a);
}

static void locks(void **state)
{
	int a = opened(F("l"), O_RDWR | O_CREAT | O_TRUNC), b = opened(F("l"), O_RDONLY);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	unsigned flushes = dir_service_count[WIRE_FLUSH];
	int64_t c;

	assert_int_equal(CALL(fcntl, b, F_SETLK, &l), -EBADF);
	l.l_start = -1;
	assert_int_equal(CALL(fcntl, a, F_SETLK, &l), -EINVAL);
	l.l_start = 10;
	l.l_len = -20;
	assert_int_equal(CALL(fcntl, a, F_SETLK, &l), -EINVAL);
	l.l_len = -5;
	assert_int_equal(CALL(fcntl, a, F_SETLK, &l), 0);
	l.l_pid = 7;
	assert_int_equal(CALL(fcntl, a, F_OFD_SETLK, &l), -EINVAL);
	c = CALL(dup, a);
	closed((int)c); /* drops the locks, though a is open */
	assert_int_equal(dir_service_count[WIRE_FLUSH], flushes + 1);
	/* a descriptor of the kernel's on the same file does so too */
	c = open(F("l"), O_RDONLY | O_DIRECTORY);
	closed(a);
	closed(b);
	process.posix_locked = 0;
}

static void fork_makes_real(void **state)
{
	int a = opened(F("f"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC);
	pid_t child;

	CALL(write, a, "parent ", 7);
	{
		struct preload_regs regs = {.nr = __NR_fork};
		assert_int_equal(preload_dispatch(&regs), 0);
	}
	assert_true(fd_is((uint64_t)a, FD_REAL));
	child = fork();
	if (child == 0) {
		/* our tables are wiped */
		int ok = process.pid == 0 && fd_is((uint64_t)a, FD_UNKNOWN) && CALL(write, a, "child ", 6) == 6;
		_exit(!ok);
	}
	int status;
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(CALL(write, a, "end", 3), 3);
	assert_int_equal(CALL(pread64, a, buf, 60, 0), 16);
	assert_memory_equal(buf, "parent child end", 16);
	closed(a);
}

static void vfork_child_is_the_kernels(void **state)
{
	int a = opened(F("vf"), O_RDWR | O_CREAT | O_TRUNC);
	struct preload_regs regs = {.nr = __NR_vfork};
	struct stat st;
	pid_t child;
	int status;

	assert_int_equal(preload_dispatch(&regs), 0);
	assert_int_equal(process.vforks, 1);
	child = vfork();
	if (child == 0) {
		CALL(close, a);
		CALL(newfstatat, AT_FDCWD, F("vf"), &st, 0);
		_exit(call_served);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_true(fd_is((uint64_t)a, FD_REAL));
	assert_int_equal(CALL(newfstatat, AT_FDCWD, F("vf"), &st, 0), 0);
	assert_true(call_served);
	assert_int_equal(process.vforks, 0);
	closed(a);
}

static void size_limit_is_the_kernels(void **state)
{
	struct rlimit old, small = {5, RLIM_INFINITY};
	int a = opened(F("limit"), O_RDWR | O_CREAT | O_TRUNC);

	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	assert_int_equal(CALL(setrlimit, RLIMIT_FSIZE, &small), 0);
	assert_int_equal(CALL(write, a, "0123456789", 10), 5);
	assert_false(call_served);
	assert_int_equal(CALL(prlimit64, 0, RLIMIT_FSIZE, &old, 0), 0);
	assert_int_equal(CALL(pwrite64, a, "0123456789", 10, 0), 10);
	assert_true(call_served);
	closed(a);
}

static void umask_is_applied(void **state)
{
	struct stat st;

	/* as the service saw it at the start (the fake says 027), then as it is set */
	CALL(mkdir, F("um1"), 0777);
	stat(F("um1"), &st);
	assert_int_equal(st.st_mode & 0777, 0750);
	CALL(umask, 077);
	CALL(mkdir, F("um2"), 0777);
	stat(F("um2"), &st);
	assert_int_equal(st.st_mode & 0777, 0700);
	CALL(umask, 0);
}

static void without_fuse_begin(void)
{
	fake_table.mount[0].flags = 0;
	process.tokens = 1;
}

static void without_fuse_end(void)
{
	fake_table.mount[0].flags = WIRE_MOUNT_FUSE;
	process.tokens = 0;
}

static void without_fuse(void **state)
{
	int a = opened(F("nf"), O_RDWR | O_CREAT | O_TRUNC), saved = dup(1);

	without_fuse_begin();
	assert_int_equal(CALL(splice, a, 0, a, 0, 10, 0), -EINVAL);
	assert_int_equal(CALL(sendfile, a, a, 0, 10), 0);
	assert_int_equal(CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0), -ENODEV);
	assert_int_equal(CALL(dup2, a, 1), 1);
	assert_true(fd_is(1, FD_PLACEHOLDER));
	assert_int_equal(CALL(write, 1, "x", 1), 1);
	assert_int_equal(CALL(dup2, saved, 1), 1);
	close(saved);
	closed(a);
	assert_int_equal(dir_service_open, 0);
	without_fuse_end();
}

static void private_map_is_a_copy(void **state)
{
	int a = opened(F("map"), O_RDWR | O_CREAT | O_TRUNC);
	char *p;

	without_fuse_begin();
	CALL(pwrite64, a, "end", 3, 5000);
	p = (char *)CALL(mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, a, 4096);
	assert_true(call_served && (intptr_t)p > 0);
	assert_memory_equal(p + 904, "end", 4);
	p[904] = 'E';
	assert_int_equal(CALL(munmap, p, 8192), 0);
	assert_int_equal(CALL(pread64, a, buf, 3, 5000), 3);
	assert_memory_equal(buf, "end", 3);
	assert_int_equal(CALL(mmap, 0, 4096, PROT_READ, MAP_PRIVATE, a, 100), -EINVAL);
	closed(a);
	without_fuse_end();
}

/* As fork does, and the child is as after an exec: it knows nothing but what the kernel gave it. */
static pid_t forked(void)
{
	struct preload_regs regs = {.nr = __NR_fork};
	pid_t child;

	assert_int_equal(preload_dispatch(&regs), 0);
	child = fork();
	if (child == 0) {
		process_kept.cwd[0] = 0;
		CALL(umask, 022); /* begins anew */
		process.tokens = 1;
	}
	return child;
}

static void child_ok(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
}

static void tokens_are_inherited(void **state)
{
	int a = opened(F("t"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC), b, c;
	pid_t child;

	without_fuse_begin();
	b = (int)CALL(dup, a);
	assert_int_equal(CALL(write, a, "parent ", 7), 7);
	child = forked();
	if (child == 0)
		_exit(!(fd_is((uint64_t)a, FD_UNKNOWN) && CALL(lseek, a, 0, SEEK_CUR) == 7 &&
			fd_is((uint64_t)a, FD_PLACEHOLDER) && CALL(write, b, "child ", 6) == 6 &&
			CALL(fcntl, a, F_GETFL) == (O_RDWR | 0100000) && CALL(read, 0, buf, 0) == 0));
	child_ok(child);
	assert_true(fd_is((uint64_t)a, FD_PLACEHOLDER) && fd_is_token((uint32_t)a) && fd_is_token((uint32_t)b));
	assert_int_equal(CALL(fcntl, a, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(fcntl, b, F_GETFD), 0);
	assert_int_equal(CALL(write, b, "end", 3), 3);
	assert_int_equal(CALL(lseek, a, 0, SEEK_CUR), 16);
	assert_int_equal(CALL(lseek, a, -3, SEEK_END), 13);
	assert_int_equal(CALL(read, b, buf, 60), 3);
	assert_int_equal(CALL(pread64, a, buf, 60, 0), 16);
	assert_memory_equal(buf, "parent child end", 16);
	/* Neither that descriptor nor a duplicate of it is taken for another file's. */
	c = opened(F("other"), O_RDWR | O_CREAT);
	assert_false(fd_is_token((uint32_t)c));
	assert_true(fd_is_kernel_placeholder((uint32_t)c));
	assert_int_equal(CALL(dup2, a, c), c);
	assert_true(fd_is_token((uint32_t)c) && !fd_is_kernel_placeholder((uint32_t)c));
	closed(a);
	closed(b);
	closed(c);
	assert_int_equal(dir_service_open, 0);
	without_fuse_end();
}

static void tokens_are_ready(void **state)
{
	int a = opened(F("r"), O_RDWR | O_CREAT), pipes[2];
	struct pollfd p[3] = {{.fd = a, .events = POLLIN}, {.events = POLLIN}, {.fd = -1}};
	fd_set in, out;
	struct timeval forever = {1000, 0};

	without_fuse_begin();
	assert_int_equal(pipe(pipes), 0);
	p[1].fd = pipes[0];
	assert_int_equal(CALL(poll, p, 3, -1), 1);
	assert_true(p[0].revents == POLLIN && !p[1].revents && !p[2].revents);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(CALL(poll, p, 3, -1), 2);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(a, &in);
	FD_SET(a, &out);
	FD_SET(pipes[0], &in);
	assert_int_equal(CALL(select, pipes[1] + 1, &in, &out, 0, &forever), 3);
	assert_true(FD_ISSET(a, &in) && FD_ISSET(a, &out) && FD_ISSET(pipes[0], &in));
	close(pipes[0]);
	close(pipes[1]);
	closed(a);
	without_fuse_end();
}

/* The kernel has no such directory, and yet it is where we are. */
static void working_directory_without_fuse(void **state)
{
	char cwd[64], real[64];
	int64_t d;
	pid_t child;

	without_fuse_begin();
	CALL(mkdir, F("vd"), 0755);
	assert_non_null(getcwd(real, sizeof(real)));
	assert_int_equal(CALL(chdir, F("vd")), 0);
	assert_true(call_served);
	assert_int_equal(CALL(mkdir, "in", 0755), 0);
	assert_int_equal(CALL(chdir, "in"), 0);
	assert_int_equal(CALL(chdir, "none"), -ENOENT);
	assert_int_equal(CALL(getcwd, cwd, sizeof(cwd)), strlen(F("vd/in")) + 1);
	assert_string_equal(cwd, F("vd/in"));
	assert_int_equal(CALL(getcwd, cwd, 5), -ERANGE);
	child = forked();
	if (child == 0)
		_exit(CALL(getcwd, cwd, sizeof(cwd)) != sizeof(F("vd/in")) || strcmp(cwd, F("vd/in")) ||
		      CALL(rmdir, "../in") != 0 || !call_served);
	child_ok(child);
	d = opened(F("vd"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(CALL(fchdir, d), 0);
	closed((int)d);
	assert_int_equal(CALL(mkdir, "in", 0755), 0);
	assert_int_equal(CALL(rmdir, "in"), 0);
	assert_int_equal(CALL(chdir, real), 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_string_equal(cwd, real);
	CALL(rmdir, F("vd"));
	assert_int_equal(dir_service_open, 0);
	without_fuse_end();
}

/* Last: there is no way back. */
static void no_more_placeholders(void **state)
{
	int a = opened(F("np"), O_RDWR | O_CREAT);
	int64_t b;

	process_limit(NO_PLACEHOLDERS);
	assert_true(fd_is((uint64_t)a, FD_REAL));
	b = CALL(openat, AT_FDCWD, F("np"), O_RDWR);
	assert_false(call_served);
	assert_int_equal(CALL(faccessat, AT_FDCWD, F("np"), R_OK), 0);
	assert_true(call_served);
	process_limit(NO_PATHS);
	CALL(faccessat, AT_FDCWD, F("np"), R_OK);
	assert_false(call_served);
	CALL(close, b);
	closed(a);
	assert_int_equal(dir_service_open, 0);
	assert_int_equal(fake_claimed, 0);
}

static void hints_of_databases(void **state)
{
	uint64_t hint = RWH_WRITE_LIFE_LONG, got = 99;
	int a = opened(F("h"), O_RDWR | O_CREAT);

	assert_int_equal(CALL(fcntl, a, F_SET_RW_HINT, &hint), 0);
	assert_int_equal(CALL(fcntl, a, F_GET_RW_HINT, &got), 0);
	assert_int_equal(got, hint);
	hint = 99;
	assert_int_equal(CALL(fcntl, a, F_SET_RW_HINT, &hint), -EINVAL);
	assert_int_equal(CALL(fcntl, a, F_SET_RW_HINT, 8), -EFAULT);
	assert_true(fd_is((uint64_t)a, FD_PLACEHOLDER));
	closed(a);
}

/* cp(1) asks for it with each file, and must not pay with two descriptors of the kernel's. */
static void a_clone_is_refused_at_once(void **state)
{
	int a = opened(F("from"), O_RDWR | O_CREAT), b = opened(F("to"), O_RDWR | O_CREAT);
	int host = (int)CALL(memfd_create, "host", 0);

	assert_int_equal(CALL(ioctl, b, FICLONE, a), -EOPNOTSUPP);
	assert_int_equal(CALL(ioctl, b, FICLONE, host), -EXDEV);
	assert_int_equal(CALL(ioctl, host, FICLONE, a), -EXDEV);
	assert_int_equal(CALL(copy_file_range, host, NULL, b, NULL, 10, 0), -EXDEV);
	assert_true(fd_is((uint64_t)a, FD_PLACEHOLDER) && fd_is((uint64_t)b, FD_PLACEHOLDER));
	assert_int_equal(CALL(ioctl, b, FICLONE, 999), -EBADF);
	closed(a);
	closed(b);
	closed(host);
}

/* ---- an open under way ----------------------------------------------------------------------- */

static int (*dir_serve_all)(struct fake_call *call);
static int opening_taken;
static int opening_left; /* the number that it had */

/* What another thread may do while the service opens a file that has its number already. */
static int serve_and_take(struct fake_call *call)
{
	struct preload_regs fork_regs = {.nr = __NR_fork};
	int fd = dup(0);

	close(fd);
	fd--; /* the open's */
	if (call->request.op == WIRE_OPEN && fd_is((uint64_t)fd, FD_OPENING)) {
		opening_left = fd;
		if (opening_taken == 'c')
			CALL(close, fd);
		if (opening_taken == 'f')
			preload_dispatch(&fork_regs);
		if (opening_taken)
			assert_true(fd_is((uint64_t)fd, FD_UNKNOWN));
	}
	return dir_serve_all(call);
}

static void opens_with(int taken)
{
	dir_serve_all = fake_serve;
	opening_taken = taken;
	opening_left = -1;
	fake_serve = serve_and_take;
}

static void a_number_that_is_taken_from_an_open(void **state)
{
	int low, fd;

	opens_with('c');
	fd = opened(F("u"), O_RDWR | O_CREAT);
	assert_int_equal(fd, opening_left);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	closed(fd);
	fake_serve = dir_serve_all;
	opens_with('f');
	fd = opened(F("u"), O_RDWR);
	assert_true(opening_left >= 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	closed(fd);
	fake_serve = dir_serve_all;
	low = dup(0);
	assert_int_equal(low, fd);
	close(low);
	assert_int_equal(process.placeholders, 0);
}

static void a_number_of_an_open_that_fails(void **state)
{
	int low = dup(0);

	close(low);
	opens_with(0);
	assert_int_equal(CALL(openat, AT_FDCWD, F("nobody"), O_RDONLY, 0), -ENOENT);
	assert_int_equal(opening_left, low);
	fake_serve = dir_serve_all;
	assert_int_equal(dup(0), low);
	close(low);
	assert_int_equal(process.placeholders, 0);
}

/* A number that is closed is the next open's, with no more than the flag set; anybody else finds it closed. */
static void a_closed_number_waits_for_the_next(void **state)
{
	int low, a = opened(F("w"), O_RDWR | O_CREAT | O_CLOEXEC), b;

	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(process.vacant, a + 1);
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC); /* unseen */
	assert_int_equal(opened(F("w"), O_RDWR), a);
	assert_int_equal(fcntl(a, F_GETFD), 0);
	b = opened(F("w"), O_RDWR);
	assert_int_equal(b, a + 1);

	/* the lower one, whichever is closed first */
	for (int first = a; first <= b; first++) {
		assert_int_equal(CALL(close, first), 0);
		assert_int_equal(CALL(close, a + b - first), 0);
		assert_int_equal(process.vacant, a + 1);
		assert_int_equal(fcntl(b, F_GETFD), -1);
		assert_int_equal(opened(F("w"), O_RDWR), a);
		assert_int_equal(opened(F("w"), O_RDWR), b);
	}
	assert_int_equal(CALL(close, b), 0);
	assert_int_equal(CALL(close, a), 0);

	/* it is known to be free when it is closed, though another thread was given a higher one meanwhile */
	fd_used_given(fd_used(), (uint32_t)b);
	assert_true((uint32_t)process.used > (uint32_t)b);
	kernel_is_asked();
	assert_int_equal((uint32_t)process.used, a);
	assert_int_equal(opened(F("w"), O_RDWR), a);
	assert_int_equal(CALL(close, a), 0);

	/* it is closed, for every call that names it */
	assert_int_equal(CALL(close, a), -EBADF);
	assert_int_equal(opened(F("w"), O_RDWR), a);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(fcntl, a, F_GETFD), -EBADF);
	assert_int_equal(opened(F(""), O_RDONLY), a);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(openat, a, "w", O_RDWR), -EBADF);
	assert_int_equal(opened(F("w"), O_RDWR), a);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(dup2, a, a + 5), -EBADF);

	/* and free, for every call that makes one */
	assert_int_equal(opened(F("w"), O_RDWR), a);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(dup, 0), a);
	close(a);
	assert_int_equal(opened(F("w"), O_RDWR), a);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(memfd_create, "low", 0), a);
	b = opened(F("w"), O_RDWR);
	assert_int_equal(b, a + 1);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(close, b), 0);
	assert_int_equal(process.vacant, 0); /* it is not the lowest */
	assert_int_equal(opened(F("w"), O_RDWR), a);
	b = opened(F("w"), O_RDWR);
	assert_int_equal(CALL(close, a), 0);
	assert_int_equal(CALL(fcntl, b, F_DUPFD_CLOEXEC, 0), a);
	assert_int_equal(CALL(close, b), 0);
	closed(a);
	low = dup(0);
	assert_int_equal(low, a);
	close(low);
	assert_int_equal(process.placeholders, 0);
	assert_int_equal(dir_service_open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(umask_is_applied),
		cmocka_unit_test(lowest_number_and_flags),
		cmocka_unit_test(offset_is_shared_by_duplicates),
		cmocka_unit_test(made_real_all_at_once),
		cmocka_unit_test(dup2_over_and_onto_standard),
		cmocka_unit_test(closed_unseen),
		cmocka_unit_test(close_range_closes_ours),
		cmocka_unit_test(no_more_descriptors),
		cmocka_unit_test(errors_of_the_access_mode),
		cmocka_unit_test(ioctls),
		cmocka_unit_test(directories),
		cmocka_unit_test(adopted),
		cmocka_unit_test(working_directory),
		cmocka_unit_test(shown_in_proc),
		cmocka_unit_test(poll_makes_real),
		cmocka_unit_test(passed_over_a_socket),
		cmocka_unit_test(locks),
		cmocka_unit_test(fork_makes_real),
		cmocka_unit_test(vfork_child_is_the_kernels),
		cmocka_unit_test(size_limit_is_the_kernels),
		cmocka_unit_test(without_fuse),
		cmocka_unit_test(private_map_is_a_copy),
		cmocka_unit_test(tokens_are_inherited),
		cmocka_unit_test(tokens_are_ready),
		cmocka_unit_test(working_directory_without_fuse),
		cmocka_unit_test(hints_of_databases),
		cmocka_unit_test(a_clone_is_refused_at_once),
		cmocka_unit_test(a_number_that_is_taken_from_an_open),
		cmocka_unit_test(a_number_of_an_open_that_fails),
		cmocka_unit_test(a_closed_number_waits_for_the_next),
		cmocka_unit_test(no_more_placeholders),
	};

	if (geteuid() != 0 || dir_service_start() < 0) {
		printf("needs root\n");
		return 77;
	}
	if (!preload_init(environ))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
