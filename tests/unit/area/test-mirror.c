/* SPDX-License-Identifier: Apache-2.0 */
/* Mirrors: made, written, read, degraded, opened again; and what they refuse. */
#include <json-c/json.h>
#include <stdio.h>
#include <sys/stat.h>

#include "libservices/crc32c.h"
#include "tests/unit/area/mirrors.h"

#define NEW "{'create': true, 'retry': '0', 'settle': '1h'}"
#define OLD "{'retry': '0', 'settle': '1h'}"

static int setup_as(void **state, unsigned count, int threaded)
{
	struct pair *p = malloc(sizeof(*p));

	pair_init(p, count, MIRROR_TEST_SIZE);
	for (unsigned i = 0; i < count; i++)
		p->f[i].threaded = threaded;
	pair_open(p, 0, NEW);
	*state = p;
	return 0;
}

static int setup(void **state)
{
	return setup_as(state, 2, 0);
}

static int setup_three(void **state)
{
	return setup_as(state, 3, 0);
}

static int setup_threaded(void **state)
{
	return setup_as(state, 2, 1);
}

static int teardown(void **state)
{
	pair_fini(*state);
	free(*state);
	return 0;
}

static void all_hold_what_is_written(void **state)
{
	struct pair *p = *state;

	assert_int_equal(area_size(p->area), MIRROR_TEST_SIZE - MIRROR_DATA);
	put(p->area, 0, 8192, 1, AREA_FUA);
	put(p->area, 7 * MIB - 4096, 3 * MIB, 2, 0);
	assert_ok(area_flush(p->area));
	for (unsigned i = 0; i < p->count; i++) {
		assert_true(is_pattern(p->f[i].bytes + MIRROR_DATA, 8192, 0, 1));
		assert_true(is_pattern(p->f[i].bytes + MIRROR_DATA + 7 * MIB - 4096, 3 * MIB,
				       7 * MIB - 4096, 2));
		assert_int_equal(p->f[i].flushes, 1);
	}
	assert_true(holds(p->area, 0, 8192, 1));
	assert_string_equal(pair_state(p),
			    p->count == 2 ? "in sync, in sync" : "in sync, in sync, in sync");
}

static void reads_fail_over(void **state)
{
	struct pair *p = *state;

	put(p->area, 0, 4 * MIB, 1, AREA_FUA);
	for (unsigned bad = 0; bad < 2; bad++) {
		p->f[bad].read_error = -EIO;
		assert_true(holds(p->area, 0, 4096, 1)); /* in this thread */
		assert_true(holds(p->area, MIB, MIB, 1));
		p->f[bad].read_error = 0;
	}
	assert_true(pair_report(p, "read_errors") >= 2);
	assert_string_equal(pair_state(p), "in sync, in sync");
	p->f[0].read_error = p->f[1].read_error = -EIO;
	assert_int_equal(area_read(p->area, p->f[0].bytes, 4096, 0), -EIO);
}

struct waiter {
	struct area_io io;
	struct area_range range[2];
	struct iovec iov;
	struct pair *p;
	int done;
	uint32_t in_sync_at_ack; /* as child 0's medium had it */
};

static void waiter_done(struct area_io *io)
{
	struct waiter *w = io->user;

	w->in_sync_at_ack = pair_head(w->p, 0).in_sync;
	__atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
}

static void waiter_start(struct waiter *w, struct pair *p, enum area_op op, uint64_t offset, uint64_t seed)
{
	*w = (struct waiter){.p = p};
	w->range[0] = (struct area_range){offset, 8192};
	w->range[1] = (struct area_range){offset + MIB, 8192};
	w->iov = (struct iovec){memory(16384), 16384};
	pattern(w->iov.iov_base, 16384, 0, seed);
	w->io = (struct area_io){.op = op,
				 .iov = &w->iov,
				 .iov_count = 1,
				 .ranges = w->range,
				 .range_count = 2,
				 .done = waiter_done,
				 .user = w};
	if (op == AREA_FLUSH)
		w->io.iov_count = w->io.range_count = 0;
	area_submit(p->area, &w->io);
}

static int waiter_end(struct waiter *w)
{
	for (int i = 0; i < 10000 && !__atomic_load_n(&w->done, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	assert_true(w->done);
	free(w->iov.iov_base);
	return w->io.result;
}

static void async_reads_fail_over(void **state)
{
	struct pair *p = *state;
	struct waiter w;

	put(p->area, 0, 4 * MIB, 1, 0);
	for (unsigned bad = 0; bad < 2; bad++) {
		p->f[bad].read_error = -EIO;
		waiter_start(&w, p, AREA_READ, 0, 9);
		assert_ok(waiter_end(&w));
		p->f[bad].read_error = 0;
	}
	p->f[0].read_error = p->f[1].read_error = -EIO;
	waiter_start(&w, p, AREA_READ, 0, 9);
	assert_int_equal(waiter_end(&w), -EIO);
}

/* The medium says so before the write that failed there is acknowledged. */
static void who_fails_is_dropped_first(void **state)
{
	struct pair *p = *state;
	uint64_t before = pair_head(p, 0).sequence;
	struct waiter w;

	p->f[1].write_error = -EIO;
	waiter_start(&w, p, AREA_WRITE, 0, 1);
	assert_ok(waiter_end(&w));
	assert_int_equal(w.in_sync_at_ack, 1);
	assert_int_equal(pair_head(p, 0).sequence, before + 1);
	assert_string_equal(pair_state(p), "in sync, away");
	assert_int_equal(pair_head(p, 1).in_sync, 3); /* it could not be told */
	put(p->area, 4096, 4096, 2, AREA_FUA);
	assert_true(holds(p->area, 4096, 4096, 2));
}

/* Marks are written to both and heads to the survivor: none of these may be the reason that it goes on. */
static void a_failing_flush_drops_too(void **state)
{
	struct pair *p = *state;
	struct waiter w;

	put(p->area, 0, 4096, 1, 0);
	p->f[1].flush_error = -EIO;
	waiter_start(&w, p, AREA_FLUSH, 0, 0);
	assert_ok(waiter_end(&w));
	assert_int_equal(w.in_sync_at_ack, 1);
	for (int i = 0; i < 1000 && pair_head(p, 1).in_sync != 1; i++)
		usleep(1000);
	assert_int_equal(pair_head(p, 1).in_sync, 1); /* it is told that it is out */
}

/* The mirror as NEW has it, but with who failed tried again soon. */
static struct pair *opened_with_retries(struct pair *p)
{
	pair_close(p);
	pair_open(p, 0, "{'retry': '5ms', 'settle': '1h'}");
	return p;
}

/* It failed a flush, was dropped for another, and is back when the first one's answer comes. */
static void a_late_failure_is_not_one_of_now(void **state)
{
	struct pair *p = opened_with_retries(*state);
	struct waiter w;

	put(p->area, 0, 4096, 1, 0);
	p->f[0].flush_error = -EIO;
	p->f[0].late = 1;
	waiter_start(&w, p, AREA_FLUSH, 0, 0);
	assert_ok(area_flush(p->area));
	p->f[0].flush_error = 0;
	pair_wait(p, "in sync, in sync");
	p->f[1].write_error = -EIO;
	put(p->area, 0, 4096, 2, AREA_FUA);
	assert_string_equal(pair_state(p), "in sync, away");
	faulty_answer(&p->f[0]);
	assert_ok(waiter_end(&w));
	put(p->area, 4096, 4096, 3, AREA_FUA);
	assert_true(holds(p->area, 0, 4096, 2));
}

/* Of one who was not there when it began, nothing is to come. */
static void a_flush_ends_though_one_came_back(void **state)
{
	struct pair *p = opened_with_retries(*state);
	struct waiter w;

	p->f[0].write_error = -EIO;
	put(p->area, 0, 4096, 1, 0);
	p->f[1].late = 1;
	waiter_start(&w, p, AREA_FLUSH, 0, 0);
	p->f[0].write_error = 0;
	pair_wait(p, "in sync, in sync");
	put(p->area, 8 * MIB, 4096, 2, AREA_FUA); /* the head says so, too */
	faulty_answer(&p->f[1]);
	assert_ok(waiter_end(&w));
}

static void a_write_waits_for_its_mark(void **state)
{
	struct pair *p = *state;
	struct waiter w;

	assert_false(pair_marked(p, 0));
	faulty_hold(&p->f[1], 1);
	waiter_start(&w, p, AREA_WRITE, 5 * MIB, 1);
	usleep(50000);
	assert_false(w.done);
	assert_false(is_pattern(p->f[0].bytes + MIRROR_DATA + 5 * MIB, 8192, 0, 1));
	faulty_hold(&p->f[1], 0);
	assert_ok(waiter_end(&w));
	assert_true(pair_marked(p, 0) && pair_marked(p, 1));
	assert_true(is_pattern(p->f[0].bytes + MIRROR_DATA + 5 * MIB, 8192, 0, 1));
}

static void when_all_fail_it_is_an_error(void **state)
{
	struct pair *p = *state;
	uint8_t *buf = memory(4096);

	put(p->area, 0, 4096, 1, 0);
	memset(buf, 5, 4096);
	p->f[0].write_error = p->f[1].write_error = -ENOSPC;
	p->f[0].error_from = p->f[1].error_from = MIRROR_DATA;
	p->f[0].error_to = p->f[1].error_to = UINT64_MAX;
	assert_int_equal(area_write(p->area, buf, 4096, 0, AREA_FUA), -ENOSPC);
	p->f[0].write_error = p->f[1].write_error = 0;
	assert_ok(area_write(p->area, buf, 4096, 4096, AREA_FUA));
	pair_close(p);
	pair_open(p, 0, OLD);
	pair_wait(p, "in sync, in sync");
	assert_true(pair_same(p));
	free(buf);
}

/* It cannot even say that the other is out. */
static void without_a_medium_it_is_lost(void **state)
{
	struct pair *p = *state;
	uint8_t *buf = memory(4096);

	put(p->area, 0, 4096, 1, 0);
	p->f[0].write_error = p->f[1].write_error = -EIO;
	memset(buf, 5, 4096);
	assert_int_equal(area_write(p->area, buf, 4096, 0, AREA_FUA), -EIO);
	assert_int_equal(area_write(p->area, buf, 4096, 8 * MIB, AREA_FUA), -EIO);
	assert_int_equal(area_flush(p->area), -EIO);
	assert_ok(area_read(p->area, buf, 4096, 0));
	free(buf);
}

static void who_was_away_catches_up(void **state)
{
	struct pair *p = *state;
	unsigned writes;

	put(p->area, 0, 16 * MIB, 1, AREA_FUA);
	pair_close(p);
	pair_open(p, 2, OLD); /* without B */
	assert_string_equal(pair_state(p), "in sync, away");
	assert_int_equal(pair_head(p, 0).in_sync, 1);
	put(p->area, 9 * MIB, 4096, 2, AREA_FUA);
	pair_close(p);
	writes = __atomic_load_n(&p->f[1].writes, __ATOMIC_RELAXED);
	pair_open(p, 0, OLD);
	pair_wait(p, "in sync, in sync");
	assert_true(pair_same(p));
	assert_true(__atomic_load_n(&p->f[1].writes, __ATOMIC_RELAXED) - writes <
		    40); /* one region, of which one step; heads and the map */
	pair_close(p);
	pair_open(p, 1, OLD); /* B alone */
	assert_true(holds(p->area, 9 * MIB, 4096, 2));
	assert_true(holds(p->area, 0, MIB, 1));
}

static void the_order_of_areas_does_not_matter(void **state)
{
	struct pair *p = *state;
	struct area *children[2];

	put(p->area, 0, MIB, 1, AREA_FUA);
	pair_close(p);
	pair_open(p, 2, OLD);
	put(p->area, 0, MIB, 2, AREA_FUA);
	pair_close(p);
	children[0] = faulty_area(&p->f[1]);
	children[1] = faulty_area(&p->f[0]);
	p->area = area_on("mirror", children, 2, OLD);
	assert_true(holds(p->area, 0, MIB, 2));
	pair_wait(p, "in sync, in sync");
	assert_true(pair_same(p));
}

static void a_new_one_is_adopted(void **state)
{
	struct pair *p = *state;

	put(p->area, 3 * MIB, 8 * MIB, 1, AREA_FUA);
	pair_close(p);
	memset(p->f[0].bytes, 0, MIRROR_TEST_SIZE);
	assert_non_null(strstr(pair_refusal(p, 0, OLD), "area 0 is blank: 'adopt: true'"));
	pair_open(p, 0, "{'adopt': true}");
	put(p->area, 12 * MIB, 8 * MIB, 2, AREA_FUA);
	pair_wait(p, "in sync, in sync");
	assert_true(pair_same(p));
	pair_close(p);
	pair_open(p, 2, OLD);
	assert_true(holds(p->area, 3 * MIB, 8 * MIB, 1));
	assert_true(holds(p->area, 12 * MIB, 8 * MIB, 2));
}

static void three_go_down_to_one(void **state)
{
	struct pair *p = *state;

	put(p->area, 0, 4096, 1, AREA_FUA);
	p->f[1].write_error = -EIO;
	put(p->area, 0, 4096, 2, AREA_FUA);
	assert_string_equal(pair_state(p), "in sync, away, in sync");
	p->f[0].write_error = -EIO;
	put(p->area, 0, 4096, 3, AREA_FUA);
	assert_string_equal(pair_state(p), "away, away, in sync");
	p->f[0].write_error = p->f[1].write_error = 0;
	pair_close(p);
	pair_open(p, 0, OLD);
	assert_true(holds(p->area, 0, 4096, 3));
	pair_wait(p, "in sync, in sync, in sync");
	assert_true(pair_same(p));
}

static void rewrite_head(struct pair *p, unsigned n, void (*change)(struct mirror_head *head))
{
	for (int copy = 0; copy < 2; copy++) {
		struct mirror_head *head = (struct mirror_head *)(p->f[n].bytes + copy * MIRROR_PAGE);
		change(head);
		head->crc = 0;
		head->crc = crc32c(0, head, sizeof(*head));
	}
}

static void to_version_2(struct mirror_head *head)
{
	head->version = 2;
}

static void to_other_set(struct mirror_head *head)
{
	head->set[3]++;
}

static void to_three(struct mirror_head *head)
{
	head->count = 3;
}

static void to_larger(struct mirror_head *head)
{
	head->size += MIB;
}

static void what_is_wrong_is_said(void **state)
{
	struct pair *p = *state;
	uint8_t *saved = malloc(MIRROR_META);

#define REFUSED(what, text)                                                                                \
	do {                                                                                               \
		memcpy(saved, p->f[1].bytes, MIRROR_META);                                                 \
		what;                                                                                      \
		assert_non_null(strstr(pair_refusal(p, 0, "{'create': true}"), text));                     \
		memcpy(p->f[1].bytes, saved, MIRROR_META);                                                 \
	} while (0)
	put(p->area, 0, 4096, 1, AREA_FUA);
	pair_close(p);
	REFUSED(rewrite_head(p, 1, to_version_2),
		"area 1 is of a mirror of version 2; this program knows version 1");
	REFUSED(rewrite_head(p, 1, to_other_set), "area 1 is of another mirror");
	REFUSED(rewrite_head(p, 1, to_three), "area 1 is of a mirror of 3 areas: 2 are given");
	REFUSED(memcpy(p->f[1].bytes, p->f[0].bytes, MIRROR_META), "area 1 is a copy of area 0");
	REFUSED((p->f[1].bytes[100]++, p->f[1].bytes[4196]++), "area 1 has a damaged head");
	REFUSED(memset(p->f[1].bytes, 'x', MIRROR_META),
		"area 1 holds something that is not part of a mirror");
	REFUSED(memset(p->f[1].bytes, 0, MIRROR_META), "area 1 is blank");
	REFUSED((rewrite_head(p, 1, to_larger), rewrite_head(p, 0, to_larger)), "is too small");
#undef REFUSED
	free(saved);
}

/* One copy of a head is enough. */
static void half_a_head_is_a_head(void **state)
{
	struct pair *p = *state;

	put(p->area, 0, 4096, 1, AREA_FUA);
	pair_close(p);
	p->f[0].bytes[77] ^= 1;
	p->f[1].bytes[MIRROR_PAGE + 77] ^= 1;
	pair_open(p, 0, OLD);
	assert_true(holds(p->area, 0, 4096, 1));
}

static void both_alone_is_apart(void **state)
{
	struct pair *p = *state;

	put(p->area, 0, 4096, 1, AREA_FUA);
	pair_close(p);
	pair_open(p, 2, OLD);
	put(p->area, 0, 4096, 2, AREA_FUA);
	pair_close(p);
	pair_open(p, 1, OLD);
	put(p->area, 0, 4096, 3, AREA_FUA);
	pair_close(p);
	/* Both have the same sequence and say something else. */
	assert_non_null(strstr(pair_refusal(p, 0, OLD), "something else than area 0"));
	pair_open(p, 1, OLD);
	p->f[1].flush_error = 0;
	pair_close(p);
	pair_open(p, 2, OLD);
	pair_close(p);
	memset(p->f[0].bytes, 0, MIRROR_META);
	pair_open(p, 0, "{'adopt': true}");
	pair_wait(p, "in sync, in sync");
	assert_true(holds(p->area, 0, 4096, 3));
}

static void to_later(struct mirror_head *head)
{
	head->sequence += 5;
}

/* A goes on alone twice, B once: their sequences differ, and they went apart all the same. */
static void apart_with_different_sequences(void **state)
{
	struct pair *p = *state;

	put(p->area, 0, 4096, 1, AREA_FUA);
	pair_close(p);
	pair_open(p, 2, OLD);
	pair_close(p);
	rewrite_head(p, 0, to_later);
	pair_open(p, 1, OLD);
	pair_close(p);
	assert_non_null(strstr(pair_refusal(p, 0, OLD), "area 1 was written without area 0"));
}

static void an_old_copy_is_refused(void **state)
{
	struct pair *p = *state;
	uint8_t *old = malloc(MIRROR_TEST_SIZE);

	pair_close(p);
	memcpy(old, p->f[1].bytes, MIRROR_TEST_SIZE);
	for (int i = 0; i < 3; i++) { /* B leaves and returns */
		pair_open(p, 2, OLD);
		put(p->area, 0, 4096, i, AREA_FUA);
		pair_close(p);
		pair_open(p, 0, OLD);
		pair_wait(p, "in sync, in sync");
		pair_close(p);
	}
	memcpy(p->f[1].bytes, old, MIRROR_TEST_SIZE);
	assert_non_null(
		strstr(pair_refusal(p, 0, OLD), "area 1 is an old copy of itself: its sequence is 1"));
	free(old);
}

/* The one that is there knows that it is not the right one. */
static void the_stale_one_does_not_serve(void **state)
{
	struct pair *p = *state;

	put(p->area, 0, 4096, 1, 0);
	p->f[1].flush_error = -EIO;
	assert_ok(area_flush(p->area));
	for (int i = 0; i < 1000 && pair_head(p, 1).in_sync != 1; i++)
		usleep(1000);
	pair_close(p);
	assert_non_null(strstr(pair_refusal(p, 1, OLD), "the areas that were in sync last are not there"));
}

static void blank_ones_need_a_word(void **state)
{
	struct pair q;

	pair_init(&q, 2, MIRROR_TEST_SIZE);
	assert_non_null(strstr(pair_refusal(&q, 0, "{}"), "all areas are blank: 'create: true'"));
	assert_non_null(strstr(pair_refusal(&q, 2, "{'create': true}"), "area 1 cannot be read"));
	q.f[0].bytes[100000] = 1;
	assert_non_null(strstr(pair_refusal(&q, 0, "{'create': true}"), "area 0 holds something"));
	q.f[0].bytes[100000] = 0;
	q.f[0].size = q.f[1].size = MIRROR_DATA;
	assert_non_null(strstr(pair_refusal(&q, 0, "{'create': true}"), "smaller than 2 MiB"));
	q.f[0].size = q.f[1].size = MIRROR_TEST_SIZE;
	pair_open(&q, 0, "{'create': true}");
	put(q.area, 0, 4096, 1, 0);
	pair_close(&q);
	pair_open(&q, 0, "{'create': true}"); /* may stay in the pool file */
	assert_true(holds(q.area, 0, 4096, 1));
	pair_fini(&q);
}

static void reading_only_writes_nothing(void **state)
{
	char *dir = new_dir(), *a = new_file(dir, "a", 8 * MIB), *b = new_file(dir, "b", 8 * MIB);
	struct area *area =
		opened("{'mirror': {'create': true, 'below': [{'file': '%s'}, {'file': '%s'}]}}", a, b);
	struct stat before, after;
	uint8_t *buf = memory(4096);

	put(area, 0, 4096, 1, 0);
	area_close(area);
	area = opened("{'mirror': [{'file': '%s'}, {'missing': 'b'}]}", a);
	put(area, 0, 4096, 2, 0);
	area_close(area);
	assert_ok(stat(b, &before));
	area = opened("{'mirror': [{'file': {'path': '%s', 'read_only': true}}, {'file': {'path': '%s', "
		      "'read_only': true}}]}",
		      b, a);
	assert_true(holds(area, 0, 4096, 2));
	assert_int_equal(area_write(area, buf, 4096, 0, 0), -EROFS);
	area_close(area);
	assert_ok(stat(b, &after));
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	free(buf);
	free(a);
	free(b);
	remove_dir(dir);
}

static void a_quiet_mirror_is_clean(void **state)
{
	struct pair p;

	pair_init(&p, 2, MIRROR_TEST_SIZE);
	pair_open(&p, 0, "{'create': true, 'settle': '20ms'}");
	put(p.area, 0, 4096, 1, 0);
	assert_true(pair_marked(&p, 0));
	for (int i = 0; i < 2000 && (pair_marked(&p, 0) || pair_marked(&p, 1)); i++)
		usleep(1000);
	assert_false(pair_marked(&p, 0) || pair_marked(&p, 1));
	assert_true(p.f[0].flushes > 0 && p.f[1].flushes > 0);
	put(p.area, 0, 4096, 2, 0);
	assert_true(pair_marked(&p, 0) && pair_marked(&p, 1));
	pair_close(&p); /* what is closed is clean */
	assert_false(pair_marked(&p, 0) || pair_marked(&p, 1));
	pair_fini(&p);
}

/* 64 TiB, in sparse files; what a mirror of that size costs. */
static void huge_ones(void **state)
{
	uint64_t size = (UINT64_C(64) << 40) + MIRROR_DATA;
	char *a = new_file("/dev/shm", "polytropon-area-a", size),
	     *b = new_file("/dev/shm", "polytropon-area-b", size);
	struct area *area =
		opened("{'mirror': {'create': true, 'below': [{'file': '%s'}, {'file': '%s'}]}}", a, b);

	assert_int_equal(area_size(area), UINT64_C(64) << 40);
	put(area, (UINT64_C(64) << 40) - MIB, MIB, 1, AREA_FUA);
	put(area, UINT64_C(33) << 40, MIB, 2, AREA_FUA);
	area_close(area);
	area = opened("{'mirror': [{'file': '%s'}, {'missing': 'b'}]}", a);
	put(area, (UINT64_C(64) << 40) - 8192, 4096, 3, AREA_FUA);
	area_close(area);
	area = opened("{'mirror': [{'missing': 'a'}, {'file': '%s'}]}", b);
	assert_true(holds(area, UINT64_C(33) << 40, MIB, 2));
	assert_true(holds(area, (UINT64_C(64) << 40) - MIB, 4096, 1));
	area_close(area);
	unlink(a);
	unlink(b);
	free(a);
	free(b);
}

static void it_grows_with_all(void **state)
{
	struct pair *p = *state;

	pair_close(p);
	p->f[0].size = p->f[1].size = MIRROR_TEST_SIZE / 2;
	memset(p->f[0].bytes, 0, MIRROR_META);
	memset(p->f[1].bytes, 0, MIRROR_META);
	pair_open(p, 0, NEW);
	assert_int_equal(area_size(p->area), MIRROR_TEST_SIZE / 2 - MIRROR_DATA);
	p->f[0].size = MIRROR_TEST_SIZE;
	assert_int_equal(area_resize(p->area), MIRROR_TEST_SIZE / 2 - MIRROR_DATA);
	p->f[1].size = MIRROR_TEST_SIZE;
	assert_int_equal(area_resize(p->area), MIRROR_TEST_SIZE - MIRROR_DATA);
	put(p->area, MIRROR_TEST_SIZE - MIRROR_DATA - 4096, 4096, 1, AREA_FUA);
	assert_true(pair_same(p));
}

static void discards_are_only_hints(void **state)
{
	struct pair *p = *state;

	assert_ok(area_discard(p->area, 0, MIB));
	assert_int_equal(p->f[0].discards + p->f[1].discards, 2);
	p->f[1].flush_error = -EIO; /* of discards, too */
	assert_ok(area_discard(p->area, 0, MIB));
	assert_string_equal(pair_state(p), "in sync, in sync");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST3(name) cmocka_unit_test_setup_teardown(name, setup_three, teardown)
#define THREADED(name) cmocka_unit_test_setup_teardown(name, setup_threaded, teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_hold_what_is_written),
		TEST3(all_hold_what_is_written),
		THREADED(all_hold_what_is_written),
		TEST(reads_fail_over),
		THREADED(reads_fail_over),
		THREADED(async_reads_fail_over),
		TEST(who_fails_is_dropped_first),
		THREADED(who_fails_is_dropped_first),
		TEST(a_failing_flush_drops_too),
		TEST(a_late_failure_is_not_one_of_now),
		TEST(a_flush_ends_though_one_came_back),
		THREADED(a_write_waits_for_its_mark),
		TEST(when_all_fail_it_is_an_error),
		TEST(without_a_medium_it_is_lost),
		TEST(who_was_away_catches_up),
		THREADED(who_was_away_catches_up),
		TEST(the_order_of_areas_does_not_matter),
		THREADED(a_new_one_is_adopted),
		TEST3(three_go_down_to_one),
		TEST(what_is_wrong_is_said),
		TEST(half_a_head_is_a_head),
		TEST(both_alone_is_apart),
		TEST(apart_with_different_sequences),
		TEST(an_old_copy_is_refused),
		TEST(the_stale_one_does_not_serve),
		cmocka_unit_test(blank_ones_need_a_word),
		cmocka_unit_test(reading_only_writes_nothing),
		cmocka_unit_test(a_quiet_mirror_is_clean),
		cmocka_unit_test(huge_ones),
		TEST(it_grows_with_all),
		TEST(discards_are_only_hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
