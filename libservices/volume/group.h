/* SPDX-License-Identifier: Apache-2.0 */
/* What space.c needs of group.c: a group's bitmap in memory. With the lock of the space held. */
#pragma once

#include "libservices/volume/vol.h"

int vol_group_load(struct vol *v, struct vol_group *g);
int vol_group_change(struct vol *v, struct vol_group *g); /* loads it, and notes that it changes */
