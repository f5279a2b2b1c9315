/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens inside of a container before its program: each step is a file. They run in the container's first
 * process, in its namespaces, in the order of this header. The root's content is a stranger's: names in it are
 * resolved with the root as the end of all ways (openat2, RESOLVE_IN_ROOT), and mounts are made by descriptors.
 */
#pragma once

#include <sys/types.h>

#include "engine/oci/bundle.h"
#include "engine/oci/limits.h"

/* ---- root.c: a mount that is to be the root; its descriptor ---------------------------------------- */

/* tree: a mount without a place; -1: what is at the path. */
int root_prepare(const struct bundle *bundle, const char *path, int tree, struct error *error);
int root_enter(int root, struct error *error); /* pivot_root */

/* Opens (O_PATH) a name below the root; makes it, a directory or else a file, if `make`. -errno. */
int root_open(int root, const char *path, bool make, bool directory);

/* ---- mounts.c, devices.c, hide.c -------------------------------------------------------------------- */

int mounts_make(const struct bundle *bundle, int root, const struct limits *limits, struct error *error);
/* One of them, as config.json has it. */
int mount_make(struct json_object *mount, int root, const struct limits *limits, struct error *error);
int devices_make(const struct bundle *bundle, int root, struct error *error);
/* A path of the caller's view, bound over what is at target. */
int mount_bind(const char *source, int target, unsigned long long set, bool recursive, struct error *error);
/* copy-up.c: what is in the directory, into the root of the mount that will cover it. */
int mount_copy_up(int target, int mount);
int paths_hide(const struct bundle *bundle, int root, struct error *error);

/* ---- process.c, filter.c: the process becomes what config.json's `process` says ---------------------- */

struct become {
	struct json_object *process;
	struct json_object *seccomp; /* linux.seccomp; NULL: none */
	char **extra_env;            /* set where `process` does not; NULL: none */
	int preserve_fds;
};

/*
 * user.c: user.username, NAME[:GROUP] or numbers, becomes uid, gid and additionalGids, if there is no uid; -EINVAL with a
 * sentence. And the home of a uid, or /.
 */
int user_resolve(struct json_object *process, struct error *error);
void user_home(int64_t uid, char home[static PATH_MAX]);

/* Where the program is, by the container's PATH, before the caller gives up its rights. */
int process_find(const struct become *b, char program[static PATH_MAX], struct error *error);
/* Returns only on failure. ready is called last before execve, when nothing but that can fail. */
int process_become(const struct become *b, const char *program, void (*ready)(void *), void *arg,
		   struct error *error);
/* Loads the filter. Without no_new_privs the caller still has CAP_SYS_ADMIN. */
int filter_load(struct json_object *seccomp, struct error *error);
