/* SPDX-License-Identifier: Apache-2.0 */
/* What name.c and make.c share: directories in use by a call. */
#pragma once

#include "libservices/host/host.h"

/* A directory, held, and its stripe locked. */
struct host_dir_use {
	struct host *h;
	struct host_inode *dir;
	struct fair_lock *stripe; /* NULL: locked by another use */
	int fd;
};

/* For a call about that name, which it checks. 0, or -errno and there is nothing to end. */
int host_dir_use(struct host_dir_use *use, struct ls *ls, struct ls_inode *dir, const char *name,
		 bool changing);
void host_dir_done(struct host_dir_use *use);

/* The inode of an O_PATH descriptor, which it takes over. */
int host_fd_enter(struct host *h, int fd, struct ls_inode **ret_inode, struct ls_attr *ret_attr);
/* Gives what was just made to its owner, with the set-id bits of mode. */
int host_fd_own(struct host *h, const struct ls_call *call, int fd, mode_t mode);
