/* SPDX-License-Identifier: Apache-2.0 */
/* bench-paper: what its tenants do. */
#pragma once

#include "bench/tenant.h"

extern const struct tenant_job paper_rocksdb; /* puts and gets of a store: kinds 0 and 1 */
extern const struct tenant_job paper_bfs;     /* reads a graph, and walks it */
extern const struct tenant_job paper_diff;    /* of two trees of sources */
