/* SPDX-License-Identifier: Apache-2.0 */
/* Key-value stores of well-known libraries, as loads: with their write-ahead logs, and little memory of their own. */
#pragma once

#include <stddef.h>

struct kv;

struct kv_type {
	const char *name;
	struct kv *(*open)(const char *dir); /* made where it is not there. NULL: the library is not here */
	void (*close)(struct kv *);
	void (*put)(struct kv *, const char *key, size_t key_size, const char *value, size_t size);
	/* Bytes that were found; 0: none. */
	size_t (*get)(struct kv *, const char *key, size_t key_size);
};

extern const struct kv_type kv_rocksdb, kv_leveldb;

enum { KV_MEMORY = 8 << 20 }; /* of what was written, and as much of what was read */

/* Failures end the program. */
void kv_must(const char *error);
void kv_fill(const struct kv_type *type, struct kv *kv, unsigned keys);
void kv_put(const struct kv_type *type, struct kv *kv, unsigned key);
void kv_get(const struct kv_type *type, struct kv *kv, unsigned key);
