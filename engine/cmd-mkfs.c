/* SPDX-License-Identifier: Apache-2.0 */
/* `mkfs`: makes a volume. What looks like something that somebody may want to keep is not overwritten. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/cluster.h"
#include "engine/cmd-image.h"
#include "libservices/libservice.h"

const struct option_row mkfs_options[] = {
    {"size", "SIZE", "how large; an image file is made, or grows"},
    {"force", NULL, "overwrite what is there"},
    {},
};

enum { WIPE_BYTES = 2 << 20 };

struct mkfs {
	struct target target;
	uint64_t size;
	bool force;
};

static int take_option(const struct command *command, const struct option_row *o, const char *value,
		       void *arg)
{
	struct mkfs *m = arg;

	if (!strcmp(o->name, "force"))
		m->force = true;
	else if (ls_parse_size(value, &m->size) < 0 || !m->size)
		return misuse(command, "'%s' is not a size such as 4G", value);
	return 0;
}

/* What is in a cluster is read by way of its area. */
static int check_cluster(struct mkfs *m)
{
	struct area *area;
	struct error error;
	uint8_t *bytes;
	int r = target_area(&m->target, &error);

	if (r < 0)
		return complain("%s", error.text);
	area = m->target.area;
	bytes = aligned_alloc(4096, WIPE_BYTES);
	if (bytes)
		memset(bytes, 0, WIPE_BYTES);
	r = bytes ? area_read(area, bytes, area_size(area) < WIPE_BYTES ? area_size(area) : WIPE_BYTES, 0) : -ENOMEM;
	m->target.area = area_close(area);
	if (r == 0 && (bytes[0] || memcmp(bytes, bytes + 1, WIPE_BYTES - 1)))
		r = -EEXIST;
	free(bytes);
	if (r == -EEXIST)
		return complain("'%s' holds something; 'polytropon mkfs --force' overwrites it", m->target.text);
	return r < 0 ? complain("read '%s': %s", m->target.text, strerror(-r)) : 0;
}

static int check_holds(struct mkfs *m)
{
	if (!m->force && cluster_has_area(m->target.description)) {
		int r = check_cluster(m);
		if (r != 0)
			return r;
	}
	for (size_t i = 0; i < m->target.volume.count; i++) {
		const struct image *image = &m->target.volume.image[i];
		const char *what = m->force || image->empty ? NULL : image_holds(image);
		if (what)
			return complain("'%s' holds %s; 'polytropon mkfs --force' overwrites it",
					image->path, what);
	}
	return 0;
}

/* Nobody shall find later what was there: the beginning of a device, all of a file. */
static int image_wipe(struct image *image, struct error *error)
{
	uint8_t *zeros = NULL;
	int r = 0;

	if (image->empty)
		return 0;
	if (!image->device) {
		if (ftruncate(image->fd, 0) < 0 || ftruncate(image->fd, image->size) < 0)
			return error_errno(error, errno, "wipe image '%s'", image->path);
		return 0;
	}
	zeros = aligned_alloc(4096, WIPE_BYTES);
	if (!zeros)
		return error_errno(error, ENOMEM, "wipe image '%s'", image->path);
	memset(zeros, 0, WIPE_BYTES);
	if (pwrite(image->fd, zeros, WIPE_BYTES, 0) != WIPE_BYTES)
		r = error_errno(error, errno ? errno : EIO, "wipe image '%s'", image->path);
	free(zeros);
	return r;
}

static int make(struct mkfs *m, struct error *error)
{
	struct target *t = &m->target;
	int r = 0;

	for (size_t i = 0; i < t->volume.count && r == 0; i++)
		r = image_wipe(&t->volume.image[i], error);
	if (r == 0 && m->size)
		r = images_grow(&t->volume, t->description, m->size, error);
	for (size_t i = 0; i < t->volume.count && r == 0; i++)
		if (t->volume.image[i].size == 0)
			r = error_set(error, -EINVAL,
				      "'%s' is empty; say with --size how large it is to be",
				      t->volume.image[i].path);
	return r < 0 ? r : images_make(&t->volume, t->description, m->size, error);
}

static int run(struct mkfs *m)
{
	struct error error;
	int r = target_open(&m->target, m->size ? IMAGE_MAKE : 0, &error);

	if (r == -ENOENT && !m->size)
		return complain("%s; with --size it is made", error.text);
	if (r < 0)
		return complain("%s", error.text);
	r = check_holds(m);
	if (r == 0 && make(m, &error) < 0) {
		r = complain("%s", error.text);
		images_unmake(&m->target.volume);
	}
	return r;
}

int cmd_mkfs(const struct command *command, char **argv)
{
	struct mkfs m = {};
	int r = target_options_take(&m.target, command, argv, take_option, &m);

	if (r == 0)
		r = run(&m);
	target_fini(&m.target);
	return r;
}
