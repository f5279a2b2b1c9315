/* SPDX-License-Identifier: Apache-2.0 */
/* What a tenant sets, and what it gets: size, policies, reading ahead, write-back, throttling, errors. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "libservices/cache/cache.h"
#include "libservices/rules.h"
#include "tests/unit/layers/harness.h"

enum { PAGE = 4096 };

static void set(struct fs *fs, const char *layer, const char *option, const char *value)
{
	char error[256];

	assert_ok(ls_option_set(ls_stack_find(fs->ls, layer), option, value, error, sizeof(error)));
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(unsigned ms)
{
	usleep(ms * 1000);
}

static void fill(struct fs *fs, struct ls_file *f, uint64_t bytes)
{
	static char buf[65536];

	for (uint64_t at = 0; at < bytes; at += sizeof(buf)) {
		size_t n = bytes - at < sizeof(buf) ? bytes - at : sizeof(buf);
		assert_int_equal(fs_write(fs, f, buf, n, at), n);
	}
}

static void read_all(struct fs *fs, struct ls_file *f, uint64_t bytes, size_t step)
{
	char buf[65536];

	for (uint64_t at = 0; at < bytes; at += step)
		assert_in_range(fs_read(fs, f, buf, step, at), 1, step);
}

#define OVER_MEM(options) "{\"cache\": {" options ", \"below\": {\"mem\": {}}}}"

/* ---- size
 * --------------------------------------------------------------------------------------------------- */

static void fifty_thousand_small_files_fit(void **state)
{
	struct fs *fs =
	    fs_open("{\"cache\": {\"size\": \"256M\", \"below\": {\"mem\": {\"size\": \"2G\"}}}}");
	char buf[PAGE], name[16];
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	off_t end;

	memset(buf, 'x', sizeof(buf));
	for (int i = 0; i < 50000; i++) {
		struct iovec iov = {buf, 500 + i % 3500};
		snprintf(name, sizeof(name), "%d", i);
		assert_ok(ls_create(fs->ls, &fs->call, fs->root, name, 0644, O_RDWR, &inode, &attr, &f));
		assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, 0, 0, &end), iov.iov_len);
		ls_release(fs->ls, &fs->call, f);
		ls_forget(fs->ls, &fs->call, inode, 1);
	}
	assert_ok(ls_sync(fs->ls, &fs->call));
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 50000 * 500, 256 << 20);
	assert_int_equal(fs_figure(fs, "cache", "evicted"), 0);
	for (int i = 0; i < 50000; i += 7) {
		snprintf(name, sizeof(name), "%d", i);
		f = fs_open_file(fs, fs_get(fs, fs->root, name), O_RDONLY);
		assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), 500 + i % 3500);
		fs_settle(fs);
	}
	assert_int_equal(fs_figure(fs, "cache", "misses"), 0);
	/* Less room takes effect at once. */
	set(fs, "cache", "size", "10M");
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 0, 10 << 20);
	set(fs, "cache", "size", "0");
	assert_int_equal(fs_figure(fs, "cache", "pool_used"), 0);
	fs_close(fs);
}

static void a_large_file_takes_no_more_than_the_size(void **state)
{
	struct fs *fs = fs_open(OVER_MEM("\"size\": \"4M\""));
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);

	fill(fs, f, 32 << 20);
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 0, (4 << 20) + (512 << 10));
	read_all(fs, f, 32 << 20, 65536);
	/* What is just being read ahead, a quarter of the size at most, may be too much until it is there. */
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 0, (5 << 20) + (512 << 10));
	for (int i = 0; i < 5000 && fs_figure(fs, "cache", "pool_used") > (4 << 20) + (512 << 10); i++)
		usleep(1000);
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 0, (4 << 20) + (512 << 10));
	assert_true(fs_figure(fs, "cache", "evicted") > 6000);
	fs_close(fs);
}

/* As if the machine had 1 GiB, and so much of it were to be had. */
static void machine_has(const char *path, unsigned mib)
{
	char other[128];
	FILE *f;

	snprintf(other, sizeof(other), "%s.new", path);
	f = fopen(other, "w");
	assert_non_null(f);
	fprintf(f, "MemTotal:        1048576 kB\nMemFree:            1024 kB\nMemAvailable:   %u kB\n", mib << 10);
	fclose(f);
	assert_ok(rename(other, path));
}

static uint64_t used(struct fs *fs)
{
	return fs_figure(fs, "cache", "pool_used");
}

static void memory_that_others_need_is_given_back(void **state)
{
	char dir[] = "/tmp/cache-settings.XXXXXX", path[64];
	struct ls_file *f;
	struct fs *fs;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/meminfo", dir);
	machine_has(path, 600);
	cache_meminfo = path;
	fs = fs_open(OVER_MEM("\"size\": \"64M\", \"floor\": \"4M\""));
	f = fs_create(fs, fs->root, "f", NULL);
	fill(fs, f, 32 << 20);
	assert_ok(ls_sync(fs->ls, &fs->call));
	nap(500);
	assert_in_range(used(fs), 32 << 20, 40 << 20);
	/* Less than a sixteenth: what is missing is given back, but not what is below the floor. */
	machine_has(path, 2);
	for (int i = 0; i < 100 && used(fs) > 5 << 20; i++)
		nap(100);
	assert_in_range(used(fs), 2 << 20, 5 << 20);
	read_all(fs, f, 32 << 20, 65536);
	assert_in_range(used(fs), 2 << 20, 6 << 20);
	/* There is enough again. */
	machine_has(path, 600);
	for (int i = 0; i < 100 && used(fs) < 30 << 20; i++) {
		nap(50);
		read_all(fs, f, 32 << 20, 65536);
	}
	assert_in_range(used(fs), 30 << 20, 40 << 20);
	/* A size that is set is kept. */
	set(fs, "cache", "size", "64M");
	machine_has(path, 2);
	nap(500);
	read_all(fs, f, 32 << 20, 65536);
	nap(500);
	assert_in_range(used(fs), 30 << 20, 40 << 20);
	fs_close(fs);
	cache_meminfo = "/proc/meminfo";
	unlink(path);
	rmdir(dir);
}

/* ---- policies
 * ------------------------------------------------------------------------------------------------- */

/* Misses on what is used often, after a large file was read through once. */
static uint64_t misses_after_scan(const char *policy)
{
	struct fs *fs = fs_open(OVER_MEM("\"size\": \"8M\", \"readahead\": \"0\""));
	struct ls_file *hot = fs_create(fs, fs->root, "hot", NULL),
		       *large = fs_create(fs, fs->root, "large", NULL);
	uint64_t before, misses;

	set(fs, "cache", "policy", policy);
	fill(fs, large, 64 << 20);
	fill(fs, hot, 2 << 20);
	assert_ok(ls_sync(fs->ls, &fs->call));
	for (int i = 0; i < 4; i++)
		read_all(fs, hot, 2 << 20, PAGE);
	for (uint64_t at = 0; at < 64 << 20; at += 1 << 20) {
		char buf[65536];
		for (int i = 0; i < 16; i++)
			assert_int_equal(fs_read(fs, large, buf, sizeof(buf), at + i * 65536), sizeof(buf));
		if (at % (8 << 20) == 0)
			read_all(fs, hot, 2 << 20, PAGE);
	}
	before = fs_figure(fs, "cache", "misses");
	read_all(fs, hot, 2 << 20, PAGE);
	misses = fs_figure(fs, "cache", "misses") - before;
	fs_close(fs);
	return misses;
}

static void scans_drive_out_nothing_that_is_used(void **state)
{
	/* Of 512 pages, all of which a cache that takes the latest would have given up. */
	assert_in_range(misses_after_scan("s3fifo"), 0, 64);
	assert_in_range(misses_after_scan("lru2"), 0, 64);
}

static void policies_are_named(void **state)
{
	struct fs *fs = fs_open(OVER_MEM("\"policy\": \"clock\""));
	char error[256];

	assert_int_equal(ls_option_set(fs->ls, "policy", "best", error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "s3fifo"));
	assert_int_equal(ls_option_set(fs->ls, "dirty_ratio", "101", error, sizeof(error)), -EINVAL);
	fs_close(fs);
}

/* ---- reading ahead
 * ----------------------------------------------------------------------------------------------- */

static void who_reads_in_sequence_seldom_waits(void **state)
{
	struct fs *fs = fs_open("{\"cache\": {\"size\": \"64M\", \"below\": {\"delay\": {\"read\": "
				"\"1ms\", \"below\": {\"mem\": {}}}}}}");
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	uint64_t misses, ahead;
	char buf[PAGE];

	fill(fs, f, 16 << 20);
	assert_ok(ls_advise(fs->ls, &fs->call, f, 0, 0, POSIX_FADV_DONTNEED));
	misses = fs_figure(fs, "cache", "misses");
	read_all(fs, f, 16 << 20, PAGE);
	assert_in_range(fs_figure(fs, "cache", "misses") - misses, 1, 400); /* of 4096 reads */
	nap(100);                                               /* what is on its way arrives */
	ahead = fs_figure(fs, "cache", "read_ahead");
	assert_true(ahead > 1000);
	/* Elsewhere, and once: nothing but what was asked for. */
	assert_ok(ls_advise(fs->ls, &fs->call, f, 0, 0, POSIX_FADV_DONTNEED));
	for (unsigned i = 1; i < 100; i++)
		assert_int_equal(fs_read(fs, f, buf, PAGE, (off_t)(i * 977 % 4096) * PAGE), PAGE);
	assert_int_equal(fs_figure(fs, "cache", "read_ahead"), ahead);
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 0, 100 * (PAGE + 1024));
	fs_close(fs);
}

/* ---- write-back
 * --------------------------------------------------------------------------------------------------- */

static void changes_go_below_when_they_are_due(void **state)
{
	struct fs *fs = fs_open(OVER_MEM("\"flush_interval\": \"0\""));
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	struct timespec mtime, atime;
	struct ls_attr attr;

	fill(fs, f, 10000);
	mtime = fs_attr(fs, inode).mtime;
	nap(100);
	assert_int_equal(fs_figure(fs, "cache", "written"), 0);
	set(fs, "cache", "flush_interval", "50ms");
	nap(300);
	assert_int_equal(fs_figure(fs, "cache", "written"), 3);
	assert_int_equal(fs_figure(fs, "cache", "pool_dirty"), 0);
	/* The write-back is no change of the file. */
	assert_true(ls_time_equal(fs_attr(fs, inode).mtime, mtime));
	assert_true(ls_time_equal(fs_attr(fs, inode).ctime, mtime));
	assert_int_equal(fs_attr(fs, inode).size, 10000);
	/* Nor is a read, but for the access time, once. */
	atime = fs_attr(fs, inode).atime;
	fs_read(fs, f, &(char){0}, 1, 0);
	assert_false(ls_time_equal(fs_attr(fs, inode).atime, atime));
	atime = fs_attr(fs, inode).atime;
	nap(2);
	fs_read(fs, f, &(char){0}, 1, 0);
	assert_true(ls_time_equal(fs_attr(fs, inode).atime, atime));
	/* And once more after one that is older than the change that set it, as an archive's is. */
	atime.tv_sec -= 1000;
	assert_ok(ls_setattr(fs->ls, &fs->call, inode, NULL, &(struct ls_attr){.atime = atime}, LS_SET_ATIME, &attr));
	fs_read(fs, f, &(char){0}, 1, 0);
	assert_false(ls_time_equal(fs_attr(fs, inode).atime, atime));
	/* On close. */
	set(fs, "cache", "flush_interval", "0");
	set(fs, "cache", "flush_on_close", "true");
	fill(fs, f, 4096);
	fs_release(fs, f);
	assert_int_equal(fs_figure(fs, "cache", "written"), 4);
	/* When too much is dirty. */
	set(fs, "cache", "size", "1M");
	f = fs_open_file(fs, inode, O_RDWR);
	fill(fs, f, 80 << 10);
	assert_int_equal(fs_figure(fs, "cache", "pool_dirty"), 80 << 10);
	fill(fs, f, 200 << 10);
	nap(300);
	assert_in_range(fs_figure(fs, "cache", "pool_dirty"), 0, 110 << 10);
	/* What was set explicitly stays. */
	struct ls_attr in = {.mtime = {1234567, 89}};
	assert_ok(ls_setattr(fs->ls, &fs->call, inode, NULL, &in, LS_SET_MTIME, &attr));
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	assert_int_equal(fs_attr(fs, inode).mtime.tv_sec, 1234567);
	fs_close(fs);
}

static void files_that_are_gone_are_not_written(void **state)
{
	struct fs *fs = fs_open(OVER_MEM("\"flush_interval\": \"20ms\""));
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);

	assert_ok(fs_unlink(fs, fs->root, "f"));
	fill(fs, f, 1 << 20);
	nap(100);
	fs_settle(fs);
	assert_int_equal(fs_figure(fs, "cache", "written"), 0);
	assert_int_equal(fs_figure(fs, "cache", "pool_used"), 0);
	fs_close(fs);
}

static void errors_are_told_once_and_pages_kept(void **state)
{
	struct fs *fs = fs_open("{\"cache\": {\"flush_interval\": \"10ms\", \"below\": {\"error\": "
				"{\"op\": \"write\", \"errno\": "
				"\"EIO\", \"every\": 0, \"below\": {\"mem\": {}}}}}}");
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode), *g = fs_open_file(fs, inode, O_RDONLY),
		       *late;
	double start = now();

	set(fs, "error", "every", "1");
	assert_int_equal(fs_write(fs, f, "kept", 4, 0), 4);
	while (fs_figure(fs, "cache", "failed") == 0 && now() - start < 5)
		nap(5);
	set(fs, "error", "every", "0");
	late = fs_open_file(fs, inode, O_RDONLY);
	assert_int_equal(ls_fsync(fs->ls, &fs->call, f, 0), -EIO);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	assert_int_equal(ls_fsync(fs->ls, &fs->call, g, 0), -EIO);
	assert_ok(ls_fsync(fs->ls, &fs->call, g, 0));
	assert_int_equal(ls_fsync(fs->ls, &fs->call, late, 0), -EIO);
	assert_ok(ls_fsync(fs->ls, &fs->call, fs_open_file(fs, inode, O_RDONLY), 0)); /* it has been seen */
	fs_is(fs, f, 0, "kept");
	set(fs, "cache", "size", "0");
	fs_is(fs, f, 0, "kept");
	assert_int_equal(fs_figure(fs, "cache", "pool_dirty"), 0);
	fs_close(fs);
}

static void no_room_below_is_told_by_the_write(void **state)
{
	struct fs *fs = fs_open("{\"cache\": {\"below\": {\"error\": {\"op\": \"reserve\", \"errno\": "
				"\"ENOSPC\", \"every\": 1, \"below\": "
				"{\"mem\": {}}}}}}");
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);

	assert_int_equal(fs_write(fs, f, "x", 1, 0), -ENOSPC);
	assert_int_equal(fs_attr(fs, inode).size, 0);
	set(fs, "error", "every", "0");
	assert_int_equal(fs_write(fs, f, "x", 1, 0), 1);
	fs_close(fs);
}

/* ---- writers
 * -------------------------------------------------------------------------------------------------------
 */

static void writers_wait_as_long_as_it_takes(void **state)
{
	struct fs *fs = fs_open("{\"cache\": {\"size\": \"8M\", \"batch\": \"64k\", \"below\": {\"delay\": "
				"{\"write\": \"2ms\", \"below\": "
				"{\"mem\": {}}}}}}");
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	static char buf[65536];
	double longest = 0, start = now(), at = start;

	for (int i = 0; i < 256; i++) { /* 16 MiB at 32 MiB/s */
		assert_int_equal(fs_write(fs, f, buf, sizeof(buf), (off_t)i * sizeof(buf)), sizeof(buf));
		if (now() - at > longest)
			longest = now() - at;
		at = now();
		assert_in_range(fs_figure(fs, "cache", "pool_dirty"), 0, 6 << 20);
	}
	assert_true(fs_figure(fs, "cache", "throttled") > 0);
	assert_true(now() - start > 0.2);
	assert_true(longest < 1);
	fs_close(fs);
}

static void nor_do_they_hang_if_nothing_can_be_written(void **state)
{
	struct fs *fs = fs_open("{\"cache\": {\"size\": \"1M\", \"below\": {\"error\": {\"op\": \"write\", "
				"\"errno\": \"ENOSPC\", "
				"\"every\": 1, \"below\": {\"mem\": {}}}}}}");
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL), *g;
	static char buf[65536];
	double start = now();
	ssize_t n = 0;

	for (int i = 0; i < 64 && n >= 0; i++)
		n = fs_write(fs, f, buf, sizeof(buf), (off_t)i * sizeof(buf));
	assert_int_equal(n, -ENOSPC);
	assert_true(now() - start < 20);
	assert_in_range(fs_figure(fs, "cache", "pool_used"), 0, 2 << 20);
	/* Others can still read. */
	g = fs_create(fs, fs->root, "g", NULL);
	assert_int_equal(fs_read(fs, g, buf, 1, 0), 0);
	set(fs, "error", "every", "0");
	assert_int_equal(fs_write(fs, f, buf, sizeof(buf), 100 << 16), sizeof(buf));
	fs_close(fs);
}

/* All that one queue has may be mapped: then what is in the other goes, and the size holds. */
static void what_stays_hides_nothing(void **state)
{
	static const char *const policies[] = {"s3fifo", "lru2", "clock"};
	enum { SIZE = 4 << 20, MAPPED = 2 << 20, READ = 16 << 20, STEP = 65536 };
	static char buf[STEP];

	for (size_t i = 0; i < 3; i++) {
		struct fs *fs = fs_open("{\"cache\": {\"size\": \"4M\", \"readahead\": 0, \"below\": {\"mem\": {}}}}");
		struct ls_inode *mapped, *inode;
		struct ls_file *m = fs_create(fs, fs->root, "m", &mapped), *f = fs_create(fs, fs->root, "f", &inode);
		struct ls_share got;

		set(fs, "cache", "policy", policies[i]);
		fill(fs, f, READ);
		assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
		assert_ok(ls_advise(fs->ls, &fs->call, f, 0, 0, POSIX_FADV_DONTNEED));
		fill(fs, m, MAPPED);
		assert_ok(ls_share(fs->ls, &fs->call, mapped, LS_SHARE_MAP, 0, MAPPED, &got));
		for (off_t at = 0; at < READ; at += STEP)
			for (int twice = 0; twice < 2; twice++)
				assert_int_equal(fs_read(fs, f, buf, STEP, at), STEP);
		assert_in_range(fs_figure(fs, "cache", "pool_used"), MAPPED, SIZE + (SIZE >> 3));
		assert_ok(ls_unshare(fs->ls, &fs->call, mapped, LS_SHARE_MAP, 0, MAPPED));
		fs_close(fs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fifty_thousand_small_files_fit),
	    cmocka_unit_test(a_large_file_takes_no_more_than_the_size),
	    cmocka_unit_test(memory_that_others_need_is_given_back),
	    cmocka_unit_test(scans_drive_out_nothing_that_is_used),
	    cmocka_unit_test(policies_are_named),
	    cmocka_unit_test(who_reads_in_sequence_seldom_waits),
	    cmocka_unit_test(changes_go_below_when_they_are_due),
	    cmocka_unit_test(files_that_are_gone_are_not_written),
	    cmocka_unit_test(errors_are_told_once_and_pages_kept),
	    cmocka_unit_test(no_room_below_is_told_by_the_write),
	    cmocka_unit_test(writers_wait_as_long_as_it_takes),
	    cmocka_unit_test(nor_do_they_hang_if_nothing_can_be_written),
	    cmocka_unit_test(what_stays_hides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
