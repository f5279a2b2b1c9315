/* SPDX-License-Identifier: Apache-2.0 */
/* What a copy-up keeps, and that a branch's failure at any step of one leaves nothing half done. */
#include "tests/unit/layers/harness.h"

static char *scratch;

/* l holds "file" ("old text"), "link" and "link2" (one file), and dir/sub/deep. */
static struct fs *begin(const char *upper)
{
	char json[1024], above[256];

	if (!scratch) {
		scratch = scratch_begin("/dev/shm");
		must_run("cd %s && mkdir -p up l/dir/sub && printf 'old text' > l/file && printf deep > l/dir/sub/deep && "
			 "printf both > l/link && ln l/link l/link2",
			 scratch);
	}
	snprintf(above, sizeof(above), upper, scratch);
	snprintf(json, sizeof(json), "{\"union\": {\"below\": [%s, {\"host\": {\"path\": \"%s/l\", \"exclusive\": true}}]}}",
		 above, scratch);
	return fs_open(json);
}

static const char host[] = "{\"host\": {\"path\": \"%s/up\", \"exclusive\": true}}";
static const char failing[] = "{\"error\": {\"every\": 0, \"below\": {\"host\": {\"path\": \"%s/up\", \"exclusive\": true}}}}";

static void end(struct fs *fs)
{
	fs_close(fs);
	scratch_end(scratch);
	scratch = NULL;
}

static void open_files_see_later_writes(void **state)
{
	struct fs *fs = begin(host);
	struct ls_inode *inode = fs_get(fs, fs->root, "file");
	uint64_t ino = fs_attr(fs, inode).ino;
	struct ls_file *reader = fs_open_file(fs, inode, O_RDONLY), *writer = fs_open_file(fs, inode, O_RDWR);

	must_run("test ! -e %s/up/file", scratch); /* opening for writing copies nothing */
	fs_is(fs, writer, 0, "old text");
	assert_int_equal(fs_write(fs, writer, "new", 3, 0), 3);
	fs_is(fs, reader, 0, "new text");
	assert_int_equal(fs_attr(fs, inode).ino, ino);
	fs_close(fs);
	fs = begin(host);
	assert_int_equal(fs_attr_at(fs, fs->root, "file").ino, ino);
	must_run("test \"$(cat %1$s/l/file)\" = 'old text' && test \"$(cat %1$s/up/file)\" = 'new text'", scratch);
	end(fs);
}

static void hard_links_stay_links(void **state)
{
	struct fs *fs = begin(host);
	struct ls_inode *link = fs_get(fs, fs->root, "link");
	uint64_t ino = fs_attr(fs, link).ino;

	assert_int_equal(fs_write(fs, fs_open_file(fs, link, O_RDWR), "B", 1, 0), 1);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(fs_attr_at(fs, fs->root, "link2").ino, ino);
		assert_int_equal(fs_attr_at(fs, fs->root, "link2").nlink, 2);
		fs_is(fs, fs_open_file(fs, fs_get(fs, fs->root, "link2"), O_RDONLY), 0, "Both");
		fs_close(fs);
		fs = begin(host);
	}
	assert_ok(fs_rename(fs, fs->root, "link2", fs->root, "moved", 0));
	fs_is(fs, fs_open_file(fs, fs_get(fs, fs->root, "moved"), O_RDONLY), 0, "Both");
	assert_ok(fs_unlink(fs, fs->root, "link"));
	assert_int_equal(fs_attr_at(fs, fs->root, "moved").nlink, 1);
	assert_ok(fs_unlink(fs, fs->root, "moved"));
	end(fs);
}

static void a_truncation_copies_nothing(void **state)
{
	struct fs *fs = begin(host);
	struct ls_inode *inode = fs_get(fs, fs->root, "file");

	assert_ok(fs_truncate(fs, inode, 3));
	fs_is(fs, fs_open_file(fs, inode, O_RDONLY), 0, "old");
	end(fs);
}

static void marks_are_hidden(void **state)
{
	struct fs *fs = begin(host);
	struct ls_inode *file = fs_get(fs, fs->root, "file");
	char list[256];

	assert_ok(ls_setxattr(fs->ls, &fs->call, file, "trusted.overlay.opaque", "q", 1, 0));
	assert_int_equal(ls_listxattr(fs->ls, &fs->call, file, list, sizeof(list)), sizeof("trusted.overlay.opaque"));
	assert_string_equal(list, "trusted.overlay.opaque");
	assert_int_equal(ls_getxattr(fs->ls, &fs->call, file, "trusted.overlay.union.origin", list, 10), -ENODATA);
	end(fs);
}

/* The copy is complete (what failed came after it) or not there. */
static void whole(const char *path, const char *text)
{
	must_run("f=%s/up/%s; test ! -e $f || test \"$(cat $f)\" = '%s'", scratch, path, text);
}

/* One operation after the other of the writable branch fails, at its first call and later ones. */
static void failures_leave_nothing(void **state)
{
	static const char *const ops[] = {"create", "write", "fsync", "setattr", "setxattr", "rename", "open", "mkdir",
					  "link", "getattr", "lookup", "mknod"};
	char error[256], n[16];
	unsigned failed = 0;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		for (int nth = 1; nth < 6; nth++) {
			struct fs *fs = begin(failing);
			struct ls *layer = ls_stack_find(fs->ls, "error");
			struct ls_inode *file = fs_get(fs, fs_get(fs, fs_get(fs, fs->root, "dir"), "sub"), "deep");
			struct ls_inode *link = fs_get(fs, fs->root, "link");
			struct ls_file *f = fs_open_file(fs, file, O_RDWR), *g = fs_open_file(fs, link, O_RDWR);
			snprintf(n, sizeof(n), "%d", nth);
			assert_ok(ls_option_set(layer, "op", ops[i], error, sizeof(error)));
			assert_ok(ls_option_set(layer, "every", n, error, sizeof(error)));
			int r = fs_write(fs, f, "X", 1, 0), r2 = fs_write(fs, g, "Y", 1, 0);
			assert_ok(ls_option_set(layer, "every", "0", error, sizeof(error)));
			failed += (r < 0) + (r2 < 0);
			fs_is(fs, f, 0, r < 0 ? "deep" : "Xeep");
			fs_is(fs, g, 0, r2 < 0 ? "both" : "Yoth");
			if (r < 0)
				whole("dir/sub/deep", "deep");
			if (r2 < 0)
				whole("link", "both");
			must_run("test -z \"$(ls %s/up/.union-work | grep ^w)\"", scratch);
			assert_int_equal(fs_write(fs, f, "Z", 1, 0), 1); /* and then it works */
			fs_is(fs, f, 0, "Zeep");
			end(fs);
		}
	assert_in_range(failed, 20, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_files_see_later_writes), cmocka_unit_test(hard_links_stay_links),
		cmocka_unit_test(a_truncation_copies_nothing), cmocka_unit_test(marks_are_hidden),
		cmocka_unit_test(failures_leave_nothing),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
