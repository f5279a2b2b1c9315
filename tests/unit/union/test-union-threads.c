/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that copy up the same files and directories, and list and move them meanwhile. */
#include <pthread.h>

#include "tests/unit/layers/harness.h"

enum { THREADS = 4, RECORDS = 100, LASTING = 60, ROUNDS = 300 };

struct worker {
	pthread_t thread;
	struct fs *fs;
	unsigned number, seed, failures;
};

#define EXPECT(expr) (void)((expr) || (w->failures++, fprintf(stderr, "not so: %s\n", #expr)))

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 9;
}

static struct ls_inode *get(struct worker *w, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode = NULL;
	struct ls_attr attr;

	EXPECT(ls_lookup(w->fs->ls, &w->fs->call, dir, name, &inode, &attr) == 0);
	return inode;
}

/* All append to one file that lies below: only one copies it up, and nobody's record is lost. */
static void append(struct worker *w)
{
	struct ls_inode *inode = get(w, w->fs->root, "log");
	struct ls_file *f = NULL;
	char record[8] = "record\n";
	struct iovec iov = {record, sizeof(record)};
	off_t end;

	EXPECT(ls_open(w->fs->ls, &w->fs->call, inode, O_RDWR, &f) == 0);
	for (int i = 0; i < RECORDS; i++) {
		EXPECT(ls_write(w->fs->ls, &w->fs->call, f, &iov, 1, 0, LS_WRITE_APPEND, &end) == sizeof(record));
		EXPECT(ls_read(w->fs->ls, &w->fs->call, f, &iov, 1, end - sizeof(record)) == sizeof(record));
	}
	ls_release(w->fs->ls, &w->fs->call, f);
	ls_forget(w->fs->ls, &w->fs->call, inode, 1);
}

static int count_lasting(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	*(unsigned *)arg += len > 1 && *name == 'k';
	return 0;
}

static void list(struct worker *w, struct ls_inode *dir)
{
	struct ls_file *f = NULL;
	unsigned lasting = 0;

	EXPECT(ls_open(w->fs->ls, &w->fs->call, dir, O_RDONLY | O_DIRECTORY, &f) == 0);
	EXPECT(ls_readdir(w->fs->ls, &w->fs->call, f, 0, count_lasting, &lasting) == 0);
	EXPECT(lasting == LASTING);
	ls_release(w->fs->ls, &w->fs->call, f);
}

/* Files and directories from below are changed, moved and removed at random; some names ("k...") are left alone. */
static void stir(struct worker *w, struct ls_inode *dir)
{
	struct ls_attr in = {.mode = 0700}, attr;
	char name[16], name2[16];
	struct ls_inode *inode;
	int r;

	snprintf(name, sizeof(name), "%c%u", "kfd"[next_random(&w->seed) % 3], next_random(&w->seed) % LASTING);
	snprintf(name2, sizeof(name2), "%c%u", "fd"[next_random(&w->seed) % 2], next_random(&w->seed) % LASTING);
	switch (next_random(&w->seed) % 6) {
	case 0:
		r = *name == 'k' ? -ENOENT : ls_unlink(w->fs->ls, &w->fs->call, dir, name);
		EXPECT(r == 0 || r == -ENOENT || r == -EISDIR);
		break;
	case 1:
		r = *name == 'k' ? -ENOENT : ls_rename(w->fs->ls, &w->fs->call, dir, name, dir, name2, 0);
		EXPECT(r == 0 || r == -ENOENT || r == -EISDIR || r == -ENOTDIR || r == -ENOTEMPTY);
		break;
	case 2:
		r = ls_mkdir(w->fs->ls, &w->fs->call, dir, name2, 0755, &inode, &attr);
		EXPECT(r == 0 || r == -EEXIST);
		if (r == 0)
			ls_forget(w->fs->ls, &w->fs->call, inode, 1);
		break;
	default:
		if (ls_lookup(w->fs->ls, &w->fs->call, dir, name, &inode, &attr) < 0)
			break;
		r = ls_setattr(w->fs->ls, &w->fs->call, inode, NULL, &in, LS_SET_MODE, &attr);
		EXPECT(r == 0 || r == -ENOENT); /* a directory that is gone */
		ls_forget(w->fs->ls, &w->fs->call, inode, 1);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct ls_inode *dir = get(w, w->fs->root, "dir");

	append(w);
	for (int i = 0; i < ROUNDS; i++) {
		stir(w, dir);
		if (i % 10 == 0)
			list(w, dir);
	}
	ls_forget(w->fs->ls, &w->fs->call, dir, 1);
	return NULL;
}

static void run(const char *options)
{
	char *scratch = scratch_begin("/dev/shm"), json[1024];
	struct worker w[THREADS];
	struct fs *fs;

	must_run("cd %s && mkdir -p up l/dir && printf 12345678 > l/log && for i in $(seq 0 %d); do echo $i > l/dir/k$i; "
		 "echo $i > l/dir/f$i; mkdir l/dir/d$i; done",
		 scratch, LASTING - 1);
	snprintf(json, sizeof(json),
		 "{\"union\": {%1$s \"below\": [{\"host\": {\"path\": \"%2$s/up\", \"exclusive\": true}}, "
		 "{\"host\": {\"path\": \"%2$s/l\", \"exclusive\": true}}]}}",
		 options, scratch);
	fs = fs_open(json);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.fs = fs, .number = i, .seed = i * 7919 + 1};
		assert_ok(pthread_create(&w[i].thread, NULL, work, &w[i]));
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_ok(pthread_join(w[i].thread, NULL));
		assert_int_equal(w[i].failures, 0);
	}
	assert_int_equal(fs_attr_at(fs, fs->root, "log").size, 8 + THREADS * RECORDS * 8);
	fs_close(fs);
	must_run("test ! -e %s/up/.union-work", scratch);
	scratch_end(scratch);
}

static void threads_copy_up_once(void **state)
{
	for (int i = 0; i < 3; i++)
		run("");
}

static void threads_with_few_names(void **state)
{
	run("\"names\": 100,");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(threads_copy_up_once),
					   cmocka_unit_test(threads_with_few_names)};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
