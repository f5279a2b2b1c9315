/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `trace`: a pool's operations as they happen. The service puts them into a ring in its meter as long as somebody says,
 * a little into the future, that he looks; so a tracer that is killed ends its trace. Who looks too slowly is told how
 * many he missed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "engine/command.h"
#include "engine/figures.h"
#include "libservices/libservice.h"

const struct option_row trace_options[] = {
	{"json", NULL, "a line of JSON an operation"},
	{"op", "NAME", "only that operation, as `stats` names them"},
	{"door", "NAME", "only that door: preload or fuse"},
	{"pid", "PID", "only that process"},
	{"path", "TEXT", "only where the path has this text"},
	{"errors", NULL, "only what failed"},
	{"slower", "TIME", "only what took so long or longer"},
	{"count", "N", "end after so many"},
	{},
};

enum { LOOK_US = 20000, POOL_LOOK_MS = 1000, LEASE_NS = 2000000000, HALF_WRITTEN = METER_EVENTS / 8 };

struct filter {
	bool json, errors;
	int op, door; /* -1: any */
	uint32_t pid;
	const char *path;
	uint64_t slower, count;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
	ended = 1;
}

static int name_find(const struct command *command, const char *kind, const char *(*name)(unsigned), unsigned count,
		     const char *wanted, int *ret)
{
	const char *names[METER_OPS + 1] = {}, *near;
	unsigned n = 0;

	for (unsigned i = 0; i < count && strcmp(name(i), "unknown"); i++) {
		names[n++] = name(i);
		if (!strcmp(name(i), wanted)) {
			*ret = (int)i;
			return 0;
		}
	}
	near = ls_nearest(wanted, names);
	return near ? misuse(command, "there is no %s '%s'; did you mean '%s'?", kind, wanted, near) :
		      misuse(command, "there is no %s '%s'", kind, wanted);
}

static int number(const struct command *command, const char *option, const char *text, uint64_t max, uint64_t *ret)
{
	char *end_of;

	errno = 0;
	*ret = strtoull(text, &end_of, 10);
	if (*text < '0' || *text > '9' || *end_of || errno || !*ret || *ret > max)
		return misuse(command, "--%s takes a number from 1 on, not '%s'", option, text);
	return 0;
}

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	struct filter *f = arg;
	uint64_t n = 0;
	int r = 0;

	if (!strcmp(option->name, "json"))
		f->json = true;
	else if (!strcmp(option->name, "errors"))
		f->errors = true;
	else if (!strcmp(option->name, "path"))
		f->path = value;
	else if (!strcmp(option->name, "op"))
		r = name_find(command, "operation", meter_op_name, METER_OPS, value, &f->op);
	else if (!strcmp(option->name, "door"))
		r = name_find(command, "door", meter_door_name, METER_DOORS, value, &f->door);
	else if (!strcmp(option->name, "count"))
		r = number(command, "count", value, UINT64_MAX, &f->count);
	else if (!strcmp(option->name, "pid"))
		r = number(command, "pid", value, INT32_MAX, &n);
	else if (ls_parse_time(value, &f->slower) < 0)
		r = misuse(command, "--slower takes a time, as in 10ms, not '%s'", value);
	if (n)
		f->pid = (uint32_t)n;
	return r;
}

static bool passes(const struct filter *f, const struct meter_event *e)
{
	return (f->op < 0 || e->op == f->op) && (f->door < 0 || e->door == f->door) && (!f->pid || e->pid == f->pid) &&
	       (!f->errors || e->result < 0) && e->ns + e->queue_ns >= f->slower &&
	       (!f->path || strstr(e->path, f->path));
}

static void print_json_event(const struct meter_event *e)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ended_ns", json_object_new_uint64(e->ended_ns));
	json_set(o, "door", "%s", meter_door_name(e->door));
	json_set(o, "op", "%s", meter_op_name(e->op));
	json_object_object_add(o, "pid", json_object_new_int64(e->pid));
	json_object_object_add(o, "result", json_object_new_int64(e->result));
	json_object_object_add(o, "ns", json_object_new_uint64(e->ns));
	json_object_object_add(o, "queue_ns", json_object_new_uint64(e->queue_ns));
	json_object_object_add(o, "offset", json_object_new_uint64(e->offset));
	json_object_object_add(o, "length", json_object_new_uint64(e->length));
	if (e->path[0])
		json_set(o, "path", "%s", e->path);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void print_event(struct meter_event *e)
{
	uint64_t ago = (uint64_t)now_ms() - e->ended_ns / 1000000;
	time_t seconds = time(NULL) - (time_t)(ago / 1000);
	char clock[16], took[16], result[32];

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&seconds));
	if (e->result < 0)
		snprintf(result, sizeof(result), "%s", strerrorname_np((int)-e->result) ?: "escape");
	else
		snprintf(result, sizeof(result), "%lld", (long long)e->result);
	printf("%s %7u %-8s %-12s %8s %10s %s", clock, e->pid, meter_door_name(e->door), meter_op_name(e->op),
	       figure_time(e->ns, took), result, e->path);
	if (e->op == WIRE_READ || e->op == WIRE_WRITE)
		printf(" %llu+%llu", (unsigned long long)e->offset, (unsigned long long)e->length);
	putchar('\n');
}

/* A copy of event n; false: it is not there yet (or any more: *ret_gone). */
static bool event_take(const struct meter *meter, uint64_t n, struct meter_event *ret, bool *ret_gone)
{
	const struct meter_event *e = &meter->event[n % METER_EVENTS];
	uint64_t seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);

	*ret_gone = seq > n + 1;
	if (seq != n + 1)
		return false;
	*ret = *e;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*ret_gone = __atomic_load_n(&e->seq, __ATOMIC_RELAXED) != seq;
	ret->path[METER_PATH - 1] = 0;
	text_tame(ret->path);
	return !*ret_gone;
}

static void lease(struct meter *meter, uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	__atomic_store_n(&meter->trace_until, ns ? t.tv_sec * 1000000000ull + t.tv_nsec + ns : 0, __ATOMIC_RELAXED);
}

/* A pool may be ended, and another of its name begun, whose figures are elsewhere: false, and a sentence. */
static bool pool_goes_on(const char *pool, const struct meter *meter, int64_t *next_ms, struct error *error)
{
	struct meter *now;
	bool same;

	if (now_ms() < *next_ms)
		return true;
	*next_ms = now_ms() + POOL_LOOK_MS;
	now = figures_meter(pool, error);
	same = now && now->started_ns == meter->started_ns;
	if (now && !same)
		error_set(error, 0, "pool '%s' has ended, and another of that name runs", pool);
	meter_unmap(now);
	return same;
}

/* False, and a sentence: there is no more to be seen. */
static bool trace(const char *pool, struct meter *meter, const struct filter *f, struct error *error)
{
	uint64_t next = __atomic_load_n(&meter->events, __ATOMIC_ACQUIRE), shown = 0, missed = 0;
	struct meter_event e;
	int64_t next_ms = 0;
	bool gone;

	if (!f->json)
		printf("%-8s %7s %-8s %-12s %8s %10s %s\n", "TIME", "PID", "DOOR", "OPERATION", "TOOK", "RESULT", "PATH, RANGE");
	for (;;) {
		uint64_t end_of = __atomic_load_n(&meter->events, __ATOMIC_ACQUIRE);
		lease(meter, LEASE_NS);
		if (end_of - next > METER_EVENTS) {
			missed += end_of - next - METER_EVENTS;
			next = end_of - METER_EVENTS;
		}
		/* (One that is half written for long was being written by a service that died.) */
		while (next < end_of &&
		       (event_take(meter, next, &e, &gone) || gone || (gone = end_of - next > HALF_WRITTEN))) {
			next++;
			if (gone)
				missed++;
			else if (passes(f, &e)) {
				if (f->json)
					print_json_event(&e);
				else
					print_event(&e);
				if (++shown == f->count)
					ended = 1;
			}
			if (ended)
				break;
		}
		if (missed)
			fprintf(stderr, "(%llu operations were too quick to be seen)\n", (unsigned long long)missed);
		missed = 0;
		if (fflush(stdout) != 0 || ended)
			return true;
		if (!pool_goes_on(pool, meter, &next_ms, error))
			return false;
		usleep(LOOK_US);
	}
}

int cmd_trace(const struct command *command, char **argv)
{
	struct filter f = {.op = -1, .door = -1};
	struct sigaction action = {.sa_handler = end};
	struct error error = {};
	struct meter *meter;
	const char *pool;
	int r = options_take_pool(command, argv, take, &f, &pool);

	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	meter = figures_meter(pool, &error);
	if (!meter)
		return complain("%s", error.text);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!trace(pool, meter, &f, &error))
		r = complain("%s", error.text);
	lease(meter, 0);
	meter_unmap(meter);
	return r;
}
