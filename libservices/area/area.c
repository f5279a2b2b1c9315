/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all areas share: the checks before a transfer, its completion, and waiting for it.
 *
 * A transfer without `done` has somebody who waits. If it came with a ring ("here"), the waiter runs that
 * ring: what a composed area started on all its children goes on at once, and no other thread is woken.
 * What remains is completed by threads of the areas; for that the waiter spins a little, then sleeps.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libservices/area.h"
#include "libservices/area/ring.h"

enum { IO_PENDING = 0, IO_DONE, IO_ASLEEP };

uint64_t area_size(const struct area *area)
{
	return __atomic_load_n(&area->bytes, __ATOMIC_RELAXED);
}

uint64_t area_resize(struct area *area)
{
	uint64_t size = area->type->resize ? area->type->resize(area) : 0;

	if (size > area_size(area))
		__atomic_store_n(&area->bytes, size, __ATOMIC_RELAXED);
	return area_size(area);
}

uint64_t area_io_bytes(const struct area_io *io)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < io->range_count; i++)
		n += io->ranges[i].length;
	return n;
}

static int ranges_check(const struct area *area, const struct area_io *io, uint64_t *ret_sum)
{
	uint64_t size = area_size(area), sum = 0;

	for (unsigned i = 0; i < io->range_count; i++) {
		const struct area_range *r = &io->ranges[i];

		if ((r->offset | r->length) & (area->block - 1) || r->length == 0)
			return -EINVAL;
		if (r->length > size || r->offset > size - r->length)
			return -ENXIO;
		sum += r->length;
	}
	*ret_sum = sum;
	return 0;
}

static int memory_check(const struct area *area, const struct area_io *io, uint64_t sum)
{
	for (unsigned i = 0; i < io->iov_count; i++) {
		if (((uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len) & (area->block - 1) ||
		    io->iov[i].iov_len == 0 || io->iov[i].iov_len > sum)
			return -EINVAL;
		sum -= io->iov[i].iov_len;
	}
	return sum ? -EINVAL : 0;
}

static int io_check(const struct area *area, const struct area_io *io)
{
	uint64_t sum = 0;
	int r;

	if (io->op > AREA_DISCARD || (io->op == AREA_FLUSH) != (io->range_count == 0))
		return -EINVAL;
	if (io->op != AREA_READ && area->traits & AREA_RDONLY)
		return io->op == AREA_FLUSH ? 0 : -EROFS;
	r = ranges_check(area, io, &sum);
	if (r < 0)
		return r;
	return io->op < AREA_FLUSH ? memory_check(area, io, sum) : 0;
}

void area_io_done(struct area_io *io, int result)
{
	io->result = result;
	if (io->done)
		io->done(io);
	else if (__atomic_exchange_n(&io->state, IO_DONE, __ATOMIC_RELEASE) == IO_ASLEEP)
		syscall(SYS_futex, &io->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void area_submit(struct area *area, struct area_io *io)
{
	int r = io_check(area, io);

	io->state = IO_PENDING;
	if (r < 0 || (io->op == AREA_FLUSH && area->traits & AREA_RDONLY))
		area_io_done(io, r);
	else
		area->type->submit(area, io);
}

static void io_sleep(struct area_io *io)
{
	uint32_t state = IO_PENDING;

	if (__atomic_compare_exchange_n(&io->state, &state, IO_ASLEEP, 0, __ATOMIC_ACQUIRE,
					__ATOMIC_ACQUIRE))
		state = IO_ASLEEP;
	while (state != IO_DONE) {
		syscall(SYS_futex, &io->state, FUTEX_WAIT_PRIVATE, IO_ASLEEP, NULL, NULL, 0);
		state = __atomic_load_n(&io->state, __ATOMIC_ACQUIRE);
	}
}

static int io_is_done(const struct area_io *io)
{
	return __atomic_load_n(&io->state, __ATOMIC_ACQUIRE) == IO_DONE;
}

int area_wait(const struct area *area, struct area_io *io, struct area_ring *ring)
{
	while (ring && !io_is_done(io) && area_ring_busy(ring))
		area_ring_wait(ring);
	for (unsigned i = 0; i < area->spin && !io_is_done(io); i++)
		__builtin_ia32_pause();
	if (!io_is_done(io))
		io_sleep(io);
	return io->result;
}

int area_run_here(struct area *area, struct area_io *io)
{
	STAGE_WAITS(STAGE_DEVICE);
	struct area_ring *ring = area_ring_take(&area->rings);

	io->here = ring;
	area->type->submit(area, io);
	area_wait(area, io, ring);
	area_ring_give(&area->rings, ring);
	return io->result;
}

int area_run(struct area *area, struct area_io *io)
{
	STAGE_WAITS(STAGE_DEVICE);
	int r = io_check(area, io);

	io->done = NULL;
	io->here = NULL;
	io->state = IO_PENDING;
	if (r < 0 || (io->op == AREA_FLUSH && area->traits & AREA_RDONLY))
		return io->result = r;
	if (area->type->run)
		return io->result = area->type->run(area, io);
	area->type->submit(area, io);
	return area_wait(area, io, NULL);
}

static int area_transfer(struct area *area, enum area_op op, void *buf, struct area_range range,
			 unsigned flags)
{
	struct iovec iov = {buf, range.length};
	struct area_io io = {.op = op,
			     .flags = flags,
			     .iov = &iov,
			     .iov_count = op < AREA_FLUSH,
			     .ranges = &range,
			     .range_count = op != AREA_FLUSH};

	return area_run(area, &io);
}

int area_read(struct area *area, void *buf, size_t length, uint64_t offset)
{
	return area_transfer(area, AREA_READ, buf, (struct area_range){offset, length}, 0);
}

int area_write(struct area *area, const void *buf, size_t length, uint64_t offset, unsigned flags)
{
	return area_transfer(area, AREA_WRITE, (void *)buf, (struct area_range){offset, length}, flags);
}

int area_flush(struct area *area)
{
	return area_transfer(area, AREA_FLUSH, NULL, (struct area_range){0, 0}, 0);
}

int area_discard(struct area *area, uint64_t offset, uint64_t length)
{
	return area_transfer(area, AREA_DISCARD, NULL, (struct area_range){offset, length}, 0);
}
