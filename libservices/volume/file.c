/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: making what they contain durable, and where their holes are. */
#include <errno.h>
#include <unistd.h>

#include "libservices/volume/vol.h"

int vol_ls_fsync(struct ls *ls, const struct ls_call *call, struct ls_file *f, int datasync)
{
	struct vol_inode *inode = vol_file_of(f)->inode;
	struct vol *v = vol_of(ls);
	uint64_t seq;
	int r = 0;

	if (v->rdonly)
		return 0;
	if (vol_failed(v))
		return -EIO;
	if (inode->type == S_IFREG && __atomic_load_n(&inode->dirty_pages, __ATOMIC_RELAXED)) {
		vol_throttle(v);
		fair_lock_write(&inode->content);
		r = vol_inode_secure(v, inode);
		fair_unlock(&inode->content);
	}
	seq = __atomic_load_n(datasync ? &inode->data_changed : &inode->changed, __ATOMIC_RELAXED);
	return r < 0 ? r : vol_sync_to(v, seq);
}

int vol_ls_sync(struct ls *ls, const struct ls_call *call)
{
	struct vol *v = vol_of(ls);
	int r;

	if (v->rdonly)
		return 0;
	if (vol_failed(v))
		return -EIO;
	r = vol_write_back(v, 0);
	return r < 0 ? r : vol_log_flush(v);
}

int vol_ls_advise(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, off_t length,
		  int advice)
{
	return 0;
}

/* ---- holes ----------------------------------------------------------------------------------- */

/* Is there data at block `index`, and up to where is that the same? */
static int data_at(struct vol *v, struct vol_inode *inode, uint64_t index, uint64_t end, bool *ret_data,
		   uint64_t *ret_next)
{
	const struct vol_page *p = vol_page_find(inode, index);
	struct vol_run run;
	int r;

	if ((p && p->dirty) || (index == 0 && inode->inlined)) {
		*ret_data = true;
		*ret_next = index + 1;
		return 0;
	}
	if (p)
		r = vol_map_find(v, inode, index, 1, &run);
	else
		r = vol_map_find(v, inode, index, vol_pages_gap(inode, index, end - index), &run);
	*ret_data = run.kind == VOL_WRITTEN;
	*ret_next = index + run.count;
	return r;
}

static off_t file_seek(struct vol *v, struct vol_inode *inode, uint64_t offset, bool want)
{
	uint64_t size = inode->attr.size, end = (size + VF_BLOCK - 1) / VF_BLOCK, index = offset / VF_BLOCK,
		 next;
	bool data;
	int r;

	for (; index < end; index = next) {
		r = data_at(v, inode, index, end, &data, &next);
		if (r < 0)
			return r;
		if (data == want)
			return index * VF_BLOCK > offset ? index * VF_BLOCK : offset;
	}
	return want ? -ENXIO : (off_t)size;
}

off_t vol_ls_seek(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, int whence)
{
	struct vol_inode *inode = vol_file_of(f)->inode;
	off_t r = -ENXIO;

	if (inode->type != S_IFREG || (whence != SEEK_DATA && whence != SEEK_HOLE))
		return -EINVAL;
	fair_lock_read(&inode->content);
	if (offset >= 0 && (uint64_t)offset < inode->attr.size)
		r = file_seek(vol_of(ls), inode, offset, whence == SEEK_DATA);
	fair_unlock(&inode->content);
	return r;
}
