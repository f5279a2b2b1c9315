/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool file: whatever its bytes, it is refused in one printable sentence that names the file, or it is accepted, and
 * then what `dump` prints of it is accepted too and means the same.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "engine/poolfile.h"
#include "engine/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path_of(int fd, char path[static 64])
{
	snprintf(path, 64, "/proc/self/fd/%d", fd);
}

static struct json_object *load(const char *path, struct error *error)
{
	struct origin origin = {};
	struct json_object *json = NULL;
	int r = yaml_read(path, &json, &origin, error);

	if (r == 0)
		r = spec_check_file(json, &origin, error);
	origin_fini(&origin);
	if (r == 0)
		return json;
	json_object_put(json);
	return NULL;
}

static void must_be_a_sentence(const struct error *error, const char *path)
{
	if (strncmp(error->text, path, strlen(path)) != 0 || error->text[strlen(path)] != ':')
		abort();
	for (const char *p = error->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
}

static void must_survive_a_dump(struct json_object *json)
{
	_cleanup_(close_p) int fd = memfd_create("dump", MFD_CLOEXEC);
	struct json_object *again;
	struct error error;
	char path[64];
	FILE *out;

	path_of(fd, path);
	out = fopen(path, "we");
	if (!out || yaml_print(json, out) < 0 || fclose(out) != 0)
		abort();
	again = load(path, &error);
	if (!again || !json_object_equal(json, again))
		abort();
	json_object_put(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(close_p) int fd = memfd_create("pools", MFD_CLOEXEC);
	struct json_object *json;
	struct error error = {};
	char path[64];

	path_of(fd, path);
	if (write(fd, data, size) != (ssize_t)size)
		return 0;
	json = load(path, &error);
	if (json)
		must_survive_a_dump(json);
	else
		must_be_a_sentence(&error, path);
	json_object_put(json);
	return 0;
}
