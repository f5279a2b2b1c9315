/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same random operations on mem and on a kernel filesystem, reached through the host layer: every
 * result must be the same, and so must the trees in the end. The kernel says what is right.
 */
#include "tests/unit/layers/harness.h"

enum { STEPS = 6000, NAMES = 6, DIRS = 8 };

struct side {
	struct fs *fs;
	struct ls_inode *dir[DIRS]; /* directories in hand; both sides have the same ones */
};

struct step {
	unsigned op, dir, dir2, name, name2, flags, number;
};

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 9;
}

static const char *const names[NAMES] = {"a", "b", "c", "d", "e", "f"};

/* Replaces directory `slot` in hand by the inode, if it is one. */
static int take(struct side *s, unsigned slot, struct ls_inode *inode, const struct ls_attr *attr)
{
	if (slot == 0 || !S_ISDIR(attr->mode)) {
		ls_forget(s->fs->ls, &s->fs->call, inode, 1);
		return 0;
	}
	ls_forget(s->fs->ls, &s->fs->call, s->dir[slot], 1);
	s->dir[slot] = inode;
	return 1;
}

static int do_setattr(struct side *s, struct ls_inode *dir, const struct step *t)
{
	struct ls_attr in = {.mode = t->number & 07777,
			     .uid = t->number % 5,
			     .gid = t->number % 3,
			     .size = t->number % 9000};
	unsigned set = t->flags % 16;
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = ls_lookup(s->fs->ls, &s->fs->call, dir, names[t->name], &inode, &attr);

	if (r < 0)
		return r;
	if (S_ISLNK(attr.mode))
		set &= ~LS_SET_MODE;
	/* Which set-id bits a change of owner takes away is the service's to say, not the layer's. */
	if (set & (LS_SET_UID | LS_SET_GID))
		set |= S_ISLNK(attr.mode) ? 0 : LS_SET_MODE;
	r = ls_setattr(s->fs->ls, &s->fs->call, inode, NULL, &in, set, &attr);
	ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	return r;
}

static int do_data(struct side *s, struct ls_inode *dir, const struct step *t)
{
	struct iovec iov = {"some bytes that are written", 27};
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	off_t end;
	int r = ls_lookup(s->fs->ls, &s->fs->call, dir, names[t->name], &inode, &attr);

	if (r < 0)
		return r;
	r = ls_open(s->fs->ls, &s->fs->call, inode, O_RDWR, &f);
	if (r == 0) {
		r = ls_write(s->fs->ls, &s->fs->call, f, &iov, 1, t->number % 20000, t->flags % 2, &end);
		r += end % 1000 * 100;
		ls_release(s->fs->ls, &s->fs->call, f);
	}
	ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	return r;
}

static int do_link(struct side *s, struct ls_inode *dir, const struct step *t)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = ls_lookup(s->fs->ls, &s->fs->call, dir, names[t->name], &inode, &attr);

	if (r < 0)
		return r;
	r = S_ISDIR(attr.mode)
		    ? 1
		    : ls_link(s->fs->ls, &s->fs->call, inode, s->dir[t->dir2], names[t->name2], &attr);
	if (r == 0)
		r = 1000 + attr.nlink;
	ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	return r;
}

static int do_xattr(struct side *s, struct ls_inode *dir, const struct step *t)
{
	static const char *const keys[] = {"user.one", "trusted.two", "user.three"};
	const char *key = keys[t->number % 3];
	struct ls_inode *inode;
	struct ls_attr attr;
	char buf[64];
	int r = ls_lookup(s->fs->ls, &s->fs->call, dir, names[t->name], &inode, &attr);

	if (r < 0)
		return r;
	if (t->number & 64)
		r = ls_setxattr(s->fs->ls, &s->fs->call, inode, key, "0123456789abcdef", t->number % 16,
				t->flags % 3);
	else if (t->number & 128)
		r = ls_removexattr(s->fs->ls, &s->fs->call, inode, key);
	else
		r = ls_getxattr(s->fs->ls, &s->fs->call, inode, key, buf, t->number % 20);
	ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	return r;
}

static int do_create(struct side *s, struct ls_inode *dir, const struct step *t)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	int r = ls_create(s->fs->ls, &s->fs->call, dir, names[t->name], t->number & 07777, O_RDWR, &inode,
			  &attr, &f);

	if (r < 0)
		return r;
	ls_release(s->fs->ls, &s->fs->call, f);
	ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	return attr.mode;
}

static int step_run(struct side *s, const struct step *t)
{
	static const mode_t types[] = {S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR};
	struct ls *ls = s->fs->ls;
	const struct ls_call *call = &s->fs->call;
	struct ls_inode *dir = s->dir[t->dir], *dir2 = s->dir[t->dir2], *inode;
	struct ls_attr attr;
	int r;

	s->fs->cred.uid = t->number % 4;
	s->fs->cred.gid = t->number % 7;
	switch (t->op) {
	case 0:
	case 1:
		return do_create(s, dir, t);
	case 2:
	case 3:
		r = ls_mkdir(ls, call, dir, names[t->name], t->number & 01777, &inode, &attr);
		return r < 0 ? r : (take(s, t->dir2, inode, &attr), (int)attr.mode);
	case 4:
		r = ls_symlink(ls, call, dir, names[t->name], names[t->name2], &inode, &attr);
		return r < 0 ? r : take(s, 0, inode, &attr);
	case 5:
		r = ls_mknod(ls, call, dir, names[t->name], types[t->number % 4] | 0600, 0, 0, &inode,
			     &attr);
		return r < 0 ? r : take(s, 0, inode, &attr);
	case 6:
		return do_link(s, dir, t);
	case 7:
		return ls_unlink(ls, call, dir, names[t->name]);
	case 8:
		return ls_rmdir(ls, call, dir, names[t->name]);
	case 9:
	case 10:
	case 11:
		return ls_rename(ls, call, dir, names[t->name], dir2, names[t->name2], t->flags % 8);
	case 12:
		r = ls_lookup(ls, call, dir, names[t->name], &inode, &attr);
		return r < 0 ? r : take(s, t->dir2, inode, &attr);
	case 13:
		r = ls_parent(ls, call, dir, &inode, &attr);
		if (r < 0 || fs_attr(s->fs, dir).nlink == 0) /* of a removed one, any answer will do */
			return r < 0 ? 0 : (ls_forget(ls, call, inode, 1), 0);
		return take(s, t->dir2, inode, &attr);
	case 14:
		return do_setattr(s, dir, t);
	case 15:
		return do_data(s, dir, t);
	default:
		return do_xattr(s, dir, t);
	}
}

/* A tree as text: names, attributes, contents. */
static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void describe(struct fs *fs, struct ls_inode *dir, const char *path, FILE *out)
{
	struct listing l;
	char buf[30000], sub[4096];
	ssize_t n;

	fs_list(fs, dir, 0, &l);
	qsort(l.entry, l.count, sizeof(*l.entry), by_name);
	for (unsigned i = 0; i < l.count; i++) {
		if (l.entry[i].name[0] == '.')
			continue;
		struct ls_inode *inode = fs_get(fs, dir, l.entry[i].name);
		struct ls_attr a = fs_attr(fs, inode);
		snprintf(sub, sizeof(sub), "%s/%s", path, l.entry[i].name);
		fprintf(out, "%s %o %u %u:%u %ju %u\n", sub, a.mode, a.nlink, a.uid, a.gid,
			S_ISDIR(a.mode) ? 0 : (uintmax_t)a.size, l.entry[i].type);
		if (S_ISDIR(a.mode))
			describe(fs, inode, sub, out);
		if (S_ISLNK(a.mode)) {
			n = ls_readlink(fs->ls, &fs->call, inode, buf, sizeof(buf));
			fprintf(out, "  -> %.*s\n", (int)n, buf);
		}
		if (S_ISREG(a.mode)) {
			struct ls_file *f = fs_open_file(fs, inode, O_RDONLY);
			unsigned sum = 0;
			n = fs_read(fs, f, buf, sizeof(buf), 0);
			for (ssize_t at = 0; at < n; at++)
				sum = sum * 31 + buf[at];
			fprintf(out, "  %zd %u\n", n, sum);
			fs_release(fs, f);
		}
		for (const char *const *key =
			     (const char *const[]){"user.one", "trusted.two", "user.three", NULL};
		     *key; key++)
			fprintf(out, "  %zd\n", ls_getxattr(fs->ls, &fs->call, inode, *key, NULL, 0));
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

static void compare_lines(const char *a, const char *b)
{
	while (*a && strcspn(a, "\n") == strcspn(b, "\n") && memcmp(a, b, strcspn(a, "\n") + 1) == 0) {
		a += strcspn(a, "\n") + 1;
		b += strcspn(b, "\n") + 1;
	}
	if (*a || *b)
		fail_msg("mem has:  %.*s\nhost has: %.*s", (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"),
			 b);
}

static void side_open(struct side *s, const char *json)
{
	s->fs = fs_open(json);
	for (int i = 0; i < DIRS; i++)
		s->dir[i] = s->fs->root;
}

static void side_close(struct side *s)
{
	for (int i = 0; i < DIRS; i++)
		ls_forget(s->fs->ls, &s->fs->call, s->dir[i], 1);
	fs_close(s->fs);
}

static void run_twins(const char *where, const char *format, unsigned seed)
{
	char *scratch = scratch_begin(where), json[512], *mem_tree, *host_tree;
	struct side mem, host;

	snprintf(json, sizeof(json), format, scratch);
	side_open(&host, json);
	side_open(&mem, "{\"mem\": {}}");
	for (int i = 0; i < STEPS; i++) {
		struct step t = {.op = next_random(&seed) % 17,
				 .dir = next_random(&seed) % DIRS,
				 .dir2 = next_random(&seed) % DIRS,
				 .name = next_random(&seed) % NAMES,
				 .name2 = next_random(&seed) % NAMES,
				 .flags = next_random(&seed) % 24,
				 .number = next_random(&seed)};
		int a = step_run(&mem, &t), b = step_run(&host, &t);
		if (a != b)
			fail_msg("step %d: op %u dir %u %u name %u %u flags %u number %u: mem %d, host %d",
				 i, t.op, t.dir, t.dir2, t.name, t.name2, t.flags, t.number, a, b);
	}
	mem_tree = tree_text(mem.fs);
	host_tree = tree_text(host.fs);
	compare_lines(mem_tree, host_tree);
	free(mem_tree);
	free(host_tree);
	side_close(&mem);
	side_close(&host);
	scratch_end(scratch);
}

static void mem_does_as_the_disk(void **state)
{
	for (unsigned seed = 1; seed <= 3; seed++)
		run_twins("/var/tmp", "{\"host\": \"%s\"}", seed);
}

static void mem_does_as_tmpfs(void **state)
{
	for (unsigned seed = 11; seed <= 16; seed++)
		run_twins("/dev/shm", "{\"host\": \"%s\"}", seed);
}

static void mem_does_as_the_disk_with_few_descriptors(void **state)
{
	run_twins("/var/tmp", "{\"host\": {\"path\": \"%s\", \"descriptors\": 16}}", 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mem_does_as_the_disk),
		cmocka_unit_test(mem_does_as_tmpfs),
		cmocka_unit_test(mem_does_as_the_disk_with_few_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
