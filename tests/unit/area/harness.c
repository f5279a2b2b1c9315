/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit/area/harness.h"

static char sentence[1024];

static struct json_object *json_parse(const char *text)
{
	char *s = strdup(text);
	struct json_object *json;

	for (char *p = s; *p; p++)
		if (*p == '\'')
			*p = '"';
	json = json_tokener_parse(s);
	assert_non_null(json);
	free(s);
	return json;
}

static int vopen(struct area **ret, const char *format, va_list args)
{
	struct json_object *json;
	char text[2048];
	int r;

	vsnprintf(text, sizeof(text), format, args);
	json = json_parse(text);
	*sentence = 0;
	r = area_open(json, ret, sentence, sizeof(sentence));
	json_object_put(json);
	return r;
}

struct area *opened(const char *format, ...)
{
	struct area *area = NULL;
	va_list args;
	int r;

	va_start(args, format);
	r = vopen(&area, format, args);
	va_end(args);
	if (r < 0)
		fail_msg("%s", sentence);
	return area;
}

const char *refusal(int error, const char *format, ...)
{
	struct area *area = NULL;
	va_list args;
	int r;

	va_start(args, format);
	r = vopen(&area, format, args);
	va_end(args);
	assert_int_equal(r, error);
	assert_null(area);
	return sentence;
}

static int on(const char *type, struct area *const *below, unsigned count, const char *config,
	      struct area **ret)
{
	struct json_object *json = json_parse(config);
	int r = area_new(area_type_find(type), json, below, count, ret, sentence, sizeof(sentence));

	json_object_put(json);
	return r;
}

struct area *area_on(const char *type, struct area *const *below, unsigned count, const char *config)
{
	struct area *area = NULL;

	if (on(type, below, count, config, &area) < 0)
		fail_msg("%s", sentence);
	return area;
}

struct area *area_try(const char *type, struct area *const *below, unsigned count, const char *config)
{
	struct area *area = NULL;

	on(type, below, count, config, &area);
	return area;
}

const char *refusal_on(int error, const char *type, struct area *const *below, unsigned count,
		       const char *config)
{
	struct area *area = NULL;

	assert_int_equal(on(type, below, count, config, &area), error);
	return sentence;
}

unsigned dice(unsigned *seed, unsigned sides)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % sides;
}

void *memory(size_t size)
{
	void *p = NULL;

	assert_ok(posix_memalign(&p, 4096, size));
	return p;
}

static uint64_t word(uint64_t place, uint64_t seed)
{
	return (place + seed * 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
}

void pattern(void *buf, size_t size, uint64_t offset, uint64_t seed)
{
	for (size_t i = 0; i < size / 8; i++)
		((uint64_t *)buf)[i] = word(offset / 8 + i, seed);
}

int is_pattern(const void *buf, size_t size, uint64_t offset, uint64_t seed)
{
	for (size_t i = 0; i < size / 8; i++)
		if (((const uint64_t *)buf)[i] != word(offset / 8 + i, seed))
			return 0;
	return 1;
}

int holds(struct area *area, uint64_t offset, size_t size, uint64_t seed)
{
	void *buf = memory(size);
	int r;

	assert_ok(area_read(area, buf, size, offset));
	r = is_pattern(buf, size, offset, seed);
	free(buf);
	return r;
}

void put(struct area *area, uint64_t offset, size_t size, uint64_t seed, unsigned flags)
{
	void *buf = memory(size);

	pattern(buf, size, offset, seed);
	assert_ok(area_write(area, buf, size, offset, flags));
	free(buf);
}

char *new_dir(void)
{
	char *dir = strdup("/tmp/polytropon-area-XXXXXX");

	assert_non_null(mkdtemp(dir));
	return dir;
}

void remove_dir(char *dir)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_ok(system(command));
	free(dir);
}

char *new_file(const char *dir, const char *name, uint64_t size)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_ok(ftruncate(fd, size));
	close(fd);
	return path;
}
