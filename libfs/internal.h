/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libfs/ share with each other and with nobody else. */
#pragma once

#include "libfs/fs.h"

/* The process's session. */
struct front *fs_front(void);
int fs_files_wipe_on_fork(void);
