/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of ours that enters a container shows its program's file there, as /proc/self/exe, to programs that may have
 * the same user as the file: they could have it executed, and write to it afterwards. So before such a command does
 * anything it executes itself once more, from a read-only mount of its file that has no place anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

#include "engine/oci/bundle.h"
#include "engine/oci/self.h"

enum { WORDS_MAX = 1 << 21 };

/* Of the whole command line: the words at argv are only what this command has not taken yet. */
static char **own_words(void)
{
	_cleanup_(fclose_p) FILE *f = fopen("/proc/self/cmdline", "re");
	char *text = malloc(WORDS_MAX), **words;
	size_t n = f && text ? fread(text, 1, WORDS_MAX - 1, f) : 0, count = 0;

	words = n ? calloc(n + 1, sizeof(*words)) : NULL;
	if (!words) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	for (char *p = text; p < text + n; p += strlen(p) + 1)
		words[count++] = p;
	return words;
}

int self_protect(struct error *error)
{
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};
	_cleanup_(close_p) int exe = -1;
	struct statvfs where;
	char **words;

	/* Nor does it let itself be looked into. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || statvfs("/proc/self/exe", &where) < 0)
		return error_errno(error, errno, "look at '/proc/self/exe'");
	if (where.f_flag & ST_RDONLY)
		return 0;
	exe = open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (exe < 0 || mount_setattr(exe, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0)
		return error_errno(error, errno, "mount '/proc/self/exe' read-only");
	words = own_words();
	if (!words)
		return error_errno(error, ENOMEM, "read '/proc/self/cmdline'");
	execveat(exe, "", words, environ, AT_EMPTY_PATH);
	return error_errno(error, errno, "execute '/proc/self/exe' again");
}
