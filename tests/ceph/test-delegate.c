/* SPDX-License-Identifier: Apache-2.0 */
/* Two clients of a cluster, as on two hosts: what one has delegated, it is asked for before the other gets it. */
#include <pthread.h>

#include "tests/ceph/hosts.h"

static struct fs *a, *b;
static int recalls; /* atomic */

static struct fs *client(void)
{
	char json[1024];

	snprintf(json, sizeof(json),
		 "{\"ceph\": {\"monitors\": \"%s\", \"name\": \"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"timeout\": \"20s\"}}",
		 getenv("ceph_monitors"), getenv("ceph_name"), getenv("ceph_keyring"), getenv("ceph_path"));
	return fs_open(json);
}

/* A cache would drop what it has. */
static void recalled(void *arg, struct ls_file *f)
{
	assert_ptr_equal(arg, a);
	__atomic_add_fetch(&recalls, 1, __ATOMIC_SEQ_CST);
}

static int begin(void **state)
{
	a = client();
	b = client();
	fs_empty(a);
	a->ls->recall = recalled;
	a->ls->recall_arg = a;
	return 0;
}

static int end(void **state)
{
	return hosts_end(a, b, a);
}

static void a_reader_elsewhere_gets_what_was_written(void **state)
{
	struct ls_file *f = fs_create(a, a->root, "f", NULL);
	int before = recalls;

	assert_ok(ls_delegate(a->ls, &a->call, f, LS_DELEGATION_WRITE));
	assert_int_equal(fs_write(a, f, "new.", 4, 0), 4);
	assert_int_equal(ls_delegate(a->ls, &a->call, f, LS_DELEGATION_READ), -EBUSY);
	fs_is(b, fs_open_file(b, fs_get(b, b->root, "f"), O_RDONLY), 0, "new.");
	assert_int_equal(recalls, before + 1);
	assert_int_equal(ls_delegate(a->ls, &a->call, f, LS_DELEGATION_WRITE), -EAGAIN);
}

/* The MDS may still be taking back what was opened for writing before. */
static void delegate_read(struct fs *fs, struct ls_file *f)
{
	int r = -EAGAIN;

	for (int i = 0; i < 500 && r == -EAGAIN; i++) {
		r = ls_delegate(fs->ls, &fs->call, f, LS_DELEGATION_READ);
		if (r == -EAGAIN)
			usleep(20000);
	}
	assert_ok(r);
}

static void readers_do_not_disturb_each_other(void **state)
{
	struct ls_file *f, *g;
	int before = recalls;

	fs_file(a, a->root, "r");
	f = fs_open_file(a, fs_get(a, a->root, "r"), O_RDWR);
	fs_release(a, f);
	f = fs_open_file(a, fs_get(a, a->root, "r"), O_RDONLY);
	g = fs_open_file(b, fs_get(b, b->root, "r"), O_RDONLY);
	delegate_read(a, f);
	delegate_read(b, g);
	assert_int_equal(recalls, before);
	assert_ok(ls_delegate(a->ls, &a->call, f, LS_DELEGATION_NONE));
	assert_ok(ls_delegate(b->ls, &b->call, g, LS_DELEGATION_NONE));
	assert_int_equal(recalls, before);
}

static void what_is_released_is_not_asked_for(void **state)
{
	struct ls_file *f = fs_create(a, a->root, "g", NULL);
	int before = recalls;

	assert_ok(ls_delegate(a->ls, &a->call, f, LS_DELEGATION_WRITE));
	fs_release(a, f);
	fs_open_file(b, fs_get(b, b->root, "g"), O_RDWR);
	assert_int_equal(recalls, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_elsewhere_gets_what_was_written),
		cmocka_unit_test(readers_do_not_disturb_each_other),
		cmocka_unit_test(what_is_released_is_not_asked_for),
	};

	return cmocka_run_group_tests(tests, begin, end) != 0;
}
