/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who and where the process is. The kernel's working directory, umask and credentials stay the true ones; we make
 * the call here, so as to know that it succeeded, and remember what it changed.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "preload/calls.h"

static int64_t self_call(const struct preload_regs *r)
{
	return sys6((long)r->nr, (long)r->a[0], (long)r->a[1], (long)r->a[2], (long)r->a[3], (long)r->a[4],
		    (long)r->a[5]);
}

static int self_done(struct preload_regs *r, int64_t result)
{
	r->ret = result;
	return 1;
}

/* The kernel went there. */
static int chdir_done(struct preload_regs *r)
{
	int64_t result = self_call(r);

	if (result == 0)
		fd_cwd_left();
	return self_done(r, result);
}

static int chdir_is_virtual(const struct target *t)
{
	return !(fs_table()->mount[t->o.mount].flags & WIRE_MOUNT_FUSE);
}

static int64_t chdir_enter(struct fs_file *dir)
{
	struct fs_object o;
	int64_t r;

	fs_object_file(dir, &o);
	r = dir->type == S_IFDIR ? fs_access(&o, 1) : -ENOTDIR;
	if (r >= 0)
		fd_cwd_set(dir);
	return r;
}

/* A directory that only the service has. */
static int64_t chdir_virtual(const struct target *t)
{
	struct fs_opened opened;
	struct fs_file *dir;
	int64_t r = fs_open(&t->o, O_PATH | O_DIRECTORY, 0, NULL, &opened);

	if (r < 0)
		return r;
	dir = fs_file_new(t->o.mount, opened.handle, O_PATH | O_DIRECTORY, &opened.attr);
	if (!dir)
		return -ENFILE;
	r = chdir_enter(dir);
	fs_file_put(dir);
	return r;
}

int call_chdir(struct preload_regs *r)
{
	struct target t;
	int64_t result;

	if (!path_resolve((uint64_t)AT_FDCWD, r->a[0], &t))
		return chdir_done(r);
	if (!chdir_is_virtual(&t)) {
		path_end(&t);
		return chdir_done(r);
	}
	result = chdir_virtual(&t);
	if (!path_done(r, &t, result))
		return chdir_done(r);
	if (result == FS_KERNEL && r->ret == 0)
		fd_cwd_left();
	return 1;
}

int call_fchdir(struct preload_regs *r)
{
	struct target t;

	if (path_descriptor(r->a[0], &t)) {
		if (chdir_is_virtual(&t))
			return path_done(r, &t, chdir_enter(t.held));
		path_end(&t);
	}
	r->ret = fd_materialise(r->a[0], WHY_DEFAULT);
	return r->ret < 0 ? 1 : chdir_done(r);
}

/*
 * The kernel takes the name from a directory of a FUSE mount whenever it is to ask for it again, until it has asked,
 * and says meanwhile that it is gone. The service knows better.
 */
int call_getcwd(struct preload_regs *r)
{
	struct fs_file *dir = fd_cwd_virtual();
	int64_t n;

	if (!dir) {
		n = self_call(r);
		dir = n == -ENOENT && !process_limited(NO_PATHS) ? fd_cwd() : NULL;
		if (!dir)
			return self_done(r, n);
	}
	n = fs_getpath(dir, (char *)r->a[0], r->a[1]);
	return call_done_file(r, dir, n < 0 ? n : n + 1);
}

int call_umask(struct preload_regs *r)
{
	int64_t result = self_call(r);

	fs_umask_set((uint32_t)r->a[0]);
	return self_done(r, result);
}

/* setuid and its like, setgroups, capset */
int call_setid(struct preload_regs *r)
{
	int64_t result = self_call(r);

	if (result == 0)
		fs_credentials_changed();
	return self_done(r, result);
}

/* Identities that hold for file systems alone are not seen by the service's socket. */
int call_setfsid(struct preload_regs *r)
{
	int64_t old = self_call(r);

	if (old != (int64_t)(uint32_t)r->a[0] && self_call(r) != old)
		process_limit(NO_PLACEHOLDERS | NO_PATHS);
	return self_done(r, old);
}
