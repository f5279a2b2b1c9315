/* SPDX-License-Identifier: Apache-2.0 */
/* Every layer there is. A new one is a line in each of the two lists; one in an object is described here. */
#include "libservices/libservice.h"

extern const struct ls_type ls_type_cache, ls_type_null, ls_type_host, ls_type_mem, ls_type_delay, ls_type_error, ls_type_volume, ls_type_union;

extern const struct ls_option ls_ceph_options[];

static const struct ls_type ls_type_ceph = {
	.name = "ceph", .help = "a directory of a Ceph file system", .object = "ceph", .options = ls_ceph_options};

const struct ls_type *const ls_types[] = {
	&ls_type_cache, &ls_type_null, &ls_type_host, &ls_type_mem, &ls_type_delay, &ls_type_error, &ls_type_volume,
	&ls_type_union, &ls_type_ceph, NULL,
};
