/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several clients of one cluster in one layer: where they meet - in the directory itself, by hard links, by moves - all is as if
 * there were one; nobody waits for ever for what another of them holds; and another host sees what was closed.
 */
#include <pthread.h>

#include "tests/ceph/hosts.h"

enum { CLIENTS = 3, ROUNDS = 40, THREADS = 4, PAGE = 4096 };

static struct fs *a, *b;
static struct ls_inode *dir[CLIENTS];

static struct fs *host(unsigned clients)
{
	char json[1024];

	snprintf(json, sizeof(json),
		 "{\"cache\": {\"size\": \"32M\", \"flush_interval\": \"0s\", \"below\": {\"ceph\": {\"monitors\": \"%s\", \"name\": "
		 "\"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"timeout\": \"20s\", \"clients\": %u}}}}",
		 getenv("ceph_monitors"), getenv("ceph_name"), getenv("ceph_keyring"), getenv("ceph_path"), clients);
	return fs_open(json);
}

/* Nothing is referred to any more: whoever comes next finds it by the name that he uses. */
static void forgotten(void)
{
	fs_settle(a);
	fs_settle(b);
	for (unsigned i = 0; i < CLIENTS; i++)
		dir[i] = fs_get(a, a->root, (const char *[]){"d0", "d1", "d2"}[i]);
}

static int begin(void **state)
{
	a = host(CLIENTS);
	b = host(1);
	fs_empty(a);
	for (unsigned i = 0; i < CLIENTS; i++)
		fs_mkdir(a, a->root, (const char *[]){"d0", "d1", "d2"}[i]);
	forgotten();
	return 0;
}

static int end(void **state)
{
	return hosts_end(a, b, a);
}

static int settled(void **state)
{
	forgotten();
	return 0;
}

static void is_at(struct fs *fs, struct ls_inode *at, const char *name, const char *text)
{
	struct ls_file *f = fs_open_file(fs, fs_get(fs, at, name), O_RDONLY);

	fs_is(fs, f, 0, text);
	fs_release(fs, f);
}

static void write_at(struct fs *fs, struct ls_inode *at, const char *name, const char *text, off_t offset)
{
	struct ls_file *f = fs_open_file(fs, fs_get(fs, at, name), O_RDWR);

	assert_int_equal(fs_write(fs, f, text, strlen(text), offset), strlen(text));
	fs_release(fs, f);
}

static void there_are_so_many(void **state)
{
	assert_int_equal(fs_figure(a, "ceph", "clients"), CLIENTS);
}

static void a_name_leads_to_one_inode(void **state)
{
	uint64_t ino[CLIENTS];
	struct listing l;

	for (unsigned i = 0; i < CLIENTS; i++) {
		fs_release(a, fs_create(a, dir[i], "f", NULL));
		ino[i] = fs_attr_at(a, dir[i], "f").ino;
	}
	forgotten();
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(fs_attr_at(a, dir[i], "f").ino, ino[i]);
	fs_list(a, a->root, 2, &l);
	assert_int_equal(l.count, CLIENTS + 2);
	for (unsigned i = 0; i < l.count; i++)
		for (unsigned k = 0; k < CLIENTS; k++)
			if (l.entry[i].name[0] == 'd' && l.entry[i].name[1] == (char)('0' + k))
				assert_int_equal(l.entry[i].ino, fs_attr(a, dir[k]).ino);
	listing_free(&l);
}

static void what_has_names_with_two_clients(void **state)
{
	struct ls_inode *inode;
	struct ls_file *f = fs_create(a, dir[0], "one", &inode);
	struct ls_attr attr;

	assert_int_equal(fs_write(a, f, "dirty", 5, 0), 5);
	assert_ok(ls_link(a->ls, &a->call, inode, dir[1], "two", &attr));
	assert_int_equal(attr.nlink, 2);
	assert_ok(ls_link(a->ls, &a->call, inode, a->root, "three", &attr));
	assert_ptr_equal(fs_get(a, dir[1], "two"), inode);
	is_at(a, dir[1], "two", "dirty");
	is_at(b, fs_get(b, b->root, "d1"), "two", "dirty");
	fs_release(a, f);
	for (unsigned i = 0; i < ROUNDS; i++) {
		char text[16];
		snprintf(text, sizeof(text), "round%02u", i);
		forgotten();
		write_at(a, i % 2 ? dir[0] : dir[1], i % 2 ? "one" : "two", text, 0);
		if (i % 4 < 2)
			forgotten();
		is_at(a, i % 3 ? dir[1] : a->root, i % 3 ? "two" : "three", text);
		assert_int_equal(fs_attr_at(a, dir[0], "one").size, 7);
	}
	assert_ok(fs_unlink(a, dir[0], "one"));
	assert_int_equal(fs_attr_at(a, dir[1], "two").nlink, 2);
	assert_ok(fs_unlink(a, dir[1], "two"));
	assert_ok(fs_unlink(a, a->root, "three"));
}

static void what_is_moved_while_it_is_open(void **state)
{
	struct ls_inode *inode, *sub = fs_mkdir(a, dir[0], "sub");
	struct ls_file *f = fs_create(a, sub, "inner", &inode);

	assert_int_equal(fs_write(a, f, "before", 6, 0), 6);
	assert_ok(fs_rename(a, dir[0], "sub", dir[1], "moved", 0));
	assert_int_equal(fs_try(a, dir[0], "sub"), -ENOENT);
	assert_ptr_equal(fs_get(a, fs_get(a, dir[1], "moved"), "inner"), inode);
	assert_int_equal(fs_write(a, f, "later", 5, 6), 5);
	assert_ok(fs_rename(a, fs_get(a, dir[1], "moved"), "inner", a->root, "outer", 0));
	fs_is(a, f, 0, "beforelater");
	fs_release(a, f);
	forgotten();
	is_at(a, a->root, "outer", "beforelater");
	is_at(b, b->root, "outer", "beforelater");
	assert_ok(fs_rename(a, a->root, "outer", dir[2], "f2", RENAME_NOREPLACE));
	is_at(a, dir[2], "f2", "beforelater");
	assert_int_equal(fs_try(a, a->root, "outer"), -ENOENT);
	assert_int_equal(fs_rename(a, dir[1], "moved", fs_get(a, dir[1], "moved"), "x", 0), -EINVAL);
}

static void two_are_exchanged(void **state)
{
	fs_release(a, fs_create(a, dir[0], "left", NULL));
	fs_release(a, fs_create(a, dir[1], "right", NULL));
	write_at(a, dir[0], "left", "was left", 0);
	write_at(a, dir[1], "right", "was right", 0);
	assert_ok(fs_rename(a, dir[0], "left", dir[1], "right", RENAME_EXCHANGE));
	is_at(a, dir[0], "left", "was right");
	forgotten();
	is_at(a, dir[1], "right", "was left");
	assert_ok(fs_unlink(a, dir[0], "left"));
	assert_ok(fs_unlink(a, dir[1], "right"));
}

/* ---- at once --------------------------------------------------------------------------------------- */

static struct ls_inode *look(struct ls_inode *at, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_lookup(a->ls, &a->call, at, name, &inode, &attr));
	return inode;
}

/* Each comes by another name of one file, writes and reads what all write, and moves a file of its own to and fro. */
static void *stress(void *arg)
{
	unsigned me = (uintptr_t)arg;
	char page[PAGE], own[16];
	struct ls_attr attr;
	struct ls_file *f;
	off_t end;

	snprintf(own, sizeof(own), "own%u", me);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct ls_inode *at = dir[(me + i) % CLIENTS], *inode = look(at, "common"), *mine = look(at, own);
		struct iovec iov = {page, PAGE};
		assert_ok(ls_open(a->ls, &a->call, inode, O_RDWR, &f));
		memset(page, 'a' + i % 8, PAGE);
		assert_int_equal(ls_write(a->ls, &a->call, f, &iov, 1, i % 8 * PAGE, 0, &end), PAGE);
		assert_int_equal(ls_read(a->ls, &a->call, f, &iov, 1, i % 8 * PAGE), PAGE);
		for (unsigned k = 0; k < PAGE; k++)
			assert_int_equal(page[k], 'a' + i % 8);
		assert_ok(ls_getattr(a->ls, &a->call, mine, NULL, &attr));
		assert_int_equal(attr.size, me + 1);
		assert_ok(ls_rename(a->ls, &a->call, at, own, dir[(me + i + 1) % CLIENTS], own, 0));
		ls_release(a->ls, &a->call, f);
		ls_forget(a->ls, &a->call, inode, 1);
		ls_forget(a->ls, &a->call, mine, 1);
	}
	return NULL;
}

static void at_once_none_waits_for_ever(void **state)
{
	pthread_t thread[THREADS];
	struct ls_inode *inode;
	struct ls_attr attr;
	char name[16];

	fs_release(a, fs_create(a, dir[0], "common", &inode));
	for (unsigned i = 1; i < CLIENTS; i++)
		assert_ok(ls_link(a->ls, &a->call, inode, dir[i], "common", &attr));
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "own%u", i);
		struct ls_file *f = fs_create(a, dir[i % CLIENTS], name, NULL);
		assert_int_equal(fs_write(a, f, "own!", i + 1, 0), i + 1);
		fs_release(a, f);
	}
	forgotten();
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, stress, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(fs_figure(a, "ceph", "calls_timed_out"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(there_are_so_many, settled),
		cmocka_unit_test_teardown(a_name_leads_to_one_inode, settled),
		cmocka_unit_test_teardown(what_has_names_with_two_clients, settled),
		cmocka_unit_test_teardown(what_is_moved_while_it_is_open, settled),
		cmocka_unit_test_teardown(two_are_exchanged, settled),
		cmocka_unit_test_teardown(at_once_none_waits_for_ever, settled),
	};

	return cmocka_run_group_tests(tests, begin, end) != 0;
}
