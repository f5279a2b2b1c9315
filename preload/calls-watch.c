/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify. The kernel watches, and tells of what it does itself; so the service, told what is watched, leaves changes of
 * it to the kernel, whoever makes them. The service is told after the kernel, for the kernel then holds the inode, and
 * before the program, which may count on what happens from then on.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include "ipc/sys.h"
#include "preload/calls.h"

int call_inotify_add_watch(struct preload_regs *r)
{
	struct target t;
	int64_t watch;

	if (!path_resolve((uint64_t)AT_FDCWD, r->a[1], &t))
		return 0;
	watch = sys3(__NR_inotify_add_watch, (long)r->a[0], (long)r->a[1], (long)r->a[2]);
	if (r->a[2] & IN_DONT_FOLLOW)
		t.o.flags |= WIRE_NOFOLLOW;
	if (watch >= 0)
		fs_watch(&t.o); /* what it does not find, the kernel alone has */
	return path_done(r, &t, watch);
}
