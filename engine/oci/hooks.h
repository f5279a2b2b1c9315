/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that config.json wants run at points of a container's life; they get its state on stdin. */
#pragma once

#include "engine/util.h"

/* hooks.<when>, in order. The first that fails ends it, with a sentence. */
int hooks_run(struct json_object *config, const char *when, struct json_object *state, struct error *error);
