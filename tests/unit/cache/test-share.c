/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory with a file's bytes: here the test is the client, and keeps to ipc/wire-share.h.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "ipc/wire-share.h"
#include "tests/unit/layers/harness.h"

enum { MAPPED = 64 << 20 };

struct client {
	struct fs *fs;
	struct ls_inode *inode;
	enum ls_share_how how;
	off_t offset, length;
	const char *data;
	char *writable; /* the same, to write; or NULL */
	const struct share_state *state;
	struct share_marks *marks;
	uint32_t epoch;
};

static int client_begin(struct client *k, struct fs *fs, struct ls_inode *inode, enum ls_share_how how,
			off_t length)
{
	struct ls_share got;
	bool writes = how == LS_SHARE_WRITE || how == LS_SHARE_MAP_WRITE || how == LS_SHARE_KERNEL_WRITE;
	int r = ls_share(fs->ls, &fs->call, inode, how, 0, length, &got);

	if (r < 0)
		return r;
	*k = (struct client){.fs = fs, .inode = inode, .how = how, .length = length};
	k->data = mmap(NULL, MAPPED, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, got.data, 0);
	assert_ptr_not_equal(k->data, MAP_FAILED);
	madvise((void *)k->data, MAPPED, MADV_NOHUGEPAGE);
	k->writable = writes ? (char *)k->data : NULL;
	k->state = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED, got.state, 0);
	assert_ptr_not_equal(k->state, MAP_FAILED);
	if (got.marks >= 0)
		k->marks = mmap(NULL, SHARE_MARKS_HEADER + MAPPED / SHARE_PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, got.marks, 0);
	assert_ptr_not_equal(k->marks, MAP_FAILED);
	assert_int_equal(got.marks >= 0, how == LS_SHARE_WRITE);
	assert_int_equal(k->state->magic, SHARE_MAGIC);
	k->epoch = k->state->epoch;
	/* What is for reading cannot be made writable. */
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, got.state, 0), MAP_FAILED);
	if (!writes)
		assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, got.data, 0), MAP_FAILED);
	return 0;
}

static void client_unmap(struct client *k)
{
	munmap((void *)k->data, MAPPED);
	munmap((void *)k->state, MAPPED);
	if (k->marks)
		munmap(k->marks, SHARE_MARKS_HEADER + MAPPED / SHARE_PAGE);
}

static void client_end(struct client *k)
{
	client_unmap(k);
	assert_ok(ls_unshare(k->fs->ls, &k->fs->call, k->inode, k->how, k->offset, k->length));
}

static uint32_t word(const struct client *k, uint64_t page)
{
	return __atomic_load_n(&k->state->page[page], __ATOMIC_ACQUIRE);
}

/* false: ask by a request. */
static bool direct_read(const struct client *k, uint64_t page, char buf[static SHARE_PAGE])
{
	uint32_t epoch = __atomic_load_n(&k->state->epoch, __ATOMIC_ACQUIRE), before = word(k, page);

	if (epoch != k->epoch || !(before & SHARE_PRESENT))
		return false;
	memcpy(buf, k->data + page * SHARE_PAGE, SHARE_PAGE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return word(k, page) == before && __atomic_load_n(&k->state->epoch, __ATOMIC_ACQUIRE) == epoch;
}

static bool direct_write(const struct client *k, uint64_t page, const char buf[static SHARE_PAGE])
{
	uint32_t epoch = __atomic_load_n(&k->state->epoch, __ATOMIC_ACQUIRE), before = word(k, page);
	struct timespec now;

	if (epoch != k->epoch || !(before & SHARE_PRESENT) ||
	    !__atomic_load_n(&k->state->writable, __ATOMIC_ACQUIRE))
		return false;
	memcpy(k->writable + page * SHARE_PAGE, buf, SHARE_PAGE);
	clock_gettime(CLOCK_REALTIME, &now);
	__atomic_store_n(&k->marks->page[page], 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->marks->region[page / SHARE_REGION], 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->marks->any, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->marks->mtime, now.tv_sec * 1000000000ll + now.tv_nsec, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return word(k, page) == before && __atomic_load_n(&k->state->epoch, __ATOMIC_ACQUIRE) == epoch;
}

static void page_of(char *buf, unsigned stamp)
{
	for (unsigned i = 0; i < SHARE_PAGE; i += 4)
		memcpy(buf + i, &stamp, 4);
}

static struct ls_file *file_of(struct fs *fs, struct ls_inode **ret_inode, unsigned pages)
{
	struct ls_file *f = fs_create(fs, fs->root, "f", ret_inode);
	char buf[SHARE_PAGE];

	for (unsigned i = 0; i < pages; i++) {
		page_of(buf, i + 1);
		assert_int_equal(fs_write(fs, f, buf, sizeof(buf), (off_t)i * SHARE_PAGE), sizeof(buf));
	}
	return f;
}

static void set(struct fs *fs, const char *layer, const char *option, const char *value)
{
	char error[256];

	assert_ok(ls_option_set(ls_stack_find(fs->ls, layer), option, value, error, sizeof(error)));
}

static void drop(struct fs *fs, struct ls_file *f)
{
	assert_ok(ls_advise(fs->ls, &fs->call, f, 0, 0, POSIX_FADV_DONTNEED));
}

/* What the layer below has. */
static void below_is(struct fs *fs, unsigned page, unsigned stamp)
{
	struct ls *below = ls_stack_find(fs->ls, "mem");
	struct iovec iov = {&(unsigned){0}, sizeof(unsigned)};
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;

	assert_ok(ls_lookup(below, &fs->call, below->root, "f", &inode, &attr));
	assert_ok(ls_open(below, &fs->call, inode, O_RDONLY, &f));
	assert_int_equal(ls_read(below, &fs->call, f, &iov, 1, (off_t)page * SHARE_PAGE), sizeof(unsigned));
	assert_int_equal(*(unsigned *)iov.iov_base, stamp);
	ls_release(below, &fs->call, f);
	ls_forget(below, &fs->call, inode, 1);
}

#define OVER_MEM "{\"cache\": {\"flush_interval\": \"0\", \"below\": {\"mem\": {}}}}"

static void readers_see_what_is_there(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	char buf[SHARE_PAGE], want[SHARE_PAGE];
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 40);
	struct client k;

	assert_ok(client_begin(&k, fs, inode, LS_SHARE_READ, 0));
	assert_int_equal(k.state->size, 40 * SHARE_PAGE);
	for (unsigned i = 0; i < 40; i++) {
		page_of(want, i + 1);
		assert_true(direct_read(&k, i, buf));
		assert_memory_equal(buf, want, SHARE_PAGE);
	}
	page_of(want, 77); /* a request of somebody's is seen at once */
	assert_int_equal(fs_write(fs, f, want, SHARE_PAGE, 5 * SHARE_PAGE), SHARE_PAGE);
	assert_true(direct_read(&k, 5, buf));
	assert_memory_equal(buf, want, SHARE_PAGE);
	assert_int_equal(fs_write(fs, f, want, SHARE_PAGE, 200 * SHARE_PAGE), SHARE_PAGE);
	assert_int_equal(k.state->size, 201 * SHARE_PAGE);
	assert_true(direct_read(&k, 200, buf));
	assert_false(direct_read(&k, 100, buf)); /* never read from below: a hole */
	assert_ok(fs_truncate(fs, inode, 3 * SHARE_PAGE));
	assert_int_equal(k.state->size, 3 * SHARE_PAGE);
	assert_false(direct_read(&k, 5, buf));
	memcpy(buf, k.data + 5 * SHARE_PAGE, 1); /* and no SIGBUS */
	drop(fs, f);
	assert_false(direct_read(&k, 1, buf));
	fs_read(fs, f, buf, 10, SHARE_PAGE);
	assert_true(direct_read(&k, 1, buf));
	client_end(&k);
	assert_int_equal(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_READ, 0, 0), -EINVAL);
	fs_close(fs);
}

static void what_writers_mark_is_written_back(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 40);
	struct timespec old;
	char buf[SHARE_PAGE];
	struct client k;

	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	old = fs_attr(fs, inode).mtime;
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_WRITE, 0));
	page_of(buf, 1000);
	assert_true(direct_write(&k, 7, buf));
	fs_is(fs, f, 7 * SHARE_PAGE, "\xe8\x03");
	assert_true(fs_attr(fs, inode).mtime.tv_nsec != old.tv_nsec);
	below_is(fs, 7, 8);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	below_is(fs, 7, 1000);
	/* Stored, and evicted: not lost. */
	page_of(buf, 1001);
	assert_true(direct_write(&k, 30, buf));
	drop(fs, f);
	below_is(fs, 30, 1001);
	assert_false(direct_write(&k, 30, buf));
	/* A store into a page that is not there is never seen. */
	page_of(k.writable + 31 * SHARE_PAGE, 5555);
	assert_int_equal(fs_read(fs, f, buf, SHARE_PAGE, 31 * SHARE_PAGE), SHARE_PAGE);
	assert_int_equal(*(unsigned *)buf, 32);
	assert_int_equal(*(unsigned *)(k.data + 31 * SHARE_PAGE), 32);
	/* Set-id bits are a request's to take away. */
	struct ls_attr in = {.mode = 04755}, attr;
	assert_ok(ls_setattr(fs->ls, &fs->call, inode, NULL, &in, LS_SET_MODE, &attr));
	assert_int_equal(k.state->writable, 0);
	page_of(buf, 1002);
	assert_true(k.marks != NULL);
	client_end(&k);
	fs_close(fs);
}

static bool append(struct client *k, uint32_t session, const char *text)
{
	uint64_t size;
	uint32_t free = 0;
	bool good;

	if (!__atomic_compare_exchange_n(&k->marks->appending, &free, 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false;
	size = __atomic_load_n(&k->marks->size, __ATOMIC_SEQ_CST);
	size = size ? size : k->state->size;
	good = __atomic_load_n(&k->state->grant_session, __ATOMIC_SEQ_CST) == session &&
	       size + strlen(text) <= __atomic_load_n(&k->state->granted, __ATOMIC_SEQ_CST);
	if (good) {
		memcpy(k->writable + size, text, strlen(text));
		__atomic_store_n(&k->marks->page[size / SHARE_PAGE], 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&k->marks->region[size / SHARE_PAGE / SHARE_REGION], 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&k->marks->size, size + strlen(text), __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&k->marks->appending, 0, __ATOMIC_SEQ_CST);
	return good;
}

static void the_holder_of_the_grant_appends(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	struct iovec iov = {"service ", 8};
	struct client k;
	off_t end;

	assert_int_equal(fs_write(fs, f, "begin ", 6, 0), 6);
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_WRITE, 0));
	assert_false(append(&k, 3, "no "));
	assert_ok(ls_grant(fs->ls, &fs->call, inode, 3));
	assert_false(append(&k, 4, "no "));
	assert_true(append(&k, 3, "client "));
	assert_int_equal(fs_attr(fs, inode).size, 13);
	fs_is(fs, f, 0, "begin client ");
	/* Others append by requests, and the grant goes on. */
	assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, 0, LS_WRITE_APPEND, &end), 8);
	assert_int_equal(end, 21);
	assert_true(append(&k, 3, "again "));
	fs_is(fs, f, 0, "begin client service again ");
	for (int i = 0; i < 20000; i++)
		if (!append(&k, 3, "0123456789abcdef"))
			assert_int_equal(ls_write(fs->ls, &fs->call, f,
						  &(struct iovec){"0123456789abcdef", 16}, 1, 0,
						  LS_WRITE_APPEND, &end),
					 16);
	assert_int_equal(fs_attr(fs, inode).size, 27 + 320000);
	/* Cut, and back. */
	assert_ok(fs_truncate(fs, inode, 10));
	assert_true(append(&k, 3, "X"));
	fs_is(fs, f, 0, "begin clieX");
	assert_int_equal(fs_attr(fs, inode).size, 11);
	assert_ok(ls_grant(fs->ls, &fs->call, inode, UINT32_MAX));
	assert_false(append(&k, 3, "late"));
	assert_ok(fs_truncate(fs, inode, 5000));
	char zero[5000] = "", buf[5000];
	assert_int_equal(fs_read(fs, f, buf, 5000, 0), 5000);
	assert_memory_equal(buf + 11, zero, 4989);
	client_end(&k);
	fs_close(fs);
}

static void a_holder_that_is_stuck_is_left_behind(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	uint32_t one = 1;
	struct client k;

	assert_int_equal(fs_write(fs, f, "begin ", 6, 0), 6);
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_WRITE, 0));
	assert_ok(ls_grant(fs->ls, &fs->call, inode, 3));
	k.marks->appending = 1;
	assert_ok(ls_grant(fs->ls, &fs->call, inode, UINT32_MAX));
	assert_int_not_equal(k.state->epoch, k.epoch);
	memcpy(k.writable, "GARBAGE", 7);
	k.marks->size = 100;
	assert_false(__atomic_compare_exchange_n(&k.marks->appending, &one, 0, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST));
	fs_is(fs, f, 0, "begin ");
	assert_int_equal(fs_attr(fs, inode).size, 6);
	client_end(&k);
	fs_close(fs);
}

static void mappings_stay_and_grow_and_are_cut(void **state)
{
	struct fs *fs =
	    fs_open("{\"cache\": {\"size\": \"2M\", \"flush_interval\": \"0\", \"below\": {\"mem\": {}}}}");
	struct ls_inode *inode, *other;
	struct ls_file *f = file_of(fs, &inode, 40), *g;
	struct client k, reader;
	char buf[SHARE_PAGE] = "";
	struct ls_share none;

	assert_ok(client_begin(&reader, fs, inode, LS_SHARE_READ, 0));
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_MAP_WRITE, 60 * SHARE_PAGE));
	assert_int_equal(k.state->exact, 1);
	assert_int_not_equal(reader.state->epoch, reader.epoch); /* its data file is an old one */
	/* Whatever else is read, the mapping's pages are there. */
	g = fs_create(fs, fs->root, "g", &other);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(fs_write(fs, g, buf, SHARE_PAGE, (off_t)i * SHARE_PAGE), SHARE_PAGE);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(*(unsigned *)(k.data + i * SHARE_PAGE), i + 1);
	/* A store is seen by readers, and written back though nothing marks it. */
	*(unsigned *)(k.writable + 9 * SHARE_PAGE) = 4242;
	assert_int_equal(fs_read(fs, f, buf, SHARE_PAGE, 9 * SHARE_PAGE), SHARE_PAGE);
	assert_int_equal(*(unsigned *)buf, 4242);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	below_is(fs, 9, 4242);
	/* The file grows, and so does what the mapping shows. */
	page_of(buf, 50);
	assert_int_equal(fs_write(fs, f, buf, SHARE_PAGE, 49 * SHARE_PAGE), SHARE_PAGE);
	assert_int_equal(*(unsigned *)(k.data + 49 * SHARE_PAGE), 50);
	assert_int_equal(*(unsigned *)(k.data + 45 * SHARE_PAGE), 0);
	*(unsigned *)(k.writable + 45 * SHARE_PAGE) = 45;
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	below_is(fs, 45, 45);
	/* Too large to keep. */
	assert_int_equal(ls_share(fs->ls, &fs->call, other, LS_SHARE_MAP, 0, 1000 * SHARE_PAGE, &none),
			 -EAGAIN);
	*(unsigned *)(k.writable + 3 * SHARE_PAGE) = 333;
	client_end(&k); /* what was stored last counts too */
	client_end(&reader);
	drop(fs, f);
	below_is(fs, 3, 333);
	fs_close(fs);
}

static unsigned settled;

static bool settle(void *arg)
{
	settled++;
	return true;
}

static bool settle_not(void *arg)
{
	return false;
}

static void a_cut_waits_for_those_who_copy(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct client k;

	file_of(fs, &inode, 40);
	fs->ls->settle = settle;
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_MAP, 40 * SHARE_PAGE));
	assert_ok(fs_truncate(fs, inode, 100));
	assert_int_equal(settled, 1);
	assert_int_not_equal(k.state->epoch, k.epoch);
	assert_int_equal(k.data[100], 0); /* the page's rest */
	assert_ok(fs_truncate(fs, inode, 5 * SHARE_PAGE));
	assert_int_equal(settled, 1);
	assert_int_equal(k.data[4 * SHARE_PAGE], 0);
	/* One who does not come out keeps his memory. */
	fs->ls->settle = settle_not;
	assert_ok(fs_truncate(fs, inode, 100));
	assert_int_equal(k.data[4 * SHARE_PAGE], 0);
	client_end(&k);
	fs_close(fs);
}

static void another_user_gets_other_data(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 4);
	char buf[SHARE_PAGE];
	struct client k, other;

	fs->cred.uid = 1000;
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_WRITE, 0));
	page_of(buf, 100);
	assert_true(direct_write(&k, 1, buf));
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_WRITE, 0, 0));
	fs->cred.uid = 1001;
	assert_ok(client_begin(&other, fs, inode, LS_SHARE_READ, 0));
	page_of(k.writable + SHARE_PAGE, 666); /* it kept its mapping */
	assert_true(direct_read(&other, 1, buf));
	assert_int_equal(*(unsigned *)buf, 100);
	fs_is(fs, f, SHARE_PAGE, "d");
	client_unmap(&k);
	client_end(&other);
	fs_close(fs);
}

static int shares(struct fs *fs, struct ls_inode *inode, enum ls_share_how how, struct ls_share *ret)
{
	return ls_share(fs->ls, &fs->call, inode, how, 0, 0, ret);
}

static void unshares(struct fs *fs, struct ls_inode *inode, enum ls_share_how how)
{
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, how, LS_SHARE_FORCE, 0));
}

/* What it has mapped holds the data open, and so the share. */
static void the_kernel_maps(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 4);
	char path[32], *map;
	struct ls_share got;
	int fd;

	assert_ok(shares(fs, inode, LS_SHARE_KERNEL, &got));
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL_WRITE, &got));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", got.data);
	fd = open(path, O_RDWR);
	map = mmap(NULL, SHARE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	close(fd);
	assert_int_equal(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_KERNEL_WRITE, 0, 0), -EBUSY);
	assert_int_equal(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_KERNEL, 0, 0), -EBUSY);
	map[0] = 'k';
	munmap(map, SHARE_PAGE);
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_KERNEL_WRITE, 0, 0));
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_KERNEL, 0, 0));
	fs_is(fs, f, 0, "k");
	fs_close(fs);
}

static off_t length(const struct ls_share *got)
{
	struct stat st;

	assert_ok(fstat(got->data, &st));
	return st.st_size;
}

static void page_is_zero(struct fs *fs, struct ls_file *f, unsigned page)
{
	char buf[SHARE_PAGE], zero[SHARE_PAGE] = "";

	assert_int_equal(fs_read(fs, f, buf, SHARE_PAGE, page * SHARE_PAGE), SHARE_PAGE);
	assert_memory_equal(buf, zero, SHARE_PAGE);
}

static void the_kernel_writes_by_itself(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 10);
	struct ls_share got;
	unsigned stamp = 99;

	assert_int_equal(shares(fs, inode, LS_SHARE_KERNEL_WRITE, &got), -EINVAL);
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL, &got));
	assert_int_equal(pwrite(got.data, &stamp, 4, 0), -1);
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL_WRITE, &got));
	assert_int_equal(length(&got), 10 * SHARE_PAGE);
	assert_int_equal(pwrite(got.data, &stamp, 4, 12 * SHARE_PAGE), 4);
	assert_int_equal(fs_attr(fs, inode).size, 12 * SHARE_PAGE + 4);
	fs_is(fs, f, 12 * SHARE_PAGE, "c");
	page_is_zero(fs, f, 10);
	/* into the hole, whose page has been read by now, and over what was there */
	assert_int_equal(pwrite(got.data, &stamp, 4, 10 * SHARE_PAGE), 4);
	assert_int_equal(pwrite(got.data, &stamp, 4, 11 * SHARE_PAGE), 4);
	fs_is(fs, f, 11 * SHARE_PAGE, "c");
	assert_int_equal(pwrite(got.data, &stamp, 4, 2 * SHARE_PAGE), 4);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	for (unsigned page = 10; page < 13; page++)
		below_is(fs, page, 99);
	below_is(fs, 2, 99);
	/* once more, where below has it: the same page, and what it was before */
	stamp = 3;
	assert_int_equal(pwrite(got.data, &stamp, 4, 2 * SHARE_PAGE), 4);
	unshares(fs, inode, LS_SHARE_KERNEL_WRITE);
	unshares(fs, inode, LS_SHARE_KERNEL);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	below_is(fs, 2, 3);
	below_is(fs, 0, 1);
	drop(fs, f);
	fs_is(fs, f, 12 * SHARE_PAGE, "c");
	fs_close(fs);
}

static void the_kernel_has_what_others_change(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 10);
	struct ls_share got;
	struct timespec before, after;
	unsigned stamp = 99;
	char byte;

	drop(fs, f);
	assert_ok(fs_truncate(fs, inode, 9 * SHARE_PAGE + 100));
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL, &got));
	assert_int_equal(length(&got), 9 * SHARE_PAGE + 100);
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL_WRITE, &got));
	/* shorter, longer, and written behind the end: all of it is seen in the file, and no more */
	assert_ok(fs_truncate(fs, inode, 5 * SHARE_PAGE + 10));
	assert_int_equal(length(&got), 5 * SHARE_PAGE + 10);
	assert_ok(fs_truncate(fs, inode, 8 * SHARE_PAGE));
	assert_int_equal(length(&got), 8 * SHARE_PAGE);
	assert_int_equal(fs_write(fs, f, "x", 1, 9 * SHARE_PAGE), 1);
	assert_int_equal(length(&got), 9 * SHARE_PAGE + 1);
	page_is_zero(fs, f, 6);
	assert_int_equal(pread(got.data, &byte, 1, 9 * SHARE_PAGE), 1);
	assert_int_equal(byte, 'x');
	/* a hole; and what is stored into it */
	assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SHARE_PAGE, 3 * SHARE_PAGE));
	page_is_zero(fs, f, 2);
	assert_int_equal(pread(got.data, &byte, 1, 2 * SHARE_PAGE), 1);
	assert_int_equal(byte, 0);
	fs_is(fs, f, 4 * SHARE_PAGE, "\5");
	assert_int_equal(pwrite(got.data, &stamp, 4, 2 * SHARE_PAGE), 4);
	assert_int_equal(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_COLLAPSE_RANGE, SHARE_PAGE, SHARE_PAGE), -EOPNOTSUPP);
	/* its times are those of the last store */
	before = fs_attr(fs, inode).mtime;
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_int_equal(pwrite(got.data, &stamp, 4, SHARE_PAGE), 4);
	assert_true(fs_attr(fs, inode).mtime.tv_sec > before.tv_sec || fs_attr(fs, inode).mtime.tv_nsec > before.tv_nsec);
	before = fs_attr(fs, inode).mtime;
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	unshares(fs, inode, LS_SHARE_KERNEL_WRITE);
	unshares(fs, inode, LS_SHARE_KERNEL);
	after = fs_attr(fs, inode).mtime;
	assert_memory_equal(&before, &after, sizeof(before));
	below_is(fs, 2, 99);
	below_is(fs, 4, 5);
	fs_close(fs);
}

/* Sparse to any size: what is not there costs nothing. */
static void the_kernel_leaves_holes(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_file *f = file_of(fs, &inode, 1);
	struct ls_share got;
	unsigned stamp = 99;

	assert_ok(shares(fs, inode, LS_SHARE_KERNEL, &got));
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL_WRITE, &got));
	assert_int_equal(pwrite(got.data, &stamp, 4, 1ll << 40), 4);
	assert_int_equal(fs_attr(fs, inode).size, (1ll << 40) + 4);
	fs_is(fs, f, 1ll << 40, "c");
	page_is_zero(fs, f, 1000);
	unshares(fs, inode, LS_SHARE_KERNEL_WRITE);
	unshares(fs, inode, LS_SHARE_KERNEL);
	fs_is(fs, f, 1ll << 40, "c");
	assert_ok(fs_truncate(fs, inode, SHARE_PAGE));
	fs_close(fs);
}

/* What is not there is not read for the kernel where others would have to leave for it. */
static void the_kernel_drives_nobody_out(void **state)
{
	enum { PAGES = 256 };
	struct fs *fs = fs_open("{\"cache\": {\"size\": \"17M\", \"readahead\": 0, \"below\": {\"mem\": {}}}}");
	struct ls_file *f, *other = fs_create(fs, fs->root, "other", NULL);
	static char buf[PAGES * SHARE_PAGE];
	struct ls_inode *inode;
	struct ls_share got;

	f = file_of(fs, &inode, PAGES);
	assert_ok(ls_fsync(fs->ls, &fs->call, f, 0));
	drop(fs, f);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(fs_write(fs, other, buf, sizeof(buf), (off_t)i * sizeof(buf)), sizeof(buf));
	assert_int_equal(shares(fs, inode, LS_SHARE_KERNEL, &got), -EAGAIN);
	assert_int_equal(fs_read(fs, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL, &got));
	unshares(fs, inode, LS_SHARE_KERNEL);
	fs_close(fs);
}

/* What a client has had to write is not given to the kernel, which would show it to everybody. */
static void the_kernel_gets_nothing_spoilt(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct ls_share mine, got;
	unsigned stamp = 99;

	file_of(fs, &inode, 4);
	assert_ok(shares(fs, inode, LS_SHARE_WRITE, &mine));
	mine.data = dup(mine.data);
	unshares(fs, inode, LS_SHARE_WRITE);
	assert_ok(shares(fs, inode, LS_SHARE_KERNEL, &got));
	assert_int_equal(pwrite(mine.data, &stamp, 4, 0), 4);
	assert_ok(ftruncate(mine.data, 0));
	assert_int_equal(length(&got), 4 * SHARE_PAGE);
	assert_int_equal(pread(got.data, &stamp, 4, 0), 4);
	assert_int_equal(stamp, 1);
	unshares(fs, inode, LS_SHARE_KERNEL);
	close(mine.data);
	fs_close(fs);
}

/* ---- with eviction all the time
 * ---------------------------------------------------------------------------- */

enum { STORM_PAGES = 64, STORM_ROUNDS = 20000 };

struct storm {
	struct client *k;
	struct ls_file *f;
	unsigned written[STORM_PAGES]; /* acknowledged; each page has one writer */
	unsigned direct, asked;
	bool stop;
};

static void *storm_write(void *arg)
{
	struct storm *s = arg;
	struct fs *fs = s->k->fs;
	char buf[SHARE_PAGE];
	unsigned seed = 11;
	off_t end;

	for (unsigned i = 0; i < STORM_ROUNDS; i++) {
		unsigned page = rand_r(&seed) % STORM_PAGES;
		page_of(buf, s->written[page] + 1);
		if (direct_write(s->k, page, buf)) {
			s->direct++;
		} else {
			struct iovec iov = {buf, SHARE_PAGE};
			ls_write(fs->ls, &fs->call, s->f, &iov, 1, (off_t)page * SHARE_PAGE, 0, &end);
			s->asked++;
		}
		__atomic_store_n(&s->written[page], s->written[page] + 1, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&s->stop, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void stores_survive_eviction(void **state)
{
	struct fs *fs =
	    fs_open("{\"cache\": {\"size\": \"200k\", \"flush_interval\": \"1ms\", \"dirty_ratio\": 100, "
		    "\"background_ratio\": 100, \"below\": {\"mem\": {}}}}");
	struct storm s = {0};
	char buf[SHARE_PAGE];
	struct ls_inode *inode;
	struct client k;
	pthread_t thread;
	unsigned seed = 5, bad = 0;

	s.f = file_of(fs, &inode, STORM_PAGES);
	s.k = &k;
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_WRITE, 0));
	for (unsigned i = 0; i < STORM_PAGES; i++)
		s.written[i] = i + 1;
	assert_ok(pthread_create(&thread, NULL, storm_write, &s));
	while (!__atomic_load_n(&s.stop, __ATOMIC_SEQ_CST)) {
		unsigned page = rand_r(&seed) % STORM_PAGES,
			 least = __atomic_load_n(&s.written[page], __ATOMIC_SEQ_CST), got;
		if (rand_r(&seed) % 16 == 0)
			ls_advise(fs->ls, &fs->call, s.f, page / 16 * 65536, 65536, POSIX_FADV_DONTNEED);
		assert_int_equal(fs_read(fs, s.f, &got, 4, (off_t)page * SHARE_PAGE), 4);
		bad += got < least;
	}
	pthread_join(thread, NULL);
	assert_int_equal(bad, 0);
	assert_true(s.direct > 100 && s.asked > 100);
	client_end(&k);
	drop(fs, s.f);
	for (unsigned i = 0; i < STORM_PAGES; i++) {
		assert_int_equal(fs_read(fs, s.f, buf, SHARE_PAGE, (off_t)i * SHARE_PAGE), SHARE_PAGE);
		assert_int_equal(*(unsigned *)buf, s.written[i]);
	}
	fs_close(fs);
}

static void what_others_may_change_is_not_shared(void **state)
{
	char *scratch = scratch_begin("/dev/shm"), json[256];
	struct ls_share got;
	struct fs *fs;

	snprintf(json, sizeof(json), "{\"cache\": {\"below\": {\"host\": \"%s\"}}}", scratch);
	fs = fs_open(json);
	assert_int_equal(ls_share(fs->ls, &fs->call, fs_file(fs, fs->root, "f"), LS_SHARE_READ, 0, 0, &got),
			 -EOPNOTSUPP);
	assert_int_equal(fs->ls->traits & LS_FLUSHES, 0);
	fs_close(fs);
	scratch_end(scratch);
}

static void a_share_gives_its_memory_back(void **state)
{
	struct fs *fs = fs_open(OVER_MEM);
	struct ls_inode *inode;
	struct client k;

	file_of(fs, &inode, 10);
	/* Who maps it when it is over already is told. */
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_READ, 0));
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_READ, 0, 0));
	assert_int_equal(k.state->magic, 0);
	client_unmap(&k);
	for (int i = 0; i < 200; i++) {
		assert_ok(client_begin(&k, fs, inode, i % 2 ? LS_SHARE_WRITE : LS_SHARE_MAP, SHARE_PAGE));
		client_end(&k);
	}
	set(fs, "cache", "size", "0");
	fs_close(fs);
}

/* A tmpfs as pools have it, that nobody sees. */
static int tmpfs_with_folios(void)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), mount = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "huge", "within_size", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fs >= 0)
		close(fs);
	return mount;
}

static uint64_t pages_present(const struct client *k, unsigned pages)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < pages; i++)
		n += !!(word(k, i) & SHARE_PRESENT);
	return n;
}

static dev_t device_of(int fd)
{
	struct stat st;

	assert_ok(fstat(fd, &st));
	return st.st_dev;
}

static struct fs *fs_with_folios(int mount)
{
	char json[128];

	if (mount < 0)
		skip(); /* not root, or a kernel without huge pages */
	snprintf(json, sizeof(json), "{\"cache\": {\"size\": \"4M\", \"large_dir\": %d, \"below\": {\"mem\": {}}}}", mount);
	return fs_open(json);
}

/* Pages here and there that were in memory before the file was shared. */
static void no_memory_for_holes(void **state)
{
	enum { PAGES = 64, APART = 64 }; /* each the last of a piece */
	int mount = tmpfs_with_folios();
	struct fs *fs = fs_with_folios(mount);
	struct ls_inode *inode;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	char buf[SHARE_PAGE] = "x";
	struct ls_share got;
	struct stat st;

	for (unsigned i = 1; i <= PAGES; i++)
		assert_int_equal(fs_write(fs, f, buf, sizeof(buf), ((off_t)i * APART - 1) * SHARE_PAGE), sizeof(buf));
	assert_ok(ls_share(fs->ls, &fs->call, inode, LS_SHARE_READ, 0, 0, &got));
	assert_ok(fstat(got.data, &st));
	assert_true((uint64_t)st.st_blocks * 512 <= PAGES * SHARE_PAGE);
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_READ, 0, 0));
	fs_close(fs);
	close(mount);
}

/* Memory in large pieces, and no more of it than pages that are present. */
static void no_memory_without_a_page(void **state)
{
	enum { PAGES = 4096, MOST = 256, ROUNDS = 3000, LEAVING = 64 /* pages that are on their way out */ };
	static char buf[MOST * SHARE_PAGE];
	int mount = tmpfs_with_folios();
	struct fs *fs = fs_with_folios(mount);
	struct ls_inode *inode;
	struct ls_share got;
	struct ls_file *f = fs_create(fs, fs->root, "f", &inode);
	struct client k;
	struct stat st;
	unsigned random = 1;

	for (unsigned i = 0; i < PAGES; i += MOST)
		assert_int_equal(fs_write(fs, f, buf, sizeof(buf), (off_t)i * SHARE_PAGE), sizeof(buf));
	assert_ok(client_begin(&k, fs, inode, LS_SHARE_READ, 0));
	assert_ok(ls_share(fs->ls, &fs->call, inode, LS_SHARE_READ, 0, 0, &got));
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned page = (random = random * 1103515245u + 12345u) / 256 % PAGES, n = 1 + random % 997 % MOST;

		n = n < PAGES - page ? n : PAGES - page;
		if (i % 3)
			fs_read(fs, f, buf, n * SHARE_PAGE, (off_t)page * SHARE_PAGE);
		else
			fs_write(fs, f, buf, n * SHARE_PAGE, (off_t)page * SHARE_PAGE);
		assert_ok(fstat(got.data, &st));
		assert_true((uint64_t)st.st_blocks * 512 <= (pages_present(&k, PAGES) + LEAVING) * SHARE_PAGE);
	}
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_READ, 0, 0));
	client_end(&k);
	/* What maps stores into holes by itself: not there. */
	assert_int_equal(st.st_dev, device_of(mount));
	assert_ok(ls_share(fs->ls, &fs->call, inode, LS_SHARE_MAP, 0, SHARE_PAGE, &got));
	assert_int_not_equal(device_of(got.data), device_of(mount));
	assert_ok(ls_unshare(fs->ls, &fs->call, inode, LS_SHARE_MAP, 0, SHARE_PAGE));
	fs_close(fs);
	close(mount);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(readers_see_what_is_there),
	    cmocka_unit_test(what_writers_mark_is_written_back),
	    cmocka_unit_test(the_holder_of_the_grant_appends),
	    cmocka_unit_test(a_holder_that_is_stuck_is_left_behind),
	    cmocka_unit_test(mappings_stay_and_grow_and_are_cut),
	    cmocka_unit_test(a_cut_waits_for_those_who_copy),
	    cmocka_unit_test(another_user_gets_other_data),
	    cmocka_unit_test(the_kernel_maps),
	    cmocka_unit_test(the_kernel_writes_by_itself),
	    cmocka_unit_test(the_kernel_has_what_others_change),
	    cmocka_unit_test(the_kernel_leaves_holes),
	    cmocka_unit_test(the_kernel_drives_nobody_out),
	    cmocka_unit_test(the_kernel_gets_nothing_spoilt),
	    cmocka_unit_test(stores_survive_eviction),
	    cmocka_unit_test(what_others_may_change_is_not_shared),
	    cmocka_unit_test(a_share_gives_its_memory_back),
	    cmocka_unit_test(no_memory_for_holes),
	    cmocka_unit_test(no_memory_without_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
