/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `set volume.size` of a running pool: the engine, which alone may, makes the images larger; then the
 * service is told, and its volume takes what its area has grown by.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/cluster.h"
#include "engine/pool.h"
#include "engine/volume.h"
#include "libservices/libservice.h"

struct search {
	struct json_object *wanted; /* the volume's configuration */
	size_t next;                /* descriptor */
	struct images *images;
	const struct pool *pool;
	struct error *error;
};

static int count_fd(struct json_object *file, void *arg)
{
	((struct search *)arg)->next++;
	return 0;
}

/* Borrows the pool's descriptor. */
static int take_image(struct json_object *file, void *arg)
{
	struct search *s = arg;
	struct image *image = &s->images->image[s->images->count];
	struct stat st;

	*image = (struct image){.fd = pool_fd(s->pool, BUILD_FDS + s->next++),
				.path = (char *)json_string(file, "path")};
	if (s->images->count == IMAGES_MAX || fstat(image->fd, &st) < 0)
		return error_errno(s->error, errno ? errno : ENOSPC, "image '%s'", image->path);
	image->device = S_ISBLK(st.st_mode);
	image->size = st.st_size;
	s->images->count++;
	return 0;
}

static int count_cluster(const char *type, struct json_object *config, void *arg)
{
	((struct search *)arg)->next += cluster_count(config);
	return 0;
}

/* Descriptors lie in stack_walk's order; see engine/build.h. 1: found. */
static int search_layer(const char *type, struct json_object *config, void *arg)
{
	struct json_object *area = json_child(config, "area", json_type_object);
	struct search *s = arg;
	int r;

	s->next += !strcmp(type, "host");
	if (config == s->wanted) {
		r = images_each(area, take_image, s);
		return r < 0 ? r : 1;
	}
	r = strcmp(type, "volume") ? 0 : images_each(area, count_fd, s);
	return r < 0 ? r : cluster_each(type, config, count_cluster, s);
}

static int images_find(struct search *s)
{
	struct json_object *mounts = json_child(s->pool->spec, "mounts", json_type_object);

	json_object_object_foreach(mounts, path, stack)
	{
		int r = stack_walk(stack, search_layer, s);
		(void)path;
		if (r)
			return r;
	}
	return 0;
}

int volume_grow_live(const struct pool *pool, const struct change *change, struct error *error)
{
	struct images images = {};
	struct search s = {.wanted = change->target, .images = &images, .pool = pool, .error = error};
	struct json_object *area = json_child(change->target, "area", json_type_object);
	uint64_t size = 0;
	int r;

	if (strcmp(change->field, "size") || !area)
		return 0;
	ls_parse_size(change->value, &size);
	r = images_find(&s);
	if (r < 0)
		return r;
	if (images.count == 1 && images.image[0].size > size)
		return error_set(error, -EINVAL,
				 "%s=%s: image '%s' has %llu bytes already, and a volume does not shrink",
				 change->key, change->value, images.image[0].path,
				 (unsigned long long)images.image[0].size);
	return images_grow(&images, area, size, error);
}
