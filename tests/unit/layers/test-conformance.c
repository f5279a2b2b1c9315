/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One suite, every layer. The host layer over a kernel filesystem is the plain kernel but for what the
 * layer adds, so the same cases check their own expectations there.
 */
#include "tests/unit/layers/cases.h"

struct backing {
	const char *name;
	const char *json;  /* with %s for the scratch directory */
	const char *where; /* to make that in; NULL: none */
};

static const struct backing backings[] = {
	{"mem", "{\"mem\": {}}", NULL},
	{"host on disk", "{\"host\": \"%s\"}", "/var/tmp"},
	{"host on tmpfs", "{\"host\": \"%s\"}", "/dev/shm"},
	{"host with 16 descriptors", "{\"host\": {\"path\": \"%s\", \"descriptors\": 16}}", "/var/tmp"},
	{"delay on mem",
	 "{\"delay\": {\"metadata\": \"1us\", \"read\": \"1us\", \"below\": {\"mem\": {}}}}", NULL},
	{"error on mem", "{\"error\": {\"below\": {\"mem\": {}}}}", NULL},
};

struct run {
	const struct backing *backing;
	const struct layer_case *layer_case;
	char *scratch;
};

/* What the case left is removed, and then everything that it took must be free again. */
static void run_case(void **state)
{
	struct run *run = *state;
	char json[512];
	struct ls_statfs before, after;
	struct fs *fs;

	run->scratch = run->backing->where ? scratch_begin(run->backing->where) : NULL;
	snprintf(json, sizeof(json), run->backing->json, run->scratch);
	fs = fs_open(json);
	assert_ok(ls_statfs(fs->ls, &fs->call, &before));
	run->layer_case->run(fs);
	fs_settle(fs);
	fs_empty(fs);
	assert_ok(ls_statfs(fs->ls, &fs->call, &after));
	if (!run->backing->where) {
		assert_int_equal(after.bfree, before.bfree);
		assert_int_equal(after.ffree, before.ffree);
	}
	fs_close(fs);
	if (run->scratch)
		scratch_end(run->scratch);
}

int main(void)
{
	static const struct layer_case *const tables[] = {attr_cases, name_cases, file_cases, dir_cases};
	enum { MAX = 512 };
	static struct CMUnitTest tests[MAX];
	static struct run runs[MAX];
	static char names[MAX][96];
	size_t n = 0;

	for (size_t b = 0; b < sizeof(backings) / sizeof(*backings); b++)
		for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
			for (const struct layer_case *c = tables[t]; c->name && n < MAX; c++, n++) {
				snprintf(names[n], sizeof(names[n]), "%s: %s", backings[b].name, c->name);
				runs[n] = (struct run){&backings[b], c, NULL};
				tests[n] = (struct CMUnitTest){names[n], run_case, NULL, NULL, &runs[n]};
			}
	return _cmocka_run_group_tests("layers", tests, n, NULL, NULL) != 0;
}
