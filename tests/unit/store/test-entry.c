/* SPDX-License-Identifier: Apache-2.0 */
/* What names and attributes of an archive become. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "engine/store/digest.h"
#include "engine/store/entry.h"

static const struct entry_rules rules = {.depth = 8, .size = 1000};

static struct archive_entry *entry_of(const char *name, mode_t type)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_copy_pathname(e, name);
	archive_entry_set_filetype(e, type);
	archive_entry_set_size(e, 0);
	return e;
}

static int take(struct archive_entry *e, char *path)
{
	struct error error;
	int kind = entry_take(e, &rules, path, &error);

	if (kind < 0)
		assert_true(strlen(error.text) > 0);
	return kind;
}

static void assert_kind(const char *name, mode_t type, int kind, const char *path)
{
	struct archive_entry *e = entry_of(name, type);
	char got[PATH_MAX];

	assert_int_equal(take(e, got), kind);
	if (path)
		assert_string_equal(got, path);
	archive_entry_free(e);
}

static void names_are_made_relative(void **state)
{
	assert_kind("./usr//bin/x", AE_IFREG, ENTRY_PLAIN, "usr/bin/x");
	assert_kind("/etc/x", AE_IFREG, ENTRY_PLAIN, "etc/x");
	assert_kind("./", AE_IFDIR, ENTRY_PLAIN, ".");
	assert_kind("a/./b", AE_IFREG, ENTRY_PLAIN, "a/b");
}

static void names_that_lead_outside_are_refused(void **state)
{
	static const char *const bad[] = {"..", "../x", "a/../../x", "a/..", "/..", "./../x", "a/b/c/d/e/f/g/h/i"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_kind(bad[i], AE_IFREG, -EINVAL, NULL);
	assert_kind("/", AE_IFREG, -EINVAL, NULL); /* the root is a directory */
}

static void whiteouts_are_recognised(void **state)
{
	assert_kind("a/.wh.b", AE_IFREG, ENTRY_WHITEOUT, "a/b");
	assert_kind(".wh.b", AE_IFREG, ENTRY_WHITEOUT, "b");
	assert_kind("a/.wh..wh..opq", AE_IFREG, ENTRY_OPAQUE, "a");
	assert_kind(".wh..wh..opq", AE_IFREG, ENTRY_OPAQUE, ".");
	assert_kind("a/.wh..wh.plnk", AE_IFDIR, ENTRY_LEFT_OUT, NULL);
	assert_kind("a/.wh.b/c", AE_IFREG, ENTRY_LEFT_OUT, NULL);
	assert_kind("a/.wh.", AE_IFREG, -EINVAL, NULL);
	assert_kind("a/.wh...", AE_IFREG, -EINVAL, NULL);
}

static void hard_links_lead_nowhere_else(void **state)
{
	struct archive_entry *e = entry_of("a", AE_IFREG);
	char path[PATH_MAX];

	archive_entry_copy_hardlink(e, "/etc//passwd");
	assert_int_equal(take(e, path), ENTRY_PLAIN);
	assert_string_equal(archive_entry_hardlink(e), "etc/passwd");
	archive_entry_copy_hardlink(e, "../etc/passwd");
	assert_int_equal(take(e, path), -EINVAL);
	archive_entry_free(e);
}

static void devices_are_left_out(void **state)
{
	struct entry_rules all = {.depth = 8, .size = 1000, .devices = true};
	struct archive_entry *e = entry_of("null", AE_IFCHR);
	struct error error;
	char path[PATH_MAX];

	archive_entry_set_rdev(e, makedev(1, 3));
	assert_int_equal(take(e, path), ENTRY_LEFT_OUT);
	assert_int_equal(entry_take(e, &all, path, &error), ENTRY_PLAIN);
	/* It would be taken for a whiteout. */
	archive_entry_set_rdev(e, makedev(0, 0));
	assert_int_equal(entry_take(e, &all, path, &error), ENTRY_LEFT_OUT);
	archive_entry_free(e);
	assert_kind("socket", AE_IFSOCK, ENTRY_LEFT_OUT, NULL);
}

static void marks_of_the_overlay_are_not_taken(void **state)
{
	static const struct {
		const char *name;
		bool taken;
	} names[] = {
		{"trusted.overlay.opaque", false}, {"trusted.x", false},	 {"user.overlay.redirect", false},
		{"security.selinux", false},	   {"security.capability", true}, {"user.mine", true},
		{"system.posix_acl_access", true},
	};
	struct archive_entry *e = entry_of("a", AE_IFDIR);
	char path[PATH_MAX];
	const char *name;
	const void *value;
	size_t size, taken = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		archive_entry_xattr_add_entry(e, names[i].name, "v", 1);
	assert_int_equal(take(e, path), ENTRY_PLAIN);
	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &size) == 0) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(names[i].name, name))
				assert_true(names[i].taken);
		taken++;
	}
	assert_int_equal(taken, 3);
	archive_entry_free(e);
}

static void files_have_a_limit(void **state)
{
	struct archive_entry *e = entry_of("a", AE_IFREG);
	char path[PATH_MAX];

	archive_entry_set_size(e, 1000);
	assert_int_equal(take(e, path), ENTRY_PLAIN);
	archive_entry_set_size(e, 1001);
	assert_int_equal(take(e, path), -EINVAL);
	archive_entry_free(e);
}

static void digests_are_what_they_should(void **state)
{
	char hex[DIGEST_HEX];
	struct digest *d = digest_new();

	digest_add(d, "a", 1);
	digest_add(d, "bc", 2);
	digest_hex(d, hex);
	digest_free(d);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_null(digest_of_words("sha512:00"));
	assert_null(digest_of_words("sha256:../../etc"));
	assert_null(digest_of_words("sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_made_relative),
		cmocka_unit_test(names_that_lead_outside_are_refused),
		cmocka_unit_test(whiteouts_are_recognised),
		cmocka_unit_test(hard_links_lead_nowhere_else),
		cmocka_unit_test(devices_are_left_out),
		cmocka_unit_test(marks_of_the_overlay_are_not_taken),
		cmocka_unit_test(files_have_a_limit),
		cmocka_unit_test(digests_are_what_they_should),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
