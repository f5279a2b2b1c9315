/* SPDX-License-Identifier: Apache-2.0 */
/* How stacks are bound, and the layers that change nothing but behaviour: null, delay, error. */
#include <time.h>

#include "tests/unit/layers/harness.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* What a silent layer does not set is the layer below's very function, called with that layer. */
static void passing_costs_nothing(void **state)
{
	struct fs *fs = fs_open("{\"delay\": {\"below\": {\"error\": {\"below\": {\"delay\": {\"below\": "
				"{\"mem\": {}}}}}}}}");
	struct ls *mem = ls_stack_find(fs->ls, "mem");

	assert_ptr_equal(fs->ls->op.forget.fn, mem->type->ops.forget);
	assert_ptr_equal(fs->ls->op.forget.ls, mem);
	assert_ptr_equal(fs->ls->op.release.fn, mem->type->ops.release);
	assert_ptr_equal(fs->ls->op.read.ls, fs->ls);
	assert_ptr_equal(fs->ls->root, mem->root);
	assert_int_equal(fs->ls->root_attr.ino, mem->root_attr.ino);
	fs_close(fs);
}

/* Every operation that a refusing layer leaves out says no, whatever it is. */
static void refusing_layers_refuse_all_they_do_not_set(void **state)
{
	struct fs *fs = fs_open("{\"null\": {}}");
	const struct ls_ops *ops = &fs->ls->type->ops;
	unsigned refused = 0;

#define X(ret, name, ...)                                                                                  \
	if (!ops->name) {                                                                                  \
		assert_non_null(fs->ls->op.name.fn);                                                       \
		assert_ptr_equal(fs->ls->op.name.ls, fs->ls);                                              \
		refused++;                                                                                 \
	}
	LS_OPS(X)
#undef X
	assert_in_range(refused, 10, LS_OP_MAX);
	assert_int_equal(ls_mkdir(fs->ls, &fs->call, fs->root, "d", 0755, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(ls_unlink(fs->ls, &fs->call, fs->root, "d"), -EOPNOTSUPP);
	assert_int_equal(ls_copy(fs->ls, &fs->call, NULL, 0, NULL, 0, 1), -EOPNOTSUPP);
	assert_int_equal(ls_getxattr(fs->ls, &fs->call, fs->root, "user.x", NULL, 0), -EOPNOTSUPP);
	fs_close(fs);
}

static void null_is_empty(void **state)
{
	struct fs *fs = fs_open("{\"null\": {}}");
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_statfs s;
	struct listing l;

	assert_int_equal(fs->ls->traits, LS_RDONLY);
	assert_int_equal(fs_attr(fs, fs->root).mode, S_IFDIR | 0555);
	assert_int_equal(fs_try(fs, fs->root, "x"), -ENOENT);
	for (unsigned batch = 0; batch < 3; batch++) {
		fs_list(fs, fs->root, batch, &l);
		assert_int_equal(l.count, 2);
		listing_free(&l);
	}
	assert_ok(ls_parent(fs->ls, &fs->call, fs->root, &inode, &attr));
	assert_ptr_equal(inode, fs->root);
	assert_ok(ls_resolve(fs->ls, &fs->call, attr.ino, &inode, &attr));
	assert_int_equal(ls_resolve(fs->ls, &fs->call, 2, &inode, &attr), -ESTALE);
	assert_ok(ls_statfs(fs->ls, &fs->call, &s));
	fs_close(fs);
}

static void a_delay_delays_its_class(void **state)
{
	struct fs *fs = fs_open("{\"delay\": {\"read\": \"30ms\", \"below\": {\"mem\": {}}}}");
	struct ls_file *f = fs_create(fs, fs->root, "f", NULL);
	char error[256], c;
	double start = now();

	assert_int_equal(fs_write(fs, f, "x", 1, 0), 1);
	assert_true(now() - start < 0.025);
	start = now();
	assert_int_equal(fs_read(fs, f, &c, 1, 0), 1);
	assert_true(now() - start >= 0.030);
	assert_ok(ls_option_set(fs->ls, "read", "0", error, sizeof(error)));
	assert_ok(ls_option_set(fs->ls, "metadata", "20ms", error, sizeof(error)));
	start = now();
	assert_int_equal(fs_read(fs, f, &c, 1, 0), 1);
	assert_true(now() - start < 0.018);
	assert_ok(fs_try(fs, fs->root, "f"));
	assert_true(now() - start >= 0.020);
	fs_close(fs);
}

static void a_delay_ends_at_the_deadline(void **state)
{
	struct fs *fs = fs_open("{\"delay\": {\"metadata\": \"1m\", \"below\": {\"mem\": {}}}}");
	double start = now();
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	fs->call.deadline = t.tv_sec * 1000000000ll + t.tv_nsec + 20000000;
	assert_int_equal(fs_try(fs, fs->root, "f"), -ETIMEDOUT);
	assert_true(now() - start >= 0.020 && now() - start < 10);
	fs_close(fs);
}

static void errors_come_every_so_often(void **state)
{
	struct fs *fs = fs_open("{\"error\": {\"op\": \"lookup\", \"errno\": \"EDQUOT\", \"every\": 3, "
				"\"below\": {\"mem\": {}}}}");
	char error[256];

	fs_file(fs, fs->root, "f");
	for (int i = 1; i <= 9; i++)
		assert_int_equal(fs_try(fs, fs->root, "f"), i % 3 ? 0 : -EDQUOT);
	assert_ok(ls_option_set(fs->ls, "every", "0", error, sizeof(error)));
	for (int i = 0; i < 5; i++)
		assert_ok(fs_try(fs, fs->root, "f"));
	assert_ok(ls_option_set(fs->ls, "op", "all", error, sizeof(error)));
	assert_ok(ls_option_set(fs->ls, "errno", "EIO", error, sizeof(error)));
	assert_ok(ls_option_set(fs->ls, "every", "1", error, sizeof(error)));
	assert_int_equal(fs_try(fs, fs->root, "f"), -EIO);
	assert_int_equal(ls_sync(fs->ls, &fs->call), -EIO);
	assert_int_equal(ls_option_set(fs->ls, "op", "release", error, sizeof(error)), -EINVAL);
	assert_int_equal(fs_try(fs, fs->root, "f"), -EIO);
	fs_close(fs); /* forgetting always works */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passing_costs_nothing),
		cmocka_unit_test(refusing_layers_refuse_all_they_do_not_set),
		cmocka_unit_test(null_is_empty),
		cmocka_unit_test(a_delay_delays_its_class),
		cmocka_unit_test(a_delay_ends_at_the_deadline),
		cmocka_unit_test(errors_come_every_so_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
