/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount points that the host lacks, for one mount namespace.
 *
 * To have /srv/a/b where only /srv exists, a tmpfs goes over /srv in this namespace alone, with the same
 * entries (directories and files bound with all that is mounted below them, symbolic links made anew, modes
 * and owners kept) and with a/b. For a directory missing in / the namespace gets a new root, made in the
 * same way. The host's directories are never written to. What the host adds to /srv later is not seen, and
 * what is created in /srv itself goes to the tmpfs; below its entries everything is the host's, as before.
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "engine/util.h"

struct mimic {
	dev_t made[32]; /* the file systems made so far: in them, directories may be created */
	size_t count;
};

/*
 * Makes sure that the directory `path` is there, in a mount namespace of the caller's own without shared
 * mounts, and gives its real path. 0, or -errno with a sentence. The working directory may become "/".
 */
int mimic_directory(struct mimic *mimic, const char *path, char ret_real[static PATH_MAX],
		    struct error *error);
