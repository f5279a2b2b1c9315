/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/capability.h>

#include "engine/oci/oci.h"
#include "libservices/libservice.h"

static void upper(const char *from, char ret[static CAPABILITY_MAX])
{
	size_t n = 0;

	for (; from[n] && n < CAPABILITY_MAX - 1; n++)
		ret[n] = toupper((unsigned char)from[n]);
	ret[n] = '\0';
}

static int unknown(const char *word, const char *lower, struct error *error)
{
	char names[CAP_LAST_CAP + 1][CAPABILITY_MAX] = {}, proper[CAPABILITY_MAX];
	const char *candidates[CAP_LAST_CAP + 2] = {}, *near;

	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++) {
		char *name = cap_to_name(c);
		snprintf(names[c], sizeof(names[c]), "%s", name ? name : "");
		candidates[c] = names[c];
		cap_free(name);
	}
	near = ls_nearest(lower, candidates);
	if (!near)
		return error_set(error, -EINVAL, "unknown capability '%.60s'", word);
	upper(near, proper);
	return error_set(error, -EINVAL, "unknown capability '%.60s'; did you mean '%s'?", word, proper);
}

int capability_word(const char *word, char ret[static CAPABILITY_MAX], struct error *error)
{
	const char *plain = strncasecmp(word, "cap_", 4) ? word : word + 4;
	char lower[CAPABILITY_MAX] = "cap_";
	cap_value_t value;
	size_t n = strlen(lower);

	for (const char *p = plain; *p && n < sizeof(lower) - 1; p++)
		lower[n++] = tolower((unsigned char)*p);
	lower[n] = '\0';
	if (strlen(plain) + 4 >= sizeof(lower) || cap_from_name(lower, &value) < 0)
		return unknown(word, lower, error);
	upper(lower, ret);
	return 0;
}
