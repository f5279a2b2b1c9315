/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place of an area that is not there: a mirror's child whose disk is gone. Whatever is asked of it
 * fails.
 */
#include <errno.h>
#include <json-c/json.h>

#include "libservices/area.h"

static int missing_open(struct area *area, struct json_object *config, char *error, size_t error_size)
{
	area->bytes = AREA_SIZE_MAX;
	return 0;
}

static void missing_submit(struct area *area, struct area_io *io)
{
	area_io_done(io, -EIO);
}

static int missing_run(struct area *area, struct area_io *io)
{
	return -EIO;
}

static const struct ls_option missing_options[] = {
	{"name", LS_STRING, "", 0, 0, "what is missing", 0},
	{NULL},
};

const struct area_type area_type_missing = {
	.name = "missing",
	.help = "the place of one that is not there",
	.options = missing_options,
	.primary = "name",
	.open = missing_open,
	.submit = missing_submit,
	.run = missing_run,
};
