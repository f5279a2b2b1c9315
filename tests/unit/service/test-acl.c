/* SPDX-License-Identifier: Apache-2.0 */
/* ACLs: whom they allow what, and what new objects get; when a layer is slow to give it, or cannot. */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "service/acl.h"
#include "service/perm.h"
#include "service/vfs.h"

static struct instance *fs;
static struct caller root;
static struct ls below; /* the stack as it was */

/* What the layer is to do, and what it was asked. */
static struct {
	int fails;     /* setxattr, when this counts down to 0 */
	unsigned gets; /* getxattr */
	mode_t widest; /* what the mode of an inode was when it got an ACL */
} layer;

static int layer_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
			  const void *buf, size_t size, int flags)
{
	struct ls_attr attr;

	if (layer.fails && --layer.fails == 0)
		return -ENOSPC;
	assert_int_equal(ls_getattr(ls, call, inode, NULL, &attr), 0);
	layer.widest |= attr.mode;
	return below.op.setxattr.fn(below.op.setxattr.ls, call, inode, name, buf, size, flags);
}

static ssize_t layer_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
			      void *buf, size_t size)
{
	layer.gets++;
	return below.op.getxattr.fn(below.op.getxattr.ls, call, inode, name, buf, size);
}

static int setup(void **state)
{
	struct json_object *stack = json_tokener_parse("{\"mem\": {}}");
	char error[256] = "";
	struct ls *ls;

	caller_init(&root, DOOR_SELF, "test", 0, 0, 0);
	assert_int_equal(ls_stack_check(stack, error, sizeof(error)), 0);
	assert_int_equal(ls_stack_open(stack, "test", &ls, error, sizeof(error)), 0);
	assert_int_equal(instance_new(ls, "test", "/data", 0, &fs), 0);
	json_object_put(stack);
	memset(&layer, 0, sizeof(layer));
	below = *ls;
	ls->op.setxattr.ls = ls->op.getxattr.ls = ls;
	ls->op.setxattr.fn = layer_setxattr;
	ls->op.getxattr.fn = layer_getxattr;
	return 0;
}

static int teardown(void **state)
{
	fs->stack->op = below.op;
	fs = instance_free(fs);
	return 0;
}

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entry[9];
};

#define ACL_OF(...) {{POSIX_ACL_XATTR_VERSION}, {__VA_ARGS__}}
#define ENTRY(tag, perm) {tag, perm, ACL_UNDEFINED_ID}

static const struct acl six = ACL_OF(ENTRY(ACL_USER_OBJ, 6), {ACL_USER, 7, 1000}, ENTRY(ACL_GROUP_OBJ, 4),
				     {ACL_GROUP, 2, 70}, ENTRY(ACL_MASK, 6), ENTRY(ACL_OTHER, 1));
static const struct acl three = ACL_OF(ENTRY(ACL_USER_OBJ, 7), ENTRY(ACL_GROUP_OBJ, 5), ENTRY(ACL_OTHER, 0));

static size_t size_of(unsigned entries)
{
	return sizeof(struct posix_acl_xattr_header) + entries * sizeof(struct posix_acl_xattr_entry);
}

static struct entry directory(const char *name)
{
	struct entry e;

	assert_int_equal(vfs_mkdir(&root, fs->root, name, 0777, &e), 0);
	return e;
}

static void set(struct inode *inode, const char *name, const struct acl *acl, unsigned entries)
{
	assert_int_equal(vfs_setxattr(&root, inode, name, acl, size_of(entries), 0), 0);
}

static int may(uid_t uid, gid_t gid, gid_t also, struct inode *inode, unsigned what)
{
	struct caller c;

	caller_init(&c, DOOR_SELF, "test", uid, gid, 0);
	c.groups_known = true;
	c.groups[0] = also;
	c.cred.groups = c.groups;
	c.cred.group_count = 1;
	return vfs_access(&c, inode, what);
}

static void one_entry_must_allow_all(void **state)
{
	struct entry d = directory("d");

	set(d.inode, ACL_ACCESS, &six, 6);
	assert_int_equal(may(1000, 9, 9, d.inode, MAY_READ | MAY_WRITE), 0);
	assert_int_equal(may(1000, 9, 9, d.inode, MAY_EXEC), -EACCES); /* the mask */
	assert_int_equal(may(1000, 9, 70, d.inode, MAY_READ), 0);
	assert_int_equal(may(1001, 0, 9, d.inode, MAY_READ), 0); /* the owning group */
	assert_int_equal(may(1001, 0, 9, d.inode, MAY_WRITE), -EACCES); /* though the mode says so */
	assert_int_equal(may(1001, 9, 70, d.inode, MAY_WRITE), 0);
	assert_int_equal(may(1001, 0, 70, d.inode, MAY_READ), 0);
	assert_int_equal(may(1001, 0, 70, d.inode, MAY_WRITE), 0);
	assert_int_equal(may(1001, 0, 70, d.inode, MAY_READ | MAY_WRITE), -EACCES); /* one by one only */
	assert_int_equal(may(1001, 0, 9, d.inode, MAY_EXEC), -EACCES); /* others only */
	assert_int_equal(may(1001, 9, 9, d.inode, MAY_EXEC), 0);
	inode_unref(d.inode);
}

static void the_group_without_bits_ends_it(void **state)
{
	struct entry d = directory("d");
	struct ls_attr in = {.mode = 0701}, attr;

	set(d.inode, ACL_ACCESS, &six, 6);
	assert_int_equal(vfs_setattr(&root, d.inode, NULL, &in, LS_SET_MODE, &attr), 0);
	assert_int_equal(may(1000, 9, 9, d.inode, MAY_READ), -EACCES);
	assert_int_equal(may(1000, 9, 9, d.inode, MAY_EXEC), 0);
	inode_unref(d.inode);
}

static mode_t made(struct inode *dir, const char *name, mode_t mode, mode_t umask)
{
	struct entry e;

	root.umask = umask;
	assert_int_equal(S_ISDIR(mode) ? vfs_mkdir(&root, dir, name, mode, &e) : vfs_mknod(&root, dir, name, mode, 0, 0, &e), 0);
	root.umask = 0;
	inode_unref(e.inode);
	return e.attr.mode & 07777;
}

static void what_is_made_is_narrow_before(void **state)
{
	struct entry d = directory("d");

	set(d.inode, ACL_DEFAULT, &six, 6);
	layer.widest = 0;
	assert_int_equal(made(d.inode, "f", S_IFREG | 0666, 077), 0660);
	assert_int_equal(made(d.inode, "sub", S_IFDIR | 0777, 077), 0661);
	assert_int_equal(layer.widest & 077, 0);
	inode_unref(d.inode);
}

static void a_minimal_one_is_a_mode(void **state)
{
	struct entry d = directory("d"), f;
	char value[64];

	set(d.inode, ACL_DEFAULT, &three, 3);
	assert_int_equal(made(d.inode, "f", S_IFREG | 0666, 077), 0640);
	assert_int_equal(vfs_lookup(&root, d.inode, "f", &f), 0);
	assert_int_equal(vfs_getxattr(&root, f.inode, ACL_ACCESS, value, sizeof(value)), -ENODATA);
	inode_unref(f.inode);
	assert_int_equal(made(d.inode, "sub", S_IFDIR | 0777, 077), 0750);
	assert_int_equal(vfs_lookup(&root, d.inode, "sub", &f), 0);
	assert_int_equal(vfs_getxattr(&root, f.inode, ACL_ACCESS, value, sizeof(value)), -ENODATA);
	assert_int_equal(vfs_getxattr(&root, f.inode, ACL_DEFAULT, value, sizeof(value)), size_of(3));
	inode_unref(f.inode);
	inode_unref(d.inode);
}

/* Nothing is left of it, and nobody holds anything of it. */
static void without_its_acl_it_is_not_there(void **state)
{
	struct entry d = directory("d"), e;
	size_t count = fs->inode_count;
	struct ofd *ofd;

	set(d.inode, ACL_DEFAULT, &six, 6);
	for (int at = 1; at <= 2; at++) {
		layer.fails = at;
		assert_int_equal(vfs_mkdir(&root, d.inode, "x", 0777, &e), -ENOSPC);
		assert_int_equal(vfs_lookup(&root, d.inode, "x", &e), -ENOENT);
	}
	layer.fails = 1;
	assert_int_equal(vfs_mknod(&root, d.inode, "x", S_IFREG | 0666, 0, 0, &e), -ENOSPC);
	layer.fails = 1;
	assert_int_equal(vfs_create(&root, d.inode, "x", 0666, O_RDWR | O_CREAT, NULL, &ofd, &e), -ENOSPC);
	layer.fails = 1;
	assert_int_equal(vfs_tmpfile(&root, d.inode, 0666, O_RDWR | O_TMPFILE, &ofd, &e), -ENOSPC);
	assert_int_equal(vfs_lookup(&root, d.inode, "x", &e), -ENOENT);
	assert_int_equal(fs->inode_count, count);
	assert_int_equal(vfs_rmdir(&root, fs->root, "d"), 0);
	inode_unref(d.inode);
}

static void one_that_is_not_there_is_asked_for_once(void **state)
{
	struct entry d = directory("d");

	layer.gets = 0;
	assert_int_equal(made(d.inode, "a", S_IFREG | 0666, 022), 0644);
	assert_int_equal(made(d.inode, "b", S_IFREG | 0666, 022), 0644);
	assert_int_equal(layer.gets, 1);
	assert_int_equal(may(1000, 9, 9, d.inode, MAY_READ), 0);
	assert_int_equal(may(1001, 9, 9, d.inode, MAY_READ), 0);
	assert_int_equal(layer.gets, 2);
	/* Now they are. */
	set(d.inode, ACL_DEFAULT, &six, 6);
	assert_int_equal(made(d.inode, "c", S_IFREG | 0666, 022), 0660);
	set(d.inode, ACL_ACCESS, &six, 6);
	assert_int_equal(may(1001, 9, 9, d.inode, MAY_READ), -EACCES);
	/* A directory may have the number of one that had none. */
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(made(fs->root, "old", S_IFDIR | 0777, 0), 0777);
		struct entry old;
		assert_int_equal(vfs_lookup(&root, fs->root, "old", &old), 0);
		assert_int_equal(made(old.inode, "f", S_IFREG | 0666, 022), 0644);
		assert_int_equal(vfs_unlink(&root, old.inode, "f"), 0);
		assert_int_equal(vfs_rmdir(&root, fs->root, "old"), 0);
		inode_unref(old.inode);
		assert_int_equal(made(d.inode, "new", S_IFDIR | 0777, 022), 0661);
		assert_int_equal(vfs_lookup(&root, d.inode, "new", &old), 0);
		assert_int_equal(made(old.inode, "f", S_IFREG | 0666, 022), 0660);
		assert_int_equal(vfs_unlink(&root, old.inode, "f"), 0);
		assert_int_equal(vfs_rmdir(&root, d.inode, "new"), 0);
		inode_unref(old.inode);
	}
	inode_unref(d.inode);
}

/* What a host's directory may have of those names. */
static void nonsense_is_no_acl(void **state)
{
	struct entry d = directory("d"), e;
	struct acl bad = six;

	for (size_t n = 1; n < size_of(6); n++) {
		assert_int_equal(ls_setxattr(&below, &root.call, d.inode->ls, ACL_DEFAULT, &six, n, 0), 0);
		assert_int_equal(ls_setxattr(&below, &root.call, d.inode->ls, ACL_ACCESS, &six, n, 0), 0);
		if (n == size_of(0)) /* no entries, which is none */
			continue;
		assert_true(vfs_mkdir(&root, d.inode, "x", 0777, &e) < 0);
		assert_true(may(1001, 9, 9, d.inode, MAY_READ) < 0);
	}
	bad.entry[4].e_perm = 255;
	assert_int_equal(ls_setxattr(&below, &root.call, d.inode->ls, ACL_DEFAULT, &bad, size_of(6), 0), 0);
	assert_int_equal(vfs_mkdir(&root, d.inode, "x", 0777, &e), -EINVAL);
	assert_int_equal(ls_removexattr(&below, &root.call, d.inode->ls, ACL_DEFAULT), 0);
	assert_int_equal(made(d.inode, "x", S_IFDIR | 0777, 0), 0777);
	inode_unref(d.inode);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_entry_must_allow_all, setup, teardown),
		cmocka_unit_test_setup_teardown(the_group_without_bits_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_made_is_narrow_before, setup, teardown),
		cmocka_unit_test_setup_teardown(a_minimal_one_is_a_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(without_its_acl_it_is_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_not_there_is_asked_for_once, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_no_acl, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
