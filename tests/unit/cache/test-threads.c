/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads on one file, whose pages come and go all the time: who reads a page sees all of one write, and
 * none that is older than one that was acknowledged before the read began.
 */
#include <pthread.h>

#include "tests/unit/layers/harness.h"

enum { THREADS = 6, PAGES = 48, WORDS = 4096 / 4 };

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 3000 };
#else
enum { ROUNDS = 12000 };
#endif

struct world {
	struct fs *fs;
	struct ls_file *f;
	pthread_mutex_t writer[PAGES];
	uint32_t written[PAGES]; /* atomic: acknowledged */
	unsigned failures;       /* atomic */
};

struct worker {
	pthread_t thread;
	struct world *world;
	unsigned seed;
};

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

static void page_write(struct world *w, unsigned page)
{
	uint32_t stamp = w->written[page] + 1, words[WORDS];
	struct iovec iov = {words, sizeof(words)};
	off_t end;

	for (unsigned i = 0; i < WORDS; i++)
		words[i] = stamp;
	if (ls_write(w->fs->ls, &w->fs->call, w->f, &iov, 1, page * sizeof(words), 0, &end) !=
	    sizeof(words))
		__atomic_add_fetch(&w->failures, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&w->written[page], stamp, __ATOMIC_SEQ_CST);
}

static void page_read(struct world *w, unsigned page)
{
	uint32_t least = __atomic_load_n(&w->written[page], __ATOMIC_SEQ_CST), words[WORDS];
	struct iovec iov = {words, sizeof(words)};
	bool good = ls_read(w->fs->ls, &w->fs->call, w->f, &iov, 1, page * sizeof(words)) == sizeof(words);

	for (unsigned i = 0; i < WORDS && good; i++)
		good = words[i] == words[0];
	if (good && words[0] >= least)
		return;
	if (__atomic_add_fetch(&w->failures, 1, __ATOMIC_RELAXED) < 5)
		fprintf(stderr, "page %u: %s, %u, at least %u\n", page, good ? "old" : "torn", words[0],
			least);
}

static void *work(void *arg)
{
	struct worker *t = arg;
	struct world *w = t->world;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned page = next_random(&t->seed) % PAGES, what = next_random(&t->seed) % 8;
		if (what < 3 && pthread_mutex_trylock(&w->writer[page]) == 0) {
			page_write(w, page);
			pthread_mutex_unlock(&w->writer[page]);
		} else if (what == 3) {
			ls_advise(w->fs->ls, &w->fs->call, w->f, page / 16 * 65536, 65536,
				  POSIX_FADV_DONTNEED);
		} else {
			page_read(w, page);
		}
	}
	return NULL;
}

static void run(const char *json)
{
	struct world *w = calloc(1, sizeof(*w));
	struct worker t[THREADS];

	w->fs = fs_open(json);
	w->f = fs_create(w->fs, w->fs->root, "f", NULL);
	for (unsigned i = 0; i < PAGES; i++) {
		pthread_mutex_init(&w->writer[i], NULL);
		page_write(w, i);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		t[i] = (struct worker){.world = w, .seed = i * 7919 + 3};
		assert_ok(pthread_create(&t[i].thread, NULL, work, &t[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_ok(pthread_join(t[i].thread, NULL));
	assert_int_equal(w->failures, 0);
	fs_close(w->fs);
	free(w);
}

static void nobody_sees_the_past(void **state)
{
	run("{\"cache\": {\"size\": \"100k\", \"flush_interval\": \"1ms\", \"below\": {\"mem\": {}}}}");
	run("{\"cache\": {\"size\": \"100k\", \"flush_interval\": \"1ms\", \"below\": {\"delay\": "
	    "{\"read\": \"20us\", \"below\": "
	    "{\"mem\": {}}}}}}");
	run("{\"cache\": {\"size\": \"1M\", \"flush_interval\": \"1ms\", \"batch\": \"4k\", \"below\": "
	    "{\"delay\": {\"write\": "
	    "\"30us\", \"below\": {\"mem\": {}}}}}}");
}

/* ---- names that go while they are looked up
 * ------------------------------------------------------------------ */

enum { RENAMES = 1500 };

struct names {
	struct fs *fs;
	unsigned acknowledged, failures; /* atomic */
	bool stop;                       /* atomic */
};

static void number_write(struct names *w, unsigned n)
{
	struct iovec iov = {&n, sizeof(n)};
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	off_t end;

	assert_ok(ls_create(w->fs->ls, &w->fs->call, w->fs->root, "next", 0600, O_RDWR, &inode, &attr, &f));
	assert_int_equal(ls_write(w->fs->ls, &w->fs->call, f, &iov, 1, 0, 0, &end), sizeof(n));
	ls_release(w->fs->ls, &w->fs->call, f);
	ls_forget(w->fs->ls, &w->fs->call, inode, 1);
	assert_ok(ls_rename(w->fs->ls, &w->fs->call, w->fs->root, "next", w->fs->root, "number", 0));
	__atomic_store_n(&w->acknowledged, n, __ATOMIC_SEQ_CST);
}

static void number_read(struct names *w)
{
	unsigned least = __atomic_load_n(&w->acknowledged, __ATOMIC_SEQ_CST), n = 0;
	struct iovec iov = {&n, sizeof(n)};
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	bool good;

	if (ls_lookup(w->fs->ls, &w->fs->call, w->fs->root, "number", &inode, &attr) < 0)
		return;
	good = attr.size == sizeof(n) && ls_open(w->fs->ls, &w->fs->call, inode, O_RDONLY, &f) == 0;
	if (good) {
		good = ls_read(w->fs->ls, &w->fs->call, f, &iov, 1, 0) == sizeof(n) && n >= least;
		ls_release(w->fs->ls, &w->fs->call, f);
	}
	ls_forget(w->fs->ls, &w->fs->call, inode, 1);
	if (!good && __atomic_add_fetch(&w->failures, 1, __ATOMIC_RELAXED) < 5)
		fprintf(stderr, "size %u, number %u, at least %u\n", (unsigned)attr.size, n, least);
}

static void *numbers_read(void *arg)
{
	struct names *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_SEQ_CST))
		number_read(w);
	return NULL;
}

static void names_run(const char *json)
{
	struct names w = {.fs = fs_open(json)};
	pthread_t t[THREADS];

	number_write(&w, 1);
	for (unsigned i = 0; i < THREADS; i++)
		assert_ok(pthread_create(&t[i], NULL, numbers_read, &w));
	for (unsigned n = 2; n < RENAMES; n++)
		number_write(&w, n);
	__atomic_store_n(&w.stop, true, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < THREADS; i++)
		assert_ok(pthread_join(t[i], NULL));
	assert_int_equal(w.failures, 0);
	fs_close(w.fs);
}

static void a_file_found_by_name_has_its_bytes(void **state)
{
	names_run("{\"cache\": {\"flush_interval\": \"0\", \"below\": {\"mem\": {}}}}");
	names_run("{\"cache\": {\"size\": \"0\", \"flush_on_close\": true, \"below\": {\"mem\": {}}}}");
	names_run(
	    "{\"cache\": {\"flush_interval\": \"1ms\", \"below\": {\"delay\": {\"metadata\": \"20us\", "
	    "\"below\": {\"mem\": {}}}}}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_sees_the_past),
		cmocka_unit_test(a_file_found_by_name_has_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
