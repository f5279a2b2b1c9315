/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that carry a descriptor. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* As send(2), with a descriptor unless it is -1. How many bytes went, or -errno. */
ssize_t passing_send(int socket, const void *message, size_t size, int fd, int flags);
/* *ret_fd: the caller's, -1 if none came. How many bytes came, or -errno. */
ssize_t passing_receive(int socket, void *message, size_t size, int *ret_fd);
