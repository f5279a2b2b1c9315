/* SPDX-License-Identifier: Apache-2.0 */
/* Every area there is. A new one is a line in each of the two lists; one in an object is described here. */
#include <stddef.h>

#include "libservices/area.h"

extern const struct area_type area_type_file, area_type_stripe, area_type_mirror, area_type_missing;

extern const struct ls_option ls_rbd_options[];

static const struct area_type area_type_rbd = {
	.name = "rbd", .help = "in a block image of a Ceph cluster", .object = "rbd", .options = ls_rbd_options};

const struct area_type *const area_types[] = {
	&area_type_file, &area_type_stripe, &area_type_mirror, &area_type_missing, &area_type_rbd, NULL,
};
