/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tools: making a volume on an area, and the first steps of reading one. The format is in format.h.
 *
 * The layer itself is ls_type_volume; nothing here is needed to use it.
 */
#pragma once

#include <stdint.h>

#include "libservices/area.h"
#include "libservices/volume/format.h"

struct volume_params {
	uint64_t size;             /* bytes; 0: all of the area */
	const char *label;         /* NULL: none */
	const uint8_t *uuid;       /* 16 bytes; NULL: a random one */
	const uint64_t *hash_seed; /* two; NULL: random ones */
	uint64_t journal_size;     /* bytes; 0: as suits the size. The shadow gets as much */
	uint32_t uid, gid, mode;   /* of the root directory; mode 0: 0755 */
};

/* Makes an empty volume. 0, or -errno and a sentence that names `name`. */
int volume_mkfs(struct area *area, const char *name, const struct volume_params *params, char *error,
		size_t error_size);

/*
 * The newest valid superblock, checked against the area's size. Writes nothing. -EMEDIUMTYPE: not a volume
 * at all. 0, or -errno and a sentence.
 */
int volume_super(struct area *area, const char *name, struct vf_super *ret, char *error, size_t error_size);

/*
 * Mounts for writing and closes: what the journal has is applied, and orphans stay. 0, or -errno and a
 * sentence. Nothing is written if something is wrong.
 */
int volume_replay(struct area *area, const char *name, char *error, size_t error_size);
