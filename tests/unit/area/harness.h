/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of areas share: opening, patterns, and an area in memory that fails when told. */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libservices/area.h"

#define assert_ok(r) assert_int_equal(r, 0)

enum { MIB = 1 << 20 };

/* Opens a description like {'file': {'fd': %d}}, with ' for ". Fails the test unless it opens. */
struct area *opened(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The sentence with which it does not open. In a static buffer. */
const char *refusal(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *memory(size_t size); /* aligned; not freed by the tests */
/* Fills with words that depend on the place and the seed. */
void pattern(void *buf, size_t size, uint64_t offset, uint64_t seed);
int is_pattern(const void *buf, size_t size, uint64_t offset, uint64_t seed);
/* Does the area hold that there? */
int holds(struct area *area, uint64_t offset, size_t size, uint64_t seed);
void put(struct area *area, uint64_t offset, size_t size, uint64_t seed, unsigned flags);

/* A new sparse file in a directory of the test's that is removed at the end; its path. */
char *new_file(const char *dir, const char *name, uint64_t size);
char *new_dir(void);
void remove_dir(char *dir);

/*
 * An area in memory, whose bytes outlive it. Errors are given until set back to 0. Transfers complete in a
 * thread of the area if `threaded`; while `hold` is set they wait.
 */
struct faulty {
	uint8_t *bytes;
	uint8_t *stable; /* if not NULL: what a power cut surely leaves; it may differ from bytes in: */
	uint64_t unstable_from, unstable_to;
	uint64_t size;
	int read_error, write_error, flush_error; /* atomic */
	uint64_t error_from, error_to;            /* only there; 0, 0: everywhere */
	int *power;                               /* atomic, may be shared: writes until the power fails */
	int threaded, hold;                       /* hold: atomic */
	int late;                                 /* the next flush answers when faulty_answer() is called */
	struct area_io *answer;
	unsigned reads, writes, fua_writes, flushes, discards;
	pthread_mutex_t lock;
	pthread_cond_t come;
	struct area_io *first, **last;
	pthread_t thread;
	int ending;
};

void faulty_init(struct faulty *f, uint64_t size);
void faulty_fini(struct faulty *f);
void faulty_volatile(struct faulty *f); /* what is neither flushed nor FUA may be lost */
/* The power came back: of what was volatile some blocks are lost, as the seed will have it. */
void faulty_cut(struct faulty *f, unsigned seed);
void faulty_hold(struct faulty *f, int hold);
void faulty_answer(struct faulty *f);
struct area *faulty_area(struct faulty *f);

unsigned dice(unsigned *seed, unsigned sides);

/* An area of that type on these, with options as in opened(). */
struct area *area_on(const char *type, struct area *const *below, unsigned count, const char *config);
struct area *area_try(const char *type, struct area *const *below, unsigned count, const char *config);
const char *refusal_on(int error, const char *type, struct area *const *below, unsigned count,
		       const char *config);
