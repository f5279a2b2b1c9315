/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry of a layer's archive becomes in the layer's tree.
 *
 * An archive is a stranger's. A name that leads upward, or nowhere, ends the import; what a layer has no business to
 * contain is left out: marks of the overlay convention, attributes that only root's own programs give, devices.
 */
#pragma once

#include <archive_entry.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/util.h"

enum entry_kind {
	ENTRY_PLAIN,    /* to be extracted, the entry's names as they are now */
	ENTRY_WHITEOUT, /* `path` hides what lies below */
	ENTRY_OPAQUE,   /* the directory `path` hides what lies below it */
	ENTRY_LEFT_OUT,
};

struct entry_rules {
	bool devices;      /* may have device nodes */
	unsigned depth;    /* components of a path */
	uint64_t size;     /* of one file */
};

/* The kind, or -errno with a sentence. `path` (PATH_MAX bytes) is relative and has neither "." nor "..". */
int entry_take(struct archive_entry *entry, const struct entry_rules *rules, char *path, struct error *error);

/* A name of an archive made relative: "./usr//bin/" is "usr/bin", "/" is ".". -EINVAL: it leads upward. */
int entry_path(const char *name, unsigned depth, char *ret, size_t size);
