/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constructor. The dynamic linker calls it as this library's DT_INIT, which unlike an array of constructors
 * needs no relocation: in glibc with (argc, argv, envp), in musl with nothing.
 *
 * It runs in every program of a pool, most of which live for a millisecond and never touch our files. So it does
 * only what must be done before the program's first system call; everything else waits for the first file
 * operation that concerns us.
 */
#include "preload/behind.h"
#include "preload/class.h"
#include "preload/dispatch.h"
#include "preload/got.h"
#include "preload/patch.h"

struct preload_status preload_status;
static struct image linker; /* ld.so, for later */

static int patch_image(const struct image *image)
{
	int coverage = patch_overlay(image);

	return coverage >= 0 ? coverage : patch_in_place(image);
}

/* The least of what libc and its companions got: a descriptor must not be known to one and unknown to another. */
static uint32_t patch_all(const struct image *images, uint32_t count)
{
	int least = PRELOAD_NONE;

	for (uint32_t n = 0; n < count; n++) {
		int got;

		if (images[n].part == IMAGE_LINKER) {
			linker = images[n];
			continue;
		}
		got = patch_image(&images[n]);
		if (images[n].part == IMAGE_LIBC && (got <= PRELOAD_NONE || !preload_status.sites))
			return PRELOAD_NONE;
		got = got <= PRELOAD_NONE ? PRELOAD_PARTIAL : got;
		least = least == PRELOAD_NONE || got < least ? got : least;
	}
	return (uint32_t)least;
}

void preload_patch_linker(void)
{
	if (__atomic_exchange_n(&linker.part, IMAGE_OTHER, __ATOMIC_ACQ_REL) == IMAGE_LINKER)
		patch_overlay(&linker);
}

__attribute__((used)) void preload_start(int argc, char **argv, char **envp)
{
	struct image images[IMAGES_MAX];
	struct start_info info;

	if (start_info_find(&info, envp) < 0)
		return;
	behind_asan(&info);
	preload_status.class_ = class_of(&info);
	if (preload_status.class_ != PRELOAD_CLASS_ACCELERATED || !preload_init(info.envp))
		return;
	preload_status.coverage = patch_all(images, images_find(images, &info));
	if (preload_status.coverage == PRELOAD_NONE)
		preload_status.coverage = got_redirect(&info);
}
