/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of a stack of layers, as far as the engine looks into it. */
#include "engine/spec.h"

void stack_fill_empty(struct json_object *stack)
{
	json_object_object_foreach(stack, type, value) {
		if (json_object_is_type(value, json_type_string) && !json_object_get_string_len(value))
			json_object_object_add(stack, type, json_object_new_object());
		else if (json_object_is_type(value, json_type_object)) {
			struct json_object *below = NULL;
			json_object_object_get_ex(value, "below", &below);
			if (json_object_is_type(below, json_type_object))
				stack_fill_empty(below);
			for (size_t i = 0; json_object_is_type(below, json_type_array) &&
					   i < json_object_array_length(below);
			     i++)
				if (json_object_is_type(json_object_array_get_idx(below, i),
							json_type_object))
					stack_fill_empty(json_object_array_get_idx(below, i));
		}
	}
}

unsigned stack_height(struct json_object *stack)
{
	unsigned most = 0;

	json_object_object_foreach(stack, type, config) {
		struct json_object *below = json_child(config, "below", json_type_array);
		(void)type;
		for (size_t i = 0; below && i < json_object_array_length(below); i++) {
			unsigned n = stack_height(json_object_array_get_idx(below, i));
			most = n > most ? n : most;
		}
	}
	return most + 1;
}

int stack_walk(struct json_object *stack, stack_fn *fn, void *arg)
{
	json_object_object_foreach(stack, type, config) {
		struct json_object *below = NULL;
		int r = fn(type, config, arg);
		if (r || !json_object_is_type(config, json_type_object))
			return r;
		json_object_object_get_ex(config, "below", &below);
		if (json_object_is_type(below, json_type_object))
			return stack_walk(below, fn, arg);
		for (size_t i = 0; !r && json_object_is_type(below, json_type_array) &&
				   i < json_object_array_length(below);
		     i++)
			r = stack_walk(json_object_array_get_idx(below, i), fn, arg);
		return r;
	}
	return 0;
}
