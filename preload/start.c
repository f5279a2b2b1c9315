/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constructor. The dynamic linker calls it as this library's DT_INIT, which unlike an array of constructors
 * needs no relocation: in glibc with (argc, argv, envp), in musl with nothing.
 *
 * It runs in every program of a pool, most of which live for a millisecond and never touch our files. So it does
 * only what must be done before the program's first system call; everything else waits for the first file
 * operation that concerns us.
 */
#include "preload/class.h"
#include "preload/dispatch.h"
#include "preload/got.h"
#include "preload/patch.h"

struct preload_status preload_status;

/* The least of them; no library found means none. */
static uint32_t patch_all(const struct image *images, uint32_t count)
{
	uint32_t coverage = PRELOAD_NONE, libc = 0;

	for (uint32_t n = 0; n < count; n++) {
		int got = patch_image(&images[n]);

		if (images[n].is_libc)
			libc = got > PRELOAD_NONE;
		if (n == 0 || got < (int)coverage)
			coverage = got > PRELOAD_NONE ? (uint32_t)got : PRELOAD_NONE;
	}
	if (coverage == PRELOAD_NONE && libc)
		coverage = PRELOAD_PARTIAL; /* only ld.so's or a companion's calls are missing */
	return libc ? coverage : PRELOAD_NONE;
}

__attribute__((used)) void preload_start(int argc, char **argv, char **envp)
{
	struct image images[IMAGES_MAX];
	struct start_info info;

	if (start_info_find(&info, envp) < 0)
		return;
	preload_status.class_ = class_of(&info);
	if (preload_status.class_ != PRELOAD_CLASS_ACCELERATED || preload_init(info.envp) != 0)
		return;
	preload_status.coverage = patch_all(images, images_find(images, &info));
	if (preload_status.coverage == PRELOAD_NONE)
		preload_status.coverage = got_redirect(&info);
}
