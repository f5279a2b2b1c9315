/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An area kept on several at once. Every write goes to all; a read comes from one. One that fails is left
 * behind, and brought back later. See mirror.h for what is on the medium and mirror-io.c for the transfers.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libservices/area/mirror.h"
#include "libservices/area/thread.h"

static const char *config_text(struct json_object *config, const char *key)
{
	return json_object_get_string(json_object_object_get(config, key));
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* As much as the smallest child has, and as the map has bits for. */
static uint64_t mirror_resize(struct area *area)
{
	struct mirror *m = area->state;
	uint64_t size = min(AREA_SIZE_MAX, (uint64_t)MIRROR_BITS << m->region_shift);

	for (unsigned n = 0; n < m->count; n++) {
		uint64_t below = area_resize(m->child[n]);
		size = min(size, below < MIRROR_DATA ? 0 : (below - MIRROR_DATA) & -(uint64_t)MIRROR_PAGE);
	}
	return size;
}

static struct mirror *mirror_free(struct mirror *m)
{
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->keep);
	pthread_cond_destroy(&m->copy);
	free(m->map);
	free(m->heads);
	free(m->page);
	free(m);
	return NULL;
}

static struct mirror *mirror_new(struct area *area, struct json_object *config)
{
	struct mirror *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	area->state = m;
	m->area = area;
	m->count = area->below_count;
	m->all = bit(m->count) - 1;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->keep, NULL);
	pthread_cond_init(&m->copy, NULL);
	TAILQ_INIT(&m->active);
	TAILQ_INIT(&m->waiting);
	TAILQ_INIT(&m->unsaved);
	ls_parse_time(config_text(config, "settle"), &m->settle_ns);
	ls_parse_time(config_text(config, "retry"), &m->retry_ns);
	m->map = calloc(1, sizeof(*m->map));
	m->heads = aligned_alloc(MIRROR_PAGE, MIRROR_BELOW_MAX * sizeof(*m->heads));
	m->page = aligned_alloc(MIRROR_PAGE, sizeof(*m->page));
	return m->map && m->heads && m->page ? m : mirror_free(m);
}

static void mirror_close(struct area *area)
{
	struct mirror *m = area->state;

	pthread_mutex_lock(&m->lock);
	m->ending = m->threads > 0;
	pthread_cond_signal(&m->keep);
	pthread_cond_signal(&m->copy);
	pthread_mutex_unlock(&m->lock);
	if (m->threads > 1)
		pthread_join(m->copier, NULL);
	if (m->threads > 0)
		pthread_join(m->keeper, NULL);
	mirror_free(m);
}

static int threads_start(struct mirror *m, char *error, size_t error_size)
{
	int r = area_thread_start(&m->keeper, "area-keeper", mirror_keeper, m);

	m->threads += r == 0;
	if (r == 0)
		r = area_thread_start(&m->copier, "area-copier", mirror_copier, m);
	m->threads += r == 0 && m->threads;
	if (r < 0)
		snprintf(error, error_size, "mirror: no threads: %s", strerror(-r));
	return r;
}

static int mirror_open(struct area *area, struct json_object *config, char *error, size_t error_size)
{
	struct mirror *m = mirror_new(area, config);
	int r;

	if (!m)
		return -ENOMEM;
	r = mirror_judge(m, strcmp(config_text(config, "create"), "true") == 0,
			 strcmp(config_text(config, "adopt"), "true") == 0, error, error_size);
	if (r == 0 && !(area->traits & AREA_RDONLY))
		r = threads_start(m, error, error_size);
	if (r < 0)
		mirror_close(area);
	return r;
}

static struct json_object *children_report(const struct mirror *m)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < m->count; i++)
		for (unsigned n = 0; n < m->count; n++)
			if (m->child[n] == m->area->below[i])
				json_object_array_add(
					list, json_object_new_string(m->in_sync & bit(n)   ? "in sync"
								     : m->copying & bit(n) ? "copying"
											   : "away"));
	return list;
}

static void mirror_report(struct area *area, struct json_object *into)
{
	struct mirror *m = area->state;
	uint64_t left;

	pthread_mutex_lock(&m->lock);
	left = m->copying ? mirror_map_count(m->map->todo) << m->region_shift : 0;
	json_object_object_add(into, "state", children_report(m));
	json_object_object_add(into, "left", json_object_new_uint64(left));
	json_object_object_add(into, "marked",
			       json_object_new_uint64(mirror_map_count(m->map->dirty) << m->region_shift));
	pthread_mutex_unlock(&m->lock);
	json_object_object_add(into, "read_errors",
			       json_object_new_uint64(__atomic_load_n(&m->read_errors, __ATOMIC_RELAXED)));
}

static const struct ls_option mirror_options[] = {
	{"create", LS_BOOL, "false", 0, 0, "make a new mirror if all areas below are blank", 0},
	{"adopt", LS_BOOL, "false", 0, 0, "make a blank area below a mirror image of the others", 0},
	{"settle", LS_TIME, "5s", 1000000, 3600000000000, "how long a region is marked after a write", 0},
	{"retry", LS_TIME, "30s", 0, 3600000000000, "how often to try one that failed; 0: never", 0},
	{NULL},
};

const struct area_type area_type_mirror = {
	.name = "mirror",
	.help = "kept on several at once",
	.below_min = 2,
	.below_max = MIRROR_BELOW_MAX,
	.options = mirror_options,
	.open = mirror_open,
	.close = mirror_close,
	.submit = mirror_submit,
	.run = mirror_run,
	.resize = mirror_resize,
	.report = mirror_report,
};
