/* SPDX-License-Identifier: Apache-2.0 */
/* A volume that is full: who writes is told at once, what was accepted is kept, and removing works. */
#include <linux/falloc.h>

#include "tests/unit/volume/volume-test.h"

enum { SIZE = 48 << 20 };

static ssize_t fill(struct fs *fs, struct ls_file *f, size_t piece)
{
	char *buf = malloc(piece);
	off_t at = 0;
	ssize_t n;

	memset(buf, 'f', piece);
	while ((n = fs_write(fs, f, buf, piece, at)) > 0)
		at += n;
	free(buf);
	assert_int_equal(n, -ENOSPC);
	return at;
}

static void check_and_close(struct fs *fs, int fd)
{
	fs_close(fs);
	image_is_sound(fd);
	close(fd);
}

/* With pieces that go through pages, and with ones that do not. */
static void writing_ends_when_it_is_full(void **state)
{
	static const size_t pieces[] = {1000, 4096, 65536, 1 << 20};

	for (unsigned i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		int fd = image_with_volume(SIZE);
		struct fs *fs = image_mount(fd, ", \"buffer\": \"4M\"");
		uint64_t before = room(fs);
		struct ls_inode *inode;
		struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
		ssize_t n = fill(fs, f, pieces[i]);
		char c;

		assert_in_range(n, before / 10 * 9, before);
		assert_ok(ls_fsync(fs->ls, &fs->call, f, 0)); /* nothing that was accepted is lost now */
		assert_int_equal(fs_attr(fs, inode).size, n);
		assert_int_equal(fs_read(fs, f, &c, 1, n - 1), 1);
		assert_int_equal(c, 'f');
		assert_ok(fs_unlink(fs, fs->root, "f"));
		fs_release(fs, f);
		fs_forget(fs, inode);
		room_comes_back(fs, before);
		f = fs_create(fs, fs->root, "g", NULL);
		assert_in_range(fill(fs, f, pieces[i]), n - 200000, n + 200000);
		check_and_close(fs, fd);
	}
}

/* Into the first bytes of a long name. */
static void number_put(char *name, int n)
{
	for (int i = 8; i >= 0; i--, n /= 10)
		name[i] = '0' + n % 10;
}

static void names_fill_it_and_go_again(void **state)
{
	int fd = image_with_volume(SIZE), r, count = 0;
	struct fs *fs = image_mount(fd, "");
	uint64_t before = room(fs);
	struct ls_inode *inode;
	struct ls_attr attr;
	char name[256];

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	for (;; count++) {
		number_put(name, count);
		r = ls_mkdir(fs->ls, &fs->call, fs->root, name, 0755, &inode, &attr);
		if (r < 0)
			break;
		ls_forget(fs->ls, &fs->call, inode, 1);
	}
	assert_int_equal(r, -ENOSPC);
	assert_in_range(count, 20000, 1000000);
	assert_ok(ls_sync(fs->ls, &fs->call));
	for (int i = 0; i < count; i++) {
		number_put(name, i);
		assert_ok(fs_rmdir(fs, fs->root, name));
	}
	assert_ok(ls_sync(fs->ls, &fs->call));
	room_comes_back(fs, before);
	check_and_close(fs, fd);
}

static void what_is_reserved_can_be_written(void **state)
{
	int fd = image_with_volume(SIZE);
	struct fs *fs = image_mount(fd, ", \"buffer\": \"4M\"");
	uint64_t before = room(fs);
	struct ls_inode *inode, *inode2;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode), *g = fs_create(fs, fs->root, "g", NULL);
	struct ls_file *h = fs_create(fs, fs->root, "h", &inode2);
	char *buf = calloc(1, 8 << 20);

	memset(buf, 'r', 8 << 20);
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_KEEP_SIZE, 100000, 4 << 20));
	assert_ok(ls_reserve(fs->ls, &fs->call, h, 12345, 8 << 20));
	assert_ok(ls_reserve(fs->ls, &fs->call, h, 0, 4 << 20)); /* once is enough */
	assert_in_range(before - room(fs), 12 << 20, (12 << 20) + 65536);
	assert_int_equal(ls_reserve(fs->ls, &fs->call, h, 0, SIZE), -ENOSPC);
	fill(fs, g, 4096);
	assert_int_equal(fs_write(fs, f, buf, 4 << 20, 100000), 4 << 20);
	assert_int_equal(fs_write(fs, h, buf, 1 << 20, 12345), 1 << 20); /* directly, but for its ends */
	for (int at = 12345 + (1 << 20); at + 30000 <= 12345 + (8 << 20); at += 30000) /* through pages */
		assert_int_equal(fs_write(fs, h, buf, 30000, at), 30000);
	assert_ok(ls_sync(fs->ls, &fs->call));
	assert_int_equal(fs_read(fs, h, buf, 100, 5 << 20), 100);
	assert_int_equal(buf[0], 'r');
	free(buf);
	fs_settle(fs);
	fs_empty(fs);
	fs_settle(fs);
	assert_ok(ls_sync(fs->ls, &fs->call));
	room_comes_back(fs, before);
	check_and_close(fs, fd);
}

static void a_reservation_ends_with_its_use(void **state)
{
	int fd = image_with_volume(SIZE);
	struct fs *fs = image_mount(fd, "");
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	uint64_t before = room(fs);

	assert_ok(ls_reserve(fs->ls, &fs->call, f, 1 << 20, 1 << 20));
	assert_int_equal(before - room(fs), 1 << 20);
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1200 << 10,
			       64 << 10));
	assert_int_equal(before - room(fs), (1 << 20) - (64 << 10));
	assert_ok(fs_truncate(fs, inode, 2 << 20));
	assert_ok(fs_truncate(fs, inode, 1100 << 10));
	assert_int_equal(before - room(fs), (1100 << 10) - (1 << 20));
	fs_release(fs, f);
	assert_int_equal(before - room(fs), (1100 << 10) - (1 << 20));
	fs_forget(fs, inode);
	room_comes_back(fs, before);
	check_and_close(fs, fd);
}

/* Truncating, punching, unlinking, renaming over: with not a block left. */
static void removing_works_when_full(void **state)
{
	int fd = image_with_volume(SIZE);
	struct fs *fs = image_mount(fd, ", \"buffer\": \"1M\"");
	struct ls_inode *inode[50], *big;
	struct ls_file *f = fs_create(fs, fs->root, "big", &big), *g;
	char name[32], buf[6000];

	memset(buf, 's', sizeof(buf));
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "small-%d", i);
		g = fs_create(fs, fs->root, name, &inode[i]);
		assert_int_equal(fs_write(fs, g, buf, i % 2 ? 900 : 6000, 0), i % 2 ? 900 : 6000);
		fs_release(fs, g);
	}
	assert_ok(ls_sync(fs->ls, &fs->call));
	fill(fs, f, 3000);
	for (int i = 0; i < 50; i++) {
		assert_ok(fs_truncate(fs, inode[i], 100 + i));
		if (i % 5 == 0)
			assert_ok(ls_sync(fs->ls, &fs->call));
	}
	for (off_t at = 4096; at < 8 << 20; at += 20000)
		assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
				       5000));
	for (int i = 0; i < 50; i += 2) {
		snprintf(name, sizeof(name), "small-%d", i);
		if (i % 4)
			assert_ok(fs_unlink(fs, fs->root, name));
		else
			assert_ok(fs_rename(fs, fs->root, name, fs->root, "small-1", 0));
	}
	assert_ok(fs_truncate(fs, big, 4097));
	assert_ok(ls_sync(fs->ls, &fs->call));
	check_and_close(fs, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writing_ends_when_it_is_full),
	    cmocka_unit_test(names_fill_it_and_go_again),
	    cmocka_unit_test(what_is_reserved_can_be_written),
	    cmocka_unit_test(a_reservation_ends_with_its_use),
	    cmocka_unit_test(removing_works_when_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
