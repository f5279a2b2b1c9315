/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, times, extended attributes. */
#include <sys/xattr.h>
#include <time.h>

#include "libservices/rules.h"
#include "tests/unit/layers/cases.h"

static void the_root_is_a_directory(struct fs *fs)
{
	struct ls_attr a = fs_attr(fs, fs->root);
	struct ls_statfs s;

	assert_int_equal(a.mode & S_IFMT, S_IFDIR);
	assert_int_equal(a.ino, fs->ls->root_attr.ino);
	assert_int_equal(a.nlink, 2);
	assert_int_not_equal(a.ino, 0);
	assert_ok(ls_statfs(fs->ls, &fs->call, &s));
	assert_in_range(s.bsize, 512, 1 << 20);
	assert_in_range(s.bfree, 1, s.blocks);
	assert_in_range(s.ffree, 0, s.files);
	assert_int_equal(s.namelen, 255);
}

static struct ls_attr set(struct fs *fs, struct ls_inode *inode, unsigned what, struct ls_attr in)
{
	struct ls_attr got;

	assert_ok(ls_setattr(fs->ls, &fs->call, inode, NULL, &in, what, &got));
	return got;
}

static void setattr_sets_what_it_names(struct fs *fs)
{
	struct ls_inode *f = fs_file(fs, fs->root, "f"), *l = fs_symlink(fs, fs->root, "l", "f");
	struct ls_attr a =
		set(fs, f, LS_SET_UID | LS_SET_GID, (struct ls_attr){.uid = 10, .gid = 20, .mode = 1});

	assert_int_equal(a.uid, 10);
	assert_int_equal(a.gid, 20);
	assert_int_equal(a.mode, S_IFREG | 0644);
	a = set(fs, f, LS_SET_MODE, (struct ls_attr){.mode = 06755});
	assert_int_equal(a.mode, S_IFREG | 06755);
	a = set(fs, f, LS_SET_GID | LS_SET_MODE, (struct ls_attr){.gid = 30, .mode = 04711});
	assert_int_equal(a.uid, 10);
	assert_int_equal(a.gid, 30);
	assert_int_equal(a.mode, S_IFREG | 04711);
	a = set(fs, l, LS_SET_UID, (struct ls_attr){.uid = 44});
	assert_int_equal(a.uid, 44);
	assert_int_equal(fs_attr(fs, f).uid, 10);
	a = set(fs, fs->root, LS_SET_MODE, (struct ls_attr){.mode = 01777});
	assert_int_equal(a.mode, S_IFDIR | 01777);
	a = set(fs, f, LS_SET_SIZE | LS_SET_MODE, (struct ls_attr){.size = 12345, .mode = 0600});
	assert_int_equal(a.size, 12345);
	assert_int_equal(a.mode, S_IFREG | 0600);
}

static void times_are_set_to_the_nanosecond(struct fs *fs)
{
	struct ls_inode *f = fs_file(fs, fs->root, "f"), *l = fs_symlink(fs, fs->root, "l", "f");
	struct ls_attr in = {.atime = {1000000001, 123456789}, .mtime = {2, 987654321}}, a;
	time_t now = time(NULL);

	a = set(fs, f, LS_SET_ATIME | LS_SET_MTIME, in);
	assert_int_equal(a.atime.tv_sec, 1000000001);
	assert_int_equal(a.atime.tv_nsec, 123456789);
	assert_int_equal(a.mtime.tv_sec, 2);
	assert_int_equal(a.mtime.tv_nsec, 987654321);
	assert_in_range(a.ctime.tv_sec, now - 1, now + 2);
	a = set(fs, f, LS_SET_ATIME | LS_SET_ATIME_NOW, in);
	assert_in_range(a.atime.tv_sec, now - 1, now + 2);
	assert_int_equal(a.mtime.tv_sec, 2);
	a = set(fs, f, LS_SET_MTIME | LS_SET_MTIME_NOW | LS_SET_ATIME, in);
	assert_in_range(a.mtime.tv_sec, now - 1, now + 2);
	assert_int_equal(a.atime.tv_sec, 1000000001);
	a = set(fs, l, LS_SET_MTIME, (struct ls_attr){.mtime = {77, 5}});
	assert_int_equal(a.mtime.tv_sec, 77);
	assert_int_not_equal(fs_attr(fs, f).mtime.tv_sec, 77);
	a = set(fs, f, LS_SET_SIZE | LS_SET_MTIME, (struct ls_attr){.size = 5, .mtime = {99, 9}});
	assert_int_equal(a.mtime.tv_sec, 99);
}

/* ---- which operation changes which times --------------------------------------------------------- */

/* "amc": which of the times differ. */
static const char *changed(struct ls_attr a, struct ls_attr b, char buf[static 4])
{
	int n = 0;

	if (!ls_time_equal(a.atime, b.atime))
		buf[n++] = 'a';
	if (!ls_time_equal(a.mtime, b.mtime))
		buf[n++] = 'm';
	if (!ls_time_equal(a.ctime, b.ctime))
		buf[n++] = 'c';
	buf[n] = 0;
	return buf;
}

/* Longer than the clock by which the kernel stamps files ticks. */
static void tick(void)
{
	nanosleep(&(struct timespec){0, 12000000}, NULL);
}

#define TIMES(inode, want, ...)                                                                            \
	do {                                                                                               \
		struct ls_attr before_ = fs_attr(fs, inode);                                               \
		char buf_[4];                                                                              \
		tick();                                                                                    \
		__VA_ARGS__;                                                                               \
		assert_string_equal(changed(before_, fs_attr(fs, inode), buf_), want);                     \
	} while (0)

static void files_keep_their_times(struct fs *fs)
{
	struct ls_attr attr;
	struct ls_inode *inode, *d = fs_mkdir(fs, fs->root, "d");
	struct ls_file *f = fs_create(fs, d, "f", &inode);
	char c;

	attr = fs_attr(fs, inode);
	assert_true(ls_time_equal(attr.mtime, attr.ctime));
	assert_true(ls_time_equal(attr.atime, attr.mtime));
	TIMES(inode, "mc", assert_int_equal(fs_write(fs, f, "x", 1, 0), 1));
	TIMES(inode, "mc", assert_ok(fs_truncate(fs, inode, 100)));
	TIMES(inode, "mc", assert_ok(fs_truncate(fs, inode, 5)));
	TIMES(inode, "a", assert_int_equal(fs_read(fs, f, &c, 1, 0), 1));
	TIMES(inode, "", assert_int_equal(fs_read(fs, f, &c, 1, 0), 1));
	TIMES(inode, "c", set(fs, inode, LS_SET_MODE, (struct ls_attr){.mode = 0600}));
	TIMES(inode, "c", set(fs, inode, LS_SET_UID, (struct ls_attr){.uid = 3}));
	TIMES(inode, "c", assert_ok(ls_link(fs->ls, &fs->call, inode, d, "g", &attr)));
	TIMES(inode, "c", assert_ok(fs_unlink(fs, d, "g")));
	TIMES(inode, "c", assert_ok(fs_rename(fs, d, "f", d, "h", 0)));
	TIMES(inode, "c", assert_ok(ls_setxattr(fs->ls, &fs->call, inode, "user.x", "1", 1, 0)));
	TIMES(inode, "c", assert_ok(ls_removexattr(fs->ls, &fs->call, inode, "user.x")));
	TIMES(inode, "", assert_int_equal(fs_write(fs, f, "", 0, 0), 0));
}

static void directories_keep_their_times(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d"), *e = fs_mkdir(fs, fs->root, "e"), *f = NULL;
	struct ls_attr attr;
	struct listing l;

	TIMES(d, "mc", f = fs_file(fs, d, "f"));
	TIMES(d, "mc", fs_mkdir(fs, d, "s"));
	TIMES(d, "mc", fs_symlink(fs, d, "l", "x"));
	TIMES(d, "mc", assert_ok(ls_link(fs->ls, &fs->call, f, d, "g", &attr)));
	TIMES(d, "mc", assert_ok(fs_rename(fs, d, "g", d, "h", 0)));
	TIMES(d, "mc", assert_ok(fs_rename(fs, d, "h", e, "h", 0)));
	TIMES(e, "mc", assert_ok(fs_rename(fs, d, "f", e, "f2", RENAME_WHITEOUT)));
	TIMES(e, "mc", assert_ok(fs_unlink(fs, e, "f2")));
	TIMES(d, "mc", assert_ok(fs_rmdir(fs, d, "s")));
	TIMES(d, "mc", assert_ok(fs_unlink(fs, d, "l")));
	TIMES(fs->root, "mc", assert_ok(fs_rename(fs, fs->root, "d", fs->root, "d2", 0)));
	TIMES(d, "", assert_int_equal(fs_try(fs, d, "f3"), -ENOENT));
	TIMES(d, "a", fs_list(fs, d, 0, &l));
	listing_free(&l);
}

static void a_replaced_file_changes_its_ctime(struct fs *fs)
{
	struct ls_inode *old = fs_file(fs, fs->root, "old"), *new = fs_file(fs, fs->root, "new"), *link;
	struct ls_attr attr;
	char buf[10];

	assert_ok(ls_link(fs->ls, &fs->call, old, fs->root, "other", &attr));
	TIMES(old, "c", assert_ok(fs_rename(fs, fs->root, "new", fs->root, "old", 0)));
	TIMES(new, "c", assert_ok(fs_rename(fs, fs->root, "old", fs->root, "other", RENAME_EXCHANGE)));
	link = fs_symlink(fs, fs->root, "l", "x");
	TIMES(link, "a", assert_int_equal(ls_readlink(fs->ls, &fs->call, link, buf, 10), 1));
}

/* ---- extended attributes ------------------------------------------------------------------------- */

static ssize_t get(struct fs *fs, struct ls_inode *inode, const char *name, void *buf, size_t size)
{
	return ls_getxattr(fs->ls, &fs->call, inode, name, buf, size);
}

static int put(struct fs *fs, struct ls_inode *inode, const char *name, const char *value, int flags)
{
	return ls_setxattr(fs->ls, &fs->call, inode, name, value, strlen(value), flags);
}

static void extended_attributes(struct fs *fs)
{
	struct ls_inode *f = fs_file(fs, fs->root, "f");
	char buf[256];

	assert_int_equal(get(fs, f, "user.a", buf, 256), -ENODATA);
	assert_ok(put(fs, f, "user.a", "value", 0));
	assert_int_equal(get(fs, f, "user.a", NULL, 0), 5);
	assert_int_equal(get(fs, f, "user.a", buf, 4), -ERANGE);
	assert_int_equal(get(fs, f, "user.a", buf, 256), 5);
	assert_memory_equal(buf, "value", 5);
	assert_int_equal(put(fs, f, "user.a", "x", XATTR_CREATE), -EEXIST);
	assert_int_equal(put(fs, f, "user.b", "x", XATTR_REPLACE), -ENODATA);
	assert_ok(put(fs, f, "user.a", "longer value", XATTR_REPLACE));
	assert_int_equal(get(fs, f, "user.a", buf, 256), 12);
	assert_ok(put(fs, f, "user.b", "", XATTR_CREATE));
	assert_int_equal(get(fs, f, "user.b", buf, 256), 0);
	assert_ok(put(fs, f, "trusted.t", "tt", 0));
	assert_ok(put(fs, f, "security.s", "ss", 0));
	assert_int_equal(put(fs, f, "nonsense.n", "x", 0), -EOPNOTSUPP);
	assert_ok(ls_removexattr(fs->ls, &fs->call, f, "user.a"));
	assert_int_equal(ls_removexattr(fs->ls, &fs->call, f, "user.a"), -ENODATA);
	assert_int_equal(get(fs, f, "user.a", buf, 256), -ENODATA);
}

static void extended_attributes_are_listed(struct fs *fs)
{
	struct ls_inode *f = fs_mkdir(fs, fs->root, "d");
	char buf[256];
	ssize_t n;

	assert_ok(put(fs, f, "user.one", "1", 0));
	assert_ok(put(fs, f, "user.two", "2", 0));
	n = ls_listxattr(fs->ls, &fs->call, f, NULL, 0);
	assert_in_range(n, 18, 256);
	assert_int_equal(ls_listxattr(fs->ls, &fs->call, f, buf, 256), n);
	assert_non_null(memmem(buf, n, "user.one", 9));
	assert_non_null(memmem(buf, n, "user.two", 9));
	assert_int_equal(ls_listxattr(fs->ls, &fs->call, f, buf, 10), -ERANGE);
}

static void links_have_no_user_attributes(struct fs *fs)
{
	struct ls_inode *f = fs_file(fs, fs->root, "f"), *l = fs_symlink(fs, fs->root, "l", "f");
	char buf[16];

	assert_ok(put(fs, f, "user.a", "of the file", 0));
	assert_int_equal(put(fs, l, "user.a", "x", 0), -EPERM);
	assert_int_equal(get(fs, l, "user.a", buf, 16), -ENODATA);
	assert_ok(put(fs, l, "trusted.a", "link", 0));
	assert_int_equal(get(fs, l, "trusted.a", buf, 16), 4);
	assert_int_equal(get(fs, f, "trusted.a", buf, 16), -ENODATA);
	assert_int_equal(put(fs, fs_mknod(fs, fs->root, "p", S_IFIFO | 0600), "user.a", "x", 0), -EPERM);
}

const struct layer_case attr_cases[] = {
	{"the root is a directory", the_root_is_a_directory},
	{"setattr sets what it names", setattr_sets_what_it_names},
	{"times are set to the nanosecond", times_are_set_to_the_nanosecond},
	{"files keep their times", files_keep_their_times},
	{"directories keep their times", directories_keep_their_times},
	{"a replaced file changes its ctime", a_replaced_file_changes_its_ctime},
	{"extended attributes", extended_attributes},
	{"extended attributes are listed", extended_attributes_are_listed},
	{"links have no user attributes", links_have_no_user_attributes},
	{NULL},
};
