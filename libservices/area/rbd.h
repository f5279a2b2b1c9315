/* SPDX-License-Identifier: Apache-2.0 */
/* The area on a block image, inside. */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <stdbool.h>

#include "libservices/area.h"

struct rbd {
	rados_t cluster;
	rados_ioctx_t pool;
	rbd_image_t image;
	char *name;
};

extern const struct ls_option ls_rbd_options[];

/* rbd-open.c */
int rbd_area_open(struct area *area, struct json_object *config, char *error, size_t error_size);
void rbd_area_close(struct area *area);
uint64_t rbd_area_size(struct area *area);
