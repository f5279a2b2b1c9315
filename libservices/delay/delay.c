/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the layer below slow: sleeps, then passes the call down. A tool of the tests.
 *
 * Handles are those of the layer below, so forget and release, which cannot wait for anybody, and all that
 * a handle needs, go straight there.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libservices/libservice.h"

enum delay_class { DELAY_METADATA = 0, DELAY_READ, DELAY_WRITE, DELAY_CLASSES };

struct delay {
	uint64_t ns[DELAY_CLASSES]; /* atomic: live options */
};

static const unsigned char class_of[LS_OP_MAX] = {
	[LS_OP_read] = DELAY_READ,   [LS_OP_readdir] = DELAY_READ,    [LS_OP_readlink] = DELAY_READ,
	[LS_OP_write] = DELAY_WRITE, [LS_OP_fallocate] = DELAY_WRITE, [LS_OP_copy] = DELAY_WRITE,
	[LS_OP_fsync] = DELAY_WRITE, [LS_OP_sync] = DELAY_WRITE,
};

/* 0, or -ETIMEDOUT at the call's deadline if that comes first. */
static int delay_wait(const struct ls *ls, const struct ls_call *call, enum ls_op op)
{
	const struct delay *delay = ls->state;
	int64_t ns = __atomic_load_n(&delay->ns[class_of[op]], __ATOMIC_RELAXED), until;
	int late;

	if (ns == 0)
		return 0;
	until = ls_now() + ns;
	late = call->deadline && call->deadline < until;
	if (late)
		until = call->deadline;
	struct timespec t = {until / 1000000000, until % 1000000000};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
	return late ? -ETIMEDOUT : 0;
}

/* forget and release get a function too, but it is never bound. */
#define X(ret, name, params, ...)                                                                          \
	static inline ret delay_##name params                                                              \
	{                                                                                                  \
		int r = delay_wait(ls, call, LS_OP_##name);                                                \
		if (r < 0)                                                                                 \
			return (ret)r;                                                                     \
		ls = ls->below[0];                                                                         \
		return ls_##name(ls, call, ##__VA_ARGS__);                                                 \
	}
LS_OPS(X)
#undef X

static int delay_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	static const char *const names[] = {
		[DELAY_METADATA] = "metadata", [DELAY_READ] = "read", [DELAY_WRITE] = "write"};
	struct delay *delay = ls->state;
	uint64_t ns;

	ls_parse_time(value, &ns);
	for (unsigned i = 0; i < DELAY_CLASSES; i++)
		if (strcmp(option, names[i]) == 0)
			__atomic_store_n(&delay->ns[i], ns, __ATOMIC_RELAXED);
	return 0;
}

static int delay_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	ls->state = calloc(1, sizeof(struct delay));
	if (!ls->state)
		return -ENOMEM;
	for (const struct ls_option *o = ls->type->options; o->name; o++)
		delay_set(ls, o->name, json_object_get_string(json_object_object_get(config, o->name)),
			  error, error_size);
	return 0;
}

static void delay_type_close(struct ls *ls)
{
	free(ls->state);
}

#define DELAY_MAX 3600000000000ull

static const struct ls_option delay_options[] = {
	{"read", LS_TIME, "0", 0, DELAY_MAX, "before each read of a file, a directory or a link", 1},
	{"write", LS_TIME, "0", 0, DELAY_MAX, "before each write, allocation, copy and sync", 1},
	{"metadata", LS_TIME, "0", 0, DELAY_MAX, "before each other operation", 1},
	{NULL},
};

const struct ls_type ls_type_delay = {
	.name = "delay",
	.help = "sleeps before it passes a call to the layer below",
	.unset = LS_PASS,
	.below_min = 1,
	.below_max = 1,
	.options = delay_options,
	.open = delay_type_open,
	.close = delay_type_close,
	.set = delay_set,
	.ops = {
#define X(ret, op_name, ...)                                                                              \
	.op_name = LS_OP_##op_name == LS_OP_forget || LS_OP_##op_name == LS_OP_release ? NULL : delay_##op_name,
		LS_OPS(X)
#undef X
	},
};
