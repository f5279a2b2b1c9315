/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection at a time uses it, in exclusive locking mode: no locks, and no shared memory for the WAL.
 * The durability is SQLite's own doing: its xSync is an fsync of ours and nothing else is.
 */
#include "tests/crash/sqlite-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct volume_file {
	sqlite3_file base;
	struct ls_inode *inode;
	struct ls_file *file;
	char doomed[64]; /* the name to remove at close; "" */
};

static struct mounted *here;

static struct volume_file *file_of(sqlite3_file *f)
{
	return (struct volume_file *)f;
}

static const char *name_of(const char *path)
{
	return path + strspn(path, "/");
}

/* ---- files ------------------------------------------------------------------------------------------ */

static int file_close(sqlite3_file *f)
{
	struct volume_file *v = file_of(f);

	ls_release(&here->ls, &here->call, v->file);
	ls_forget(&here->ls, &here->call, v->inode, 1);
	if (*v->doomed)
		ls_unlink(&here->ls, &here->call, here->ls.root, v->doomed);
	return SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *buf, int length, sqlite3_int64 offset)
{
	struct iovec iov = {buf, length};
	ssize_t n = ls_read(&here->ls, &here->call, file_of(f)->file, &iov, 1, offset);

	if (n < 0)
		return SQLITE_IOERR_READ;
	memset((char *)buf + n, 0, length - n);
	return n == length ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *buf, int length, sqlite3_int64 offset)
{
	struct iovec iov = {(void *)buf, length};
	off_t end;
	ssize_t n = ls_write(&here->ls, &here->call, file_of(f)->file, &iov, 1, offset, 0, &end);

	return n == length ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct ls_attr attr = {.size = size};
	struct volume_file *v = file_of(f);

	return ls_setattr(&here->ls, &here->call, v->inode, v->file, &attr, LS_SET_SIZE, &attr) < 0
		   ? SQLITE_IOERR_TRUNCATE
		   : SQLITE_OK;
}

static int file_sync(sqlite3_file *f, int flags)
{
	int datasync = (flags & SQLITE_SYNC_DATAONLY) != 0;

	return ls_fsync(&here->ls, &here->call, file_of(f)->file, datasync) < 0 ? SQLITE_IOERR_FSYNC
										: SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	struct volume_file *v = file_of(f);
	struct ls_attr attr;
	int r = ls_getattr(&here->ls, &here->call, v->inode, v->file, &attr);

	*ret = r < 0 ? 0 : attr.size;
	return r < 0 ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int how)
{
	return SQLITE_OK;
}

static int file_reserved(sqlite3_file *f, int *ret)
{
	*ret = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *f)
{
	return 4096;
}

static int file_device(sqlite3_file *f)
{
	return 0; /* no promises beyond POSIX */
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
};

/* ---- names ------------------------------------------------------------------------------------------ */

static int open_by_name(const char *name, bool create, struct volume_file *v)
{
	struct ls_inode *inode = NULL;
	struct ls_attr attr;
	int r = ls_lookup(&here->ls, &here->call, here->ls.root, name, &inode, &attr);

	if (r == -ENOENT && create)
		r = ls_create(&here->ls, &here->call, here->ls.root, name, 0644, O_RDWR, &v->inode, &attr,
			      &v->file);
	else if (r == 0) {
		v->inode = inode;
		r = ls_open(&here->ls, &here->call, inode, O_RDWR, &v->file);
	}
	return r;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
	struct volume_file *v = file_of(f);

	memset(v, 0, sizeof(*v));
	if (open_by_name(path ? name_of(path) : "temporary", flags & SQLITE_OPEN_CREATE, v) < 0)
		return SQLITE_CANTOPEN;
	if (flags & SQLITE_OPEN_DELETEONCLOSE)
		strncpy(v->doomed, path ? name_of(path) : "temporary", sizeof(v->doomed) - 1);
	v->base.pMethods = &methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int sync_root(void)
{
	struct ls_file *f;
	int r = ls_open(&here->ls, &here->call, here->ls.root, O_RDONLY | O_DIRECTORY, &f);

	if (r < 0)
		return r;
	r = ls_fsync(&here->ls, &here->call, f, 0);
	ls_release(&here->ls, &here->call, f);
	return r;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	int r = ls_unlink(&here->ls, &here->call, here->ls.root, name_of(path));

	if (r == 0 && sync_dir)
		r = sync_root();
	return r == -ENOENT ? SQLITE_IOERR_DELETE_NOENT : r < 0 ? SQLITE_IOERR_DELETE : SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	*ret = ls_lookup(&here->ls, &here->call, here->ls.root, name_of(path), &inode, &attr) == 0;
	if (*ret)
		ls_forget(&here->ls, &here->call, inode, 1);
	if (*ret && flags == SQLITE_ACCESS_EXISTS && attr.size == 0)
		*ret = 0; /* as SQLite's own VFS says it */
	return SQLITE_OK;
}

static int vfs_full(sqlite3_vfs *vfs, const char *path, int size, char *ret)
{
	sqlite3_snprintf(size, ret, "/%s", name_of(path));
	return SQLITE_OK;
}

/* The same each time. */
static int vfs_random(sqlite3_vfs *vfs, int size, char *ret)
{
	memset(ret, 7, size);
	return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
	*ret = 2460000.5;
	return SQLITE_OK;
}

static sqlite3_vfs vfs = {
    .iVersion = 1,
    .szOsFile = sizeof(struct volume_file),
    .mxPathname = 63,
    .zName = "volume",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full,
    .xRandomness = vfs_random,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
};

void sqlite_files_on(struct mounted *m)
{
	if (!here)
		sqlite3_vfs_register(&vfs, 0);
	here = m;
	if (!m)
		sqlite3_vfs_unregister(&vfs);
}
