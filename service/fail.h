/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stdio.h>

/* Puts a sentence where the caller wants one; returns r. */
static inline int fail(char *error, size_t size, int r, const char *format, ...) __attribute__((format(printf, 4, 5)));
static inline int fail(char *error, size_t size, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return r;
}
