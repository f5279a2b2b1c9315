/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process is to be, by the names of the container's own /etc/passwd and /etc/group. They are a stranger's files, read
 * in the container's root by its first process: what is no file, or longer than a file of that kind can be, is as if it were
 * not there, and what they say is believed of ids inside the container alone.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/oci/inside.h"

enum { FILE_MAX = 1 << 20, FIELDS = 7, GROUPS_MAX = 1024 };

static const char passwd_path[] = "/etc/passwd", group_path[] = "/etc/group";

/* To be freed; NULL: there is nothing to be read. */
static char *file_read(const char *path)
{
	_cleanup_(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n = 0;
	size_t size = 0;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return NULL;
	text = malloc(FILE_MAX + 1);
	while (text && size < FILE_MAX && (n = read(fd, text + size, FILE_MAX - size)) > 0)
		size += n;
	if (text)
		text[size] = '\0';
	return text;
}

/* The next line, cut into fields; those that it lacks are "". False: there is none. */
static bool line_next(char **at, const char *field[static FIELDS])
{
	char *line = strsep(at, "\n");

	if (!line)
		return false;
	for (unsigned i = 0; i < FIELDS; i++) {
		char *word = strsep(&line, ":");
		field[i] = word ? word : "";
	}
	return true;
}

/* An id that a process can have. */
static bool id_parse(const char *text, int64_t *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || n >= UINT32_MAX)
		return false;
	*ret = (int64_t)n;
	return true;
}

struct user {
	char name[64], home[PATH_MAX]; /* "": not known */
	int64_t uid, gid;
};

static bool user_match(const char *const field[static FIELDS], const char *name, int64_t uid, struct user *u)
{
	int64_t id, gid;

	if (!id_parse(field[2], &id) || !id_parse(field[3], &gid) || (name ? strcmp(name, field[0]) != 0 : id != uid))
		return false;
	u->uid = id;
	u->gid = gid;
	snprintf(u->name, sizeof(u->name), "%s", field[0]);
	snprintf(u->home, sizeof(u->home), "%s", field[5]);
	return true;
}

/* By name, or by uid if that is NULL. */
static bool user_find(const char *name, int64_t uid, struct user *u)
{
	_cleanup_(free_p) char *text = file_read(passwd_path);
	const char *field[FIELDS];
	char *at = text;

	while (text && line_next(&at, field))
		if (user_match(field, name, uid, u))
			return true;
	return false;
}

static bool group_find(const char *name, int64_t *ret_gid)
{
	_cleanup_(free_p) char *text = file_read(group_path);
	const char *field[FIELDS];
	char *at = text;

	while (text && line_next(&at, field))
		if (!strcmp(field[0], name) && id_parse(field[2], ret_gid))
			return true;
	return false;
}

static bool is_member(const char *members, const char *name)
{
	size_t n = strlen(name);

	for (const char *m = members; m; m = strchr(m, ',')) {
		m += *m == ',';
		if (!strncmp(m, name, n) && (m[n] == ',' || !m[n]))
			return true;
	}
	return false;
}

/* The groups of which he is a member. */
static struct json_object *groups_of(const char *name)
{
	_cleanup_(free_p) char *text = *name ? file_read(group_path) : NULL;
	struct json_object *list = json_object_new_array();
	const char *field[FIELDS];
	char *at = text;
	int64_t gid;

	while (text && json_object_array_length(list) < GROUPS_MAX && line_next(&at, field))
		if (is_member(field[3], name) && id_parse(field[2], &gid))
			json_object_array_add(list, json_object_new_int64(gid));
	return list;
}

static int resolve(const char *who, const char *group, struct user *u, struct error *error)
{
	if (id_parse(who, &u->uid))
		user_find(NULL, u->uid, u);
	else if (!user_find(who, 0, u) && strcmp(who, "root"))
		return error_set(error, -EINVAL, "user '%.60s' is not in the container's %s", who, passwd_path);
	if (group && !id_parse(group, &u->gid) && !group_find(group, &u->gid))
		return error_set(error, -EINVAL, "group '%.60s' is not in the container's %s", group, group_path);
	return 0;
}

int user_resolve(struct json_object *process, struct error *error)
{
	struct json_object *user = json_child(process, "user", json_type_object), *uid;
	const char *given = user ? json_string(user, "username") : NULL, *colon;
	char who[256];
	struct user u = {};
	int r;

	if (!given || !*given || json_object_object_get_ex(user, "uid", &uid))
		return 0;
	colon = strchr(given, ':');
	if (snprintf(who, sizeof(who), "%.*s", (int)(colon ? colon - given : (long)strlen(given)), given) >= (int)sizeof(who))
		return error_set(error, -EINVAL, "user '%.60s...' is too long", given);
	r = resolve(*who ? who : "0", colon && colon[1] ? colon + 1 : NULL, &u, error);
	if (r < 0)
		return r;
	json_object_object_add(user, "uid", json_object_new_int64(u.uid));
	json_object_object_add(user, "gid", json_object_new_int64(u.gid));
	if (!colon && !json_object_object_get_ex(user, "additionalGids", NULL))
		json_object_object_add(user, "additionalGids", groups_of(u.name));
	return 0;
}

void user_home(int64_t uid, char home[static PATH_MAX])
{
	struct user u = {};

	snprintf(home, PATH_MAX, "%s", user_find(NULL, uid, &u) && *u.home ? u.home : "/");
}
