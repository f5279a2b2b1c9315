/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files.
 *
 * When the cluster has thrown a client out, libcephfs finds a new identity by itself, but handles of before are dead
 * (-EBADF). Then the file is opened again, behind the back of who uses it. What had been written and not synced is lost;
 * the next fsync says so, once. What had only been kept above is not to be written any more (evict.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libservices/ceph/ceph.h"

/* ---- open, release --------------------------------------------------------------------------------- */

int ceph_file_new(struct ceph *c, struct ceph_inode *inode, int flags, Fh *fh, struct ceph_dir_result *dir,
		  struct ls_file **ret)
{
	struct ceph_file *file = calloc(1, sizeof(*file));
	struct ceph_handle *handle = calloc(1, sizeof(*handle));

	if (!file || !handle) {
		free(file);
		free(handle);
		if (fh)
			ceph_ll_close(inode->client->mount, fh);
		if (dir)
			ceph_ll_releasedir(inode->client->mount, dir);
		return -ENOMEM;
	}
	handle->fh = fh;
	*file = (struct ceph_file){
		.inode = ceph_inode_ref(c, inode), .refs = 1, .flags = flags, .handle = handle, .dir = dir};
	pthread_mutex_init(&file->lock, NULL);
	*ret = (struct ls_file *)file;
	return 0;
}

/* Closing needs no answer of the cluster. */
void ceph_file_unref(struct ceph *c, struct ceph_file *file)
{
	struct ceph_mount_info *mount = file->inode->client->mount;
	struct ceph_handle *handle;

	if (__atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL))
		return;
	while ((handle = file->handle)) {
		file->handle = handle->older;
		if (handle->fh)
			ceph_ll_close(mount, handle->fh);
		free(handle);
	}
	if (file->dir)
		ceph_ll_releasedir(mount, file->dir);
	ceph_listing_free(file->listing);
	ceph_inode_unref(c, file->inode, 1);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

static void undo_open(struct ceph_job *j)
{
	if (j->fh)
		ceph_ll_close(j->client->mount, j->fh);
	if (j->dir)
		ceph_ll_releasedir(j->client->mount, j->dir);
	if (j->in)
		ceph_undo_inode(j);
}

static ssize_t open_run(struct ceph_job *j)
{
	j->fh = NULL;
	j->dir = NULL;
	j->in = NULL;
	if (j->inode->type == S_IFDIR)
		return ceph_ll_opendir(j->client->mount, j->inode->in, &j->dir, j->perm);
	return ceph_ll_open(j->client->mount, j->inode->in, j->flags, &j->fh, j->perm);
}

/* Not O_APPEND: every write says where it goes, or that it appends. */
static int open_flags(int flags)
{
	return flags & O_ACCMODE;
}

int ceph_open_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, int flags,
		 struct ls_file **ret_file)
{
	mode_t type = ceph_inode_of(inode)->type;
	struct ceph_job *j;
	int r;

	if (type != S_IFREG && type != S_IFDIR)
		return type == S_IFLNK ? -ELOOP : -ENXIO;
	if (type == S_IFDIR && (flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	j = ceph_job_on(ceph_of(ls), call, open_run, inode);
	if (!j)
		return -ENOMEM;
	j->flags = open_flags(flags);
	j->undo = undo_open;
	r = ceph_job_do(&j);
	if (r >= 0)
		r = ceph_file_new(j->c, j->inode, flags, j->fh, j->dir, ret_file);
	ceph_job_end(j);
	return r;
}

/* A delegation's job holds the file. */
void ceph_release_op(struct ls *ls, const struct ls_call *call, struct ls_file *f)
{
	if (__atomic_load_n(&ceph_file_of(f)->delegated, __ATOMIC_ACQUIRE))
		ceph_delegate_op(ls, call, f, LS_DELEGATION_NONE);
	ceph_file_unref(ceph_of(ls), ceph_file_of(f));
}

static ssize_t create_run(struct ceph_job *j)
{
	j->in = NULL;
	j->dir = NULL;
	j->fh = NULL; /* libcephfs looks at it even after a failure */
	return ceph_ll_create(j->client->mount, j->inode->in, j->name, j->mode, j->flags | O_CREAT | O_EXCL, &j->in, &j->fh,
			      &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
}

/* What was created goes to the caller, or is given back. */
static int job_create(struct ceph_job *j, int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
		      struct ls_file **ret_file)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r;

	j->flags = open_flags(flags);
	j->undo = undo_open;
	r = ceph_job_do(&j);
	if (r >= 0) {
		r = ceph_job_inode(j, &inode, &attr);
		if (r < 0)
			ceph_ll_close(j->client->mount, j->fh);
	}
	if (r >= 0) {
		r = ceph_file_new(j->c, ceph_inode_of(inode), flags, j->fh, NULL, ret_file);
		if (r < 0)
			ceph_inode_unref(j->c, ceph_inode_of(inode), 1);
	}
	if (r >= 0) {
		*ret_inode = inode;
		*ret_attr = attr;
	}
	ceph_job_end(j);
	return r;
}

int ceph_create_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name, mode_t mode,
		   int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct ceph_job *j;
	int r = strcmp(name, CEPH_SNAP_NAME) == 0 ? -EEXIST : ls_name_check(name);

	if (r == 0)
		r = ceph_job_named(ceph_of(ls), call, create_run, dir, name, &j);
	if (r < 0)
		return r;
	j->mode = mode & 07777;
	j->changes = true;
	return job_create(j, flags, ret_inode, ret_attr, ret_file);
}

/* A file that is removed as soon as it is open: it will never have a name. */
static ssize_t tmpfile_run(struct ceph_job *j)
{
	int r = create_run(j);

	if (r >= 0)
		r = ceph_ll_unlink(j->client->mount, j->inode->in, j->name, j->perm);
	if (r >= 0)
		r = ceph_ll_getattr(j->client->mount, j->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
	if (r < 0)
		undo_open(j);
	return r;
}

/* Without O_EXCL it must be possible to give it a name later, which Ceph cannot. */
int ceph_tmpfile_op(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, mode_t mode, int flags,
		    struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct ceph *c = ceph_of(ls);
	struct ceph_job *j;

	if (!(flags & O_EXCL))
		return -EOPNOTSUPP;
	j = ceph_job_on(c, call, tmpfile_run, dir);
	if (!j)
		return -ENOMEM;
	snprintf(j->name, sizeof(j->name), ".polytropon-tmpfile-%llx-%llx",
		 (unsigned long long)ceph_get_instance_id(j->client->mount),
		 (unsigned long long)__atomic_add_fetch(&c->serial, 1, __ATOMIC_RELAXED));
	j->mode = mode & 07777;
	j->changes = true;
	return job_create(j, flags, ret_inode, ret_attr, ret_file);
}

/* ---- handles --------------------------------------------------------------------------------------- */

Fh *ceph_file_handle(struct ceph_file *file)
{
	Fh *fh;

	pthread_mutex_lock(&file->lock);
	fh = file->handle->fh;
	pthread_mutex_unlock(&file->lock);
	return fh;
}

int ceph_handle_renew(struct ceph_job *j, Fh *dead)
{
	struct ceph_handle *handle = calloc(1, sizeof(*handle));
	struct ceph_file *file = j->file;
	int r = handle ? 0 : -ENOMEM;

	pthread_mutex_lock(&file->lock);
	if (r == 0 && file->handle->fh == dead) {
		r = ceph_ll_open(j->client->mount, file->inode->in, open_flags(file->flags), &handle->fh, j->perm);
		if (r >= 0) {
			handle->older = file->handle;
			file->handle = handle;
			handle = NULL;
			__atomic_add_fetch(&j->c->reopened, 1, __ATOMIC_RELAXED);
			__atomic_store_n(&file->unheard, true, __ATOMIC_RELEASE);
			ceph_recall(file);
		}
	}
	pthread_mutex_unlock(&file->lock);
	free(handle);
	return r;
}

ssize_t ceph_with_handle(struct ceph_job *j, ssize_t (*fn)(struct ceph_job *j, Fh *fh))
{
	Fh *fh = ceph_file_handle(j->file);
	ssize_t r = fn(j, fh);

	if (r != -EBADF)
		return r;
	r = ceph_handle_renew(j, fh);
	return r < 0 ? r : fn(j, ceph_file_handle(j->file));
}

/* ---- what else is done with files ------------------------------------------------------------------ */

static ssize_t sync_with(struct ceph_job *j, Fh *fh)
{
	return ceph_ll_fsync(j->client->mount, fh, j->mode);
}

/* What was written to a dead handle, or by a client that has been thrown out, is lost. */
static ssize_t fsync_run(struct ceph_job *j)
{
	bool unsynced = __atomic_exchange_n(&j->file->inode->unsynced, false, __ATOMIC_RELAXED);
	Fh *fh = ceph_file_handle(j->file);
	ssize_t r = sync_with(j, fh);

	if (r == -EBADF)
		ceph_handle_renew(j, fh);
	if (r == -EBADF || r == -ESHUTDOWN)
		r = unsynced ? -EIO : 0;
	return r;
}

int ceph_fsync_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, int datasync)
{
	struct ceph_job *j;

	if (ceph_file_of(f)->inode->type == S_IFDIR) /* what changed in it is the MDS' to keep */
		return ceph_sync_op(ls, call);
	j = ceph_job_with(ceph_of(ls), call, fsync_run, f);
	if (!j)
		return -ENOMEM;
	j->mode = datasync;
	return ceph_job_do_end(j);
}

static ssize_t fallocate_with(struct ceph_job *j, Fh *fh)
{
	return ceph_ll_fallocate(j->client->mount, fh, j->flags, j->offset, j->length);
}

static ssize_t fallocate_run(struct ceph_job *j)
{
	return ceph_with_handle(j, fallocate_with);
}

int ceph_fallocate_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, int mode, off_t offset, off_t length)
{
	struct ceph_job *j;

	if (offset < 0 || length <= 0)
		return -EINVAL;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	j = ceph_job_with(ceph_of(ls), call, fallocate_run, f);
	if (!j)
		return -ENOMEM;
	j->flags = mode;
	j->offset = offset;
	j->length = length;
	return ceph_job_do_end(j);
}

/* Ceph does not say where holes are: all is data, up to the end. */
off_t ceph_seek_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, int whence)
{
	struct ls_attr attr;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	r = ceph_getattr_op(ls, call, (struct ls_inode *)ceph_file_of(f)->inode, f, &attr);
	if (r < 0)
		return r;
	if (offset < 0 || (uint64_t)offset >= attr.size)
		return -ENXIO;
	return whence == SEEK_DATA ? offset : (off_t)attr.size;
}

ssize_t ceph_copy_op(struct ls *ls, const struct ls_call *call, struct ls_file *in, off_t in_off, struct ls_file *out,
		     off_t out_off, size_t length)
{
	return -EOPNOTSUPP;
}

int ceph_advise_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, off_t length, int advice)
{
	return 0;
}
