/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lines: the JSON of a stack, and KEY=VALUE of a change to it. What ls_stack_check takes, it takes again in the form
 * that it gave it; a change is refused with a sentence, or it leaves a pool that can be started again.
 */
#include <string.h>
#include "engine/spec.h"
#include "libservices/libservice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4096 };

static int count_layer(const char *type, struct json_object *config, void *arg)
{
	if (!type || !*type)
		abort();
	++*(unsigned *)arg;
	return 0;
}

static int check(struct json_object *stack)
{
	char sentence[400];
	int r;

	memset(sentence, 'x', sizeof(sentence));
	r = ls_stack_check(stack, sentence, sizeof(sentence));
	if (r < 0 && (!memchr(sentence, '\0', sizeof(sentence)) || !*sentence))
		abort();
	return r;
}

static void must_be_normal(struct json_object *stack)
{
	struct json_object *copy = NULL;
	unsigned layers = 0;

	if (json_object_deep_copy(stack, &copy, NULL) < 0 || check(copy) < 0 || !json_object_equal(stack, copy))
		abort();
	stack_walk(stack, count_layer, &layers);
	if (layers < stack_height(stack))
		abort();
	json_object_put(copy);
}

/* A pool with the stack: NULL if it is none. */
static struct json_object *pool_with(struct json_object *stack)
{
	struct json_object *spec = json_object_new_object(), *mounts = json_object_new_object();
	struct error error = {};

	json_object_object_add(mounts, "/data", json_object_get(stack));
	json_object_object_add(spec, "mounts", mounts);
	if (spec_check("fuzz", spec, NULL, &error) == 0)
		return spec;
	if (!*error.text)
		abort();
	json_object_put(spec);
	return NULL;
}

static void change(struct json_object *spec, char *text)
{
	char *equals = strchr(text, '=');
	struct error error = {};
	struct change c;

	if (!equals)
		return;
	*equals = '\0';
	if (change_resolve(spec, text, equals + 1, &c, &error) < 0) {
		if (!*error.text)
			abort();
		return;
	}
	change_apply(spec, &c);
	if (spec_check("fuzz", spec, NULL, &error) < 0)
		abort();
	json_object_put(spec_settings(spec));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1], *second;
	struct json_object *stack, *spec;

	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	second = strchr(text, '\n');
	if (second)
		*second++ = '\0';
	stack = json_tokener_parse(text);
	if (check(stack) == 0) {
		must_be_normal(stack);
		spec = pool_with(stack);
		if (spec && second)
			change(spec, second);
		json_object_put(spec);
	}
	json_object_put(stack);
	return 0;
}
