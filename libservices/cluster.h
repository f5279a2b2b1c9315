/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of a cluster have in common: options, their name, and the key in a keyring. */
#pragma once

#include <stddef.h>

enum { CLUSTER_NAME_MAX = 256, CLUSTER_KEYRING_MAX = 64 * 1024 };

/* The options of whoever is a client: rows of a table of struct ls_option. */
/* clang-format off */
#define CLUSTER_OPTIONS \
	{"monitors", LS_STRING, "", 0, 0, "the addresses of the cluster's monitors, with commas between them", 0}, \
	{"conf", LS_STRING, "", 0, 0, "a ceph.conf, for the monitors and whatever else it says of clients", 0}, \
	{"conf_fd", LS_FD, "", 0, 0, "an open descriptor of it", 0}, \
	{"name", LS_STRING, NULL, 0, 0, "the client's name, such as client.alice", 0}, \
	{"keyring", LS_STRING, "", 0, 0, "the file with its key", 0}, \
	{"fd", LS_FD, "", 0, 0, "an open descriptor of it", 0}
/* clang-format on */

struct json_object;

/* An option that is given and not empty, else NULL. */
const char *cluster_text(struct json_object *config, const char *key);
/* "client.alice" of "alice" or "client.alice". -EINVAL */
int cluster_name(struct json_object *config, char ret[static CLUSTER_NAME_MAX]);
/* A descriptor of the file that the option `key` names, or of the one given as `fd_key`; the caller's. -errno */
int cluster_file(struct json_object *config, const char *key, const char *fd_key);
/* The key of that client in the keyring; `set` gets it. -errno, -ENOENT: there is none. */
int cluster_key(int fd, const char *name, int (*set)(void *client, const char *option, const char *value), void *client);
