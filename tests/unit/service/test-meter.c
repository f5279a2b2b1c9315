/* SPDX-License-Identifier: Apache-2.0 */
/* What the service measures: the histogram's precision, shards of threads, stages, slow operations, traces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>
#include <pthread.h>
#include <unistd.h>

#include "service/histogram.h"
#include "service/stats.h"

static void values_come_back_within_two_percent(void **state)
{
	for (uint64_t ns = 1; ns < 1ull << 38; ns += 1 + ns / 7) {
		uint64_t got = meter_value(meter_bucket(ns)), off = got > ns ? got - ns : ns - got;
		assert_true(off * 100 <= 2 * ns);
		assert_true(meter_bucket(ns) < METER_BUCKETS);
	}
	assert_int_equal(meter_bucket(UINT64_MAX), METER_BUCKETS - 1);
}

static void buckets_only_rise(void **state)
{
	for (unsigned i = METER_STEPS; i + 1 < METER_BUCKETS; i++)
		assert_true(meter_value(i) < meter_value(i + 1));
}

static void percentiles_are_of_all_shards(void **state)
{
	struct meter_sum sum;

	for (int i = 1; i <= 100; i++)
		stat_record(DOOR_PRELOAD, WIRE_SEEK, stat_now() - i * 1000000ll, 0, NULL);
	assert_true(meter_sum(stat_meter(), DOOR_PRELOAD, WIRE_SEEK, &sum));
	assert_int_equal(sum.cell.count, 100);
	assert_in_range(meter_percentile(&sum, 0.5), 48000000, 53000000);
	assert_in_range(meter_percentile(&sum, 0.99), 96000000, 110000000);
	assert_false(meter_sum(stat_meter(), DOOR_FUSE, WIRE_SEEK, &sum));
}

static void *record_many(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		stat_begin();
		stat_record(DOOR_FUSE, WIRE_READ, stat_now(), 10, arg);
	}
	return NULL;
}

/* More threads than shards, one after the other and at once: nothing is lost but in the last shard. */
static void threads_have_shards_of_their_own(void **state)
{
	struct meter_sum sum;
	pthread_t thread[8];

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, record_many, NULL), 0);
		for (int i = 0; i < 8; i++)
			pthread_join(thread[i], NULL);
	}
	assert_true(meter_sum(stat_meter(), DOOR_FUSE, WIRE_READ, &sum));
	assert_int_equal(sum.cell.count, 160000);
	assert_int_equal(sum.cell.bytes, 1600000);
	assert_in_range(sum.cell.sampled, 160 * ((1000 + STAGE_SAMPLE_QUICK - 1) / STAGE_SAMPLE_QUICK), 160 * (1000 / STAGE_SAMPLE + 1));
	assert_int_equal(stat_meter()->shard[METER_SHARDS - 1].owner, 0);
}

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	assert_true(json_object_object_get_ex(o, key, &value));
	return value;
}

static void a_slow_operation_says_where(void **state)
{
	struct json_object *slow, *first;

	stat_begin();
	{
		STAGE_WAITS(STAGE_DEVICE);
		usleep(30000);
	}
	stat_record(DOOR_PRELOAD, WIRE_FSYNC, stat_now() - 31000000, -5, &(struct stat_about){.pid = 77});
	slow = meter_slow_json(stat_meter());
	first = json_object_array_get_idx(slow, 0);
	assert_string_equal(json_object_get_string(member(first, "op")), "fsync");
	assert_string_equal(json_object_get_string(member(first, "lost_in")), "device");
	assert_int_equal(json_object_get_int(member(first, "pid")), 77);
	assert_int_equal(json_object_get_int(member(first, "result")), -5);
	json_object_put(slow);
}

static void old_slow_operations_go(void **state)
{
	struct json_object *slow;

	for (int i = 0; i < 3 * METER_SLOW; i++)
		stat_record(DOOR_FUSE, WIRE_LINK, stat_now() - METER_SLOW_NS - 1, i, NULL);
	slow = meter_slow_json(stat_meter());
	assert_in_range(json_object_array_length(slow), METER_SLOW - 1, METER_SLOW);
	assert_int_equal(json_object_get_int(member(json_object_array_get_idx(slow, 0), "result")), 3 * METER_SLOW - 1);
	json_object_put(slow);
}

/* Any time that a client gives for its submission harms nobody's figures but its own, and no others' at all. */
static void a_client_may_lie_about_the_queue(void **state)
{
	const uint64_t lies[] = {1, UINT64_MAX, stage_cycles() + 1000000000000ull};
	struct meter_sum sum;

	for (unsigned i = 0; i < 3; i++)
		stat_record(DOOR_PRELOAD, WIRE_STATFS, stat_now(), 0, &(struct stat_about){.sent = lies[i]});
	assert_true(meter_sum(stat_meter(), DOOR_PRELOAD, WIRE_STATFS, &sum));
	assert_int_equal(sum.cell.count, 3);
	assert_true(sum.cell.time_ns < 3000000000ull);
}

static void a_trace_goes_on_while_somebody_looks(void **state)
{
	struct meter *m = stat_meter();
	char path[2 * METER_PATH];
	uint64_t before = m->events;

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	stat_record(DOOR_FUSE, WIRE_OPEN, stat_now(), 0, NULL);
	assert_int_equal(m->events, before);
	m->trace_until = (uint64_t)stat_now() + 10000000000ull;
	stat_record(DOOR_FUSE, WIRE_OPEN, stat_now(), 4, &(struct stat_about){.pid = 5, .path = path});
	assert_int_equal(m->events, before + 1);
	assert_int_equal(m->event[before % METER_EVENTS].seq, before + 1);
	assert_int_equal(strlen(m->event[before % METER_EVENTS].path), METER_PATH - 1);
	m->trace_until = 1; /* its tracer was killed */
	stat_record(DOOR_FUSE, WIRE_OPEN, stat_now(), 0, NULL);
	assert_int_equal(m->events, before + 1);
	assert_false(stat_traces());
}

/* One that is answered by a thread in the middle of another operation leaves that one's stages alone. */
static void parked_operations_have_no_clock(void **state)
{
	stat_begin();
	stat_record_parked(DOOR_PRELOAD, WIRE_LOCK, stat_now() - 1000, 0, NULL);
	assert_true(stage_clock.runs);
	stat_record(DOOR_PRELOAD, WIRE_UNLINK, stat_now(), 0, NULL);
	assert_false(stage_clock.runs);
}

static void what_is_not_measured_is_not_there(void **state)
{
	struct meter_sum sum;
	uint64_t slows = stat_meter()->slows;

	stat_measure(false);
	stat_begin();
	assert_false(stage_clock.runs);
	assert_int_equal(stat_started(), 0);
	stat_record(DOOR_PRELOAD, WIRE_SYMLINK, stat_now() - METER_SLOW_NS - 1, 0, NULL);
	stat_begin();
	stat_measure(true); /* in the middle of one */
	stat_record(DOOR_FUSE, WIRE_SYMLINK, 0, 0, NULL);
	assert_false(meter_sum(stat_meter(), DOOR_PRELOAD, WIRE_SYMLINK, &sum));
	assert_int_equal(stat_meter()->slows, slows);
	assert_true(meter_sum(stat_meter(), DOOR_FUSE, WIRE_SYMLINK, &sum));
	assert_int_equal(sum.cell.time_ns, 0);
}

static void doors_are_json(void **state)
{
	struct json_object *doors = meter_doors_json(stat_meter());
	struct json_object *read = member(member(member(doors, "fuse"), "ops"), "read");

	assert_int_equal(json_object_get_int64(member(read, "count")), 160000);
	assert_true(json_object_get_int64(member(read, "p50_ns")) <= json_object_get_int64(member(read, "p999_ns")));
	json_object_put(doors);
}

/* ---- containers -------------------------------------------------------------------------------- */

static void containers_have_latencies_of_their_own(void **state)
{
	const struct stat_about one = {.container = 1}, two = {.container = 2};
	struct meter_sum sum;

	for (int i = 1; i <= 100; i++) {
		stat_record(DOOR_PRELOAD, WIRE_RENAME, stat_now() - i * 1000000ll, i > 90 ? -1 : 0, &one);
		stat_record(DOOR_PRELOAD, WIRE_RENAME, stat_now() - 1000, 0, &two);
	}
	assert_true(meter_sum_container(stat_meter(), 1, DOOR_PRELOAD, WIRE_RENAME, &sum));
	assert_int_equal(sum.cell.count, 100);
	assert_int_equal(sum.cell.errors, 10);
	assert_in_range(meter_percentile(&sum, 0.5), 48000000, 53000000);
	assert_in_range(meter_percentile(&sum, 0.99), 95000000, 112000000);
	assert_true(meter_sum_container(stat_meter(), 2, DOOR_PRELOAD, WIRE_RENAME, &sum));
	assert_true(meter_percentile(&sum, 0.5) < 1000000);
	assert_false(meter_sum_container(stat_meter(), 3, DOOR_PRELOAD, WIRE_RENAME, &sum));
	assert_false(meter_sum_container(stat_meter(), 1, DOOR_FUSE, WIRE_RENAME, &sum));
}

static void a_container_says_in_which_stage_it_was(void **state)
{
	struct json_object *doors, *device;

	for (int i = 0; i < 3 * STAGE_SAMPLE; i++) {
		stat_begin();
		{
			STAGE_WAITS(STAGE_DEVICE);
			usleep(1000);
		}
		stat_record(DOOR_FUSE, WIRE_FSYNC, stat_now() - 1100000, 0, &(struct stat_about){.container = 4});
	}
	doors = meter_container_json(stat_meter(), 4);
	device = member(member(member(doors, "fuse"), "stages"), "device");
	assert_in_range(json_object_get_int(member(device, "count")), 2, 3);
	assert_true(json_object_get_int64(member(device, "p50_ns")) >= 900000);
	assert_false(json_object_object_get_ex(doors, "preload", NULL));
	json_object_put(doors);
}

static uint64_t histograms(const char *what)
{
	struct json_object *o = meter_histograms_json(stat_meter());
	uint64_t n = json_object_get_uint64(member(o, what));

	json_object_put(o);
	return n;
}

static void the_next_container_of_a_row_begins_anew(void **state)
{
	const struct stat_about about = {.container = 5};
	uint64_t before = histograms("used");
	struct meter_sum sum;

	stat_record(DOOR_FUSE, WIRE_OPEN, stat_now(), 0, &about);
	assert_int_equal(histograms("used"), before + 1);
	histogram_give(stat_meter(), 5);
	assert_int_equal(histograms("used"), before);
	assert_false(meter_sum_container(stat_meter(), 5, DOOR_FUSE, WIRE_OPEN, &sum));
	stat_record(DOOR_FUSE, WIRE_OPEN, stat_now(), 0, &about);
	assert_true(meter_sum_container(stat_meter(), 5, DOOR_FUSE, WIRE_OPEN, &sum));
	assert_int_equal(sum.cell.count, 1);
}

/* More than there are: these are missed, and nothing else. */
static void histograms_are_bounded(void **state)
{
	struct meter_sum sum;

	for (unsigned row = 6; row < METER_CONTAINERS; row++)
		for (unsigned op = 0; op < STAT_OP_MAX; op++)
			stat_record(DOOR_FUSE, op, stat_now(), 0, &(struct stat_about){.container = row});
	assert_int_equal(histograms("used"), METER_HISTOGRAMS);
	assert_true(histograms("missed") > 0);
	assert_true(meter_sum_container(stat_meter(), 1, DOOR_PRELOAD, WIRE_RENAME, &sum));
	assert_int_equal(sum.cell.count, 100);
	for (unsigned row = 6; row < METER_CONTAINERS; row++)
		histogram_give(stat_meter(), row);
	stat_record(DOOR_FUSE, WIRE_READ, stat_now(), 0, &(struct stat_about){.container = METER_CONTAINERS - 1});
	assert_true(meter_sum_container(stat_meter(), METER_CONTAINERS - 1, DOOR_FUSE, WIRE_READ, &sum));
}

/* What leads to them is in memory of a service, which may be anything's by then. */
static void numbers_of_histograms_may_be_any(void **state)
{
	struct meter *m = stat_meter();
	struct meter_sum sum;

	m->shard[0].histogram[7][0][0] = UINT16_MAX;
	assert_false(meter_sum_container(m, 7, 0, 0, &sum));
	m->shard[0].histogram[7][0][0] = METER_HISTOGRAMS + 1;
	assert_false(meter_sum_container(m, 7, 0, 0, &sum));
	m->shard[0].histogram[7][0][0] = 0;
}

static void containers_are_found_by_their_number(void **state)
{
	struct meter *m = stat_meter();
	struct json_object *containers;

	m->container[9].pid = 4711;
	memset(m->container[9].name, 'n', sizeof(m->container[9].name)); /* not ended */
	assert_int_equal(meter_container_row(m, "4711 anything +"), 9);
	assert_int_equal(meter_container_row(m, "others"), 0);
	assert_int_equal(meter_container_row(m, "4712 x"), -1);
	containers = meter_containers_json(m);
	assert_int_equal(json_object_object_length(containers), 2);
	meter_containers_add(m, containers);
	member(member(containers, "4711 nnnnnnnnnnnnnnnnnnnnnnnn"), "doors");
	json_object_put(containers);
}

static void memory_of_another_kind_is_refused(void **state)
{
	int pipes[2], fd = meter_make();
	struct meter *m = meter_map(fd);

	assert_non_null(m);
	m->version++;
	assert_null(meter_map(fd));
	meter_unmap(m);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_null(meter_map(pipes[0]));
	assert_null(meter_map(-1));
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back_within_two_percent),
		cmocka_unit_test(buckets_only_rise),
		cmocka_unit_test(percentiles_are_of_all_shards),
		cmocka_unit_test(threads_have_shards_of_their_own),
		cmocka_unit_test(a_slow_operation_says_where),
		cmocka_unit_test(old_slow_operations_go),
		cmocka_unit_test(a_client_may_lie_about_the_queue),
		cmocka_unit_test(a_trace_goes_on_while_somebody_looks),
		cmocka_unit_test(parked_operations_have_no_clock),
		cmocka_unit_test(what_is_not_measured_is_not_there),
		cmocka_unit_test(doors_are_json),
		cmocka_unit_test(containers_have_latencies_of_their_own),
		cmocka_unit_test(a_container_says_in_which_stage_it_was),
		cmocka_unit_test(the_next_container_of_a_row_begins_anew),
		cmocka_unit_test(histograms_are_bounded),
		cmocka_unit_test(numbers_of_histograms_may_be_any),
		cmocka_unit_test(containers_are_found_by_their_number),
		cmocka_unit_test(memory_of_another_kind_is_refused),
	};

	if (stat_open(-1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
