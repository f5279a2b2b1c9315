/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups: made with their limits, joined, and gone afterwards; what is not enforced is said. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <libcgroup.h>
#include <cmocka.h>

#include "engine/cgroup.h"

static const char *const controllers[GROUP_CONTROLLERS] = {"cpuset", "cpu", "memory"};

static const char *own_name(const char *name)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s.%d", name, getpid());
	return text;
}

static bool there(const struct group *g, int i)
{
	char *mount = NULL, path[512];
	bool found;

	if (cgroup_get_subsys_mount_point(controllers[i], &mount) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/%s", mount, g->name);
	found = access(path, F_OK) == 0;
	free(mount);
	return found;
}

static void limits_are_set_or_said(void **state)
{
	struct json_object *spec =
		json_tokener_parse("{\"cpus\": \"0\", \"cpu_weight\": \"50\", \"memory\": \"64M\"}");
	struct json_object *warnings = json_object_new_array();
	struct group group;
	size_t have = 0;

	group_make(&group, own_name("unit"), spec, warnings);
	assert_int_equal(strncmp(group.name, "polytropon/unit.", 16), 0);
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		assert_int_equal(there(&group, i), !!(group.have & 1u << i));
		have += there(&group, i);
	}
	assert_int_equal(json_object_array_length(warnings), GROUP_CONTROLLERS - have);
	assert_int_equal(group_remove(&group, false), 0);
	for (int i = 0; i < GROUP_CONTROLLERS; i++)
		assert_false(there(&group, i));
	json_object_put(spec);
	json_object_put(warnings);
}

static void a_group_with_a_process_stays(void **state)
{
	struct json_object *spec = json_object_new_object(), *warnings = json_object_new_array();
	struct group group;
	struct error error;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	group_make(&group, own_name("busy"), spec, warnings);
	assert_int_equal(json_object_array_length(warnings), 0); /* no limit was asked for */
	if (group.have) {
		assert_int_equal(group_join(&group, pid, &error), 0);
		assert_true(group_remove(&group, false) < 0);
		group_kill(&group);
	} else {
		kill(pid, SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(group_remove(&group, false), 0);
	json_object_put(spec);
	json_object_put(warnings);
}

static void limits_change(void **state)
{
	struct json_object *spec = json_object_new_object(), *warnings = json_object_new_array();
	struct group group;
	struct error error;

	group_make(&group, own_name("limits"), spec, warnings);
	if (group.have & 1u << GROUP_MEMORY) {
		assert_int_equal(group_limit(&group, "memory", "32M", &error), 0);
	} else {
		assert_true(group_limit(&group, "memory", "32M", &error) < 0);
		assert_non_null(strstr(error.text, "no cgroup of controller 'memory'"));
	}
	assert_int_equal(group_remove(&group, true), 0);
	json_object_put(spec);
	json_object_put(warnings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_set_or_said),
		cmocka_unit_test(a_group_with_a_process_stays),
		cmocka_unit_test(limits_change),
	};

	if (geteuid() != 0)
		return 77;
	groups_init();
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
