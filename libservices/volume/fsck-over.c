/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck-internal.h"

int fsck_over_add(struct fsck_over *o, struct vf_key key, const void *value, uint32_t length)
{
	struct fsck_item item = {.key = key, .order = o->order++, .length = length};

	if (fsck_grow(&o->item, o->count, &o->max, sizeof(item)) < 0)
		return -ENOMEM;
	if (length != FSCK_GONE && length) {
		item.value = malloc(length);
		if (!item.value)
			return -ENOMEM;
		memcpy(item.value, value, length);
	}
	o->item[o->count++] = item;
	return 0;
}

static int item_compare(const void *a, const void *b)
{
	const struct fsck_item *x = a, *y = b;
	int order = vol_key_compare(x->key, y->key);

	return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

void fsck_over_sort(struct fsck_over *o)
{
	size_t kept = 0;

	if (o->count)
		qsort(o->item, o->count, sizeof(*o->item), item_compare);
	for (size_t i = 0; i < o->count; i++) {
		if (i + 1 < o->count && vol_key_compare(o->item[i].key, o->item[i + 1].key) == 0)
			free(o->item[i].value);
		else
			o->item[kept++] = o->item[i];
	}
	o->count = kept;
}

void fsck_over_fini(struct fsck_over *o)
{
	for (size_t i = 0; i < o->count; i++)
		free(o->item[i].value);
	free(o->item);
	*o = (struct fsck_over){0};
}
