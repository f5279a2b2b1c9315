/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and descriptions of layers and of areas, checked against the types' option tables and nowhere
 * else. An error is a sentence that names the nearest right word.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/area.h"
#include "libservices/libservice.h"

enum { NEAR_MAX = 64, TEXT_MAX = 512 };

struct sentence {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int sentence_fail(struct sentence s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s.text, s.size, format, args);
	va_end(args);
	return -EINVAL;
}

/* "unknown <what>: did you mean '<nearest>'?", or else all the words that would do. */
static int sentence_unknown(struct sentence s, const char *what, const char *word, const char *const *known)
{
	const char *nearest = ls_nearest(word, known);
	char all[TEXT_MAX] = "";

	if (nearest)
		return sentence_fail(s, "unknown %s: did you mean '%s'?", what, nearest);
	for (size_t i = 0, n = 0; known[i] && n < sizeof(all); i++)
		n += snprintf(all + n, sizeof(all) - n, "%s'%s'", i ? ", " : "", known[i]);
	return *all ? sentence_fail(s, "unknown %s: known are %s", what, all)
		    : sentence_fail(s, "unknown %s", what);
}

static int form_find(const struct ls_family *family, const char *name, struct ls_form *ret)
{
	for (size_t i = 0; family->form(i, ret) == 0; i++)
		if (strcmp(ret->name, name) == 0)
			return 0;
	return -ENOENT;
}

static int type_unknown(struct sentence s, const struct ls_family *family, const char *name)
{
	const char *known[NEAR_MAX + 1];
	struct ls_form form;
	char what[TEXT_MAX];
	size_t n = 0;

	for (; n < NEAR_MAX && family->form(n, &form) == 0; n++)
		known[n] = form.name;
	known[n] = NULL;
	snprintf(what, sizeof(what), "%s '%s'", family->noun, name);
	return sentence_unknown(s, what, name, known);
}

static int option_unknown(struct sentence s, const struct ls_form *type, const char *key)
{
	const char *known[NEAR_MAX + 2];
	char what[TEXT_MAX];
	size_t n = 0;

	for (const struct ls_option *o = type->options; o && o->name && n < NEAR_MAX; o++)
		known[n++] = o->name;
	if (type->below_max)
		known[n++] = "below";
	known[n] = NULL;
	snprintf(what, sizeof(what), "key '%s' of %s", key, type->name);
	return sentence_unknown(s, what, key, known);
}

static const struct ls_option *option_find(const struct ls_form *type, const char *key)
{
	for (const struct ls_option *o = type->options; o && o->name; o++)
		if (strcmp(o->name, key) == 0)
			return o;
	return NULL;
}

static int text_parse(const char *text, uint64_t *ret)
{
	*ret = 0;
	return 0;
}

static int count_parse(const char *text, uint64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

static int bool_parse(const char *text, uint64_t *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = i & 1;
			return 0;
		}
	return -EINVAL;
}

static const struct {
	int (*parse)(const char *text, uint64_t *ret);
	const char *what;
} kinds[] = {
	[LS_STRING] = {text_parse, "a text"},
	[LS_SIZE] = {ls_parse_size, "a size (4096, 64k, 256M, 1G)"},
	[LS_TIME] = {ls_parse_time, "a time (10us, 250ms, 5s, 1m)"},
	[LS_COUNT] = {count_parse, "a count (0, 1000)"},
	[LS_BOOL] = {bool_parse, "true or false"},
	[LS_FD] = {count_parse, "the number of a descriptor"},
	[LS_AREA] = {text_parse, "an area, like {\"file\": \"/srv/image\"}"},
};

/* Is the value good for the option? *ret is its number, or 0 for a text. */
static int value_check(struct sentence s, const struct ls_form *type, const struct ls_option *o,
		       const char *value, uint64_t *ret)
{
	if (kinds[o->kind].parse(value, ret) < 0)
		return sentence_fail(s, "%s of %s: '%s' is not %s", o->name, type->name, value,
				     kinds[o->kind].what);
	if (o->kind == LS_FD && *ret > INT32_MAX)
		return sentence_fail(s, "%s of %s: '%s' is too large", o->name, type->name, value);
	if ((!o->min && !o->max) || o->kind == LS_STRING)
		return 0;
	if (*ret < o->min)
		return sentence_fail(s, "%s of %s: '%s' is too small: at least %" PRIu64, o->name,
				     type->name, value, o->min);
	if (o->max && *ret > o->max)
		return sentence_fail(s, "%s of %s: '%s' is too large: at most %" PRIu64, o->name,
				     type->name, value, o->max);
	return 0;
}

/* The one form that a checked value has in a description. */
static struct json_object *value_normal(const struct ls_option *o, const char *value, uint64_t number)
{
	if (o->kind == LS_FD)
		return json_object_new_int64(number);
	if (o->kind == LS_BOOL)
		return json_object_new_string(number ? "true" : "false");
	return json_object_new_string(value);
}

static int is_scalar(const struct json_object *v)
{
	enum json_type t = json_object_get_type(v);

	return t == json_type_string || t == json_type_int || t == json_type_boolean ||
	       t == json_type_double;
}

static int option_check(struct sentence s, const struct ls_form *type, const struct ls_option *o,
			struct json_object *body)
{
	struct json_object *v = json_object_object_get(body, o->name), *normal;
	const char *text;
	uint64_t number;
	int r;

	if (!v) {
		json_object_object_del(body, o->name); /* null is as good as nothing */
		return o->fallback ? 0
				   : sentence_fail(s, "%s needs '%s': %s", type->name, o->name, o->help);
	}
	if (o->kind == LS_AREA)
		return area_check(v, s.text, s.size);
	text = json_object_get_string(v);
	if (!is_scalar(v) || (json_object_is_type(v, json_type_string) &&
			      strlen(text) != (size_t)json_object_get_string_len(v)))
		return sentence_fail(s, "%s of %s: must be %s", o->name, type->name, kinds[o->kind].what);
	r = value_check(s, type, o, text, &number);
	if (r < 0)
		return r;
	normal = value_normal(o, text, number);
	json_object_object_add(body, o->name, normal);
	return 0;
}

static int options_check(struct sentence s, const struct ls_form *type, struct json_object *body)
{
	int r = 0;

	json_object_object_foreach (body, key, value) {
		(void)value;
		if (!option_find(type, key) && !(type->below_max && strcmp(key, "below") == 0))
			return option_unknown(s, type, key);
	}
	for (const struct ls_option *o = type->options; o && o->name && r == 0; o++)
		r = option_check(s, type, o, body);
	return r;
}

static int below_check(struct sentence s, const struct ls_family *family, const struct ls_form *type,
		       struct json_object *body)
{
	struct json_object *below = json_object_object_get(body, "below"), *list;
	size_t count;
	int r = 0;

	if (below && !json_object_is_type(below, json_type_array)) {
		list = json_object_new_array();
		json_object_array_add(list, json_object_get(below));
		json_object_object_add(body, "below", list);
		below = list;
	}
	count = below ? json_object_array_length(below) : 0;
	if (count < type->below_min)
		return type->below_min == 1
			       ? sentence_fail(s, "%s stands on another %s: say which with 'below'",
					       type->name, family->noun)
			       : sentence_fail(s, "%s stands on %u %ss or more: say which with 'below'",
					       type->name, type->below_min, family->noun);
	if (count > type->below_max)
		return sentence_fail(s, "%s stands on at most %u %ss: %zu are given", type->name,
				     type->below_max, family->noun, count);
	for (size_t i = 0; i < count && r == 0; i++)
		r = ls_description_check(family, json_object_array_get_idx(below, i), s.text, s.size);
	return r;
}

/* What a bare value sets: a list what is below, a scalar the primary option. NULL: nothing. */
static const char *bare_key(const struct ls_form *type, const struct json_object *given)
{
	if (is_scalar(given))
		return type->primary;
	return type->below_min > 1 && json_object_is_type(given, json_type_array) ? "below" : NULL;
}

/* Gives a type's part of a description its full form, an object. */
static int body_normalise(struct sentence s, const struct ls_form *type, struct json_object *stack,
			  struct json_object **ret)
{
	struct json_object *given = json_object_object_get(stack, type->name), *body;

	if (given && json_object_is_type(given, json_type_object)) {
		*ret = given;
		return 0;
	}
	if (given && !bare_key(type, given))
		return sentence_fail(s, "%s: the options must be an object, like {\"%s\": {}}", type->name,
				     type->name);
	body = json_object_new_object();
	if (given)
		json_object_object_add(body, bare_key(type, given), json_object_get(given));
	json_object_object_add(stack, type->name, body);
	*ret = body;
	return 0;
}

int ls_description_check(const struct ls_family *family, struct json_object *description, char *error,
			 size_t error_size)
{
	struct sentence s = {error, error_size};
	struct json_object *body = NULL;
	struct ls_form type;
	const char *name;
	int r;

	if (!json_object_is_type(description, json_type_object))
		return sentence_fail(s, "%s %s must be an object, like {\"%s\": {}}: this is %s", family->article,
				     family->noun, family->example,
				     json_object_to_json_string(description));
	if (json_object_object_length(description) != 1)
		return sentence_fail(s, "%s %s must be an object with one key, its type: this has %d: %s",
				     family->article, family->noun, json_object_object_length(description),
				     json_object_to_json_string(description));
	name = json_object_get_object(description)->head->k;
	if (form_find(family, name, &type) < 0)
		return type_unknown(s, family, name);
	r = body_normalise(s, &type, description, &body);
	if (r == 0)
		r = options_check(s, &type, body);
	return r < 0 ? r : below_check(s, family, &type, body);
}

struct json_object *ls_config(const struct ls_option *options, struct json_object *body)
{
	struct json_object *config = json_object_new_object();

	json_object_object_foreach (body, key, value)
		if (strcmp(key, "below") != 0)
			json_object_object_add(config, key, json_object_get(value));
	for (const struct ls_option *o = options; o && o->name; o++)
		if (o->fallback && *o->fallback && !json_object_object_get(config, o->name))
			json_object_object_add(config, o->name, json_object_new_string(o->fallback));
	return config;
}

static struct ls_form layer_form(const struct ls_type *type)
{
	assert(type->below_max <= sizeof(((struct ls *)0)->below) / sizeof(struct ls *));
	return (struct ls_form){type->name, type->below_min, type->below_max, type->options, type->primary};
}

static int layer_form_at(size_t i, struct ls_form *ret)
{
	if (!ls_types[i])
		return -ENOENT;
	*ret = layer_form(ls_types[i]);
	return 0;
}

static const struct ls_family layers = {"layer", "a", "mem", layer_form_at};

int ls_stack_check(struct json_object *stack, char *error, size_t error_size)
{
	return ls_description_check(&layers, stack, error, error_size);
}

int ls_option_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	struct ls_form form = layer_form(ls->type);
	const struct ls_option *o = option_find(&form, option);
	struct sentence s = {error, error_size};
	uint64_t number;
	int r;

	if (!o)
		return option_unknown(s, &form, option);
	if (!o->live || !ls->type->set)
		return sentence_fail(s, "%s of %s cannot be set while running", option, ls->type->name);
	r = value_check(s, &form, o, value, &number);
	if (r < 0)
		return r;
	if (o->kind == LS_BOOL)
		value = number ? "true" : "false";
	return ls->type->set(ls, option, value, error, error_size);
}
