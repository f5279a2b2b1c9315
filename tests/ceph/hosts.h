/* SPDX-License-Identifier: Apache-2.0 */
/* Two hosts of one cluster, each a stack of its own. */
#pragma once

#include <time.h>

#include "tests/unit/layers/harness.h"

/* Closes both; `last` empties the directory first. A group's teardown. */
static inline int hosts_end(struct fs *a, struct fs *b, struct fs *last)
{
	fs_settle(a);
	fs_settle(b);
	fs_empty(last);
	fs_close(a);
	fs_close(b);
	return 0;
}

/* What others had open for writing the MDS may take back a moment later; then there are delegations again. */
static inline void host_keeps(struct fs *fs, struct ls_file *f, struct ls_inode *inode)
{
	struct timespec nap = {0, 20000000};
	char byte;

	for (int i = 0; i < 500 && !fs_attr(fs, inode).kept; i++) {
		fs_read(fs, f, &byte, 1, 0);
		nanosleep(&nap, NULL);
	}
	assert_true(fs_attr(fs, inode).kept);
}
