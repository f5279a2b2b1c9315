/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libfs/ share with each other and with nobody else. */
#pragma once

#include "ipc/front-lease.h"
#include "libfs/fs.h"

/* The process's session. */
struct front *fs_front(void);
int fs_files_wipe_on_fork(void);
/* Looks what "/" is. */
void fs_route_begin(void);
const struct front_lease *fs_lease(void);
