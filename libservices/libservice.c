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
#include "libservices/object.h"

const char *const ls_op_names[LS_OP_MAX] = {
#define X(ret, name, ...) #name,
	LS_ALL_OPS(X)
#undef X
};

/* `forget` and `release` have nobody to refuse to; the cast makes them do nothing. */
#define X(ret, name, params, ...)                                                                          \
	static ret refuse_##name params                                                                    \
	{                                                                                                  \
		return (ret)-EOPNOTSUPP;                                                                   \
	}
LS_ALL_OPS(X)
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
	const uint8_t stage = layer_stage(ls->type->name);

	assert(ls->type->unset == LS_REFUSE || ls->below_count > 0);
#define X(ret, op_name, ...)                                                                               \
	if (!ops->op_name && ls->type->unset == LS_PASS) {                                                 \
		ls->op.op_name = ls->below[0]->op.op_name;                                                 \
	} else {                                                                                           \
		ls->op.op_name.ls = ls;                                                                    \
		ls->op.op_name.fn = ops->op_name ? ops->op_name : refuse_##op_name;                        \
		ls->op.op_name.stage = stage;                                                              \
	}
	LS_ALL_OPS(X)
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

static struct ls *layer_new(const struct ls_type *type, const char *tenant)
{
	struct ls *ls = calloc(1, sizeof(*ls));

	if (!ls || !(ls->tenant = strdup(tenant))) {
		free(ls);
		return NULL;
	}
	ls->type = type;
	return ls;
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

/* One layer whose layers below are open, which are put into it already. */
static int layer_begin(struct ls *ls, struct json_object *body, char *error, size_t error_size)
{
	struct json_object *config;
	int r;

	layer_inherit(ls);
	config = ls_config(ls->type->options, body);
	snprintf(error, error_size, "%s: cannot be opened: out of memory", ls->type->name);
	r = ls->type->open(ls, config, error, error_size); /* any other reason, it says itself */
	json_object_put(config);
	if (r < 0)
		return r;
	layer_bind(ls);
	return 0;
}

/* The whole of a type, which may be in an object. NULL: a sentence says why not. */
static const struct ls_type *type_load(const char *name, char *error, size_t error_size)
{
	const struct ls_type *type = ls_type_find(name);
	const struct ls_object *object;

	if (!type->object)
		return type;
	object = ls_object_load(type->object, error, error_size);
	return object ? object->layer : NULL;
}

/* `stack` has been checked: an object with one key, whose value is an object. */
static int layer_open(struct json_object *stack, const char *tenant, struct ls **ret, char *error,
		      size_t error_size)
{
	struct json_object_iterator it = json_object_iter_begin(stack);
	struct json_object *body = json_object_iter_peek_value(&it);
	struct ls *ls = layer_new(ls_type_find(json_object_iter_peek_name(&it)), tenant);
	int r;

	if (!ls) {
		snprintf(error, error_size, "%s: %s", json_object_iter_peek_name(&it), strerror(ENOMEM));
		return -ENOMEM;
	}
	ls->type = type_load(json_object_iter_peek_name(&it), error, error_size);
	if (!ls->type) {
		layer_free(ls);
		return -ENOENT;
	}
	r = layer_open_below(ls, json_object_object_get(body, "below"), error, error_size);
	if (r == 0)
		r = layer_begin(ls, body, error, error_size);
	if (r < 0) {
		layer_free(ls);
		return r;
	}
	*ret = ls;
	return 0;
}

int ls_open_on(const char *type, struct json_object *options, const char *tenant, struct ls *const *below,
	       unsigned count, struct ls **ret, char *error, size_t error_size)
{
	struct ls *ls = layer_new(ls_type_find(type), tenant);
	int r;

	assert(!ls || (count >= ls->type->below_min && count <= ls->type->below_max));
	if (!ls) {
		snprintf(error, error_size, "%s: %s", type, strerror(ENOMEM));
		for (unsigned i = 0; i < count; i++)
			ls_stack_close(below[i]);
		return -ENOMEM;
	}
	memcpy(ls->below, below, count * sizeof(*below));
	ls->below_count = count;
	r = layer_begin(ls, options, error, error_size);
	if (r < 0) {
		layer_free(ls);
		return r;
	}
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

/* ---- parts ------------------------------------------------------------------------------------------- */

static void part_close(struct ls *ls)
{
	static const struct ls_cred nobody;
	const struct ls_call call = {.tenant = ls->tenant, .cred = &nobody};
	struct ls *stack = ls->state;

	if (ls->root != stack->root)
		ls_forget(stack, &call, ls->root, 1);
}

static const struct ls_type part_type = {
	.name = "part", .help = "a directory of a stack", .unset = LS_REFUSE, .close = part_close,
};

int ls_part_open(struct ls *stack, struct ls_inode *dir, const struct ls_attr *attr, unsigned flags, struct ls **ret)
{
	static const struct ls_cred nobody;
	const struct ls_call call = {.tenant = stack->tenant, .cred = &nobody};
	struct ls *ls = layer_new(&part_type, stack->tenant);
	typeof(ls->op) refusals;

	if (!ls) {
		if (dir != stack->root)
			ls_forget(stack, &call, dir, 1);
		return -ENOMEM;
	}
	layer_bind(ls); /* to refusals, of which these stay: */
	refusals = ls->op;
	ls->op = stack->op;
	ls->op.resolve = refusals.resolve;
	if (dir != stack->root)
		ls->op.parent = refusals.parent;
	if (flags & LS_PART_PRIVATE)
		ls->op.share = refusals.share;
	ls->state = stack;
	ls->root = dir;
	ls->root_attr = *attr;
	ls->traits = stack->traits | (flags & LS_PART_SHARED ? LS_SHARED : 0);
	*ret = ls;
	return 0;
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
