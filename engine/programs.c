/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "engine/programs.h"

static int find(const char *variable, const char *beside, const char *installed, char ret[static PATH_MAX],
		struct error *error)
{
	const char *given = getenv(variable);
	char self[PATH_MAX] = "", path[PATH_MAX + 64]; /* room for what is beside */
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash = n > 0 ? strrchr(self, '/') : NULL;

	if (given && *given) {
		if (access(given, R_OK) < 0)
			return error_errno(error, errno, "%s='%s'", variable, given);
		snprintf(ret, PATH_MAX, "%s", given);
		return 0;
	}
	if (slash)
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/%s", self, beside);
	if (access(path, R_OK) < 0)
		snprintf(path, sizeof(path), "%s", installed);
	if (access(path, R_OK) < 0)
		return error_set(error, -ENOENT, "neither '%s/%s' nor '%s' is there", self, beside,
				 installed);
	if (snprintf(ret, PATH_MAX, "%s", path) >= PATH_MAX)
		return error_errno(error, ENAMETOOLONG, "'%s'", path);
	return 0;
}

int program_service(char ret[static PATH_MAX], struct error *error)
{
	return find("POLYTROPON_SERVICE", "../service/polytropon-service",
		    POLYTROPON_LIBEXEC "/polytropon-service", ret, error);
}

int program_preload(char ret[static PATH_MAX], struct error *error)
{
	return find("POLYTROPON_PRELOAD", "../preload/" POLYTROPON_PRELOAD_NAME,
		    POLYTROPON_LIB "/" POLYTROPON_PRELOAD_NAME, ret, error);
}

int program_store(char ret[static PATH_MAX], struct error *error)
{
	return find("POLYTROPON_STORE", "store/polytropon-store", POLYTROPON_LIBEXEC "/polytropon-store", ret, error);
}

int program_benches(char ret[static PATH_MAX], struct error *error)
{
	int r = find("POLYTROPON_BENCHES", "../bench/bench-report", POLYTROPON_LIBEXEC "/bench-report", ret, error);

	if (r == 0)
		*strrchr(ret, '/') = 0;
	return r;
}
