/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp, in libseccomp's words. */
#include <errno.h>
#include <seccomp.h>
#include <string.h>

#include "engine/oci/inside.h"

static int action_of(const char *word, int64_t err, uint32_t *ret)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
		{"SCMP_ACT_LOG", SCMP_ACT_LOG},
		{"SCMP_ACT_KILL", SCMP_ACT_KILL},
		{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
		{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
		{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
		{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
	};

	for (size_t i = 0; word && i < ARRAY_LEN(actions); i++)
		if (!strcmp(word, actions[i].name)) {
			bool has_number = actions[i].action == SCMP_ACT_ERRNO(0) || actions[i].action == SCMP_ACT_TRACE(0);
			*ret = actions[i].action | (has_number ? (uint32_t)err & 0xffff : 0);
			return 0;
		}
	return -EINVAL;
}

static int compare_of(const char *word, enum scmp_compare *ret)
{
	static const struct {
		const char *name;
		enum scmp_compare compare;
	} compares[] = {
		{"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
		{"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
		{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
	};

	for (size_t i = 0; word && i < ARRAY_LEN(compares); i++)
		if (!strcmp(word, compares[i].name)) {
			*ret = compares[i].compare;
			return 0;
		}
	return -EINVAL;
}

enum { ARGS_MAX = 6 };

static int args_of(struct json_object *list, struct scmp_arg_cmp *ret)
{
	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *json = json_object_array_get_idx(list, i);
		struct scmp_arg_cmp *a = &ret[i];
		int64_t index = json_number(json, "index", -1);
		if (i == ARGS_MAX || index < 0 || index >= ARGS_MAX || compare_of(json_string(json, "op"), &a->op) < 0)
			return -EINVAL;
		a->arg = index;
		a->datum_a = json_object_get_uint64(json_child(json, "value", json_type_int));
		a->datum_b = json_object_get_uint64(json_child(json, "valueTwo", json_type_int));
		/* The mask comes first in libseccomp. */
	}
	return json_length(list);
}

/* Several conditions on one argument are alternatives, and those are rules of their own. */
static bool args_repeat(const struct scmp_arg_cmp *args, int n)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			if (args[i].arg == args[k].arg)
				return true;
	return false;
}

static int rule_add(scmp_filter_ctx filter, uint32_t action, int call, struct scmp_arg_cmp *args, int n)
{
	int r = 0;

	if (!args_repeat(args, n))
		return seccomp_rule_add_array(filter, action, call, n, args);
	for (int i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add_array(filter, action, call, 1, &args[i]);
	return r;
}

static int rules_add(scmp_filter_ctx filter, struct json_object *json, uint32_t otherwise, struct error *error)
{
	struct json_object *names = json_child(json, "names", json_type_array);
	struct scmp_arg_cmp args[ARGS_MAX] = {};
	int n = args_of(json_child(json, "args", json_type_array), args), r = 0;
	uint32_t action;

	if (n < 0 || action_of(json_string(json, "action"), json_number(json, "errnoRet", EPERM), &action) < 0)
		return error_set(error, -EINVAL, "a rule of linux.seccomp cannot be understood");
	if (action == otherwise)
		return 0;
	for (size_t i = 0; i < json_length(names) && r == 0; i++) {
		int call = seccomp_syscall_resolve_name(json_word(names, i));
		/* A name of another kind of machine, or of a newer kernel. */
		if (call == __NR_SCMP_ERROR)
			continue;
		r = rule_add(filter, action, call, args, n);
		r = r == -EEXIST ? 0 : r;
		if (r < 0)
			return error_errno(error, r, "seccomp rule of '%s'", json_word(names, i));
	}
	return 0;
}

static void architectures_add(scmp_filter_ctx filter, struct json_object *list)
{
	for (size_t i = 0; i < json_length(list); i++) {
		const char *word = json_word(list, i);
		char name[32] = "";
		for (size_t k = 0; !strncmp(word, "SCMP_ARCH_", 10) && word[10 + k] && k + 1 < sizeof(name); k++)
			name[k] = word[10 + k] >= 'A' && word[10 + k] <= 'Z' ? word[10 + k] + 32 : word[10 + k];
		uint32_t arch = seccomp_arch_resolve_name(name);
		if (arch)
			seccomp_arch_add(filter, arch);
	}
}

int filter_load(struct json_object *seccomp, struct error *error)
{
	struct json_object *list = json_child(seccomp, "syscalls", json_type_array);
	scmp_filter_ctx filter;
	uint32_t otherwise;
	int r = 0;

	if (action_of(json_string(seccomp, "defaultAction"), json_number(seccomp, "defaultErrnoRet", EPERM), &otherwise) < 0)
		return error_set(error, -EINVAL, "linux.seccomp.defaultAction cannot be understood");
	filter = seccomp_init(otherwise);
	if (!filter)
		return error_errno(error, ENOMEM, "make a seccomp filter");
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	architectures_add(filter, json_child(seccomp, "architectures", json_type_array));
	for (size_t i = 0; i < json_length(list) && r == 0; i++)
		r = rules_add(filter, json_object_array_get_idx(list, i), otherwise, error);
	if (r == 0) {
		r = seccomp_load(filter);
		r = r < 0 ? error_errno(error, r, "load the seccomp filter") : 0;
	}
	seccomp_release(filter);
	return r;
}
