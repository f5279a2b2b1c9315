/* SPDX-License-Identifier: Apache-2.0 */
/* From paths to inodes: links, dots, slashes, permissions, and where a walk leaves the instance. */
#include <errno.h>
#include <json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/wire.h"
#include "service/walk.h"

static struct instance *fs;
static struct caller root;

static struct inode *at(const char *path)
{
	struct walk w;
	struct inode *inode;

	assert_int_equal(walk(&root, fs->root, "", path, 0, &w), 0);
	inode = inode_ref(w.inode);
	walk_end(&w);
	return inode;
}

static void make_dir(const char *dir, const char *name, mode_t mode)
{
	struct inode *d = at(dir);
	struct entry e;

	assert_int_equal(vfs_mkdir(&root, d, name, mode, &e), 0);
	inode_unref(e.inode);
	inode_unref(d);
}

static void make_file(const char *dir, const char *name)
{
	struct inode *d = at(dir);
	struct entry e;

	assert_int_equal(vfs_mknod(&root, d, name, S_IFREG | 0644, 0, 0, &e), 0);
	inode_unref(e.inode);
	inode_unref(d);
}

static void make_link(const char *dir, const char *name, const char *target)
{
	struct inode *d = at(dir);
	struct entry e;

	assert_int_equal(vfs_symlink(&root, d, name, target, &e), 0);
	inode_unref(e.inode);
	inode_unref(d);
}

static int setup(void **state)
{
	struct json_object *stack = json_tokener_parse("{\"mem\": {}}");
	char error[256] = "";
	struct ls *ls;

	caller_init(&root, DOOR_SELF, "test", 0, 0, 0);
	if (ls_stack_check(stack, error, sizeof(error)) < 0 ||
	    ls_stack_open(stack, "test", &ls, error, sizeof(error)) < 0 || instance_new(ls, "test", "/data", 0, &fs) < 0) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	json_object_put(stack);
	make_dir("", "d", 0755);
	make_dir("d", "e", 0755);
	make_file("d", "f");
	make_dir("", "private", 0700);
	make_file("private", "secret");
	make_link("", "to-d", "d");
	make_link("", "to-f", "d/f");
	make_link("d", "up", "../d/e");
	make_link("", "out", "../etc/passwd");
	make_link("", "absolute", "/etc/passwd");
	make_link("", "home", "/data/d/f");
	make_link("", "dangling", "d/new");
	make_link("", "loop", "loop");
	return 0;
}

static int teardown(void **state)
{
	fs = instance_free(fs);
	return 0;
}

/* Where a path leads, relative to the root; or the error. */
static int leads(struct caller *c, const char *path, unsigned flags, char *ret)
{
	struct walk w;
	int r = walk(c, fs->root, "", path, flags, &w);

	if (r < 0)
		return r;
	sprintf(ret, "%s%s", w.path, w.inode ? "" : "?");
	walk_end(&w);
	return 0;
}

static void check(const char *path, unsigned flags, int result, const char *where)
{
	char got[PATH_MAX + 2] = "";

	assert_int_equal(leads(&root, path, flags, got), result);
	if (where)
		assert_string_equal(got, where);
}

static void plain_paths(void **state)
{
	check("", 0, 0, "");
	check("d", 0, 0, "d");
	check("//d///e//", 0, 0, "d/e");
	check("d/./e/../f", 0, 0, "d/f");
	check("d/x", 0, -ENOENT, NULL);
	check("x/y", WALK_CREATE, -ENOENT, NULL);
	check("d/x", WALK_CREATE, 0, "d/x?");
	check("d/f/x", 0, -ENOTDIR, NULL);
	check("d/f/", 0, -ENOTDIR, NULL);
	check("d/f/..", 0, -ENOTDIR, NULL);
	check("d/f/.", 0, -ENOTDIR, NULL);
}

static void symbolic_links(void **state)
{
	check("to-f", 0, 0, "to-f");
	check("to-f", WALK_FOLLOW, 0, "d/f");
	check("to-d/f", 0, 0, "d/f");
	check("to-d", 0, 0, "to-d");
	check("to-d/", 0, 0, "d");
	check("to-d/", WALK_PARENT, 0, "to-d");
	check("d/up", WALK_FOLLOW, 0, "d/e");
	check("d/up/../f", 0, 0, "d/f");
	check("loop", WALK_FOLLOW, -ELOOP, NULL);
	check("loop", 0, 0, "loop");
	check("dangling", WALK_FOLLOW, -ENOENT, NULL);
	check("dangling", WALK_FOLLOW | WALK_CREATE, 0, "d/new?");
	check("home", WALK_FOLLOW, 0, "d/f");
}

static void what_leaves_the_instance(void **state)
{
	check("..", 0, WIRE_ESCAPE, NULL);
	check("d/../../x", 0, WIRE_ESCAPE, NULL);
	check("out", WALK_FOLLOW, WIRE_ESCAPE, NULL);
	check("absolute", WALK_FOLLOW, WIRE_ESCAPE, NULL);
	check("absolute", 0, 0, "absolute");
}

static void names_and_paths_too_long(void **state)
{
	char name[NAME_MAX + 2];

	memset(name, 'a', sizeof(name));
	name[NAME_MAX] = 0;
	check(name, 0, -ENOENT, NULL);
	name[NAME_MAX] = 'a';
	name[NAME_MAX + 1] = 0;
	check(name, 0, -ENAMETOOLONG, NULL);
}

static void search_permission_counts_at_each_step(void **state)
{
	struct caller user;
	char got[PATH_MAX];

	caller_init(&user, DOOR_PRELOAD, "test", 1000, 1000, 0);
	user.groups_known = true;
	assert_int_equal(leads(&user, "private", 0, got), 0);
	assert_int_equal(leads(&user, "private/secret", 0, got), -EACCES);
	assert_int_equal(leads(&user, "private/nothing", 0, got), -EACCES);
	assert_int_equal(leads(&user, "private/..", 0, got), -EACCES);
	assert_int_equal(leads(&user, "d/f", 0, got), 0);
}

static void what_the_last_component_was(void **state)
{
	static const struct {
		const char *path;
		enum last_kind kind;
		bool slash;
	} cases[] = {{"", LAST_ROOT, false},	{"d", LAST_NORMAL, false}, {"d/", LAST_NORMAL, true},
		     {"d/.", LAST_DOT, false},	{"d/e/..", LAST_DOTDOT, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct walk w;
		assert_int_equal(walk(&root, fs->root, "", cases[i].path, WALK_PARENT, &w), 0);
		assert_int_equal(w.kind, cases[i].kind);
		assert_int_equal(w.slash, cases[i].slash);
		walk_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_paths),
		cmocka_unit_test(symbolic_links),
		cmocka_unit_test(what_leaves_the_instance),
		cmocka_unit_test(names_and_paths_too_long),
		cmocka_unit_test(search_permission_counts_at_each_step),
		cmocka_unit_test(what_the_last_component_was),
	};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
