/* SPDX-License-Identifier: Apache-2.0 */
/* Mount tables as the kernel writes them, and as it never would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "service/mountinfo.h"

static int read_text(const char *text, struct mount_list *ret)
{
	FILE *from = fmemopen((void *)text, strlen(text), "r");
	int r = mount_list_read(from, ret);

	fclose(from);
	return r;
}

static void fields_are_read(void **state)
{
	struct mount_list list;

	assert_int_equal(read_text("195 261 0:83 / / rw,nodev - fuse.polytropon fast rw\n"
				   "196 195 8:1 /a\\040b /mnt/x\\134y\\011 ro,nosuid shared:1 - ext4 /dev/x rw\n"
				   "197 195 0:9 / /rw rw,nosymfollow - tmpfs none ro\n",
				   &list),
			 0);
	assert_int_equal(list.count, 3);
	assert_int_equal(list.line[1].dev, makedev(8, 1));
	assert_string_equal(list.line[1].root, "/a b");
	assert_string_equal(list.line[1].point, "/mnt/x\\y\t");
	assert_false(list.line[0].limited);
	assert_true(list.line[1].limited);
	assert_true(list.line[2].limited);
	assert_ptr_equal(mount_list_find(&list, 196), &list.line[1]);
	assert_null(mount_list_find(&list, 261));
	mount_list_fini(&list);
}

static void broken_lines_are_refused(void **state)
{
	static const char *const broken[] = {"1 2 0:1 / /", "1 2 x / / rw", "x", " ", "1 2 0:1 / / ", "\n"};
	struct mount_list list;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(read_text(broken[i], &list), -EPROTO);
	assert_int_equal(read_text("1 2 0:1 / /a\\04 rw - x y z\n", &list), 0);
	assert_string_equal(list.line[0].point, "/a\\04");
	mount_list_fini(&list);
}

static void places_are_found_below_their_parents(void **state)
{
	static const struct {
		const char *root, *point, *child, *wanted; /* NULL: it is not below */
	} cases[] = {
		{"/", "/", "/proc", "/proc"},
		{"/", "/mnt", "/mnt/a/b", "/a/b"},
		{"/sub", "/mnt", "/mnt/a", "/sub/a"},
		{"/sub", "/mnt", "/mnt", "/sub"},
		{"/", "/mnt", "/mnt", ""},
		{"/", "/mnt", "/mnt2", NULL},
		{"/", "/mnt/long", "/mnt", NULL},
	};
	char path[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mount_line parent = {.root = (char *)cases[i].root, .point = (char *)cases[i].point};
		struct mount_line line = {.point = (char *)cases[i].child};
		int r = mount_line_under(&line, &parent, path, sizeof(path));
		assert_int_equal(r, cases[i].wanted ? 0 : -EPROTO);
		if (cases[i].wanted)
			assert_string_equal(path, cases[i].wanted);
	}
	assert_int_equal(mount_line_under(&(struct mount_line){.point = "/mnt/abcdef"},
					  &(struct mount_line){.root = "/", .point = "/mnt"}, path, 4), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(broken_lines_are_refused),
		cmocka_unit_test(places_are_found_below_their_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
