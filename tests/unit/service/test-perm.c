/* SPDX-License-Identifier: Apache-2.0 */
/* The permission rules, case by case. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/perm.h"

static const gid_t groups[] = {50, 60};

static struct caller who(uid_t uid, gid_t gid)
{
	struct caller c;

	caller_init(&c, DOOR_PRELOAD, "test", uid, gid, 0);
	c.groups_known = true;
	c.cred.groups = groups;
	c.cred.group_count = 2;
	return c;
}

static struct ls_attr file(mode_t mode, uid_t uid, gid_t gid)
{
	return (struct ls_attr){.mode = mode, .uid = uid, .gid = gid};
}

static void the_first_matching_class_decides(void **state)
{
	struct ls_attr a = file(S_IFREG | 0047, 1, 50);
	struct caller owner = who(1, 1), member = who(2, 2), other = who(3, 3);

	other.cred.group_count = 0;
	assert_int_equal(perm_access(&owner, &a, MAY_READ), -EACCES); /* though others may */
	assert_int_equal(perm_access(&member, &a, MAY_READ), 0);
	assert_int_equal(perm_access(&member, &a, MAY_WRITE), -EACCES);
	assert_int_equal(perm_access(&other, &a, MAY_READ | MAY_WRITE | MAY_EXEC), 0);
}

static void root_needs_one_execute_bit(void **state)
{
	struct caller root = who(0, 0);
	struct ls_attr none = file(S_IFREG | 0644, 1, 1), some = file(S_IFREG | 0645, 1, 1),
		       dir = file(S_IFDIR | 0000, 1, 1);

	assert_int_equal(perm_access(&root, &none, MAY_EXEC), -EACCES);
	assert_int_equal(perm_access(&root, &some, MAY_EXEC), 0);
	assert_int_equal(perm_access(&root, &none, MAY_READ | MAY_WRITE), 0);
	assert_int_equal(perm_access(&root, &dir, MAY_EXEC | MAY_WRITE), 0);
}

static void sticky_directories_protect_files_of_others(void **state)
{
	struct ls_attr dir = file(S_IFDIR | 01777, 9, 9), theirs = file(S_IFREG | 0666, 2, 2);
	struct caller me = who(1, 1), them = who(2, 2), dir_owner = who(9, 9), root = who(0, 0);

	assert_int_equal(perm_delete(&me, &dir, &theirs), -EPERM);
	assert_int_equal(perm_delete(&them, &dir, &theirs), 0);
	assert_int_equal(perm_delete(&dir_owner, &dir, &theirs), 0);
	assert_int_equal(perm_delete(&root, &dir, &theirs), 0);
	dir.mode = S_IFDIR | 0755;
	assert_int_equal(perm_delete(&them, &dir, &theirs), -EACCES);
}

static void chown_is_for_root_but_for_own_groups(void **state)
{
	struct ls_attr old = file(S_IFREG | 06755, 1, 1), in = {.uid = 1, .gid = 60};
	struct caller me = who(1, 1);
	unsigned set = LS_SET_GID;

	assert_int_equal(perm_setattr(&me, &old, &in, &set, false), 0);
	assert_true(set & LS_SET_MODE); /* set-id bits go */
	assert_int_equal(in.mode & 07777, 0755);
	set = LS_SET_GID;
	in.gid = 70;
	assert_int_equal(perm_setattr(&me, &old, &in, &set, false), -EPERM);
	set = LS_SET_UID;
	in.uid = 2;
	assert_int_equal(perm_setattr(&me, &old, &in, &set, false), -EPERM);
}

static void chmod_by_a_stranger_to_the_group_drops_setgid(void **state)
{
	struct ls_attr old = file(S_IFREG | 0644, 1, 70), in = {.mode = 02755};
	struct caller me = who(1, 1), you = who(2, 2);
	unsigned set = LS_SET_MODE;

	assert_int_equal(perm_setattr(&you, &old, &in, &set, false), -EPERM);
	assert_int_equal(perm_setattr(&me, &old, &in, &set, false), 0);
	assert_int_equal(in.mode & 07777, 0755);
}

static void times_need_ownership_unless_both_are_now(void **state)
{
	struct ls_attr old = file(S_IFREG | 0666, 1, 1), in = {0};
	struct caller you = who(2, 2);
	unsigned set = LS_SET_ATIME | LS_SET_MTIME | LS_SET_ATIME_NOW | LS_SET_MTIME_NOW;

	assert_int_equal(perm_setattr(&you, &old, &in, &set, false), 0);
	old.mode = S_IFREG | 0644;
	assert_int_equal(perm_setattr(&you, &old, &in, &set, false), -EACCES);
	set = LS_SET_MTIME;
	assert_int_equal(perm_setattr(&you, &old, &in, &set, false), -EPERM);
}

static void setgid_directories_hand_down_their_group(void **state)
{
	struct ls_attr dir = file(S_IFDIR | 02775, 9, 70);
	struct caller me = who(1, 1);
	mode_t mode = S_IFDIR | 0755;
	gid_t gid;

	perm_new(&me, &dir, &mode, &gid);
	assert_int_equal(gid, 70);
	assert_int_equal(mode & 07777, 02755);
	mode = S_IFREG | 02755; /* not a member of 70 */
	perm_new(&me, &dir, &mode, &gid);
	assert_int_equal(mode & 07777, 0755);
	dir.mode = S_IFDIR | 0775;
	perm_new(&me, &dir, &mode, &gid);
	assert_int_equal(gid, 1);
}

static void writing_takes_set_id_bits(void **state)
{
	struct ls_attr a = file(S_IFREG | 06755, 1, 1), data_lock = file(S_IFREG | 02644, 1, 50);
	struct caller me = who(1, 1), root = who(0, 0);
	mode_t mode;

	assert_true(perm_write_strips(&me, &a, &mode));
	assert_int_equal(mode & 07777, 0755);
	assert_false(perm_write_strips(&root, &a, &mode));
	assert_false(perm_write_strips(&me, &data_lock, &mode)); /* no group execute: a member keeps it */
}

static void classes_of_extended_attributes(void **state)
{
	struct ls_attr a = file(S_IFREG | 0644, 1, 1), link = file(S_IFLNK | 0777, 1, 1);
	struct caller me = who(1, 1), you = who(2, 2), root = who(0, 0);

	assert_int_equal(perm_xattr(&me, &a, "user.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&you, &a, "user.x", MAY_WRITE), -EACCES);
	assert_int_equal(perm_xattr(&you, &a, "user.x", MAY_READ), 0);
	assert_int_equal(perm_xattr(&me, &link, "user.x", MAY_WRITE), -EPERM);
	assert_int_equal(perm_xattr(&me, &a, "trusted.x", MAY_WRITE), -EPERM);
	assert_int_equal(perm_xattr(&me, &a, "trusted.x", MAY_READ), -ENODATA);
	assert_int_equal(perm_xattr(&root, &a, "trusted.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&me, &a, "nonsense", MAY_READ), -EOPNOTSUPP);
}

static void opening_checks_both_directions(void **state)
{
	struct ls_attr a = file(S_IFREG | 0444, 1, 1), dir = file(S_IFDIR | 0777, 1, 1), run = file(S_IFREG | 0111, 2, 2);
	struct caller me = who(1, 1);

	assert_int_equal(perm_open(&me, &a, O_RDONLY), 0);
	assert_int_equal(perm_open(&me, &a, O_RDWR), -EACCES);
	assert_int_equal(perm_open(&me, &a, O_RDONLY | O_TRUNC), -EACCES);
	assert_int_equal(perm_open(&me, &dir, O_WRONLY), -EISDIR);
	assert_int_equal(perm_open(&me, &run, O_RDONLY), -EACCES);
	assert_int_equal(perm_open(&me, &run, O_RDONLY | OPEN_EXEC), 0);
	a.uid = 2;
	assert_int_equal(perm_open(&me, &a, O_RDONLY | O_NOATIME), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_matching_class_decides),
		cmocka_unit_test(root_needs_one_execute_bit),
		cmocka_unit_test(sticky_directories_protect_files_of_others),
		cmocka_unit_test(chown_is_for_root_but_for_own_groups),
		cmocka_unit_test(chmod_by_a_stranger_to_the_group_drops_setgid),
		cmocka_unit_test(times_need_ownership_unless_both_are_now),
		cmocka_unit_test(setgid_directories_hand_down_their_group),
		cmocka_unit_test(writing_takes_set_id_bits),
		cmocka_unit_test(classes_of_extended_attributes),
		cmocka_unit_test(opening_checks_both_directions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
