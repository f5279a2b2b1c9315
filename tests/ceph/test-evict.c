/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster throws a host's client out while the host keeps files under delegations, and another host changes them: what was kept
 * counts no more, what was changed and not written is dropped and fsync says so, and nothing is written over what the other wrote.
 */
#include "tests/ceph/hosts.h"

static struct fs *a, *b;

/* The client of `b` is the administrator's: only the tenant's is thrown out. */
static struct fs *host(const char *name, const char *keyring)
{
	char json[1024];

	snprintf(json, sizeof(json),
		 "{\"cache\": {\"size\": \"32M\", \"flush_interval\": \"0s\", \"below\": {\"ceph\": {\"monitors\": \"%s\", \"name\": "
		 "\"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"timeout\": \"20s\"}}}}",
		 getenv("ceph_monitors"), name, keyring, getenv("ceph_path"));
	return fs_open(json);
}

static int begin(void **state)
{
	char keyring[512];

	snprintf(keyring, sizeof(keyring), "%s/keyring", getenv("ceph_dir"));
	a = host(getenv("ceph_name"), getenv("ceph_keyring"));
	b = host("admin", keyring);
	fs_empty(a);
	return 0;
}

static int end(void **state)
{
	return hosts_end(a, b, b);
}

static void change_at_b(const char *name, const char *text)
{
	struct ls_file *f = fs_open_file(b, fs_get(b, b->root, name), O_RDWR);

	assert_int_equal(fs_write(b, f, text, strlen(text), 0), strlen(text));
	fs_release(b, f);
}

/* One client can be thrown out once in half an hour and come back: all of it is one test. */
static void what_is_overtaken_is_not_written(void **state)
{
	struct ls_inode *dirty, *quiet, *clean;
	struct ls_file *fd = fs_create(a, a->root, "dirty", &dirty), *fq = fs_create(a, a->root, "quiet", &quiet),
		       *fc = fs_create(a, a->root, "clean", &clean);
	struct timespec nap = {0, 100000000};
	char got[6] = "";

	assert_int_equal(fs_write(a, fd, "first", 5, 0), 5);
	assert_int_equal(fs_write(a, fq, "first", 5, 0), 5);
	assert_int_equal(fs_write(a, fc, "first", 5, 0), 5);
	fs_release(a, fc);
	fc = fs_open_file(a, clean, O_RDONLY);
	assert_ok(ls_sync(a->ls, &a->call));
	host_keeps(a, fd, dirty);
	host_keeps(a, fq, quiet);
	host_keeps(a, fc, clean);
	assert_int_equal(fs_write(a, fd, "mine!", 5, 0), 5);
	assert_int_equal(fs_write(a, fq, "mine!", 5, 0), 5);
	fs_is(a, fd, 0, "mine!");

	must_run("\"$dev\" evict \"$ceph_dir\" alice #%s >&2", "");
	change_at_b("dirty", "yours");
	change_at_b("clean", "yours");

	/* At once, before anybody has noticed. */
	assert_int_equal(ls_fsync(a->ls, &a->call, fd, 0), -EIO);
	fs_is(a, fd, 0, "yours");
	fs_is(b, fs_open_file(b, fs_get(b, b->root, "dirty"), O_RDONLY), 0, "yours");

	/* What nobody asks the cluster about is noticed, too. */
	for (int i = 0; i < 200 && strcmp(got, "yours") != 0; i++) {
		nanosleep(&nap, NULL);
		assert_int_equal(fs_read(a, fc, got, 5, 0), 5);
	}
	assert_string_equal(got, "yours");

	/* Though nobody else has written: nobody can tell. */
	assert_int_equal(ls_fsync(a->ls, &a->call, fq, 0), -EIO);
	fs_is(b, fs_open_file(b, fs_get(b, b->root, "quiet"), O_RDONLY), 0, "first");

	/* And it goes on. */
	ls_fsync(a->ls, &a->call, fd, 0);
	assert_int_equal(fs_write(a, fd, "again", 5, 0), 5);
	assert_ok(ls_fsync(a->ls, &a->call, fd, 0));
	fs_is(b, fs_open_file(b, fs_get(b, b->root, "dirty"), O_RDONLY), 0, "again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_overtaken_is_not_written)};

	return cmocka_run_group_tests(tests, begin, end) != 0;
}
