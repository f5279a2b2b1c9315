/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working directory.
 *
 * On a FUSE mount it is the kernel's, and the service gives a handle for it. Without FUSE the kernel cannot go there:
 * then it is ours alone, until there is a fork or an exec. Before that the kernel is sent to the directory's token,
 * which is an empty directory without a name; who inherits it as a working directory recognises it (cwd_adopt).
 *
 * process.cwd is an entry word like a descriptor's: UNKNOWN, FOREIGN or REAL.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "preload/fd.h"
#include "preload/path.h"

static int cwd_is_virtual(const struct fs_file *dir)
{
	return !(fs_table()->mount[dir->mount].flags & WIRE_MOUNT_FUSE);
}

static int cwd_learn_word(uint32_t to)
{
	uint32_t unknown = FD_UNKNOWN;

	return __atomic_compare_exchange_n(&process.cwd, &unknown, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* What the kernel has. */
static struct fs_file *cwd_adopt(void)
{
	struct fs_file *f;
	uint32_t mount;
	int64_t handle;
	uint64_t ino;

	if (fd_cwd_identify(&mount, &ino) < 0)
		return NULL;
	handle = fs_adopt_cwd(mount, ino);
	if (handle < 0)
		return NULL;
	f = fd_adopt_file(mount, handle, O_RDONLY | O_DIRECTORY | O_PATH, ino, S_IFDIR);
	if (f && cwd_is_virtual(f))
		process.cwd_told = 1;
	return f;
}

/* What we had before the service was another one, or in the process that we were forked from. */
static struct fs_file *cwd_reopen(void)
{
	struct fs_opened opened;
	struct fs_object o;

	if (!process_kept.cwd[0] || !path_route(process_kept.cwd, &o) ||
	    fs_open(&o, O_PATH | O_DIRECTORY, 0, NULL, &opened) < 0)
		return NULL;
	return fs_file_new(o.mount, opened.handle, O_PATH | O_DIRECTORY, &opened.attr);
}

static void cwd_learn(void)
{
	struct fs_file *f = cwd_adopt();
	uint32_t entry;

	if (!f)
		f = cwd_reopen();
	entry = f ? FD_ENTRY(FD_REAL, fs_file_index(f)) : fd_foreign(AT_FDCWD, S_IFDIR);
	if (!cwd_learn_word(entry) && f)
		fs_file_put(f);
}

struct fs_file *fd_cwd(void)
{
	struct fs_file *f;
	int again;

	for (again = 0; again < 4; again++) {
		if (FD_STATE(__atomic_load_n(&process.cwd, __ATOMIC_ACQUIRE)) == FD_UNKNOWN)
			cwd_learn();
		f = fd_word_get(&process.cwd, FD_IN(FD_REAL));
		if (!f || !fs_file_stale(f))
			return f;
		fs_file_put(f);
		fd_cwd_changed();
	}
	return NULL;
}

static void cwd_replace(uint32_t with)
{
	uint32_t entry;

	process.cwd_told = 0;
	entry = __atomic_exchange_n(&process.cwd, with, __ATOMIC_ACQ_REL);
	if (FD_STATE(entry) == FD_REAL)
		fs_file_put(fs_file_at(FD_INDEX(entry)));
}

int fd_cwd_identify(uint32_t *ret_mount, uint64_t *ret_ino)
{
	struct fd_identity id;
	int mount = fd_identify(AT_FDCWD, "", &id) < 0 ? -1 : fs_route_dev(id.dev);

	*ret_mount = (uint32_t)mount;
	*ret_ino = id.ino;
	return mount < 0 ? -ENOENT : 0;
}

void fd_cwd_changed(void)
{
	fs_cwd_changed();
	cwd_replace(FD_UNKNOWN);
}

void fd_cwd_set(struct fs_file *dir)
{
	if (fs_getpath(dir, process_kept.cwd, sizeof(process_kept.cwd)) < 0)
		process_kept.cwd[0] = 0;
	fs_file_get(dir);
	cwd_replace(FD_ENTRY(FD_REAL, fs_file_index(dir)));
}

void fd_cwd_left(void)
{
	process_kept.cwd[0] = 0;
	fd_cwd_changed();
}

struct fs_file *fd_cwd_virtual(void)
{
	struct fs_file *dir = process.tokens ? fd_cwd() : NULL;

	if (!dir || cwd_is_virtual(dir))
		return dir;
	fs_file_put(dir);
	return NULL;
}

void fd_cwd_token(void)
{
	struct fs_file *dir;
	int64_t token;

	if (process.cwd_told || FD_STATE(__atomic_load_n(&process.cwd, __ATOMIC_ACQUIRE)) != FD_REAL)
		return;
	dir = fd_cwd_virtual();
	if (!dir)
		return;
	token = fs_token(dir, FS_MOVED);
	process.cwd_told = token >= 0 && !sys_failed(sys1(__NR_fchdir, token));
	if (!process.cwd_told)
		sys1(__NR_chdir, (long)"/"); /* not where we were before: cwd_reopen */
	if (token >= 0)
		sys_close((int)token);
	fs_file_put(dir);
}
