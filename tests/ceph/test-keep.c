/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hosts with a cache each, on one directory of a cluster: what a host keeps it keeps under a delegation, and what one
 * has closed the other sees.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "ipc/wire-share.h"
#include "tests/ceph/hosts.h"

enum { ROUNDS = 150, SIZE_MAX_ = 40000, STRESS_THREADS = 3, STRESS_ROUNDS = 60 };

static struct fs *a, *b;
static unsigned revoked; /* atomic */

static struct fs *host(void)
{
	char json[1024];

	snprintf(json, sizeof(json),
		 "{\"cache\": {\"size\": \"32M\", \"flush_interval\": \"0s\", \"below\": {\"ceph\": {\"monitors\": \"%s\", \"name\": "
		 "\"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"timeout\": \"20s\"}}}}",
		 getenv("ceph_monitors"), getenv("ceph_name"), getenv("ceph_keyring"), getenv("ceph_path"));
	return fs_open(json);
}

static void note_revoked(void *arg, uint64_t ino)
{
	assert_ptr_equal(arg, a);
	__atomic_add_fetch(&revoked, 1, __ATOMIC_SEQ_CST);
}

static int begin(void **state)
{
	a = host();
	b = host();
	fs_empty(a);
	a->ls->revoke = note_revoked;
	a->ls->revoke_arg = a;
	return 0;
}

static int end(void **state)
{
	return hosts_end(a, b, a);
}

static int settled(void **state)
{
	fs_settle(a);
	fs_settle(b);
	return 0;
}

/* A file with these bytes, open to write, with its delegation. */
static struct ls_file *kept_file(struct fs *fs, const char *name, const char *text, struct ls_inode **ret)
{
	struct ls_file *f = fs_create(fs, fs->root, name, ret);

	assert_int_equal(fs_write(fs, f, text, strlen(text), 0), strlen(text));
	host_keeps(fs, f, *ret);
	return f;
}

static struct ls_file *there(struct fs *fs, const char *name, int flags, struct ls_inode **ret)
{
	*ret = fs_get(fs, fs->root, name);
	return fs_open_file(fs, *ret, flags);
}

static void what_is_kept_is_not_asked_for(void **state)
{
	struct ls_inode *inode;
	struct ls_file *f = kept_file(a, "kept", "some", &inode);
	uint64_t calls = fs_figure(a, "ceph", "calls");

	for (int i = 0; i < 100; i++) {
		assert_int_equal(fs_write(a, f, "other", 5, i), 5);
		fs_is(a, f, i, "other");
	}
	assert_int_equal(fs_figure(a, "ceph", "calls"), calls);
}

static void readers_both_keep(void **state)
{
	struct ls_inode *ia, *ib;
	struct ls_file *fa = kept_file(a, "both", "text", &ia), *fb;
	uint64_t calls = 0, before = 1;

	fs_release(a, fa);
	fb = there(b, "both", O_RDONLY, &ib);
	fa = fs_open_file(a, ia, O_RDONLY);
	/* The MDS takes something back from one of them once more when it writes down what the other wrote. */
	for (int round = 0; round < 20 && before != calls; round++) {
		host_keeps(b, fb, ib);
		host_keeps(a, fa, ia);
		before = fs_figure(a, "ceph", "calls") + fs_figure(b, "ceph", "calls");
		for (int i = 0; i < 100; i++) {
			fs_is(a, fa, 0, "text");
			fs_is(b, fb, 0, "text");
		}
		calls = fs_figure(a, "ceph", "calls") + fs_figure(b, "ceph", "calls");
	}
	assert_int_equal(calls, before);
}

static void what_is_closed_is_seen(void **state)
{
	struct ls_inode *ia, *ib;
	struct ls_file *f = kept_file(a, "closed", "first", &ia);

	fs_release(a, f);
	f = there(b, "closed", O_RDWR, &ib);
	fs_is(b, f, 0, "first");
	assert_int_equal(fs_write(b, f, "later", 5, 5), 5);
	fs_release(b, f);
	f = fs_open_file(a, ia, O_RDONLY);
	fs_is(a, f, 0, "firstlater");
	assert_int_equal(fs_attr(a, ia).size, 10);
}

static void a_recall_writes_back_and_tells(void **state)
{
	struct ls_inode *ia, *ib;
	struct ls_file *fa = kept_file(a, "open", "dirty", &ia), *fb;
	unsigned before = __atomic_load_n(&revoked, __ATOMIC_SEQ_CST);

	assert_true(fs_attr(a, ia).kept);
	fb = there(b, "open", O_RDWR, &ib);
	assert_true(__atomic_load_n(&revoked, __ATOMIC_SEQ_CST) > before);
	assert_false(fs_attr(a, ia).kept); /* and it is below now: that waits for it */
	fs_is(b, fb, 0, "dirty");
	assert_int_equal(fs_write(b, fb, "clean", 5, 0), 5);
	fs_is(a, fa, 0, "clean");
	assert_int_equal(fs_write(a, fa, "!", 1, 5), 1);
	fs_is(b, fb, 0, "clean!");
	assert_true(fs_figure(a, "cache", "recalled") > 0);
}

static void a_new_size_is_seen(void **state)
{
	struct ls_inode *ia, *ib;
	struct ls_file *fa = kept_file(a, "size", "0123456789", &ia), *fb;

	fs_release(a, fa);
	fb = there(b, "size", O_RDWR, &ib);
	assert_int_equal(fs_truncate(b, ib, 3), 0);
	fs_release(b, fb);
	fa = fs_open_file(a, ia, O_RDWR);
	fs_is(a, fa, 0, "012");
	assert_int_equal(fs_attr(a, ia).size, 3);
	host_keeps(a, fa, ia);
	assert_int_equal(fs_truncate(a, ia, 5), 0);
	assert_int_equal(fs_attr(a, ia).size, 5);
	fs_release(a, fa);
	fb = fs_open_file(b, ib, O_RDONLY);
	assert_int_equal(fs_attr(b, ib).size, 5);
}

/* The test is the client, and keeps to ipc/wire-share.h. */
static void who_copies_asks_again(void **state)
{
	struct ls_share got;
	struct ls_inode *ia, *ib;
	struct ls_file *fa = kept_file(a, "shared", "bytes", &ia), *fb;
	const struct share_state *s;
	uint32_t epoch;

	assert_ok(ls_share(a->ls, &a->call, ia, LS_SHARE_WRITE, 0, 0, &got));
	s = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, got.state, 0);
	assert_ptr_not_equal(s, MAP_FAILED);
	assert_true(s->page[0] & SHARE_PRESENT);
	assert_int_equal(s->writable, 1);
	epoch = s->epoch;
	assert_int_equal(ls_share(a->ls, &a->call, ia, LS_SHARE_MAP, 0, 5, &got), -EOPNOTSUPP);
	fb = there(b, "shared", O_RDONLY, &ib);
	assert_int_not_equal(s->epoch, epoch);
	assert_int_equal(s->writable, 0);
	assert_false(fs_attr(a, ia).kept);
	assert_false(s->page[0] & SHARE_PRESENT);
	fs_is(b, fb, 0, "bytes");
	assert_int_equal(ls_share(a->ls, &a->call, ia, LS_SHARE_WRITE, 0, 0, &got), -EAGAIN);
	assert_ok(ls_unshare(a->ls, &a->call, ia, LS_SHARE_WRITE, 0, 0));
	fs_is(a, fa, 0, "bytes");
	munmap((void *)s, 1 << 20);
}

/* ---- in turn --------------------------------------------------------------------------------------- */

static void fill(char *buf, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(seed * 31 + i / 7 + 1);
}

static void change(struct fs *fs, char *model, size_t *size, unsigned round)
{
	struct ls_inode *inode;
	struct ls_file *f = there(fs, "turns", O_RDWR, &inode);
	size_t at = rand() % (*size + 1), n = 1 + rand() % 6000;

	if (round % 9 == 0) {
		assert_int_equal(fs_truncate(fs, inode, at), 0);
		memset(model + at, 0, SIZE_MAX_ - at);
		*size = at;
	} else {
		n = n < SIZE_MAX_ - at ? n : SIZE_MAX_ - at;
		fill(model + at, n, round);
		assert_int_equal(fs_write(fs, f, model + at, n, at), n);
		*size = at + n > *size ? at + n : *size;
	}
	fs_release(fs, f);
	fs_settle(fs);
}

static void compare(struct fs *fs, const char *model, size_t size)
{
	static char got[SIZE_MAX_ + 1];
	struct ls_inode *inode;
	struct ls_file *f = there(fs, "turns", O_RDONLY, &inode);

	assert_int_equal(fs_read(fs, f, got, sizeof(got), 0), size);
	assert_memory_equal(got, model, size);
	assert_int_equal(fs_attr(fs, inode).size, size);
	fs_release(fs, f);
	fs_settle(fs);
}

static void in_turn_each_sees_all(void **state)
{
	static char model[SIZE_MAX_];
	size_t size = 0;

	fs_file(a, a->root, "turns");
	fs_settle(a);
	srand(7);
	for (unsigned round = 0; round < ROUNDS; round++) {
		change(rand() % 2 ? a : b, model, &size, round);
		compare(rand() % 2 ? a : b, model, size);
	}
}

/* ---- at once --------------------------------------------------------------------------------------- */

/* Neither waits for ever, and each finds what somebody has written. */
static void *stress(void *arg)
{
	struct fs *fs = arg;
	struct ls_inode *inode;
	struct ls_file *f;
	struct ls_attr attr;
	char page[4096];
	off_t end;

	for (int i = 0; i < STRESS_ROUNDS; i++) {
		struct iovec iov = {page, sizeof(page)};
		bool writes = i % 3 == 0;
		assert_ok(ls_lookup(fs->ls, &fs->call, fs->root, "stress", &inode, &attr));
		assert_ok(ls_open(fs->ls, &fs->call, inode, writes ? O_RDWR : O_RDONLY, &f));
		for (int k = 0; k < 8; k++) {
			memset(page, 'a' + k, sizeof(page));
			if (writes)
				assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, k * 4096, 0, &end), sizeof(page));
			assert_int_equal(ls_read(fs->ls, &fs->call, f, &iov, 1, k * 4096), sizeof(page));
			for (size_t m = 0; m < sizeof(page); m++)
				assert_int_equal(page[m], 'a' + k);
		}
		ls_release(fs->ls, &fs->call, f);
		ls_forget(fs->ls, &fs->call, inode, 1);
	}
	return NULL;
}

static void at_once_none_waits_for_ever(void **state)
{
	pthread_t thread[2 * STRESS_THREADS];
	struct ls_inode *inode;
	struct ls_file *f = fs_create(a, a->root, "stress", &inode);
	char page[4096];

	for (int k = 0; k < 8; k++) {
		memset(page, 'a' + k, sizeof(page));
		assert_int_equal(fs_write(a, f, page, sizeof(page), k * 4096), sizeof(page));
	}
	fs_release(a, f);
	for (int i = 0; i < 2 * STRESS_THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, stress, i % 2 ? a : b), 0);
	for (int i = 0; i < 2 * STRESS_THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(fs_figure(a, "ceph", "calls_timed_out") + fs_figure(b, "ceph", "calls_timed_out"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_kept_is_not_asked_for, settled),
		cmocka_unit_test_teardown(readers_both_keep, settled),
		cmocka_unit_test_teardown(what_is_closed_is_seen, settled),
		cmocka_unit_test_teardown(a_recall_writes_back_and_tells, settled),
		cmocka_unit_test_teardown(a_new_size_is_seen, settled),
		cmocka_unit_test_teardown(who_copies_asks_again, settled),
		cmocka_unit_test_teardown(in_turn_each_sees_all, settled),
		cmocka_unit_test_teardown(at_once_none_waits_for_ever, settled),
	};

	return cmocka_run_group_tests(tests, begin, end) != 0;
}
