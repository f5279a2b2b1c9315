/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What layers and areas of a Ceph cluster need of the host: the file with the client's key, and perhaps a ceph.conf. The
 * engine opens them; the service, which has no way to them, gets descriptors.
 */
#pragma once

#include "engine/util.h"

enum { CLUSTER_FDS = 2 };

/*
 * Calls fn for the configuration of a layer `ceph`, and for that of every `rbd` in the area of a layer `volume`, in order; stops at
 * the first non-zero result.
 */
typedef int cluster_fn(const char *type, struct json_object *config, void *arg);
int cluster_each(const char *type, struct json_object *config, cluster_fn *fn, void *arg);
/* Is some of the area in a cluster? Then nothing here can tell whether it holds a volume. */
bool cluster_has_area(struct json_object *area);
/* Are the files there, and named as they must be? -EINVAL with a sentence. */
int cluster_check(const char *type, struct json_object *config, const char *pool, struct error *error);
/* How many descriptors it takes. */
unsigned cluster_count(struct json_object *config);
/* Opens them, in the order of cluster_put. How many, or -errno with a sentence. */
int cluster_open(struct json_object *config, int ret[static CLUSTER_FDS], struct error *error);
/*
 * Puts the places of the descriptors from *next on into the configuration, and an identity: after a crash the service
 * takes back at once what its predecessor still held of the cluster.
 */
void cluster_put(struct json_object *config, const char *pool, int *next);
