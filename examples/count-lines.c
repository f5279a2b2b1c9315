/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the lines of every regular file in a directory of a pool, through polytropon.h alone: not one system call
 * on a file. Build and run it:
 *
 *	cc count-lines.c $(pkg-config --cflags --libs polytropon) -o count-lines
 *	polytropon run --host /usr/include --at /data -- $PWD/count-lines /data
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#ifdef POLYTROPON_IN_TREE
#include "libfs/polytropon.h"
#else
#include <polytropon.h>
#endif

static char block[1 << 20];

/* Lines, or -errno. */
static long long lines_of(const char *path)
{
	int file = polytropon_open(path, O_RDONLY, 0);
	long long lines = 0;
	ssize_t n;

	if (file < 0)
		return file;
	while ((n = polytropon_read(file, block, sizeof(block))) > 0)
		for (const char *p = block; (p = memchr(p, '\n', block + n - p)); p++)
			lines++;
	polytropon_close(file);
	return n < 0 ? n : lines;
}

static int complain(const char *path, long long error)
{
	fprintf(stderr, "%s: %s\n", path, strerror((int)-error));
	return 1;
}

int main(int argc, char **argv)
{
	const char *dir = argc == 2 ? argv[1] : "/data";
	struct polytropon_dirent entry;
	char path[4096];
	int r, list = polytropon_open(dir, O_RDONLY | O_DIRECTORY, 0);

	if (list < 0)
		return complain(dir, list);
	while ((r = polytropon_readdir(list, &entry)) > 0) {
		long long lines;

		if (entry.type != DT_REG)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry.name);
		lines = lines_of(path);
		if (lines < 0)
			complain(path, lines);
		else
			printf("%9lld %s\n", lines, entry.name);
	}
	polytropon_close(list);
	return r < 0 ? complain(dir, r) : 0;
}
