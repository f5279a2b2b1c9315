/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads, the same names. What each sees meanwhile must make sense, and in the end the tree must be
 * one: link counts add up, parents agree, and nothing that was freed is still charged.
 */
#include <pthread.h>

#include "tests/unit/layers/harness.h"

enum { THREADS = 6, DIRS = 5, NAMES = 5, BLOCK = 4096 };

/* Under a sanitizer everything is slow. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 1500 };
#else
enum { ROUNDS = 4000 };
#endif

struct shared {
	struct fs *fs;
	struct ls_inode *dir[DIRS];
	bool atomic_reads; /* the layer promises them; the kernel does not */
	unsigned wins;     /* atomic */
	unsigned failures; /* atomic: cmocka's asserts are for the main thread */
	bool stop;         /* atomic */
};

struct worker {
	pthread_t thread;
	struct shared *shared;
	unsigned number, seed;
};

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 9;
}

static void expect(struct shared *s, bool good, const char *what)
{
	if (good)
		return;
	__atomic_add_fetch(&s->failures, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "not so: %s\n", what);
}

#define EXPECT(expr) expect(s, (expr), #expr)

static void run_threads(struct shared *s, void *(*body)(void *))
{
	struct worker w[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.shared = s, .number = i, .seed = i * 7919 + 1};
		assert_ok(pthread_create(&w[i].thread, NULL, body, &w[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_ok(pthread_join(w[i].thread, NULL));
	assert_int_equal(s->failures, 0);
}

/* ---- churn ---------------------------------------------------------------------------------------- */

static void use_file(struct shared *s, struct ls_inode *inode, unsigned number)
{
	struct ls *ls = s->fs->ls;
	const struct ls_call *call = &s->fs->call;
	char block[BLOCK];
	struct iovec iov = {block, BLOCK};
	struct ls_attr attr;
	struct ls_file *f;
	off_t end;
	ssize_t n;

	if (ls_open(ls, call, inode, O_RDWR, &f) < 0)
		return;
	memset(block, number, BLOCK);
	EXPECT(ls_write(ls, call, f, &iov, 1, 1000, 0, &end) == BLOCK);
	n = ls_read(ls, call, f, &iov, 1, 1000);
	EXPECT(n == BLOCK || n == 0 || (n > 0 && !s->atomic_reads)); /* somebody may have truncated it */
	for (ssize_t i = 1; s->atomic_reads && i < n; i++)
		if (block[i] != block[0]) {
			EXPECT(!"a read saw half of a write");
			break;
		}
	EXPECT(ls_getattr(ls, call, inode, f, &attr) == 0);
	ls_release(ls, call, f);
}

static int count_entry(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	++*(unsigned *)arg;
	return 0;
}

static void churn_once(struct worker *w)
{
	struct shared *s = w->shared;
	struct ls *ls = s->fs->ls;
	const struct ls_call *call = &s->fs->call;
	struct ls_inode *dir = s->dir[next_random(&w->seed) % DIRS],
			*dir2 = s->dir[next_random(&w->seed) % DIRS];
	char name[8] = {'a' + next_random(&w->seed) % NAMES},
	     name2[8] = {'a' + next_random(&w->seed) % NAMES};
	unsigned flags = next_random(&w->seed) % 16, entries = 0;
	struct ls_attr attr, in = {.size = 0, .mode = 0600};
	struct ls_inode *inode;
	struct ls_file *f;
	int r;

	switch (next_random(&w->seed) % 14) {
	case 0:
	case 1:
		r = ls_create(ls, call, dir, name, 0644, O_RDWR, &inode, &attr, &f);
		EXPECT(r == 0 || r == -EEXIST || r == -ENOENT);
		if (r < 0)
			return;
		EXPECT(attr.nlink == 1 && attr.size == 0);
		ls_release(ls, call, f);
		break;
	case 2:
		r = ls_mkdir(ls, call, dir, name, 0755, &inode, &attr);
		EXPECT(r == 0 || r == -EEXIST || r == -ENOENT);
		if (r < 0)
			return;
		break;
	case 3:
		r = ls_unlink(ls, call, dir, name);
		EXPECT(r == 0 || r == -ENOENT || r == -EISDIR);
		return;
	case 4:
		r = ls_rmdir(ls, call, dir, name);
		EXPECT(r == 0 || r == -ENOENT || r == -ENOTDIR || r == -ENOTEMPTY);
		return;
	case 5:
	case 6:
	case 7:
		r = ls_rename(ls, call, dir, name, dir2, name2, flags < 4 ? flags : 0);
		EXPECT(r == 0 || r == -ENOENT || r == -EEXIST || r == -EINVAL || r == -EISDIR ||
		       r == -ENOTDIR || r == -ENOTEMPTY);
		return;
	case 8:
		if (ls_open(ls, call, dir, O_RDONLY | O_DIRECTORY, &f) < 0)
			return;
		r = ls_readdir(ls, call, f, 0, count_entry, &entries);
		EXPECT(r == 0 || r == -ENOENT);
		ls_release(ls, call, f);
		return;
	case 9:
		if (ls_parent(ls, call, dir, &inode, &attr) < 0)
			return;
		EXPECT(S_ISDIR(attr.mode));
		break;
	default:
		if (ls_lookup(ls, call, dir, name, &inode, &attr) < 0)
			return;
		if (S_ISREG(attr.mode) && flags == 0) {
			EXPECT(ls_setattr(ls, call, inode, NULL, &in, LS_SET_SIZE | LS_SET_MODE, &attr) ==
			       0);
		} else if (S_ISREG(attr.mode) && flags < 4) {
			r = ls_link(ls, call, inode, dir2, name2, &attr);
			EXPECT(r == 0 || r == -EEXIST || r == -ENOENT);
		} else if (S_ISREG(attr.mode)) {
			use_file(s, inode, w->number);
		} else if (flags == 5) {
			r = ls_setxattr(ls, call, inode, "trusted.x", "value", w->number, 0);
			EXPECT(r == 0);
		}
	}
	ls_forget(ls, call, inode, 1);
}

static void *churn(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		churn_once(arg);
	return NULL;
}

/* ---- what must hold afterwards --------------------------------------------------------------------- */

struct count {
	uint64_t ino;
	unsigned names, nlink;
};

struct census {
	struct count file[512];
	unsigned count;
};

static void census_add(struct census *c, const struct ls_attr *attr)
{
	unsigned i = 0;

	while (i < c->count && c->file[i].ino != attr->ino)
		i++;
	assert_in_range(i, 0, 511);
	if (i == c->count)
		c->file[c->count++] = (struct count){attr->ino, 0, attr->nlink};
	c->file[i].names++;
}

static void tree_is_sound(struct fs *fs, struct ls_inode *dir, uint64_t parent_ino, struct census *c,
			  unsigned depth)
{
	struct ls_inode *up, *inode;
	struct ls_attr attr, self = fs_attr(fs, dir);
	unsigned subdirs = 0;
	struct listing l;

	assert_in_range(depth, 0, 1000);
	assert_ok(ls_parent(fs->ls, &fs->call, dir, &up, &attr));
	assert_int_equal(attr.ino, parent_ino);
	ls_forget(fs->ls, &fs->call, up, 1);
	fs_list(fs, dir, 0, &l);
	for (unsigned i = 0; i < l.count; i++) {
		if (l.entry[i].name[0] == '.')
			continue;
		assert_int_equal(listing_count(&l, l.entry[i].name), 1);
		inode = fs_get(fs, dir, l.entry[i].name);
		attr = fs_attr(fs, inode);
		assert_int_equal(attr.ino, l.entry[i].ino);
		if (S_ISDIR(attr.mode)) {
			subdirs++;
			tree_is_sound(fs, inode, self.ino, c, depth + 1);
		} else {
			census_add(c, &attr);
		}
		fs_forget(fs, inode);
	}
	assert_int_equal(self.nlink, 2 + subdirs);
	listing_free(&l);
}

static void sound(struct fs *fs)
{
	struct census c = {.count = 0};

	tree_is_sound(fs, fs->root, fs->ls->root_attr.ino, &c, 0);
	for (unsigned i = 0; i < c.count; i++)
		assert_int_equal(c.file[i].names, c.file[i].nlink);
}

static void run_churn(const char *json, bool in_memory)
{
	struct shared s = {.fs = fs_open(json), .atomic_reads = in_memory};
	struct ls_statfs before, after;

	assert_ok(ls_statfs(s.fs->ls, &s.fs->call, &before));
	s.dir[0] = s.fs->root;
	for (int i = 1; i < DIRS; i++) /* they will be moved below each other, and removed */
		s.dir[i] = fs_mkdir(s.fs, s.fs->root, (char[]){'a' + i - 1, 0});
	run_threads(&s, churn);
	sound(s.fs);
	fs_settle(s.fs);
	sound(s.fs);
	fs_empty(s.fs);
	assert_ok(ls_statfs(s.fs->ls, &s.fs->call, &after));
	if (in_memory) {
		assert_int_equal(after.bfree, before.bfree);
		assert_int_equal(after.ffree, before.ffree);
	}
	fs_close(s.fs);
}

/* ---- other things that threads do at once ---------------------------------------------------------- */

static void *create_same_names(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;
	char name[32];

	for (int i = 0; i < 300; i++) {
		struct ls_inode *inode;
		struct ls_attr attr;
		struct ls_file *f;
		snprintf(name, sizeof(name), "n%d", i);
		int r = ls_create(s->fs->ls, &s->fs->call, s->fs->root, name, 0640, O_RDWR, &inode, &attr,
				  &f);
		EXPECT(r == 0 || r == -EEXIST);
		if (r == 0) {
			__atomic_add_fetch(&s->wins, 1, __ATOMIC_RELAXED);
			ls_release(s->fs->ls, &s->fs->call, f);
		} else {
			EXPECT(ls_lookup(s->fs->ls, &s->fs->call, s->fs->root, name, &inode, &attr) == 0);
		}
		/* Whoever made it, nobody sees it before it has its owner. */
		EXPECT(attr.uid == 1000 && attr.gid == 1000 && attr.mode == (S_IFREG | 0640));
		ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	}
	return NULL;
}

static void run_creators(const char *json)
{
	struct shared s = {.fs = fs_open(json)};

	s.fs->cred = (struct ls_cred){.uid = 1000, .gid = 1000};
	run_threads(&s, create_same_names);
	assert_int_equal(s.wins, 300);
	fs_close(s.fs);
}

enum { RECORDS = 400 };

static void *append_records(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	off_t end;

	EXPECT(ls_lookup(s->fs->ls, &s->fs->call, s->fs->root, "log", &inode, &attr) == 0);
	EXPECT(ls_open(s->fs->ls, &s->fs->call, inode, O_RDWR, &f) == 0);
	for (unsigned i = 0; i < RECORDS; i++) {
		unsigned record[2] = {w->number, i}, back[2];
		struct iovec iov = {record, sizeof(record)}, in = {back, sizeof(back)};
		EXPECT(ls_write(s->fs->ls, &s->fs->call, f, &iov, 1, 0, LS_WRITE_APPEND, &end) ==
		       sizeof(record));
		EXPECT(ls_read(s->fs->ls, &s->fs->call, f, &in, 1, end - sizeof(record)) == sizeof(back));
		EXPECT(memcmp(record, back, sizeof(back)) == 0);
	}
	ls_release(s->fs->ls, &s->fs->call, f);
	ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	return NULL;
}

static void run_appenders(const char *json)
{
	struct shared s = {.fs = fs_open(json)};

	fs_file(s.fs, s.fs->root, "log");
	run_threads(&s, append_records);
	assert_int_equal(fs_attr_at(s.fs, s.fs->root, "log").size, THREADS * RECORDS * 8);
	fs_close(s.fs);
}

/* All but the first thread make and remove names; the first lists, and sees the lasting ones exactly once.
 */
static void *list_or_disturb(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->shared;
	struct ls_inode *inode;
	struct ls_attr attr;
	struct listing l;
	char name[32];

	if (w->number == 0) {
		for (int i = 0; i < 20; i++) {
			unsigned lasting = 0;
			fs_list(s->fs, s->fs->root, i % 7, &l);
			for (unsigned j = 0; j < l.count; j++)
				lasting += strncmp(l.entry[j].name, "lasting", 7) == 0;
			EXPECT(lasting == 200);
			listing_free(&l);
		}
		__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED); i++) {
		snprintf(name, sizeof(name), "t%u-%u", w->number, i % 150);
		if (i % 150 < i % 300) {
			EXPECT(ls_unlink(s->fs->ls, &s->fs->call, s->fs->root, name) == 0);
			continue;
		}
		EXPECT(ls_mknod(s->fs->ls, &s->fs->call, s->fs->root, name, S_IFREG, 0, 0, &inode, &attr) ==
		       0);
		ls_forget(s->fs->ls, &s->fs->call, inode, 1);
	}
	return NULL;
}

static void run_listers(const char *json)
{
	struct shared s = {.fs = fs_open(json)};
	char name[32];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "lasting%d", i);
		fs_forget(s.fs, fs_file(s.fs, s.fs->root, name));
	}
	run_threads(&s, list_or_disturb);
	fs_close(s.fs);
}

/* ---- on each layer --------------------------------------------------------------------------------- */

static void on_mem(void **state)
{
	for (int i = 0; i < 3; i++)
		run_churn("{\"mem\": {}}", true);
	run_creators("{\"mem\": {}}");
	run_appenders("{\"mem\": {}}");
	run_listers("{\"mem\": {}}");
}

static void on_host(const char *options)
{
	void (*const runs[])(const char *json) = {run_creators, run_appenders, run_listers};
	char *scratch, json[512];

	for (unsigned i = 0; i < 4; i++) {
		scratch = scratch_begin("/dev/shm");
		snprintf(json, sizeof(json), "{\"host\": {\"path\": \"%s\"%s}}", scratch, options);
		if (i == 3)
			run_churn(json, false);
		else
			runs[i](json);
		scratch_end(scratch);
	}
}

static void on_host_with_descriptors(void **state)
{
	on_host("");
}

static void on_host_without_descriptors(void **state)
{
	on_host(", \"descriptors\": 16");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_mem),
		cmocka_unit_test(on_host_with_descriptors),
		cmocka_unit_test(on_host_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
