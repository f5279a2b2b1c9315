/* SPDX-License-Identifier: Apache-2.0 */
/* Files: transfers of all shapes, with and without io_uring, errors, sizes, descriptors. */
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/area/harness.h"

enum { SIZE = 8 * MIB };

struct fixture {
	char *dir, *path;
};

static int setup(void **state)
{
	struct fixture *x = malloc(sizeof(*x));

	x->dir = new_dir();
	x->path = new_file(x->dir, "image", SIZE);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	free(x->path);
	remove_dir(x->dir);
	free(x);
	return 0;
}

/* Counts completions of transfers that nobody waits for. */
struct meeting {
	pthread_mutex_t lock;
	pthread_cond_t all;
	unsigned left;
	int result;
};

static void met(struct area_io *io)
{
	struct meeting *m = io->user;

	pthread_mutex_lock(&m->lock);
	m->result = io->result < 0 ? io->result : m->result;
	m->left--;
	pthread_cond_signal(&m->all);
	pthread_mutex_unlock(&m->lock);
}

static int meeting_wait(struct meeting *m)
{
	pthread_mutex_lock(&m->lock);
	while (m->left)
		pthread_cond_wait(&m->all, &m->lock);
	pthread_mutex_unlock(&m->lock);
	return m->result;
}

#define MEETING(n)                                                                                         \
	{                                                                                                  \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, n, 0                                  \
	}

static void what_is_written_is_read(struct area *area)
{
	put(area, 0, 4096, 1, 0);
	put(area, 4096, 128 * 1024, 2, AREA_FUA);
	put(area, SIZE - 512 * 8, 512 * 8, 3, AREA_FUA);
	assert_ok(area_flush(area));
	assert_true(holds(area, 0, 4096, 1));
	assert_true(holds(area, 4096, 128 * 1024, 2));
	assert_true(holds(area, SIZE - 4096, 4096, 3));
	assert_false(holds(area, 4096, 4096, 1));
}

/* Pieces of memory of other sizes than the ranges; all at once and in the middle of everything. */
static void ranges_and_pieces_are_joined(struct area *area)
{
	struct area_range ranges[] = {{2 * MIB, 8192}, {MIB, 4096}, {3 * MIB, 65536}};
	uint8_t *p = memory(77824), *q = memory(77824);
	struct iovec iov[] = {{p, 4096}, {p + 4096, 12288}, {p + 16384, 61440}};
	struct area_io io = {.op = AREA_WRITE,
			     .flags = AREA_FUA,
			     .iov = iov,
			     .iov_count = 3,
			     .ranges = ranges,
			     .range_count = 3};

	pattern(p, 77824, 0, 9);
	assert_ok(area_run(area, &io));
	assert_ok(area_read(area, q, 8192, 2 * MIB));
	assert_ok(area_read(area, q + 8192, 4096, MIB));
	assert_ok(area_read(area, q + 12288, 65536, 3 * MIB));
	assert_memory_equal(p, q, 77824);
	memset(p, 0, 77824);
	io.op = AREA_READ;
	io.flags = 0;
	assert_ok(area_run(area, &io));
	assert_memory_equal(p, q, 77824);
	free(p);
	free(q);
}

/* More pieces than the kernel takes at once. */
static void thousands_of_pieces(struct area *area)
{
	enum { N = 3000, PIECE = 512 };
	uint8_t *p = memory(N * 4096);
	struct iovec *iov = calloc(N, sizeof(*iov));
	struct area_range range = {0, (uint64_t)N * 4096 / 8};
	struct area_io io = {
		.op = AREA_WRITE, .iov = iov, .iov_count = N, .ranges = &range, .range_count = 1};

	if (area->block > PIECE)
		goto out;
	for (int i = 0; i < N; i++) {
		iov[i] = (struct iovec){p + (size_t)(N - 1 - i) * 4096, PIECE};
		pattern(iov[i].iov_base, PIECE, (uint64_t)i * PIECE, 4);
	}
	assert_ok(area_run(area, &io));
	assert_true(holds(area, 0, N * PIECE, 4));
out:
	free(iov);
	free(p);
}

static void many_that_nobody_waits_for(struct area *area)
{
	enum { N = 300 };
	struct meeting m = MEETING(N);
	struct area_io *io = calloc(N, sizeof(*io));
	struct area_range *range = calloc(N, sizeof(*range));
	struct iovec *iov = calloc(N, sizeof(*iov));
	uint8_t *p = memory(N * 4096);

	for (int i = 0; i < N; i++) {
		range[i] = (struct area_range){(uint64_t)(i * 7 % N) * 4096, 4096};
		iov[i] = (struct iovec){p + i * 4096, 4096};
		pattern(iov[i].iov_base, 4096, range[i].offset, 5);
		io[i] = (struct area_io){.op = AREA_WRITE,
					 .iov = &iov[i],
					 .iov_count = 1,
					 .ranges = &range[i],
					 .range_count = 1,
					 .done = met,
					 .user = &m};
		area_submit(area, &io[i]);
	}
	assert_ok(meeting_wait(&m));
	for (int i = 0; i < N; i++)
		assert_true(holds(area, (uint64_t)i * 4096, 4096, 5));
	m.left = 1;
	io[0] = (struct area_io){.op = AREA_FLUSH, .done = met, .user = &m};
	area_submit(area, &io[0]);
	assert_ok(meeting_wait(&m));
	free(io);
	free(range);
	free(iov);
	free(p);
}

static struct area *area_of(struct fixture *x, const char *options)
{
	return opened("{'file': {'path': '%s', %s}}", x->path, options);
}

static void all_shapes(struct fixture *x, const char *options)
{
	struct area *area = area_of(x, options);

	assert_int_equal(area_size(area), SIZE);
	what_is_written_is_read(area);
	ranges_and_pieces_are_joined(area);
	thousands_of_pieces(area);
	many_that_nobody_waits_for(area);
	area_close(area);
}

static void direct_with_rings(void **state)
{
	all_shapes(*state, "'direct': true");
}

static void direct_without_rings(void **state)
{
	all_shapes(*state, "'io_uring': false");
}

static void buffered_with_rings(void **state)
{
	all_shapes(*state, "'direct': false");
}

static void buffered_without_rings(void **state)
{
	all_shapes(*state, "'direct': false, 'io_uring': false");
}

static void in_memory(void **state)
{
	struct fixture *x = *state, y = {.path = new_file("/dev/shm", "polytropon-area-test", SIZE)};

	all_shapes(&y, "'direct': true");
	unlink(y.path);
	free(y.path);
	assert_non_null(x);
}

static int rings_refuse(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void the_kernel_refuses_rings(void **state)
{
	int status = -1;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		if (rings_refuse() != 0)
			_exit(1);
		all_shapes(*state, "'direct': true");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A loop device stands for any. */
static void block_devices(void **state)
{
	struct fixture *x = *state;
	char command[200], device[64] = "";
	struct fixture y = {x->dir, device};
	FILE *f;

	snprintf(command, sizeof(command), "losetup -f --show '%s' 2>/dev/null", x->path);
	f = popen(command, "r");
	assert_non_null(f);
	if (!fgets(device, sizeof(device), f))
		print_message("no loop device\n");
	pclose(f);
	device[strcspn(device, "\n")] = 0;
	if (*device) {
		all_shapes(&y, "'direct': true");
		all_shapes(&y, "'io_uring': false");
		all_shapes(&y, "'direct': false");
		snprintf(command, sizeof(command), "losetup -d %s", device);
		assert_ok(system(command));
	}
}

static void descriptors_stay_their_owners(void **state)
{
	struct fixture *x = *state;
	int fd = open(x->path, O_RDWR | O_CLOEXEC);
	struct area *area = opened("{'file': {'fd': %d}}", fd);

	what_is_written_is_read(area);
	area_close(area);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	area = opened("{'file': {'fd': %d}}", fd);
	assert_true(holds(area, 0, 4096, 1));
	area_close(area);
	close(fd);
}

static void misaligned_and_beyond_is_refused(void **state)
{
	struct area *area = area_of(*state, "'direct': true");
	uint8_t *p = memory(8192);
	struct iovec iov = {p, 4096};
	struct area_range range = {0, 8192};
	struct area_io io = {
		.op = AREA_WRITE, .iov = &iov, .iov_count = 1, .ranges = &range, .range_count = 1};

	assert_int_equal(area_write(area, p, 4096, 100, 0), -EINVAL);
	assert_int_equal(area_write(area, p + 1, 4096, 0, 0), -EINVAL);
	assert_int_equal(area_write(area, p, 100, 0, 0), -EINVAL);
	assert_int_equal(area_write(area, p, 0, 0, 0), -EINVAL);
	assert_int_equal(area_write(area, p, 4096, SIZE, 0), -ENXIO);
	assert_int_equal(area_write(area, p, 8192, SIZE - 4096, 0), -ENXIO);
	assert_int_equal(area_write(area, p, 4096, UINT64_MAX - 4095, 0), -ENXIO);
	assert_int_equal(area_run(area, &io), -EINVAL); /* 4096 bytes for 8192 */
	io.op = AREA_FLUSH;
	assert_int_equal(area_run(area, &io), -EINVAL);
	io.op = 77;
	assert_int_equal(area_run(area, &io), -EINVAL);
	free(p);
	area_close(area);
}

static void growth_is_seen_when_asked(void **state)
{
	struct fixture *x = *state;
	struct area *area = area_of(x, "'direct': true");

	assert_ok(truncate(x->path, 2 * SIZE + 100));
	assert_int_equal(area_size(area), SIZE);
	assert_int_equal(area_resize(area), 2 * SIZE);
	put(area, 2 * SIZE - 4096, 4096, 1, 0);
	assert_ok(truncate(x->path, SIZE));
	assert_int_equal(area_resize(area), 2 * SIZE);
	area_close(area);
}

static void an_end_that_was_not_there_is_an_error(void **state)
{
	struct fixture *x = *state;
	struct area *area = area_of(x, "'direct': true");
	struct meeting m = MEETING(1);
	uint8_t *p = memory(MIB);
	struct iovec iov = {p, MIB};
	struct area_range range = {SIZE / 2, MIB};
	struct area_io io = {.op = AREA_READ,
			     .iov = &iov,
			     .iov_count = 1,
			     .ranges = &range,
			     .range_count = 1,
			     .done = met,
			     .user = &m};

	assert_ok(truncate(x->path, SIZE / 2 + 4096));
	assert_int_equal(area_read(area, p, MIB, SIZE / 2), -EIO);
	area_submit(area, &io);
	assert_int_equal(meeting_wait(&m), -EIO);
	free(p);
	area_close(area);
}

static void discarded_room_is_given_back(void **state)
{
	struct fixture *x = *state;
	struct area *area = area_of(x, "'direct': true");
	struct stat before, after;

	assert_true(area->traits & AREA_DISCARDS);
	put(area, 0, 4 * MIB, 1, AREA_FUA);
	assert_ok(stat(x->path, &before));
	assert_ok(area_discard(area, MIB, 2 * MIB));
	assert_ok(stat(x->path, &after));
	assert_true(after.st_blocks <= before.st_blocks - 2 * MIB / 512);
	assert_int_equal(after.st_size, SIZE);
	assert_true(holds(area, 0, MIB, 1));
	assert_true(holds(area, 3 * MIB, MIB, 1));
	area_close(area);
}

static void reading_only(void **state)
{
	struct fixture *x = *state;
	struct area *area = area_of(x, "'read_only': true"), *other;
	uint8_t *p = memory(4096);

	assert_true(area->traits & AREA_RDONLY);
	assert_ok(area_read(area, p, 4096, 0));
	assert_int_equal(area_write(area, p, 4096, 0, 0), -EROFS);
	assert_int_equal(area_discard(area, 0, 4096), -EROFS);
	assert_ok(area_flush(area));
	other = area_of(x, "'read_only': true");
	assert_non_null(strstr(refusal(-EBUSY, "{'file': '%s'}", x->path), "is in use"));
	area_close(other);
	area_close(area);
	free(p);
}

static void two_writers_are_refused(void **state)
{
	struct fixture *x = *state;
	struct area *area = area_of(x, "'direct': true");

	assert_non_null(strstr(refusal(-EBUSY, "{'file': '%s'}", x->path), "is in use"));
	area_close(area);
	area_close(area_of(x, "'direct': true"));
}

/* In a mount of its own that is too small. */
static void a_full_host_is_enospc(void **state)
{
	struct fixture *x = *state;
	struct fixture y = {.dir = x->dir};
	struct meeting m = MEETING(1);
	uint8_t *p = memory(4 * MIB);
	struct iovec iov = {p, 4 * MIB};
	struct area_range range = {0, 4 * MIB};
	struct area_io io = {.op = AREA_WRITE,
			     .iov = &iov,
			     .iov_count = 1,
			     .ranges = &range,
			     .range_count = 1,
			     .done = met,
			     .user = &m};
	struct area *area;

	if (mount("none", x->dir, "tmpfs", 0, "size=1M") < 0) {
		print_message("no mount: %s\n", strerror(errno));
		free(p);
		return;
	}
	y.path = new_file(x->dir, "image", SIZE);
	area = area_of(&y, "'direct': true");
	memset(p, 7, 4 * MIB);
	assert_ok(area_write(area, p, 512 * 1024, 0, AREA_FUA));
	assert_int_equal(area_write(area, p, 4 * MIB, 0, AREA_FUA), -ENOSPC);
	area_submit(area, &io);
	assert_int_equal(meeting_wait(&m), -ENOSPC);
	assert_ok(area_discard(area, 0, 4 * MIB));
	assert_ok(area_write(area, p, 512 * 1024, 0, AREA_FUA));
	area_close(area);
	assert_ok(umount(x->dir));
	free(y.path);
	free(p);
}

static void what_is_wrong_is_said(void **state)
{
	struct fixture *x = *state;
	char *empty = new_file(x->dir, "empty", 100);

	assert_non_null(strstr(refusal(-EINVAL, "{'file': '%s'}", empty), "is empty"));
	assert_non_null(strstr(refusal(-EINVAL, "{'file': '/dev/null'}"), "'/dev/null': is neither"));
	assert_non_null(strstr(refusal(-ENOENT, "{'file': '/nonexistent/x'}"), "/nonexistent/x"));
	assert_non_null(strstr(refusal(-EINVAL, "{'file': {}}"), "needs 'path' or 'fd'"));
	assert_non_null(strstr(refusal(-EBADF, "{'file': {'fd': 4040}}"), "descriptor 4040"));
	assert_non_null(strstr(refusal(-EINVAL, "{'file': {'pathh': 'x'}}"), "did you mean 'path'"));
	assert_non_null(strstr(refusal(-EINVAL, "{'fil': {}}"), "unknown area 'fil': did you mean 'file'"));
	assert_non_null(
		strstr(refusal(-EINVAL, "{'stripe': [{'file': 'a'}]}"), "stands on 2 areas or more"));
	assert_non_null(strstr(refusal(-EINVAL, "[]"), "an area must be an object"));
	free(empty);
}

static void it_says_how_it_is(void **state)
{
	struct fixture *x = *state;
	struct area *area = area_of(x, "'direct': false");
	struct json_object *report = area_report(area);

	assert_string_equal(json_object_get_string(json_object_object_get(report, "type")), "file");
	assert_string_equal(json_object_get_string(json_object_object_get(report, "name")), x->path);
	assert_int_equal(json_object_get_int64(json_object_object_get(report, "size")), SIZE);
	json_object_put(report);
	area_close(area);
}

/* The submitters end before what they submitted does; callbacks submit more. */
struct chain {
	struct area *area;
	struct meeting m;
	struct chain_link {
		struct chain *chain;
		struct area_io io;
		struct area_range range;
		struct iovec iov;
		unsigned left;
	} link[8];
};

static void link_done(struct area_io *io)
{
	struct chain_link *link = io->user;

	assert_ok(io->result);
	if (link->left-- > 0) {
		link->range.offset = (link->range.offset + 4096 * 9) % SIZE;
		area_submit(link->chain->area, io);
		return;
	}
	link->io.user = &link->chain->m;
	met(&link->io);
}

static void *link_start(void *arg)
{
	struct chain_link *link = arg;

	area_submit(link->chain->area, &link->io);
	return NULL;
}

static void chained(struct fixture *x, const char *options)
{
	struct chain c = {.area = area_of(x, options), .m = MEETING(8)};
	pthread_t thread;

	for (int i = 0; i < 8; i++) {
		struct chain_link *link = &c.link[i];
		link->chain = &c;
		link->left = 200;
		link->range = (struct area_range){(uint64_t)i * 4096, 4096};
		link->iov = (struct iovec){memory(4096), 4096};
		link->io = (struct area_io){.op = i & 1 ? AREA_READ : AREA_WRITE,
					    .iov = &link->iov,
					    .iov_count = 1,
					    .ranges = &link->range,
					    .range_count = 1,
					    .done = link_done,
					    .user = link};
		memset(link->iov.iov_base, i, 4096);
		assert_ok(pthread_create(&thread, NULL, link_start, link));
		assert_ok(pthread_join(thread, NULL));
	}
	assert_ok(meeting_wait(&c.m));
	area_close(c.area);
	for (int i = 0; i < 8; i++)
		free(c.link[i].iov.iov_base);
}

static void callbacks_may_submit(void **state)
{
	chained(*state, "'direct': true");
	chained(*state, "'direct': false");
	chained(*state, "'io_uring': false");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(direct_with_rings),
		TEST(direct_without_rings),
		TEST(buffered_with_rings),
		TEST(buffered_without_rings),
		TEST(in_memory),
		TEST(the_kernel_refuses_rings),
		TEST(block_devices),
		TEST(descriptors_stay_their_owners),
		TEST(misaligned_and_beyond_is_refused),
		TEST(growth_is_seen_when_asked),
		TEST(an_end_that_was_not_there_is_an_error),
		TEST(discarded_room_is_given_back),
		TEST(reading_only),
		TEST(two_writers_are_refused),
		TEST(a_full_host_is_enospc),
		TEST(what_is_wrong_is_said),
		TEST(it_says_how_it_is),
		TEST(callbacks_may_submit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
