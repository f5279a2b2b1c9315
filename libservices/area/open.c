/* SPDX-License-Identifier: Apache-2.0 */
/* Areas from their descriptions: opened bottom-up, closed top-down. */
#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/area.h"
#include "libservices/area/ring.h"
#include "libservices/object.h"

/* Some microseconds: a device in memory answers within, and waking a sleeper costs more. */
enum { SPIN = 200 };

static int area_form_at(size_t i, struct ls_form *ret)
{
	const struct area_type *type = area_types[i];

	if (!type)
		return -ENOENT;
	*ret = (struct ls_form){type->name, type->below_min, type->below_max, type->options, type->primary};
	return 0;
}

static const struct ls_family areas = {"area", "an", "file", area_form_at};

int area_check(struct json_object *description, char *error, size_t error_size)
{
	return ls_description_check(&areas, description, error, error_size);
}

const struct area_type *area_type_find(const char *name)
{
	for (const struct area_type *const *t = area_types; *t; t++)
		if (strcmp((*t)->name, name) == 0)
			return *t;
	return NULL;
}

static unsigned max(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* What is right for an area that hands its transfers to all below, unless its open says otherwise. */
static void area_inherit(struct area *area)
{
	unsigned every = AREA_DISCARDS;

	area->block = 512;
	for (unsigned i = 0; i < area->below_count; i++) {
		area->block = max(area->block, area->below[i]->block);
		area->traits |= area->below[i]->traits & (AREA_RDONLY | AREA_BUFFERED | AREA_THIN);
		every &= area->below[i]->traits;
	}
	area->traits |= area->below_count ? every : 0;
}

/* To spin is to hope for another core. */
static unsigned spin_limit(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1 ? SPIN : 0;
}

static struct area *area_free(struct area *area)
{
	for (unsigned i = 0; i < area->below_count; i++)
		area_close(area->below[i]);
	area_rings_fini(&area->rings);
	free(area);
	return NULL;
}

static int area_make(const struct area_type *type, struct json_object *config, struct area *area,
		     char *error, size_t error_size)
{
	int r;

	area->type = type;
	area->spin = spin_limit();
	area_inherit(area);
	snprintf(error, error_size, "%s: cannot be opened: out of memory", type->name);
	r = type->open ? type->open(area, config, error, error_size)
		       : 0; /* any other reason, it says itself */
	assert(r < 0 || (area->block >= 512 && area->block <= 4096 && area->bytes % area->block == 0));
	return r;
}

/* The whole of a type, which may be in an object. NULL: a sentence says why not. */
static const struct area_type *type_load(const char *name, char *error, size_t error_size)
{
	const struct area_type *type = area_type_find(name);
	const struct ls_object *object;

	if (!type->object)
		return type;
	object = ls_object_load(type->object, error, error_size);
	return object ? object->area : NULL;
}

int area_new(const struct area_type *type, struct json_object *config, struct area *const *below,
	     unsigned below_count, struct area **ret, char *error, size_t error_size)
{
	struct json_object *empty = config ? NULL : json_object_new_object();
	struct area *area = calloc(1, sizeof(*area));
	int r = area ? 0 : -ENOMEM;

	snprintf(error, error_size, "%s: out of memory", type->name);
	if (r < 0) {
		for (unsigned i = 0; i < below_count; i++)
			area_close(below[i]);
		json_object_put(empty);
		return r;
	}
	area_rings_init(&area->rings);
	for (; area->below_count < below_count; area->below_count++)
		area->below[area->below_count] = below[area->below_count];
	config = ls_config(type->options, config ? config : empty);
	r = area_make(type, config, area, error, error_size);
	json_object_put(config);
	json_object_put(empty);
	if (r < 0)
		area_free(area);
	else
		*ret = area;
	return r;
}

/* `description` has been checked: an object with one key, whose value is an object. */
static int area_open_checked(struct json_object *description, struct area **ret, char *error,
			     size_t error_size)
{
	struct json_object_iterator it = json_object_iter_begin(description);
	struct json_object *body = json_object_iter_peek_value(&it),
			   *list = json_object_object_get(body, "below");
	const struct area_type *type = type_load(json_object_iter_peek_name(&it), error, error_size);
	size_t count = list ? json_object_array_length(list) : 0;
	struct area *below[AREA_BELOW_MAX];
	unsigned n = 0;
	int r = 0;

	if (!type)
		return -ENOENT;
	assert(type->below_max <= AREA_BELOW_MAX);
	for (; n < count && r == 0; n += r == 0)
		r = area_open_checked(json_object_array_get_idx(list, n), &below[n], error, error_size);
	if (r == 0)
		return area_new(type, body, below, n, ret, error, error_size);
	while (n > 0)
		area_close(below[--n]);
	return r;
}

int area_open(struct json_object *description, struct area **ret, char *error, size_t error_size)
{
	int r = area_check(description, error, error_size);

	return r < 0 ? r : area_open_checked(description, ret, error, error_size);
}

struct area *area_close(struct area *area)
{
	if (!area)
		return NULL;
	if (area->type->close)
		area->type->close(area);
	return area_free(area);
}

struct json_object *area_report(struct area *area)
{
	struct json_object *report = json_object_new_object(), *below;

	json_object_object_add(report, "type", json_object_new_string(area->type->name));
	json_object_object_add(report, "size", json_object_new_uint64(area_size(area)));
	if (area->type->report)
		area->type->report(area, report);
	if (area->below_count == 0)
		return report;
	below = json_object_new_array();
	for (unsigned i = 0; i < area->below_count; i++)
		json_object_array_add(below, area_report(area->below[i]));
	json_object_object_add(report, "below", below);
	return report;
}
