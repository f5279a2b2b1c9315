/* SPDX-License-Identifier: Apache-2.0 */
/* Names: made, linked, removed, moved. */
#include "tests/unit/layers/cases.h"

static void names_are_checked(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	char name[300];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	assert_int_equal(fs_try(fs, fs->root, name), -ENAMETOOLONG);
	assert_int_equal(ls_mkdir(fs->ls, &fs->call, fs->root, name, 0755, &inode, &attr), -ENAMETOOLONG);
	name[255] = 0;
	fs_mkdir(fs, fs->root, name);
	assert_int_equal(ls_mkdir(fs->ls, &fs->call, fs->root, name, 0755, &inode, &attr), -EEXIST);
	for (const char *const *bad = (const char *const[]){".", "..", "a/b", "/", "../x", NULL}; *bad;
	     bad++) {
		assert_int_equal(fs_try(fs, fs->root, *bad), -EINVAL);
		assert_int_equal(fs_unlink(fs, fs->root, *bad), -EINVAL);
		assert_int_equal(fs_rename(fs, fs->root, name, fs->root, *bad, 0), -EINVAL);
		assert_int_equal(ls_mkdir(fs->ls, &fs->call, fs->root, *bad, 0755, &inode, &attr), -EINVAL);
	}
	assert_int_equal(fs_try(fs, fs->root, ""), -ENOENT);
	assert_int_equal(fs_try(fs, fs->root, "none"), -ENOENT);
	assert_int_equal(fs_try(fs, fs_file(fs, fs->root, "file"), "x"), -ENOTDIR);
}

static void directories_nest(struct fs *fs)
{
	struct ls_inode *a = fs_mkdir(fs, fs->root, "a"), *b = fs_mkdir(fs, a, "b"), *up;
	struct ls_attr attr;

	assert_int_equal(fs_attr(fs, a).mode, S_IFDIR | 0755);
	assert_int_equal(fs_attr(fs, a).nlink, 3);
	assert_int_equal(fs_attr(fs, b).nlink, 2);
	assert_int_equal(fs_rmdir(fs, fs->root, "a"), -ENOTEMPTY);
	assert_int_equal(fs_unlink(fs, fs->root, "a"), -EISDIR);
	assert_ok(ls_parent(fs->ls, &fs->call, b, &up, &attr));
	assert_int_equal(attr.ino, fs_attr(fs, a).ino);
	ls_forget(fs->ls, &fs->call, up, 1);
	assert_ok(ls_parent(fs->ls, &fs->call, fs->root, &up, &attr));
	assert_int_equal(attr.ino, fs->ls->root_attr.ino);
	assert_ptr_equal(up, fs->root);
	assert_ok(fs_rmdir(fs, a, "b"));
	assert_int_equal(fs_attr(fs, a).nlink, 2);
	assert_int_equal(fs_rmdir(fs, a, "b"), -ENOENT);
	fs_file(fs, fs->root, "f");
	assert_int_equal(fs_rmdir(fs, fs->root, "f"), -ENOTDIR);
}

static int count_one(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	++*(int *)arg;
	return 0;
}

static void a_removed_directory_takes_no_names(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d"), *inode;
	struct ls_inode *file = fs_file(fs, fs->root, "f");
	struct ls_attr attr;
	struct ls_file *f;
	int count = 0;

	assert_ok(fs_rmdir(fs, fs->root, "d"));
	assert_int_equal(fs_attr(fs, d).nlink, 0);
	assert_int_equal(ls_mkdir(fs->ls, &fs->call, d, "x", 0755, &inode, &attr), -ENOENT);
	assert_int_equal(ls_create(fs->ls, &fs->call, d, "x", 0644, O_RDWR, &inode, &attr, &f), -ENOENT);
	assert_int_equal(ls_link(fs->ls, &fs->call, file, d, "x", &attr), -ENOENT);
	assert_int_equal(fs_rename(fs, fs->root, "f", d, "x", 0), -ENOENT);
	assert_int_equal(fs_try(fs, d, "x"), -ENOENT);
	assert_int_equal(ls_readdir(fs->ls, &fs->call, fs_open_file(fs, d, O_RDONLY), 0, count_one, &count),
			 -ENOENT);
	assert_int_equal(count, 0);
}

static void hard_links_share_an_inode(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d"), *inode;
	struct ls_file *f = fs_create(fs, fs->root, "a", &inode);
	struct ls_attr attr;

	assert_ok(ls_link(fs->ls, &fs->call, inode, d, "b", &attr));
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(fs_attr_at(fs, d, "b").ino, fs_attr_at(fs, fs->root, "a").ino);
	assert_int_equal(ls_link(fs->ls, &fs->call, inode, d, "b", &attr), -EEXIST);
	assert_int_equal(ls_link(fs->ls, &fs->call, d, fs->root, "e", &attr), -EPERM);
	assert_int_equal(fs_write(fs, f, "shared", 6, 0), 6);
	assert_ok(fs_unlink(fs, fs->root, "a"));
	assert_int_equal(fs_attr_at(fs, d, "b").nlink, 1);
	fs_is(fs, fs_open_file(fs, fs_get(fs, d, "b"), O_RDONLY), 0, "shared");
	assert_ok(fs_unlink(fs, d, "b"));
	assert_int_equal(ls_link(fs->ls, &fs->call, inode, d, "c", &attr), -ENOENT);
}

static void symbolic_links_hold_text(struct fs *fs)
{
	struct ls_inode *link = fs_symlink(fs, fs->root, "l", "../some/where"), *inode;
	char buf[5000], target[4097];
	struct ls_attr attr;

	assert_int_equal(fs_attr(fs, link).mode, S_IFLNK | 0777);
	assert_int_equal(fs_attr(fs, link).size, 13);
	assert_int_equal(ls_readlink(fs->ls, &fs->call, link, buf, sizeof(buf)), 13);
	assert_memory_equal(buf, "../some/where", 13);
	assert_int_equal(ls_readlink(fs->ls, &fs->call, link, buf, 4), 4);
	assert_int_equal(ls_readlink(fs->ls, &fs->call, fs->root, buf, 4), -EINVAL);
	memset(target, 't', sizeof(target));
	target[4096] = 0;
	assert_int_equal(ls_symlink(fs->ls, &fs->call, fs->root, "m", target, &inode, &attr),
			 -ENAMETOOLONG);
	target[4095] = 0;
	assert_int_equal(
		ls_readlink(fs->ls, &fs->call, fs_symlink(fs, fs->root, "m", target), buf, sizeof(buf)),
		4095);
	assert_int_equal(ls_symlink(fs->ls, &fs->call, fs->root, "n", "", &inode, &attr), -ENOENT);
	assert_int_equal(ls_symlink(fs->ls, &fs->call, fs->root, "m", "x", &inode, &attr), -EEXIST);
}

static void special_files_are_made(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_mknod(fs->ls, &fs->call, fs->root, "c", S_IFCHR | 0660, 1, 3, &inode, &attr));
	ls_forget(fs->ls, &fs->call, inode, 1);
	assert_int_equal(attr.mode, S_IFCHR | 0660);
	assert_int_equal(attr.rdev_major, 1);
	assert_int_equal(attr.rdev_minor, 3);
	assert_ok(ls_mknod(fs->ls, &fs->call, fs->root, "b", S_IFBLK | 0600, 259, 70000, &inode, &attr));
	ls_forget(fs->ls, &fs->call, inode, 1);
	assert_int_equal(attr.rdev_minor, 70000);
	assert_int_equal(fs_attr(fs, fs_mknod(fs, fs->root, "p", S_IFIFO | 0622)).mode, S_IFIFO | 0622);
	assert_int_equal(fs_attr(fs, fs_mknod(fs, fs->root, "s", S_IFSOCK | 0777)).mode, S_IFSOCK | 0777);
	assert_int_equal(fs_attr(fs, fs_mknod(fs, fs->root, "r", S_IFREG | 0404)).mode, S_IFREG | 0404);
	assert_int_equal(ls_mknod(fs->ls, &fs->call, fs->root, "r", S_IFIFO, 0, 0, &inode, &attr), -EEXIST);
}

static void what_is_made_has_its_owner_and_mode(struct fs *fs)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;

	fs->cred = (struct ls_cred){.uid = 1234, .gid = 5678};
	assert_ok(ls_create(fs->ls, &fs->call, fs->root, "f", 06751, O_RDWR, &inode, &attr, &f));
	ls_release(fs->ls, &fs->call, f);
	ls_forget(fs->ls, &fs->call, inode, 1);
	assert_int_equal(attr.mode, S_IFREG | 06751);
	assert_int_equal(attr.uid, 1234);
	assert_int_equal(attr.gid, 5678);
	assert_ok(ls_mkdir(fs->ls, &fs->call, fs->root, "d", 03770, &inode, &attr));
	ls_forget(fs->ls, &fs->call, inode, 1);
	assert_int_equal(attr.mode, S_IFDIR | 03770);
	assert_int_equal(attr.gid, 5678);
	assert_int_equal(fs_attr(fs, fs_symlink(fs, fs->root, "l", "x")).uid, 1234);
	assert_int_equal(fs_attr(fs, fs_mknod(fs, fs->root, "p", S_IFIFO | 0600)).uid, 1234);
	assert_ok(ls_tmpfile(fs->ls, &fs->call, fs->root, 04711, O_RDWR, &inode, &attr, &f));
	ls_release(fs->ls, &fs->call, f);
	ls_forget(fs->ls, &fs->call, inode, 1);
	assert_int_equal(attr.mode, S_IFREG | 04711);
	assert_int_equal(attr.uid, 1234);
	/* A group-inheriting directory: the service has decided, and says so in the credentials. */
	assert_int_equal(fs_attr(fs, fs_mkdir(fs, fs_get(fs, fs->root, "d"), "e")).mode, S_IFDIR | 0755);
	fs->cred = (struct ls_cred){0};
	assert_int_equal(fs_attr(fs, fs_file(fs, fs_get(fs, fs->root, "d"), "g")).gid, 0);
}

/* ---- rename -------------------------------------------------------------------------------------- */

static void renaming_moves(struct fs *fs)
{
	struct ls_inode *a = fs_mkdir(fs, fs->root, "a"), *b = fs_mkdir(fs, fs->root, "b"), *up;
	uint64_t ino = fs_attr(fs, fs_file(fs, a, "x")).ino;
	struct ls_inode *d = fs_mkdir(fs, a, "d");
	struct ls_attr attr;

	assert_ok(fs_rename(fs, a, "x", a, "y", 0));
	assert_int_equal(fs_try(fs, a, "x"), -ENOENT);
	assert_ok(fs_rename(fs, a, "y", b, "z", 0));
	assert_int_equal(fs_try(fs, a, "y"), -ENOENT);
	assert_int_equal(fs_attr_at(fs, b, "z").ino, ino);
	assert_int_equal(fs_attr(fs, a).nlink, 3);
	assert_ok(fs_rename(fs, a, "d", b, "d", 0));
	assert_int_equal(fs_attr(fs, a).nlink, 2);
	assert_int_equal(fs_attr(fs, b).nlink, 3);
	assert_ok(ls_parent(fs->ls, &fs->call, d, &up, &attr));
	ls_forget(fs->ls, &fs->call, up, 1);
	assert_int_equal(attr.ino, fs_attr(fs, b).ino);
	assert_int_equal(fs_rename(fs, a, "x", b, "q", 0), -ENOENT);
	assert_ok(fs_rename(fs, b, "z", b, "z", 0));
}

static void renaming_replaces(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d"), *old = fs_file(fs, d, "f");
	uint64_t ino = fs_attr(fs, fs_file(fs, fs->root, "f")).ino;
	struct ls_attr attr;

	assert_ok(fs_rename(fs, fs->root, "f", d, "f", 0));
	assert_int_equal(fs_attr_at(fs, d, "f").ino, ino);
	assert_int_equal(fs_attr(fs, old).nlink, 0);
	/* Two names of one file: nothing happens. */
	assert_ok(ls_link(fs->ls, &fs->call, fs_get(fs, d, "f"), d, "g", &attr));
	assert_ok(fs_rename(fs, d, "f", d, "g", 0));
	assert_int_equal(fs_attr_at(fs, d, "f").nlink, 2);
	fs_mkdir(fs, fs->root, "e");
	assert_int_equal(fs_rename(fs, d, "f", fs->root, "e", 0), -EISDIR);
	assert_int_equal(fs_rename(fs, fs->root, "e", d, "f", 0), -ENOTDIR);
	assert_int_equal(fs_rename(fs, fs->root, "e", fs->root, "d", 0), -ENOTEMPTY);
	assert_ok(fs_rename(fs, fs->root, "d", fs->root, "e", 0));
	assert_int_equal(fs_attr_at(fs, fs->root, "e").ino, fs_attr(fs, d).ino);
	assert_int_equal(fs_attr(fs, fs->root).nlink, 3);
}

static void renaming_refuses_loops(struct fs *fs)
{
	struct ls_inode *a = fs_mkdir(fs, fs->root, "a"), *b = fs_mkdir(fs, a, "b"),
			*c = fs_mkdir(fs, b, "c");

	assert_int_equal(fs_rename(fs, fs->root, "a", a, "x", 0), -EINVAL);
	assert_int_equal(fs_rename(fs, fs->root, "a", c, "x", 0), -EINVAL);
	assert_int_equal(fs_rename(fs, fs->root, "a", b, "c", 0), -EINVAL);
	assert_int_equal(fs_rename(fs, a, "b", c, "x", 0), -EINVAL);
	assert_int_equal(fs_rename(fs, b, "c", fs->root, "a", 0), -ENOTEMPTY);
	assert_int_equal(fs_rename(fs, b, "c", fs->root, "a", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(fs_rename(fs, fs->root, "a", b, "c", RENAME_EXCHANGE), -EINVAL);
	assert_ok(fs_rename(fs, b, "c", fs->root, "c", 0));
	assert_ok(fs_rename(fs, fs->root, "a", c, "a", 0));
}

static void noreplace_keeps_what_is_there(struct fs *fs)
{
	fs_file(fs, fs->root, "a");
	fs_file(fs, fs->root, "b");
	assert_int_equal(fs_rename(fs, fs->root, "a", fs->root, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fs_rename(fs, fs->root, "a", fs->root, "a", RENAME_NOREPLACE), -EEXIST);
	assert_ok(fs_rename(fs, fs->root, "a", fs->root, "c", RENAME_NOREPLACE));
	assert_int_equal(fs_rename(fs, fs->root, "b", fs->root, "c", RENAME_NOREPLACE | RENAME_EXCHANGE),
			 -EINVAL);
	assert_int_equal(fs_rename(fs, fs->root, "b", fs->root, "c", 1u << 20), -EINVAL);
}

static void exchange_swaps(struct fs *fs)
{
	struct ls_inode *a = fs_mkdir(fs, fs->root, "a"), *b = fs_mkdir(fs, fs->root, "b");
	struct ls_inode *dir = fs_mkdir(fs, a, "x"), *file = fs_file(fs, b, "y"), *up;
	struct ls_attr attr;

	fs_mkdir(fs, dir, "full");
	assert_int_equal(fs_rename(fs, a, "x", b, "none", RENAME_EXCHANGE), -ENOENT);
	assert_ok(fs_rename(fs, a, "x", b, "y", RENAME_EXCHANGE));
	assert_int_equal(fs_attr_at(fs, a, "x").ino, fs_attr(fs, file).ino);
	assert_int_equal(fs_attr_at(fs, b, "y").ino, fs_attr(fs, dir).ino);
	assert_int_equal(fs_attr(fs, a).nlink, 2);
	assert_int_equal(fs_attr(fs, b).nlink, 3);
	assert_ok(ls_parent(fs->ls, &fs->call, dir, &up, &attr));
	ls_forget(fs->ls, &fs->call, up, 1);
	assert_int_equal(attr.ino, fs_attr(fs, b).ino);
	assert_ok(fs_rename(fs, fs->root, "a", fs->root, "b", RENAME_EXCHANGE));
	assert_int_equal(fs_attr_at(fs, fs->root, "a").ino, fs_attr(fs, b).ino);
}

static void whiteout_leaves_a_device_behind(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d");
	struct ls_attr attr;

	fs_file(fs, fs->root, "a");
	fs_file(fs, d, "b");
	assert_ok(fs_rename(fs, fs->root, "a", d, "b", RENAME_WHITEOUT));
	attr = fs_attr_at(fs, fs->root, "a");
	assert_int_equal(attr.mode & S_IFMT, S_IFCHR);
	assert_int_equal(attr.rdev_major, 0);
	assert_int_equal(attr.rdev_minor, 0);
	assert_int_equal(attr.nlink, 1);
	fs_mkdir(fs, fs->root, "e");
	assert_ok(fs_rename(fs, fs->root, "e", fs->root, "g", RENAME_WHITEOUT | RENAME_NOREPLACE));
	assert_int_equal(fs_attr_at(fs, fs->root, "e").mode & S_IFMT, S_IFCHR);
	assert_int_equal(fs_rename(fs, fs->root, "e", fs->root, "g", RENAME_WHITEOUT | RENAME_EXCHANGE),
			 -EINVAL);
}

static void inodes_are_found_by_number(struct fs *fs)
{
	struct ls_inode *inode, *file = fs_file(fs, fs_mkdir(fs, fs->root, "d"), "f");
	struct ls_attr attr, got;

	attr = fs_attr(fs, file);
	assert_ok(ls_resolve(fs->ls, &fs->call, attr.ino, &inode, &got));
	assert_ptr_equal(inode, file);
	assert_int_equal(got.ino, attr.ino);
	ls_forget(fs->ls, &fs->call, inode, 1);
	assert_ok(ls_resolve(fs->ls, &fs->call, fs->ls->root_attr.ino, &inode, &got));
	assert_ptr_equal(inode, fs->root);
	assert_int_equal(ls_resolve(fs->ls, &fs->call, 0x7123456789abcdef, &inode, &got), -ESTALE);
	/* Two ways to one inode are one reference each. */
	inode = fs_get(fs, fs_get(fs, fs->root, "d"), "f");
	assert_ptr_equal(inode, file);
	fs_forget(fs, inode);
	assert_int_equal(fs_attr(fs, file).ino, attr.ino);
}

const struct layer_case name_cases[] = {
	{"names are checked", names_are_checked},
	{"directories nest", directories_nest},
	{"a removed directory takes no names", a_removed_directory_takes_no_names},
	{"hard links share an inode", hard_links_share_an_inode},
	{"symbolic links hold text", symbolic_links_hold_text},
	{"special files are made", special_files_are_made},
	{"what is made has its owner and mode", what_is_made_has_its_owner_and_mode},
	{"renaming moves", renaming_moves},
	{"renaming replaces", renaming_replaces},
	{"renaming refuses loops", renaming_refuses_loops},
	{"RENAME_NOREPLACE keeps what is there", noreplace_keeps_what_is_there},
	{"RENAME_EXCHANGE swaps", exchange_swaps},
	{"RENAME_WHITEOUT leaves a device behind", whiteout_leaves_a_device_behind},
	{"inodes are found by number", inodes_are_found_by_number},
	{NULL},
};
