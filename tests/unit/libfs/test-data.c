/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers of every shape against a file in memory: pieces, ranges, offsets, short counts, a service that dies. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "libfs/fs.h"
#include "tests/unit/libfs/fake-front.h"

enum { SIZE_MAX_OF_FILE = 1 << 20 };

static struct {
	unsigned char data[SIZE_MAX_OF_FILE];
	uint64_t size, full; /* no byte is written from `full` on */
	unsigned largest;    /* request */
	int append;
	void (*meanwhile)(void); /* once, while a request is under way */
} file;

static int64_t serve_read(struct fake_call *call)
{
	const struct wire_request *q = &call->request;
	uint64_t n = q->offset < file.size ? file.size - q->offset : 0;

	if (n > q->length)
		n = q->length;
	memcpy(call->payload, file.data + q->offset, n);
	return (int64_t)n;
}

static int64_t serve_write(struct fake_call *call)
{
	const struct wire_request *q = &call->request;
	uint64_t at = file.append ? file.size : q->offset, n = q->length;

	if (at >= file.full)
		return -ENOSPC;
	if (at + n > file.full)
		n = file.full - at;
	memcpy(file.data + at, call->payload, n);
	if (at + n > file.size)
		file.size = at + n;
	call->reply.offset = at + n;
	return (int64_t)n;
}

static int serve(struct fake_call *call)
{
	const struct wire_request *q = &call->request;
	void (*meanwhile)(void) = file.meanwhile;

	if (q->length > file.largest && (q->op == WIRE_READ || q->op == WIRE_WRITE))
		file.largest = (unsigned)q->length;
	file.meanwhile = NULL;
	if (meanwhile)
		meanwhile();
	switch (q->op) {
	case WIRE_READ:
		call->reply.result = serve_read(call);
		break;
	case WIRE_WRITE:
		call->reply.result = serve_write(call);
		break;
	case WIRE_GETATTR:
		call->reply.attr.size = file.size;
		break;
	case WIRE_SEEK:
		call->reply.offset = q->offset + 7;
		break;
	case WIRE_CLOSE:
		break;
	default:
		return -ENOSYS;
	}
	return 0;
}

static struct fs_file *opened(uint32_t flags)
{
	struct wire_attr attr = {.ino = 5, .mode = S_IFREG | 0644};

	assert_int_equal(fs_ready(), 0);
	return fs_file_new(0, 77, flags, &attr);
}

static struct fs_file *f;

static int setup(void **state)
{
	memset(&file, 0, sizeof(file));
	file.full = SIZE_MAX_OF_FILE;
	fake_serve = serve;
	f = opened(O_RDWR);
	return 0;
}

static int teardown(void **state)
{
	fs_file_put(f);
	return fake_claimed != 0; /* a slot was not released */
}

static void pattern(unsigned char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)(i * 31 + i / 251);
}

static void large_in_pieces(void **state)
{
	static unsigned char out[700001], in[700001];
	struct iovec iov = {out, sizeof(out)};
	uint64_t end = 0;

	pattern(out, sizeof(out));
	assert_int_equal(fs_writev(f, &iov, 1, 3, 0, &end), sizeof(out));
	assert_int_equal(end, 3 + sizeof(out));
	assert_int_equal(file.largest, WIRE_BULK);
	iov.iov_base = in;
	assert_int_equal(fs_readv(f, &iov, 1, 3), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
}

static void many_ranges_one_request(void **state)
{
	char parts[40][17];
	struct iovec iov[40];
	unsigned before;

	for (int i = 0; i < 40; i++) {
		memset(parts[i], 'a' + i % 26, 17);
		iov[i] = (struct iovec){parts[i], (size_t)(i % 18)};
	}
	before = fake_calls;
	assert_int_equal(fs_writev(f, iov, 40, 0, 0, NULL), 312);
	assert_int_equal(fake_calls, before + 1);
	assert_int_equal(file.data[0], 'b');
	assert_int_equal(file.data[1], 'c');
	assert_int_equal(file.data[3], 'd');
	memset(parts, 0, sizeof(parts));
	assert_int_equal(fs_readv(f, iov, 40, 0), 312);
	assert_int_equal(parts[17][16], 'r');
	assert_int_equal(parts[39][2], 'n');
	assert_int_equal(parts[39][3], 0);
}

static void short_at_the_end(void **state)
{
	static char buf[600000];
	struct iovec iov = {buf, sizeof(buf)};

	file.size = 300000;
	assert_int_equal(fs_readv(f, &iov, 1, 0), 300000);
	assert_int_equal(fs_readv(f, &iov, 1, 300000), 0);
	assert_int_equal(fs_readv(f, &iov, 1, 299999), 1);
}

static void full_device(void **state)
{
	static char buf[600000];
	struct iovec iov = {buf, sizeof(buf)};

	file.full = 300000;
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), 300000);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 300000); /* what was not written is given back */
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), -ENOSPC);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 300000);
}

static void offsets(void **state)
{
	char buf[10] = "0123456789";
	struct iovec iov = {buf, 10};

	assert_int_equal(fs_writev_next(f, &iov, 1, 0), 10);
	assert_int_equal(fs_lseek(f, 4, SEEK_SET), 4);
	iov.iov_len = 3;
	assert_int_equal(fs_readv_next(f, &iov, 1), 3);
	assert_memory_equal(buf, "456", 3);
	assert_int_equal(fs_lseek(f, -2, SEEK_CUR), 5);
	assert_int_equal(fs_lseek(f, -1, SEEK_END), 9);
	assert_int_equal(fs_lseek(f, 2, SEEK_DATA), 9);
	assert_int_equal(fs_lseek(f, -1, SEEK_DATA), -ENXIO);
	assert_int_equal(fs_lseek(f, -10, SEEK_CUR), -EINVAL);
	assert_int_equal(fs_lseek(f, -11, SEEK_END), -EINVAL);
	assert_int_equal(fs_lseek(f, INT64_MAX, SEEK_CUR), -EINVAL);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 9);
}

static void append(void **state)
{
	struct iovec iov = {"xyz", 3};

	file.size = 100;
	file.append = 1;
	f->flags |= O_APPEND;
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), 3);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 103);
	assert_memory_equal(file.data + 100, "xyz", 3);
}

static void seek_meanwhile(void)
{
	fs_lseek(f, 6, SEEK_SET);
}

/* Somebody moved the offset while we read: we read again, from there. */
static void read_restarts(void **state)
{
	char buf[4];
	struct iovec iov = {buf, 2};

	memcpy(file.data, "0123456789", file.size = 10);
	file.meanwhile = seek_meanwhile;
	assert_int_equal(fs_readv_next(f, &iov, 1), 2);
	assert_memory_equal(buf, "67", 2);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 8);
}

static void write_meanwhile(void)
{
	struct iovec iov = {"BB", 2};

	assert_int_equal(fs_writev_next(f, &iov, 1, 0), 2);
}

/* As a signal handler does that interrupts us: both writes have their place. */
static void nested_write(void **state)
{
	struct iovec iov = {"AAA", 3};

	file.meanwhile = write_meanwhile;
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), 3);
	assert_memory_equal(file.data, "AAABB", 5);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 5);
}

static void moved_to_the_kernel(void **state)
{
	struct iovec iov = {"AAA", 3};

	f->offset = FS_MOVED;
	assert_int_equal(fs_readv_next(f, &iov, 1), -EAGAIN);
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), -EAGAIN);
	assert_int_equal(fs_lseek(f, 0, SEEK_SET), -EAGAIN);
	assert_int_equal(fs_writev(f, &iov, 1, 0, 0, NULL), 3); /* at a given offset as ever */
}

static void stale_handle(void **state)
{
	struct iovec iov = {"AAA", 3};
	struct fs_file *young;

	assert_false(fs_file_stale(f));
	fake_restart();
	assert_true(fs_file_stale(f));
	assert_int_equal(fs_writev(f, &iov, 1, 0, 0, NULL), -EIO);
	young = opened(O_RDWR);
	assert_int_equal(fs_writev(young, &iov, 1, 0, 0, NULL), 3);
	assert_int_equal(fs_writev(f, &iov, 1, 0, 0, NULL), -EIO);
	fs_file_put(young);
}

static int die(struct fake_call *call)
{
	return -EIO;
}

static void service_dies(void **state)
{
	struct iovec iov = {"AAA", 3};

	fake_serve = die;
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), -EIO);
	assert_int_equal(fs_lseek(f, 0, SEEK_CUR), 0);
	fake_serve = serve;
}

static int deaths;

/* Dies over the first request, in the middle of its reply, and is there again for the next. */
static int die_once(struct fake_call *call)
{
	if (deaths++ == 0) {
		fake_restart();
		memset(&call->reply, 0xff, sizeof(call->reply));
		return -EIO;
	}
	assert_string_equal(call->payload, "some/path");
	call->reply.attr.size = 99;
	return 0;
}

static void paths_outlive_a_service(void **state)
{
	struct fs_object o;
	struct wire_attr attr;
	struct fs_opened got;

	assert_int_equal(fs_route("/data/some/path", &o), 1);
	fake_serve = die_once;
	deaths = 0;
	assert_int_equal(fs_getattr(&o, &attr), 0);
	assert_int_equal(attr.size, 99);
	assert_int_equal(deaths, 2);
	deaths = 0;
	assert_int_equal(fs_open(&o, O_RDWR | O_CREAT, 0644, NULL, &got), 0);
	deaths = 0;
	assert_int_equal(fs_open(&o, O_RDWR | O_CREAT | O_EXCL, 0644, NULL, &got), -EIO); /* it may have been made */
	deaths = 0;
	assert_int_equal(fs_unlink(&o), -EIO);
	fake_serve = serve;
}

static void table_of_files(void **state)
{
	static struct fs_file *all[FS_FILES_MAX];
	uint32_t n = 0, closed;

	while ((all[n] = opened(O_RDONLY)))
		n++;
	assert_int_equal(n, FS_FILES_MAX - 1); /* and f */
	fs_file_put(all[100]);
	all[100] = opened(O_RDONLY);
	assert_non_null(all[100]);
	assert_null(opened(O_RDONLY));
	assert_int_equal(fs_file_get(all[5]), 1);
	closed = fake_calls;
	fs_file_put(all[5]);
	assert_int_equal(fake_calls, closed);
	for (uint32_t i = 0; i < n; i++)
		fs_file_put(all[i]);
	assert_int_equal(fake_calls, closed + n);
	assert_int_equal(fs_file_get(all[5]), 0);
}

enum { CWD_INO = 5, CWD_HANDLE = 9 };

static int working_directory(uint32_t *ret_mount, uint64_t *ret_ino)
{
	*ret_mount = 0;
	*ret_ino = CWD_INO;
	return 0;
}

/* The first who asks gets it, if it is what he asks for; else it is closed. */
static void working_directory_comes_with_the_session(void **state)
{
	unsigned before = fake_calls;
	int status;
	pid_t pid;

	assert_int_equal(fs_adopt_cwd(0, CWD_INO), CWD_HANDLE);
	assert_int_equal(fake_calls, before);
	assert_int_equal(fs_adopt_cwd(0, CWD_INO), -ENOSYS);
	assert_int_equal(fake_calls, before + 1);
	pid = fork(); /* which has a session of its own */
	if (pid == 0) {
		before = fake_calls;
		if (fs_adopt_cwd(0, CWD_INO + 1) != -ENOSYS)
			_exit(1);
		_exit(fake_calls == before + 2 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(working_directory_comes_with_the_session),
		T(large_in_pieces), T(many_ranges_one_request), T(short_at_the_end), T(full_device), T(offsets), T(append),
		T(read_restarts),   T(nested_write),		T(moved_to_the_kernel), T(stale_handle),
		T(service_dies),    T(paths_outlive_a_service), T(table_of_files),
	};

	fake_cwd = CWD_HANDLE;
	fs_cwd_by(working_directory);
	fake_mount(0, "/data", WIRE_MOUNT_FUSE, 10);
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
