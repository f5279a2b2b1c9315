/* SPDX-License-Identifier: Apache-2.0 */
#include <rocksdb/c.h>
#include <stdlib.h>

#include "bench/kv.h"

struct kv {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write;
};

static struct kv *open_rocksdb(const char *dir)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	char *error = NULL;

	if (!kv)
		abort();
	kv->options = rocksdb_options_create();
	kv->read = rocksdb_readoptions_create();
	kv->write = rocksdb_writeoptions_create();
	rocksdb_options_set_create_if_missing(kv->options, 1);
	rocksdb_options_set_write_buffer_size(kv->options, KV_MEMORY);
	kv->db = rocksdb_open(kv->options, dir, &error);
	kv_must(error);
	return kv;
}

static void close_rocksdb(struct kv *kv)
{
	rocksdb_close(kv->db);
	rocksdb_writeoptions_destroy(kv->write);
	rocksdb_readoptions_destroy(kv->read);
	rocksdb_options_destroy(kv->options);
	free(kv);
}

static void put_rocksdb(struct kv *kv, const char *key, size_t key_size, const char *value, size_t size)
{
	char *error = NULL;

	rocksdb_put(kv->db, kv->write, key, key_size, value, size, &error);
	kv_must(error);
}

static size_t get_rocksdb(struct kv *kv, const char *key, size_t key_size)
{
	char *error = NULL;
	size_t size = 0;
	char *value = rocksdb_get(kv->db, kv->read, key, key_size, &size, &error);

	kv_must(error);
	rocksdb_free(value);
	return value ? size : 0;
}

const struct kv_type kv_rocksdb = {"rocksdb", open_rocksdb, close_rocksdb, put_rocksdb, get_rocksdb};
