/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same random operations on a union and on the kernel's overlay, over copies of the same branches: every result
 * must be the same, and so must the trees. Then each is mounted over the branch that the other wrote.
 */
#include <sched.h>
#include <sys/mount.h>

#include "tests/unit/layers/harness.h"

enum { STEPS = 600, NAMES = 6, TREE = 1 << 20 };

static const char *const names[NAMES] = {"a", "b", "c", "d", "e", "f"};

struct step {
	unsigned op, path[3], path2[3], depth, depth2, number, flags;
};

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 9;
}

static void step_draw(struct step *t, unsigned *seed)
{
	t->op = next_random(seed) % 12;
	t->depth = next_random(seed) % 3;
	t->depth2 = next_random(seed) % 3;
	for (int i = 0; i < 3; i++) {
		t->path[i] = next_random(seed) % NAMES;
		t->path2[i] = next_random(seed) % NAMES;
	}
	t->number = next_random(seed);
	t->flags = next_random(seed) % 4;
}

/* The directory of a path, kept by the harness until fs_settle. -errno as a pointer would be: NULL. */
static struct ls_inode *walk(struct fs *fs, const unsigned *path, unsigned depth)
{
	struct ls_inode *dir = fs->root, *next;
	struct ls_attr attr;

	for (unsigned i = 0; i < depth; i++) {
		if (ls_lookup(fs->ls, &fs->call, dir, names[path[i]], &next, &attr) < 0)
			return NULL;
		fs->kept[fs->kept_count++] = next;
		if (!S_ISDIR(attr.mode))
			return NULL;
		dir = next;
	}
	return dir;
}

static int change_file(struct fs *fs, struct ls_inode *inode, const struct ls_attr *was, const struct step *t)
{
	struct ls_attr in = {.mode = t->number & 0777, .size = t->number % 9000, .uid = t->number % 5}, attr;
	struct ls_file *f;
	int r;

	if (t->flags == 0 || !S_ISREG(was->mode))
		return S_ISLNK(was->mode) ? 0 : ls_setattr(fs->ls, &fs->call, inode, NULL, &in, LS_SET_MODE | LS_SET_UID, &attr);
	if (t->flags == 1)
		return ls_setattr(fs->ls, &fs->call, inode, NULL, &in, LS_SET_SIZE, &attr);
	if (t->flags == 2)
		return ls_setxattr(fs->ls, &fs->call, inode, "trusted.one", "value", t->number % 6, 0);
	r = ls_open(fs->ls, &fs->call, inode, O_RDWR, &f);
	if (r == 0) {
		r = fs_write(fs, f, "written", 7, t->number % 6000);
		ls_release(fs->ls, &fs->call, f);
	}
	return r;
}

static int step_on(struct fs *fs, struct ls_inode *dir, struct ls_inode *dir2, const struct step *t)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	const char *name = names[t->path[2]], *name2 = names[t->path2[2]];
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	int r;

	switch (t->op) {
	case 0:
		r = ls_create(fs->ls, &fs->call, dir, name, 0644, O_RDWR, &inode, &attr, &f);
		if (r == 0)
			ls_release(fs->ls, &fs->call, f);
		break;
	case 1:
	case 2:
		r = ls_mkdir(fs->ls, &fs->call, dir, name, 0755, &inode, &attr);
		break;
	case 3:
		r = ls_symlink(fs->ls, &fs->call, dir, name, name2, &inode, &attr);
		break;
	case 4:
		return fs_unlink(fs, dir, name);
	case 5:
		return fs_rmdir(fs, dir, name);
	case 6:
	case 7:
	case 8:
	case 9:
		return fs_rename(fs, dir, name, dir2, name2, flags[t->flags]);
	case 10:
		r = ls_lookup(fs->ls, &fs->call, dir, name, &inode, &attr);
		if (r == 0 && !S_ISDIR(attr.mode)) {
			fs->kept[fs->kept_count++] = inode;
			return ls_link(fs->ls, &fs->call, inode, dir2, name2, &attr);
		}
		break;
	default:
		r = ls_lookup(fs->ls, &fs->call, dir, name, &inode, &attr);
		if (r == 0) {
			fs->kept[fs->kept_count++] = inode;
			return change_file(fs, inode, &attr, t);
		}
	}
	if (r == 0)
		ls_forget(fs->ls, &fs->call, inode, 1);
	return r;
}

static int step_run(struct fs *fs, const struct step *t)
{
	struct ls_inode *dir = walk(fs, t->path, t->depth), *dir2 = walk(fs, t->path2, t->depth2);
	int r = dir && dir2 ? step_on(fs, dir, dir2, t) : 1;

	fs_settle(fs);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void describe(struct fs *fs, struct ls_inode *dir, const char *path, FILE *out)
{
	char buf[20000], sub[4096];
	struct listing l;

	fs_list(fs, dir, 3, &l);
	qsort(l.entry, l.count, sizeof(*l.entry), by_name);
	for (unsigned i = 0; i < l.count; i++) {
		if (l.entry[i].name[0] == '.')
			continue;
		struct ls_inode *inode = fs_get(fs, dir, l.entry[i].name);
		struct ls_attr a = fs_attr(fs, inode);
		ssize_t n = 0;
		unsigned sum = 0;
		snprintf(sub, sizeof(sub), "%s/%s", path, l.entry[i].name);
		if (S_ISREG(a.mode)) {
			struct ls_file *f = fs_open_file(fs, inode, O_RDONLY);
			n = fs_read(fs, f, buf, sizeof(buf), 0);
			fs_release(fs, f);
		} else if (S_ISLNK(a.mode)) {
			n = ls_readlink(fs->ls, &fs->call, inode, buf, sizeof(buf));
		}
		for (ssize_t at = 0; at < n; at++)
			sum = sum * 31 + (unsigned char)buf[at];
		fprintf(out, "%s %o %u %zd %u %u %zd %d\n", sub, a.mode, a.uid, n, sum, l.entry[i].type,
			ls_getxattr(fs->ls, &fs->call, inode, "trusted.one", NULL, 0), l.entry[i].ino == a.ino);
		if (S_ISDIR(a.mode))
			describe(fs, inode, sub, out);
		fs_forget(fs, inode);
	}
	listing_free(&l);
}

static char *tree_text(struct fs *fs)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	describe(fs, fs->root, "", out);
	fclose(out);
	return text;
}

static void compare(const char *what, const char *a, const char *b)
{
	const char *a0 = a;

	while (*a && strcspn(a, "\n") == strcspn(b, "\n") && memcmp(a, b, strcspn(a, "\n") + 1) == 0) {
		a += strcspn(a, "\n") + 1;
		b += strcspn(b, "\n") + 1;
	}
	if (*a || *b)
		fail_msg("%s (after %td): %.*s\nthe kernel: %.*s", what, a - a0, (int)strcspn(a, "\n"), a,
			 (int)strcspn(b, "\n"), b);
}

/* `top` is the directory that holds up and work; the branches below are shared by both sides. */
static struct fs *open_union(const char *scratch, const char *top)
{
	char json[1024];

	snprintf(json, sizeof(json),
		 "{\"union\": {\"below\": [{\"host\": {\"path\": \"%1$s/%2$s/up\", \"exclusive\": true}}, "
		 "{\"host\": {\"path\": \"%1$s/l1\", \"exclusive\": true}}, "
		 "{\"host\": {\"path\": \"%1$s/l2\", \"exclusive\": true}}]}}",
		 scratch, top);
	return fs_open(json);
}

static struct fs *open_kernel(const char *scratch, const char *top)
{
	char json[512];

	must_run("mount -t overlay overlay -o redirect_dir=on,index=off,metacopy=off,xino=off,"
		 "lowerdir=%1$s/l1:%1$s/l2,upperdir=%1$s/%2$s/up,workdir=%1$s/%2$s/work %1$s/merged",
		 scratch, top);
	snprintf(json, sizeof(json), "{\"host\": \"%s/merged\"}", scratch);
	return fs_open(json);
}

static void close_kernel(struct fs *fs, const char *scratch)
{
	fs_close(fs);
	must_run("umount %s/merged", scratch);
}

/* Branches below that the kernel's overlay wrote, with whiteouts, redirects and opaque directories in them. */
static void make_branches(const char *scratch, unsigned *seed)
{
	struct step t;
	struct fs *fs;

	must_run("cd %s && mkdir l1 l2 merged one one/up one/work two two/up two/work base base/up base/work none && "
		 "for d in a b c; do mkdir l2/$d l2/$d/e l2/$d/a; echo $d > l2/$d/b; echo x > l2/$d/e/f; done",
		 scratch);
	fs = open_kernel(scratch, "base");
	for (int i = 0; i < 60; i++) {
		step_draw(&t, seed);
		t.op -= t.op == 10; /* links below are broken by the kernel's copy-up, and not by ours */
		step_run(fs, &t);
	}
	close_kernel(fs, scratch);
	must_run("cd %s && rmdir l1 && mv base/up l1", scratch);
}

static void run(unsigned seed)
{
	char *scratch = scratch_begin("/dev/shm"), *ours, *kernels;
	struct fs *one, *two;
	struct step t;

	make_branches(scratch, &seed);
	one = open_union(scratch, "one");
	two = open_kernel(scratch, "two");
	for (int i = 0; i < STEPS; i++) {
		step_draw(&t, &seed);
		int a = step_run(one, &t), b = step_run(two, &t);
		if (a != b)
			fail_msg("step %d: op %u depth %u %u path %u %u %u path2 %u %u %u flags %u: union %d, kernel %d",
				 i, t.op, t.depth, t.depth2, t.path[0], t.path[1], t.path[2], t.path2[0], t.path2[1],
				 t.path2[2], t.flags, a, b);
	}
	ours = tree_text(one);
	kernels = tree_text(two);
	compare("ours", ours, kernels);
	fs_close(one);
	close_kernel(two, scratch);
	free(ours);

	one = open_union(scratch, "one");
	ours = tree_text(one);
	compare("ours, opened again", ours, kernels);
	fs_close(one);
	free(ours);
	two = open_kernel(scratch, "one");
	ours = tree_text(two);
	compare("the kernel on our branch", ours, kernels);
	close_kernel(two, scratch);
	free(ours);
	one = open_union(scratch, "two");
	ours = tree_text(one);
	compare("ours on the kernel's branch", ours, kernels);
	fs_close(one);
	free(ours);
	free(kernels);
	scratch_end(scratch);
}

static void a_union_does_as_the_kernel(void **state)
{
	for (unsigned seed = 1; seed <= 12; seed++)
		run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_union_does_as_the_kernel)};

	if (geteuid() != 0 || system("unshare -m true 2>/dev/null") != 0)
		return 77;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
