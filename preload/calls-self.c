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

	if (result == 0) {
		process_kept.cwd[0] = 0;
		fd_cwd_changed();
	}
	return self_done(r, result);
}

static int chdir_is_virtual(const struct target *t)
{
	return !(fs_table()->mount[t->o.mount].flags & WIRE_MOUNT_FUSE);
}

/* A directory that only the service has. */
static int64_t chdir_virtual(const struct target *t)
{
	struct fs_opened opened;
	struct fs_file *dir;
	int64_t r = fs_access(&t->o, 1);

	if (r >= 0)
		r = fs_open(&t->o, O_RDONLY | O_DIRECTORY, 0, &opened);
	if (r < 0)
		return r;
	dir = fs_file_new(t->o.mount, opened.handle, O_RDONLY | O_DIRECTORY, &opened.attr);
	if (!dir)
		return -ENFILE;
	r = fd_cwd_set(dir);
	fs_file_put(dir);
	return r;
}

int call_chdir(struct preload_regs *r)
{
	struct target t;

	if (!path_resolve((uint64_t)AT_FDCWD, r->a[0], &t))
		return chdir_done(r);
	if (chdir_is_virtual(&t))
		return path_done(r, &t, chdir_virtual(&t)) || chdir_done(r);
	path_end(&t);
	return chdir_done(r);
}

int call_fchdir(struct preload_regs *r)
{
	struct target t;

	if (path_descriptor(r->a[0], &t)) {
		if (chdir_is_virtual(&t))
			return path_done(r, &t, t.held->type == S_IFDIR ? fd_cwd_set(t.held) : -ENOTDIR);
		path_end(&t);
	}
	r->ret = fd_materialise(r->a[0], WHY_DEFAULT);
	return r->ret < 0 ? 1 : chdir_done(r);
}

int call_getcwd(struct preload_regs *r)
{
	uint64_t n = str_length(process_kept.cwd) + 1;

	if (n == 1)
		return 0;
	if (r->a[1] < n)
		return call_done(r, -ERANGE);
	if (!address_good(r->a[0], n))
		return call_done(r, -EFAULT);
	mem_copy((void *)r->a[0], process_kept.cwd, n);
	return call_done(r, (int64_t)n);
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
