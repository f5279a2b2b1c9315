/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "engine/volume.h"
#include "libservices/area.h"
#include "libservices/volume/volume.h"

/* A mirror on areas that hold nothing has to be asked for. */
static void areas_create(struct json_object *area)
{
	json_object_object_foreach(area, type, body)
	{
		struct json_object *below = json_child(body, "below", json_type_array);
		if (!strcmp(type, "mirror"))
			json_set(body, "create", "true");
		for (size_t i = 0; below && i < json_object_array_length(below); i++)
			areas_create(json_object_array_get_idx(below, i));
	}
}

int images_make(struct images *volume, struct json_object *area, uint64_t size, struct error *error)
{
	struct volume_params params = {.size = size / VF_BLOCK * VF_BLOCK};
	_cleanup_(json_put_p) struct json_object *opened = NULL;
	int fds[IMAGES_MAX], r;
	char name[PATH_MAX + 16];
	struct area *a;

	for (size_t i = 0; i < volume->count; i++)
		fds[i] = volume->image[i].fd;
	opened = images_area(area, fds);
	areas_create(opened);
	r = area_open(opened, &a, error->text, sizeof(error->text));
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "image '%s'", volume->count ? volume->image[0].path : "in a cluster");
	r = volume_mkfs(a, name, &params, error->text, sizeof(error->text));
	area_close(a);
	for (size_t i = 0; i < volume->count && r == 0; i++)
		r = image_claim(&volume->image[i], error);
	return r;
}
