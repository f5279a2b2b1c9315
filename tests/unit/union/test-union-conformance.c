/* SPDX-License-Identifier: Apache-2.0 */
/* The suite of all layers, on unions: over one branch, over empty ones, and where the whole tree lies below first. */
#include "tests/unit/layers/cases.h"

struct backing {
	const char *name;
	const char *json;
	bool on_host; /* %s is a directory with up, a and b in it */
};

static const struct backing backings[] = {
	{"union of one", "{\"union\": {\"below\": [{\"mem\": {}}]}}", false},
	{"union over empty ones", "{\"union\": {\"below\": [{\"mem\": {}}, {\"mem\": {}}, {\"mem\": {}}]}}", false},
	{"union of few names", "{\"union\": {\"names\": 100, \"below\": [{\"mem\": {}}, {\"mem\": {}}]}}", false},
	{"union on host",
	 "{\"union\": {\"below\": [{\"host\": {\"path\": \"%1$s/up\", \"exclusive\": true}}, "
	 "{\"host\": {\"path\": \"%1$s/a\", \"exclusive\": true}}]}}",
	 true},
	{"union on a shared host", "{\"union\": {\"below\": [{\"host\": \"%1$s/up\"}, {\"host\": \"%1$s/a\"}]}}", true},
};

struct run {
	const struct backing *backing;
	const struct layer_case *layer_case;
};

/* Links are counted of a merged directory when its names are known. */
static void count_root(struct fs *fs)
{
	struct listing l;

	fs_list(fs, fs->root, 0, &l);
	listing_free(&l);
}

static void run_case(void **state)
{
	struct run *run = *state;
	char *scratch = run->backing->on_host ? scratch_begin("/var/tmp") : NULL, json[512];
	struct ls_statfs before, after;
	struct fs *fs;

	if (scratch)
		must_run("mkdir %s/up %s/a", scratch, scratch);
	snprintf(json, sizeof(json), run->backing->json, scratch);
	fs = fs_open(json);
	assert_ok(ls_statfs(fs->ls, &fs->call, &before));
	count_root(fs);
	run->layer_case->run(fs);
	fs_settle(fs);
	fs_empty(fs);
	assert_ok(ls_statfs(fs->ls, &fs->call, &after));
	if (!scratch) {
		assert_int_equal(after.ffree, before.ffree);
	}
	fs_close(fs);
	if (!scratch)
		return;
	must_run("test -z \"$(ls -A %s/up)\"", scratch); /* no work directory is left behind either */
	scratch_end(scratch);
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
				runs[n] = (struct run){&backings[b], c};
				snprintf(names[n], sizeof(names[n]), "%s: %s", backings[b].name, c->name);
				tests[n] = (struct CMUnitTest){
					.name = names[n], .test_func = run_case, .initial_state = &runs[n]};
			}
	return _cmocka_run_group_tests("union", tests, n, NULL, NULL) != 0;
}
