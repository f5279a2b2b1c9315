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
	{"watch", "TIME", "again and again, each TIME (1s)"},
	{},
};

struct wanted {
	bool json, processes, slow;
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
}

static void print_slow(struct json_object *list)
{
	printf("%8s %8s %-8s %-12s %8s %8s  %s\n", "AGO", "PID", "DOOR", "OPERATION", "TOOK", "LOST IN", "BESIDE");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		char ago[16], took[16];
		printf("%8s %8lld %-8s %-12s %8s %8s  ", 
		       figure_time(now_ms() * 1e6 - json_number(o, "ended_ns", 0), ago),
		       (long long)json_number(o, "pid", 0), json_string(o, "door"), json_string(o, "op"),
		       figure_time(json_number(o, "ns", 0), took), json_string(o, "lost_in"));
		if (json_string(o, "neighbour"))
			printf("%s, on the same %s", json_string(o, "neighbour"), json_string(o, "shared"));
		putchar('\n');
	}
}

static void stats_text(struct json_object *stats)
{
	stats_print(stats, "");
}

static int show(const struct wanted *w, const char *pool)
{
	_cleanup_(json_put_p) struct json_object *json = NULL;
	struct error error = {};
	void (*print)(struct json_object *) = stats_text;

	if (w->processes) {
		json = figures_processes(pool, &error);
		print = print_processes;
	} else if (w->slow) {
		json = figures_slow(pool, &error);
		print = print_slow;
	} else {
		json = figures_stats(pool, &error);
	}
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
	char *pool;
	int r = options_take(command, &argv, take, &w);

	if (r != 0)
		return r;
	pool = argv[0];
	if (!pool)
		return misuse(command, "no pool is given");
	argv++;
	r = options_take(command, &argv, take, &w);
	if (r == 0 && argv[0])
		r = misuse(command, "it takes one pool");
	if (r == 0 && w.processes && w.slow)
		r = misuse(command, "--processes and --slow are two reports: ask for one");
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
