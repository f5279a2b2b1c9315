/* SPDX-License-Identifier: Apache-2.0 */
/* Archives become trees, within limits. Needs root, for whiteouts' marks. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "engine/store/layer.h"
#include "engine/store/store.h"

static struct layer_limits limits = {.bytes = 1 << 30, .entries = 100, .ratio = 100, .depth = 16};

static int begin(void **state)
{
	char dir[] = "/tmp/polytropon-layer.XXXXXX";

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	*state = strdup(dir);
	return 0;
}

static int end(void **state)
{
	int r = chdir("/") < 0 ? -1 : store_remove(*state);

	free(*state);
	return r;
}

struct writer {
	struct archive *a;
	int fd;
};

static struct writer writer_new(void)
{
	struct writer w = {archive_write_new(), memfd_create("archive", MFD_CLOEXEC)};

	archive_write_set_format_pax_restricted(w.a);
	archive_write_open_fd(w.a, w.fd);
	return w;
}

static void add(struct writer *w, const char *name, mode_t type, const char *text)
{
	struct archive_entry *e = archive_entry_new();
	size_t size = type == AE_IFREG && text ? strlen(text) : 0;

	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, 0755);
	archive_entry_set_size(e, size);
	if (type == AE_IFLNK)
		archive_entry_set_symlink(e, text);
	archive_write_header(w->a, e);
	if (size)
		archive_write_data(w->a, text, size);
	archive_entry_free(e);
}

static int extract(struct writer *w, struct layer_result *ret)
{
	struct error error = {};
	int r;

	archive_write_free(w->a);
	lseek(w->fd, 0, SEEK_SET);
	r = layer_extract_here(w->fd, &limits, NULL, NULL, ret, &error);
	close(w->fd);
	if (r < 0)
		assert_true(strlen(error.text) > 0);
	return r;
}

static bool is_whiteout(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

static bool is_opaque(const char *path)
{
	char value;

	return getxattr(path, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static void whiteouts_in_every_order(void **state)
{
	struct writer w = writer_new();
	struct layer_result result;

	add(&w, "plain/.wh.gone", AE_IFREG, NULL);	/* its directory has no entry */
	add(&w, "replaced", AE_IFDIR, NULL);		/* first what is there, then the whiteout */
	add(&w, ".wh.replaced", AE_IFREG, NULL);
	add(&w, ".wh.later", AE_IFREG, NULL);		/* and the other way round */
	add(&w, "later", AE_IFDIR, NULL);
	add(&w, "later/x", AE_IFREG, "x");
	add(&w, ".wh.file", AE_IFREG, NULL);
	add(&w, "file", AE_IFREG, "new");
	add(&w, "opaque/.wh..wh..opq", AE_IFREG, NULL); /* before its directory */
	add(&w, "opaque", AE_IFDIR, NULL);
	assert_int_equal(extract(&w, &result), 0);
	assert_true(is_whiteout("plain/gone"));
	assert_true(is_opaque("replaced"));
	assert_true(is_opaque("later"));
	assert_int_equal(access("later/x", F_OK), 0);
	assert_false(is_whiteout("file"));
	assert_true(is_opaque("opaque"));
}

static void limits_end_it(void **state)
{
	struct layer_result result;
	struct writer w = writer_new();

	for (int i = 0; i < 101; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		add(&w, name, AE_IFREG, NULL);
	}
	assert_int_equal(extract(&w, &result), -EFBIG);
	limits.bytes = 4096;
	w = writer_new();
	for (int i = 0; i < 20; i++)
		add(&w, "same", AE_IFREG, "text");
	assert_int_equal(extract(&w, &result), -EFBIG);
	limits.bytes = 1 << 30;
}

static void garbage_is_refused(void **state)
{
	struct layer_result result;
	struct error error;
	int fd = memfd_create("garbage", MFD_CLOEXEC);

	for (int i = 0; i < 10000; i++)
		assert_int_equal(write(fd, &(char){i * 7}, 1), 1);
	lseek(fd, 0, SEEK_SET);
	assert_true(layer_extract_here(fd, &limits, NULL, NULL, &result, &error) < 0);
	close(fd);
}

/* The child's root is the tree: not even a link of the archive leads out of it. */
static void the_reader_is_shut_in(void **state)
{
	_cleanup_(close_p) int tree = -1;
	struct layer_result result;
	struct error error;
	struct writer w = writer_new();

	assert_int_equal(mkdir("tree", 0755), 0);
	tree = open("tree", O_RDONLY | O_DIRECTORY);
	add(&w, "out", AE_IFLNK, "/..");
	add(&w, "out/escaped", AE_IFREG, "x");
	archive_write_free(w.a);
	lseek(w.fd, 0, SEEK_SET);
	assert_int_equal(layer_extract(w.fd, tree, &limits, NULL, NULL, &result, &error), 0);
	close(w.fd);
	assert_true(access("escaped", F_OK) < 0);
	assert_int_equal(faccessat(tree, "escaped", F_OK, 0), 0);
	assert_true(digest_is_hex(result.plain));
}

static void a_directory_is_the_same_layer_twice(void **state)
{
	struct layer_result result[2];
	struct error error;

	mkdir("from", 0755);
	close(open("from/file", O_CREAT | O_WRONLY, 0644));
	link("from/file", "from/other");
	for (int i = 0; i < 2; i++) {
		char name[8];
		int archive, dir, tree;
		snprintf(name, sizeof(name), "to%d", i);
		mkdir(name, 0755);
		dir = open("from", O_RDONLY | O_DIRECTORY);
		tree = open(name, O_RDONLY | O_DIRECTORY);
		assert_true(layer_pack(dir, &archive, &error) > 0);
		assert_int_equal(layer_extract(archive, tree, &limits, NULL, NULL, &result[i], &error), 0);
		close(archive);
		close(dir);
		close(tree);
	}
	assert_string_equal(result[0].plain, result[1].plain);
	struct stat a, b;
	assert_int_equal(stat("to1/file", &a) | stat("to1/other", &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whiteouts_in_every_order, begin, end),
		cmocka_unit_test_setup_teardown(limits_end_it, begin, end),
		cmocka_unit_test_setup_teardown(garbage_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(the_reader_is_shut_in, begin, end),
		cmocka_unit_test_setup_teardown(a_directory_is_the_same_layer_twice, begin, end),
	};
	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
