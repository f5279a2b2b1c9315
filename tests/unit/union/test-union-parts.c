/* SPDX-License-Identifier: Apache-2.0 */
/* Copying up by range: what is seen is what was written, whatever is copied, and after every reopening. */
#include <pthread.h>

#include "tests/unit/layers/harness.h"

enum { SIZE = 300 * 1000, ROOM = 400 * 1000, STEPS = 3000 };

static char *scratch;
static unsigned char model[ROOM], got[ROOM];
static size_t model_size;

static const struct {
	const char *name, *upper;
} uppers[] = {
	{"host", "{\"host\": {\"path\": \"%s/up\", \"exclusive\": true}}"},
	{"a cached host", "{\"cache\": {\"below\": [{\"host\": {\"path\": \"%s/up\", \"exclusive\": true}}]}}"},
};
static unsigned which;

static struct fs *open_union(const char *middle)
{
	char above[256], json[1024];

	snprintf(above, sizeof(above), uppers[which].upper, scratch);
	snprintf(json, sizeof(json),
		 "{\"union\": {\"ranges\": \"1\", \"below\": [%s%s, {\"host\": {\"path\": \"%s/l\", \"exclusive\": true}}]}}", above,
		 middle, scratch);
	return fs_open(json);
}

static void begin(void)
{
	char path[300];
	FILE *f;

	scratch = scratch_begin("/tmp");
	must_run("mkdir -p %1$s/up %1$s/l/dir", scratch);
	snprintf(path, sizeof(path), "%s/l/dir/file", scratch);
	for (size_t i = 0; i < SIZE; i++)
		model[i] = 'a' + i / 4096 % 26;
	model_size = SIZE;
	memset(model + SIZE, 0, ROOM - SIZE);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(model, 1, SIZE, f), SIZE);
	fclose(f);
}

static struct ls_inode *file_of(struct fs *fs)
{
	return fs_get(fs, fs_get(fs, fs->root, "dir"), "file");
}

static void check(struct fs *fs, struct ls_file *f)
{
	assert_int_equal(fs_read(fs, f, got, ROOM, 0), model_size);
	for (size_t i = 0; i < model_size; i++)
		if (got[i] != model[i])
			fail_msg("at %zu of %zu: %d, not %d", i, model_size, got[i], model[i]);
}

static void model_write(const void *from, size_t n, size_t at)
{
	memcpy(model + at, from, n);
	model_size = at + n > model_size ? at + n : model_size;
}

static void model_cut(size_t size)
{
	if (size < model_size)
		memset(model + size, 0, model_size - size);
	model_size = size;
}

/* One random change, by the file and to the model. */
static void step(struct fs *fs, struct ls_inode *inode, struct ls_file *f)
{
	size_t at = rand() % (ROOM / 2 + 100000), n = rand() % 4 ? rand() % 9000 : rand() % 40000;
	static char text[40000];
	off_t end;
	struct iovec iov = {text, n};

	memset(text, 'A' + rand() % 26, sizeof(text));
	switch (rand() % 12) {
	case 0:
		at = rand() % (ROOM - 50000);
		assert_ok(fs_truncate(fs, inode, at));
		model_cut(at);
		break;
	case 1:
		if (model_size + n > ROOM)
			break;
		assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, 0, LS_WRITE_APPEND, &end), n);
		assert_int_equal(end, n ? model_size + n : (size_t)end);
		model_write(text, n, model_size);
		break;
	case 2:
		assert_ok(ls_fallocate(fs->ls, &fs->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n + 1));
		for (size_t i = at; i < at + n + 1 && i < model_size; i++)
			model[i] = 0;
		break;
	default:
		if (rand() % 3 == 0)
			at &= ~4095ul;
		if (rand() % 3 == 0)
			n &= ~4095ul;
		if (at + n > ROOM || !n)
			break;
		assert_int_equal(fs_write(fs, f, text, n, at), n);
		model_write(text, n, at);
	}
}

static void random_changes(void **state)
{
	for (which = 0; which < 2; which++) {
		struct fs *fs;
		struct ls_inode *inode;
		struct ls_file *f;
		begin();
		fs = open_union("");
		inode = file_of(fs);
		f = fs_open_file(fs, inode, O_RDWR);
		for (int i = 0; i < STEPS; i++) {
			step(fs, inode, f);
			if (i % 40 == 0)
				check(fs, f);
			if (i % 97 != 0)
				continue;
			fs_close(fs);
			/* Anew from below, now and then: a union starts with nothing copied. */
			if (i % 194 == 0) {
				must_run("rm -rf %1$s/up/* %1$s/up/.u*", scratch);
				for (size_t k = 0; k < SIZE; k++)
					model[k] = 'a' + k / 4096 % 26;
				memset(model + SIZE, 0, ROOM - SIZE);
				model_size = SIZE;
			}
			fs = open_union("");
			inode = file_of(fs);
			f = fs_open_file(fs, inode, O_RDWR);
			check(fs, f);
		}
		fs_close(fs);
		scratch_end(scratch);
	}
}

static void an_append_copies_a_block(void **state)
{
	struct fs *fs;
	struct ls_file *f;
	off_t end;
	struct iovec iov = {"end", 3};
	uint64_t blocks;

	begin();
	which = 0;
	fs = open_union("");
	f = fs_open_file(fs, file_of(fs), O_RDWR);
	assert_int_equal(ls_write(fs->ls, &fs->call, f, &iov, 1, 0, LS_WRITE_APPEND, &end), 3);
	model_write("end", 3, SIZE);
	check(fs, f);
	blocks = fs_attr(fs, file_of(fs)).blocks;
	assert_in_range(blocks, 1, 32);
	fs_close(fs);
	scratch_end(scratch);
}

/* Renamed, linked, in a directory that is renamed too: the data is found. */
static void names_do_not_matter(void **state)
{
	struct fs *fs;
	struct ls_inode *dir;
	struct ls_attr attr;

	begin();
	which = 0;
	fs = open_union("");
	assert_int_equal(fs_write(fs, fs_open_file(fs, file_of(fs), O_RDWR), "X", 1, 5000), 1);
	model_write("X", 1, 5000);
	dir = fs_get(fs, fs->root, "dir");
	assert_ok(ls_link(fs->ls, &fs->call, file_of(fs), fs->root, "link", &attr));
	assert_ok(fs_rename(fs, dir, "file", dir, "other", 0));
	assert_ok(fs_rename(fs, fs->root, "dir", fs->root, "moved", 0));
	for (int again = 0; again < 2; again++) {
		check(fs, fs_open_file(fs, fs_get(fs, fs_get(fs, fs->root, "moved"), "other"), O_RDONLY));
		check(fs, fs_open_file(fs, fs_get(fs, fs->root, "link"), O_RDONLY));
		fs_close(fs);
		fs = open_union("");
	}
	fs_close(fs);
	scratch_end(scratch);
}

/* The branch becomes one that is read, below another: data is in three places then. */
static void chains(void **state)
{
	char middle[300];
	struct fs *fs;
	struct ls_file *f;

	begin();
	which = 0;
	fs = open_union("");
	f = fs_open_file(fs, file_of(fs), O_RDWR);
	assert_int_equal(fs_write(fs, f, "one", 3, 100000), 3);
	model_write("one", 3, 100000);
	assert_ok(fs_truncate(fs, file_of(fs), 250000));
	model_cut(250000);
	fs_close(fs);
	must_run("mv %1$s/up %1$s/m && mkdir %1$s/up", scratch);
	snprintf(middle, sizeof(middle), ", {\"host\": {\"path\": \"%s/m\", \"exclusive\": true}}", scratch);
	fs = open_union(middle);
	check(fs, fs_open_file(fs, file_of(fs), O_RDONLY));
	f = fs_open_file(fs, file_of(fs), O_RDWR);
	assert_int_equal(fs_write(fs, f, "two", 3, 100001), 3);
	model_write("two", 3, 100001);
	assert_int_equal(fs_write(fs, f, "far", 3, 299000), 3);
	model_write("far", 3, 299000);
	check(fs, f);
	for (int again = 0; again < 2; again++) {
		check(fs, fs_open_file(fs, file_of(fs), O_RDONLY));
		fs_close(fs);
		fs = open_union(middle);
	}
	fs_close(fs);
	scratch_end(scratch);
}

/* What the kernel copies up without data (a hole, and marks without a redirect) has its data. */
static void the_kernels_files_without_data(void **state)
{
	struct fs *fs;

	begin();
	which = 0;
	must_run("mkdir %1$s/up/dir && truncate -s %2$d %1$s/up/dir/file && "
		 "setfattr -n trusted.overlay.metacopy %1$s/up/dir/file",
		 scratch, SIZE);
	fs = open_union("");
	check(fs, fs_open_file(fs, file_of(fs), O_RDONLY));
	fs_close(fs);
	/* Without anything below it is an error, not zeros. */
	must_run("rm %1$s/l/dir/file", scratch);
	fs = open_union("");
	assert_int_equal(fs_try(fs, fs_get(fs, fs->root, "dir"), "file"), -EIO);
	fs_close(fs);
	scratch_end(scratch);
}

/* It has no way to know which blocks are there: an error is better than the wrong bytes. */
static void the_kernel_refuses_it(void **state)
{
	struct fs *fs;

	begin();
	which = 0;
	fs = open_union("");
	assert_int_equal(fs_write(fs, fs_open_file(fs, file_of(fs), O_RDWR), "X", 1, 5000), 1);
	fs_close(fs);
	must_run("cd %s && mkdir w m && unshare -m sh -c 'mount -t overlay o -o "
		 "metacopy=off,lowerdir=l,upperdir=up,workdir=w m && test -d m/dir && ! cat m/dir/file' >out 2>&1 && ! grep -q aaaa out",
		 scratch);
	scratch_end(scratch);
}

enum { THREADS = 4, STRIPE = SIZE / THREADS };

struct stripe {
	struct fs *fs;
	struct ls_file *f;
	unsigned number;
};

/* Stripes share the blocks at their ends. */
static void *stripe_run(void *arg)
{
	struct stripe *s = arg;
	unsigned seed = s->number + 1;
	size_t from = s->number * STRIPE;
	char text[9000], back[9000];

	for (int i = 0; i < 400; i++) {
		size_t at = from + rand_r(&seed) % (STRIPE - sizeof(text)), n = rand_r(&seed) % sizeof(text) + 1;
		memset(text, 'A' + rand_r(&seed) % 26, n);
		if (fs_write(s->fs, s->f, text, n, at) != (ssize_t)n || fs_read(s->fs, s->f, back, n, at) != (ssize_t)n ||
		    memcmp(text, back, n))
			return "a write was not read back";
		memcpy(model + at, text, n);
	}
	return NULL;
}

static void threads_do_not_lose_each_others_bytes(void **state)
{
	struct stripe stripes[THREADS];
	pthread_t threads[THREADS];
	struct ls_inode *inode;
	struct fs *fs;
	void *error;

	begin();
	which = 0;
	fs = open_union("");
	inode = file_of(fs);
	for (unsigned i = 0; i < THREADS; i++) {
		stripes[i] = (struct stripe){fs, fs_open_file(fs, inode, O_RDWR), i};
		assert_int_equal(pthread_create(&threads[i], NULL, stripe_run, &stripes[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &error), 0);
		if (error)
			fail_msg("%s", (char *)error);
	}
	for (int again = 0; again < 2; again++) {
		check(fs, fs_open_file(fs, file_of(fs), O_RDONLY));
		fs_close(fs);
		fs = open_union("");
	}
	fs_close(fs);
	scratch_end(scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes),
		cmocka_unit_test(an_append_copies_a_block),
		cmocka_unit_test(names_do_not_matter),
		cmocka_unit_test(chains),
		cmocka_unit_test(the_kernels_files_without_data),
		cmocka_unit_test(the_kernel_refuses_it),
		cmocka_unit_test(threads_do_not_lose_each_others_bytes),
	};

	if (geteuid() != 0)
		return 77;
	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
