/* SPDX-License-Identifier: Apache-2.0 */
/* What is mem's own: its budget, its speed with large directories, its far offsets. */
#include <linux/falloc.h>
#include <malloc.h>
#include <time.h>

#include "tests/unit/layers/harness.h"

static struct ls_statfs space(struct fs *fs)
{
	struct ls_statfs s;

	assert_ok(ls_statfs(fs->ls, &fs->call, &s));
	return s;
}

static void writing_stops_when_full_and_removing_works(void **state)
{
	struct fs *fs = fs_open("{\"mem\": \"1M\"}");
	uint64_t free_before = space(fs).bfree;
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	char *buf = malloc(2 << 20), *got = malloc(2 << 20);
	ssize_t n;

	assert_int_equal(space(fs).blocks, 256);
	memset(buf, 'b', 2 << 20);
	n = fs_write(fs, f, buf, 2 << 20, 0);
	assert_in_range(n, 240 * 4096, 256 * 4096);
	assert_int_equal(n % 4096, 0);
	assert_int_equal(fs_attr(fs, inode).size, n);
	assert_int_equal(fs_attr(fs, inode).blocks, n / 512);
	assert_int_equal(space(fs).bfree, 0);
	assert_int_equal(fs_write(fs, f, buf, 1, n), -ENOSPC);
	assert_int_equal(fs_attr(fs, inode).size, n);
	assert_int_equal(fs_write(fs, f, "again", 5, 100), 5); /* no new page */
	assert_int_equal(fs_read(fs, f, got, 2 << 20, 0), n);
	memcpy(buf + 100, "again", 5);
	assert_memory_equal(got, buf, n);
	assert_ok(fs_truncate(fs, inode, 5000));
	assert_int_equal(fs_attr(fs, inode).blocks, 16);
	assert_int_equal(fs_write(fs, f, buf, 65536, 5000), 65536);
	while ((n = fs_write(fs, f, buf, 4096, fs_attr(fs, inode).size)) > 0)
		;
	assert_int_equal(n, -ENOSPC);
	assert_ok(fs_unlink(fs, fs->root, "f"));
	assert_int_equal(space(fs).bfree, 0); /* it is open */
	fs_settle(fs);
	assert_int_equal(space(fs).bfree, free_before);
	free(buf);
	free(got);
	fs_close(fs);
}

static void names_fill_it_too(void **state)
{
	struct fs *fs = fs_open("{\"mem\": \"64k\"}");
	struct ls_statfs before = space(fs);
	struct ls_inode *inode = fs_file(fs, fs->root, "f");
	struct ls_attr attr;
	char name[264], value[3000] = "";
	unsigned count = 0;
	int r;

	memset(name, 'n', 240);
	do {
		sprintf(name + 240, "%u", count);
		r = ls_link(fs->ls, &fs->call, inode, fs->root, name, &attr);
	} while (r == 0 && ++count);
	assert_int_equal(r, -ENOSPC);
	assert_in_range(count, 100, 300);
	assert_int_equal(fs_attr(fs, inode).nlink, count + 1);
	assert_int_equal(ls_setxattr(fs->ls, &fs->call, inode, "user.x", value, sizeof(value), 0), -ENOSPC);
	while (count-- > 0) {
		sprintf(name + 240, "%u", count);
		assert_ok(fs_unlink(fs, fs->root, name));
	}
	assert_ok(ls_setxattr(fs->ls, &fs->call, inode, "user.x", value, sizeof(value), 0));
	fs_settle(fs);
	fs_empty(fs);
	assert_int_equal(space(fs).bfree, before.bfree);
	fs_close(fs);
}

static void inodes_have_a_limit(void **state)
{
	struct fs *fs = fs_open("{\"mem\": {\"inodes\": 10}}");
	struct ls_inode *inode;
	struct ls_attr attr;
	char name[8], error[200];

	assert_int_equal(space(fs).files, 10);
	assert_int_equal(space(fs).ffree, 9);
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		fs_mkdir(fs, fs->root, name);
	}
	assert_int_equal(ls_mkdir(fs->ls, &fs->call, fs->root, "x", 0755, &inode, &attr), -ENOSPC);
	assert_int_equal(fs_rename(fs, fs->root, "d0", fs->root, "y", RENAME_WHITEOUT), -ENOSPC);
	assert_ok(fs_try(fs, fs->root, "d0"));
	assert_ok(fs_rename(fs, fs->root, "d0", fs->root, "d1", 0));
	assert_int_equal(ls_mkdir(fs->ls, &fs->call, fs->root, "x", 0755, &inode, &attr), -ENOSPC);
	fs_settle(fs); /* the replaced directory is gone only now */
	fs_mkdir(fs, fs->root, "x");
	assert_ok(ls_option_set(fs->ls, "inodes", "11", error, sizeof(error)));
	fs_mkdir(fs, fs->root, "z");
	fs_close(fs);
}

static void a_smaller_size_stops_growth(void **state)
{
	struct fs *fs = fs_open("{\"mem\": \"1M\"}");
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	char *buf = calloc(1, 500000), error[200];

	assert_int_equal(fs_write(fs, f, buf, 500000, 0), 500000);
	assert_ok(ls_option_set(fs->ls, "size", "128k", error, sizeof(error)));
	assert_int_equal(space(fs).bfree, 0);
	assert_int_equal(fs_write(fs, f, buf, 4096, 700000), -ENOSPC);
	assert_int_equal(fs_write(fs, f, buf, 500000, 0), 500000);
	assert_ok(fs_unlink(fs, fs->root, "f"));
	fs_settle(fs);
	assert_in_range(space(fs).bfree, 31, 32);
	free(buf);
	fs_close(fs);
}

/* What cannot fit is refused at once and takes nothing. */
static void too_large_reservations_take_nothing(void **state)
{
	struct fs *fs = fs_open("{\"mem\": \"16M\"}");
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	uint64_t bfree = space(fs).bfree;

	assert_int_equal(ls_fallocate(fs->ls, &fs->call, f, 0, 0, 17 << 20), -ENOSPC);
	assert_int_equal(ls_fallocate(fs->ls, &fs->call, f, 0, 1ll << 60, 1ll << 60), -ENOSPC);
	assert_int_equal(space(fs).bfree, bfree);
	assert_int_equal(fs_attr(fs, inode).size, 0);
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, 0, 0, 15 << 20));
	assert_int_equal(fs_attr(fs, inode).blocks, (15 << 20) / 512);
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, 0, 0, 15 << 20)); /* it has it */
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_ZERO_RANGE, 1, (15 << 20) - 2));
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       INT64_MAX - 4095));
	assert_int_equal(fs_attr(fs, inode).blocks, 0);
	assert_int_equal(space(fs).bfree, bfree);
	assert_int_equal(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
			 -EOPNOTSUPP);
	fs_close(fs);
}

static void offsets_reach_far(void **state)
{
	struct fs *fs = fs_open("{\"mem\": \"4M\"}");
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	const off_t last = INT64_MAX & ~4095ll;
	char c = 'c', buf[8];

	for (int bit = 0; bit < 63; bit++)
		assert_int_equal(fs_write(fs, f, &c, 1, (1ll << bit) - (bit > 60)), 1);
	for (int bit = 0; bit < 63; bit++)
		fs_is(fs, f, (1ll << bit) - (bit > 60), "c");
	assert_int_equal(fs_write(fs, f, "1234", 4, last - 2), 2);
	assert_int_equal(fs_write(fs, f, "1234", 4, last), -EFBIG);
	assert_int_equal(fs_write(fs, f, "1234", 4, INT64_MAX), -EFBIG);
	assert_int_equal(fs_attr(fs, inode).size, last);
	assert_int_equal(fs_read(fs, f, buf, 8, last - 2), 2);
	assert_int_equal(fs_truncate(fs, inode, INT64_MAX), -EFBIG);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, (1ll << 40) + 1, SEEK_HOLE), (1ll << 40) + 4096);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, (1ll << 40) + 4096, SEEK_DATA), 1ll << 41);
	assert_ok(fs_truncate(fs, inode, 1 << 20));
	assert_int_equal(fs_attr(fs, inode).blocks, 9 * 8);
	assert_ok(fs_truncate(fs, inode, 0));
	assert_ok(fs_truncate(fs, inode, last));
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, 0, SEEK_DATA), -ENXIO);
	fs_close(fs);
}

/* Memory that a removed file gave back holds its bytes; no other file may show them. */
static void old_bytes_are_not_seen_again(void **state)
{
	struct fs *fs = fs_open("{\"mem\": \"64M\"}");
	enum { SIZE = 8 << 20 };
	char *buf = malloc(SIZE), *zeros = calloc(1, SIZE);
	struct ls_file *f = fs_create(fs, fs->root, "secret", NULL);

	memset(buf, 'S', SIZE);
	assert_int_equal(fs_write(fs, f, buf, SIZE, 0), SIZE);
	assert_ok(fs_unlink(fs, fs->root, "secret"));
	fs_settle(fs);
	f = fs_create(fs, fs->root, "other", NULL);
	for (off_t at = 100; at < SIZE; at += 10000)
		assert_int_equal(fs_write(fs, f, "\0", 1, at), 1);
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, 0, 0, SIZE));
	assert_int_equal(fs_read(fs, f, buf, SIZE, 0), SIZE);
	assert_memory_equal(buf, zeros, SIZE);
	free(buf);
	free(zeros);
	fs_close(fs);
}

struct adding {
	struct fs *fs;
	unsigned seen;
};

static int add_two(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct adding *a = arg;
	char fresh[32];

	for (int i = 0; i < 2; i++) {
		snprintf(fresh, sizeof(fresh), "%u-%d", a->seen, i);
		fs_forget(a->fs, fs_file(a->fs, a->fs->root, fresh));
	}
	return ++a->seen > 1000;
}

static void a_listing_ends_though_names_are_added(void **state)
{
	struct fs *fs = fs_open("{\"mem\": {}}");
	struct adding a = {.fs = fs};

	fs_file(fs, fs->root, "one");
	assert_ok(ls_readdir(fs->ls, &fs->call, fs_open_file(fs, fs->root, O_RDONLY), 0, add_two, &a));
	assert_int_equal(a.seen, 3);
	fs_close(fs);
}

/* The places of removed names are used again. */
static void coming_and_going_names_take_no_memory(void **state)
{
	struct fs *fs = fs_open("{\"mem\": {}}");
	size_t before = mallinfo2().uordblks;

	for (int i = 0; i < 200000; i++) {
		fs_forget(fs, fs_mknod(fs, fs->root, "name", S_IFREG));
		assert_ok(fs_unlink(fs, fs->root, "name"));
	}
	assert_in_range(mallinfo2().uordblks, 0, before + 100000);
	fs_close(fs);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Any step that takes time in proportion to the directory would make this take minutes. */
static void large_directories_are_fast(void **state)
{
	enum { COUNT = 200000 };
	struct fs *fs = fs_open("{\"mem\": {}}");
	struct ls_inode *inode;
	struct ls_attr attr;
	struct listing l;
	char name[32];
	double start = seconds();

	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		assert_ok(ls_mknod(fs->ls, &fs->call, fs->root, name, S_IFREG | 0644, 0, 0, &inode, &attr));
		ls_forget(fs->ls, &fs->call, inode, 1);
	}
	fs_list(fs, fs->root, 50, &l);
	assert_int_equal(l.count, COUNT + 2);
	listing_free(&l);
	for (int i = COUNT - 1; i >= 0; i--) {
		snprintf(name, sizeof(name), "name-%d", (int)(i * 7919ll % COUNT));
		assert_ok(fs_unlink(fs, fs->root, name));
	}
	assert_true(seconds() - start < 20);
	fs_close(fs);
}

static void what_is_open_when_it_closes_is_freed(void **state)
{
	struct fs *fs = fs_open("{\"mem\": {}}");
	struct ls_file *f = fs_create(fs, fs_mkdir(fs, fs->root, "d"), "f", NULL);

	assert_int_equal(fs_write(fs, f, "x", 1, 1 << 30), 1);
	assert_ok(ls_setxattr(fs->ls, &fs->call, fs->root, "user.x", "1", 1, 0));
	fs_symlink(fs, fs->root, "l", "target");
	fs_release(fs, f);
	assert_ok(fs_unlink(fs, fs_get(fs, fs->root, "d"), "f"));
	assert_ok(fs_rmdir(fs, fs->root, "d"));
	fs->kept_count = 0; /* references that are never ended: the sanitizer would tell */
	fs_close(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writing_stops_when_full_and_removing_works),
		cmocka_unit_test(names_fill_it_too),
		cmocka_unit_test(inodes_have_a_limit),
		cmocka_unit_test(a_smaller_size_stops_growth),
		cmocka_unit_test(too_large_reservations_take_nothing),
		cmocka_unit_test(offsets_reach_far),
		cmocka_unit_test(old_bytes_are_not_seen_again),
		cmocka_unit_test(a_listing_ends_though_names_are_added),
		cmocka_unit_test(coming_and_going_names_take_no_memory),
		cmocka_unit_test(large_directories_are_fast),
		cmocka_unit_test(what_is_open_when_it_closes_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
