/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "libservices/area/cursor.h"
#include "tests/unit/area/harness.h"

void faulty_init(struct faulty *f, uint64_t size)
{
	memset(f, 0, sizeof(*f));
	f->size = size;
	f->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			0);
	assert_true(f->bytes != MAP_FAILED);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->come, NULL);
	f->last = &f->first;
}

void faulty_fini(struct faulty *f)
{
	munmap(f->bytes, f->size);
	free(f->stable);
	pthread_cond_destroy(&f->come);
	pthread_mutex_destroy(&f->lock);
}

void faulty_volatile(struct faulty *f)
{
	f->stable = malloc(f->size);
	assert_non_null(f->stable);
	memcpy(f->stable, f->bytes, f->size);
	f->unstable_from = f->size;
}

static void stabilise(struct faulty *f)
{
	pthread_mutex_lock(&f->lock);
	if (f->unstable_from < f->unstable_to)
		memcpy(f->stable + f->unstable_from, f->bytes + f->unstable_from,
		       f->unstable_to - f->unstable_from);
	f->unstable_from = f->size;
	f->unstable_to = 0;
	pthread_mutex_unlock(&f->lock);
}

static void destabilise(struct faulty *f, uint64_t offset, uint64_t length)
{
	pthread_mutex_lock(&f->lock);
	if (offset < f->unstable_from)
		f->unstable_from = offset;
	if (offset + length > f->unstable_to)
		f->unstable_to = offset + length;
	pthread_mutex_unlock(&f->lock);
}

void faulty_cut(struct faulty *f, unsigned seed)
{
	for (uint64_t at = f->unstable_from / 4096 * 4096; at < f->unstable_to; at += 4096)
		if (memcmp(f->bytes + at, f->stable + at, 4096) != 0 && dice(&seed, 2))
			memcpy(f->bytes + at, f->stable + at, 4096);
	stabilise(f);
	f->power = NULL;
}

static int concerned(const struct faulty *f, const struct area_io *io)
{
	for (unsigned i = 0; i < io->range_count; i++)
		if (io->ranges[i].offset < f->error_to &&
		    io->ranges[i].offset + io->ranges[i].length > f->error_from)
			return 1;
	return f->error_to == 0;
}

static int faulty_error(struct faulty *f, const struct area_io *io)
{
	const int *error = io->op == AREA_READ    ? &f->read_error
			   : io->op == AREA_WRITE ? &f->write_error
						  : &f->flush_error;

	return concerned(f, io) ? __atomic_load_n(error, __ATOMIC_RELAXED) : 0;
}

static void faulty_count(struct faulty *f, const struct area_io *io)
{
	unsigned *counts[] = {&f->reads, &f->writes, &f->flushes, &f->discards};

	__atomic_fetch_add(counts[io->op], 1, __ATOMIC_RELAXED);
	if (io->flags & AREA_FUA)
		__atomic_fetch_add(&f->fua_writes, 1, __ATOMIC_RELAXED);
}

/* The write at which the power fails is torn: only the first half of its sectors arrives. */
static int power_check(struct faulty *f, const struct area_io *io)
{
	int left = f->power && io->op == AREA_WRITE ? __atomic_fetch_sub(f->power, 1, __ATOMIC_RELAXED) : 1;

	if (f->power && io->op != AREA_WRITE)
		left = __atomic_load_n(f->power, __ATOMIC_RELAXED) < 0 ? -1 : 1;
	if (left == 0) {
		memcpy(f->bytes + io->ranges->offset, io->iov->iov_base, io->iov->iov_len / 1024 * 512);
		destabilise(f, io->ranges->offset, io->iov->iov_len);
	}
	return left > 0 ? 0 : -EIO;
}

static int faulty_do(struct faulty *f, const struct area_io *io)
{
	struct area_cursor c = {.io = io};
	struct iovec iov;
	uint64_t offset, n;
	unsigned count;
	int r = faulty_error(f, io);

	if (r == 0)
		r = power_check(f, io);
	faulty_count(f, io);
	if (r == 0 && io->op == AREA_FLUSH && f->stable)
		stabilise(f);
	while (r == 0 && io->op < AREA_FLUSH && area_cursor_left(&c, &offset)) {
		n = area_cursor_next(&c, UINT64_MAX, &iov, 1, &count);
		if (io->op == AREA_READ)
			memcpy(iov.iov_base, f->bytes + offset, n);
		else
			memcpy(f->bytes + offset, iov.iov_base, n);
		if (io->op == AREA_WRITE && f->stable && io->flags & AREA_FUA)
			memcpy(f->stable + offset, iov.iov_base, n);
		else if (io->op == AREA_WRITE && f->stable)
			destabilise(f, offset, n);
	}
	return r;
}

static struct area_io *faulty_take(struct faulty *f)
{
	struct area_io *io;

	pthread_mutex_lock(&f->lock);
	while ((!f->first || f->hold) && !f->ending)
		pthread_cond_wait(&f->come, &f->lock);
	io = f->first;
	if (io && !(f->first = io->next))
		f->last = &f->first;
	pthread_mutex_unlock(&f->lock);
	return io;
}

static void *faulty_run(void *arg)
{
	struct faulty *f = arg;
	struct area_io *io;

	while ((io = faulty_take(f)))
		area_io_done(io, faulty_do(f, io));
	return NULL;
}

void faulty_hold(struct faulty *f, int hold)
{
	pthread_mutex_lock(&f->lock);
	f->hold = hold;
	pthread_cond_broadcast(&f->come);
	pthread_mutex_unlock(&f->lock);
}

/* In the thread that submits. */
static void faulty_do_here(struct faulty *f, struct area_io *io)
{
	int r = faulty_do(f, io);

	if (io->op != AREA_FLUSH || !f->late) {
		area_io_done(io, r);
		return;
	}
	f->late = 0;
	io->result = r;
	f->answer = io;
}

void faulty_answer(struct faulty *f)
{
	area_io_done(f->answer, f->answer->result);
}

static void faulty_submit(struct area *area, struct area_io *io)
{
	struct faulty *f = area->state;

	if (!f->threaded) {
		faulty_do_here(f, io);
		return;
	}
	pthread_mutex_lock(&f->lock);
	io->next = NULL;
	*f->last = io;
	f->last = &io->next;
	pthread_cond_signal(&f->come);
	pthread_mutex_unlock(&f->lock);
}

static uint64_t faulty_resize(struct area *area)
{
	return ((struct faulty *)area->state)->size;
}

static void faulty_close(struct area *area)
{
	struct faulty *f = area->state;

	if (!f->threaded)
		return;
	pthread_mutex_lock(&f->lock);
	f->ending = 1;
	pthread_cond_broadcast(&f->come);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	f->ending = 0;
}

static const struct area_type area_type_faulty = {
	.name = "faulty",
	.help = "in memory, with faults",
	.submit = faulty_submit,
	.resize = faulty_resize,
	.close = faulty_close,
};

struct area *faulty_area(struct faulty *f)
{
	struct area *area = NULL;
	char error[256];

	assert_ok(area_new(&area_type_faulty, NULL, NULL, 0, &area, error, sizeof(error)));
	area->state = f;
	area->traits |= AREA_DISCARDS;
	area_resize(area);
	if (f->threaded)
		assert_ok(pthread_create(&f->thread, NULL, faulty_run, f));
	return area;
}
