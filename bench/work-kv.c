/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load for bench-programs: work-kv rocksdb|leveldb fill|mixed|read KEYS works on a store in the working directory. Half
 * of `mixed` are puts. Ends with 77 if the library was not there when this was built.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kv.h"

int main(int argc, char **argv)
{
	const struct kv_type *type = argc == 4 && !strcmp(argv[1], "leveldb") ? &kv_leveldb : &kv_rocksdb;
	unsigned keys = argc == 4 ? (unsigned)atoi(argv[3]) : 0, random = 1;
	struct kv *kv;

	if (!keys || strcmp(type->name, argv[1]) != 0) {
		fprintf(stderr, "usage: work-kv rocksdb|leveldb fill|mixed|read KEYS\n");
		return 2;
	}
	if (!type->open)
		return 77;
	kv = type->open("store");
	if (!strcmp(argv[2], "fill"))
		kv_fill(type, kv, keys);
	for (unsigned i = 0; i < keys && strcmp(argv[2], "fill") != 0; i++) {
		random = random * 1103515245u + 12345u;
		if (!strcmp(argv[2], "mixed") && (random >> 30) % 2)
			kv_put(type, kv, (random >> 8) % keys);
		else
			kv_get(type, kv, (random >> 8) % keys);
	}
	type->close(kv);
	return 0;
}
