/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a mount: contents, numbers, unlinked files that are still wanted; growth; many at once. */
#include <pthread.h>

#include "libservices/volume/vol.h"
#include "tests/unit/volume/volume-test.h"

enum { SIZE = 64 << 20 };

/* The image as it is now: what a killed service leaves. */
static struct fs *mount_copy(int fd, int *ret)
{
	*ret = image_copy(fd);
	return image_mount(*ret, "");
}

static void what_was_synced_survives_a_kill(void **state)
{
	int fd = image_with_volume(SIZE), copy;
	struct fs *fs = image_mount(fd, ""), *after;
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d");
	struct ls_file *f = fs_create(fs, d, "f", NULL), *g = fs_create(fs, d, "g", NULL);
	char big[100000];

	memset(big, 'b', sizeof(big));
	assert_int_equal(fs_write(fs, f, "small", 5, 0), 5);
	assert_int_equal(fs_write(fs, g, big, sizeof(big), 777), sizeof(big));
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	assert_ok(ls_fsync(fs->ls, &fs->call, g, 1));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fs_write(fs, g, "piece", 5, i * 5001), 5);
		assert_ok(ls_fsync(fs->ls, &fs->call, g, 1));
	}
	assert_int_equal(fs_write(fs, f, "not synced", 10, 0), 10);
	after = mount_copy(fd, &copy);
	d = fs_get(after, after->root, "d");
	f = fs_open_file(after, fs_get(after, d, "f"), O_RDWR);
	fs_is(after, f, 0, "small");
	assert_int_equal(fs_attr_at(after, d, "f").size, 5);
	g = fs_open_file(after, fs_get(after, d, "g"), O_RDWR);
	assert_int_equal(fs_attr_at(after, d, "g").size, sizeof(big) + 777);
	for (int i = 0; i < 20; i++)
		fs_is(after, g, i * 5001, i ? "pieceb" : "piece");
	fs_close(after);
	image_is_sound(copy);
	close(copy);
	fs_close(fs);
	close(fd);
}

static void unlinked_files_can_be_found_again(void **state)
{
	int fd = image_with_volume(SIZE), copy;
	struct fs *fs = image_mount(fd, ""), *after;
	struct ls_inode *inode, *temporary;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode), *t;
	struct ls_attr attr, tmp;

	assert_int_equal(fs_write(fs, f, "still wanted", 12, 0), 12);
	assert_ok(fs_unlink(fs, fs->root, "f"));
	assert_ok(ls_tmpfile(fs->ls, &fs->call, fs->root, 0600, O_RDWR, &temporary, &tmp, &t));
	assert_int_equal(fs_write(fs, t, "to be linked", 12, 0), 12);
	assert_ok(ls_sync(fs->ls, &fs->call));
	attr = fs_attr(fs, inode);
	after = mount_copy(fd, &copy);
	assert_ok(ls_resolve(after->ls, &after->call, attr.ino, &inode, &attr));
	assert_int_equal(attr.nlink, 0);
	f = fs_open_file(after, inode, O_RDWR);
	fs_is(after, f, 0, "still wanted");
	fs_release(after, f);
	ls_forget(after->ls, &after->call, inode, 1);
	assert_ok(ls_resolve(after->ls, &after->call, tmp.ino, &inode, &attr));
	assert_ok(ls_link(after->ls, &after->call, inode, after->root, "linked", &attr));
	ls_forget(after->ls, &after->call, inode, 1);
	fs_is(after, fs_open_file(after, fs_get(after, after->root, "linked"), O_RDONLY), 0,
	      "to be linked");
	fs_close(after);
	image_is_sound(copy);
	close(copy);
	ls_release(fs->ls, &fs->call, t);
	ls_forget(fs->ls, &fs->call, temporary, 1);
	fs_close(fs);
	image_is_sound(fd);
	close(fd);
}

static void numbers_are_never_used_again(void **state)
{
	int fd = image_with_volume(SIZE);
	uint64_t ino, last = 0;
	struct ls_inode *inode;
	struct ls_attr attr;

	for (int i = 0; i < 5; i++) {
		struct fs *fs = image_mount(fd, "");
		ino = fs_attr(fs, fs_file(fs, fs->root, "f")).ino;
		assert_true(ino > last);
		fs_settle(fs);
		assert_ok(fs_unlink(fs, fs->root, "f"));
		assert_int_equal(ls_resolve(fs->ls, &fs->call, ino, &inode, &attr), -ESTALE);
		last = ino;
		fs_close(fs);
	}
	close(fd);
}

static void it_grows_with_its_image(void **state)
{
	int fd = image_with_volume(SIZE);
	struct fs *fs = image_mount(fd, "");
	struct ls_statfs before, after, later;
	char error[256];

	fs_file(fs, fs->root, "f");
	assert_ok(ls_statfs(fs->ls, &fs->call, &before));
	assert_ok(ftruncate(fd, UINT64_C(3) << 30));
	assert_ok(ls_option_set(fs->ls, "size", "3G", error, sizeof(error)));
	assert_ok(ls_statfs(fs->ls, &fs->call, &after));
	assert_true(after.blocks > before.blocks * 20 && after.bfree > before.bfree * 20);
	fs_close(fs);
	image_is_sound(fd);
	assert_ok(ftruncate(fd, UINT64_C(300) << 30)); /* more than a cluster of groups */
	fs = image_mount(fd, "");
	assert_ok(ls_statfs(fs->ls, &fs->call, &later));
	assert_true(later.bfree > after.bfree * 50);
	assert_ok(fs_try(fs, fs->root, "f"));
	fs_close(fs);
	image_is_sound(fd);
	close(fd);
}

static void large_volumes_are_made_in_no_time(void **state)
{
	struct timespec start, end;
	struct ls_inode *inode;
	struct fs *fs;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &start);
	fd = image_with_volume(UINT64_C(64) << 40);
	fs = image_mount(fd, "");
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	assert_int_equal(fs_write(fs, f, "end", 3, (INT64_C(16) << 40) - 3), 3);
	assert_int_equal(fs_write(fs, f, "end", 3, INT64_C(16) << 40), -EFBIG);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	fs_close(fs);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(end.tv_sec - start.tv_sec, 0, 5);
	fs = image_mount(fd, "");
	fs_is(fs, fs_open_file(fs, fs_get(fs, fs->root, "f"), O_RDONLY), (INT64_C(16) << 40) - 3, "end");
	fs_close(fs);
	close(fd);
}

/* ---- many at once ---------------------------------------------------------------------------- */

enum { THREADS = 8, SYNCS = 200 };

struct syncer {
	pthread_t thread;
	struct fs *fs;
	unsigned number;
	int bad;
};

static void *sync_often(void *arg)
{
	struct syncer *s = arg;
	struct ls *ls = s->fs->ls;
	const struct ls_call *call = &s->fs->call;
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	char name[16], line[100];
	off_t end;

	snprintf(name, sizeof(name), "log-%u", s->number);
	memset(line, 'a' + s->number, sizeof(line));
	s->bad = ls_create(ls, call, s->fs->root, name, 0644, O_RDWR, &inode, &attr, &f);
	for (int i = 0; i < SYNCS && s->bad == 0; i++) {
		struct iovec iov = {line, sizeof(line)};
		if (ls_write(ls, call, f, &iov, 1, 0, LS_WRITE_APPEND | (i % 3 ? 0 : LS_WRITE_DSYNC),
			     &end) != 100)
			s->bad = 1;
		if (i % 3 && ls_fsync(ls, call, f, i % 2) < 0)
			s->bad = 1;
	}
	ls_release(ls, call, f);
	ls_forget(ls, call, inode, 1);
	return NULL;
}

static void many_sync_at_once(void **state)
{
	int fd = image_with_volume(SIZE), copy;
	struct fs *fs = image_mount(fd, ", \"commit_interval\": \"1ms\""), *after;
	struct syncer s[THREADS];
	char name[16];

	for (unsigned i = 0; i < THREADS; i++) {
		s[i] = (struct syncer){.fs = fs, .number = i};
		assert_ok(pthread_create(&s[i].thread, NULL, sync_often, &s[i]));
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_ok(pthread_join(s[i].thread, NULL));
		assert_int_equal(s[i].bad, 0);
	}
	after = mount_copy(fd, &copy);
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "log-%u", i);
		assert_int_equal(fs_attr_at(after, after->root, name).size, SYNCS * 100);
	}
	fs_close(after);
	image_is_sound(copy);
	close(copy);
	fs_close(fs);
	close(fd);
}

/* More files than the memory for them, on a journal that must be emptied often. */
static void many_files_in_little_memory(void **state)
{
	enum { COUNT = 30000 };
	int fd = image_with_volume(SIZE * 4);
	struct fs *fs = image_mount(fd, ", \"metadata_cache\": \"2M\", \"buffer\": \"1M\"");
	struct ls_inode *inode;
	struct ls_attr attr;
	char name[32];

	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		struct ls_file *f = fs_create(fs, fs->root, name, &inode);
		assert_int_equal(fs_write(fs, f, name, strlen(name), 0), strlen(name));
		fs_release(fs, f);
		fs_forget(fs, inode);
	}
	assert_true(((struct vol *)fs->ls->state)->table.count < COUNT / 2);
	for (int i = 0; i < COUNT; i += 7) {
		snprintf(name, sizeof(name), "file-%d", i * 31 % COUNT);
		attr = fs_attr_at(fs, fs->root, name);
		assert_int_equal(attr.size, strlen(name));
	}
	fs_close(fs);
	image_is_sound(fd);
	fs = image_mount(fd, "");
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		struct ls_file *f = fs_open_file(fs, fs_get(fs, fs->root, name), O_RDONLY);
		fs_is(fs, f, 0, name);
		fs_settle(fs);
	}
	fs_close(fs);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_synced_survives_a_kill),
	    cmocka_unit_test(unlinked_files_can_be_found_again),
	    cmocka_unit_test(numbers_are_never_used_again),
	    cmocka_unit_test(it_grows_with_its_image),
	    cmocka_unit_test(large_volumes_are_made_in_no_time),
	    cmocka_unit_test(many_sync_at_once),
	    cmocka_unit_test(many_files_in_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
