/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/kv.h"

const struct kv_type kv_rocksdb = {.name = "rocksdb"};
