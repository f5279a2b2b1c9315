/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An area in a block image of a Ceph cluster, through librbd.
 *
 * A transfer is a call of librbd for each of its ranges; the last to complete completes it, in a thread of librbd. librbd's
 * cache is off: what is written is on the cluster's disks when it completes, with AREA_FUA or without.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/area/rbd.h"
#include "libservices/object.h"

/* A transfer under way. */
struct rbd_op {
	struct area_io *io;
	unsigned left; /* atomic: calls, and one for who makes them */
	int result;    /* atomic: the first failure */
	struct iovec iov[];
};

static int error_of(ssize_t r)
{
	if (r >= 0)
		return 0;
	return r == -ENOSPC || r == -EDQUOT ? -ENOSPC : r == -EROFS ? -EROFS : -EIO;
}

static void op_step(struct rbd_op *op, ssize_t r)
{
	struct area_io *io = op->io;
	int none = 0, error = error_of(r);

	if (error)
		__atomic_compare_exchange_n(&op->result, &none, error, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	if (__atomic_sub_fetch(&op->left, 1, __ATOMIC_ACQ_REL))
		return;
	error = op->result;
	free(op);
	area_io_done(io, error);
}

static void call_done(rbd_completion_t completion, void *arg)
{
	ssize_t r = rbd_aio_get_return_value(completion);

	rbd_aio_release(completion);
	op_step(arg, r);
}

/* Starts one call of librbd; what it does not take is a completion, too. */
static void call_start(struct rbd *rbd, struct rbd_op *op, struct area_range range, const struct iovec *iov, int count)
{
	rbd_completion_t completion;
	int r;

	__atomic_add_fetch(&op->left, 1, __ATOMIC_RELAXED);
	r = rbd_aio_create_completion(op, call_done, &completion);
	if (r < 0) {
		op_step(op, r);
		return;
	}
	switch (op->io->op) {
	case AREA_READ:
		r = rbd_aio_readv(rbd->image, iov, count, range.offset, completion);
		break;
	case AREA_WRITE:
		r = rbd_aio_writev(rbd->image, iov, count, range.offset, completion);
		break;
	case AREA_FLUSH:
		r = rbd_aio_flush(rbd->image, completion);
		break;
	case AREA_DISCARD:
		r = rbd_aio_discard(rbd->image, range.offset, range.length, completion);
		break;
	}
	if (r < 0) {
		rbd_aio_release(completion);
		op_step(op, r);
	}
}

/* Cuts `length` bytes off the front of the caller's memory; how many pieces they are. */
static int iov_cut(const struct iovec **from, size_t *at, uint64_t length, struct iovec *to)
{
	int n = 0;

	while (length) {
		size_t part = (*from)->iov_len - *at;
		part = part < length ? part : length;
		to[n++] = (struct iovec){(char *)(*from)->iov_base + *at, part};
		length -= part;
		*at += part;
		if (*at == (*from)->iov_len) {
			(*from)++;
			*at = 0;
		}
	}
	return n;
}

static void rbd_submit(struct area *area, struct area_io *io)
{
	bool data = io->op == AREA_READ || io->op == AREA_WRITE;
	size_t pieces = data ? io->iov_count + io->range_count : 0, at = 0;
	struct rbd_op *op = malloc(sizeof(*op) + pieces * sizeof(op->iov[0]));
	const struct iovec *from = io->iov;
	struct iovec *to;
	int n;

	if (!op) {
		area_io_done(io, -ENOMEM);
		return;
	}
	op->io = io;
	op->left = 1;
	op->result = 0;
	to = op->iov;
	for (unsigned i = 0; i < io->range_count; i++) {
		n = data ? iov_cut(&from, &at, io->ranges[i].length, to) : 0;
		call_start(area->state, op, io->ranges[i], to, n);
		to += n;
	}
	if (io->op == AREA_FLUSH)
		call_start(area->state, op, (struct area_range){0, 0}, NULL, 0);
	op_step(op, 0);
}

static void rbd_report(struct area *area, struct json_object *into)
{
	struct rbd *rbd = area->state;
	struct json_object *list = json_object_new_array();
	rbd_snap_info_t snaps[64];
	int max = 64, n = rbd_snap_list(rbd->image, snaps, &max);

	for (int i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_string(snaps[i].name));
	if (n > 0)
		rbd_snap_list_end(snaps);
	json_object_object_add(into, "name", json_object_new_string(rbd->name));
	json_object_object_add(into, "snapshots", list);
}

static const struct area_type rbd_type = {
	.name = "rbd",
	.help = "in a block image of a Ceph cluster",
	.options = ls_rbd_options,
	.open = rbd_area_open,
	.close = rbd_area_close,
	.submit = rbd_submit,
	.resize = rbd_area_size,
	.report = rbd_report,
};

__attribute__((visibility("default"))) const struct ls_object ls_object = {
	.version = POLYTROPON_VERSION, .area = &rbd_type};
