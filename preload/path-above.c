/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relative paths that lead out of a mount without FUSE, by "..". The kernel does not know where they start from; so it
 * gets the call with an absolute path, made by text alone.
 */
#include <errno.h>
#include <sys/mman.h>
#include "ipc/sys.h"
#include "preload/calls.h"
#include "preload/path.h"

enum { ABOVE_ROOM = 2 * FS_PATH_MAX };

static uint32_t component_length(const char *p)
{
	uint32_t n = 0;

	while (p[n] && p[n] != '/')
		n++;
	return n;
}

/* Goes on from `text`, which is n bytes long, along p. */
static void above_append(char *text, uint64_t n, const char *p)
{
	uint32_t len;

	for (;; p += len) {
		while (*p == '/')
			p++;
		len = component_length(p);
		if (!len)
			break;
		if (len == 1 && p[0] == '.')
			continue;
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			while (n && text[--n] != '/')
				;
			continue;
		}
		text[n++] = '/';
		mem_copy(text + n, p, len);
		n += len;
	}
	if (!n)
		text[n++] = '/';
	text[n] = 0;
}

/* Which argument is the path. */
static int above_argument(const struct preload_regs *regs, const struct target *t)
{
	int i;

	for (i = 0; i < 6; i++)
		if (regs->a[i] == (uint64_t)t->o.path)
			return i;
	return -1;
}

static int64_t above_call(const struct preload_regs *r, int argument, const char *text)
{
	uint64_t a[6];
	int i;

	for (i = 0; i < 6; i++)
		a[i] = i == argument ? (uint64_t)text : r->a[i];
	return sys6(r->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
}

int64_t path_above(struct preload_regs *regs, const struct target *t)
{
	int argument = above_argument(regs, t);
	int64_t n, r = FS_KERNEL;
	char *text;

	if (argument < 0 || (fs_table()->mount[t->held->mount].flags & WIRE_MOUNT_FUSE))
		return FS_KERNEL;
	text = sys_mmap(NULL, ABOVE_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_failed((long)text))
		return FS_KERNEL;
	n = fs_getpath(t->held, text, FS_PATH_MAX);
	if (n >= 0) {
		above_append(text, (uint64_t)n, t->o.path);
		r = above_call(regs, argument, text);
	}
	sys_munmap(text, ABOVE_ROOM);
	fs_memory_changed((uint64_t)text, ABOVE_ROOM);
	return r;
}
