/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "service/mountinfo.h"

/* Spaces and the like are written as \ooo. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; to++) {
		unsigned byte;
		if (*p == '\\' && sscanf(p + 1, "%3o", &byte) == 1 && strspn(p + 1, "01234567") >= 3) {
			*to = (char)byte;
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = 0;
}

static bool has_option(const char *options, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, n) && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* id parent major:minor root point options ... */
static int line_parse(char *text, struct mount_line *ret)
{
	char *field[6], *rest = text;
	unsigned major_, minor_;
	struct mount_line line;

	for (int i = 0; i < 6; i++)
		if (!(field[i] = strsep(&rest, " ")) || !*field[i])
			return -EPROTO;
	if (sscanf(field[2], "%u:%u", &major_, &minor_) != 2)
		return -EPROTO;
	line = (struct mount_line){.id = atoi(field[0]), .parent = atoi(field[1]), .dev = makedev(major_, minor_),
				   .limited = has_option(field[5], "ro") || has_option(field[5], "nosymfollow")};
	unescape(field[3]);
	unescape(field[4]);
	line.root = strdup(field[3]);
	line.point = strdup(field[4]);
	if (!line.root || !line.point) {
		free(line.root);
		free(line.point);
		return -ENOMEM;
	}
	*ret = line;
	return 0;
}

int mount_list_read(FILE *from, struct mount_list *ret)
{
	struct mount_list list = {};
	size_t size = 0;
	char *text = NULL;
	int r = 0;

	while (r == 0 && getline(&text, &size, from) > 0) {
		struct mount_line *more = reallocarray(list.line, list.count + 1, sizeof(*more));
		if (!more) {
			r = -ENOMEM;
			break;
		}
		list.line = more;
		r = line_parse(text, &list.line[list.count]);
		list.count += r == 0;
	}
	free(text);
	if (r == 0 && ferror(from))
		r = -EIO;
	if (r < 0)
		mount_list_fini(&list);
	else
		*ret = list;
	return r;
}

void mount_list_fini(struct mount_list *list)
{
	while (list->count) {
		struct mount_line *line = &list->line[--list->count];
		free(line->root);
		free(line->point);
	}
	free(list->line);
	list->line = NULL;
}

const struct mount_line *mount_list_find(const struct mount_list *list, int id)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->line[i].id == id)
			return &list->line[i];
	return NULL;
}

int mount_line_under(const struct mount_line *line, const struct mount_line *parent, char *ret, size_t size)
{
	size_t n = strcmp(parent->point, "/") ? strlen(parent->point) : 0;
	const char *root = strcmp(parent->root, "/") ? parent->root : "", *rest = line->point + n;

	if (strncmp(line->point, parent->point, n) || (*rest && *rest != '/'))
		return -EPROTO;
	return (size_t)snprintf(ret, size, "%s%s", root, rest) < size ? 0 : -ENAMETOOLONG;
}
