/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite that every layer passes, with a cache above: one that holds everything, and ones that are
 * smaller than what the cases write, so that everything goes down and comes back all the time.
 */
#include "tests/unit/layers/cases.h"

struct backing {
	const char *name;
	const char *json;  /* with %s for the scratch directory */
	const char *where; /* to make that in; NULL: none */
};

#define OVER_HOST(options)                                                                                 \
	"{\"cache\": {" options ", \"below\": {\"host\": {\"path\": \"%s\", \"exclusive\": true}}}}"
#define OVER_MEM(options) "{\"cache\": {" options ", \"below\": {\"mem\": {}}}}"

static const struct backing backings[] = {
    {"mem", OVER_MEM("\"size\": \"64M\""), NULL},
    {"mem, flushed at once", OVER_MEM("\"size\": \"64M\", \"flush_interval\": \"1ms\""), NULL},
    {"mem, small", OVER_MEM("\"size\": \"300k\", \"policy\": \"lru2\""), NULL},
    {"mem, nothing", OVER_MEM("\"size\": \"0\", \"policy\": \"clock\""), NULL},
    {"host", OVER_HOST("\"size\": \"64M\""), "/var/tmp"},
    {"host, small, on close", OVER_HOST("\"size\": \"200k\", \"flush_on_close\": true, \"batch\": \"8k\""),
     "/dev/shm"},
    {"shared host", "{\"cache\": {\"below\": {\"host\": \"%s\"}}}", "/dev/shm"},
    {"cache on cache",
     "{\"cache\": {\"size\": \"200k\", \"below\": {\"cache\": {\"size\": \"500k\", \"below\": {\"mem\": "
     "{}}}}}}",
     NULL},
};

struct run {
	const struct backing *backing;
	const struct layer_case *layer_case;
	char *scratch;
};

/* What a thread of the cache is at work on goes when it is done with it. */
static void free_again(struct fs *fs, const struct ls_statfs *before)
{
	struct ls_statfs after;

	for (int i = 0; i < 1000; i++) {
		assert_ok(ls_statfs(fs->ls, &fs->call, &after));
		if (after.bfree == before->bfree && after.ffree == before->ffree)
			return;
		usleep(1000);
	}
	assert_int_equal(after.bfree, before->bfree);
	assert_int_equal(after.ffree, before->ffree);
}

static void run_case(void **state)
{
	struct run *run = *state;
	char json[512];
	struct ls_statfs before;
	struct fs *fs;

	run->scratch = run->backing->where ? scratch_begin(run->backing->where) : NULL;
	snprintf(json, sizeof(json), run->backing->json, run->scratch);
	fs = fs_open(json);
	assert_ok(ls_statfs(fs->ls, &fs->call, &before));
	run->layer_case->run(fs);
	fs_settle(fs);
	fs_empty(fs);
	if (!run->backing->where)
		free_again(fs, &before);
	fs_close(fs);
	if (run->scratch)
		scratch_end(run->scratch);
}

int main(void)
{
	static const struct layer_case *const tables[] = {attr_cases, name_cases, file_cases, dir_cases};
	enum { MAX = 1024 };
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
	return _cmocka_run_group_tests("cache", tests, n, NULL, NULL) != 0;
}
