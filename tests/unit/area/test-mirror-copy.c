/* SPDX-License-Identifier: Apache-2.0 */
/* A mirror whose children come and go while threads write: nothing is lost, and all become the same. */
#include <stdio.h>

#include "tests/unit/area/mirrors.h"

enum { SIZE = 24 * MIB, WRITERS = 3, SHARE = 7 * MIB, BLOCKS = SHARE / 4096 };

struct writer {
	struct pair *p;
	unsigned number, writes;
	int *stop;
	pthread_t thread;
	unsigned seed[BLOCKS]; /* of what each block of its share holds; 0: never written */
	uint8_t *buf;
	const char *wrong; /* asserted by who waits for it: in another thread an assertion says nothing */
};

static uint64_t place(const struct writer *w, unsigned block)
{
	return (uint64_t)w->number * SHARE + (uint64_t)block * 4096;
}

/* One to 64 blocks; now and then a look at what should be there. */
static const char *writer_step(struct writer *w, unsigned *die)
{
	unsigned first = dice(die, BLOCKS), n = 1 + dice(die, dice(die, 8) ? 4 : 64);

	if (first + n > BLOCKS)
		n = BLOCKS - first;
	if (dice(die, 3) == 0) {
		if (area_read(w->p->area, w->buf, n * 4096, place(w, first)) < 0)
			return "a read failed";
		for (unsigned i = 0; i < n; i++)
			if (w->seed[first + i] && !is_pattern(w->buf + i * 4096, 4096, place(w, first + i),
							      w->seed[first + i]))
				return "a read gave something else";
		return NULL;
	}
	w->writes++;
	pattern(w->buf, n * 4096, place(w, first), w->writes);
	if (area_write(w->p->area, w->buf, n * 4096, place(w, first), dice(die, 2) ? AREA_FUA : 0) < 0)
		return "a write failed";
	for (unsigned i = 0; i < n; i++)
		w->seed[first + i] = w->writes;
	return dice(die, 16) == 0 && area_flush(w->p->area) < 0 ? "a flush failed" : NULL;
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;
	unsigned die = w->number * 77 + 1;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED) && !w->wrong)
		w->wrong = writer_step(w, &die);
	return NULL;
}

static void writers_start(struct writer *w, struct pair *p, int *stop)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.p = p, .number = i, .stop = stop, .buf = memory(64 * 4096)};
		assert_ok(pthread_create(&w[i].thread, NULL, writer_run, &w[i]));
	}
}

static void writers_end(struct writer *w)
{
	__atomic_store_n(w->stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		print_message("%u writes\n", w[i].writes);
		if (w[i].wrong)
			fail_msg("%s", w[i].wrong);
		assert_true(w[i].writes > 0);
	}
}

static void writers_check(const struct writer *w, struct area *area)
{
	for (unsigned i = 0; i < WRITERS; i++)
		for (unsigned b = 0; b < BLOCKS; b++)
			if (w[i].seed[b])
				assert_true(holds(area, place(&w[i], b), 4096, w[i].seed[b]));
}

static void writers_free(struct writer *w)
{
	for (unsigned i = 0; i < WRITERS; i++)
		free(w[i].buf);
	free(w);
}

/* Each child alone must hold it all. */
static void each_alone(struct pair *p, const struct writer *w)
{
	uint8_t *head = memory(MIRROR_META);

	for (unsigned i = 0; i < p->count; i++) {
		memcpy(head, p->f[i].bytes, MIRROR_META);
		pair_open(p, (bit(p->count) - 1) & ~bit(i), "{'retry': '0'}");
		writers_check(w, p->area);
		pair_close(p);
		memcpy(p->f[i].bytes, head, MIRROR_META);
	}
	free(head);
}

static void error_set(struct faulty *f, int error, unsigned what)
{
	__atomic_store_n(what & 1 ? &f->write_error : &f->flush_error, error, __ATOMIC_RELAXED);
}

static void come_and_go(unsigned count, int threaded)
{
	static const char *const whole[] = {"", "", "in sync, in sync", "in sync, in sync, in sync"};
	struct writer *w = calloc(WRITERS, sizeof(*w));
	int stop = 0;
	struct pair p;

	pair_init(&p, count, SIZE);
	for (unsigned i = 0; i < count; i++)
		p.f[i].threaded = threaded;
	pair_open(&p, 0, "{'create': true, 'retry': '5ms', 'settle': '10ms'}");
	writers_start(w, &p, &stop);
	for (unsigned round = 0; round < 12; round++) {
		struct faulty *bad = &p.f[round % count];

		error_set(bad, -EIO, round);
		for (int i = 0; i < 1000 && strcmp(pair_state(&p), whole[count]) == 0; i++)
			usleep(1000);
		assert_string_not_equal(pair_state(&p), whole[count]);
		usleep(10000);
		error_set(bad, 0, round);
		pair_wait(&p, whole[count]);
	}
	writers_end(w);
	pair_wait(&p, whole[count]);
	writers_check(w, p.area);
	pair_close(&p);
	assert_true(pair_same(&p));
	each_alone(&p, w);
	writers_free(w);
	pair_fini(&p);
}

static void two_come_and_go(void **state)
{
	come_and_go(2, 0);
}

static void two_with_threads_come_and_go(void **state)
{
	come_and_go(2, 1);
}

static void three_come_and_go(void **state)
{
	come_and_go(3, 0);
}

/* Marks of regions that are left alone go, those of others stay; all the while there are writes. */
static void marks_come_and_go(void **state)
{
	struct writer *w = calloc(WRITERS, sizeof(*w));
	int stop = 0;
	struct pair p;

	pair_init(&p, 2, SIZE);
	p.f[1].threaded = 1;
	pair_open(&p, 0, "{'create': true, 'settle': '1ms'}");
	writers_start(w, &p, &stop);
	usleep(500000);
	writers_end(w);
	for (int i = 0; i < 1000 && pair_report(&p, "marked"); i++)
		usleep(1000);
	assert_int_equal(pair_report(&p, "marked"), 0);
	writers_check(w, p.area);
	pair_close(&p);
	assert_true(pair_same(&p));
	writers_free(w);
	pair_fini(&p);
}

/* Over files, with stripes: {"mirror": [{"stripe": [a, b]}, c]}, and stripes of mirrors. */
static void over_files(const char *shape)
{
	struct writer *w = calloc(WRITERS, sizeof(*w));
	char *dir = new_dir(), *file[4];
	struct pair p = {0};
	int stop = 0;

	for (int i = 0; i < 4; i++) {
		char name[] = {'a' + i, 0};
		file[i] = new_file(dir, name, SIZE + MIRROR_DATA);
	}
	p.area = opened(shape, file[0], file[1], file[2], file[3]);
	writers_start(w, &p, &stop);
	usleep(300000);
	writers_end(w);
	writers_check(w, p.area);
	area_close(p.area);
	p.area = opened(shape, file[0], file[1], file[2], file[3]);
	writers_check(w, p.area);
	area_close(p.area);
	for (int i = 0; i < 4; i++)
		free(file[i]);
	writers_free(w);
	remove_dir(dir);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#define FILE_ "{'file': '%s'}"
#define SLOW_ "{'file': {'path': '%s', 'io_uring': false}}"

static void a_mirror_of_stripes(void **state)
{
	over_files("{'mirror': {'create': true, 'below': [{'stripe': [" FILE_ "," FILE_
		   "]}, {'stripe': [" FILE_ "," FILE_ "]}]}}");
}

static void a_stripe_of_mirrors(void **state)
{
	over_files("{'stripe': [{'mirror': {'create': true, 'below': [" FILE_ "," FILE_
		   "]}}, {'mirror': {'create': "
		   "true, 'below': [" FILE_ "," FILE_ "]}}]}");
}

static void a_mirror_without_rings(void **state)
{
	over_files("{'mirror': {'create': true, 'below': [" SLOW_ "," SLOW_ "," SLOW_ "," SLOW_ "]}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_come_and_go),        cmocka_unit_test(two_with_threads_come_and_go),
		cmocka_unit_test(three_come_and_go),      cmocka_unit_test(marks_come_and_go),
		cmocka_unit_test(a_mirror_of_stripes),    cmocka_unit_test(a_stripe_of_mirrors),
		cmocka_unit_test(a_mirror_without_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
