/* SPDX-License-Identifier: Apache-2.0 */
#include <leveldb/c.h>
#include <stdlib.h>

#include "bench/kv.h"

struct kv {
	leveldb_t *db;
	leveldb_options_t *options;
	leveldb_readoptions_t *read;
	leveldb_writeoptions_t *write;
};

static struct kv *open_leveldb(const char *dir)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	char *error = NULL;

	if (!kv)
		abort();
	kv->options = leveldb_options_create();
	kv->read = leveldb_readoptions_create();
	kv->write = leveldb_writeoptions_create();
	leveldb_options_set_create_if_missing(kv->options, 1);
	leveldb_options_set_write_buffer_size(kv->options, KV_MEMORY);
	kv->db = leveldb_open(kv->options, dir, &error);
	kv_must(error);
	return kv;
}

static void close_leveldb(struct kv *kv)
{
	leveldb_close(kv->db);
	leveldb_writeoptions_destroy(kv->write);
	leveldb_readoptions_destroy(kv->read);
	leveldb_options_destroy(kv->options);
	free(kv);
}

static void put_leveldb(struct kv *kv, const char *key, size_t key_size, const char *value, size_t size)
{
	char *error = NULL;

	leveldb_put(kv->db, kv->write, key, key_size, value, size, &error);
	kv_must(error);
}

static size_t get_leveldb(struct kv *kv, const char *key, size_t key_size)
{
	char *error = NULL;
	size_t size = 0;
	char *value = leveldb_get(kv->db, kv->read, key, key_size, &size, &error);

	kv_must(error);
	leveldb_free(value);
	return value ? size : 0;
}

const struct kv_type kv_leveldb = {"leveldb", open_leveldb, close_leveldb, put_leveldb, get_leveldb};
