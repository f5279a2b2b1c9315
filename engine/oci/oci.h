/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `polytropon oci`, in one table; and what they share. */
#pragma once

#include "engine/command.h"
#include "engine/oci/state.h"

#define OCI_ROOT "/run/polytropon-oci"

struct oci {
	const char *root, *log;
	bool log_json, systemd;
};

/* Says the sentence, on stderr and in the log. EXIT status 1, as callers of runtimes expect. */
int oci_fail(const struct oci *oci, const struct error *error);

/* Options on both sides of a container's name, which must be there. 0, or an exit status after a sentence. */
int oci_take_id(const struct command *command, char ***argv, option_fn *fn, void *arg, const char **ret_id);

struct oci_create {
	const char *bundle, *config, *console_socket, *pid_file;
	int preserve_fds;
	bool detach, keep;
};

/* Makes it, up to its program. With a state that is to be finished by the caller. */
int oci_make(const struct oci *oci, const char *id, const struct oci_create *c, struct state *ret, struct error *error);
struct place;
/*
 * The same of a bundle that is there (and stays the caller's), remembered below `root`; the place, which keeps what the
 * engine gave, and the terminal's master are the caller's then.
 */
int oci_make_of(const char *root, const char *id, const struct bundle *bundle, const struct oci_create *c,
		struct state *ret, struct place *ret_place, int *ret_master, struct error *error);
int oci_start(struct state *state, struct error *error);
int oci_delete(struct state *state, bool force, struct error *error);
int oci_signal_of(const char *word);
int oci_pid_file(const char *path, pid_t pid, struct error *error);

enum { CAPABILITY_MAX = 40 };
/* CAP_SYS_ADMIN of SYS_ADMIN, cap_sys_admin and so on; -EINVAL with a sentence that names the nearest. */
int capability_word(const char *word, char ret[static CAPABILITY_MAX], struct error *error);

/* `oci exec` with these words, for others. */
int oci_exec(const struct oci *oci, char **argv);

/* Each is given the words after its name and returns an exit status. */
int oci_cmd_create(const struct oci *oci, const struct command *command, char **argv);
int oci_cmd_run(const struct oci *oci, const struct command *command, char **argv);
int oci_cmd_exec(const struct oci *oci, const struct command *command, char **argv);
int oci_cmd_life(const struct oci *oci, const struct command *command, char **argv);
int oci_cmd_list(const struct oci *oci, const struct command *command, char **argv);
int oci_cmd_features(const struct oci *oci, const struct command *command, char **argv);
int oci_cmd_update(const struct oci *oci, const struct command *command, char **argv);
