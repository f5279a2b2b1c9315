/* SPDX-License-Identifier: Apache-2.0 */
/* What a checkpoint takes along. */
#pragma once

#include "libservices/volume/vol.h"

struct vol_image {
	uint64_t block;
	uint8_t *buf;
	bool node; /* the buffer may be the node's still */
};

struct vol_snapshot {
	bool taken;
	struct vol_image *image;
	size_t count, max;
	struct vol_ranges node_freed;
	struct vf_super super; /* as it will be */
	uint64_t tail;
};
