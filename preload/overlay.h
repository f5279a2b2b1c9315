/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-patched text of C libraries, for the engine: made once, mapped by every process of a pool. Hosted code.
 * The format is preload/patch.h's.
 */
#pragma once

#include <stddef.h>

/*
 * Makes the overlay of one library in the directory, under its build-id's name. 0, or -errno and a sentence.
 * -ENOENT: no such library. -ENOTSUP: it has no build-id, or no system calls that could be redirected. The file
 * appears complete or not at all; one that is there already is replaced.
 */
int overlay_write(int patch_dir_fd, const char *library_path, char *error, size_t error_size);

/*
 * The same for every C library and dynamic linker found at its usual places below `root_path` ("" or "/"
 * for the host; a container's root otherwise). Returns how many were made; -errno and a sentence if one that is there
 * could not be. Libraries that are not supported are passed over.
 */
int overlay_write_all(int patch_dir_fd, const char *root_path, char *error, size_t error_size);
