/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify and dnotify. The kernel watches, and tells of what it does itself; so the service, told what is watched, leaves changes of
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

/* dnotify: an fcntl of an open directory. */
int call_fcntl_notify(struct preload_regs *r)
{
	struct fs_file *f = fd_adopt(r->a[0]);
	struct fs_object o;
	int64_t result;

	if (!f)
		return 0;
	if (fd_materialise(r->a[0], WHY_DEFAULT) < 0) {
		fs_file_put(f);
		return 0; /* why not is said there */
	}
	result = sys3(__NR_fcntl, (long)r->a[0], (long)r->a[1], (long)r->a[2]);
	if (result >= 0 && (uint32_t)r->a[2]) {
		fs_object_file(f, &o);
		fs_watch(&o);
	}
	return call_done_file(r, f, result);
}
