/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on images share. */
#pragma once

#include "engine/command.h"
#include "engine/volume.h"
#include "libservices/area.h"

/* The images that an argument means, open, and the area that they make. */
struct target {
	const char *text; /* the argument */
	struct json_object *description;
	struct images volume;
	struct area *area; /* NULL: not open yet */
};

/*
 * Understands an image's path, or an area in the words of a pool file: '{"mirror": [{"image": "/a"},
 * ...]}'. 0, or an exit status after a sentence.
 */
int target_take(struct target *t, const struct command *command, const char *text);
/* The same of a command line of options and one argument. */
int target_options_take(struct target *t, const struct command *command, char **argv, option_fn *fn,
			void *arg);
/* Opens the images, `how` as image_open's, and says who has them if they are not to be had. -errno. */
int target_open(struct target *t, unsigned how, struct error *error);
/* The area on them. */
int target_area(struct target *t, struct error *error);
/* After "not a volume": "; it holds an ext4 file system", or "". */
const char *target_holds(const struct target *t);
void target_fini(struct target *t);
