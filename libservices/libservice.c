/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of layers: opened bottom-up, bound once, closed top-down.
 *
 * Binding decides for each operation which function of which layer runs: the layer's own; for an unset
 * one of a PASS layer whatever the layer below is bound to, at any depth; for an unset one of a REFUSE
 * layer a function that says no. After that a call costs one indirect jump, and a silent layer nothing.
 */
#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/libservice.h"

const char *const ls_op_names[LS_OP_MAX] = {
#define X(ret, name, ...) #name,
	LS_OPS(X)
#undef X
};

/* `forget` and `release` have nobody to refuse to; the cast makes them do nothing. */
#define X(ret, name, params, ...)                                                                          \
	static ret refuse_##name params                                                                    \
	{                                                                                                  \
		return (ret)-EOPNOTSUPP;                                                                   \
	}
LS_OPS(X)
#undef X

_Thread_local struct stage_clock stage_clock;

/* A delay is a tool of tests, and stands for a slow device. */
static uint8_t layer_stage(const char *name)
{
	static const struct {
		const char *name;
		uint8_t stage;
	} stages[] = {{"cache", STAGE_CACHE}, {"union", STAGE_UNION}, {"host", STAGE_DEVICE}, {"delay", STAGE_DEVICE},
		      {"ceph", STAGE_NETWORK}};

	for (unsigned i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (!strcmp(stages[i].name, name))
			return stages[i].stage;
	return STAGE_LAYER;
}

static void layer_bind(struct ls *ls)
{
	const struct ls_ops *ops = &ls->type->ops;

	assert(ls->type->unset == LS_REFUSE || ls->below_count > 0);
#define X(ret, op_name, ...)                                                                               \
	if (ops->op_name) {                                                                                \
		ls->op.op_name.ls = ls;                                                                    \
		ls->op.op_name.fn = ops->op_name;                                                          \
	} else if (ls->type->unset == LS_PASS) {                                                           \
		ls->op.op_name.ls = ls->below[0]->op.op_name.ls;                                           \
		ls->op.op_name.fn = ls->below[0]->op.op_name.fn;                                           \
	} else {                                                                                           \
		ls->op.op_name.ls = ls;                                                                    \
		ls->op.op_name.fn = refuse_##op_name;                                                      \
	}
	LS_OPS(X)
#undef X
}

/* What a layer on top of one other is, unless its open says otherwise. */
static void layer_inherit(struct ls *ls)
{
	if (ls->below_count != 1)
		return;
	ls->root = ls->below[0]->root;
	ls->root_attr = ls->below[0]->root_attr;
	ls->traits = ls->below[0]->traits;
}

static struct ls *layer_free(struct ls *ls)
{
	for (unsigned i = 0; i < ls->below_count; i++)
		ls_stack_close(ls->below[i]);
	free((char *)ls->tenant);
	free(ls);
	return NULL;
}

static int layer_open(struct json_object *stack, const char *tenant, struct ls **ret, char *error,
		      size_t error_size);

static int layer_open_below(struct ls *ls, struct json_object *below, char *error, size_t error_size)
{
	size_t count = below ? json_object_array_length(below) : 0;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = layer_open(json_object_array_get_idx(below, i), ls->tenant, &ls->below[i], error,
			       error_size);
		if (r == 0)
			ls->below_count++;
	}
	return r;
}

/* `stack` has been checked: an object with one key, whose value is an object. */
static int layer_open(struct json_object *stack, const char *tenant, struct ls **ret, char *error,
		      size_t error_size)
{
	struct json_object_iterator it = json_object_iter_begin(stack);
	struct json_object *body = json_object_iter_peek_value(&it), *config;
	struct ls *ls = calloc(1, sizeof(*ls));
	int r;

	if (!ls || !(ls->tenant = strdup(tenant))) {
		free(ls);
		snprintf(error, error_size, "%s: %s", json_object_iter_peek_name(&it), strerror(ENOMEM));
		return -ENOMEM;
	}
	ls->type = ls_type_find(json_object_iter_peek_name(&it));
	r = layer_open_below(ls, json_object_object_get(body, "below"), error, error_size);
	if (r == 0) {
		layer_inherit(ls);
		config = ls_config(ls->type->options, body);
		snprintf(error, error_size, "%s: cannot be opened: out of memory", ls->type->name);
		r = ls->type->open(ls, config, error, error_size); /* any other reason, it says itself */
		json_object_put(config);
	}
	if (r < 0) {
		layer_free(ls);
		return r;
	}
	ls->stage = layer_stage(ls->type->name);
	layer_bind(ls);
	*ret = ls;
	return 0;
}

int ls_stack_open(struct json_object *stack, const char *tenant, struct ls **ret, char *error,
		  size_t error_size)
{
	int r = ls_stack_check(stack, error, error_size);

	return r < 0 ? r : layer_open(stack, tenant, ret, error, error_size);
}

struct ls *ls_stack_close(struct ls *top)
{
	if (!top)
		return NULL;
	if (top->type->close)
		top->type->close(top);
	return layer_free(top);
}

/* The first layer of that type exactly `depth` below top; *more tells whether there is anything deeper. */
static struct ls *stack_find_at(struct ls *top, const char *type, unsigned depth, int *more)
{
	struct ls *found = NULL;

	if (depth == 0) {
		*more |= top->below_count > 0;
		return strcmp(top->type->name, type) == 0 ? top : NULL;
	}
	for (unsigned i = 0; i < top->below_count && !found; i++)
		found = stack_find_at(top->below[i], type, depth - 1, more);
	return found;
}

struct ls *ls_stack_find(struct ls *top, const char *type)
{
	struct ls *found = NULL;
	int more = 1;

	for (unsigned depth = 0; more && !found; depth++) {
		more = 0;
		found = stack_find_at(top, type, depth, &more);
	}
	return found;
}

const struct ls_type *ls_type_find(const char *name)
{
	for (const struct ls_type *const *t = ls_types; *t; t++)
		if (strcmp((*t)->name, name) == 0)
			return *t;
	return NULL;
}
