/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings. A helper reads a batch of entries into a listing; the caller takes them from there, and the file keeps what is
 * left, because the next call usually goes on where this one stopped. A cookie is libcephfs' own position.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libservices/ceph/ceph.h"

enum { BATCH = 64 };

struct ceph_listing {
	uint64_t start; /* the cookie before the first */
	unsigned count;
	bool end;
	struct {
		uint64_t number, next;
		unsigned char type;
		char name[NAME_MAX + 1];
	} entry[BATCH];
};

void ceph_listing_free(struct ceph_listing *listing)
{
	free(listing);
}

static int entry_read(struct ceph_job *j, struct ceph_dir_result *dir, struct ceph_listing *l)
{
	struct ceph_statx stx;
	struct dirent de;
	int r = ceph_readdirplus_r(j->client->mount, dir, &de, &stx, CEPH_STATX_INO | CEPH_STATX_MODE, AT_STATX_DONT_SYNC, NULL);

	if (r <= 0)
		return r;
	l->entry[l->count].number = ceph_number(stx.stx_ino, stx.stx_dev);
	l->entry[l->count].type = stx.stx_mode ? IFTODT(stx.stx_mode) : de.d_type;
	l->entry[l->count].next = de.d_off;
	memcpy(l->entry[l->count].name, de.d_name, sizeof(de.d_name));
	l->count++;
	return 1;
}

static bool is_removed(struct ceph_job *j)
{
	return ceph_ll_getattr(j->client->mount, j->file->inode->in, &j->stx, CEPH_STATX_NLINK, 0, j->perm) == 0 &&
	       j->stx.stx_nlink == 0;
}

static ssize_t list_run(struct ceph_job *j)
{
	struct ceph_listing *l = calloc(1, sizeof(*l));
	struct ceph_file *file = j->file;
	int r = 1;

	if (!l)
		return -ENOMEM;
	l->start = j->offset;
	if (l->start == 0 && is_removed(j)) {
		free(l);
		return -ENOENT;
	}
	pthread_mutex_lock(&file->lock);
	pthread_rwlock_rdlock(&j->c->names);
	if (l->start)
		ceph_seekdir(j->client->mount, file->dir, l->start);
	else
		ceph_rewinddir(j->client->mount, file->dir);
	while (l->count < BATCH && (r = entry_read(j, file->dir, l)) > 0)
		;
	pthread_rwlock_unlock(&j->c->names);
	pthread_mutex_unlock(&file->lock);
	l->end = r == 0;
	if (r < 0 && l->count == 0) {
		free(l);
		return r;
	}
	j->listing = l;
	return 0;
}

static void undo_list(struct ceph_job *j)
{
	free(j->listing);
}

/* The entries after the cookie: those that the file has, or a new batch. The caller's. */
static int listing_get(struct ceph *c, const struct ls_call *call, struct ls_file *f, uint64_t cookie,
		       struct ceph_listing **ret, unsigned *ret_at)
{
	struct ceph_file *file = ceph_file_of(f);
	struct ceph_listing *l;
	struct ceph_job *j;
	int r;

	l = __atomic_exchange_n(&file->listing, NULL, __ATOMIC_ACQ_REL);
	for (unsigned i = 0; l && cookie && i + 1 < l->count; i++)
		if (l->entry[i].next == cookie) {
			*ret = l;
			*ret_at = i + 1;
			return 0;
		}
	free(l);
	j = ceph_job_with(c, call, list_run, f);
	if (!j)
		return -ENOMEM;
	j->undo = undo_list;
	j->offset = cookie;
	r = ceph_job_do(&j);
	if (r == 0) {
		*ret = j->listing;
		*ret_at = 0;
	}
	ceph_job_end(j);
	return r;
}

/* The directory above the root is not shown. */
static uint64_t number_shown(struct ceph *c, struct ceph_file *file, const struct ceph_listing *l, unsigned i)
{
	if (strcmp(l->entry[i].name, "..") == 0 && file->inode == c->root)
		return ceph_number(c->root->ino, c->root->snap);
	return l->entry[i].number;
}

int ceph_readdir_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, uint64_t cookie, ls_emit *emit,
		    void *arg)
{
	struct ceph_file *file = ceph_file_of(f);
	struct ceph_listing *l;
	bool stop = false, end = false;
	unsigned i;
	int r = 0;

	if (file->inode->type != S_IFDIR)
		return -ENOTDIR;
	while (!stop && !end && (r = listing_get(ceph_of(ls), call, f, cookie, &l, &i)) == 0) {
		for (; i < l->count && !stop; i++) {
			stop = emit(arg, l->entry[i].name, strlen(l->entry[i].name),
				    number_shown(ceph_of(ls), file, l, i), l->entry[i].type, l->entry[i].next);
			cookie = stop ? cookie : l->entry[i].next;
		}
		end = l->end;
		free(__atomic_exchange_n(&file->listing, l, __ATOMIC_ACQ_REL));
	}
	return r;
}
