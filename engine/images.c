/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images of a pool's volume on their way to its service: opened and claimed, made and given a volume if
 * they hold nothing, grown if they are smaller than the pool file says.
 *
 * A volume is made only where all its images hold nothing at all, and never on a block image of a cluster, of which that is not
 * known here: there it is made by mkfs.
 */
#include <errno.h>
#include <string.h>

#include "engine/cluster.h"
#include "engine/volume.h"
#include "libservices/libservice.h"

enum { MIRROR_OVERHEAD = 1 << 20 };

/* ---- opening ------------------------------------------------------------------------------------- */

struct opening {
	struct images *volume;
	unsigned how;
	struct error *error;
};

static int open_one(struct json_object *file, void *arg)
{
	struct opening *o = arg;
	const char *path = json_string(file, "path");
	struct image *image = &o->volume->image[o->volume->count];
	int r;

	if (o->volume->count == IMAGES_MAX)
		return error_set(o->error, -ENOSPC, "a volume of more than %d images", IMAGES_MAX);
	if (path && *path)
		r = image_open(path, o->how, image, o->error);
	else
		r = image_open_nameless(image, o->error);
	o->volume->count += r == 0;
	return r;
}

void images_fini(struct images *volume)
{
	while (volume->count)
		image_fini(&volume->image[--volume->count]);
}

void images_unmake(struct images *volume)
{
	for (size_t i = 0; i < volume->count; i++)
		if (volume->image[i].made && strcmp(volume->image[i].path, IMAGE_NAMELESS))
			unlink(volume->image[i].path);
	images_fini(volume);
}

int images_open(struct json_object *area, unsigned how, struct images *ret, struct error *error)
{
	struct opening o = {ret, how, error};
	int r;

	ret->count = 0;
	r = images_each(area, open_one, &o);
	if (r < 0)
		images_unmake(ret);
	return r;
}

/* ---- descriptors in the place of paths ------------------------------------------------------------ */

struct numbering {
	const int *fds;
	size_t next;
};

void images_put_fd(struct json_object *file, int fd)
{
	json_object_object_add(file, "fd", json_object_new_int(fd));
	/* With a descriptor the path is but a name. */
	if (!*json_string(file, "path"))
		json_set(file, "path", "%s", IMAGE_NAMELESS);
}

static int put_fd(struct json_object *file, void *arg)
{
	struct numbering *n = arg;

	images_put_fd(file, n->fds[n->next++]);
	return 0;
}

struct json_object *images_area(struct json_object *area, const int *fds)
{
	struct json_object *copy = json_tokener_parse(json_object_to_json_string(area));
	struct numbering n = {fds, 0};

	images_each(copy, put_fd, &n);
	return copy;
}

/* ---- sizes --------------------------------------------------------------------------------------- */

/* Gives each image its share of an area of `size` bytes; *next counts them. */
static int area_grow(struct images *volume, struct json_object *area, uint64_t size, size_t *next,
		     struct error *error)
{
	json_object_object_foreach(area, type, body)
	{
		struct json_object *below = json_child(body, "below", json_type_array);
		size_t n = below ? json_object_array_length(below) : 0;
		uint64_t chunk = 64 << 10;
		int r = 0;

		if (!strcmp(type, "file"))
			return image_grow(&volume->image[(*next)++], size, error);
		if (!strcmp(type, "mirror"))
			size += MIRROR_OVERHEAD;
		if (!strcmp(type, "stripe") && n) {
			if (json_string(body, "chunk"))
				ls_parse_size(json_string(body, "chunk"), &chunk);
			size = (size + n * chunk - 1) / (n * chunk) * chunk;
		}
		for (size_t i = 0; i < n && r == 0; i++)
			r = area_grow(volume, json_object_array_get_idx(below, i), size, next, error);
		return r;
	}
	return 0;
}

int images_grow(struct images *volume, struct json_object *area, uint64_t size, struct error *error)
{
	size_t next = 0;

	return area_grow(volume, area, size, &next, error);
}

static bool all_empty(const struct images *volume)
{
	for (size_t i = 0; i < volume->count; i++)
		if (!volume->image[i].empty)
			return false;
	return true;
}

int images_prepare(struct json_object *config, struct images *ret, struct json_object *warnings,
		   struct error *error)
{
	struct json_object *area = json_child(config, "area", json_type_object);
	const char *text = json_string(config, "size");
	uint64_t size = 0;
	int r = images_open(area, text ? IMAGE_MAKE : 0, ret, error);

	if (r < 0)
		return r;
	if (text)
		ls_parse_size(text, &size);
	for (size_t i = 0; i < ret->count && size; i++)
		if (ret->count == 1 && ret->image[i].size > size)
			json_say(warnings, "image '%s' has more than the volume's size of %s; it keeps it",
				 ret->image[i].path, text);
	if (size)
		r = images_grow(ret, area, size, error);
	if (r == 0 && all_empty(ret) && !cluster_has_area(area))
		r = images_make(ret, area, size, error);
	if (r < 0)
		images_unmake(ret);
	return r;
}
