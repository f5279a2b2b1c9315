/* SPDX-License-Identifier: Apache-2.0 */
/* What files contain. */
#include <linux/falloc.h>

#include "tests/unit/layers/cases.h"

static void reads_what_was_written(struct fs *fs)
{
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	char buf[32];

	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), 0);
	assert_int_equal(fs_write(fs, f, "hello world", 11, 0), 11);
	assert_int_equal(fs_write(fs, f, "W", 1, 6), 1);
	fs_is(fs, f, 0, "hello World");
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 6), 5);
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 11), 0);
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 1 << 30), 0);
	assert_int_equal(fs_attr_at(fs, fs->root, "f").size, 11);
	assert_int_equal(fs_write(fs, f, "", 0, 100), 0);
	assert_int_equal(fs_attr_at(fs, fs->root, "f").size, 11);
}

static void gathers_and_scatters(struct fs *fs)
{
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	char a[3] = "abc", b[70000], c[1] = "z", out[70004] = "";
	struct iovec in[] = {{a, 3}, {b, sizeof(b)}, {NULL, 0}, {c, 1}};
	struct iovec to[] = {{out, 1}, {out + 1, 65536}, {out + 65537, sizeof(out) - 65537}};
	off_t end;

	memset(b, 'b', sizeof(b));
	assert_int_equal(ls_write(fs->ls, &fs->call, f, in, 4, 5, 0, &end), 70004);
	assert_int_equal(end, 70009);
	assert_int_equal(ls_read(fs->ls, &fs->call, f, to, 3, 5), 70004);
	assert_memory_equal(out, "abc", 3);
	assert_memory_equal(out + 3, b, sizeof(b));
	assert_int_equal(out[70003], 'z');
}

static void appends_at_the_end(struct fs *fs)
{
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	struct iovec iov = {"xyz", 3};
	off_t end;

	assert_int_equal(fs_write(fs, f, "0123456789", 10, 0), 10);
	assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, 2, LS_WRITE_APPEND, &end), 3);
	assert_int_equal(end, 13);
	assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, 0, LS_WRITE_APPEND | LS_WRITE_DSYNC, &end),
			 3);
	assert_int_equal(end, 16);
	fs_is(fs, f, 0, "0123456789xyzxyz");
	/* A file opened for appending obeys the offset all the same: the service says what appends. */
	f = fs_open_file(fs, fs_get(fs, fs->root, "f"), O_RDWR | O_APPEND);
	assert_int_equal(fs_write(fs, f, "AB", 2, 0), 2);
	fs_is(fs, f, 0, "AB23456789xyzxyz");
}

static void holes_read_as_zeros(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	char zeros[8192] = "", buf[8192];
	const off_t far = (1ll << 40) + 4096;

	assert_int_equal(fs_write(fs, f, "end", 3, far), 3);
	assert_int_equal(fs_attr(fs, inode).size, far + 3);
	assert_in_range(fs_attr(fs, inode).blocks, 8, 128);
	assert_int_equal(fs_read(fs, f, buf, 8192, 0), 8192);
	assert_memory_equal(buf, zeros, 8192);
	assert_int_equal(fs_read(fs, f, buf, 8192, far - 4096), 4099);
	assert_memory_equal(buf, zeros, 4096);
	assert_memory_equal(buf + 4096, "end", 3);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, 0, SEEK_DATA), far);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, 0, SEEK_HOLE), 0);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, far, SEEK_HOLE), far + 3);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, far + 1, SEEK_DATA), far + 1);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, far + 3, SEEK_DATA), -ENXIO);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, far + 3, SEEK_HOLE), -ENXIO);
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, 0, SEEK_SET), -EINVAL);
	assert_ok(fs_truncate(fs, inode, far));
	assert_int_equal(ls_seek(fs->ls, &fs->call, f, 0, SEEK_DATA), -ENXIO);
	assert_int_equal(fs_attr(fs, inode).blocks, 0);
}

static void truncating_cuts_and_extends_with_zeros(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	char buf[200000], zeros[200000] = "";

	memset(buf, 'x', sizeof(buf));
	assert_int_equal(fs_write(fs, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_ok(fs_truncate(fs, inode, 70001));
	assert_ok(fs_truncate(fs, inode, 200000));
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(buf[70000], 'x');
	assert_memory_equal(buf + 70001, zeros, sizeof(buf) - 70001);
	assert_ok(fs_truncate(fs, inode, 0));
	assert_int_equal(fs_attr(fs, inode).blocks, 0);
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), 0);
	assert_int_equal(fs_truncate(fs, fs->root, 0), -EISDIR);
}

static void fallocate_reserves_and_punches(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	char buf[300000], zeros[300000] = "";
	struct ls *ls = fs->ls;

	assert_ok(ls_fallocate(ls, &fs->call, f, FALLOC_FL_KEEP_SIZE, 0, 100000));
	assert_int_equal(fs_attr(fs, inode).size, 0);
	assert_in_range(fs_attr(fs, inode).blocks, 200, 300);
	assert_ok(ls_fallocate(ls, &fs->call, f, 0, 0, 300000));
	assert_int_equal(fs_attr(fs, inode).size, 300000);
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_memory_equal(buf, zeros, sizeof(buf));
	memset(buf, 'y', sizeof(buf));
	assert_int_equal(fs_write(fs, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_ok(ls_fallocate(ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 200000));
	assert_in_range(fs_attr(fs, inode).blocks, 192, 240);
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(buf[4999], 'y');
	assert_memory_equal(buf + 5000, zeros, 200000);
	assert_int_equal(buf[205000], 'y');
	assert_int_equal(ls_seek(ls, &fs->call, f, 0, SEEK_HOLE), 8192);
	assert_int_equal(ls_seek(ls, &fs->call, f, 8192, SEEK_DATA), 204800);
	assert_int_equal(ls_fallocate(ls, &fs->call, f, 0, 0, 0), -EINVAL);
	assert_int_equal(ls_fallocate(ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
}

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

/* Random writes, truncations, holes and reads of one file, against an array. */
static void a_file_is_an_array(struct fs *fs)
{
	enum { SIZE = 400000, STEPS = 4000 };
	char *model = calloc(1, SIZE), *buf = malloc(SIZE);
	unsigned seed = 7, size = 0;
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);

	for (int i = 0; i < STEPS; i++) {
		unsigned what = next_random(&seed) % 16, at = next_random(&seed) % SIZE;
		unsigned n = next_random(&seed) % (what & 1 ? 9000 : 90000);
		if (n > SIZE - at)
			n = SIZE - at;
		if (what < 8) {
			memset(buf, 'a' + i % 26, n);
			assert_int_equal(fs_write(fs, f, buf, n, at), n);
			memcpy(model + at, buf, n);
			if (n && at + n > size)
				size = at + n;
		} else if (what == 8) {
			assert_ok(fs_truncate(fs, inode, at));
			if (at < size)
				memset(model + at, 0, size - at);
			size = at;
		} else if (what < 11 && n) {
			assert_ok(ls_fallocate(fs->ls, &fs->call, f,
					       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n));
			memset(model + at, 0, n);
		} else if (what == 11 && n) {
			assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_KEEP_SIZE, at, n));
		} else {
			ssize_t want = at >= size ? 0 : at + n > size ? size - at : n;
			assert_int_equal(fs_read(fs, f, buf, n, at), want);
			assert_memory_equal(buf, model + at, want);
		}
		assert_int_equal(fs_attr(fs, inode).size, size);
	}
	assert_int_equal(fs_read(fs, f, buf, SIZE, 0), size);
	assert_memory_equal(buf, model, size);
	free(model);
	free(buf);
}

static void copies_or_leaves_it_to_the_service(struct fs *fs)
{
	struct ls_file *from = fs_create(fs, fs->root, "from", NULL),
		       *to = fs_create(fs, fs->root, "to", NULL);
	ssize_t n;

	assert_int_equal(fs_write(fs, from, "0123456789", 10, 0), 10);
	n = ls_copy(fs->ls, &fs->call, from, 2, to, 5, 4);
	if (n == -EOPNOTSUPP)
		return;
	assert_int_equal(n, 4);
	fs_is(fs, to, 5, "2345");
}

static void an_unlinked_open_file_lives_on(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode), *again;

	assert_int_equal(fs_write(fs, f, "still", 5, 0), 5);
	assert_ok(fs_unlink(fs, fs->root, "f"));
	assert_int_equal(fs_try(fs, fs->root, "f"), -ENOENT);
	assert_int_equal(fs_attr(fs, inode).nlink, 0);
	fs_is(fs, f, 0, "still");
	assert_int_equal(fs_write(fs, f, " here", 5, 5), 5);
	again = fs_open_file(fs, inode, O_RDONLY);
	fs_is(fs, again, 0, "still here");
	fs_release(fs, f);
	fs_forget(fs, inode); /* `again` holds it now */
	fs_is(fs, again, 0, "still here");
}

static void a_tmpfile_has_no_name_until_linked(struct fs *fs)
{
	struct ls_inode *inode, *inode2;
	struct ls_attr attr;
	struct ls_file *f, *f2;
	struct listing l;

	assert_ok(ls_tmpfile(fs->ls, &fs->call, fs->root, 0640, O_RDWR, &inode, &attr, &f));
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(fs_write(fs, f, "data", 4, 0), 4);
	fs_list(fs, fs->root, 0, &l);
	assert_int_equal(l.count, 2);
	listing_free(&l);
	assert_ok(ls_link(fs->ls, &fs->call, inode, fs->root, "named", &attr));
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(fs_attr_at(fs, fs->root, "named").ino, attr.ino);
	ls_release(fs->ls, &fs->call, f);
	ls_forget(fs->ls, &fs->call, inode, 1);
	f = fs_open_file(fs, fs_get(fs, fs->root, "named"), O_RDONLY);
	fs_is(fs, f, 0, "data");
	assert_ok(ls_tmpfile(fs->ls, &fs->call, fs->root, 0600, O_RDWR | O_EXCL, &inode2, &attr, &f2));
	assert_int_equal(ls_link(fs->ls, &fs->call, inode2, fs->root, "never", &attr), -ENOENT);
	ls_release(fs->ls, &fs->call, f2);
	ls_forget(fs->ls, &fs->call, inode2, 1);
}

static void opens_files_and_directories_only(struct fs *fs)
{
	struct ls_file *f;

	assert_int_equal(ls_open(fs->ls, &fs->call, fs_symlink(fs, fs->root, "l", "x"), O_RDONLY, &f),
			 -ELOOP);
	assert_int_equal(
		ls_open(fs->ls, &fs->call, fs_mknod(fs, fs->root, "p", S_IFIFO | 0600), O_RDONLY, &f),
		-ENXIO);
	assert_int_equal(
		ls_open(fs->ls, &fs->call, fs_mknod(fs, fs->root, "s", S_IFSOCK | 0600), O_RDWR, &f),
		-ENXIO);
	assert_int_equal(ls_open(fs->ls, &fs->call, fs->root, O_RDWR, &f), -EISDIR);
	f = fs_open_file(fs, fs->root, O_RDONLY | O_DIRECTORY);
	assert_int_equal(fs_read(fs, f, &(char){0}, 1, 0), -EISDIR);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	f = fs_create(fs, fs->root, "f", NULL);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 1));
	assert_ok(ls_advise(fs->ls, &fs->call, f, 0, 0, POSIX_FADV_WILLNEED));
	assert_ok(ls_sync(fs->ls, &fs->call));
}

static void one_large_file(struct fs *fs)
{
	enum { STEP = 1 << 20, LARGE = 24 << 20 };
	struct ls_file *f = fs_create(fs, fs->root, "large", NULL);
	uint32_t *buf = malloc(STEP);

	for (int i = 0; i < LARGE / STEP; i++) {
		for (int j = 0; j < STEP / 4; j++)
			buf[j] = i * 7919 + j;
		assert_int_equal(fs_write(fs, f, buf, STEP, (off_t)i * STEP), STEP);
	}
	for (int i = 0; i < 1000; i++) {
		unsigned at = (i * 104729u % (LARGE / 4096)) * 4096;
		assert_int_equal(fs_read(fs, f, buf, 4096, at), 4096);
		assert_int_equal(buf[5], at / STEP * 7919 + at % STEP / 4 + 5);
	}
	free(buf);
}

const struct layer_case file_cases[] = {
	{"reads what was written", reads_what_was_written},
	{"gathers and scatters", gathers_and_scatters},
	{"appends at the end", appends_at_the_end},
	{"holes read as zeros", holes_read_as_zeros},
	{"truncating cuts, and extends with zeros", truncating_cuts_and_extends_with_zeros},
	{"fallocate reserves and punches", fallocate_reserves_and_punches},
	{"a file is an array", a_file_is_an_array},
	{"copies, or leaves it to the service", copies_or_leaves_it_to_the_service},
	{"an unlinked open file lives on", an_unlinked_open_file_lives_on},
	{"a tmpfile has no name until linked", a_tmpfile_has_no_name_until_linked},
	{"opens files and directories only", opens_files_and_directories_only},
	{"one large file", one_large_file},
	{NULL},
};
