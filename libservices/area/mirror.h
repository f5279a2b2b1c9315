/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mirror, inside: what is on the medium, and what is in memory.
 *
 * Each area below ("child") begins with MIRROR_DATA bytes of the mirror's own:
 *
 *      0   the head, twice: both are written, one after the other, so that one of them is whole
 *   8192   the map: MIRROR_PAGES pages of one bit a region
 *   1 MiB  the data
 *
 * The head says which children are in sync. Of several heads the one with the highest sequence is right.
 *
 * A bit of the map that is set says: the children may differ here. It is set, durably and on all that are
 * in sync, before a write to its region begins. So after a crash only regions with set bits are copied.
 * While a child is away bits stay set, so that when it returns they are what it has missed. When all are in
 * sync and a region has been left alone for some seconds, its bit is cleared, after a flush of all.
 *
 * Integers are little-endian.
 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>

#include "libservices/area.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "what is on the medium");

enum {
	MIRROR_VERSION = 1,
	MIRROR_BELOW_MAX = 8,
	MIRROR_PAGE = 4096,
	MIRROR_PAGES = 16,
	MIRROR_PAGE_WORDS = 504,
	MIRROR_PAGE_BITS = MIRROR_PAGE_WORDS * 64,
	MIRROR_WORDS = MIRROR_PAGES * MIRROR_PAGE_WORDS,
	MIRROR_BITS = MIRROR_PAGES * MIRROR_PAGE_BITS,
	MIRROR_MAP = 2 * MIRROR_PAGE,
	MIRROR_META = 128 * 1024,                 /* must be zeros where a mirror is to be made */
	MIRROR_PROBE = MIRROR_META - MIRROR_PAGE, /* written to see whether it can be */
	MIRROR_DATA = 1 << 20,
	MIRROR_REGION_MIN = 22, /* 4 MiB */
	MIRROR_REGION_MAX = 40,
};
#define MIRROR_MAGIC "PLTYMIRR"

struct mirror_head {
	char magic[8];
	uint32_t version;
	uint32_t crc;    /* CRC-32C of the page, with 0 here */
	uint8_t set[16]; /* which mirror: random */
	uint64_t sequence;
	uint64_t size; /* of the mirror: no child has less data */
	uint32_t region_shift;
	uint32_t count;   /* of children */
	uint32_t self;    /* this child's number */
	uint32_t in_sync; /* a bit a child */
	/* The sequence that each child's head had surely reached before. One below is an old copy of
	 * itself. */
	uint64_t reached[MIRROR_BELOW_MAX];
	uint8_t pad[MIRROR_PAGE - 128];
};
_Static_assert(sizeof(struct mirror_head) == MIRROR_PAGE, "a page");

struct mirror_page {
	uint8_t set[16];
	uint32_t number;
	uint32_t crc;
	uint8_t pad[40];
	uint64_t bits[MIRROR_PAGE_WORDS];
};
_Static_assert(sizeof(struct mirror_page) == MIRROR_PAGE, "a page");

/* A write, flush or discard on its way to the children. */
struct mirror_io {
	struct mirror *m;
	struct area_io *io;
	TAILQ_ENTRY(mirror_io) entry; /* of active, waiting or unsaved */
	unsigned left;          /* atomic: children under way, and one while they are being submitted */
	uint32_t failed;        /* atomic */
	uint64_t joins;         /* of the mirror, when it began */
	uint32_t targets, have; /* who gets it; who has it */
	int error;              /* atomic: the first */
	struct area_range *ranges;
	struct area_io child[];
};
TAILQ_HEAD(mirror_ios, mirror_io);

struct mirror_map {
	uint64_t dirty[MIRROR_WORDS];   /* as it shall be on the medium */
	uint64_t safe[MIRROR_WORDS];    /* set there, too */
	uint64_t touched[MIRROR_WORDS]; /* written since the last look */
	uint64_t todo[MIRROR_WORDS];    /* to be copied; or, when nobody copies, what may be cleared */
};

/*
 * Children are numbered as in the head, and sets of them are masks. `in_sync` and `copying` are disjoint
 * and both get every write; the others are away.
 */
struct mirror {
	struct area *area;
	struct area *child[MIRROR_BELOW_MAX];
	unsigned count;
	uint32_t all;
	uint8_t set[16];
	unsigned region_shift;
	uint64_t settle_ns, retry_ns;

	pthread_mutex_t lock;      /* of all below */
	pthread_cond_t keep, copy; /* there is something to do for the keeper; for the copier */
	uint32_t in_sync, copying;
	uint32_t saved;   /* in_sync on the medium. A write is acknowledged when all of these have it */
	uint32_t to_tell; /* dropped, and not told yet: may not come back before */
	uint64_t sequence, reached[MIRROR_BELOW_MAX];
	uint64_t joins, joined[MIRROR_BELOW_MAX]; /* how often one did; which of these was each one's last */
	int head_changed;
	uint32_t pages_changed;
	int broken; /* nothing can be saved any more */
	int ending;
	int64_t settle_at;           /* when the keeper looks what it may clear; 0: not yet set */
	struct mirror_ios active;    /* writes at the children */
	struct mirror_ios waiting;   /* writes that may not begin yet */
	struct mirror_ios unsaved;   /* done, but may not be acknowledged yet */
	uint64_t window, window_end; /* being copied: no write may be there; equal: none */
	struct mirror_map *map;
	uint64_t read_errors;
	struct mirror_head *heads; /* the keeper's, one a child; and a page: */
	struct mirror_page *page;
	pthread_t keeper, copier;
	unsigned threads;
};

static inline uint32_t bit(unsigned n)
{
	return 1u << n;
}

/* mirror-head.c */
enum mirror_found { MIRROR_AWAY, MIRROR_BLANK, MIRROR_OTHER, MIRROR_DAMAGED, MIRROR_NEWER, MIRROR_FOUND };
/* What the area begins with. MIRROR_FOUND, MIRROR_NEWER: *ret is its head. `buf` is two pages. */
enum mirror_found mirror_head_read(struct area *area, void *buf, struct mirror_head *ret);
/* The head of child n as things are. */
void mirror_head_fill(const struct mirror *m, unsigned n, struct mirror_head *head);
/*
 * Did this child go on without those that are in sync? Then it cannot return. `reached` is what they know
 * of it: they may have gone on after it, without its having heard that they were in sync.
 */
int mirror_head_apart(const struct mirror_head *head, uint32_t in_sync, uint64_t reached);
int mirror_is_blank(struct area *area);

/* mirror-open.c: finds out who is who. On success the mirror may be used. */
int mirror_judge(struct mirror *m, int create, int adopt, char *error, size_t error_size);

/* mirror-map.c; under the lock */
/* Notes that the transfer's regions are being written. True if that is on the medium already. */
int mirror_map_enter(struct mirror *m, const struct area_io *io);
int mirror_map_load(struct mirror *m, struct area *child);
void mirror_map_fill(struct mirror *m);
void mirror_page_fill(const struct mirror *m, unsigned number, struct mirror_page *page);
int mirror_map_any(const uint64_t *words);
uint64_t mirror_map_count(const uint64_t *words);
/* The first set bit; MIRROR_BITS: none. */
unsigned mirror_map_first(const uint64_t *words);

/* mirror-io.c */
void mirror_submit(struct area *area, struct area_io *io);
int mirror_run(struct area *area, struct area_io *io);
/* The transfer's ranges, as the children have them. */
void mirror_ranges(const struct area_io *io, struct area_range *ret);
/* Under the lock, which it lets go meanwhile: starts what need not wait, acknowledges what is saved. */
void mirror_release(struct mirror *m);
int mirror_window_busy(const struct mirror *m);

/* mirror-read.c */
void mirror_read_submit(struct mirror *m, struct area_io *io);
/* In the calling thread; the ranges are those of the children already. */
int mirror_read(struct mirror *m, struct area_io *io);

/* mirror-keep.c */
/* Under the lock: goes on without those. */
void mirror_drop(struct mirror *m, uint32_t children, int error);
/* Writes what has changed, as the keeper does; under the lock, which it lets go meanwhile. */
void mirror_save(struct mirror *m);
void *mirror_keeper(void *mirror);
/* One line: "mirror: area 1 ('/srv/b.img') <what>". */
void mirror_log(const struct mirror *m, unsigned child, const char *what);

/* mirror-copy.c */
/* Under the lock: a child is back. It gets all writes from now on, and what it has missed is copied. */
void mirror_join(struct mirror *m, unsigned child);
/* Under the lock: those that came back after that many joins. */
uint32_t mirror_joined_since(const struct mirror *m, uint64_t joins);
void *mirror_copier(void *mirror);
