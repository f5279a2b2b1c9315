/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is host's own: descriptors that run out, a directory that changes under it, mounts inside of it, and
 * the walls around it. Runs as root, in a mount namespace of its own.
 */
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/unit/layers/harness.h"

/* A scratch directory `base` on the disk, and `base`/root served by the host layer. */
struct host_test {
	char *base;
	char root[256];
	struct fs *fs;
};

static struct host_test begin(const char *where, const char *options)
{
	struct host_test t = {.base = scratch_begin(where)};
	char json[512];

	snprintf(t.root, sizeof(t.root), "%s/root", t.base);
	assert_ok(mkdir(t.root, 0755));
	snprintf(json, sizeof(json), "{\"host\": {\"path\": \"%s\"%s}}", t.root, options);
	t.fs = fs_open(json);
	return t;
}

static void end(struct host_test *t)
{
	fs_close(t->fs);
	scratch_end(t->base);
}

static unsigned descriptors_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3;
}

enum { MANY = 300 };

/* Makes files f0..f299, each containing its own number, and keeps a reference to each. */
static void make_many(struct fs *fs, struct ls_inode *dir, struct ls_inode *inode[MANY])
{
	char name[16];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		struct ls_file *f = fs_create(fs, dir, name, &inode[i]);
		assert_int_equal(fs_write(fs, f, &i, sizeof(i), 0), sizeof(i));
		fs_release(fs, f);
	}
}

static int number_in(struct fs *fs, struct ls_inode *inode)
{
	struct iovec iov;
	struct ls_file *f;
	unsigned n = 0;
	int r = ls_open(fs->ls, &fs->call, inode, O_RDONLY, &f);

	if (r < 0)
		return r;
	iov = (struct iovec){&n, sizeof(n)};
	assert_int_equal(ls_read(fs->ls, &fs->call, f, &iov, 1, 0), sizeof(n));
	ls_release(fs->ls, &fs->call, f);
	return n;
}

static void inodes_outnumber_descriptors(void **state)
{
	struct host_test t = begin("/var/tmp", ", \"descriptors\": 20");
	unsigned before = descriptors_open();
	struct ls_inode *inode[MANY];

	make_many(t.fs, t.fs->root, inode);
	assert_in_range(descriptors_open(), before, before + 22);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(number_in(t.fs, inode[i * 7 % MANY]), i * 7 % MANY);
	assert_in_range(descriptors_open(), before, before + 22);
	/* By their names they are found to be the same. */
	for (int i = 0; i < MANY; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		assert_ptr_equal(fs_get(t.fs, t.fs->root, name), inode[i]);
	}
	/* Whatever the host calls them. */
	must_run("mkdir '%s/x' && mv '%s'/root/f* '%s/x' && mv '%s/x' '%s/root/'", t.base, t.base, t.base,
		 t.base, t.base);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(number_in(t.fs, inode[i]), i);
	end(&t);
}

static void removed_inodes_stay_usable_without_descriptors(void **state)
{
	struct host_test t = begin("/var/tmp", ", \"descriptors\": 16");
	struct ls_inode *inode[MANY], *dir;
	char name[16];

	dir = fs_mkdir(t.fs, t.fs->root, "d");
	make_many(t.fs, dir, inode);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (i % 2)
			assert_ok(fs_unlink(t.fs, dir, name));
		else
			assert_ok(fs_rename(t.fs, dir, name, dir, "replaced", 0));
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(fs_attr(t.fs, inode[i]).nlink, i == MANY - 2);
		assert_int_equal(number_in(t.fs, inode[i]), i);
	}
	end(&t);
}

/* Makes a file by the host's hand, and finds it through the layer: it is none of those that we knew. */
static unsigned check_new_file(struct host_test *t, int i, struct ls_inode *const *old,
			       const uint64_t *old_ino)
{
	struct ls_inode *found, *again;
	struct ls_attr attr, same;
	unsigned reused = 0;
	char path[512], name[16];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "new%d", i);
	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "new", 3), 3);
	assert_ok(fstat(fd, &st));
	close(fd);
	found = fs_get(t->fs, t->fs->root, name);
	attr = fs_attr(t->fs, found);
	assert_int_equal(attr.size, 3);
	for (int j = 0; j < MANY; j++) {
		reused += st.st_ino == old_ino[j];
		assert_ptr_not_equal(found, old[j]);
		assert_int_not_equal(attr.ino, old_ino[j]);
	}
	assert_ok(ls_resolve(t->fs->ls, &t->fs->call, attr.ino, &again, &same));
	assert_ptr_equal(again, found);
	ls_forget(t->fs->ls, &t->fs->call, again, 1);
	return reused;
}

/* A file of the host takes the number of one that it removed and that we still refer to. */
static void reused_numbers_are_told_apart(void **state)
{
	struct host_test t = begin("/var/tmp", ", \"descriptors\": 16");
	struct ls_inode *inode[MANY];
	uint64_t ino[MANY];
	unsigned stale = 0, reused = 0;
	struct ls_attr attr;

	make_many(t.fs, t.fs->root, inode);
	for (int i = 0; i < MANY; i++)
		ino[i] = fs_attr(t.fs, inode[i]).ino;
	must_run("rm '%s'/root/f*", t.base);
	for (int i = 0; i < 3 * MANY; i++)
		reused += check_new_file(&t, i, inode, ino);
	for (int i = 0; i < MANY; i++)
		stale += ls_getattr(t.fs->ls, &t.fs->call, inode[i], NULL, &attr) == -ESTALE;
	assert_in_range(stale, MANY - 20, MANY);
	if (!reused) /* nobody can make a filesystem do it */
		print_message("the host's filesystem used no number twice: nothing was tested\n");
	end(&t);
}

static void run_in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void with_few_descriptors_at_all(void)
{
	struct rlimit few = {40, 80};
	struct host_test t;
	struct ls_inode *inode[MANY];
	int hog[42];

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		_exit(1);
	t = begin("/var/tmp", "");
	for (int i = 0; i < 42; i++)
		hog[i] = dup(0);
	make_many(t.fs, t.fs->root, inode);
	for (int i = 0; i < MANY; i++)
		if (number_in(t.fs, inode[i]) != i)
			_exit(2);
	for (int i = 0; i < 42; i++)
		close(hog[i]);
	end(&t);
}

static void a_process_out_of_descriptors_makes_room(void **state)
{
	run_in_child(with_few_descriptors_at_all);
}

/* ---- walls ----------------------------------------------------------------------------------------- */

static void nothing_above_is_reached(void **state)
{
	struct host_test t = begin("/var/tmp", "");
	struct ls_inode *d = fs_mkdir(t.fs, t.fs->root, "d"), *sub = fs_mkdir(t.fs, d, "sub"), *up, *link;
	struct ls_attr attr;

	must_run("echo secret > '%s/secret' && ln -s .. '%s/up' && ln -s '%s' '%s/abs'", t.base, t.root,
		 t.base, t.root);
	assert_int_equal(fs_try(t.fs, t.fs->root, ".."), -EINVAL);
	assert_int_equal(fs_try(t.fs, t.fs->root, "../secret"), -EINVAL);
	assert_int_equal(fs_try(t.fs, d, "../../secret"), -EINVAL);
	link = fs_get(t.fs, t.fs->root, "up");
	assert_int_equal(fs_attr(t.fs, link).mode & S_IFMT, S_IFLNK);
	assert_int_equal(fs_try(t.fs, link, "secret"), -ENOTDIR);
	assert_int_equal(fs_try(t.fs, fs_get(t.fs, t.fs->root, "abs"), "secret"), -ENOTDIR);
	assert_ok(ls_parent(t.fs->ls, &t.fs->call, t.fs->root, &up, &attr));
	assert_ptr_equal(up, t.fs->root);
	/* The host moves a directory out that we refer to: it has no parent for us. */
	must_run("mv '%s/d' '%s/outside'", t.root, t.base);
	assert_int_equal(ls_parent(t.fs->ls, &t.fs->call, d, &up, &attr), -ESTALE);
	assert_int_equal(ls_parent(t.fs->ls, &t.fs->call, sub, &up, &attr), -ESTALE);
	must_run("mv '%s/outside' '%s/back'", t.base, t.root);
	assert_ok(ls_parent(t.fs->ls, &t.fs->call, sub, &up, &attr));
	assert_ptr_equal(up, d);
	ls_forget(t.fs->ls, &t.fs->call, up, 1);
	end(&t);
}

static void devices_are_shown_but_not_opened(void **state)
{
	struct host_test t = begin("/var/tmp", "");
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;

	assert_ok(ls_mknod(t.fs->ls, &t.fs->call, t.fs->root, "zero", S_IFCHR | 0666, 1, 5, &inode, &attr));
	assert_int_equal(ls_open(t.fs->ls, &t.fs->call, inode, O_RDONLY, &f), -ENXIO);
	ls_forget(t.fs->ls, &t.fs->call, inode, 1);
	end(&t);
}

static void o_direct_is_accepted(void **state)
{
	struct host_test t = begin("/var/tmp", "");
	struct ls_inode *inode = fs_file(t.fs, t.fs->root, "f");
	struct ls_file *f = fs_open_file(t.fs, inode, O_RDWR | O_DIRECT | O_DSYNC | O_NONBLOCK);

	assert_int_equal(fs_write(t.fs, f, "odd", 3, 1), 3);
	fs_is(t.fs, f, 1, "odd");
	end(&t);
}

/* ---- mounts ---------------------------------------------------------------------------------------- */

static void numbers_are_unique_across_mounts(void **state)
{
	struct host_test t = begin("/var/tmp", ", \"descriptors\": 16");
	struct ls_inode *m = fs_mkdir(t.fs, t.fs->root, "m"), *n = fs_mkdir(t.fs, t.fs->root, "n"),
			*inode[MANY], *up;
	struct ls_attr attr, other;
	struct listing l;

	fs_forget(t.fs, m);
	fs_forget(t.fs, n);
	must_run("mount -t tmpfs none '%s/m' && mount -t tmpfs none '%s/n' && mkdir '%s/m/d'", t.root,
		 t.root, t.root);
	m = fs_get(t.fs, t.fs->root, "m");
	n = fs_get(t.fs, t.fs->root, "n");
	attr = fs_attr(t.fs, m);
	other = fs_attr(t.fs, n);
	assert_int_not_equal(attr.ino, 1);
	assert_int_not_equal(other.ino, 1);
	assert_int_not_equal(attr.ino, other.ino);
	/* Through the descriptors that run out, each comes back by its own mount. */
	make_many(t.fs, m, inode);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(number_in(t.fs, inode[i]), i);
	assert_ok(ls_parent(t.fs->ls, &t.fs->call, fs_get(t.fs, m, "d"), &up, &attr));
	assert_ptr_equal(up, m);
	ls_forget(t.fs->ls, &t.fs->call, up, 1);
	assert_ok(ls_parent(t.fs->ls, &t.fs->call, m, &up, &attr));
	assert_ptr_equal(up, t.fs->root);
	fs_list(t.fs, m, 0, &l);
	for (unsigned i = 0; i < l.count; i++)
		if (l.entry[i].name[0] == 'f')
			assert_int_equal(l.entry[i].ino, fs_attr_at(t.fs, m, l.entry[i].name).ino);
	listing_free(&l);
	fs_close(t.fs);
	must_run("umount '%s/m' '%s/n'", t.root, t.root);
	scratch_end(t.base);
}

/* A part of the same filesystem, bound inside: its root's parent is where it is bound, not where it is. */
static void a_bound_directory_has_its_parent_here(void **state)
{
	struct host_test t = begin("/var/tmp", ", \"descriptors\": 16");
	struct ls_inode *bound, *deep, *inode[MANY], *up;
	struct ls_attr attr;

	must_run("mkdir -p '%s/elsewhere/deep' '%s/bound' && mount --bind '%s/elsewhere' '%s/bound'",
		 t.base, t.root, t.base, t.root);
	bound = fs_get(t.fs, t.fs->root, "bound");
	deep = fs_get(t.fs, bound, "deep");
	make_many(t.fs, t.fs->root, inode); /* both lose their descriptors */
	assert_ok(ls_parent(t.fs->ls, &t.fs->call, deep, &up, &attr));
	assert_ptr_equal(up, bound);
	ls_forget(t.fs->ls, &t.fs->call, up, 1);
	make_many(t.fs, fs_mkdir(t.fs, t.fs->root, "more"), inode);
	assert_ok(ls_parent(t.fs->ls, &t.fs->call, bound, &up, &attr));
	assert_ptr_equal(up, t.fs->root);
	ls_forget(t.fs->ls, &t.fs->call, up, 1);
	fs_close(t.fs);
	must_run("umount '%s/bound'", t.root);
	scratch_end(t.base);
}

static void a_read_only_filesystem_says_so(void **state)
{
	struct host_test t = begin("/var/tmp", "");
	struct ls_inode *inode, *dir;
	struct ls_attr attr;

	fs_file(t.fs, fs_mkdir(t.fs, t.fs->root, "ro"), "f");
	fs_settle(t.fs);
	must_run("mount --bind '%s/ro' '%s/ro' && mount -o remount,bind,ro '%s/ro'", t.root, t.root,
		 t.root);
	dir = fs_get(t.fs, t.fs->root, "ro");
	assert_int_equal(ls_mkdir(t.fs->ls, &t.fs->call, dir, "d", 0755, &inode, &attr), -EROFS);
	assert_int_equal(fs_unlink(t.fs, dir, "f"), -EROFS);
	assert_int_equal(fs_truncate(t.fs, fs_get(t.fs, dir, "f"), 1), -EROFS);
	fs_close(t.fs);
	must_run("umount '%s/ro'", t.root);
	scratch_end(t.base);
}

/* An overlay has no file handles: every inode in use keeps its descriptor, and works. */
static void an_overlay_is_served(void **state)
{
	char *base = scratch_begin("/dev/shm"), json[512];
	struct ls_inode *inode[MANY];
	struct fs *fs;

	must_run("cd '%s' && mkdir lower upper work m && echo low > lower/low && mount -t overlay none "
		 "-o lowerdir='%s/lower',upperdir='%s/upper',workdir='%s/work' m",
		 base, base, base, base);
	snprintf(json, sizeof(json), "{\"host\": {\"path\": \"%s/m\", \"descriptors\": 16}}", base);
	fs = fs_open(json);
	make_many(fs, fs->root, inode);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(number_in(fs, inode[i]), i);
	inode[0] = fs_get(fs, fs->root, "low");
	assert_ok(fs_truncate(fs, inode[0], 2)); /* copied up */
	assert_int_equal(fs_attr(fs, inode[0]).size, 2);
	assert_ok(fs_unlink(fs, fs->root, "low"));
	assert_int_equal(fs_try(fs, fs->root, "low"), -ENOENT);
	fs_close(fs);
	must_run("umount '%s/m'", base);
	scratch_end(base);
}

/* ---- what the engine hands over -------------------------------------------------------------------- */

static void without_proc(void)
{
	char *base = scratch_begin("/dev/shm"), json[512], buf[16];
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct ls_inode *inode, *link;
	struct fs *fs;

	must_run("mount -t tmpfs none /proc");
	if (access("/proc/self/fd", F_OK) == 0)
		_exit(1);
	snprintf(json, sizeof(json),
		 "{\"host\": {\"path\": \"/not/visible\", \"fd\": %d, \"proc_fd\": %d}}", fd, proc_fd);
	fs = fs_open(json);
	inode = fs_file(fs, fs->root, "f");
	link = fs_symlink(fs, fs->root, "l", "f");
	assert_ok(ls_setxattr(fs->ls, &fs->call, inode, "user.x", "value", 5, XATTR_CREATE));
	assert_int_equal(ls_setxattr(fs->ls, &fs->call, inode, "user.x", "value", 5, XATTR_CREATE),
			 -EEXIST);
	assert_int_equal(ls_getxattr(fs->ls, &fs->call, inode, "user.x", buf, 16), 5);
	assert_memory_equal(buf, "value", 5);
	assert_ok(ls_setxattr(fs->ls, &fs->call, link, "trusted.l", "link", 4, 0));
	assert_int_equal(ls_getxattr(fs->ls, &fs->call, inode, "trusted.l", buf, 16), -ENODATA);
	assert_in_range(ls_listxattr(fs->ls, &fs->call, link, buf, 16), 10, 16);
	assert_ok(ls_removexattr(fs->ls, &fs->call, inode, "user.x"));
	assert_ok(fs_truncate(fs, inode, 100));
	fs_close(fs);
	assert_ok(fcntl(fd, F_GETFD) < 0); /* it stays its owner's */
	must_run("umount /proc");
	scratch_end(base);
}

static void descriptors_stand_in_for_paths(void **state)
{
	run_in_child(without_proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inodes_outnumber_descriptors),
		cmocka_unit_test(removed_inodes_stay_usable_without_descriptors),
		cmocka_unit_test(reused_numbers_are_told_apart),
		cmocka_unit_test(a_process_out_of_descriptors_makes_room),
		cmocka_unit_test(nothing_above_is_reached),
		cmocka_unit_test(devices_are_shown_but_not_opened),
		cmocka_unit_test(o_direct_is_accepted),
		cmocka_unit_test(numbers_are_unique_across_mounts),
		cmocka_unit_test(a_bound_directory_has_its_parent_here),
		cmocka_unit_test(a_read_only_filesystem_says_so),
		cmocka_unit_test(an_overlay_is_served),
		cmocka_unit_test(descriptors_stand_in_for_paths),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "needs root and a mount namespace\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
