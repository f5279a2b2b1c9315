/* SPDX-License-Identifier: Apache-2.0 */
/* Every layer there is. A new one is a line in each of the two lists. */
#include "libservices/libservice.h"

extern const struct ls_type ls_type_cache, ls_type_null, ls_type_host, ls_type_mem, ls_type_delay, ls_type_error, ls_type_volume, ls_type_union;

const struct ls_type *const ls_types[] = {
	&ls_type_cache, &ls_type_null, &ls_type_host, &ls_type_mem, &ls_type_delay, &ls_type_error, &ls_type_volume,
	&ls_type_union, NULL,
};
