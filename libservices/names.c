/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/libservice.h"

struct names {
	char *text;
	size_t used, room;
};

static int names_take(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct names *n = arg;
	char *text;

	if ((len == 1 && *name == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return 0;
	if (n->used + len + 2 > n->room) {
		text = realloc(n->text, n->room * 2 + len);
		if (!text) {
			free(n->text);
			n->text = NULL;
			return 1;
		}
		n->text = text;
		n->room = n->room * 2 + len;
	}
	memcpy(n->text + n->used, name, len);
	n->text[n->used + len] = 0;
	n->used += len + 1;
	return 0;
}

int ls_names(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, char **ret)
{
	struct names names = {.text = malloc(1024), .room = 1024};
	struct ls_file *f;
	int r = names.text ? ls_open(ls, call, dir, O_RDONLY | O_DIRECTORY, &f) : -ENOMEM;

	if (r == 0) {
		r = ls_readdir(ls, call, f, 0, names_take, &names);
		ls_release(ls, call, f);
	}
	if (r == 0 && !names.text)
		r = -ENOMEM; /* part of a list would be taken for all of it */
	if (r < 0) {
		free(names.text);
		return r;
	}
	names.text[names.used] = 0;
	*ret = names.text;
	return 0;
}
