/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes, as far as the engine has to do with them: it opens their images, makes those that are not there,
 * and hands over descriptors.
 */
#pragma once

#include "engine/image.h"
#include "engine/spec.h"

/* ---- engine/volume-words.c ------------------------------------------------------------------------ */

/* Brings the volumes of a stack, as somebody wrote it, into the words of their layer. -EINVAL: a sentence.
 */
int volume_words_lower(struct json_object *stack, struct error *error);
/* The same of an area. The caller's to put. */
struct json_object *volume_area_lower(struct json_object *area);
/* And back, of a checked stack. */
void volume_words_raise(struct json_object *stack);

/* Calls fn for the body of every `file` of a checked area, in order; stops at the first non-zero result. */
typedef int image_fn(struct json_object *file, void *arg);
int images_each(struct json_object *area, image_fn *fn, void *arg);

/* ---- engine/volume-check.c: before anything is started --------------------------------------------- */

/* Are the images of a checked volume there, or can they be made? -EINVAL with a sentence, and what it is
 * about. */
int volume_check(struct json_object *config, const char *pool, struct json_object **ret_at,
		 struct error *error);
/* Has each image one volume, in all these pools? If not, which image, and in which pool's spec. */
int volume_check_apart(struct json_object *pools, const char **ret_path, struct json_object **ret_spec,
		       struct error *error);

/* ---- engine/images.c, engine/images-make.c -------------------------------------------------------------
 */

enum { IMAGES_MAX = 64 };

/* The images of an area, open. */
struct images {
	struct image image[IMAGES_MAX];
	size_t count;
};

/* Opens all images of a checked area; `how` as image_open's. */
int images_open(struct json_object *area, unsigned how, struct images *ret, struct error *error);
/* Makes a file that is to hold a share of `size` bytes so large. */
int images_grow(struct images *volume, struct json_object *area, uint64_t size, struct error *error);
/* Gives the body of a `file` its descriptor. */
void images_put_fd(struct json_object *file, int fd);
/* A copy of the area's description with descriptors: place n of `fds` for its n-th image. */
struct json_object *images_area(struct json_object *area, const int *fds);
/* Makes a volume on images that hold nothing worth keeping; size 0: as large as they are. */
int images_make(struct images *volume, struct json_object *area, uint64_t size, struct error *error);
/* Opens the images of a pool's volume, made and grown as its description says. Sentences into warnings. */
int images_prepare(struct json_object *config, struct images *ret, struct json_object *warnings,
		   struct error *error);
void images_fini(struct images *volume);
/* The same, and what was made goes. */
void images_unmake(struct images *volume);

/* ---- engine/volume-live.c -------------------------------------------------------------------------- */

struct pool;
/* If the change is one of a volume's size: makes the images of the running pool larger. */
int volume_grow_live(const struct pool *pool, const struct change *change, struct error *error);
