/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types that need a heavy library are loadable objects, layers/<name>.so: a process without such a stack does not load
 * them. What a description may say of such a type is built in (`object` of its ls_type or area_type), so that it can
 * be checked anywhere.
 */
#pragma once

#include "libservices/area.h"
#include "libservices/libservice.h"

/* What an object exports, as `ls_object`. */
struct ls_object {
	const char *version; /* POLYTROPON_VERSION: an object of another build is refused */
	const struct ls_type *layer;
	const struct area_type *area;
};

/* Loads an object, for good. Returns it, or NULL and a sentence. */
const struct ls_object *ls_object_load(const char *name, char *error, size_t error_size);
