/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `top`: pools, their containers and their operations, again and again. At first since the service's start, then of
 * each interval. The terminal is driven by plain escape sequences: home, clear to the end, and raw keys.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

#include "engine/command.h"
#include "engine/figures.h"
#include "libservices/libservice.h"

const struct option_row top_options[] = {
	{"once", NULL, "print one screen, of everything since the start, and end"},
	{"sort", "COLUMN", "ops, spared, hit, dirty, cache, throttled, p50, p99 or pool"},
	{"interval", "TIME", "between two screens (1s)"},
	{},
};

enum column { OPS, SPARED, HIT, DIRTY, CACHE, THROTTLED, P50, P99, COLUMNS };
static const char *const column_names[] = {"ops", "spared", "hit", "dirty", "cache", "throttled", "p50", "p99",
					   "pool", NULL};

enum { POOLS_MAX = 64, ROWS_MAX = 512, OPS_MAX = METER_DOORS * METER_OPS };

struct row {
	char name[48];
	int level; /* 0: a pool, 1: a container */
	char state[12];
	double value[COLUMNS];
	uint64_t requests, spared, hits, misses, throttled_ns; /* since the start */
};

struct op_row {
	const char *pool;
	unsigned door, op;
	double rate;
	uint64_t p50, p99, max;
	unsigned stage; /* where most time goes; STAGE_MAX: not known */
};

/* A pool as it was the last time. */
struct pool_past {
	char name[64];
	bool seen;
	struct meter_sum sum[METER_DOORS][METER_OPS];
};

struct top {
	bool once;
	int sort;
	uint64_t interval;
	int64_t at_ms, before_ms; /* 0: there is no screen before */
	struct row row[ROWS_MAX], past[ROWS_MAX];
	unsigned rows, pasts;
	struct op_row op[POOLS_MAX * 8];
	unsigned ops;
	struct pool_past *pool[POOLS_MAX];
};

/* ---- what there is --------------------------------------------------------------------------------- */

static struct pool_past *pool_past(struct top *t, const char *name)
{
	for (unsigned i = 0; i < POOLS_MAX; i++) {
		if (!t->pool[i]) {
			t->pool[i] = calloc(1, sizeof(*t->pool[i]));
			if (t->pool[i])
				snprintf(t->pool[i]->name, sizeof(t->pool[i]->name), "%s", name);
			return t->pool[i];
		}
		if (!strcmp(t->pool[i]->name, name))
			return t->pool[i];
	}
	return NULL;
}

static double seconds(const struct top *t)
{
	return t->before_ms ? (t->at_ms - t->before_ms) / 1000.0 : 0;
}

/* What came since the last time, or a second time the whole. */
static void sum_since(const struct meter_sum *now, const struct meter_sum *then, struct meter_sum *ret)
{
	*ret = *now;
	ret->cell.count -= then->cell.count;
	ret->cell.sampled -= then->cell.sampled;
	ret->cell.queued -= then->cell.queued;
	for (unsigned i = 0; i < STAGE_MAX; i++)
		ret->cell.stage_ns[i] -= then->cell.stage_ns[i];
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		ret->bucket[i] -= then->bucket[i];
}

static unsigned stage_most(const struct meter_cell *cell)
{
	double most = 0;
	unsigned stage = STAGE_MAX;

	for (unsigned i = 0; i < STAGE_MAX; i++) {
		uint64_t n = i == STAGE_QUEUE ? cell->queued : cell->sampled;
		if (n && (double)cell->stage_ns[i] / n > most) {
			most = (double)cell->stage_ns[i] / n;
			stage = i;
		}
	}
	return stage;
}

static void op_add(struct top *t, const char *pool, unsigned door, unsigned op, const struct meter_sum *sum)
{
	double s = seconds(t);

	if (!sum->cell.count || t->ops == ARRAY_LEN(t->op))
		return;
	t->op[t->ops++] = (struct op_row){pool, door, op, s > 0 ? sum->cell.count / s : sum->cell.count,
					  meter_percentile(sum, 0.5), meter_percentile(sum, 0.99), sum->cell.max_ns,
					  stage_most(&sum->cell)};
}

/* The pool's operations, and the percentiles of all. */
static void pool_measure(struct top *t, const char *name, struct row *row)
{
	struct error error;
	struct meter *meter = figures_meter(name, &error);
	struct pool_past *past = pool_past(t, name);
	struct meter_sum now, since, *all = calloc(1, sizeof(*all));

	for (unsigned d = 0; meter && past && all && d < METER_DOORS; d++)
		for (unsigned op = 0; op < METER_OPS; op++) {
			if (!meter_sum(meter, d, op, &now))
				continue;
			if (now.cell.count < past->sum[d][op].cell.count)
				past->sum[d][op] = (struct meter_sum){0}; /* another pool of that name */
			sum_since(&now, &past->sum[d][op], &since);
			past->sum[d][op] = now;
			op_add(t, past->name, d, op, &since);
			for (unsigned i = 0; i < METER_BUCKETS; i++)
				all->bucket[i] += since.bucket[i];
		}
	if (all) {
		row->value[P50] = meter_percentile(all, 0.5);
		row->value[P99] = meter_percentile(all, 0.99);
	}
	free(all);
	meter_unmap(meter);
}

static uint64_t spared(struct json_object *counts)
{
	static const char *const keys[] = {"direct_reads", "direct_writes", "lease_hits", "kept", "reopened"};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		sum += json_number(counts, keys[i], 0);
	return sum;
}

static void row_cache(struct row *row, struct json_object *caches)
{
	json_object_object_foreach(caches, path, cache) {
		(void)path;
		row->hits += json_number(cache, "hits", 0);
		row->misses += json_number(cache, "misses", 0);
		row->throttled_ns += json_number(cache, "throttled_ns", 0);
		/* The same figures of the pool in each. */
		row->value[DIRTY] = json_number(cache, "pool_dirty", 0);
		row->value[CACHE] = json_number(cache, "pool_used", 0);
	}
}

static const struct row *row_past(const struct top *t, const struct row *row)
{
	for (unsigned i = 0; i < t->pasts; i++)
		if (t->past[i].level == row->level && !strcmp(t->past[i].name, row->name))
			return &t->past[i];
	return NULL;
}

static double rate(const struct top *t, uint64_t now, uint64_t then)
{
	double s = seconds(t);

	return now < then ? 0 : s > 0 ? (now - then) / s : now - then;
}

/* Counts since the start become those of the interval. */
static void row_finish(struct top *t, struct row *row)
{
	static const struct row none;
	const struct row *past = row_past(t, row);
	uint64_t hits, all;

	if (!past)
		past = &none;
	row->value[OPS] = rate(t, row->requests, past->requests);
	row->value[SPARED] = rate(t, row->spared, past->spared);
	/* Of what programs asked for, so much needed no layer below the cache. */
	hits = row->hits - past->hits + row->spared - past->spared;
	all = hits + row->misses - past->misses;
	row->value[HIT] = all && all < UINT64_MAX / 2 ? 100.0 * hits / all : -1;
	row->value[THROTTLED] = rate(t, row->throttled_ns, past->throttled_ns) / 1e6;
}

static struct row *row_new(struct top *t, const char *name, int level)
{
	struct row *row = &t->row[t->rows < ROWS_MAX - 1 ? t->rows++ : ROWS_MAX - 1];

	*row = (struct row){.level = level};
	snprintf(row->name, sizeof(row->name), "%s", name);
	text_tame(row->name);
	return row;
}

static void containers_add(struct top *t, struct json_object *containers)
{
	json_object_object_foreach(containers, name, c) {
		struct row *row;
		if (strchr(name, '+') || (!json_number(c, "requests", 0) && !spared(c)))
			continue;
		row = row_new(t, name, 1);
		row->requests = json_number(c, "requests", 0);
		row->spared = spared(c);
		row_finish(t, row);
		row->value[HIT] = -1;
	}
}

static void pool_add(struct top *t, struct json_object *pool)
{
	const char *name = json_string(pool, "pool"), *state = json_string(pool, "state");
	_cleanup_(json_put_p) struct json_object *stats = NULL;
	struct json_object *doors;
	struct row *row = row_new(t, name, 0);
	struct error error;

	snprintf(row->state, sizeof(row->state), "%s", state);
	pool_measure(t, name, row);
	stats = figures_stats(name, &error);
	doors = json_child(stats, "doors", json_type_object);
	if (doors) {
		json_object_object_foreach(doors, door, figures) {
			(void)door;
			row->requests += json_number(figures, "requests", 0);
		}
	}
	row->spared = spared(json_child(stats, "spared", json_type_object));
	if (json_child(stats, "cache", json_type_object))
		row_cache(row, json_child(stats, "cache", json_type_object));
	row_finish(t, row);
	if (json_child(stats, "containers", json_type_object))
		containers_add(t, json_child(stats, "containers", json_type_object));
}

/* ---- the order ------------------------------------------------------------------------------------- */

struct group {
	const struct row *pool;
	unsigned rows; /* with its containers */
};

static int sort_column; /* qsort passes nothing on */

static int by_column(const void *a, const void *b)
{
	const struct row *x = ((const struct group *)a)->pool, *y = ((const struct group *)b)->pool;
	double left, right;

	if (sort_column == COLUMNS)
		return strcmp(x->name, y->name);
	left = x->value[sort_column];
	right = y->value[sort_column];
	return left == right ? strcmp(x->name, y->name) : left < right ? 1 : -1;
}

static int by_rate(const void *a, const void *b)
{
	const struct op_row *x = a, *y = b;

	return (x->rate < y->rate) - (x->rate > y->rate);
}

static unsigned groups_of(const struct top *t, struct group *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->rows; i++) {
		if (t->row[i].level == 0 && n < POOLS_MAX)
			g[n++] = (struct group){&t->row[i], 0};
		if (n)
			g[n - 1].rows++;
	}
	sort_column = t->sort;
	qsort(g, n, sizeof(*g), by_column);
	return n;
}

/* ---- the screen ------------------------------------------------------------------------------------ */

static const char *count_text(double n, char buf[static 16])
{
	if (n < 99999.5)
		snprintf(buf, 16, "%.0f", n);
	else
		snprintf(buf, 16, n < 9999500 ? "%.0fk" : "%.0fM", n < 9999500 ? n / 1e3 : n / 1e6);
	return buf;
}

static void print_row(const struct row *row)
{
	char ops[16], spare[16], hit[16] = "-", dirty[16], cache[16], p50[16], p99[16];

	if (row->value[HIT] >= 0)
		snprintf(hit, sizeof(hit), "%.0f%%", row->value[HIT]);
	if (row->level) {
		printf("  %-18.18s %7s %8s\n", row->name, count_text(row->value[OPS], ops),
		       count_text(row->value[SPARED], spare));
		return;
	}
	printf("%-13.13s %-6.6s %7s %8s %5s %6s %6s %5.0f %7s %7s\n", row->name, row->state,
	       count_text(row->value[OPS], ops), count_text(row->value[SPARED], spare), hit,
	       figure_bytes(row->value[DIRTY], dirty), figure_bytes(row->value[CACHE], cache), row->value[THROTTLED],
	       figure_time(row->value[P50], p50), figure_time(row->value[P99], p99));
}

static void print_op(const struct op_row *op)
{
	char count[16], p50[16], p99[16], max[16];

	printf("%-20.20s %-8s %-12s %9s %8s %8s %8s\n", op->pool, meter_door_name(op->door), meter_op_name(op->op),
	       count_text(op->rate, count), figure_time(op->p50, p50), figure_time(op->p99, p99),
	       op->stage < STAGE_MAX ? meter_stage_name(op->stage) : figure_time(op->max, max));
}

static void print_screen(struct top *t, unsigned lines)
{
	struct group g[POOLS_MAX];
	unsigned n = groups_of(t, g), left = lines > 6 ? lines - 6 : 0;
	const char *per = t->before_ms ? "/s" : "";
	char clock[16];
	time_t now = time(NULL);

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	printf("polytropon top  %s  %u pools, by %s%s\n\n", clock, n, column_names[t->sort],
	       t->once ? "" : "  (s: sort, q: quit)");
	printf("%-13s %-6s %6s%-2s %6s%-2s %4s %6s %6s %5s %7s %7s\n", "POOL", "STATE", "OPS", per, "SPARED", per, "HIT",
	       "DIRTY", "CACHE", "THRms", "P50", "P99");
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < g[i].rows && left; k++, left--)
			print_row(g[i].pool + k);
	qsort(t->op, t->ops, sizeof(t->op[0]), by_rate);
	printf("\n%-20s %-8s %-12s %7s%-2s %8s %8s %8s\n", "POOL", "DOOR", "OPERATION", "COUNT", per, "P50", "P99",
	       "MOSTLY");
	for (unsigned i = 0; i < t->ops && left; i++, left--)
		print_op(&t->op[i]);
}

static int look(struct top *t)
{
	_cleanup_(json_put_p) struct json_object *pools = figures_pools();

	if (!pools)
		return EXIT_OURS;
	memcpy(t->past, t->row, sizeof(t->past));
	t->pasts = t->rows;
	t->rows = t->ops = 0;
	t->before_ms = t->at_ms;
	t->at_ms = now_ms();
	for (size_t i = 0; i < json_object_array_length(pools); i++)
		pool_add(t, json_object_array_get_idx(pools, i));
	return 0;
}

static struct termios terminal_before;
static volatile sig_atomic_t ended;

static void end(int signal)
{
	ended = 1;
}

static void terminal_begin(void)
{
	struct termios raw;
	struct sigaction action = {.sa_handler = end};

	tcgetattr(STDIN_FILENO, &terminal_before);
	raw = terminal_before;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	fputs("\033[?1049h\033[?25l", stdout);
}

static void terminal_end(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

static unsigned terminal_lines(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : 24;
}

/* Until the interval is over, or a key was pressed. */
static void keys(struct top *t)
{
	struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};
	char key;

	if (poll(&poll_fd, 1, (int)(t->interval / 1000000)) <= 0)
		return;
	if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q')
		ended = 1;
	else if (key == 's')
		t->sort = (t->sort + 1) % (COLUMNS + 1);
}

static int run(struct top *t)
{
	int r = 0;

	terminal_begin();
	while (!ended && (r = look(t)) == 0) {
		fputs("\033[H\033[J", stdout);
		print_screen(t, terminal_lines());
		if (fflush(stdout) != 0)
			break;
		keys(t);
	}
	terminal_end();
	return r;
}

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	struct top *t = arg;
	const char *near;

	if (!strcmp(option->name, "once")) {
		t->once = true;
		return 0;
	}
	if (!strcmp(option->name, "interval"))
		return ls_parse_time(value, &t->interval) == 0 && t->interval >= 100000000 ?
			       0 :
			       misuse(command, "--interval takes a time of 100ms or more, not '%s'", value);
	for (t->sort = 0; column_names[t->sort]; t->sort++)
		if (!strcmp(column_names[t->sort], value))
			return 0;
	near = ls_nearest(value, column_names);
	return near ? misuse(command, "there is no column '%s'; did you mean '%s'?", value, near) :
		      misuse(command, "there is no column '%s'", value);
}

int cmd_top(const struct command *command, char **argv)
{
	struct top *t = calloc(1, sizeof(*t));
	int r = t ? 0 : complain("no memory");

	if (r == 0) {
		t->interval = 1000000000;
		r = options_take(command, &argv, take, t);
	}
	if (r == 0 && argv[0])
		r = misuse(command, "it takes no '%s'", argv[0]);
	if (r == 0)
		r = command_needs_root(command);
	if (r == 0 && !t->once && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		r = misuse(command, "it needs a terminal; --once does not");
	if (r == 0 && t->once) {
		r = look(t);
		if (r == 0)
			print_screen(t, UINT16_MAX);
	} else if (r == 0) {
		r = run(t);
	}
	for (unsigned i = 0; t && i < POOLS_MAX; i++)
		free(t->pool[i]);
	free(t);
	return r;
}
