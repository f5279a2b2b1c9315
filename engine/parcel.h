/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON object with descriptors, over a SOCK_SEQPACKET socket, as service/boot.h describes it.
 *
 * The engine talks like this with its service, and with the process that builds a pool's place. Sending
 * never blocks: a peer that does not read is a failure of the peer.
 */
#pragma once

#include "engine/util.h"

struct parcel {
	struct json_object *json;
	int *fds;
	size_t fd_count, fd_total;
};

/* 0 or -errno. The descriptors stay the caller's. */
int parcel_send(int socket, struct json_object *json, const int *fds, size_t count);
/* 1: complete. 0: call again when the socket is readable. -ECONNRESET: the peer has closed. */
int parcel_recv(int socket, struct parcel *parcel);
void parcel_fini(struct parcel *parcel);
