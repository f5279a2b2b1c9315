/* SPDX-License-Identifier: Apache-2.0 */
/* What a volume's structures are, for people who look for something. Reads only. */
#pragma once

#include "libservices/area.h"

/*
 * `what`: "super", "journal", "groups"; "inode", "directory", "extents", "attributes" with `which`, an
 * inode's number or a path from the root. NULL and a sentence, or an object that is the caller's to put.
 */
struct json_object *volume_dump(struct area *area, const char *what, const char *which, char *error,
				size_t error_size);
/* The words that `what` may be; ends with NULL. */
extern const char *const volume_dump_words[];
