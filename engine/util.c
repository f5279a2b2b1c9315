/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "engine/util.h"

static bool is_daemon;

/* Bytes of the printable character at p; 0: there is none. */
static size_t character_length(const unsigned char *p)
{
	/* By length: the bits of the first byte that say so, and the least character that needs it. */
	static const struct {
		unsigned char mask, bits;
		uint32_t least;
	} kinds[] = {{0x80, 0x00, 0x20}, {0xe0, 0xc0, 0xa0}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	uint32_t c = 0;
	size_t n = 0;

	while (n < ARRAY_LEN(kinds) && (p[0] & kinds[n].mask) != kinds[n].bits)
		n++;
	if (n == ARRAY_LEN(kinds))
		return 0;
	c = p[0] & (unsigned char)~kinds[n].mask;
	for (size_t i = 1; i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < kinds[n].least || c == 0x7f || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	return n + 1;
}

void text_tame(char *text)
{
	while (*text) {
		size_t n = character_length((unsigned char *)text);
		if (!n)
			*text = '?';
		text += n ? n : 1;
	}
}

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	text_tame(error->text);
	return code;
}

int error_errno(struct error *error, int err, const char *format, ...)
{
	va_list ap;
	size_t len;

	err = abs(err);
	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	text_tame(error->text);
	len = strlen(error->text);
	snprintf(error->text + len, sizeof(error->text) - len, ": %s", strerror(err));
	return -err;
}

void log_to_daemon(void)
{
	is_daemon = true;
}

static void log_write(const char *format, va_list ap)
{
	char line[1024], when[40] = "";
	struct tm tm;
	time_t now = time(NULL);

	vsnprintf(line, sizeof(line), format, ap);
	text_tame(line);
	if (is_daemon && localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%F %T ", &tm);
	dprintf(STDERR_FILENO, "%spolytropon: %s\n", when, line);
}

void log_line(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_write(format, ap);
	va_end(ap);
}

void log_note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (is_daemon)
		log_write(format, ap);
	va_end(ap);
}

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

bool kernel_is(unsigned major, unsigned minor)
{
	struct utsname name;
	unsigned a = 0, b = 0;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &a, &b) == 2 && (a > major || (a == major && b >= minor));
}

struct json_object *json_child(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *child = NULL;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &child) || !json_object_is_type(child, type))
		return NULL;
	return child;
}

const char *json_string(struct json_object *object, const char *key)
{
	struct json_object *child = NULL;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &child) ||
	    json_object_is_type(child, json_type_object) || json_object_is_type(child, json_type_array))
		return NULL;
	return json_object_get_string(child);
}

int64_t json_number(struct json_object *object, const char *key, int64_t fallback)
{
	struct json_object *child = json_child(object, key, json_type_int);

	return child ? json_object_get_int64(child) : fallback;
}

bool json_true(struct json_object *object, const char *key)
{
	const char *word = json_string(object, key);

	return word && !strcmp(word, "true");
}

void json_set(struct json_object *object, const char *key, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_object_object_add(object, key, json_object_new_string(text));
}

void json_say(struct json_object *array, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_object_array_add(array, json_object_new_string(text));
}

struct json_object *json_strings(const char *const *list, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, json_object_new_string(list[i]));
	return array;
}
