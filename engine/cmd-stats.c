/* SPDX-License-Identifier: Apache-2.0 */
/* `stats`: what a pool's service counted; how its processes' calls went; its slow operations. */
#include <errno.h>
#include <string.h>

#include "engine/command.h"
#include "engine/figures.h"
#include "libservices/libservice.h"

const struct option_row stats_options[] = {
	{"json", NULL, "print JSON"},
	{"processes", NULL, "which calls of which process went through which door, and why"},
	{"slow", NULL, "the latest operations that took 10 ms or longer, where, and beside whom"},
	{"container", "NAME", "of one container (its number or name): latencies of its operations, and where they were spent"},
	{"watch", "TIME", "again and again, each TIME (1s)"},
	{},
};

struct wanted {
	bool json, processes, slow;
	const char *container;
	uint64_t watch; /* ns; 0: once */
};

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	struct wanted *w = arg;

	if (!strcmp(option->name, "json"))
		w->json = true;
	else if (!strcmp(option->name, "processes"))
		w->processes = true;
	else if (!strcmp(option->name, "slow"))
		w->slow = true;
	else if (!strcmp(option->name, "container"))
		w->container = value;
	else if (ls_parse_time(value, &w->watch) < 0 || w->watch < 1000000)
		return misuse(command, "--watch takes a time of a millisecond or more, as in --watch 1s, not '%s'", value);
	return 0;
}

static uint64_t calls_sum(struct json_object *calls)
{
	uint64_t sum = 0;

	json_object_object_foreach(calls, name, n) {
		(void)name;
		sum += json_object_get_uint64(n);
	}
	return sum;
}

static void print_pairs(const char *title, struct json_object *pairs, const char *prefix)
{
	bool any = false;

	json_object_object_foreach(pairs, name, n) {
		if (strncmp(name, prefix, strlen(prefix)))
			continue;
		printf("%s%s %s", any ? ", " : title, name + strlen(prefix), json_object_get_string(n));
		any = true;
	}
	if (any)
		putchar('\n');
}

static void print_process(struct json_object *p)
{
	struct json_object *counts = json_child(p, "counts", json_type_object);
	struct json_object *served = json_child(p, "served", json_type_object);
	struct json_object *kernel = json_child(p, "kernel", json_type_object);
	char name[32];

	snprintf(name, sizeof(name), "%s", json_string(p, "name"));
	text_tame(name);
	printf("%-8lld %-16s %10lld %10llu %10llu %10lld %10lld\n", (long long)json_number(p, "pid", 0), name,
	       (long long)json_number(p, "container", 0), (unsigned long long)calls_sum(served),
	       (unsigned long long)calls_sum(kernel), (long long)json_number(counts, "requests", 0),
	       (long long)json_number(counts, "direct_reads", 0) + json_number(counts, "direct_writes", 0));
	print_pairs("         without the kernel: ", served, "");
	print_pairs("         the kernel's:       ", kernel, "");
	print_pairs("         materialised for:   ", counts, "real_");
}

static void print_processes(struct json_object *list)
{
	printf("%-8s %-16s %10s %10s %10s %10s %10s\n", "PID", "NAME", "CONTAINER", "SERVED", "KERNEL", "REQUESTS",
	       "DIRECT");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		print_process(json_object_array_get_idx(list, i));
	if (!json_object_array_length(list))
		puts("(no process of the pool has the preload door open)");
}

static void print_slow_one(struct json_object *o)
{
	const char *stage = json_string(o, "lost_in"), *path = json_string(o, "path");
	double lost = json_number(json_child(o, "stages", json_type_object), stage, 0);
	char ago[16], took[16], there[16], file[28];

	snprintf(file, sizeof(file), "%s", path ? path : "");
	text_tame(file);
	printf("%7s %8lld %9lld %-8s %-11s %7s %7s %-8s %-20s", figure_time(now_ms() * 1e6 - json_number(o, "ended_ns", 0), ago),
	       (long long)json_number(o, "pid", 0), (long long)json_number(o, "container", 0), json_string(o, "door"),
	       json_string(o, "op"), figure_time(json_number(o, "ns", 0), took), figure_time(lost, there), stage, file);
	if (json_string(o, "neighbour"))
		printf(" %s, on the same %s", json_string(o, "neighbour"), json_string(o, "shared"));
	putchar('\n');
}

static void print_slow(struct json_object *list)
{
	printf("%7s %8s %9s %-8s %-11s %7s %7s %-8s %-20s %s\n", "AGO", "PID", "CONTAINER", "DOOR", "OPERATION", "TOOK", "LOST", "IN",
	       "PATH", "BESIDE");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		print_slow_one(json_object_array_get_idx(list, i));
	if (!json_object_array_length(list))
		puts("(none of the pool's operations took 10 ms)");
}

/* Members of "io", which a container has beside its figures, as figures: so containers are rows of a table. */
static void limits_flatten(struct json_object *container)
{
	struct json_object *io = json_child(container, "io", json_type_object);
	char name[64];

	if (!io)
		return;
	json_object_object_foreach(io, key, value) {
		snprintf(name, sizeof(name), "io.%s", key);
		json_object_object_add(container, name, json_object_get(value));
	}
	json_object_object_del(container, "io");
}

static void stats_text(struct json_object *stats)
{
	struct json_object *containers = json_child(stats, "containers", json_type_object);

	if (containers) {
		json_object_object_foreach(containers, name, container) {
			(void)name;
			limits_flatten(container);
		}
	}
	stats_print(stats, "");
}

typedef void printer(struct json_object *json);

/* What is wanted, and how it is printed for people. NULL with a sentence. */
static struct json_object *look(const struct wanted *w, const char *pool, printer **ret, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *stats = NULL;

	*ret = w->processes ? print_processes : w->slow ? print_slow : w->container ? containers_print : stats_text;
	if (w->processes)
		return figures_processes(pool, error);
	if (w->slow)
		return figures_slow(pool, error);
	if (!w->container && !w->json)
		return figures_stats(pool, error);
	stats = figures_stats_whole(pool, error);
	if (stats && w->container)
		return figures_containers_called(stats, w->container, error);
	return json_object_get(stats);
}

static int show(const struct wanted *w, const char *pool)
{
	struct error error = {};
	printer *print;
	_cleanup_(json_put_p) struct json_object *json = look(w, pool, &print, &error);

	if (!json)
		return complain("%s", error.text);
	if (w->json)
		print = w->watch ? NULL : json_print;
	if (print)
		print(json);
	else
		puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

int cmd_stats(const struct command *command, char **argv)
{
	struct wanted w = {};
	const char *pool;
	int r = options_take_pool(command, argv, take, &w, &pool);

	if (r == 0 && w.processes + w.slow + (w.container != NULL) > 1)
		r = misuse(command, "--processes, --slow and --container are three reports: ask for one");
	if (r == 0)
		r = command_needs_root(command);
	if (r == 0)
		r = show(&w, pool);
	while (r == 0 && w.watch) {
		if (!w.json)
			putchar('\n');
		if (fflush(stdout) != 0)
			return 0;
		usleep(w.watch / 1000);
		r = show(&w, pool);
	}
	return r;
}
