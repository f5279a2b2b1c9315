/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the public interface share. */
#pragma once

#pragma GCC visibility push(default)
#include "libfs/polytropon.h"
#pragma GCC visibility pop
#include "libfs/stat.h"

/* Routes an absolute path. 0 or -errno. */
int api_path(const char *path, struct fs_object *ret);
/* The same without what only preload/ knows to handle. */
int64_t api_result(int64_t r);
