/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An area is a block address space: `size` bytes that are read and written in multiples of `block` bytes.
 *
 * A volume stands on one. `file` is an image or a block device, `stripe` and `mirror` are made of others.
 * The engine opens the images and hands over descriptors: the descriptor is the capability.
 *
 * What an area promises:
 *  - Any number of threads may submit at once. Transfers that overlap are not ordered: wait for one first.
 *  - A write is durable when it completes with AREA_FUA, or when a flush completes that was submitted after
 *    the write's completion. A power cut may tear it, but not within `block` bytes.
 *  - Each transfer is completed exactly once, whatever happens: `done` runs in a thread of the area or,
 *    even before area_submit returns, in the submitter. It may submit, but not wait.
 *  - The transfer, its iovecs, ranges and memory belong to the area until then, and afterwards no more.
 *  - The result is 0 or -errno, never a part of it. -EIO: the medium failed. -ENOSPC: the host has no room
 *    for a sparse image. -EROFS: opened for reading. -EINVAL, -ENXIO: misaligned, beyond the end.
 *    After a failed write its ranges hold anything.
 *  - A discarded range holds anything until it is written. Discarding is a hint.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libservices/libservice.h"

enum { AREA_BELOW_MAX = 16 };
#define AREA_SIZE_MAX (UINT64_C(1) << 47) /* 128 TiB */

enum area_op { AREA_READ, AREA_WRITE, AREA_FLUSH, AREA_DISCARD };

enum area_io_flags {
	AREA_FUA = 1 << 0, /* of WRITE: durable when completed, without a flush */
};

struct area_range {
	uint64_t offset, length;
};

struct area_ring;
struct area_io;
typedef void area_done(struct area_io *io);

/*
 * One transfer. READ and WRITE move the bytes of the ranges, one after the other, to or from those of the
 * iovecs; both have the same sum. Offsets, lengths, and addresses and lengths of memory are multiples of
 * `block`. FLUSH has neither ranges nor iovecs, DISCARD no iovecs.
 */
struct area_io {
	enum area_op op;
	unsigned flags; /* enum area_io_flags */
	const struct iovec *iov;
	const struct area_range *ranges;
	unsigned iov_count, range_count;
	area_done *done; /* not needed for area_run */
	void *user;      /* the submitter's */
	int result;
	/* The area's, while it has the transfer. */
	uint32_t state;
	struct area_io *next;
	struct area_ring *here; /* not NULL: the submitter runs this ring while it waits; see area/ring.h */
	uint64_t scratch[4];
};

enum area_traits {
	AREA_RDONLY = 1 << 0,
	AREA_DISCARDS = 1 << 1, /* discarding gives room back */
	AREA_BUFFERED = 1 << 2, /* goes through the page cache of the host */
	AREA_THIN = 1 << 3, /* room for a block is found when it is first written, which costs more than to write it again */
};

/* Rings that nobody uses at the moment. */
struct area_rings {
	pthread_mutex_t lock;
	struct area_ring *free;
	int refused; /* the kernel has none for us */
};

struct area {
	const struct area_type *type;
	void *state;
	uint32_t block;  /* a power of two, at most 4096 */
	unsigned traits; /* enum area_traits */
	uint64_t bytes;  /* atomic: area_size() */
	struct area *below[AREA_BELOW_MAX];
	unsigned below_count;
	unsigned spin; /* how long to wait awake */
	struct area_rings rings;
};

/* ---- for those who use areas ----------------------------------------------------------------- */

/*
 * Opens a description, {"<type>": {options..., "below": [area, ...]}}, bottom-up; for example
 * {"mirror": {"below": [{"file": {"fd": 5}}, {"file": {"fd": 6}}]}}. {"mirror": [...]} is short for that.
 * Returns 0, or -errno and a sentence; then what it opened is closed. Descriptors stay the caller's: the
 * area has duplicates.
 */
int area_open(struct json_object *description, struct area **ret, char *error, size_t error_size);
/* Waits for what is under way in the area's threads; the caller's transfers must be done. NULL is fine. */
struct area *area_close(struct area *area);
/* Checks and normalises a description without opening anything, as ls_stack_check does for layers. */
int area_check(struct json_object *description, char *error, size_t error_size);

/* The size in bytes, a multiple of `block`. */
uint64_t area_size(const struct area *area);
/* The same, after looking whether what is below has grown. An area never shrinks. */
uint64_t area_resize(struct area *area);
/* An object that says how it is ("mirror": who is in sync, what is left to copy). The caller's to put. */
struct json_object *area_report(struct area *area);

void area_submit(struct area *area, struct area_io *io);
/*
 * Submits and waits, in the calling thread where that is quickest: the way to a durable write with the
 * least latency. `done` is not called. Returns the result.
 */
int area_run(struct area *area, struct area_io *io);

int area_read(struct area *area, void *buf, size_t length, uint64_t offset);
int area_write(struct area *area, const void *buf, size_t length, uint64_t offset, unsigned flags);
int area_flush(struct area *area);
int area_discard(struct area *area, uint64_t offset, uint64_t length);

/* ---- for those who are areas ----------------------------------------------------------------- */

struct area_type {
	const char *name;
	const char *help;
	unsigned below_min, below_max;
	const struct ls_option *options; /* ends with an entry without a name; NULL: none */
	const char *primary;             /* the option that a bare scalar sets */
	const char *object;              /* not NULL: only described here, the rest is in this object (object.h) */
	/*
	 * Makes the state, sets bytes and block (block and traits start as what fits all below). `config`
	 * is as for layers. On failure returns -errno and writes a sentence to error.
	 */
	int (*open)(struct area *area, struct json_object *config, char *error, size_t error_size);
	void (*close)(struct area *area);
	/* Takes the transfer, which has been checked, and calls area_io_done() once. */
	void (*submit)(struct area *area, struct area_io *io);
	/* Does it in the calling thread. May be NULL. */
	int (*run)(struct area *area, struct area_io *io);
	/* The size as it is now; less than before does not count. May be NULL: never changes. */
	uint64_t (*resize)(struct area *area);
	/* Adds to an object what there is to say. May be NULL. */
	void (*report)(struct area *area, struct json_object *into);
};

/*
 * An area of a given type on given areas: how a test brings its own type into a stack. Takes the areas
 * below, on failure too. `config` is an object or NULL, and not checked; missing options get their
 * fallbacks.
 */
int area_new(const struct area_type *type, struct json_object *config, struct area *const *below,
	     unsigned below_count, struct area **ret, char *error, size_t error_size);
const struct area_type *area_type_find(const char *name);
extern const struct area_type *const area_types[]; /* ends with NULL */

/* Completes a transfer. `io` may be gone when it returns. */
void area_io_done(struct area_io *io, int result);
/* The sum of the lengths of its ranges. */
uint64_t area_io_bytes(const struct area_io *io);
