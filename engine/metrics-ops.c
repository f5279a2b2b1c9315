/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations by door, of pools and of their containers. Histograms have a bucket for each power of two, and those of containers,
 * of which there are many, for each power of four.
 */
#include <string.h>

#include "engine/metrics.h"

/* Whose operation it is. */
struct sample {
	const char *pool, *container; /* NULL: of the pool */
	unsigned door, op;
};

static void put_sample(FILE *out, const char *name, const struct sample *s)
{
	fprintf(out, "polytropon_%s%s{", s->container ? "container_" : "", name);
	metrics_label(out, "pool", s->pool);
	if (s->container) {
		putc(',', out);
		metrics_container(out, s->container);
	}
	fprintf(out, ",door=\"%s\",op=\"%s\"", meter_door_name(s->door), meter_op_name(s->op));
}

typedef void op_writer(FILE *out, const struct sample *s, const struct meter_sum *sum);

static void write_count(FILE *out, const struct sample *s, const struct meter_sum *sum)
{
	put_sample(out, "errors_total", s);
	fprintf(out, "} %llu\n", (unsigned long long)sum->cell.errors);
}

static void write_bytes(FILE *out, const struct sample *s, const struct meter_sum *sum)
{
	if (!sum->cell.bytes)
		return;
	put_sample(out, "bytes_total", s);
	fprintf(out, "} %llu\n", (unsigned long long)sum->cell.bytes);
}

/* A bucket for each power that anything is below of. */
static void write_latency(FILE *out, const struct sample *s, const struct meter_sum *sum)
{
	unsigned step = METER_STEPS * (s->container ? 2 : 1);
	uint64_t seen = 0, all = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++)
		all += sum->bucket[i];
	for (unsigned i = 0; i < METER_BUCKETS && seen < all; i++) {
		seen += sum->bucket[i];
		if (i % step != step - 1 || !seen)
			continue;
		put_sample(out, "latency_seconds_bucket", s);
		fprintf(out, ",le=\"%.9g\"} %llu\n", (double)(32ull << (i / METER_STEPS)) / 1e9,
			(unsigned long long)seen);
	}
	put_sample(out, "latency_seconds_bucket", s);
	fprintf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)all);
	put_sample(out, "latency_seconds_count", s);
	fprintf(out, "} %llu\n", (unsigned long long)all);
	put_sample(out, "latency_seconds_sum", s);
	fprintf(out, "} %.9f\n", sum->cell.time_ns / 1e9);
}

static void write_stages(FILE *out, const struct sample *s, const struct meter_sum *sum)
{
	for (unsigned i = 0; i < STAGE_MAX; i++) {
		uint64_t n = i == STAGE_QUEUE ? sum->cell.queued : sum->cell.sampled;
		if (!n || !sum->cell.stage_ns[i])
			continue;
		put_sample(out, "stage_seconds", s);
		fprintf(out, ",stage=\"%s\"} %.9f\n", meter_stage_name(i), sum->cell.stage_ns[i] / 1e9 / n);
	}
}

static void each_op(FILE *out, const struct sources *sources, op_writer *write)
{
	struct meter_sum sum;

	for (const struct source_pool *p = sources->pool; p < sources->pool + sources->count; p++)
		for (unsigned d = 0; p->meter && d < METER_DOORS; d++)
			for (unsigned op = 0; op < METER_OPS; op++)
				if (meter_sum(p->meter, d, op, &sum))
					write(out, &(struct sample){p->name, NULL, d, op}, &sum);
}

void metrics_ops(FILE *out, const struct sources *s)
{
	metrics_family(out, "latency_seconds", "histogram", "Operations, and how long the service took for them.");
	each_op(out, s, write_latency);
	metrics_family(out, "errors", "counter", "Operations that failed.");
	each_op(out, s, write_count);
	metrics_family(out, "bytes", "counter", "Read, written and copied.");
	each_op(out, s, write_bytes);
	metrics_family(out, "stage_seconds", "gauge", "Mean time in a stage of an operation, of those that were sampled.");
	each_op(out, s, write_stages);
}

static void write_container_ops(FILE *out, const struct source_pool *p, const char *container, unsigned row)
{
	struct meter_sum sum;

	for (unsigned d = 0; d < METER_DOORS; d++)
		for (unsigned op = 0; op < METER_OPS; op++)
			if (meter_sum_container(p->meter, row, d, op, &sum))
				write_latency(out, &(struct sample){p->name, container, d, op}, &sum);
}

void metrics_container_ops(FILE *out, const struct sources *s)
{
	metrics_family(out, "container_latency_seconds", "histogram",
		       "Operations of a container, and how long the service took for them.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *containers = json_child(p->stats, "containers", json_type_object);
		if (!containers || !p->meter)
			continue;
		json_object_object_foreach(containers, name, unused) {
			int row = meter_container_row(p->meter, name);
			(void)unused;
			if (row >= 0)
				write_container_ops(out, p, name, (unsigned)row);
		}
	}
}
