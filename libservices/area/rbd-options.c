/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the area on a block image, known to whoever checks a description; the area itself is a loadable object. */
#include "libservices/area.h"
#include "libservices/cluster.h"

#define SECOND 1000000000ull

extern const struct ls_option ls_rbd_options[];

const struct ls_option ls_rbd_options[] = {
	CLUSTER_OPTIONS,
	{"image", LS_STRING, NULL, 0, 0, "the image, as POOL/IMAGE or POOL/NAMESPACE/IMAGE", 0},
	{"identity", LS_STRING, "", 0, 0, "whose lock of the image may be broken: that of ours before a crash", 0},
	{"read_only", LS_BOOL, "false", 0, 0, "open the image for reading", 0},
	{"timeout", LS_TIME, "60s", SECOND, 3600 * SECOND, "after how long without an answer a transfer fails", 0},
	{NULL},
};
