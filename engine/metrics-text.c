/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/metrics.h"

void metrics_label(FILE *out, const char *key, const char *value)
{
	fprintf(out, "%s=\"", key);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			putc(*value, out);
	}
	putc('"', out);
}

void metrics_container(FILE *out, const char *name)
{
	char text[64];
	size_t length = (size_t)snprintf(text, sizeof(text), "%s", name);

	if (length > 2 && length < sizeof(text) && !strcmp(text + length - 2, " +"))
		text[length - 2] = 0;
	metrics_label(out, "container", text);
}

void metrics_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# TYPE polytropon_%s %s\n# HELP polytropon_%s %s\n", name, type, name, help);
}
