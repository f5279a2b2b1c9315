/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's config.json made from what an image says of itself and what the command line adds. Both are read
 * here and nowhere else: what runs it is the runtime, to which a container of `run --root` is one as any other.
 */
#pragma once

#include "engine/util.h"

struct container_wish {
	const char *pool, *root, *name;
	const char *user, *workdir, *hostname, *memory, *pids, *cpu_weight;
	struct json_object *env, *volumes, *caps; /* arrays of words */
	struct json_object *io;                   /* {"io.iops": "500"}; NULL: none */
	bool tty, read_only, network, privileged_user; /* privileged_user: no user namespace of its own */
	char **argv;                                   /* NULL or empty: what the image runs */
};

/* image: the image's configuration, or NULL. The result has everything that `oci` asks of a config.json. */
int container_config(const struct container_wish *w, struct json_object *image, struct json_object **ret,
		     struct error *error);
