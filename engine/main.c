/* SPDX-License-Identifier: Apache-2.0 */
/* polytropon: the command. Each subcommand is a row of a table and a function in a cmd-*.c. */
#include <fcntl.h>
#include <string.h>

#include "engine/command.h"
#include "engine/title.h"
#include "libservices/libservice.h"

static int cmd_version(const struct command *command, char **argv)
{
	int r = options_take(command, &argv, NULL, NULL);

	if (r == 0 && argv[0])
		return misuse(command, "it takes no '%s'", argv[0]);
	if (r == 0)
		puts("polytropon " POLYTROPON_VERSION);
	return r;
}

static int cmd_help(const struct command *command, char **argv);

const struct command commands[] = {
	{"up", "FILE", "start the pools of a pool file", cmd_up, NULL,
	 "Starts an engine if none runs. Prints a line for each pool when it is up.\n"
	 "The file is described in polytropon-pools(5)."},
	{"ps", "", "list the pools and what runs in them", cmd_ps, json_options, NULL},
	{"run", "POOL -- CMD...", "run a program in a pool", cmd_run, run_options,
	 "Or without POOL, with --host or --mem and --at, in a throw-away pool that ends with the program:\n"
	 "  polytropon run --host DIR --at /data -- CMD...\n"
	 "  polytropon run --mem --at /data -- CMD...\n"
	 "Or as a container with a root of its own, from the pool's store:\n"
	 "  polytropon run --root IMAGE POOL -- CMD...\n"
	 "The exit status is the program's; 126, 127 if it cannot be run; 125 for a failure of ours."},
	{"exec", "POOL -- CMD...", "the same, without being one of the pool's containers", cmd_exec,
	 exec_options, "Or in one of them:\n  polytropon exec --in NAME POOL -- CMD..."},
	{"kill", "POOL NAME [SIGNAL]", "send a signal to a container", cmd_kill, NULL, NULL},
	{"logs", "POOL NAME", "print what a detached container has written", cmd_logs, logs_options, NULL},
	{"image", "import|ls|rm ...", "bring images into a pool's store", cmd_image, NULL, NULL},
	{"set", "POOL KEY=VALUE...", "change settings of a running pool", cmd_set, set_options,
	 "Keys are flat: memory, cpu_weight, timeout, cache.size, flush.interval, flush.dirty_ratio, io.iops,\n"
	 "mounts./data.delay.read, or delay.read if one mount has such a layer."},
	{"stats", "POOL", "show what the pool's service counted", cmd_stats, stats_options, NULL},
	{"top", "", "watch the pools", cmd_top, top_options,
	 "Keys: s sorts by the next column, q ends. SPARED is what needed no message to the service."},
	{"trace", "POOL", "show a pool's operations as they happen", cmd_trace, trace_options, NULL},
	{"metrics", "", "print all figures as OpenMetrics, or serve them", cmd_metrics, metrics_options, NULL},
	{"doctor", "", "see what this host offers, and what is missing", cmd_doctor, json_options,
	 "The exit status is 1 if something is missing without which nothing works."},
	{"bench", "[NAME...]", "measure our doors against what else there is", cmd_bench, bench_options,
	 "Without a NAME it lists them; `all` is all of them."},
	{"df", "[POOL]", "show how full the pools' mounts are", cmd_df, json_options, NULL},
	{"clone", "POOL SRC DST...", "make containers of an image or of another container", cmd_clone, clone_options,
	 "SRC is an image or a container that does not run, in the store that is `roots` in the pool's file.\n"
	 "What a container has changed stays its own; everything else all clones have in common.\n"
	 "  polytropon clone --rm POOL NAME...\n"
	 "  polytropon clone --list [--json] POOL"},
	{"dump", "[POOL...]", "print the pool file that recreates the running pools", cmd_dump, dump_options,
	 "Or with --image the structures of a volume that no pool uses: super (if none is named), journal, groups;\n"
	 "inode, directory, extents or attributes, and an inode's number or a path:\n"
	 "  polytropon dump --image IMAGE [STRUCTURE [INODE|/PATH]]"},
	{"down", "[POOL...]", "end pools, or all of them", cmd_down, NULL, NULL},
	{"mkfs", "IMAGE", "make a volume", cmd_mkfs, mkfs_options,
	 "IMAGE is a file, a block device, or an area as in a pool file, in JSON:\n"
	 "  polytropon mkfs '{\"mirror\": [{\"image\": \"/dev/sdb\"}, {\"image\": \"/dev/sdc\"}]}'"},
	{"fsck", "IMAGE", "check a volume, and repair it", cmd_fsck, fsck_options,
	 "The exit status is 0 if it is clean, 1 if it was repaired, 4 if errors are left, 8 if it cannot be\n"
	 "checked, 16 for a wrong command line. Without -n or -y it asks, on a terminal."},
	{"oci", "COMMAND ...", "be an OCI runtime", cmd_oci, NULL, NULL},
	{"version", "", "print the version", cmd_version, NULL, NULL},
	{"help", "[COMMAND]", "say more about a command", cmd_help, NULL, NULL},
	{},
};

static void usage(FILE *out)
{
	fputs("Usage: polytropon COMMAND [OPTION...] ...\n\n", out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-8s %-18s %s\n", c->name, c->arguments, c->help);
	fputs("\n`polytropon COMMAND --help` says more. See polytropon(1).\n", out);
}

static const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int unknown(const char *name)
{
	const char *names[32] = {}, *near;

	for (size_t i = 0; commands[i].name; i++)
		names[i] = commands[i].name;
	near = ls_nearest(name, names);
	complain(near ? "unknown command '%s'; did you mean '%s'?" :
			"unknown command '%s'; see polytropon --help",
		 name, near);
	return EXIT_USAGE;
}

static int cmd_help(const struct command *command, char **argv)
{
	const struct command *about;
	char *help[] = {"--help", NULL}, **arg = help;
	int r = options_take(command, &argv, NULL, NULL);

	if (r != 0)
		return r;
	about = argv[0] ? command_find(argv[0]) : NULL;
	if (argv[0] && !about)
		return unknown(argv[0]);
	if (about)
		return options_take(about, &arg, NULL, NULL);
	usage(stdout);
	return 0;
}

/*
 * A sentence for a closed stderr must not go into what got its number. The program gets it closed, as it
 * was given.
 */
static void standard_fds_take(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close_p(&fd);
}

int main(int argc, char **argv)
{
	const struct command *c;
	const char *name;

	standard_fds_take();
	title_init(argv);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version"))
		name = "version";
	c = command_find(name);
	return c ? c->run(c, argv + 2) : unknown(name);
}
