/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/<pid>/mountinfo, parsed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mount_line {
	int id, parent;
	uint64_t dev;
	char *root, *point; /* which directory of its filesystem is mounted; where */
	bool limited;       /* the mount refuses what its filesystem would do: ro, nosymfollow */
};

struct mount_list {
	struct mount_line *line;
	unsigned count;
};

/* 0 or -errno. */
int mount_list_read(FILE *from, struct mount_list *ret);
void mount_list_fini(struct mount_list *list);
const struct mount_line *mount_list_find(const struct mount_list *list, int id);
/* Where `line` is in the filesystem of the mount that it lies on: a path from that filesystem's root. 0 or -errno. */
int mount_line_under(const struct mount_line *line, const struct mount_line *parent, char *ret, size_t size);
