/* SPDX-License-Identifier: Apache-2.0 */
/* The layer's options, known to whoever checks a description; the layer itself is a loadable object.
 * libceph-common has a variable ceph_options: hence the prefix. */
#include "libservices/cluster.h"
#include "libservices/libservice.h"

#define SECOND 1000000000ull
#define TIMEOUT_MAX (3600 * SECOND)
#define SIZE_LIMIT (1ull << 40)

extern const struct ls_option ls_ceph_options[];

const struct ls_option ls_ceph_options[] = {
	CLUSTER_OPTIONS,
	{"filesystem", LS_STRING, "", 0, 0, "which file system of the cluster; the first if not given", 0},
	{"path", LS_STRING, "/", 0, 0, "the directory of the cluster that is served", 0},
	{"exclusive", LS_BOOL, "false", 0, 0, "nobody else changes the directory: what is known of it may be kept", 0},
	{"identity", LS_STRING, "", 0, 0, "what the cluster knows this client by when it comes back after a crash", 0},
	{"timeout", LS_TIME, "30s", SECOND / 2, TIMEOUT_MAX, "after how long without an answer a call fails", 1},
	{"calls", LS_COUNT, "64", 4, 1024, "how many calls wait for the cluster at once", 0},
	{"clients", LS_COUNT, "1", 1, 16, "how many clients of the cluster share its names", 0},
	{"cache_size", LS_SIZE, "32M", 0, SIZE_LIMIT, "how much file data the client keeps", 1},
	{"names", LS_COUNT, "16384", 16, 1 << 24, "how many names the client keeps", 1},
	{"dirty_size", LS_SIZE, "16M", 0, SIZE_LIMIT, "how much it may have that is not yet written to the cluster", 1},
	{"dirty_age", LS_TIME, "5s", SECOND, TIMEOUT_MAX, "and for how long", 1},
	{"readahead", LS_SIZE, "4M", 0, 1 << 30, "how far to read ahead of who reads in sequence", 1},
	{NULL},
};
