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

/* What the image holds is there after a kill, with that directory as the newest. */
static void newest_is_there(int fd, const char *name)
{
	int copy;
	struct fs *fs = mount_copy(fd, &copy);

	assert_true(S_ISDIR(fs_attr_at(fs, fs->root, name).mode));
	fs_close(fs);
	close(copy);
}

static void block_is(int fd, uint64_t block, int byte)
{
	uint8_t buf[VF_BLOCK], want[VF_BLOCK];

	memset(want, byte, sizeof(want));
	assert_int_equal(pread(fd, buf, sizeof(buf), block * VF_BLOCK), sizeof(buf));
	assert_memory_equal(buf, want, sizeof(buf));
}

static void durable_mkdir(struct vol *v, const char *name)
{
	struct ls_cred cred = {.uid = 0};
	struct ls_call call = {.tenant = "test", .cred = &cred};
	struct ls ls = {.state = v};
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(vol_ls_mkdir(&ls, &call, (struct ls_inode *)v->root_inode, name, 0755, &inode, &attr));
	vol_ls_forget(&ls, &call, inode, 1);
	assert_ok(vol_log_flush(v));
}

/* Once round the ring, and never over a frame that counts, nor beyond its end. */
static void the_journal_finds_room_ahead(void **state)
{
	enum { RING = 100, AHEAD = 64, OLD = 0xaa };
	struct volume_params params = {.journal_size = RING * VF_BLOCK};
	struct vol_config config = {.no_keeper = true};
	int fd = image_new(SIZE);
	struct area *area = image_area(fd);
	uint8_t old[VF_BLOCK], shadow[VF_BLOCK];
	char error[256] = "", name[32];
	uint64_t start, generation;
	struct vol *v;

	assert_ok(volume_mkfs(area, "image", &params, error, sizeof(error)));
	area->traits |= AREA_THIN;
	assert_ok(vol_mount(area, "image", &config, &v, error, sizeof(error)));
	start = v->super.journal_start;
	memset(old, OLD, sizeof(old));
	for (unsigned i = 0; i < RING; i++)
		assert_int_equal(pwrite(fd, old, sizeof(old), (start + i) * VF_BLOCK), sizeof(old));
	for (unsigned i = 0; i < 3 * RING + RING / 3; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		generation = v->super.generation;
		assert_int_equal(pread(fd, shadow, sizeof(shadow), (start + RING) * VF_BLOCK), sizeof(shadow));
		durable_mkdir(v, name);
		if (i == 0)
			for (unsigned k = 1; k < RING; k++)
				block_is(fd, start + k, k < AHEAD ? 0 : OLD);
		assert_int_equal(pread(fd, old, sizeof(old), (start + RING) * VF_BLOCK), sizeof(old));
		if (v->super.generation == generation)
			assert_memory_equal(old, shadow, sizeof(old));
		newest_is_there(fd, name);
	}
	assert_true(v->log.thin_from >= v->log.thin_end);
	assert_ok(vol_unmount(v));
	/* From the middle of the ring on, until it is full. */
	assert_ok(vol_mount(area, "image", &config, &v, error, sizeof(error)));
	durable_mkdir(v, "oldest");
	for (unsigned i = 1; i < RING; i++) {
		assert_ok(vol_op_begin(v, 0));
		assert_ok(vol_log_record(v, VF_FORGET, VF_INO_ROOT, 0, 0, NULL, 0));
		vol_op_end(v);
		assert_ok(vol_log_flush(v));
	}
	assert_int_equal(v->log.head - v->log.tail, RING);
	newest_is_there(fd, "oldest");
	assert_ok(vol_checkpoint(v, false));
	assert_ok(vol_unmount(v));
	area_close(area);
	image_is_sound(fd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_synced_survives_a_kill),
	    cmocka_unit_test(the_journal_finds_room_ahead),
	    cmocka_unit_test(unlinked_files_can_be_found_again),
	    cmocka_unit_test(numbers_are_never_used_again),
	    cmocka_unit_test(it_grows_with_its_image),
	    cmocka_unit_test(large_volumes_are_made_in_no_time),
	    cmocka_unit_test(many_sync_at_once),
	    cmocka_unit_test(many_files_in_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
