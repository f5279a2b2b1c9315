/* SPDX-License-Identifier: Apache-2.0 */
/* `polytropon oci`: the options that stand before the command, and the table of commands. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "engine/oci/oci.h"
#include "engine/oci/self.h"
#include "libservices/libservice.h"

static const struct option_row oci_options[] = {
	{"root", "DIR", "where it remembers containers; " OCI_ROOT},
	{"log", "FILE", "where errors are written, too"},
	{"log-format", "FORMAT", "text or json"},
	{"log-level", "LEVEL", "taken, and of no consequence: there are errors only"},
	{"debug", NULL, "likewise"},
	{"cgroup-manager", "NAME", "cgroupfs; systemd's names are understood as paths"},
	{"systemd-cgroup", NULL, "likewise"},
	{"version", NULL, "print the version"},
	{},
};

static const struct option_row create_options[] = {
	{"bundle", "DIR", "the bundle; the working directory otherwise"},
	{"b", "DIR", "the same"},
	{"config", "FILE", "in the place of the bundle's config.json"},
	{"console-socket", "PATH", "a socket that gets the terminal"},
	{"pid-file", "FILE", "gets the pid of the container's first process"},
	{"preserve-fds", "N", "so many descriptors beyond the first three are the program's"},
	{"no-pivot", NULL, "taken, and refused by nobody: the root is always entered by pivot_root"},
	{"no-new-keyring", NULL, "likewise: no keyring is made"},
	{"no-subreaper", NULL, "likewise"},
	{"detach", NULL, "of run: return when the program runs"},
	{"d", NULL, "the same"},
	{"keep", NULL, "of run: do not delete it at its end"},
	{},
};

static const struct option_row beside_options[] = {
	{"process", "FILE", "a process of the OCI specification, in JSON"},
	{"p", "FILE", "the same"},
	{"cwd", "DIR", "its working directory"},
	{"env", "NAME=VALUE", "a variable of its environment"},
	{"e", "NAME=VALUE", "the same"},
	{"user", "USER[:GROUP]", "whose it is, in numbers or by the container's /etc/passwd and /etc/group"},
	{"u", "USER[:GROUP]", "the same"},
	{"tty", NULL, "with a terminal"},
	{"t", NULL, "the same"},
	{"console-socket", "PATH", "a socket that gets the terminal"},
	{"pid-file", "FILE", "gets its pid"},
	{"preserve-fds", "N", "so many descriptors beyond the first three are its own"},
	{"cap", "NAME", "a capability more"},
	{"no-new-privs", NULL, "it gains no privileges by execve"},
	{"detach", NULL, "return when it runs"},
	{"d", NULL, "the same"},
	{},
};

static const struct option_row life_options[] = {
	{"all", NULL, "of kill: to all of its processes"},
	{"a", NULL, "the same"},
	{"force", NULL, "of delete: end it first"},
	{"f", NULL, "the same"},
	{"format", "FORMAT", "of ps: table or json"},
	{},
};

static const struct option_row list_options[] = {
	{"format", "FORMAT", "table or json"},
	{"f", "FORMAT", "the same"},
	{"quiet", NULL, "names only"},
	{"q", NULL, "the same"},
	{},
};

static const struct option_row update_options[] = {
	{"resources", "FILE", "linux.resources of the OCI specification, in JSON; - is stdin"},
	{"r", "FILE", "the same"},
	{"memory", "SIZE", "the most memory"},
	{"memory-swap", "SIZE", "with swap"},
	{"memory-reservation", "SIZE", "what it is left with when there is little"},
	{"cpu-share", "N", "its share of busy cores"},
	{"cpu-shares", "N", "the same"},
	{"cpu-quota", "US", "time of cores in a period"},
	{"cpu-period", "US", "the period"},
	{"cpuset-cpus", "LIST", "its cores"},
	{"cpuset-mems", "LIST", "its memory nodes"},
	{"pids-limit", "N", "how many processes"},
	{"blkio-weight", "N", "its share of busy devices"},
	{},
};

static const struct oci_command {
	struct command command;
	int (*run)(const struct oci *oci, const struct command *command, char **argv);
	bool enters; /* a process of it will be inside a container */
} oci_commands[] = {
	{{"oci create", "ID", "make a container of a bundle, up to its program", NULL, create_options, NULL},
	 oci_cmd_create, true},
	{{"oci start", "ID", "let its program begin", NULL, NULL, NULL}, oci_cmd_life},
	{{"oci run", "ID", "make and start one, and wait for its end", NULL, create_options, NULL}, oci_cmd_run, true},
	{{"oci state", "ID", "print its state", NULL, NULL, NULL}, oci_cmd_life},
	{{"oci kill", "ID [SIGNAL]", "send a signal to it", NULL, life_options, NULL}, oci_cmd_life},
	{{"oci delete", "ID", "remove what is left of it", NULL, life_options, NULL}, oci_cmd_life},
	{{"oci pause", "ID", "hold all of its processes", NULL, NULL, NULL}, oci_cmd_life},
	{{"oci resume", "ID", "let them go on", NULL, NULL, NULL}, oci_cmd_life},
	{{"oci ps", "ID", "list its processes", NULL, life_options, NULL}, oci_cmd_life},
	{{"oci exec", "ID [CMD...]", "run a further program in it", NULL, beside_options, NULL}, oci_cmd_exec, true},
	{{"oci update", "ID", "change its limits", NULL, update_options, NULL}, oci_cmd_update},
	{{"oci list", "", "list the containers", NULL, list_options, NULL}, oci_cmd_list},
	{{"oci features", "", "print what is supported, as the specification has it", NULL, NULL, NULL},
	 oci_cmd_features},
	{},
};

int oci_exec(const struct oci *oci, char **argv)
{
	static const struct command exec = {"exec", "", "", NULL, beside_options, NULL};

	return oci_cmd_exec(oci, &exec, argv);
}

static void log_json(FILE *f, const char *text)
{
	_cleanup_(json_put_p) struct json_object *line = json_object_new_object();
	char when[40];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	json_set(line, "level", "error");
	json_set(line, "msg", "%s", text);
	json_set(line, "time", "%s", when);
	fprintf(f, "%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
}

int oci_take_id(const struct command *command, char ***argv, option_fn *fn, void *arg, const char **ret_id)
{
	int r = options_take_word(command, argv, fn, arg, ret_id);

	return r == 0 && !*ret_id ? misuse(command, "no container is named") : r;
}

int oci_fail(const struct oci *oci, const struct error *error)
{
	_cleanup_(fclose_p) FILE *f = oci->log ? fopen(oci->log, "ae") : NULL;

	if (f && oci->log_json)
		log_json(f, error->text);
	else if (f)
		fprintf(f, "%s\n", error->text);
	complain("%s", error->text);
	return 1;
}

static int take_option(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct oci *oci = arg;

	if (!strcmp(o->name, "root"))
		oci->root = value;
	else if (!strcmp(o->name, "log"))
		oci->log = value;
	else if (!strcmp(o->name, "log-format"))
		oci->log_json = !strcmp(value, "json");
	else if (!strcmp(o->name, "version")) {
		printf("polytropon oci version %s\nspec: 1.0.2\n", POLYTROPON_VERSION);
		exit(0);
	}
	return 0;
}

static void usage(FILE *out)
{
	fputs("Usage: polytropon oci [OPTION...] COMMAND ...\n\n", out);
	for (const struct oci_command *c = oci_commands; c->command.name; c++)
		fprintf(out, "  %-9s %-16s %s\n", c->command.name + strlen("oci "), c->command.arguments, c->command.help);
	fputs("\n", out);
	for (const struct option_row *o = oci_options; o->name; o++)
		fprintf(out, "  --%s%s%s\n      %s\n", o->name, o->value ? " " : "", o->value ? o->value : "", o->help);
	fputs("\nSee polytropon-oci(1).\n", out);
}

static int unknown(const char *name)
{
	const char *names[ARRAY_LEN(oci_commands)] = {}, *near;

	for (size_t i = 0; oci_commands[i].command.name; i++)
		names[i] = oci_commands[i].command.name + strlen("oci ");
	near = ls_nearest(name, names);
	complain(near ? "unknown command 'oci %s'; did you mean '%s'?" :
			"unknown command 'oci %s'; see polytropon oci --help",
		 name, near);
	return EXIT_USAGE;
}

int cmd_oci(const struct command *command, char **argv)
{
	struct command self = *command;
	struct oci oci = {.root = OCI_ROOT};
	struct error error;
	int r;

	if (!argv[0] || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		usage(argv[0] ? stdout : stderr);
		return argv[0] ? 0 : EXIT_USAGE;
	}
	self.options = oci_options;
	r = options_take(&self, &argv, take_option, &oci);
	if (r != 0)
		return r;
	for (const struct oci_command *c = oci_commands; argv[0] && c->command.name; c++)
		if (!strcmp(argv[0], c->command.name + strlen("oci "))) {
			signal(SIGPIPE, SIG_IGN);
			if (c->enters && self_protect(&error) < 0)
				return oci_fail(&oci, &error);
			return c->run(&oci, &c->command, argv + 1);
		}
	return unknown(argv[0] ? argv[0] : "");
}
