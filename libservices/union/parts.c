/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose data is in several branches: copied up by range.
 *
 * A large file is copied up without its data. The copy has the whole size, and is a hole; a block is copied when it is
 * to be changed in part. What is a hole in it is what the file below has there, up to its `limit`: beyond that it is
 * zeros, for the file was shorter once. So the copy itself tells which blocks it has, and needs no map beside it; in
 * memory there is one, made by looking for holes. A block is written whole, in one write, so after a crash it is there
 * or is a hole.
 *
 * On disk such a file is overlayfs' file of metadata alone: trusted.overlay.metacopy, and an absolute redirect to the data,
 * so it can be renamed and linked. The kernel's overlay refuses it (EPERM) unless it is told to follow such marks. The
 * limit is a mark of ours. A branch that holds any has a mark at its root; in others only files without a block are
 * asked for the mark. When a container is cloned, its branch becomes one that is read, and the next copy has its holes
 * there: so data may be in a chain of branches.
 *
 * All is under inode.content: held to read while data is read, to write while it is changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libservices/union/union.h"

enum { BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20, FILL_BUFFER = 1 << 20 };

/* ---- lives ----------------------------------------------------------------------------------------------- */

struct union_parts *union_parts_new(unsigned count)
{
	struct union_parts *p = calloc(1, sizeof(*p) + count * sizeof(p->part[0]));

	if (p)
		p->count = count;
	return p;
}

void union_parts_free(struct union_fs *u, const struct ls_call *call, struct union_parts *p)
{
	for (unsigned i = 0; p && i < p->count; i++) {
		struct union_part *part = &p->part[i];
		if (part->file)
			ls_release(u->ls->below[part->real.branch], call, part->file);
		if (i > 0 && part->real.inode)
			ls_forget(u->ls->below[part->real.branch], call, part->real.inode, 1);
		free(part->bits);
	}
	free(p);
}

/* ---- marks ------------------------------------------------------------------------------------------------ */

static void mark_name(const struct union_fs *u, const char *mark, char name[static 64])
{
	snprintf(name, 64, "%s%s", u->prefix, mark);
}

/* As the kernel has it: version, length, flags, no digest. */
static int metacopy_set(struct union_fs *u, const struct ls_call *call, struct ls_inode *inode)
{
	static const char value[4] = {0, sizeof(value), 0, 0};
	char name[64];

	mark_name(u, "metacopy", name);
	return ls_setxattr(u->ls->below[0], call, inode, name, value, sizeof(value), 0);
}

static int limit_set(struct union_fs *u, const struct ls_call *call, struct ls_inode *inode, uint64_t limit)
{
	char text[24];

	snprintf(text, sizeof(text), "%llx", (unsigned long long)limit);
	return union_mark_set(u, call, inode, "union.limit", text);
}

int union_parts_mark(struct union_fs *u, const struct ls_call *call, struct ls_inode *made, const char *path,
		     uint64_t limit)
{
	int r = 0;

	if (!__atomic_load_n(&u->partial[0], __ATOMIC_ACQUIRE)) {
		r = union_mark_set(u, call, u->ls->below[0]->root, "union.partial", "y");
		if (r == 0)
			__atomic_store_n(&u->partial[0], true, __ATOMIC_RELEASE);
	}
	if (r == 0)
		r = limit_set(u, call, made, limit);
	if (r == 0)
		r = union_mark_set(u, call, made, "redirect", path);
	return r < 0 ? r : metacopy_set(u, call, made);
}

/* 1, 0, -errno */
static int metacopy_get(struct union_fs *u, const struct ls_call *call, const struct union_real *real,
			const struct ls_attr *attr)
{
	char name[64];
	ssize_t n;

	if (!S_ISREG(attr->mode) || real->branch == u->count - 1 ||
	    (!__atomic_load_n(&u->partial[real->branch], __ATOMIC_ACQUIRE) && (attr->blocks || !attr->size)))
		return 0;
	mark_name(u, "metacopy", name);
	n = ls_getxattr(u->ls->below[real->branch], call, real->inode, name, NULL, 0);
	if (n == -ENODATA || n == -EOPNOTSUPP || n == -EPERM)
		return 0;
	return n < 0 ? n : 1;
}

static int limit_get(struct union_fs *u, const struct ls_call *call, const struct union_real *real, uint64_t size,
		     uint64_t *ret)
{
	char text[32];
	int n = union_mark_get(u, call, real, "union.limit", text, sizeof(text));
	uint64_t limit = n > 0 ? strtoull(text, NULL, 16) : size;

	if (n >= 0)
		*ret = limit < size ? limit : size;
	return n < 0 ? n : 0;
}

/* ---- finding them ------------------------------------------------------------------------------------------ */

/* The file below one without its data: where its redirect says, or what has its name. */
static int data_find(struct union_fs *u, const struct ls_call *call, const struct union_inode *dir, const char *name,
		     const struct union_real *real, struct union_found *ret)
{
	char path[PATH_MAX];
	unsigned first = 0;
	int n = union_mark_get(u, call, real, "redirect", path, sizeof(path)), r;

	if (n < 0)
		return n;
	while (first < dir->branch_count && dir->branch[first].branch <= real->branch)
		first++;
	if (n > 0 && *path == '/')
		r = union_walk_from(u, call, real->branch + 1, path, ret);
	else
		r = union_walk(u, call, dir, first, n > 0 ? path : name, ret);
	if (r == 0 && (ret->count == 0 || !S_ISREG(ret->attr.mode))) {
		union_found_fini(u, call, ret);
		r = -EIO;
	}
	return r;
}

static int chain_add(struct union_fs *u, const struct ls_call *call, struct union_parts **chain,
		     const struct union_real *real, uint64_t size)
{
	unsigned n = *chain ? (*chain)->count : 0;
	struct union_parts *grown = union_parts_new(n + 1);
	int r = grown ? 0 : -ENOMEM;

	if (r == 0)
		r = limit_get(u, call, real, size, &grown->part[n].limit);
	if (r < 0) {
		free(grown);
		return r;
	}
	if (n)
		memcpy(grown->part, (*chain)->part, n * sizeof(grown->part[0]));
	grown->part[n].real = *real;
	free(*chain);
	*chain = grown;
	return 0;
}

int union_parts_find(struct union_fs *u, const struct ls_call *call, const struct union_inode *dir, const char *name,
		     struct union_found *found)
{
	struct union_found *below = NULL;
	struct union_real real = found->real[0];
	struct ls_attr attr = found->attr;
	int r = metacopy_get(u, call, &real, &attr);

	if (r <= 0)
		return r;
	below = malloc(sizeof(*below));
	r = below ? chain_add(u, call, &found->parts, &real, attr.size) : -ENOMEM;
	while (r == 0) {
		r = data_find(u, call, dir, name, &real, below);
		if (r < 0)
			break;
		real = below->real[0];
		attr = below->attr;
		free(below->redirect);
		r = chain_add(u, call, &found->parts, &real, attr.size);
		if (r < 0)
			ls_forget(u->ls->below[real.branch], call, real.inode, 1);
		else if ((r = metacopy_get(u, call, &real, &attr)) <= 0)
			break;
		r = r < 0 ? r : 0;
	}
	free(below);
	return r < 0 ? r : 0;
}

/* ---- which blocks there are ---------------------------------------------------------------------------------- */

static bool bit_is_set(const struct union_part *p, uint64_t block)
{
	return block < p->blocks && p->bits[block / 64] >> (block % 64) & 1;
}

static void bits_set(struct union_part *p, uint64_t first, uint64_t last)
{
	for (uint64_t b = first; b <= last && b < p->blocks; b++)
		p->bits[b / 64] |= 1ull << (b % 64);
}

/* A map for the blocks up to its limit; beyond it the part's own holes are zeros as they are. */
static int bits_make(struct union_part *p, uint32_t blksize)
{
	uint64_t size = 1ull << (p->shift = 12);

	while (size < blksize && size < BLOCK_MAX)
		size = 1ull << ++p->shift;
	p->blocks = (p->limit + size - 1) >> p->shift;
	p->bits = calloc(p->blocks / 64 + 1, sizeof(*p->bits));
	return p->bits ? 0 : -ENOMEM;
}

static int bits_look(struct ls *below, const struct ls_call *call, struct union_part *p)
{
	off_t at = 0, end;

	while ((uint64_t)at < p->limit) {
		at = ls_seek(below, call, p->file, at, SEEK_DATA);
		if (at < 0)
			return at == -ENXIO ? 0 : at;
		end = ls_seek(below, call, p->file, at, SEEK_HOLE);
		if (end < 0)
			return end;
		bits_set(p, at >> p->shift, (end - 1) >> p->shift);
		at = end;
	}
	return 0;
}

int union_part_begin(struct union_fs *u, const struct ls_call *call, struct union_part *p, bool top, bool fresh)
{
	struct ls *below = u->ls->below[p->real.branch];
	bool writable = top && p->real.branch == 0 && u->writable;
	struct ls_attr attr;
	int r = 0;

	if (!p->file)
		r = ls_open(below, call, p->real.inode, writable ? O_RDWR : O_RDONLY | O_NOATIME, &p->file);
	if (r == 0 && p->limit && !p->bits) {
		r = ls_getattr(below, call, p->real.inode, NULL, &attr);
		if (r == 0)
			r = bits_make(p, attr.blksize);
		if (r == 0 && !fresh)
			r = bits_look(below, call, p);
	}
	return r;
}

int union_parts_open(struct union_fs *u, const struct ls_call *call, struct union_parts *p)
{
	int r = 0;

	for (unsigned i = 0; i < p->count && r == 0; i++) {
		if (i == p->count - 1)
			p->part[i].limit = 0; /* it has all of its own */
		r = union_part_begin(u, call, &p->part[i], i == 0, false);
	}
	return r;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/*
 * Who has the byte, and for how many bytes from there it is so, up to `length`: the number of a part, or that of all
 * parts for zeros.
 */
static unsigned owner_of(const struct union_parts *p, uint64_t at, uint64_t *length)
{
	uint64_t run = *length;

	for (unsigned i = 0; i < p->count; i++) {
		const struct union_part *part = &p->part[i];
		uint64_t size = 1ull << part->shift, block = at >> part->shift, end;
		bool has;

		if (!part->bits) { /* the last one, or one that gets nothing from below */
			*length = run;
			return i;
		}
		if (at >= part->limit) {
			*length = run;
			return i;
		}
		has = bit_is_set(part, block);
		for (end = (block + 1) * size; end < at + run && end < part->limit &&
		     bit_is_set(part, end >> part->shift) == has; end += size)
			;
		if (!has && end > part->limit)
			end = part->limit;
		run = end - at < run ? end - at : run;
		if (has) {
			*length = run;
			return i;
		}
	}
	*length = run;
	return p->count;
}

/* All of the range: zeros where there is nothing. */
static int run_read(struct union_fs *u, const struct ls_call *call, const struct union_parts *p, char *to,
		    uint64_t length, uint64_t at)
{
	while (length > 0) {
		uint64_t run = length, got = 0;
		unsigned i = owner_of(p, at, &run);
		ssize_t n = 1;
		while (i < p->count && got < run && n > 0) {
			struct iovec iov = {to + got, run - got};
			n = ls_read(u->ls->below[p->part[i].real.branch], call, p->part[i].file, &iov, 1, at + got);
			got += n > 0 ? n : 0;
		}
		if (n < 0)
			return n;
		memset(to + got, 0, run - got);
		to += run;
		at += run;
		length -= run;
	}
	return 0;
}

static int size_get(struct union_fs *u, const struct ls_call *call, const struct union_inode *inode, uint64_t *ret)
{
	struct ls_attr attr;
	int r = ls_getattr(u->ls->below[inode->real.branch], call, inode->real.inode, NULL, &attr);

	if (r == 0)
		*ret = attr.size;
	return r;
}

ssize_t union_parts_read(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
			 const struct iovec *iov, int iovcnt, off_t offset)
{
	uint64_t size = 0, at = offset;
	int r = offset < 0 ? -EINVAL : size_get(u, call, inode, &size);

	for (int i = 0; i < iovcnt && r == 0 && at < size; i++) {
		uint64_t length = iov[i].iov_len < size - at ? iov[i].iov_len : size - at;
		r = run_read(u, call, inode->parts, iov[i].iov_base, length, at);
		if (r == 0)
			at += length;
	}
	return r < 0 && at == (uint64_t)offset ? r : (ssize_t)(at - offset);
}

/* ---- changing -------------------------------------------------------------------------------------------------- */

/* To the copy, bytes of the file as it is: up to the limit. */
static int range_fill(struct union_fs *u, const struct ls_call *call, struct union_parts *p, char *buf, uint64_t from,
		      uint64_t to)
{
	struct ls *above = u->ls->below[0];
	off_t end;
	int r = 0;

	to = to < p->part[0].limit ? to : p->part[0].limit;
	if (from >= to)
		return 0;
	r = run_read(u, call, p, buf, to - from, from);
	for (uint64_t done = 0; r == 0 && done < to - from;) {
		struct iovec iov = {buf + done, to - from - done};
		ssize_t n = ls_write(above, call, p->part[0].file, &iov, 1, from + done, 0, &end);
		r = n > 0 ? 0 : n < 0 ? n : -EIO;
		done += n > 0 ? n : 0;
	}
	if (r == 0)
		__atomic_add_fetch(&u->copied_bytes, to - from, __ATOMIC_RELAXED);
	return r;
}

/* The blocks from first to last that are not there yet. */
static int blocks_fill(struct union_fs *u, const struct ls_call *call, struct union_parts *p, uint64_t first,
		       uint64_t last)
{
	struct union_part *top = &p->part[0];
	uint64_t most = FILL_BUFFER >> top->shift, b = first, run;
	char *buf = malloc(FILL_BUFFER);
	int r = buf ? 0 : -ENOMEM;

	for (; r == 0 && b <= last && b < top->blocks; b += run) {
		run = 1;
		if (bit_is_set(top, b))
			continue;
		while (run < most && b + run <= last && b + run < top->blocks && !bit_is_set(top, b + run))
			run++;
		r = range_fill(u, call, p, buf, b << top->shift, (b + run) << top->shift);
		if (r == 0)
			bits_set(top, b, b + run - 1);
	}
	free(buf);
	return r;
}

/* The first and the last block of a write, if it changes but a part of them. */
static int edges_fill(struct union_fs *u, const struct ls_call *call, struct union_parts *p, uint64_t start, uint64_t end)
{
	uint64_t shift = p->part[0].shift, mask = (1ull << shift) - 1;
	int r = 0;

	if (start & mask)
		r = blocks_fill(u, call, p, start >> shift, start >> shift);
	if (r == 0 && (end & mask))
		r = blocks_fill(u, call, p, end >> shift, end >> shift);
	return r;
}

/* A block of which a write that ended early has changed a part. */
static int torn_fill(struct union_fs *u, const struct ls_call *call, struct union_parts *p, uint64_t end)
{
	struct union_part *top = &p->part[0];
	uint64_t size = 1ull << top->shift, block = end >> top->shift;
	char *buf;
	int r;

	if (!(end & (size - 1)) || bit_is_set(top, block))
		return 0;
	buf = malloc(size);
	r = buf ? range_fill(u, call, p, buf, end, (block + 1) * size) : -ENOMEM;
	free(buf);
	return r;
}

ssize_t union_parts_write(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *f,
			  const struct iovec *iov, int iovcnt, off_t offset, unsigned flags, off_t *ret_end)
{
	struct union_parts *p = inode->parts;
	uint64_t start = offset, length = 0;
	ssize_t n;
	int r = 0;

	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;
	if (flags & LS_WRITE_APPEND)
		r = size_get(u, call, inode, &start);
	else if (offset < 0)
		r = -EINVAL;
	if (r == 0 && length)
		r = edges_fill(u, call, p, start, start + length);
	if (r < 0)
		return r;
	n = ls_write(u->ls->below[0], call, f, iov, iovcnt, offset, flags, ret_end);
	if (n <= 0)
		return n;
	if ((uint64_t)n < length && (r = torn_fill(u, call, p, start + n)) < 0)
		return r;
	bits_set(&p->part[0], start >> p->part[0].shift, (start + n - 1) >> p->part[0].shift);
	return n;
}

int union_parts_cut(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, uint64_t size)
{
	struct union_part *top = &inode->parts->part[0];

	if (size >= top->limit)
		return 0;
	top->limit = size;
	return limit_set(u, call, inode->real.inode, size);
}

static int mark_remove(struct union_fs *u, const struct ls_call *call, struct ls_inode *inode, const char *mark)
{
	char name[64];
	int r;

	mark_name(u, mark, name);
	r = ls_removexattr(u->ls->below[0], call, inode, name);
	return r == -ENODATA ? 0 : r;
}

int union_parts_complete(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	struct union_parts *p = inode->parts;
	int r = union_parts_open(u, call, p);

	if (r == 0)
		r = blocks_fill(u, call, p, 0, p->part[0].blocks ? p->part[0].blocks - 1 : 0);
	if (r == 0)
		r = ls_fsync(u->ls->below[0], call, p->part[0].file, 0);
	if (r == 0)
		r = mark_remove(u, call, inode->real.inode, "metacopy");
	if (r < 0)
		return r;
	mark_remove(u, call, inode->real.inode, "redirect");
	mark_remove(u, call, inode->real.inode, "union.limit");
	union_inode_parts_end(u, call, inode);
	return 0;
}
