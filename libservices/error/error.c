/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fails on purpose: every n-th call of an operation, or of any, gets an error instead of being passed down.
 * A tool of the tests. forget and release cannot fail and are not counted.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/libservice.h"

enum { ERROR_ALL = LS_OP_MAX, ERRNO_MAX = 134 };

/* All atomic: live options. */
struct error {
	unsigned op; /* enum ls_op or ERROR_ALL */
	int number;
	uint64_t every;
	uint64_t calls;
};

/* 0, or the error that this call gets. */
static int error_draw(const struct ls *ls, enum ls_op op)
{
	struct error *error = ls->state;
	uint64_t every = __atomic_load_n(&error->every, __ATOMIC_RELAXED);
	unsigned want = __atomic_load_n(&error->op, __ATOMIC_RELAXED);

	if (every == 0 || (want != op && want != ERROR_ALL))
		return 0;
	if ((__atomic_add_fetch(&error->calls, 1, __ATOMIC_RELAXED)) % every != 0)
		return 0;
	return -__atomic_load_n(&error->number, __ATOMIC_RELAXED);
}

/* forget and release get a function too, but it is never bound. */
#define X(ret, name, params, ...)                                                                          \
	static inline ret error_##name params                                                              \
	{                                                                                                  \
		int r = error_draw(ls, LS_OP_##name);                                                      \
		if (r < 0)                                                                                 \
			return (ret)r;                                                                     \
		ls = ls->below[0];                                                                         \
		return ls_##name(ls, call, ##__VA_ARGS__);                                                 \
	}
LS_OPS(X)
#undef X

static int can_fail(unsigned op)
{
	return op != LS_OP_forget && op != LS_OP_release;
}

static int error_set_op(struct error *state, const char *value, char *error, size_t error_size)
{
	const char *known[LS_OP_MAX + 2] = {"all"}, *nearest;
	size_t n = 1;

	for (unsigned op = 0; op < LS_OP_MAX; op++)
		if (can_fail(op)) {
			known[n++] = ls_op_names[op];
			if (strcmp(value, ls_op_names[op]) == 0) {
				__atomic_store_n(&state->op, op, __ATOMIC_RELAXED);
				return 0;
			}
		}
	if (strcmp(value, "all") == 0) {
		__atomic_store_n(&state->op, ERROR_ALL, __ATOMIC_RELAXED);
		return 0;
	}
	nearest = ls_nearest(value, known);
	snprintf(error, error_size, "op of error: unknown operation '%s': did you mean '%s'?", value,
		 nearest ? nearest : "all");
	return -EINVAL;
}

static int error_set_errno(struct error *state, const char *value, char *error, size_t error_size)
{
	const char *known[ERRNO_MAX + 1], *name, *nearest;
	size_t n = 0;

	for (int e = 1; e < ERRNO_MAX; e++) {
		name = strerrorname_np(e);
		if (!name)
			continue;
		known[n++] = name;
		if (strcmp(value, name) == 0) {
			__atomic_store_n(&state->number, e, __ATOMIC_RELAXED);
			return 0;
		}
	}
	known[n] = NULL;
	nearest = ls_nearest(value, known);
	snprintf(error, error_size, "errno of error: unknown error '%s': did you mean '%s'?", value,
		 nearest ? nearest : "EIO");
	return -EINVAL;
}

static int error_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	struct error *state = ls->state;

	if (strcmp(option, "op") == 0)
		return error_set_op(state, value, error, error_size);
	if (strcmp(option, "errno") == 0)
		return error_set_errno(state, value, error, error_size);
	__atomic_store_n(&state->calls, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&state->every, strtoull(value, NULL, 10), __ATOMIC_RELAXED);
	return 0;
}

static int error_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	int r = 0;

	ls->state = calloc(1, sizeof(struct error));
	if (!ls->state)
		return -ENOMEM;
	for (const struct ls_option *o = ls->type->options; o->name && r == 0; o++)
		r = error_set(ls, o->name, json_object_get_string(json_object_object_get(config, o->name)),
			      error, error_size);
	if (r < 0)
		free(ls->state);
	return r;
}

static void error_type_close(struct ls *ls)
{
	free(ls->state);
}

static const struct ls_option error_options[] = {
	{"op", LS_STRING, "all", 0, 0, "the operation that fails, or all", 1},
	{"errno", LS_STRING, "EIO", 0, 0, "with which error, by name", 1},
	{"every", LS_COUNT, "0", 0, 0, "every n-th call fails; 0: none", 1},
	{NULL},
};

const struct ls_type ls_type_error = {
	.name = "error",
	.help = "fails every n-th call instead of passing it to the layer below",
	.unset = LS_PASS,
	.below_min = 1,
	.below_max = 1,
	.options = error_options,
	.open = error_type_open,
	.close = error_type_close,
	.set = error_set,
	.ops = {
#define X(ret, op_name, ...)                                                                              \
	.op_name = LS_OP_##op_name == LS_OP_forget || LS_OP_##op_name == LS_OP_release ? NULL : error_##op_name,
		LS_OPS(X)
#undef X
	},
};
