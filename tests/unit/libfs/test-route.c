/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths are ours, by their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "libfs/fs.h"
#include "tests/unit/libfs/fake-front.h"

/* "mount:rest", or "-" for the kernel's. */
static void routes(const char *path, const char *wanted)
{
	char got[5000] = "-";
	struct fs_object o;

	if (fs_route(path, &o))
		snprintf(got, sizeof(got), "%u:%.*s", o.mount, (int)o.len, o.path);
	if (strcmp(got, wanted))
		fail_msg("%s leads to '%s', not '%s'", path, got, wanted);
}

static void plain(void **state)
{
	routes("/data/a/b", "0:a/b");
	routes("/data", "0:");
	routes("/data/", "0:");
	routes("/data/a/", "0:a/");
	routes("/dat", "-");
	routes("/database", "-");
	routes("/", "-");
	routes("/etc/passwd", "-");
	routes("/data/.hidden", "0:.hidden");
}

static void slashes_and_dots(void **state)
{
	routes("//data//a//b", "0:a//b");
	routes("/./data/./a/./b", "0:a/./b");
	routes("/data/.", "0:");
	routes("/data/..", "0:..");
	routes("/data/../etc", "0:../etc"); /* the service says that it leaves */
	routes("/x/../data/a", "-");
	routes("/../data/a", "-");
}

static void longest_wins(void **state)
{
	routes("/srv/one/a", "1:a");
	routes("/srv/one/two/a", "2:a");
	routes("/srv/one/twofold", "1:twofold");
	routes("/srv", "-");
	routes("/srv/one/kernel/a", "-");
	routes("/srv/one/kernels", "1:kernels");
}

static void routes_from(const char *dir, const char *path, const char *wanted)
{
	char got[5000] = "-";
	struct fs_object o;

	if (fs_route_from(dir, (uint32_t)strlen(dir), path, &o))
		snprintf(got, sizeof(got), "%u:%.*s", o.mount, (int)o.len, o.path);
	if (strcmp(got, wanted))
		fail_msg("%s from %s leads to '%s', not '%s'", path, dir, got, wanted);
}

/* Relative paths from directories of the kernel's. */
static void from_above(void **state)
{
	routes_from("/", "data/a", "0:a");
	routes_from("/", "./data//a", "0:a");
	routes_from("/", "data", "0:");
	routes_from("/", "database", "-");
	routes_from("/", "../data", "-");
	routes_from("/", "", "-");
	routes_from("/data", "a/b", "0:a/b");
	routes_from("/data", "", "0:");
	routes_from("/srv", "one/a", "1:a");
	routes_from("/srv", "one/two/a", "2:a");
	routes_from("/srv", "onetwo", "-");
	routes_from("/srv/one", "two", "2:");
	routes_from("/srv/one", "twofold", "1:twofold");
	routes_from("/srv/one", "kernel/a", "-");
	routes_from("/sr", "v/one/a", "-");
	assert_true(fs_route_above("/", 1) && fs_route_above("/srv", 4) && fs_route_above("/data", 5));
	assert_false(fs_route_above("/dat", 4) || fs_route_above("/data/a", 7) || fs_route_above("/usr", 4));
}

static void root_mount(void **state)
{
	fake_mount(4, "/", WIRE_MOUNT_FUSE, 99);
	routes("/", "4:");
	routes("/etc/passwd", "4:etc/passwd");
	routes("//etc", "4:etc");
	routes("/data/a", "0:a");
	routes("/proc/self/fd", "-");
	routes("/dev/null", "-");
	routes("/sys", "-");
	routes("/process", "4:process");
	routes("/run/polytropon/socket", "-");
	routes("/run/polytropon2", "4:run/polytropon2");
	fake_table.mount_count = 4;
}

static void too_long(void **state)
{
	char path[5000];

	memset(path, 'a', sizeof(path));
	memcpy(path, "/data/", 6);
	path[4095] = 0;
	assert_true(path[4094] == 'a');
	{
		struct fs_object o;
		assert_int_equal(fs_route(path, &o), 1);
		assert_int_equal(o.len, 4095 - 6);
		path[4095] = 'a';
		path[4096] = 0;
		assert_int_equal(fs_route(path, &o), 0);
	}
}

static void by_device(void **state)
{
	assert_int_equal(fs_route_dev(10), 0);
	assert_int_equal(fs_route_dev(11), 1);
	assert_int_equal(fs_route_dev(13), -1); /* the kernel's */
	assert_int_equal(fs_route_dev(5), -1);
}

static int setup(void **state)
{
	fake_mount(0, "/data", WIRE_MOUNT_FUSE, 10);
	fake_mount(1, "/srv/one", WIRE_MOUNT_FUSE, 11);
	fake_mount(2, "/srv/one/two", WIRE_MOUNT_FUSE, 12);
	fake_mount(3, "/srv/one/kernel", WIRE_MOUNT_KERNEL, 13);
	return fs_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),	cmocka_unit_test(slashes_and_dots), cmocka_unit_test(longest_wins),
		cmocka_unit_test(from_above),
		cmocka_unit_test(root_mount),	cmocka_unit_test(too_long),	    cmocka_unit_test(by_device),
	};

	return cmocka_run_group_tests(tests, setup, NULL) != 0;
}
