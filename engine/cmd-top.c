/* SPDX-License-Identifier: Apache-2.0 */
/* `top`: pools, their containers and their operations, again and again. */
#include <string.h>

#include "engine/command.h"
#include "engine/top.h"
#include "libservices/libservice.h"

const struct option_row top_options[] = {
	{"once", NULL, "print one screen, of everything since the start, and end"},
	{"sort", "COLUMN", "cpu, ops, spared, hit, dirty, cache, throttled, p50, p99 or pool"},
	{"containers", NULL, "operations of containers, not of pools"},
	{"interval", "TIME", "between two screens (1s)"},
	{},
};

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	struct top *t = arg;
	const char *near;

	if (!strcmp(option->name, "once") || !strcmp(option->name, "containers")) {
		*(option->name[0] == 'o' ? &t->once : &t->containers) = true;
		return 0;
	}
	if (!strcmp(option->name, "interval"))
		return ls_parse_time(value, &t->interval) == 0 && t->interval >= 100000000 ?
			       0 :
			       misuse(command, "--interval takes a time of 100ms or more, not '%s'", value);
	for (t->sort = 0; top_column_names[t->sort]; t->sort++)
		if (!strcmp(top_column_names[t->sort], value))
			return 0;
	near = ls_nearest(value, top_column_names);
	return near ? misuse(command, "there is no column '%s'; did you mean '%s'?", value, near) :
		      misuse(command, "there is no column '%s'", value);
}

int cmd_top(const struct command *command, char **argv)
{
	struct top *t = calloc(1, sizeof(*t));
	int r = t ? 0 : complain("no memory");

	if (r == 0) {
		t->interval = 1000000000;
		t->sort = OPS;
		r = options_take(command, &argv, take, t);
	}
	if (r == 0 && argv[0])
		r = misuse(command, "it takes no '%s'", argv[0]);
	if (r == 0)
		r = command_needs_root(command);
	if (r == 0 && !t->once && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		r = misuse(command, "it needs a terminal; --once does not");
	if (r == 0 && t->once) {
		r = top_look(t);
		if (r == 0)
			top_print(t, UINT16_MAX);
	} else if (r == 0) {
		r = top_watch(t);
	}
	if (t)
		top_ops_forget(t);
	free(t);
	return r;
}
