/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the area on a block image, known to whoever checks a description; the area itself is a loadable object. */
#include "libservices/area.h"

#define SECOND 1000000000ull

extern const struct ls_option ls_rbd_options[];

const struct ls_option ls_rbd_options[] = {
	{"monitors", LS_STRING, "", 0, 0, "the addresses of the cluster's monitors, with commas between them", 0},
	{"conf", LS_STRING, "", 0, 0, "a ceph.conf, for the monitors and whatever else it says of clients", 0},
	{"conf_fd", LS_FD, "", 0, 0, "an open descriptor of it", 0},
	{"name", LS_STRING, NULL, 0, 0, "the client's name, such as client.alice", 0},
	{"keyring", LS_STRING, "", 0, 0, "the file with its key", 0},
	{"fd", LS_FD, "", 0, 0, "an open descriptor of it", 0},
	{"image", LS_STRING, NULL, 0, 0, "the image, as POOL/IMAGE or POOL/NAMESPACE/IMAGE", 0},
	{"identity", LS_STRING, "", 0, 0, "whose lock of the image may be broken: that of ours before a crash", 0},
	{"read_only", LS_BOOL, "false", 0, 0, "open the image for reading", 0},
	{"timeout", LS_TIME, "60s", SECOND, 3600 * SECOND, "after how long without an answer a transfer fails", 0},
	{NULL},
};
