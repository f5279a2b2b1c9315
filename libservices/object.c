/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/object.h"

/* POLYTROPON_LAYERS, or the build tree's beside the program's directory, or where it was installed. */
static void object_path(const char *name, char ret[static PATH_MAX])
{
	const char *given = getenv("POLYTROPON_LAYERS");
	char self[PATH_MAX / 2] = "";
	char *slash;

	if (given && *given) {
		snprintf(ret, PATH_MAX, "%s/%s.so", given, name);
		return;
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && (slash = strrchr(self, '/'))) {
		*slash = 0;
		snprintf(ret, PATH_MAX, "%s/../libservices/%s.so", self, name);
		if (access(ret, R_OK) == 0)
			return;
	}
	snprintf(ret, PATH_MAX, "%s/%s.so", POLYTROPON_LAYERS_DIR, name);
}

/* Never unloaded: its library has threads, and code that runs at exit. */
const struct ls_object *ls_object_load(const char *name, char *error, size_t error_size)
{
	const struct ls_object *object;
	char path[PATH_MAX];
	void *handle;

	object_path(name, path);
	if (access(path, R_OK) < 0) {
		snprintf(error, error_size, "%s: '%s' is not there: this build of polytropon is without it", name, path);
		return NULL;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	object = handle ? dlsym(handle, "ls_object") : NULL;
	if (!object) {
		snprintf(error, error_size, "%s: load '%s': %s", name, path, dlerror());
		return NULL;
	}
	if (strcmp(object->version, POLYTROPON_VERSION) != 0) {
		snprintf(error, error_size, "%s: '%s' is of version %s, this is %s", name, path, object->version,
			 POLYTROPON_VERSION);
		return NULL;
	}
	return object;
}
