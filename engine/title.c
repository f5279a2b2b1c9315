/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/title.h"

#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>

static char *space;
static size_t room;

void title_init(char **argv)
{
	space = argv[0];
	for (room = 0; *argv && *argv == space + room; argv++)
		room += strlen(*argv) + 1;
}

void title_set(const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	prctl(PR_SET_NAME, text);
	if (!room)
		return;
	memset(space, 0, room);
	memcpy(space, text, strnlen(text, room - 1));
}
