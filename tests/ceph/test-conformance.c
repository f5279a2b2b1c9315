/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite of all layers, on a directory of a real cluster, and with a cache that keeps what is delegated (argument
 * "cache"), or by several clients (their number). What Ceph does otherwise is listed with the reason.
 */
#include "tests/unit/layers/cases.h"

static struct fs *fs;
static bool cached;
static unsigned clients = 1;

/* clang-format off */
static const char *const unlike[][2] = {
	{"files keep their times", "Ceph keeps no times of access"},
	{"directories keep their times", "the same"},
	{"a replaced file changes its ctime", "the same, of a link"},
	{"holes read as zeros", "Ceph does not say where holes are"},
	{"fallocate reserves and punches", "Ceph reserves nothing"},
	{"a tmpfile has no name until linked", "Ceph gives no name to what has none"},
	{"what is made has its owner and mode", "it makes a tmpfile"},
	{"renaming moves", "the count of a directory's directories lags behind"},
	{"RENAME_EXCHANGE swaps", "the same"},
	{NULL},
};
/* clang-format on */

static bool is_unlike(const char *name)
{
	for (size_t i = 0; unlike[i][0]; i++)
		if (strcmp(unlike[i][0], name) == 0)
			return true;
	return false;
}

static void run_case(void **state)
{
	const struct layer_case *c = *state;

	c->run(fs);
	fs_settle(fs);
	fs_empty(fs);
}

static int cleared(void **state)
{
	fs_settle(fs);
	fs_empty(fs);
	return 0;
}

static int opened(void **state)
{
	char json[1024];

	snprintf(json, sizeof(json),
		 "%s{\"ceph\": {\"monitors\": \"%s\", \"name\": \"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"timeout\": \"20s\", "
		 "\"clients\": %u}}%s",
		 cached ? "{\"cache\": {\"size\": \"16M\", \"below\": " : "",
		 getenv("ceph_monitors"), getenv("ceph_name"), getenv("ceph_keyring"), getenv("ceph_path"), clients,
		 cached ? "}}" : "");
	fs = fs_open(json);
	fs_empty(fs);
	return 0;
}

static int closed(void **state)
{
	fs_close(fs);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct layer_case *const tables[] = {attr_cases, name_cases, file_cases, dir_cases};
	enum { MAX = 256 };
	static struct CMUnitTest tests[MAX];
	size_t n = 0;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "cache") == 0)
			cached = true;
		else
			clients = strtoul(argv[i], NULL, 10);
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct layer_case *c = tables[t]; c->name && n < MAX; c++)
			if (!is_unlike(c->name))
				tests[n++] = (struct CMUnitTest){c->name, run_case, NULL, cleared, (void *)c};
	return _cmocka_run_group_tests("ceph", tests, n, opened, closed) != 0;
}
