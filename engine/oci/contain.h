/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of a pool, as `run --root`, `exec --in`, `kill` and `logs` have them: over the runtime that `oci` is, too. */
#pragma once

#include "engine/oci/image-config.h"
#include "engine/oci/oci.h"

/*
 * Runs a container of the wish and waits for its end, or, with detach, until it runs. wish->root is a container, or an
 * image, of which one is made; without a name it goes with its end. An exit status, after a sentence if it is ours.
 */
int contain_run(struct container_wish *wish, bool detach);
/* A further program in a running container; waits for its end. */
int contain_exec(const char *pool, const char *name, bool tty, char **argv);

/* Where the pool's containers are remembered, and what one has written. */
void contain_root(const char *pool, char *ret, size_t size);
void contain_log(const char *pool, const char *name, char *ret, size_t size);

/* What an image or a container of the pool says of itself; NULL without. */
struct json_object *contain_image(int init, const char *kind, const char *name);
