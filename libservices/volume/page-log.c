/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages and the journal. A small change of a file reaches the medium within the transaction, as DATA or
 * ZERO, and its place later. What the journal has of a block must not come back when the block's place has
 * got something newer, or is no longer the file's: FORGET says so.
 *
 * The records are lost when a checkpoint has moved the journal's tail past them; so a checkpoint only
 * begins at a moment when all such pages are at their places. To get there it sets vol.log_block.
 */
#include <errno.h>
#include <string.h>

#include "libservices/volume/vol.h"

int vol_page_zero_prepare(struct vol *v, struct vol_inode *inode, uint64_t offset, struct vol_page **ret)
{
	uint64_t index = offset / VF_BLOCK;
	struct vol_page *p = vol_page_find(inode, index);
	struct vol_run run = {.kind = VOL_WRITTEN};
	int r = 0;

	*ret = NULL;
	if (offset % VF_BLOCK == 0)
		return 0;
	if (!p && !(index == 0 && inode->inlined))
		r = vol_map_find(v, inode, index, 1, &run);
	if (r < 0 || run.kind != VOL_WRITTEN)
		return r;
	r = vol_page_get(v, inode, index, false, ret);
	if (r == 0 && index == 0 && inode->inlined)
		vol_page_promise(v, inode, *ret); /* out of the floor, if need be: removing must work */
	return r;
}

static void page_logged(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	if (!p->logged)
		__atomic_add_fetch(&v->logged_pages, 1, __ATOMIC_RELAXED);
	p->logged = true;
	inode->logged = v->log.seq;
}

int vol_page_zero(struct vol *v, struct vol_inode *inode, struct vol_page *p, unsigned from, unsigned to)
{
	bool rest = p->from < p->to;
	int r = vol_log_record(v, VF_ZERO, inode->ino, p->index * VF_BLOCK + from, to - from, NULL, 0);

	memset(p->data + from, 0, to - from);
	vol_page_dirty(v, inode, p, from, to);
	if (!rest)
		p->from = p->to = 0; /* nothing but the zeros, and they are in the journal */
	page_logged(v, inode, p);
	return r;
}

int vol_page_log(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	int r = vol_log_record(v, VF_DATA, inode->ino, p->index * VF_BLOCK + p->from, 0, p->data + p->from,
			       p->to - p->from);

	p->from = p->to = 0;
	page_logged(v, inode, p);
	return r;
}

int vol_pages_forget(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t count)
{
	if (!inode->logged)
		return 0;
	if (count > UINT32_MAX)
		count = 0;
	return vol_log_record(v, VF_FORGET, inode->ino, first, count, NULL, 0);
}

int vol_pages_logged(struct vol *v, struct vol_inode *inode)
{
	if (!__atomic_load_n(&v->log_block, __ATOMIC_ACQUIRE))
		return 0;
	return vol_inode_write_back(v, inode);
}
