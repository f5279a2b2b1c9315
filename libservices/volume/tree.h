/* SPDX-License-Identifier: Apache-2.0 */
/* What tree.c and tree-change.c share: the way from the root to a leaf. With tree_lock held. */
#pragma once

#include "libservices/volume/vol.h"

struct vol_path {
	struct vol_node *node[VF_LEVEL_MAX + 1]; /* [0] is the leaf */
	unsigned at[VF_LEVEL_MAX + 1];           /* which child was taken; not of the leaf */
	bool has_lower, has_upper;
	struct vf_key lower, upper; /* the leaf has only keys from lower on, below upper */
};

/* load: reads what is not in memory; else -EAGAIN. */
int vol_path_find(struct vol *v, struct vf_key key, bool load, struct vol_path *ret);
