/* SPDX-License-Identifier: Apache-2.0 */
/* The permission rules, case by case. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	assert_int_equal(perm_access(&owner, NULL, &a, MAY_READ), -EACCES); /* though others may */
	assert_int_equal(perm_access(&member, NULL, &a, MAY_READ), 0);
	assert_int_equal(perm_access(&member, NULL, &a, MAY_WRITE), -EACCES);
	assert_int_equal(perm_access(&other, NULL, &a, MAY_READ | MAY_WRITE | MAY_EXEC), 0);
}

static void root_needs_one_execute_bit(void **state)
{
	struct caller root = who(0, 0);
	struct ls_attr none = file(S_IFREG | 0644, 1, 1), some = file(S_IFREG | 0645, 1, 1),
		       dir = file(S_IFDIR | 0000, 1, 1);

	assert_int_equal(perm_access(&root, NULL, &none, MAY_EXEC), -EACCES);
	assert_int_equal(perm_access(&root, NULL, &some, MAY_EXEC), 0);
	assert_int_equal(perm_access(&root, NULL, &none, MAY_READ | MAY_WRITE), 0);
	assert_int_equal(perm_access(&root, NULL, &dir, MAY_EXEC | MAY_WRITE), 0);
}

static void sticky_directories_protect_files_of_others(void **state)
{
	struct ls_attr dir = file(S_IFDIR | 01777, 9, 9), theirs = file(S_IFREG | 0666, 2, 2);
	struct caller me = who(1, 1), them = who(2, 2), dir_owner = who(9, 9), root = who(0, 0);

	assert_int_equal(perm_delete(&me, NULL, &dir, &theirs), -EPERM);
	assert_int_equal(perm_delete(&them, NULL, &dir, &theirs), 0);
	assert_int_equal(perm_delete(&dir_owner, NULL, &dir, &theirs), 0);
	assert_int_equal(perm_delete(&root, NULL, &dir, &theirs), 0);
	dir.mode = S_IFDIR | 0755;
	assert_int_equal(perm_delete(&them, NULL, &dir, &theirs), -EACCES);
}

static void chown_is_for_root_but_for_own_groups(void **state)
{
	struct ls_attr old = file(S_IFREG | 06755, 1, 1), in = {.uid = 1, .gid = 60};
	struct caller me = who(1, 1);
	unsigned set = LS_SET_GID;

	assert_int_equal(perm_setattr(&me, NULL, &old, &in, &set, false), 0);
	assert_true(set & LS_SET_MODE); /* set-id bits go */
	assert_int_equal(in.mode & 07777, 0755);
	set = LS_SET_GID;
	in.gid = 70;
	assert_int_equal(perm_setattr(&me, NULL, &old, &in, &set, false), -EPERM);
	set = LS_SET_UID;
	in.uid = 2;
	assert_int_equal(perm_setattr(&me, NULL, &old, &in, &set, false), -EPERM);
}

static void chmod_by_a_stranger_to_the_group_drops_setgid(void **state)
{
	struct ls_attr old = file(S_IFREG | 0644, 1, 70), in = {.mode = 02755};
	struct caller me = who(1, 1), you = who(2, 2);
	unsigned set = LS_SET_MODE;

	assert_int_equal(perm_setattr(&you, NULL, &old, &in, &set, false), -EPERM);
	assert_int_equal(perm_setattr(&me, NULL, &old, &in, &set, false), 0);
	assert_int_equal(in.mode & 07777, 0755);
}

static void times_need_ownership_unless_both_are_now(void **state)
{
	struct ls_attr old = file(S_IFREG | 0666, 1, 1), in = {0};
	struct caller you = who(2, 2);
	unsigned set = LS_SET_ATIME | LS_SET_MTIME | LS_SET_ATIME_NOW | LS_SET_MTIME_NOW;

	assert_int_equal(perm_setattr(&you, NULL, &old, &in, &set, false), 0);
	old.mode = S_IFREG | 0644;
	assert_int_equal(perm_setattr(&you, NULL, &old, &in, &set, false), -EACCES);
	set = LS_SET_MTIME;
	assert_int_equal(perm_setattr(&you, NULL, &old, &in, &set, false), -EPERM);
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

	assert_int_equal(perm_xattr(&me, NULL, &a, "user.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&you, NULL, &a, "user.x", MAY_WRITE), -EACCES);
	assert_int_equal(perm_xattr(&you, NULL, &a, "user.x", MAY_READ), 0);
	assert_int_equal(perm_xattr(&me, NULL, &link, "user.x", MAY_WRITE), -EPERM);
	assert_int_equal(perm_xattr(&me, NULL, &a, "trusted.x", MAY_WRITE), -EPERM);
	assert_int_equal(perm_xattr(&me, NULL, &a, "trusted.x", MAY_READ), -ENODATA);
	root.door = DOOR_FUSE; /* the kernel knows what root may */
	assert_int_equal(perm_xattr(&root, NULL, &a, "trusted.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&root, NULL, &a, "security.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&me, NULL, &a, "nonsense", MAY_READ), -EOPNOTSUPP);
}

static void opening_checks_both_directions(void **state)
{
	struct ls_attr a = file(S_IFREG | 0444, 1, 1), dir = file(S_IFDIR | 0777, 1, 1), run = file(S_IFREG | 0111, 2, 2);
	struct caller me = who(1, 1);

	assert_int_equal(perm_open(&me, NULL, &a, O_RDONLY), 0);
	assert_int_equal(perm_open(&me, NULL, &a, O_RDWR), -EACCES);
	assert_int_equal(perm_open(&me, NULL, &a, O_RDONLY | O_TRUNC), -EACCES);
	assert_int_equal(perm_open(&me, NULL, &dir, O_WRONLY), -EISDIR);
	assert_int_equal(perm_open(&me, NULL, &run, O_RDONLY), -EACCES);
	assert_int_equal(perm_open(&me, NULL, &run, O_RDONLY | OPEN_EXEC), 0);
	a.uid = 2;
	assert_int_equal(perm_open(&me, NULL, &a, O_RDONLY | O_NOATIME), -EPERM);
}

/* Root that has these capabilities, in a directory that stands for the host's /proc. */
static struct caller root_with(const char *capabilities)
{
	struct caller root = who(0, 0);
	int fd = openat(cred_proc_fd, "7/status", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	dprintf(fd, "Name:\troot\nUmask:\t0022\nPPid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \nCapEff:\t%s\n",
		capabilities);
	close(fd);
	root.pid = 7;
	return root;
}

static void what_takes_a_capability_takes_it_of_root_too(void **state)
{
	char top[] = "/tmp/perm-XXXXXX";
	struct ls_attr a = file(S_IFREG | 0644, 1, 1);
	struct caller root;

	assert_non_null(mkdtemp(top));
	cred_proc_fd = open(top, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(cred_proc_fd, "7", 0755), 0);
	root = root_with("00000000a80425fb"); /* a container's */
	assert_int_equal(perm_xattr(&root, NULL, &a, "trusted.x", MAY_WRITE), -EPERM);
	assert_int_equal(perm_xattr(&root, NULL, &a, "trusted.x", MAY_READ), -ENODATA);
	assert_int_equal(perm_xattr(&root, NULL, &a, "security.x", MAY_WRITE), -EPERM);
	assert_int_equal(perm_xattr(&root, NULL, &a, "security.x", MAY_READ), 0);
	assert_int_equal(perm_xattr(&root, NULL, &a, "security.capability", MAY_WRITE), 0);
	root = root_with("0000000000200000"); /* CAP_SYS_ADMIN */
	assert_int_equal(perm_xattr(&root, NULL, &a, "trusted.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&root, NULL, &a, "security.x", MAY_WRITE), 0);
	assert_int_equal(perm_xattr(&root, NULL, &a, "security.capability", MAY_WRITE), -EPERM);
	root.pid = 8; /* it has ended */
	assert_int_equal(perm_xattr(&root, NULL, &a, "trusted.x", MAY_WRITE), -EPERM);
	unlinkat(cred_proc_fd, "7/status", 0);
	unlinkat(cred_proc_fd, "7", AT_REMOVEDIR);
	close(cred_proc_fd);
	cred_proc_fd = -1;
	assert_int_equal(rmdir(top), 0);
}

/* ---- fs.protected_* ----------------------------------------------------------------------------------- */

/* What the host's settings are, in a directory that stands for its /proc. */
static void host_says(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "sys/fs/protected_%s", name);
	fd = openat(cred_proc_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

static void the_hosts_settings_count_as_they_are_now(void **state)
{
	char top[] = "/tmp/perm-XXXXXX";
	struct ls_attr open_dir = file(S_IFDIR | 01777, 9, 9), group_dir = file(S_IFDIR | 01770, 9, 9);
	struct ls_attr theirs = file(S_IFREG | 0644, 2, 2), fifo = file(S_IFIFO | 0666, 2, 2), link = file(S_IFLNK | 0777, 2, 2);
	struct caller me = who(1, 1), them = who(2, 2);

	assert_non_null(mkdtemp(top));
	cred_proc_fd = open(top, O_RDONLY | O_DIRECTORY);
	/* Nothing is said. */
	assert_int_equal(perm_hardlink(&me, NULL, &theirs), 0);
	assert_int_equal(perm_follow(&me, &open_dir, &link), 0);
	assert_int_equal(perm_create_existing(&me, &open_dir, &theirs, O_CREAT), 0);
	assert_int_equal(mkdirat(cred_proc_fd, "sys", 0755) | mkdirat(cred_proc_fd, "sys/fs", 0755), 0);
	for (int on = 1; on >= 0; on--) {
		host_says("hardlinks", on ? "1\n" : "0\n");
		host_says("symlinks", on ? "1\n" : "0\n");
		host_says("fifos", on ? "1\n" : "0\n");
		host_says("regular", on ? "2\n" : "1\n");
		assert_int_equal(perm_hardlink(&me, NULL, &theirs), on ? -EPERM : 0);
		assert_int_equal(perm_hardlink(&them, NULL, &theirs), 0);
		assert_int_equal(perm_follow(&me, &open_dir, &link), on ? -EACCES : 0);
		assert_int_equal(perm_follow(&them, &open_dir, &link), 0);
		assert_int_equal(perm_follow(&me, &group_dir, &link), 0);
		assert_int_equal(perm_create_existing(&me, &open_dir, &fifo, O_CREAT), on ? -EACCES : 0);
		assert_int_equal(perm_create_existing(&me, &group_dir, &fifo, O_CREAT), 0);
		assert_int_equal(perm_create_existing(&me, &open_dir, &theirs, O_CREAT), -EACCES);
		assert_int_equal(perm_create_existing(&me, &open_dir, &theirs, 0), 0);
		assert_int_equal(perm_create_existing(&me, &group_dir, &theirs, O_CREAT), on ? -EACCES : 0);
		assert_int_equal(perm_create_existing(&them, &open_dir, &theirs, O_CREAT), 0);
	}
	for (size_t i = 0; i < 4; i++)
		unlinkat(cred_proc_fd, (const char *const[]){"sys/fs/protected_hardlinks", "sys/fs/protected_symlinks",
							    "sys/fs/protected_fifos", "sys/fs/protected_regular"}[i], 0);
	unlinkat(cred_proc_fd, "sys/fs", AT_REMOVEDIR);
	unlinkat(cred_proc_fd, "sys", AT_REMOVEDIR);
	close(cred_proc_fd);
	cred_proc_fd = -1;
	rmdir(top);
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
		cmocka_unit_test(what_takes_a_capability_takes_it_of_root_too),
		cmocka_unit_test(opening_checks_both_directions),
		cmocka_unit_test(the_hosts_settings_count_as_they_are_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
