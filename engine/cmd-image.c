/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cmd-image.h"

#include <errno.h>
#include <string.h>

int target_take(struct target *t, const struct command *command, const char *text)
{
	_cleanup_(json_put_p) struct json_object *given = NULL;
	char sentence[400];

	t->text = text;
	if (t->text[0] == '{') {
		given = json_tokener_parse(t->text);
		if (!given)
			return misuse(command, "'%s' is not JSON", t->text);
	} else {
		given = json_object_new_object();
		json_object_object_add(given, "image", json_object_new_string(t->text));
	}
	t->description = volume_area_lower(given);
	if (area_check(t->description, sentence, sizeof(sentence)) < 0)
		return misuse(command, "%s", sentence);
	return 0;
}

int target_options_take(struct target *t, const struct command *command, char **argv, option_fn *fn,
			void *arg)
{
	const char *text = NULL;
	int r = options_take_word(command, &argv, fn, arg, &text);

	if (r == 0 && (!text || argv[0]))
		r = misuse(command, "it takes one image");
	return r == 0 ? target_take(t, command, text) : r;
}

int target_open(struct target *t, unsigned how, struct error *error)
{
	return images_open(t->description, how, &t->volume, error);
}

int target_area(struct target *t, struct error *error)
{
	int fds[IMAGES_MAX];
	_cleanup_(json_put_p) struct json_object *opened = NULL;

	for (size_t i = 0; i < t->volume.count; i++)
		fds[i] = t->volume.image[i].fd;
	opened = images_area(t->description, fds);
	return area_open(opened, &t->area, error->text, sizeof(error->text));
}

const char *target_holds(const struct target *t)
{
	static char text[128];
	const char *what = t->volume.count ? image_holds(&t->volume.image[0]) : NULL;

	if (!what || !strcmp(what, "a volume") || !strcmp(what, "something"))
		return "";
	snprintf(text, sizeof(text), "; it holds %s", what);
	return text;
}

void target_fini(struct target *t)
{
	t->area = area_close(t->area);
	images_fini(&t->volume);
	json_object_put(t->description);
}
