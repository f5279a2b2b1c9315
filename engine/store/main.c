/* SPDX-License-Identifier: Apache-2.0 */
/*
 * polytropon-store: what `polytropon image` runs in a pool. It is a program of its own, so that the libraries that
 * read archives are in no other process.
 *
 *   polytropon-store STORE import NAME FD [replace] [progress] [devices] bytes=N entries=N ratio=N depth=N
 *   polytropon-store STORE ls
 *   polytropon-store STORE rm NAME
 *
 * The answer is JSON on stdout, or a sentence on stderr and status 1.
 */
#include <fcntl.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "engine/store/sandbox.h"
#include "engine/store/store.h"

static int fail(const struct error *error)
{
	fprintf(stderr, "polytropon: %s\n", error->text);
	return 1;
}

static uint64_t *limit_find(struct layer_limits *l, const char *word)
{
	return !strncmp(word, "bytes=", 6) ? &l->bytes : !strncmp(word, "entries=", 8) ? &l->entries : NULL;
}

static void import_word(struct import *import, const char *word)
{
	uint64_t *limit = limit_find(&import->limits, word);

	if (limit)
		*limit = strtoull(strchr(word, '=') + 1, NULL, 10);
	else if (!strncmp(word, "ratio=", 6))
		import->limits.ratio = strtoull(word + 6, NULL, 10);
	else if (!strncmp(word, "depth=", 6))
		import->limits.depth = strtoul(word + 6, NULL, 10);
	else if (!strcmp(word, "replace"))
		import->replace = true;
	else if (!strcmp(word, "progress"))
		import->progress = true;
	else if (!strcmp(word, "devices"))
		import->limits.devices = true;
}

static int shut_in(const char *store, struct error *error)
{
	_cleanup_(close_p) int dir = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : sandbox_root(dir);

	/* All of its output is C's or UTF-8; archives' names are bytes. */
	setlocale(LC_ALL, "C.UTF-8");
	if (r == 0)
		r = sandbox_close(true);
	return r < 0 ? error_errno(error, r, "enter the store '%s'", store) : 0;
}

static int run(char **argv, struct json_object **ret, struct error *error)
{
	const char *what = argv[2], *name = argv[3];
	struct import import = {.name = name, .limits = {1ull << 40, 1 << 22, 100, 128, false}};

	if (!strcmp(what, "ls"))
		return store_list(ret, error);
	if (!name || !store_name_is_good(name))
		return error_set(error, -EINVAL, "'%s' cannot be an image's name", name ? name : "");
	if (!strcmp(what, "rm"))
		return store_forget(name, ret, error);
	if (strcmp(what, "import") || !argv[4])
		return error_set(error, -EINVAL, "the store is asked for what it does not know");
	import.source = atoi(argv[4]);
	for (char **word = argv + 5; *word; word++)
		import_word(&import, *word);
	return store_import(&import, ret, error);
}

int main(int argc, char **argv)
{
	_cleanup_(json_put_p) struct json_object *json = NULL;
	struct error error;

	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	if (shut_in(argv[1], &error) < 0 || run(argv, &json, &error) < 0)
		return fail(&error);
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return fflush(stdout) == 0 ? 0 : 1;
}
