/* SPDX-License-Identifier: Apache-2.0 */
/* Listing directories, also while they change. */
#include "tests/unit/layers/cases.h"

static const char *name_of(char buf[static 32], const char *prefix, unsigned i)
{
	snprintf(buf, 32, "%s%u", prefix, i);
	return buf;
}

static void fill(struct fs *fs, struct ls_inode *dir, const char *prefix, unsigned count)
{
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		struct ls_inode *inode = fs_file(fs, dir, name_of(name, prefix, i));
		fs_forget(fs, inode);
	}
}

static void a_listing_names_everything(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d");
	struct listing l;
	unsigned type;

	fs_file(fs, d, "file");
	fs_mkdir(fs, d, "dir");
	fs_symlink(fs, d, "link", "x");
	fs_mknod(fs, d, "fifo", S_IFIFO | 0600);
	fs_list(fs, d, 0, &l);
	assert_int_equal(l.count, 6);
	for (unsigned i = 0; i < l.count; i++) {
		const char *name = l.entry[i].name;
		assert_int_equal(listing_count(&l, name), 1);
		if (strcmp(name, ".") == 0) {
			assert_int_equal(l.entry[i].ino, fs_attr(fs, d).ino);
		} else if (strcmp(name, "..") == 0) {
			assert_int_equal(l.entry[i].ino, fs_attr(fs, fs->root).ino);
		} else {
			struct ls_attr attr = fs_attr_at(fs, d, name);
			type = (attr.mode & S_IFMT) >> 12;
			assert_int_equal(l.entry[i].ino, attr.ino);
			assert_int_equal(l.entry[i].type, type);
		}
	}
	listing_free(&l);
	fs_list(fs, fs->root, 0, &l);
	for (unsigned i = 0; i < l.count; i++)
		if (l.entry[i].name[0] == '.')
			assert_int_equal(l.entry[i].ino, fs_attr(fs, fs->root).ino);
	listing_free(&l);
}

static void a_listing_resumes_anywhere(struct fs *fs)
{
	struct listing all, parts;

	fill(fs, fs->root, "some-name-", 700);
	fs_list(fs, fs->root, 0, &all);
	assert_int_equal(all.count, 702);
	for (unsigned batch = 1; batch < 100; batch = batch * 3 + 1) {
		fs_list(fs, fs->root, batch, &parts);
		assert_int_equal(parts.count, all.count);
		for (unsigned i = 0; i < all.count; i++)
			assert_string_equal(parts.entry[i].name, all.entry[i].name);
		listing_free(&parts);
	}
	listing_free(&all);
}

struct one {
	char name[256];
	uint64_t next;
	unsigned room;
};

static int take_one(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct one *one = arg;

	if (!one->room--)
		return 1;
	memcpy(one->name, name, len);
	one->name[len] = 0;
	one->next = next;
	return 0;
}

/* Reads entry after entry, each by a readdir of its own; `seen` gets how often each prefix<number> came. */
static unsigned walk(struct fs *fs, struct ls_inode *dir, const char *prefix, unsigned *seen,
		     unsigned count, void (*on_each)(struct fs *fs, struct ls_inode *dir, const char *name))
{
	struct ls_file *f = fs_open_file(fs, dir, O_RDONLY | O_DIRECTORY);
	struct one one = {.next = 0};
	unsigned total = 0, number;

	for (;;) {
		one.room = 1;
		one.name[0] = 0;
		assert_ok(ls_readdir(fs->ls, &fs->call, f, one.next, take_one, &one));
		if (!one.name[0])
			break;
		if (strncmp(one.name, prefix, strlen(prefix)) != 0)
			continue;
		number = atoi(one.name + strlen(prefix));
		assert_in_range(number, 0, count - 1);
		seen[number]++;
		total++;
		if (on_each)
			on_each(fs, dir, one.name);
	}
	fs_release(fs, f);
	return total;
}

static void remove_it(struct fs *fs, struct ls_inode *dir, const char *name)
{
	assert_ok(fs_unlink(fs, dir, name));
}

/* As rm -rf does. */
static void removing_while_listing_sees_each_once(struct fs *fs)
{
	enum { COUNT = 1500 };
	unsigned seen[COUNT] = {0};
	struct listing l;

	fill(fs, fs->root, "f", COUNT);
	assert_int_equal(walk(fs, fs->root, "f", seen, COUNT, remove_it), COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	fs_list(fs, fs->root, 0, &l);
	assert_int_equal(l.count, 2);
	listing_free(&l);
}

static void add_another(struct fs *fs, struct ls_inode *dir, const char *name)
{
	char other[256];

	snprintf(other, sizeof(other), "new-%s", name);
	fs_forget(fs, fs_file(fs, dir, other));
	if (atoi(name + 1) % 3 == 0) {
		assert_ok(fs_unlink(fs, dir, other));
	}
}

static void adding_while_listing_sees_the_old_once(struct fs *fs)
{
	enum { COUNT = 600 };
	unsigned seen[COUNT] = {0};

	fill(fs, fs->root, "f", COUNT);
	walk(fs, fs->root, "f", seen, COUNT, add_another);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
}

static int count_one(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	++*(unsigned *)arg;
	return 0;
}

static void rewinding_shows_what_is_new(struct fs *fs)
{
	struct ls_file *f = fs_open_file(fs, fs->root, O_RDONLY | O_DIRECTORY);
	unsigned count = 0;

	fill(fs, fs->root, "old", 10);
	assert_ok(ls_readdir(fs->ls, &fs->call, f, 0, count_one, &count));
	assert_int_equal(count, 12);
	fill(fs, fs->root, "new", 5);
	assert_ok(fs_unlink(fs, fs->root, "old3"));
	count = 0;
	assert_ok(ls_readdir(fs->ls, &fs->call, f, 0, count_one, &count));
	assert_int_equal(count, 16);
}

static void large_directories(struct fs *fs)
{
	enum { COUNT = 5000 };
	char name[32];
	struct listing l;

	fill(fs, fs->root, "entry-", COUNT);
	for (unsigned i = 0; i < COUNT; i += 7)
		assert_ok(fs_try(fs, fs->root, name_of(name, "entry-", i)));
	for (unsigned i = 0; i < COUNT; i += 2)
		assert_ok(fs_unlink(fs, fs->root, name_of(name, "entry-", i * 2477 % COUNT / 2 * 2)));
	fs_list(fs, fs->root, 0, &l);
	assert_int_equal(l.count, COUNT / 2 + 2);
	for (unsigned i = 0; i < l.count; i++)
		if (l.entry[i].name[0] != '.')
			assert_int_equal(atoi(l.entry[i].name + 6) % 2, 1);
	listing_free(&l);
}

static int look_up(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct fs *fs = arg;
	char copy[256];

	memcpy(copy, name, len);
	copy[len] = 0;
	if (copy[0] != '.')
		assert_ok(fs_try(fs, fs->root, copy));
	return 0;
}

static void names_can_be_looked_up_while_listed(struct fs *fs)
{
	struct ls_file *f = fs_open_file(fs, fs->root, O_RDONLY | O_DIRECTORY);

	fill(fs, fs->root, "f", 100);
	assert_ok(ls_readdir(fs->ls, &fs->call, f, 0, look_up, fs));
	fs_release(fs, f);
	f = fs_open_file(fs, fs_file(fs, fs->root, "file"), O_RDONLY);
	assert_int_equal(ls_readdir(fs->ls, &fs->call, f, 0, look_up, fs), -ENOTDIR);
}

const struct layer_case dir_cases[] = {
	{"a listing names everything", a_listing_names_everything},
	{"a listing resumes anywhere", a_listing_resumes_anywhere},
	{"removing while listing sees each once", removing_while_listing_sees_each_once},
	{"adding while listing sees the old once", adding_while_listing_sees_the_old_once},
	{"rewinding shows what is new", rewinding_shows_what_is_new},
	{"large directories", large_directories},
	{"names can be looked up while listed", names_can_be_looked_up_while_listed},
	{NULL},
};
