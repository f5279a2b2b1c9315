/* SPDX-License-Identifier: Apache-2.0 */
/* Containers in a store: what a clone stands on, and that a crash at any step of freezing one is made good. */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "service/clone.h"

static struct ls *ls;
static struct store st;
static char error[512];

static int begin(void **state)
{
	struct json_object *json = json_tokener_parse("{\"mem\": {}}");

	assert_int_equal(ls_stack_open(json, "t", &ls, error, sizeof(error)), 0);
	json_object_put(json);
	store_init(&st, ls, 0);
	assert_int_equal(clone_prepare(&st, error, sizeof(error)), 0);
	return 0;
}

static int end(void **state)
{
	ls = ls_stack_close(ls);
	return 0;
}

static struct ls_inode *dir_at(const char *path)
{
	struct ls_inode *dir = NULL;

	assert_int_equal(store_dir(&st, path, &dir, NULL), 0);
	return dir;
}

static void make(const char *parent, const char *name)
{
	struct ls_inode *dir = dir_at(parent), *made;

	assert_int_equal(store_make(&st, dir, name, 0755, &made), 0);
	store_put(&st, made);
	store_put(&st, dir);
}

static void put(const char *parent, const char *name, const char *text)
{
	struct ls_inode *dir = dir_at(parent);

	assert_int_equal(store_write(&st, dir, name, text), 0);
	store_put(&st, dir);
}

static void is(const char *parent, const char *name, const char *text)
{
	struct ls_inode *dir = dir_at(parent);
	char *got;

	assert_int_equal(store_read(&st, dir, name, &got), 0);
	assert_string_equal(got, text);
	free(got);
	store_put(&st, dir);
}

static bool there(const char *path)
{
	struct ls_inode *dir;

	if (store_dir(&st, path, &dir, NULL) < 0)
		return false;
	store_put(&st, dir);
	return true;
}

static void rename_to(const char *parent, const char *name, const char *parent2, const char *name2)
{
	struct ls_inode *dir = dir_at(parent), *dir2 = dir_at(parent2);

	assert_int_equal(ls_rename(ls, &st.call, dir, name, dir2, name2, 0), 0);
	store_put(&st, dir);
	store_put(&st, dir2);
}

static bool nobody_runs(void *arg, const char *name)
{
	return false;
}

static bool all_run(void *arg, const char *name)
{
	return true;
}

static int clone_of(const char *source, const char *name)
{
	*error = 0;
	return clone_make(&st, source, name, nobody_runs, NULL, error, sizeof(error));
}

static unsigned branches_of(const char *name)
{
	struct clone_branches b;
	unsigned n;

	assert_int_equal(clone_branches(&st, name, &b, error, sizeof(error)), 0);
	n = b.count;
	clone_branches_fini(&st, &b);
	return n;
}

static void image(void)
{
	make("layers", "aa");
	make("layers", "bb");
	make("images", "base");
	put("images/base", "layers", "sha256:bb\n\naa\n");
}

static void a_clone_stands_on_its_images_layers(void **state)
{
	image();
	assert_int_equal(clone_of("base", "one"), 0);
	is("containers/one", "lowers", "layers/bb\nlayers/aa\n");
	assert_int_equal(branches_of("one"), 3);
	assert_int_equal(clone_of("base", "one"), -EEXIST);
	assert_int_equal(clone_of("nothing", "two"), -ENOENT);
	assert_int_equal(clone_of("base", "a/b"), -EINVAL);
	assert_int_equal(clone_of("base", ".hidden"), -EINVAL);
	assert_int_equal(clone_of("../images/base", "two"), -EINVAL);
	assert_int_equal(clone_make(&st, "one", "two", all_run, NULL, error, sizeof(error)), -EBUSY);
	assert_string_equal(error, "container 'one' runs; a clone is made of one that does not");
}

static void what_was_changed_is_frozen(void **state)
{
	image();
	assert_int_equal(clone_of("base", "one"), 0);
	put("containers/one/upper", "f", "changed");
	assert_int_equal(clone_of("one", "two"), 0);
	assert_int_equal(branches_of("one"), 4);
	assert_int_equal(branches_of("two"), 4);
	assert_false(there("containers/one/upper/f"));
	assert_int_equal(clone_of("one", "three"), 0); /* there is nothing new to freeze */
	assert_int_equal(branches_of("three"), 4);
}

/* steps: how many of freezing were done before the crash. */
static void crash_after(int steps)
{
	static const char id[] = "0123456789abcdef";

	image();
	assert_int_equal(clone_of("base", "one"), 0);
	put("containers/one/upper", "f", "changed");
	if (steps > 0)
		put("containers/one", "freezing", id);
	if (steps > 1)
		rename_to("containers/one", "upper", "frozen", id);
	if (steps > 2)
		make("containers/one", "upper");
	if (steps > 3)
		put("containers/one", "lowers", "frozen/0123456789abcdef\nlayers/bb\nlayers/aa\n");
	assert_int_equal(branches_of("one"), steps > 0 ? 4 : 3);
	assert_int_equal(branches_of("one"), steps > 0 ? 4 : 3);
	if (steps > 0) {
		is("frozen/0123456789abcdef", "f", "changed");
		is("containers/one", "lowers", "frozen/0123456789abcdef\nlayers/bb\nlayers/aa\n");
	}
	assert_int_equal(clone_of("one", "two"), 0);
	assert_int_equal(branches_of("two"), 4);
}

static void a_crash_is_made_good(void **state)
{
	for (int steps = 0; steps <= 4; steps++) {
		end(NULL);
		begin(NULL);
		crash_after(steps);
	}
}

static void hostile_lists_lead_nowhere(void **state)
{
	static const char *const lists[] = {"../x\n", "layers/../layers/aa\n", "layers/none\n", "images/base/layers\n", "./layers/aa\n"};
	struct clone_branches b;

	image();
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		assert_int_equal(clone_of("base", "one"), 0);
		put("containers/one", "lowers", lists[i]);
		assert_true(clone_branches(&st, "one", &b, error, sizeof(error)) < 0);
		assert_int_equal(clone_remove(&st, "one", error, sizeof(error)), 0);
	}
	assert_int_equal(clone_of("base", "one"), 0);
	put("containers/one", "freezing", "../../../x");
	assert_int_equal(clone_branches(&st, "one", &b, error, sizeof(error)), -EINVAL);
}

static void chains_have_an_end(void **state)
{
	char name[16], last[16] = "c0";
	int r = 0, i;

	image();
	assert_int_equal(clone_of("base", last), 0);
	for (i = 1; i < 200 && r == 0; i++) {
		char path[64];
		snprintf(path, sizeof(path), "containers/%s/upper", last);
		put(path, "f", "x");
		snprintf(name, sizeof(name), "c%d", i);
		r = clone_of(last, name);
		strcpy(last, name);
	}
	assert_int_equal(r, -E2BIG);
	assert_non_null(strstr(error, "would stand on more than 128 layers"));
	/* The one that it was to be made of can be used as before, though it has no room for a clone. */
	snprintf(last, sizeof(last), "c%d", i - 2);
	assert_int_equal(branches_of(last), 129);
}

static void nothing_that_is_not_needed_stays(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool stop = false;

	image();
	assert_int_equal(clone_of("base", "one"), 0);
	put("containers/one/upper", "f", "x");
	make("containers/one/upper", "d");
	put("containers/one/upper/d", "g", "x");
	assert_int_equal(clone_of("one", "two"), 0);
	assert_int_equal(clone_remove(&st, "one", error, sizeof(error)), 0);
	clone_tidy(&st, &lock, &stop);
	assert_int_equal(branches_of("two"), 4);
	assert_int_equal(clone_remove(&st, "two", error, sizeof(error)), 0);
	assert_int_equal(clone_remove(&st, "two", error, sizeof(error)), -ENOENT);
	clone_tidy(&st, &lock, &stop);
	for (int i = 0; i < 2; i++) {
		struct ls_inode *dir = dir_at(i ? "frozen" : "trash");
		char *names;
		assert_int_equal(store_list(&st, dir, &names), 0);
		assert_string_equal(names, "");
		free(names);
		store_put(&st, dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_clone_stands_on_its_images_layers, begin, end),
		cmocka_unit_test_setup_teardown(what_was_changed_is_frozen, begin, end),
		cmocka_unit_test_setup_teardown(a_crash_is_made_good, begin, end),
		cmocka_unit_test_setup_teardown(hostile_lists_lead_nowhere, begin, end),
		cmocka_unit_test_setup_teardown(chains_have_an_end, begin, end),
		cmocka_unit_test_setup_teardown(nothing_that_is_not_needed_stays, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
