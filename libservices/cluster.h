/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of a cluster have in common: their name, and the key in a keyring. */
#pragma once

#include <stddef.h>

enum { CLUSTER_NAME_MAX = 256, CLUSTER_KEYRING_MAX = 64 * 1024 };

struct json_object;

/* An option that is given and not empty, else NULL. */
const char *cluster_text(struct json_object *config, const char *key);
/* "client.alice" of "alice" or "client.alice". -EINVAL */
int cluster_name(struct json_object *config, char ret[static CLUSTER_NAME_MAX]);
/* A descriptor of the file that the option `key` names, or of the one given as `fd_key`; the caller's. -errno */
int cluster_file(struct json_object *config, const char *key, const char *fd_key);
/* The key of that client in the keyring; `set` gets it. -errno, -ENOENT: there is none. */
int cluster_key(int fd, const char *name, int (*set)(void *client, const char *option, const char *value), void *client);
