/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a pool file speaks of volumes, and how a volume's layer wants to hear it.
 *
 *   {volume: {image: /srv/a.img, size: 4G}}             {"volume": {"area": {"file": {"path":
 * "/srv/a.img"}}, ... {volume: {mirror: [{image: /a}, {image: /b}]}}      {"volume": {"area": {"mirror":
 * {"below": [{"file": ... {volume: {size: 4G}}                                a file without a name, which
 * ends with the pool: "path" is ""
 *
 * A spec holds what the layer wants; `dump` prints what people write. Values keep their identity, by which
 * the pool file's lines are found.
 */
#include <errno.h>
#include <string.h>

#include "engine/volume.h"
#include "libservices/area.h"
#include "libservices/libservice.h"

enum { WORDS_MAX = 32 };

static void move(struct json_object *from, const char *key, struct json_object *to, const char *as)
{
	json_object_object_add(to, as, json_object_get(json_object_object_get(from, key)));
	json_object_object_del(from, key);
}

/* ---- to the layer's words ------------------------------------------------------------------------ */

static struct json_object *below_lower(struct json_object *below)
{
	struct json_object *list = json_object_new_array();

	if (!json_object_is_type(below, json_type_array))
		json_object_array_add(list, volume_area_lower(below));
	for (size_t i = 0;
	     json_object_is_type(below, json_type_array) && i < json_object_array_length(below); i++)
		json_object_array_add(list, volume_area_lower(json_object_array_get_idx(below, i)));
	return list;
}

/* What is not understood stays as it is: area_check speaks of it. */
struct json_object *volume_area_lower(struct json_object *area)
{
	struct json_object *body = NULL, *file, *lowered;
	const char *type = NULL;

	if (!json_object_is_type(area, json_type_object))
		return json_object_get(area);
	lowered = json_object_new_object();
	if (json_object_object_get_ex(area, "image", NULL)) {
		file = json_object_new_object();
		json_object_object_foreach(area, key, value) json_object_object_add(
		    file, strcmp(key, "image") ? key : "path", json_object_get(value));
		json_object_object_add(lowered, "file", file);
		return lowered;
	}
	json_object_object_foreach(area, name, given)
	{
		type = name;
		body = given;
		if (json_object_is_type(given, json_type_array)) {
			body = json_object_new_object();
			json_object_object_add(body, "below", below_lower(given));
		} else {
			if (json_object_is_type(given, json_type_object) &&
			    json_object_object_get_ex(given, "below", NULL))
				json_object_object_add(given, "below",
						       below_lower(json_object_object_get(given, "below")));
			json_object_get(body);
		}
		json_object_object_add(lowered, type, body);
	}
	return lowered;
}

static bool is_area_word(const char *key)
{
	return !strcmp(key, "image") || area_type_find(key);
}

/* A word that is nobody's gets the nearest of all that would do, not of the layer's own alone. */
static int word_check(const char *key, struct error *error)
{
	const char *known[WORDS_MAX + 1] = {"image"}, *near;
	const struct ls_type *volume = ls_type_find("volume");
	size_t n = 1;

	for (const struct area_type *const *t = area_types; *t && n < WORDS_MAX; t++)
		known[n++] = (*t)->name;
	for (const struct ls_option *o = volume ? volume->options : NULL; o && o->name && n < WORDS_MAX;
	     o++)
		known[n++] = o->name;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(known[i], key))
			return 0;
	near = ls_nearest(key, known);
	return error_set(error, -EINVAL,
			 near ? "unknown key '%s' of volume: did you mean '%s'?"
			      : "unknown key '%s' of volume",
			 key, near);
}

static int body_lower(struct json_object *body, struct error *error)
{
	struct json_object *wrap = json_object_new_object(), *area;
	const char *word = NULL;
	int r = 0;

	json_object_object_foreach(body, key, value)
	{
		(void)value;
		if (r == 0)
			r = word_check(key, error);
		if (r == 0 && word && is_area_word(key))
			r = error_set(error, -EINVAL, "volume has '%s' and '%s': say one of them", word,
				      key);
		if (is_area_word(key))
			word = key;
	}
	if (r == 0 && word && json_object_object_get_ex(body, "area", NULL))
		r = error_set(error, -EINVAL, "volume has '%s' and 'area': say one of them", word);
	if (r == 0 && word) {
		move(body, strdupa(word), wrap, strdupa(word));
		json_object_object_add(body, "area", volume_area_lower(wrap));
	} else if (r == 0 && (area = json_object_object_get(body, "area"))) {
		json_object_object_add(body, "area", volume_area_lower(area));
	} else if (r == 0) {
		area = json_object_new_object();
		json_object_object_add(area, "file", wrap);
		json_set(json_object_get(wrap), "path", "%s", "");
		json_object_object_add(body, "area", area);
	}
	json_object_put(wrap);
	return r;
}

static int layer_lower(struct json_object *stack, const char *type, struct json_object *given,
		       struct error *error)
{
	struct json_object *body;

	if (strcmp(type, "volume") || json_object_is_type(given, json_type_object))
		return strcmp(type, "volume") ? 0 : body_lower(given, error);
	if (!json_object_is_type(given, json_type_string))
		return error_set(error, -EINVAL,
				 "volume must be a mapping, such as {image: /srv/a.img, size: 4G}");
	body = json_object_new_object();
	json_object_object_add(body, "image", json_object_get(given));
	json_object_object_add(stack, type, body);
	return body_lower(body, error);
}

int volume_words_lower(struct json_object *stack, struct error *error)
{
	struct json_object *config = NULL, *below;
	const char *type = NULL;
	int r = 0;

	if (!json_object_is_type(stack, json_type_object))
		return 0;
	json_object_object_foreach(stack, key, value)
	{
		type = key;
		config = value;
	}
	if (type)
		r = layer_lower(stack, type, config, error);
	below =
	    json_object_is_type(config, json_type_object) ? json_object_object_get(config, "below") : NULL;
	if (r == 0 && json_object_is_type(below, json_type_object))
		r = volume_words_lower(below, error);
	for (size_t i = 0;
	     r == 0 && json_object_is_type(below, json_type_array) && i < json_object_array_length(below);
	     i++)
		r = volume_words_lower(json_object_array_get_idx(below, i), error);
	return r;
}

/* ---- to people's words --------------------------------------------------------------------------- */

/* The area in people's words, as members of `into`. */
static void area_raise(struct json_object *area, struct json_object *into)
{
	json_object_object_foreach(area, type, body)
	{
		struct json_object *below = json_child(body, "below", json_type_array), *list, *raised;
		const char *path = json_string(body, "path");

		if (!strcmp(type, "file") && path && json_object_object_length(body) == 1) {
			if (*path)
				json_set(into, "image", "%s", path);
			continue;
		}
		list = below ? json_object_new_array() : NULL;
		for (size_t i = 0; below && i < json_object_array_length(below); i++) {
			raised = json_object_new_object();
			area_raise(json_object_array_get_idx(below, i), raised);
			json_object_array_add(list, raised);
		}
		if (below && json_object_object_length(body) == 1) {
			json_object_object_add(into, type, list);
			continue;
		}
		raised = json_object_new_object();
		json_object_object_foreach(body, key, value) json_object_object_add(
		    raised, key, strcmp(key, "below") ? json_object_get(value) : json_object_get(list));
		json_object_put(list);
		json_object_object_add(into, type, raised);
	}
}

static int layer_raise(const char *type, struct json_object *config, void *arg)
{
	struct json_object *words = json_object_new_object(),
			   *area = json_child(config, "area", json_type_object);

	if (!strcmp(type, "volume") && area) {
		area_raise(area, words);
		json_object_object_del(config, "area");
		json_object_object_foreach(config, key, value)
		    json_object_object_add(words, key, json_object_get(value));
		json_object_object_foreach(words, word, meaning)
		{
			json_object_object_del(config, word);
			json_object_object_add(config, word, json_object_get(meaning));
		}
	}
	json_object_put(words);
	return 0;
}

void volume_words_raise(struct json_object *stack)
{
	stack_walk(stack, layer_raise, NULL);
}

/* ---- the images ---------------------------------------------------------------------------------- */

int images_each(struct json_object *area, image_fn *fn, void *arg)
{
	json_object_object_foreach(area, type, body)
	{
		struct json_object *below = json_child(body, "below", json_type_array);
		int r = 0;

		if (!strcmp(type, "file"))
			return fn(body, arg);
		for (size_t i = 0; r == 0 && below && i < json_object_array_length(below); i++)
			r = images_each(json_object_array_get_idx(below, i), fn, arg);
		return r;
	}
	return 0;
}
