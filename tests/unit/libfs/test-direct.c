/* SPDX-License-Identifier: Apache-2.0 */
/* Shared data: what is copied without a request, what is not, and what happens when both sides are at it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "ipc/wire-share.h"
#include "libfs/fs.h"
#include "tests/unit/libfs/fake-front.h"

enum { PAGES = 64, FILE_MAX = PAGES * SHARE_PAGE, INO = 5, GRANT_BYTES = 3000 };

/* The service: one file. */
static struct {
	pthread_mutex_t lock;
	int data_fd, state_fd, marks_fd;
	char *data;
	struct share_state *state;
	struct share_marks *marks;
	int refuse;                                  /* what asking for a share answers */
	unsigned asked, reads, writes, grants, dies; /* requests */
	int may_grant;
	uint32_t gave_up;
} file;

static void *mapped(int *fd, size_t size)
{
	void *at;

	*fd = memfd_create("share", 0);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, (off_t)size), 0);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_true(at != MAP_FAILED);
	return at;
}

static void pages_come(uint64_t first, uint64_t last)
{
	for (; first <= last; first++)
		if (!(file.state->page[first] & SHARE_PRESENT))
			__atomic_add_fetch(&file.state->page[first], 1, __ATOMIC_SEQ_CST);
}

static void page_goes(uint64_t page)
{
	if (file.state->page[page] & SHARE_PRESENT)
		__atomic_add_fetch(&file.state->page[page], 1, __ATOMIC_SEQ_CST);
}

static void file_make(uint64_t size)
{
	memset(&file, 0, sizeof(file));
	pthread_mutex_init(&file.lock, NULL);
	file.data = mapped(&file.data_fd, FILE_MAX);
	file.state = mapped(&file.state_fd, SHARE_HEADER + PAGES * 4);
	file.marks = mapped(&file.marks_fd, SHARE_MARKS_HEADER + PAGES);
	file.state->magic = SHARE_MAGIC;
	file.state->epoch = 1;
	file.state->writable = 1;
	file.state->grant_session = UINT32_MAX;
	for (uint64_t i = 0; i < size; i++)
		file.data[i] = (char)(i * 7 + i / 4096);
	file.state->size = size;
	pages_come(0, PAGES - 1);
}

static void file_end(void)
{
	munmap(file.data, FILE_MAX);
	munmap(file.state, SHARE_HEADER + PAGES * 4);
	munmap(file.marks, SHARE_MARKS_HEADER + PAGES);
	close(file.data_fd);
	close(file.state_fd);
	close(file.marks_fd);
}

/* As wire-share.h says. With the lock held. */
static void grant_back(void)
{
	uint32_t holding = 1;
	int looks = 0;

	__atomic_store_n(&file.state->grant_session, UINT32_MAX, __ATOMIC_SEQ_CST);
	/* Once it is seen free, whoever takes it looks at the grant first, and lets go. */
	while (__atomic_load_n(&file.marks->appending, __ATOMIC_SEQ_CST) == 1 && looks++ < 1000000)
		usleep(1);
	if (looks > 1000000 &&
	    __atomic_compare_exchange_n(&file.marks->appending, &holding, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		file.gave_up++;
		file.state->epoch++;
	}
	if (file.marks->size > file.state->size)
		__atomic_store_n(&file.state->size, file.marks->size, __ATOMIC_SEQ_CST);
	__atomic_store_n(&file.marks->size, 0, __ATOMIC_SEQ_CST);
}

static int64_t serve_read(struct fake_call *call)
{
	const struct wire_request *q = &call->request;
	uint64_t n = q->offset < file.state->size ? file.state->size - q->offset : 0;

	file.reads++;
	if (n > q->length)
		n = q->length;
	memcpy(call->payload, file.data + q->offset, n);
	if (n)
		pages_come(q->offset / SHARE_PAGE, (q->offset + n - 1) / SHARE_PAGE);
	return (int64_t)n;
}

static int64_t serve_write(struct fake_call *call, int append)
{
	const struct wire_request *q = &call->request;
	uint64_t at = append ? file.state->size : q->offset;

	file.writes++;
	assert_true(at + q->length <= FILE_MAX);
	memcpy(file.data + at, call->payload, q->length);
	if (at + q->length > file.state->size)
		__atomic_store_n(&file.state->size, at + q->length, __ATOMIC_SEQ_CST);
	call->reply.offset = at + q->length;
	return (int64_t)q->length;
}

static int64_t serve_grant(void)
{
	file.grants++;
	if (!file.may_grant)
		return -EBUSY;
	__atomic_store_n(&file.state->granted, file.state->size + file.may_grant, __ATOMIC_SEQ_CST);
	__atomic_store_n(&file.state->grant_session, (uint32_t)fs_session(), __ATOMIC_SEQ_CST);
	return 0;
}

static int appending; /* WRITE requests append */

static int serve(struct fake_call *call)
{
	int64_t r = 0;

	pthread_mutex_lock(&file.lock);
	if (call->request.op != WIRE_CLOSE)
		grant_back();
	switch (call->request.op) {
	case WIRE_READ:
		r = serve_read(call);
		break;
	case WIRE_WRITE:
		r = serve_write(call, appending);
		break;
	case WIRE_GRANT:
		r = serve_grant();
		break;
	case WIRE_GETATTR:
		call->reply.attr.size = file.state->size;
		break;
	case WIRE_CLOSE:
		break;
	default:
		r = -ENOSYS;
	}
	pthread_mutex_unlock(&file.lock);
	call->reply.result = r;
	return 0;
}

static int serve_share(struct front_share *share)
{
	file.asked++;
	if (file.refuse)
		return file.refuse;
	share->number = 1;
	share->data = dup(file.data_fd);
	share->state = dup(file.state_fd);
	share->marks = share->how == WIRE_SHARE_WRITE ? dup(file.marks_fd) : -1;
	return 0;
}

static struct fs_file *opened(uint32_t flags)
{
	struct wire_attr attr = {.ino = INO, .mode = S_IFREG | 0644};

	assert_int_equal(fs_ready(), 0);
	return fs_file_new(0, 77, flags, &attr);
}

static struct fs_file *f;

static int setup(void **state)
{
	fake_serve = serve;
	fake_share = serve_share;
	appending = 0;
	file_make(40 * SHARE_PAGE + 100);
	f = opened(O_RDWR);
	return 0;
}

static int teardown(void **state)
{
	fs_file_put(f);
	file_end();
	return fake_claimed != 0 || fake_copying != 0;
}

static int64_t get(void *buf, size_t n, uint64_t at)
{
	struct iovec iov = {buf, n};

	return fs_readv(f, &iov, 1, at);
}

static int64_t put(const void *buf, size_t n, uint64_t at)
{
	struct iovec iov = {(void *)(uintptr_t)buf, n};

	return fs_writev(f, &iov, 1, at, 0, NULL);
}

/* Until it has asked. */
static void warm(int writes)
{
	unsigned asked = file.asked;
	char byte;

	for (int i = 0; i < 40000 && file.asked == asked; i++) {
		if (writes)
			assert_int_equal(put(&file.data[5], 1, 5), 1);
		else
			assert_int_equal(get(&byte, 1, 5), 1);
	}
	assert_int_equal(file.asked, asked + 1);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void once_is_not_worth_it(void **state)
{
	char buf[4096];

	for (uint64_t at = 0; get(buf, sizeof(buf), at) > 0 && at < 16 * sizeof(buf); at += sizeof(buf))
		;
	assert_int_equal(file.asked, 0);
}

static void read_without_requests(void **state)
{
	static char buf[FILE_MAX];
	uint64_t size;

	warm(0);
	file.reads = 0;
	assert_int_equal(get(buf, 100, 10000), 100);
	assert_memory_equal(buf, file.data + 10000, 100);
	assert_int_equal(get(buf, sizeof(buf), 0), file.state->size);
	assert_memory_equal(buf, file.data, file.state->size);
	assert_int_equal(get(buf, 10, file.state->size - 3), 3);
	assert_int_equal(get(buf, 10, file.state->size), 0);
	assert_int_equal(get(buf, 10, file.state->size + 99999), 0);
	size = file.state->size;
	assert_int_equal(fs_lseek(f, -7, SEEK_END), size - 7);
	assert_int_equal(file.reads, 0);
	file.state->size += 5;
	assert_int_equal(get(buf, 10, size), 5);
	assert_int_equal(file.reads, 0);
}

static void many_ranges(void **state)
{
	char a[3], b[5000], c[11];
	struct iovec iov[] = {{a, 3}, {NULL, 0}, {b, sizeof(b)}, {c, 11}};

	warm(0);
	file.reads = 0;
	assert_int_equal(fs_readv(f, iov, 4, 4090), 5014);
	assert_memory_equal(a, file.data + 4090, 3);
	assert_memory_equal(b, file.data + 4093, 5000);
	assert_memory_equal(c, file.data + 9093, 11);
	assert_int_equal(file.reads, 0);
}

static void absent_pages_are_asked_for(void **state)
{
	static char buf[FILE_MAX];

	warm(0);
	page_goes(3);
	file.reads = 0;
	assert_int_equal(get(buf, 100, 3 * 4096 + 5), 100);
	assert_int_equal(file.reads, 1); /* and is there now */
	assert_int_equal(get(buf, 100, 3 * 4096 + 5), 100);
	assert_int_equal(file.reads, 1);
}

static void a_new_epoch_ends_it(void **state)
{
	char byte;

	warm(0);
	file.reads = 0;
	__atomic_add_fetch(&file.state->epoch, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(get(&byte, 1, 9), 1);
	assert_int_equal(file.reads, 1);
	warm(0);
	file.reads = 0;
	assert_int_equal(get(&byte, 1, 9), 1);
	assert_int_equal(file.reads, 0);
}

static unsigned mappings(void)
{
	char line[512];
	unsigned n = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:share") != NULL;
	fclose(maps);
	return n;
}

static void files_of_an_inode_share(void **state)
{
	struct fs_file *other = opened(O_RDONLY), *first = f;
	unsigned before = mappings();
	char byte;

	warm(0);
	assert_int_equal(mappings(), before + 2);
	f = other;
	for (int i = 0; i < 100; i++)
		get(&byte, 1, 0);
	f = first;
	assert_int_equal(file.asked, 1);
	file.reads = 0;
	get(&byte, 1, 0);
	assert_int_equal(file.reads, 0);
	fs_file_put(first);
	f = other;
	get(&byte, 1, 0);
	assert_int_equal(file.reads, 0);
	assert_int_equal(mappings(), before + 2);
	fs_file_put(other);
	assert_int_equal(mappings(), before);
	f = opened(O_RDWR);
}

static void refusals(void **state)
{
	char byte;
	unsigned calls;

	file.refuse = -EAGAIN;
	warm(0);
	calls = file.reads;
	warm(0);
	assert_in_range(file.reads - calls, 60, 70); /* twice the patience */
	file.refuse = -EOPNOTSUPP;
	warm(0);
	for (int i = 0; i < 100000; i++)
		get(&byte, 1, 0);
	assert_int_equal(file.asked, 3);
}

static void children_have_none(void **state)
{
	char byte;
	int status;
	pid_t child;

	warm(0);
	child = fork();
	if (child == 0) {
		unsigned inherited = 3; /* the test's own */
		_exit(mappings() == inherited && !f->share && !f->refs ? 0 : 1);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	file.reads = 0;
	get(&byte, 1, 0);
	assert_int_equal(file.reads, 0);
}

static void counted_where_it_may_be_cut(void **state)
{
	char byte;

	file.state->exact = 1;
	warm(0);
	file.reads = 0;
	assert_int_equal(get(&byte, 1, 0), 1);
	assert_int_equal(file.reads, 0);
	assert_int_equal(fake_copying, 0);
}

/* ---- overwriting ------------------------------------------------------------------------------ */

static void overwrite_without_requests(void **state)
{
	warm(1);
	file.writes = 0;
	memset(file.marks, 0, SHARE_MARKS_HEADER + PAGES);
	assert_int_equal(put("abcdef", 6, 2 * 4096 - 3), 6);
	assert_memory_equal(file.data + 2 * 4096 - 3, "abcdef", 6);
	assert_int_equal(file.writes, 0);
	assert_int_equal(file.marks->page[1], 1);
	assert_int_equal(file.marks->page[2], 1);
	assert_int_equal(file.marks->page[3], 0);
	assert_int_equal(file.marks->region[0], 1);
	assert_int_equal(file.marks->any, 1);
	assert_true(llabs(file.marks->mtime / 1000000000 - time(NULL)) < 2);
}

static void a_reader_asks_again_to_write(void **state)
{
	warm(0);
	warm(1);
	file.writes = 0;
	assert_int_equal(put("x", 1, 0), 1);
	assert_int_equal(file.writes, 0);
}

static void not_overwritten(void **state)
{
	char buf[8];

	warm(1);
	file.writes = 0;
	file.state->writable = 0;
	assert_int_equal(put("x", 1, 0), 1);
	assert_int_equal(file.writes, 1);
	file.state->writable = 1;
	page_goes(0);
	assert_int_equal(put("y", 1, 0), 1);
	assert_int_equal(file.writes, 2);
	assert_int_equal(file.data[0], 'y');
	f->flags |= O_DSYNC;
	assert_int_equal(put("z", 1, 4096), 1);
	assert_int_equal(file.writes, 3);
	file.reads = 0;
	assert_int_equal(get(buf, 1, 4096), 1);
	assert_int_equal(file.reads, 0);
	assert_int_equal(buf[0], 'z');
}

/* ---- appending -------------------------------------------------------------------------------- */

static void append_with_a_grant(void **state)
{
	uint64_t start, i;
	char buf[128], line[128];
	struct iovec iov = {line, 100};

	file.may_grant = GRANT_BYTES;
	appending = 1;
	f->flags |= O_APPEND;
	warm(1);
	start = file.state->size;
	file.writes = file.grants = 0;
	for (i = 0; i < 200; i++) {
		memset(line, 'a' + (int)i % 26, 100);
		assert_int_equal(fs_writev_next(f, &iov, 1, 0), 100);
		assert_int_equal(fs_lseek(f, 0, SEEK_CUR), start + (i + 1) * 100);
		assert_int_equal(get(buf, 128, start + i * 100), 100); /* its own, at once */
		assert_memory_equal(buf, line, 100);
	}
	assert_in_range(file.writes, 1, 5);
	assert_in_range(file.grants, 6, 8);
	assert_int_equal(file.marks->size, start + 200 * 100);
	assert_true(file.state->size < file.marks->size);
	file.reads = 0;
	f->flags &= ~(uint32_t)O_APPEND;
	appending = 0;
	assert_int_equal(put("end", 3, start + 20000), 3); /* at the end by its offset */
	assert_int_equal(get(buf, 3, start + 20000), 3);
	assert_memory_equal(buf, "end", 3);
}

/* Behind the end: what is between is zeros, even where something was left; but pages that nobody writes are holes. */
static void behind_the_end(void **state)
{
	static const char zeros[2 * SHARE_PAGE];
	char buf[2 * SHARE_PAGE];
	uint64_t end;

	file.may_grant = 8 * SHARE_PAGE;
	warm(1);
	end = file.state->size;
	for (int i = 0; i < 10; i++)
		assert_int_equal(put("x", 1, end++), 1);
	memset(file.data + end, 'r', 64);
	file.writes = 0;
	assert_int_equal(put("near", 4, end + 50), 4);
	assert_int_equal(file.marks->size, end + 54);
	assert_int_equal(get(buf, 54, end), 54);
	assert_memory_equal(buf, zeros, 50);
	assert_memory_equal(buf + 50, "near", 4);
	end = (end + 54 + SHARE_PAGE - 1) / SHARE_PAGE * SHARE_PAGE;
	assert_int_equal(put("page", 4, end + SHARE_PAGE - 4), 4);
	assert_int_equal(file.marks->size, end + SHARE_PAGE);
	assert_int_equal(file.writes, 0);
	assert_int_equal(put("hole", 4, end + 2 * SHARE_PAGE), 4);
	assert_int_equal(file.writes, 1);
	assert_int_equal(file.state->size, end + 2 * SHARE_PAGE + 4);
}

/* Its share is only to read, and does not say how far our own appending has come. */
static void another_file_of_ours(void **state)
{
	struct fs_file *reader = opened(O_RDONLY), *writer = f;
	struct iovec iov = {"appended", 8};
	char buf[8];

	f = reader;
	warm(0);
	f = writer;
	f->heat = 0;
	appending = file.may_grant = GRANT_BYTES;
	f->flags |= O_APPEND;
	for (int i = 0; i < 100; i++) {
		uint64_t end = file.marks->size > file.state->size ? file.marks->size : file.state->size;

		assert_int_equal(fs_writev_next(f, &iov, 1, 0), 8);
		f = reader;
		assert_int_equal(get(buf, 8, end), 8);
		assert_memory_equal(buf, "appended", 8);
		f = writer;
	}
	fs_file_put(reader);
}

static void no_grant(void **state)
{
	struct iovec iov = {"x", 1};

	appending = 1;
	f->flags |= O_APPEND;
	warm(1);
	file.grants = 0;
	for (int i = 0; i < 200; i++)
		assert_int_equal(fs_writev_next(f, &iov, 1, 0), 1);
	assert_int_equal(file.grants, 1); /* it does not insist */
}

static void given_up(void **state)
{
	struct iovec iov = {"x", 1};
	uint64_t size;

	appending = file.may_grant = GRANT_BYTES;
	f->flags |= O_APPEND;
	warm(1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(fs_writev_next(f, &iov, 1, 0), 1);
	file.marks->appending = 2;
	file.writes = 0;
	size = file.marks->size;
	assert_true(size > 0);
	assert_int_equal(fs_writev_next(f, &iov, 1, 0), 1);
	assert_int_equal(file.writes, 1);
	assert_int_equal(file.state->size, size + 1);
}

/* ---- both at it ------------------------------------------------------------------------------- */

static volatile int stop;

/* Pages come and go, and while they are not there, there is rubbish in them. */
static void *evict(void *arg)
{
	unsigned seed = 1;

	while (!stop) {
		uint64_t page = (unsigned)rand_r(&seed) % 8;
		char *at = file.data + page * SHARE_PAGE;
		char old = at[0];

		pthread_mutex_lock(&file.lock);
		page_goes(page);
		memset(at, 0xee, SHARE_PAGE);
		memset(at, (old + 1) & 0x7f, SHARE_PAGE);
		if (rand_r(&seed) % 2)
			pages_come(page, page);
		pthread_mutex_unlock(&file.lock);
	}
	return NULL;
}

static void no_rubbish_is_read(void **state)
{
	pthread_t thread;
	char buf[SHARE_PAGE];
	unsigned seed = 2, direct = 0;

	warm(0);
	memset(file.data, 1, 8 * SHARE_PAGE);
	stop = 0;
	pthread_create(&thread, NULL, evict, NULL);
	for (int i = 0; i < 100000; i++) {
		unsigned reads = file.reads;

		assert_int_equal(get(buf, sizeof(buf), (unsigned)rand_r(&seed) % 8 * SHARE_PAGE), SHARE_PAGE);
		direct += file.reads == reads;
		for (unsigned n = 1; n < sizeof(buf); n++)
			if (buf[n] != buf[0])
				fail_msg("half of one page and half of another: %d %d", buf[0], buf[n]);
		assert_true(buf[0] != (char)0xee);
	}
	stop = 1;
	pthread_join(thread, NULL);
	assert_true(direct > 1000);
}

enum { RECORD = 16 };

/* Takes the grant back again and again. */
static void *take_back(void *arg)
{
	while (!stop) {
		pthread_mutex_lock(&file.lock);
		grant_back();
		pthread_mutex_unlock(&file.lock);
		usleep(50);
	}
	return NULL;
}

static void nothing_appended_is_lost(void **state)
{
	struct iovec iov;
	pthread_t thread;
	char record[RECORD + 1], *at;
	unsigned n, found;

	appending = file.may_grant = GRANT_BYTES;
	f->flags |= O_APPEND;
	warm(1);
	stop = 0;
	pthread_create(&thread, NULL, take_back, NULL);
	for (int round = 0; round < 300; round++) {
		pthread_mutex_lock(&file.lock);
		grant_back();
		__atomic_store_n(&file.state->size, 0, __ATOMIC_SEQ_CST);
		pthread_mutex_unlock(&file.lock);
		for (n = 0; n < 2000; n++) {
			snprintf(record, sizeof(record), "%015u\n", n);
			iov = (struct iovec){record, RECORD};
			assert_int_equal(fs_writev_next(f, &iov, 1, 0), RECORD);
		}
		pthread_mutex_lock(&file.lock);
		grant_back();
		assert_int_equal(file.state->size, 2000 * RECORD);
		for (found = 0, at = file.data; found < 2000; found++, at += RECORD)
			assert_int_equal(atoi(at), found);
		pthread_mutex_unlock(&file.lock);
	}
	stop = 1;
	pthread_join(thread, NULL);
	assert_int_equal(file.gave_up, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(once_is_not_worth_it), T(read_without_requests), T(many_ranges), T(absent_pages_are_asked_for),
		T(a_new_epoch_ends_it), T(files_of_an_inode_share), T(refusals), T(children_have_none),
		T(counted_where_it_may_be_cut), T(overwrite_without_requests), T(a_reader_asks_again_to_write),
		T(not_overwritten), T(append_with_a_grant), T(behind_the_end), T(another_file_of_ours), T(no_grant), T(given_up), T(no_rubbish_is_read),
		T(nothing_appended_is_lost),
	};

	fake_mount(0, "/data", WIRE_MOUNT_FUSE, 10);
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
