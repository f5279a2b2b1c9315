/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kv.h"

enum { KEY = 16, VALUE = 1000 };

void kv_must(const char *error)
{
	if (!error)
		return;
	fprintf(stderr, "a store: %s\n", error);
	exit(1);
}

static void key_text(unsigned key, char text[static KEY + 1])
{
	snprintf(text, KEY + 1, "key%013u", key);
}

void kv_put(const struct kv_type *type, struct kv *kv, unsigned key)
{
	char text[KEY + 1], value[VALUE];
	unsigned random = key;

	key_text(key, text);
	/* Not to be compressed to nothing. */
	for (size_t i = 0; i < VALUE; i++)
		value[i] = (char)((random = random * 1103515245u + 12345u) >> 16);
	type->put(kv, text, KEY, value, VALUE);
}

void kv_get(const struct kv_type *type, struct kv *kv, unsigned key)
{
	char text[KEY + 1];

	key_text(key, text);
	if (type->get(kv, text, KEY) != VALUE)
		kv_must("a value is lost");
}

void kv_fill(const struct kv_type *type, struct kv *kv, unsigned keys)
{
	for (unsigned i = 0; i < keys; i++)
		kv_put(type, kv, i);
}
