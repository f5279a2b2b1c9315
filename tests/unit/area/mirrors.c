/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <stdio.h>

#include "tests/unit/area/mirrors.h"

void pair_init(struct pair *p, unsigned count, uint64_t size)
{
	memset(p, 0, sizeof(*p));
	p->size = size;
	p->count = count;
	for (unsigned i = 0; i < count; i++)
		faulty_init(&p->f[i], size);
}

void pair_fini(struct pair *p)
{
	pair_close(p);
	for (unsigned i = 0; i < p->count; i++)
		faulty_fini(&p->f[i]);
}

static void below(struct pair *p, uint32_t missing, struct area **ret)
{
	for (unsigned i = 0; i < p->count; i++)
		ret[i] = missing & bit(i) ? opened("{'missing': {}}") : faulty_area(&p->f[i]);
}

void pair_open(struct pair *p, uint32_t missing, const char *config)
{
	struct area *children[3];

	below(p, missing, children);
	p->area = area_on("mirror", children, p->count, config);
}

const char *pair_refusal(struct pair *p, uint32_t missing, const char *config)
{
	struct area *children[3];

	below(p, missing, children);
	return refusal_on(-EINVAL, "mirror", children, p->count, config);
}

void pair_close(struct pair *p)
{
	p->area = area_close(p->area);
}

const char *pair_state(struct pair *p)
{
	struct json_object *report = area_report(p->area), *list = json_object_object_get(report, "state");
	static char text[100];
	size_t n = 0;

	for (unsigned i = 0; i < p->count; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "",
			      json_object_get_string(json_object_array_get_idx(list, i)));
	json_object_put(report);
	return text;
}

uint64_t pair_report(struct pair *p, const char *key)
{
	struct json_object *report = area_report(p->area);
	uint64_t n = json_object_get_uint64(json_object_object_get(report, key));

	json_object_put(report);
	return n;
}

void pair_wait(struct pair *p, const char *state)
{
	for (int i = 0; i < 10000 && strcmp(pair_state(p), state) != 0; i++)
		usleep(1000);
	assert_string_equal(pair_state(p), state);
}

int pair_same(struct pair *p)
{
	for (unsigned i = 1; i < p->count; i++)
		if (memcmp(p->f[0].bytes + MIRROR_DATA, p->f[i].bytes + MIRROR_DATA,
			   p->size - MIRROR_DATA) != 0)
			return 0;
	return 1;
}

struct mirror_head pair_head(const struct pair *p, unsigned n)
{
	struct mirror_head head[2];

	memcpy(head, p->f[n].bytes, sizeof(head));
	return head[head[1].sequence > head[0].sequence];
}

int pair_marked(const struct pair *p, unsigned n)
{
	for (unsigned i = 0; i < MIRROR_PAGES; i++) {
		struct mirror_page page;

		memcpy(&page, p->f[n].bytes + MIRROR_MAP + i * MIRROR_PAGE, sizeof(page));
		for (unsigned w = 0; w < MIRROR_PAGE_WORDS; w++)
			if (page.bits[w])
				return 1;
	}
	return 0;
}
