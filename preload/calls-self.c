/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who and where the process is. The kernel's working directory, umask and credentials stay the true ones; we make
 * the call here, so as to know that it succeeded, and remember what it changed.
 */
#include <fcntl.h>
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

int call_chdir(struct preload_regs *r)
{
	int64_t result = self_call(r);

	if (result == 0)
		fd_cwd_changed();
	return self_done(r, result);
}

int call_fchdir(struct preload_regs *r)
{
	int64_t result = fd_materialise(r->a[0], WHY_DEFAULT);

	if (result == 0)
		result = self_call(r);
	if (result == 0)
		fd_cwd_changed();
	return self_done(r, result);
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
