/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of bench-ceph. */
#pragma once

#include "bench/compare.h"

/* Who the client is, as `scripts/ceph-dev.sh tenant` prints it. */
struct ceph_where {
	const char *monitors, *name, *keyring, *path;
};

/* ceph-clients.c: threads on the layer when it is 2 and 4 clients of the cluster, against one. */
void ceph_clients_compare(const struct bench *b, const struct ceph_where *where);
