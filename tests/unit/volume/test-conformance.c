/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance cases of all layers, on a volume: with memory enough, with as little as there may be, and
 * after each case mounted anew.
 */
#include "tests/unit/layers/cases.h"
#include "tests/unit/volume/volume-test.h"

static const char *const options[] = {"", ", \"buffer\": \"1M\", \"metadata_cache\": \"1M\"",
				      ", \"commit_interval\": \"1ms\""};

struct run {
	const char *options;
	const struct layer_case *layer_case;
};

static void run_case(void **state)
{
	struct run *run = *state;
	int fd = image_with_volume(256 << 20);
	struct ls_statfs before, after;
	uint64_t free;
	struct fs *fs = image_mount(fd, run->options);

	assert_ok(ls_statfs(fs->ls, &fs->call, &before));
	free = room(fs);
	run->layer_case->run(fs);
	fs_settle(fs);
	fs_close(fs);
	image_is_sound(fd);
	fs = image_mount(fd, run->options);
	fs_empty(fs);
	fs_settle(fs);
	assert_ok(ls_sync(fs->ls, &fs->call));
	room_comes_back(fs, free);
	assert_ok(ls_statfs(fs->ls, &fs->call, &after));
	assert_int_equal(after.bfree, before.bfree);
	assert_int_equal(after.ffree, before.ffree);
	assert_int_equal(after.files, before.files);
	fs_close(fs);
	image_is_sound(fd);
	close(fd);
}

int main(void)
{
	static const struct layer_case *const tables[] = {attr_cases, name_cases, file_cases, dir_cases};
	enum { MAX = 512 };
	static struct CMUnitTest tests[MAX];
	static struct run runs[MAX];
	static char names[MAX][96];
	size_t n = 0;

	for (size_t o = 0; o < sizeof(options) / sizeof(*options); o++)
		for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
			for (const struct layer_case *c = tables[t]; c->name && n < MAX; c++, n++) {
				snprintf(names[n], sizeof(names[n]), "volume %zu: %s", o, c->name);
				runs[n] = (struct run){options[o], c};
				tests[n] = (struct CMUnitTest){names[n], run_case, NULL, NULL, &runs[n]};
			}
	return _cmocka_run_group_tests("volume", tests, n, NULL, NULL) != 0;
}
