/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's archive, whatever its bytes: extracted below its directory and nowhere else, or refused in one sentence,
 * and its reader does not die.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "engine/store/layer.h"
#include "engine/store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_a_sentence(const struct error *error)
{
	if (!error->text[0])
		abort();
	for (const char *p = error->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
}

/* What surrounds the tree is as it was. */
static void must_be_alone(const char *dir)
{
	struct stat st;

	if (stat(dir, &st) < 0 || st.st_nlink != 3)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct layer_limits limits = {.bytes = 1 << 20, .entries = 100, .ratio = 100, .depth = 16};
	char dir[] = "/tmp/polytropon-fuzz.XXXXXX";
	_cleanup_(close_p) int fd = memfd_create("archive", MFD_CLOEXEC), tree = -1;
	struct layer_result result;
	struct error error = {};
	int r;

	if (write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0 || !mkdtemp(dir) || chdir(dir) < 0 ||
	    mkdir("tree", 0755) < 0)
		return 0;
	tree = open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = layer_extract(fd, tree, &limits, NULL, NULL, &result, &error);
	if (r < 0)
		must_be_a_sentence(&error);
	if (r == -EPROTO)
		abort();
	must_be_alone(dir);
	if (chdir("/") < 0)
		abort();
	store_remove(dir);
	return 0;
}
