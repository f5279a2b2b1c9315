/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads do random things to files through a cache that is much too small, over layers that are slow or
 * fail, while changes are written back all the time. Each file has an array that says what it must contain.
 */
#include <linux/falloc.h>
#include <pthread.h>

#include "tests/unit/layers/harness.h"

enum { THREADS = 4, FILES = 6, SIZE = 600000, IO = 70000 };

/* Under a sanitizer everything is slow. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 1200 };
#else
enum { ROUNDS = 6000 };
#endif

struct model {
	pthread_mutex_t lock;
	struct ls_inode *inode;
	unsigned char bytes[SIZE];
	unsigned size;
};

struct world {
	struct fs *fs;
	struct model file[FILES];
	bool failing;      /* the layer below fails now and then */
	unsigned failures; /* atomic: cmocka's asserts are for the main thread */
};

struct worker {
	pthread_t thread;
	struct world *world;
	unsigned seed;
	unsigned char buf[IO], want[IO];
};

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

static void expect(struct world *w, bool good, const char *what, unsigned line)
{
	if (good)
		return;
	if (__atomic_add_fetch(&w->failures, 1, __ATOMIC_RELAXED) < 10)
		fprintf(stderr, "line %u: not so: %s\n", line, what);
}

#define EXPECT(expr) expect(w, (expr), #expr, __LINE__)

static void do_write(struct worker *t, struct model *m, struct ls_file *f, unsigned at, unsigned n,
		     unsigned flags)
{
	struct world *w = t->world;
	struct iovec iov[2] = {{t->buf, n / 3}, {t->buf + n / 3, n - n / 3}};
	off_t end;
	ssize_t r;

	if (flags & LS_WRITE_APPEND)
		at = m->size;
	n = at + n > SIZE ? SIZE - at : n;
	iov[1].iov_len = n > n / 3 ? n - n / 3 : 0;
	iov[0].iov_len = n / 3;
	iov[1].iov_base = t->buf + n / 3;
	for (unsigned i = 0; i < n; i++)
		t->buf[i] = next_random(&t->seed);
	r = ls_write(w->fs->ls, &w->fs->call, f, iov, 2, at, flags, &end);
	EXPECT(r == n || (w->failing && r < 0) || (w->failing && flags));
	if (r < 0 && !(flags & (LS_WRITE_SYNC | LS_WRITE_DSYNC)))
		return;
	if (r < 0)
		r = -1;
	EXPECT(r < 0 || end == (off_t)at + r);
	/* A synchronous write that failed may have changed the cache: look. */
	if (r < 0) {
		struct ls_attr attr;
		struct iovec all = {m->bytes, SIZE};
		EXPECT(ls_getattr(w->fs->ls, &w->fs->call, m->inode, f, &attr) == 0);
		m->size = attr.size;
		memset(m->bytes, 0, SIZE);
		EXPECT(ls_read(w->fs->ls, &w->fs->call, f, &all, 1, 0) == m->size);
		return;
	}
	memcpy(m->bytes + at, t->buf, r);
	if (r && at + r > m->size)
		m->size = at + r;
}

static void do_read(struct worker *t, struct model *m, struct ls_file *f, unsigned at, unsigned n)
{
	struct world *w = t->world;
	struct iovec iov[2] = {{t->buf, n / 2}, {t->buf + n / 2, n - n / 2}};
	ssize_t want = at >= m->size ? 0 : at + n > m->size ? m->size - at : n;
	ssize_t r = ls_read(w->fs->ls, &w->fs->call, f, iov, 2, at);

	EXPECT(r == want);
	if (r == want)
		EXPECT(memcmp(t->buf, m->bytes + at, want) == 0);
}

static void do_truncate(struct worker *t, struct model *m, unsigned size)
{
	struct world *w = t->world;
	struct ls_attr in = {.size = size}, attr;

	EXPECT(ls_setattr(w->fs->ls, &w->fs->call, m->inode, NULL, &in, LS_SET_SIZE, &attr) == 0);
	EXPECT(attr.size == size);
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
}

static void do_allocate(struct worker *t, struct model *m, struct ls_file *f, unsigned at, unsigned n,
			bool punch)
{
	struct world *w = t->world;
	int mode = punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0, r;

	n = at + n > SIZE ? SIZE - at : n;
	if (!n)
		return;
	r = ls_fallocate(w->fs->ls, &w->fs->call, f, mode, at, n);
	EXPECT(r == 0 || w->failing);
	if (r == 0 && punch)
		memset(m->bytes + at, 0, n);
	if (r == 0 && !punch && at + n > m->size)
		m->size = at + n;
}

static void step(struct worker *t)
{
	struct world *w = t->world;
	struct model *m = &w->file[next_random(&t->seed) % FILES];
	unsigned what = next_random(&t->seed) % 32, at = next_random(&t->seed) % SIZE;
	unsigned n = next_random(&t->seed) % (what & 1 ? IO : 5000);
	struct ls_attr attr;
	struct ls_file *f;

	pthread_mutex_lock(&m->lock);
	EXPECT(ls_open(w->fs->ls, &w->fs->call, m->inode, O_RDWR, &f) == 0);
	if (what < 10)
		do_write(t, m, f, at, n, 0);
	else if (what < 12)
		do_write(t, m, f, at, n, LS_WRITE_APPEND);
	else if (what == 12)
		do_write(t, m, f, at, n, next_random(&t->seed) % 2 ? LS_WRITE_DSYNC : LS_WRITE_SYNC);
	else if (what == 13)
		do_truncate(t, m, at);
	else if (what == 14)
		do_truncate(t, m, m->size + n > SIZE ? SIZE : m->size + n);
	else if (what == 15)
		do_allocate(t, m, f, at, n, next_random(&t->seed) % 4 != 0);
	else if (what == 16)
		EXPECT(ls_fsync(w->fs->ls, &w->fs->call, f, 0) == 0 || w->failing);
	else if (what == 17)
		EXPECT(ls_seek(w->fs->ls, &w->fs->call, f, 0, SEEK_DATA) >= -ENXIO || w->failing);
	else if (what == 18)
		EXPECT(ls_advise(w->fs->ls, &w->fs->call, f, at, n,
				 next_random(&t->seed) % 2 ? POSIX_FADV_DONTNEED : POSIX_FADV_WILLNEED) ==
			   0 ||
		       w->failing);
	else
		do_read(t, m, f, at, n);
	EXPECT(ls_getattr(w->fs->ls, &w->fs->call, m->inode, f, &attr) == 0 && attr.size == m->size);
	ls_release(w->fs->ls, &w->fs->call, f);
	pthread_mutex_unlock(&m->lock);
}

static void *work(void *arg)
{
	struct worker *t = arg;

	for (int i = 0; i < ROUNDS; i++)
		step(t);
	return NULL;
}

static void set(struct fs *fs, const char *layer, const char *option, const char *value)
{
	char error[256];

	assert_ok(ls_option_set(ls_stack_find(fs->ls, layer), option, value, error, sizeof(error)));
}

/* With nothing cached: what is below must be the same. */
static void check_all(struct world *w, struct worker *t)
{
	set(w->fs, "cache", "size", "0");
	set(w->fs, "cache", "size", "1M");
	for (int i = 0; i < FILES; i++) {
		struct model *m = &w->file[i];
		struct ls_file *f = fs_open_file(w->fs, m->inode, O_RDONLY);
		for (unsigned at = 0; at < m->size; at += IO)
			do_read(t, m, f, at, IO);
		fs_release(w->fs, f);
	}
	assert_int_equal(w->failures, 0);
}

static void run(const char *json, const char *size, bool failing)
{
	struct world *w = calloc(1, sizeof(*w));
	struct worker *t = calloc(THREADS, sizeof(*t));
	char name[16];

	w->fs = fs_open(json);
	w->failing = failing;
	set(w->fs, "cache", "size", size);
	set(w->fs, "cache", "flush_interval", "2ms");
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		pthread_mutex_init(&w->file[i].lock, NULL);
		fs_release(w->fs, fs_create(w->fs, w->fs->root, name, &w->file[i].inode));
	}
	for (int i = 0; i < THREADS; i++) {
		t[i].world = w;
		t[i].seed = i * 7919 + 5;
		assert_ok(pthread_create(&t[i].thread, NULL, work, &t[i]));
	}
	for (int i = 0; i < THREADS; i++)
		assert_ok(pthread_join(t[i].thread, NULL));
	assert_int_equal(w->failures, 0);
	if (failing)
		set(w->fs, "error", "every", "0");
	assert_ok(ls_sync(w->fs->ls, &w->fs->call));
	check_all(w, t);
	fs_close(w->fs);
	free(t);
	free(w);
}

static void small_caches_lose_nothing(void **state)
{
	run("{\"cache\": {\"below\": {\"mem\": {}}}}", "200k", false);
	run("{\"cache\": {\"policy\": \"lru2\", \"below\": {\"mem\": {}}}}", "1M", false);
	run("{\"cache\": {\"policy\": \"clock\", \"batch\": \"4k\", \"below\": {\"mem\": {}}}}", "0",
	    false);
}

static void nor_do_they_over_a_slow_layer(void **state)
{
	run("{\"cache\": {\"below\": {\"delay\": {\"write\": \"100us\", \"read\": \"50us\", \"below\": "
	    "{\"mem\": {}}}}}}",
	    "1M", false);
}

static void nor_over_one_that_fails(void **state)
{
	run("{\"cache\": {\"below\": {\"error\": {\"op\": \"write\", \"errno\": \"EIO\", \"every\": 5, "
	    "\"below\": {\"mem\": {}}}}}}",
	    "1M", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(small_caches_lose_nothing),
	    cmocka_unit_test(nor_do_they_over_a_slow_layer),
	    cmocka_unit_test(nor_over_one_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
