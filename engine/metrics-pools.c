/* SPDX-License-Identifier: Apache-2.0 */
/* Families of which a pool, a container or a cache has one sample. */
#include <string.h>

#include "engine/metrics.h"

void metrics_pools(FILE *out, const struct sources *s)
{
	metrics_family(out, "up", "gauge", "1: the pool is up.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		fputs("polytropon_up{", out);
		metrics_label(out, "pool", p->name);
		fprintf(out, "} %d\n", !strcmp(p->state, "up"));
	}
	metrics_family(out, "restarts", "counter", "Services that died and were started again.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		fputs("polytropon_restarts_total{", out);
		metrics_label(out, "pool", p->name);
		fprintf(out, "} %lld\n", (long long)p->restarts);
	}
	metrics_family(out, "service_cpu_seconds", "counter", "What the services have computed; a new service begins anew.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		if (p->cpu < 0)
			continue;
		fputs("polytropon_service_cpu_seconds_total{", out);
		metrics_label(out, "pool", p->name);
		fprintf(out, "} %.2f\n", p->cpu);
	}
	metrics_family(out, "slow_operations", "counter", "Operations that took 10 ms or longer.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		if (!p->meter)
			continue;
		fputs("polytropon_slow_operations_total{", out);
		metrics_label(out, "pool", p->name);
		fprintf(out, "} %llu\n", (unsigned long long)p->meter->slows);
	}
}

void metrics_spared(FILE *out, const struct sources *s)
{
	metrics_family(out, "spared", "counter", "What programs did without a message, and what they did not, by kind.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *spared = json_child(p->stats, "spared", json_type_object);
		if (!spared)
			continue;
		json_object_object_foreach(spared, kind, n) {
			fputs("polytropon_spared_total{", out);
			metrics_label(out, "pool", p->name);
			fprintf(out, ",kind=\"%s\"} %s\n", kind, json_object_get_string(n));
		}
	}
}

static void write_container(FILE *out, const struct sources *s, const char *name, const char *key, double unit,
			    const char *help)
{
	metrics_family(out, name, "counter", help);
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *containers = json_child(p->stats, "containers", json_type_object);
		if (!containers)
			continue;
		json_object_object_foreach(containers, container, c) {
			fprintf(out, "polytropon_%s_total{", name);
			metrics_label(out, "pool", p->name);
			putc(',', out);
			metrics_container(out, container);
			fprintf(out, "} %.9g\n", json_number(c, key, 0) / unit);
		}
	}
}

void metrics_containers(FILE *out, const struct sources *s)
{
	write_container(out, s, "container_operations", "requests", 1, "Operations that came to the service, by container.");
	write_container(out, s, "container_errors", "errors", 1, "Of these, those that failed.");
	write_container(out, s, "container_bytes", "bytes", 1, "Read, written and copied by these.");
	write_container(out, s, "container_seconds", "time_ns", 1e9, "What the service took for these.");
}

/* All containers' together. */
static void write_throttled(FILE *out, const struct sources *s, const char *figure, const char *name, double unit,
			    const char *help)
{
	metrics_family(out, name, "counter", help);
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *containers = json_child(p->stats, "containers", json_type_object);
		double sum = 0;
		if (!containers)
			continue;
		json_object_object_foreach(containers, container, c) {
			(void)container;
			sum += json_number(c, figure, 0);
		}
		fprintf(out, "polytropon_%s_total{", name);
		metrics_label(out, "pool", p->name);
		fprintf(out, "} %.9g\n", sum / unit);
	}
}

static struct json_object *limits_of(const struct source_pool *p)
{
	return json_child(json_child(p->stats, "settings", json_type_object), "io", json_type_object);
}

void metrics_limits(FILE *out, const struct sources *s)
{
	metrics_family(out, "io_waiting", "gauge", "Requests that wait for a limit now.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		if (!limits_of(p))
			continue;
		fputs("polytropon_io_waiting{", out);
		metrics_label(out, "pool", p->name);
		fprintf(out, "} %lld\n", (long long)json_number(limits_of(p), "waiting", 0));
	}
	metrics_family(out, "io_limit", "gauge", "Limits of the pool's I/O that are set, a second.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *io = limits_of(p);
		if (!io)
			continue;
		json_object_object_foreach(io, limit, n) {
			if (!strcmp(limit, "waiting"))
				continue;
			fputs("polytropon_io_limit{", out);
			metrics_label(out, "pool", p->name);
			fprintf(out, ",limit=\"%s\"} %s\n", limit, json_object_get_string(n));
		}
	}
	write_throttled(out, s, "throttled", "io_throttled", 1, "Requests that waited for a limit.");
	write_throttled(out, s, "throttled_ns", "io_throttled_seconds", 1e9, "How long requests waited for a limit, together.");
}

static void write_cache(FILE *out, const struct sources *s, const char *figure, const char *name, bool counter,
			double unit, const char *help)
{
	metrics_family(out, name, counter ? "counter" : "gauge", help);
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *caches = json_child(p->stats, "cache", json_type_object);
		if (!caches)
			continue;
		json_object_object_foreach(caches, mount, cache) {
			fprintf(out, "polytropon_%s%s{", name, counter ? "_total" : "");
			metrics_label(out, "pool", p->name);
			putc(',', out);
			metrics_label(out, "mount", mount);
			fprintf(out, "} %.9g\n", json_number(cache, figure, 0) / unit);
		}
	}
}

void metrics_caches(FILE *out, const struct sources *s)
{
	write_cache(out, s, "hits", "cache_hits", true, 1, "Reads that the cache had everything for.");
	write_cache(out, s, "misses", "cache_misses", true, 1, "Reads that it did not.");
	write_cache(out, s, "written", "cache_written_pages", true, 1, "Pages written back.");
	write_cache(out, s, "throttled_ns", "cache_throttled_seconds", true, 1e9,
		    "Time that writers were held up for being ahead of writing back.");
	write_cache(out, s, "pool_used", "cache_used_bytes", false, 1, "Of the pool's cache, the same for each mount.");
	write_cache(out, s, "pool_dirty", "cache_dirty_bytes", false, 1, "Not written back yet, the same for each mount.");
	write_cache(out, s, "pool_size", "cache_size_bytes", false, 1, "Limit of the pool's cache, the same for each mount.");
}
