/* SPDX-License-Identifier: Apache-2.0 */
#include "libservices/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cluster_text(struct json_object *config, const char *key)
{
	struct json_object *v = json_object_object_get(config, key);
	const char *text = v ? json_object_get_string(v) : NULL;

	return text && *text ? text : NULL;
}

int cluster_name(struct json_object *config, char ret[static CLUSTER_NAME_MAX])
{
	const char *given = cluster_text(config, "name");

	if (!given || strlen(given) > CLUSTER_NAME_MAX - 8)
		return -EINVAL;
	snprintf(ret, CLUSTER_NAME_MAX, "%s%s", strncmp(given, "client.", 7) == 0 ? "" : "client.", given);
	return ret[7] ? 0 : -EINVAL;
}

int cluster_file(struct json_object *config, const char *key, const char *fd_key)
{
	struct json_object *given = json_object_object_get(config, fd_key);
	const char *path = cluster_text(config, key);
	int fd;

	if (!given && !path)
		return -ENOENT;
	fd = given ? fcntl(json_object_get_int(given), F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Finds `key = ...` in the section [name] of a keyring. Changes the text. */
static char *key_find(char *text, const char *name)
{
	char section[CLUSTER_NAME_MAX + 2], *line, *state = NULL, *value;
	bool here = false;

	snprintf(section, sizeof(section), "[%s]", name);
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		line += strspn(line, " \t");
		if (*line == '[')
			here = strncmp(line, section, strlen(section)) == 0;
		if (!here || strncmp(line, "key", 3) != 0)
			continue;
		value = line + 3 + strspn(line + 3, " \t");
		if (*value++ != '=')
			continue;
		value += strspn(value, " \t");
		value[strcspn(value, " \t\r")] = 0;
		return value;
	}
	return NULL;
}

int cluster_key(int fd, const char *name, int (*set)(void *client, const char *option, const char *value), void *client)
{
	char *text = malloc(CLUSTER_KEYRING_MAX + 1), *key;
	ssize_t n = text ? pread(fd, text, CLUSTER_KEYRING_MAX, 0) : -1;
	int r = n < 0 ? text ? -errno : -ENOMEM : 0;

	if (r == 0) {
		text[n] = 0;
		key = key_find(text, name);
		r = key ? set(client, "key", key) : -ENOENT;
		explicit_bzero(text, n);
	}
	free(text);
	return r;
}
