/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `image`: what is in a pool's store. All of it is done in the pool, by polytropon-store (engine/store/): this command
 * opens the source, which is the host's, and hands it in.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/enter.h"
#include "engine/programs.h"
#include "ipc/wire.h"
#include "libservices/libservice.h"

struct wish {
	const char *pool;
	uint64_t bytes, entries, ratio;
	bool replace, json, devices;
};

static const struct option_row import_options[] = {
	{"pool", "POOL", "whose store; needless if there is one pool with a store"},
	{"replace", NULL, "an image of that name gives way"},
	{"max-size", "SIZE", "the most that a layer may unpack to; 64G otherwise"},
	{"max-entries", "N", "the most entries of a layer; 4194304 otherwise"},
	{"max-ratio", "N", "how many times its size a layer may unpack to; 100 otherwise"},
	{"devices", NULL, "keep device nodes, which are left out otherwise"},
	{"json", NULL, "print JSON"},
	{},
};

static const struct option_row other_options[] = {
	{"pool", "POOL", "whose store; needless if there is one pool with a store"},
	{"json", NULL, "print JSON"},
	{},
};

static int take_number(const struct command *command, const struct option_row *o, const char *value, uint64_t *ret)
{
	if (ls_parse_size(value, ret) < 0 || !*ret)
		return misuse(command, "--%s '%s' is no number above 0", o->name, value);
	return 0;
}

static int take_option(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct wish *w = arg;

	if (!strcmp(o->name, "pool"))
		w->pool = value;
	else if (!strcmp(o->name, "replace"))
		w->replace = true;
	else if (!strcmp(o->name, "json"))
		w->json = true;
	else if (!strcmp(o->name, "devices"))
		w->devices = true;
	else if (!strcmp(o->name, "max-size"))
		return take_number(command, o, value, &w->bytes);
	else if (!strcmp(o->name, "max-entries"))
		return take_number(command, o, value, &w->entries);
	else
		return take_number(command, o, value, &w->ratio);
	return 0;
}

/* ---- the pool -------------------------------------------------------------------------------------- */

static bool has_store(struct json_object *pool)
{
	struct json_object *mounts = json_child(pool, "mounts", json_type_array);

	for (size_t i = 0; mounts && i < json_object_array_length(mounts); i++) {
		const char *path = json_string(json_object_array_get_idx(mounts, i), "path");
		if (path && !strcmp(path, WIRE_ROOTS))
			return true;
	}
	return false;
}

static int find_pool(int connection, struct wish *w, struct json_object **ret)
{
	struct json_object *pools, *found = NULL;
	struct error error;

	if (engine_call(connection, "Ps", NULL, ret, NULL, &error) != CALL_OK)
		return complain("%s", error.text);
	pools = json_child(*ret, "pools", json_type_array);
	for (size_t i = 0; pools && i < json_object_array_length(pools); i++) {
		struct json_object *pool = json_object_array_get_idx(pools, i);
		const char *name = json_string(pool, "pool");
		if (w->pool ? strcmp(name, w->pool) : !has_store(pool))
			continue;
		if (found)
			return complain("pools '%s' and '%s' have stores; --pool says which", json_string(found, "pool"),
					name);
		found = pool;
	}
	if (!found)
		return w->pool ? complain("no pool '%s' runs", w->pool) :
				 complain("no pool runs whose file has 'roots', where images are");
	w->pool = json_string(found, "pool");
	return has_store(found) ? 0 : complain("pool '%s' has no store: its file has no 'roots'", w->pool);
}

/* ---- what is printed --------------------------------------------------------------------------------- */

/* Names and words of the store are strangers'. */
static char *tamed(const char *text)
{
	char *copy = strdup(text ? text : "");

	if (copy)
		text_tame(copy);
	return copy;
}

static void print_image(struct json_object *image)
{
	struct json_object *command = json_child(image, "command", json_type_array);
	_cleanup_(free_p) char *words = tamed(command ? json_object_to_json_string(command) : "");
	_cleanup_(free_p) char *name = tamed(json_string(image, "image"));
	_cleanup_(free_p) char *created = tamed(json_string(image, "created"));

	if (words && name && created)
		printf("%-32s %6lld  %-20.19s %s\n", name, (long long)json_number(image, "layers", 0), created, words);
}

static void print_list(struct json_object *list)
{
	printf("%-32s %6s  %-20s %s\n", "NAME", "LAYERS", "CREATED", "COMMAND");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		print_image(json_object_array_get_idx(list, i));
}

static void print_answer(struct json_object *answer)
{
	const char *name = json_string(answer, "image");

	if (json_object_is_type(answer, json_type_array))
		print_list(answer);
	else if (json_child(answer, "layers", json_type_int))
		printf("image '%s': %lld layers, of which %lld were there already\n", name,
		       (long long)json_number(answer, "layers", 0), (long long)json_number(answer, "layers_found", 0));
	else
		printf("image '%s' is gone, and %lld layers with it\n", name,
		       (long long)json_number(answer, "layers_removed", 0));
	if (json_number(answer, "left_out", 0))
		printf("left out: %lld entries (devices, sockets, marks that layers may not have)\n",
		       (long long)json_number(answer, "left_out", 0));
}

static int print_file(int fd, bool as_json)
{
	_cleanup_(json_put_p) struct json_object *answer = NULL;

	lseek(fd, 0, SEEK_SET);
	answer = json_object_from_fd(fd);
	if (!answer)
		return complain("the store's answer is not JSON");
	if (as_json)
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_answer(answer);
	return 0;
}

/* ---- in the pool --------------------------------------------------------------------------------------- */

/* What the program prints goes into a file of no name; this process's own stdout is put back. */
static int run_store(int connection, const struct wish *w, char **argv)
{
	_cleanup_(close_p) int answer = -1, before = dup(STDOUT_FILENO);
	char path[] = "/tmp/polytropon-XXXXXX";
	int r;

	answer = mkstemp(path);
	if (answer < 0 || before < 0)
		return complain("make a temporary file: %s", strerror(errno));
	unlink(path);
	/* Its root directory is not what the preload library takes paths from. */
	setenv("POLYTROPON_MODE", "off", 1);
	dup2(answer, STDOUT_FILENO);
	r = enter_run_trusted(connection, w->pool, argv);
	dup2(before, STDOUT_FILENO);
	return r == 0 ? print_file(answer, w->json) : r;
}

static int ask_store(struct wish *w, char **words)
{
	_cleanup_(json_put_p) struct json_object *pools = NULL;
	_cleanup_(close_p) int connection = command_connect();
	char program[PATH_MAX], *argv[20] = {program, WIRE_ROOTS};
	struct error error;
	int r;

	if (connection == -ENOENT)
		return complain("no pool runs");
	if (connection < 0)
		return EXIT_OURS;
	r = find_pool(connection, w, &pools);
	if (r != 0)
		return r;
	if (program_store(program, &error) < 0)
		return complain("no program for the store: %s", error.text);
	for (size_t i = 0; words[i] && i + 3 < ARRAY_LEN(argv); i++)
		argv[i + 2] = words[i];
	return run_store(connection, w, argv);
}

static int source_open(const char *path)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_NONBLOCK) : STDIN_FILENO;

	if (fd < 0)
		return complain("'%s': %s", path, strerror(errno)) ? -1 : -1;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

static int image_import(const struct command *command, char **argv)
{
	struct wish w = {.bytes = 64ull << 30, .entries = 1 << 22, .ratio = 100};
	char fd[16], bytes[40], entries[40], ratio[40];
	int r = options_take(command, &argv, take_option, &w), source;
	char *words[12] = {"import", argv[0], fd, bytes, entries, ratio, "depth=256"};
	size_t n = 7;

	if (r != 0)
		return r;
	if (!argv[0] || !argv[1] || argv[2])
		return misuse(command, "it takes a name and a source");
	r = command_needs_root(command);
	source = r == 0 ? source_open(argv[1]) : -1;
	if (source < 0)
		return r ? r : EXIT_OURS;
	words[1] = argv[0];
	snprintf(fd, sizeof(fd), "%d", source);
	snprintf(bytes, sizeof(bytes), "bytes=%llu", (unsigned long long)w.bytes);
	snprintf(entries, sizeof(entries), "entries=%llu", (unsigned long long)w.entries);
	snprintf(ratio, sizeof(ratio), "ratio=%llu", (unsigned long long)w.ratio);
	if (w.replace)
		words[n++] = "replace";
	if (w.devices)
		words[n++] = "devices";
	if (isatty(STDERR_FILENO))
		words[n++] = "progress";
	return ask_store(&w, words);
}

static int image_other(const struct command *command, char **argv)
{
	bool list = !strcmp(command->name, "image ls");
	char *words[3] = {list ? "ls" : "rm"};
	struct wish w = {};
	int r = options_take(command, &argv, take_option, &w);

	if (r != 0)
		return r;
	if (list ? argv[0] != NULL : !argv[0] || argv[1])
		return misuse(command, list ? "it takes no '%s'" : "it takes one image", argv[0]);
	words[1] = argv[0];
	r = command_needs_root(command);
	return r != 0 ? r : ask_store(&w, words);
}

static const struct command image_commands[] = {
	{"image import", "NAME SOURCE", "make an image of an OCI layout, an archive or a directory", image_import,
	 import_options,
	 "SOURCE is a directory with an OCI image layout or a root file system, or an archive (tar, gzip, zstd) of\n"
	 "either, or of `docker save`; - is stdin. Layers that the store has are not read again."},
	{"image ls", "", "list the images", image_other, other_options, NULL},
	{"image rm", "NAME", "remove an image, and the layers that nothing else needs", image_other, other_options, NULL},
	{},
};

int cmd_image(const struct command *command, char **argv)
{
	const char *names[ARRAY_LEN(image_commands)] = {}, *near;
	size_t skip = strlen("image ");

	if (!argv[0] || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		for (const struct command *c = image_commands; c->name; c++)
			fprintf(argv[0] ? stdout : stderr, "Usage: polytropon %s [OPTION...] %s\n", c->name, c->arguments);
		return argv[0] ? 0 : EXIT_USAGE;
	}
	for (size_t i = 0; image_commands[i].name; i++) {
		names[i] = image_commands[i].name + skip;
		if (!strcmp(argv[0], names[i]))
			return image_commands[i].run(&image_commands[i], argv + 1);
	}
	near = ls_nearest(argv[0], names);
	return misuse(command, near ? "unknown command '%s'; did you mean '%s'?" : "unknown command '%s'", argv[0], near);
}
