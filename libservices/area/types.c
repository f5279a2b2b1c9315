/* SPDX-License-Identifier: Apache-2.0 */
/* Every area there is. A new one is a line in each of the two lists. */
#include <stddef.h>

#include "libservices/area.h"

extern const struct area_type area_type_file, area_type_stripe, area_type_mirror, area_type_missing;

const struct area_type *const area_types[] = {
	&area_type_file, &area_type_stripe, &area_type_mirror, &area_type_missing, NULL,
};
