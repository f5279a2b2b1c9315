/* SPDX-License-Identifier: Apache-2.0 */
/* `stats --container`: the operations of one container, and the stages that these were in, with their latencies. */
#include <stdlib.h>
#include <string.h>

#include "engine/figures.h"

/* "4711 web +" is 4711, web and "4711 web"; the cross says that it has ended. */
static bool is_called(const char *full, const char *word)
{
	size_t length = strlen(full);
	const char *name = strchr(full, ' ');

	if (length > 2 && !strcmp(full + length - 2, " +"))
		length -= 2;
	if (strlen(word) == length && !strncmp(full, word, length))
		return true;
	if (!name)
		return false;
	return (strlen(word) == (size_t)(name - full) && !strncmp(full, word, name - full)) ||
	       (strlen(word) == length - (name + 1 - full) && !strncmp(name + 1, word, strlen(word)));
}

struct json_object *figures_containers_called(struct json_object *stats, const char *word, struct error *error)
{
	struct json_object *found = json_object_new_object();
	struct json_object *containers = json_child(stats, "containers", json_type_object);

	if (containers) {
		json_object_object_foreach(containers, name, c) {
			if (is_called(name, word))
				json_object_object_add(found, name, json_object_get(c));
		}
	}
	if (json_object_object_length(found))
		return found;
	json_object_put(found);
	error_set(error, 0, "pool '%s' has no container '%s'; `polytropon stats %s` shows which it has",
		  json_string(stats, "pool"), word, json_string(stats, "pool"));
	return NULL;
}

static void print_latency(const char *door, const char *what, struct json_object *o)
{
	char mean[16], p50[16], p99[16], p999[16], max[16];

	printf("%-8s %-14s %10lld %7lld %7s %7s %7s %7s %7s\n", door, what, (long long)json_number(o, "count", 0),
	       (long long)json_number(o, "errors", 0), figure_time(json_number(o, "mean_ns", 0), mean),
	       figure_time(json_number(o, "p50_ns", 0), p50), figure_time(json_number(o, "p99_ns", 0), p99),
	       figure_time(json_number(o, "p999_ns", 0), p999), figure_time(json_number(o, "max_ns", 0), max));
}

/* `what`: "ops" or "stages". */
static void print_latencies(struct json_object *doors, const char *what, const char *heading)
{
	bool any = false;

	if (!doors)
		return;
	json_object_object_foreach(doors, door, figures) {
		struct json_object *rows = json_child(figures, what, json_type_object);
		if (!rows)
			continue;
		json_object_object_foreach(rows, name, o) {
			if (!any)
				printf("%-8s %-14s %10s %7s %7s %7s %7s %7s %7s\n", "DOOR", heading, "COUNT", "ERRORS", "MEAN",
				       "P50", "P99", "P99.9", "MAX");
			any = true;
			print_latency(door, name, o);
		}
	}
}

static void print_container(const char *name, struct json_object *container)
{
	_cleanup_(free_p) char *title = strdup(name);
	bool any = false;

	if (title)
		text_tame(title);
	printf("CONTAINER %s\n", title ? title : name);
	json_object_object_foreach(container, key, value) {
		if (json_object_is_type(value, json_type_object))
			continue;
		printf("%s%s %s", any ? ", " : "", key, json_object_get_string(value));
		any = true;
	}
	if (any)
		putchar('\n');
	print_latencies(json_child(container, "doors", json_type_object), "ops", "OPERATION");
	print_latencies(json_child(container, "doors", json_type_object), "stages", "STAGE, SAMPLED");
}

void containers_print(struct json_object *containers)
{
	bool any = false;

	json_object_object_foreach(containers, name, container) {
		if (any)
			putchar('\n');
		any = true;
		print_container(name, container);
	}
}
