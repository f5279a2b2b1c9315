/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the command line share. */
#pragma once

#include "engine/util.h"

enum {
	EXIT_USAGE = 2, /* a wrong command line or pool file */
	EXIT_OURS = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

struct option_row {
	const char *name;
	const char *value; /* what it takes, for the help; NULL: nothing */
	const char *help;
};

struct command {
	const char *name;
	const char *arguments;                                  /* for the help */
	const char *help;                                       /* one line */
	int (*run)(const struct command *command, char **argv); /* argv without the command's name */
	const struct option_row *options;                       /* ends with an empty row; NULL: none */
	const char *more;                                       /* further lines of its help */
};

extern const struct command commands[];

/* Says a sentence to stderr; returns EXIT_OURS, EXIT_USAGE. */
int complain(const char *format, ...) _printf_(1, 2);
int misuse(const struct command *command, const char *format, ...) _printf_(2, 3);

/* Takes the value of an option, "" if it has none. 0 or an exit status. */
typedef int option_fn(const struct command *command, const struct option_row *option, const char *value,
		      void *arg);
/*
 * Takes options off the front of *argv up to "--", which it takes too, or the first other word. 0, or an
 * exit status after a sentence. `--help` prints the help and exits.
 */
int options_take(const struct command *command, char ***argv, option_fn *fn, void *arg);
/* The same of options on both sides of one word; *ret_word is NULL if there is none. */
int options_take_word(const struct command *command, char ***argv, option_fn *fn, void *arg, const char **ret_word);
/* The same of a command of one pool and nothing else. */
int options_take_pool(const struct command *command, char **argv, option_fn *fn, void *arg, const char **ret_pool);

/* A connection to the running engine: -ENOENT if none runs (nothing said), or -errno after a sentence. */
int command_connect(void);
/* Root is needed for nearly everything. 0, or EXIT_OURS after a sentence. */
int command_needs_root(const struct command *command);

int cmd_up(const struct command *command, char **argv);
int cmd_run(const struct command *command, char **argv);
int cmd_exec(const struct command *command, char **argv);
int cmd_ps(const struct command *command, char **argv);
int cmd_stats(const struct command *command, char **argv);
int cmd_top(const struct command *command, char **argv);
int cmd_trace(const struct command *command, char **argv);
int cmd_metrics(const struct command *command, char **argv);
int cmd_doctor(const struct command *command, char **argv);
int cmd_bench(const struct command *command, char **argv);
int cmd_set(const struct command *command, char **argv);
int cmd_dump(const struct command *command, char **argv);
int cmd_down(const struct command *command, char **argv);
int cmd_mkfs(const struct command *command, char **argv);
int cmd_fsck(const struct command *command, char **argv);
int cmd_clone(const struct command *command, char **argv);
int cmd_df(const struct command *command, char **argv);
int cmd_oci(const struct command *command, char **argv);
int cmd_image(const struct command *command, char **argv);
int cmd_kill(const struct command *command, char **argv);
int cmd_logs(const struct command *command, char **argv);
/* `dump --image`: argv are the words after it. */
int dump_image(const struct command *command, char *image, char **argv, bool as_json);

extern const struct option_row set_options[], exec_options[], logs_options[];
extern const struct option_row stats_options[], top_options[], trace_options[], metrics_options[], bench_options[];
extern const struct option_row run_options[], json_options[], dump_options[], mkfs_options[], fsck_options[], clone_options[];

/* Makes the caller, a fresh child, an engine; never returns. Descriptors as engine_run's. */
void engine_become(int listen_fd, int client_fd, int lock) __attribute__((noreturn));
