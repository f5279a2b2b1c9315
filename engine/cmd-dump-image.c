/* SPDX-License-Identifier: Apache-2.0 */
/* `dump --image`: the structures of a volume. */
#include <errno.h>
#include <string.h>

#include "engine/cmd-image.h"
#include "engine/poolfile.h"
#include "libservices/libservice.h"
#include "libservices/volume/dump.h"

static int word_check(const struct command *command, const char *what)
{
	const char *near;

	for (const char *const *w = volume_dump_words; *w; w++)
		if (!strcmp(*w, what))
			return 0;
	near = ls_nearest(what, volume_dump_words);
	return near ? misuse(command, "unknown structure '%s'; did you mean '%s'?", what, near)
		    : misuse(command, "unknown structure '%s'", what);
}

static int print(struct json_object *json, bool as_json)
{
	if (!as_json)
		return yaml_print(json, stdout) < 0 ? complain("it cannot be printed") : 0;
	puts(
	    json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

int dump_image(const struct command *command, char *image, char **argv, bool as_json)
{
	const char *what = argv[0] ? argv[0] : "super", *which = argv[0] ? argv[1] : NULL;
	struct target target = {};
	struct json_object *json;
	struct error error;
	int r = which && argv[2] ? misuse(command, "it takes one structure") : word_check(command, what);

	if (r == 0)
		r = target_take(&target, command, image);
	if (r == 0 && (target_open(&target, IMAGE_READ, &error) < 0 || target_area(&target, &error) < 0))
		r = complain("%s", error.text);
	if (r == 0) {
		json = volume_dump(target.area, what, which, error.text, sizeof(error.text));
		r = json ? print(json, as_json)
			 : complain("'%s': %s%s", image, error.text, target_holds(&target));
		json_object_put(json);
	}
	target_fini(&target);
	return r;
}
