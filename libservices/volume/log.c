/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions.
 *
 * Operations change the memory and add records to the running transaction; each does so between
 * vol_op_begin and vol_op_end, so a transaction has all of an operation or nothing. A commit keeps
 * operations out for the moment that it takes to add the items of the inodes that changed and to put
 * another buffer in place; then it writes the frame, one sequential write, while the next transaction
 * fills.
 *
 * Whoever wants something durable waits until its transaction is. One of those who wait writes, for all.
 *
 * Before the frame the device is flushed if file data has been written to its place since the last flush: a
 * transaction that makes blocks part of a file is only ever durable after their contents.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/vol.h"

enum {
	BUFFER = 64 * 1024,
	AHEAD = 64, /* blocks */
	BUFFER_KEPT = 4 << 20,
	INODE_RECORD = sizeof(struct vf_record) + sizeof(struct vf_inode)
};

/* ---- operations ------------------------------------------------------------------------------ */

int vol_op_begin(struct vol *v, unsigned need)
{
	if (v->rdonly || vol_failed(v))
		return -EROFS;
	if (need && vol_space_available(v) < need)
		return -ENOSPC;
	pthread_rwlock_rdlock(&v->epoch);
	return 0;
}

void vol_op_end(struct vol *v)
{
	/* Whose timer runs commits this, too: it takes the epoch after it has taken back that it does. */
	bool woken = __atomic_load_n(&v->log.idle, __ATOMIC_RELAXED) &&
		     __atomic_exchange_n(&v->log.idle, false, __ATOMIC_RELAXED) &&
		     !__atomic_load_n(&v->keeper_armed, __ATOMIC_SEQ_CST);

	pthread_rwlock_unlock(&v->epoch);
	if (woken)
		vol_keeper_wake(v, &v->keeper_timer);
}

/* ---- records --------------------------------------------------------------------------------- */

static int buffer_grow(uint8_t **buf, size_t *max, size_t used, size_t need)
{
	size_t to = *max ? *max : BUFFER;
	uint8_t *larger;

	while (to < need)
		to *= 2;
	larger = aligned_alloc(VF_BLOCK, to);
	if (!larger)
		return -ENOMEM;
	if (used)
		memcpy(larger, *buf, used);
	free(*buf);
	*buf = larger;
	*max = to;
	return 0;
}

int vol_log_record(struct vol *v, enum vf_record_type type, uint64_t a, uint64_t b, uint32_t arg,
		   const void *payload, unsigned size)
{
	struct vf_record record = {.type = type, .size = size, .arg = arg, .a = a, .b = b};
	struct vol_log *log = &v->log;
	unsigned pad = -size & 7;
	size_t need;
	int r = 0;

	pthread_mutex_lock(&log->lock);
	need = log->size + sizeof(record) + size + pad + VF_BLOCK;
	if (need > log->max)
		r = buffer_grow(&log->buf, &log->max, log->size, need);
	if (r == 0) {
		memcpy(log->buf + log->size, &record, sizeof(record));
		if (size)
			memcpy(log->buf + log->size + sizeof(record), payload, size);
		memset(log->buf + log->size + sizeof(record) + size, 0, pad);
		__atomic_store_n(&log->size, log->size + sizeof(record) + size + pad, __ATOMIC_RELAXED);
		log->records++;
	}
	pthread_mutex_unlock(&log->lock);
	return r < 0 ? vol_fail(v, r, "no memory for the journal") : 0;
}

int vol_put(struct vol *v, struct vf_key key, const void *value, unsigned length)
{
	int r = vol_tree_put(v, key, value, length);

	if (r < 0)
		return vol_fail(v, r, "an item cannot be stored: %s", strerror(-r));
	if (r == 1 && (uint8_t)key.hi == VF_INODE)
		__atomic_add_fetch(&v->stored_inodes, 1, __ATOMIC_RELAXED);
	return vol_log_record(v, VF_PUT, key.hi, key.lo, 0, value, length);
}

int vol_del(struct vol *v, struct vf_key key)
{
	int r = vol_tree_del(v, key);

	if (r < 0)
		return vol_fail(v, r, "an item cannot be removed: %s", strerror(-r));
	if (r == 1 && (uint8_t)key.hi == VF_INODE)
		__atomic_sub_fetch(&v->stored_inodes, 1, __ATOMIC_RELAXED);
	return r == 0 ? 0 : vol_log_record(v, VF_DEL, key.hi, key.lo, 0, NULL, 0);
}

int vol_use_blocks(struct vol *v, uint64_t start, uint64_t count)
{
	int r = vol_space_use(v, start, count);

	if (r < 0)
		return vol_fail(v, r, "blocks cannot be taken: %s", strerror(-r));
	return vol_log_record(v, VF_ALLOC, start, count, 0, NULL, 0);
}

int vol_free_blocks(struct vol *v, uint64_t start, uint64_t count)
{
	struct vol_log *log = &v->log;
	int r = vol_space_free(v, start, count);

	if (r == 0) {
		pthread_mutex_lock(&log->lock);
		r = vol_ranges_add(&log->freed, start, count);
		pthread_mutex_unlock(&log->lock);
	}
	if (r < 0)
		return vol_fail(v, r, "blocks cannot be freed: %s", strerror(-r));
	return vol_log_record(v, VF_FREE, start, count, 0, NULL, 0);
}

/* ---- commits --------------------------------------------------------------------------------- */

struct frame {
	uint8_t *buf;
	size_t size, max, padded;
	struct vol_ranges freed;
	uint64_t seq, place;
};

/* With epoch held alone: the running transaction ends, the next one begins. *ret_any: it has something. */
static int transaction_end(struct vol *v, struct frame *f, bool *ret_any)
{
	struct vol_log *log = &v->log;
	int r = vol_inodes_store(v);

	if (r < 0)
		return r;
	*ret_any = log->records > 0;
	if (!*ret_any)
		return 0;
	f->padded = (log->size + VF_BLOCK - 1) & ~(size_t)(VF_BLOCK - 1);
	if (f->padded / VF_BLOCK > v->super.journal_blocks - (log->head - log->tail) ||
	    f->padded > v->super.journal_blocks * VF_BLOCK / 2)
		return vol_fail(v, -EIO, "a transaction does not fit into the journal");
	if (log->spare_max < BUFFER) {
		r = buffer_grow(&log->spare, &log->spare_max, 0, BUFFER);
		if (r < 0)
			return vol_fail(v, r, "no memory for the journal");
	}
	memset(log->buf + log->size, 0, f->padded - log->size);
	*(struct vf_frame *)log->buf = (struct vf_frame){.magic = VF_FRAME_MAGIC,
							 .seq = log->seq,
							 .generation = v->super.generation,
							 .size = log->size,
							 .records = log->records};
	memcpy(((struct vf_frame *)log->buf)->uuid, v->super.uuid, sizeof(v->super.uuid));
	*f = (struct frame){log->buf, log->size, log->max, f->padded, log->freed, log->seq, log->head};
	log->buf = log->spare;
	log->max = log->spare_max;
	log->spare = NULL;
	log->spare_max = 0;
	log->freed = (struct vol_ranges){0};
	__atomic_store_n(&log->size, sizeof(struct vf_frame), __ATOMIC_RELAXED);
	log->records = 0;
	__atomic_store_n(&log->seq, log->seq + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&log->head, log->head + f->padded / VF_BLOCK, __ATOMIC_RELAXED);
	__atomic_store_n(&log->idle, true, __ATOMIC_RELAXED);
	return 0;
}

static int flush_data(struct vol *v)
{
	uint64_t written = __atomic_load_n(&v->data_written, __ATOMIC_ACQUIRE);
	int r;

	if (__atomic_load_n(&v->data_flushed, __ATOMIC_ACQUIRE) >= written ||
	    v->skip == VOL_SKIP_DATA_FLUSH)
		return 0;
	r = area_flush(v->area);
	if (r < 0)
		return r;
	pthread_mutex_lock(&v->log.lock);
	if (v->data_flushed < written)
		__atomic_store_n(&v->data_flushed, written, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&v->log.lock);
	return 0;
}

/*
 * How many free blocks behind a frame are to be written along with it. Where the host has to find room for a block
 * that is written for the first time, and to make that durable, it writes several times: better for many blocks at
 * once. They are to be found once round the ring.
 */
static unsigned blocks_ahead(struct vol *v, const struct frame *f)
{
	uint64_t end = f->place + f->padded / VF_BLOCK, ring = v->super.journal_blocks, at = end % ring;
	uint64_t n = (AHEAD - at % AHEAD) % AHEAD;
	struct vol_log *log = &v->log;

	if (end <= log->thin_from)
		return 0;
	n = at + n <= ring ? n : ring - at;
	if (end + n > __atomic_load_n(&log->tail, __ATOMIC_RELAXED) + ring)
		n = 0;
	log->thin_from = end + n;
	return n;
}

/* Zeros, which are no frame. */
static unsigned ahead_add(struct vol *v, const struct frame *f, void *zeros, struct iovec *iov)
{
	unsigned n = zeros ? blocks_ahead(v, f) : 0;

	if (n)
		memset(zeros, 0, VF_BLOCK);
	for (unsigned i = 0; i < n; i++)
		iov[i] = (struct iovec){zeros, VF_BLOCK};
	return n;
}

static int frame_write(struct vol *v, struct frame *f)
{
	uint64_t ring = v->super.journal_blocks, at = f->place % ring, first = ring - at;
	void *zeros = v->log.thin_from < v->log.thin_end ? vol_buffer_get(v) : NULL;
	struct vf_frame *head = (struct vf_frame *)f->buf;
	struct iovec iov[1 + AHEAD] = {{f->buf, f->padded}};
	unsigned ahead = ahead_add(v, f, zeros, iov + 1);
	struct area_range range[2] = {{(v->super.journal_start + at) * VF_BLOCK, f->padded + ahead * VF_BLOCK}};
	struct area_io io = {.op = AREA_WRITE,
			     .flags = v->skip == VOL_SKIP_COMMIT_FUA ? 0 : AREA_FUA,
			     .iov = iov,
			     .ranges = range,
			     .iov_count = 1 + ahead,
			     .range_count = 1};
	int r;

	if (first * VF_BLOCK < f->padded) {
		range[0].length = first * VF_BLOCK;
		range[1] =
		    (struct area_range){v->super.journal_start * VF_BLOCK, f->padded + ahead * VF_BLOCK - range[0].length};
		io.range_count = 2;
	}
	head->crc = crc32c(0, f->buf, f->size);
	r = area_run(v->area, &io);
	if (zeros)
		vol_buffer_put(v, zeros);
	return r;
}

/* The frame is on the medium, or never will be. */
static void frame_done(struct vol *v, struct frame *f)
{
	struct vol_log *log = &v->log;

	vol_space_settle(v, &f->freed, &v->space.data_hint);
	vol_ranges_fini(&f->freed);
	pthread_mutex_lock(&log->lock);
	if (!log->spare && f->max <= BUFFER_KEPT) {
		log->spare = f->buf;
		log->spare_max = f->max;
		f->buf = NULL;
	}
	pthread_mutex_unlock(&log->lock);
	free(f->buf);
}

/* By one thread at a time. */
static int commit_run(struct vol *v, struct vol_snapshot *snap)
{
	struct vol_log *log = &v->log;
	struct frame f = {0};
	bool any = false;
	int r;

	if (vol_failed(v))
		return -EROFS;
	pthread_rwlock_wrlock(&v->epoch);
	r = transaction_end(v, &f, &any);
	if (r == 0 && snap)
		vol_snapshot_take(v, snap, log->head, log->seq);
	pthread_rwlock_unlock(&v->epoch);
	if (r < 0)
		return r;
	r = flush_data(v);
	if (r == 0 && any)
		r = frame_write(v, &f);
	if (r < 0)
		vol_fail(v, r, "the journal cannot be written: %s", strerror(-r));
	if (any) {
		if (r == 0)
			__atomic_store_n(&log->durable, f.seq, __ATOMIC_RELEASE);
		frame_done(v, &f);
	}
	return r < 0 ? -EIO : 0;
}

static bool is_durable(const struct vol_log *log, uint64_t seq)
{
	return __atomic_load_n(&log->durable, __ATOMIC_ACQUIRE) >= seq;
}

/* Waits until it is this thread's turn to commit, or until `seq` is durable (0: never is). */
static bool commit_turn(struct vol *v, uint64_t seq)
{
	struct vol_log *log = &v->log;

	pthread_mutex_lock(&log->commit_lock);
	while (log->committing && !(seq && is_durable(log, seq)))
		pthread_cond_wait(&log->commit_done, &log->commit_lock);
	if (seq && is_durable(log, seq)) {
		pthread_mutex_unlock(&log->commit_lock);
		return false;
	}
	log->committing = true;
	pthread_mutex_unlock(&log->commit_lock);
	return true;
}

static void commit_turn_end(struct vol *v)
{
	pthread_mutex_lock(&v->log.commit_lock);
	v->log.committing = false;
	pthread_cond_broadcast(&v->log.commit_done);
	pthread_mutex_unlock(&v->log.commit_lock);
}

int vol_log_commit(struct vol *v, uint64_t seq)
{
	int r;

	if (is_durable(&v->log, seq))
		return 0;
	if (!commit_turn(v, seq))
		return 0;
	r = commit_run(v, NULL);
	commit_turn_end(v);
	return r;
}

int vol_log_commit_snapshot(struct vol *v, struct vol_snapshot *snap)
{
	int r;

	commit_turn(v, 0);
	r = commit_run(v, snap);
	commit_turn_end(v);
	return r;
}

int vol_data_flush(struct vol *v)
{
	int r = flush_data(v);

	return r < 0 ? vol_fail(v, -EIO, "the device cannot be flushed: %s", strerror(-r)) : 0;
}

int vol_sync_to(struct vol *v, uint64_t seq)
{
	int r = vol_log_commit(v, seq);

	if (r == 0)
		r = vol_data_flush(v);
	return r == -EROFS ? -EIO : r; /* it was not when the change was made */
}

int vol_log_flush(struct vol *v)
{
	uint64_t seq = __atomic_load_n(&v->log.seq, __ATOMIC_RELAXED);
	int r = vol_log_commit(v, seq);

	/* Data that was written over older data has no part in any transaction. */
	return r < 0 ? r : vol_data_flush(v);
}

uint64_t vol_log_pending(const struct vol *v)
{
	return __atomic_load_n(&v->log.size, __ATOMIC_RELAXED) +
	       __atomic_load_n(&v->dirty_inode_count, __ATOMIC_RELAXED) * INODE_RECORD;
}

uint64_t vol_log_used(const struct vol *v)
{
	const struct vol_log *log = &v->log;
	uint64_t blocks =
	    __atomic_load_n(&log->head, __ATOMIC_RELAXED) - __atomic_load_n(&log->tail, __ATOMIC_RELAXED);

	return blocks * VF_BLOCK + vol_log_pending(v);
}

int vol_log_init(struct vol *v)
{
	struct vol_log *log = &v->log;

	pthread_mutex_init(&log->lock, NULL);
	pthread_mutex_init(&log->commit_lock, NULL);
	pthread_cond_init(&log->commit_done, NULL);
	log->size = sizeof(struct vf_frame);
	log->idle = true;
	return buffer_grow(&log->buf, &log->max, 0, BUFFER);
}

void vol_log_fini(struct vol *v)
{
	struct vol_log *log = &v->log;

	free(log->buf);
	free(log->spare);
	vol_ranges_fini(&log->freed);
	pthread_mutex_destroy(&log->lock);
	pthread_mutex_destroy(&log->commit_lock);
	pthread_cond_destroy(&log->commit_done);
}
