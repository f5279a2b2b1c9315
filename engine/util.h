/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that every file of the engine uses. */
#pragma once

#include <json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

static inline void close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void free_p(char **p)
{
	free(*p);
}

static inline void fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void json_put_p(struct json_object **json)
{
	json_object_put(*json);
}

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Puts '?' for what is not UTF-8 or makes a terminal do something: names come from files and strangers. */
void text_tame(char *text);

/* What went wrong, as a sentence for people. */
struct error {
	char text[512];
};

/* Writes the sentence; returns code, so that a failure is one line. */
int error_set(struct error *error, int code, const char *format, ...) _printf_(3, 4);
/* The same with ": " and the reason of `err` (errno or -errno) after it; returns -err. */
int error_errno(struct error *error, int err, const char *format, ...) _printf_(3, 4);

/* Logs one line: `polytropon: ...` to stderr. A note, which says that all is well, only in a daemon's log.
 */
void log_line(const char *format, ...) _printf_(1, 2);
void log_note(const char *format, ...) _printf_(1, 2);
/* From now on the log is a daemon's: with the time, and with notes. */
void log_to_daemon(void);

int64_t now_ms(void); /* CLOCK_MONOTONIC */
bool kernel_is(unsigned major, unsigned minor); /* that release of Linux, or a later one */

/* The string (or other scalar as a string), number or object at `key`; NULL, `fallback`, NULL without. */
const char *json_string(struct json_object *object, const char *key);
int64_t json_number(struct json_object *object, const char *key, int64_t fallback);
bool json_true(struct json_object *object, const char *key);
struct json_object *json_child(struct json_object *object, const char *key, enum json_type type);
void json_set(struct json_object *object, const char *key, const char *format, ...) _printf_(3, 4);
/* Appends a sentence to an array. */
void json_say(struct json_object *array, const char *format, ...) _printf_(2, 3);
struct json_object *json_strings(const char *const *list, size_t count);
