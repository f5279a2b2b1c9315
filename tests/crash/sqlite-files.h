/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite on a volume that is mounted in this process: a VFS whose files are the volume's. */
#pragma once

#include <sqlite3.h>

#include "tests/crash/mounted.h"

/* Registers the VFS "volume", for one mounted volume at a time; NULL: none. */
void sqlite_files_on(struct mounted *m);
