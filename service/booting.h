/* SPDX-License-Identifier: Apache-2.0 */
/* The start of a service: the engine's boot message, and what it makes of a struct service. */
#pragma once

#include "service/service.h"

struct boot {
	struct json_object *message;
	int fds[4096];
	unsigned fd_count;
	unsigned generation;
	int fuse_fd[WIRE_MOUNTS_FIXED]; /* -1: no FUSE door */
	bool fuse_live[WIRE_MOUNTS_FIXED];
	int token_fd[WIRE_MOUNTS_FIXED]; /* of a mount without FUSE; negative: none */
	char error[1024];
};

/* Both: 0, or negative with a sentence in error. */
int boot_receive(struct boot *b);
int boot_apply(struct boot *b, struct service *s);
/* The roots of containers that were open in the service before this. When the doors can be opened. */
int boot_roots(struct boot *b, struct service *s);
/* What a service may not do any more when it has given up its privileges. After boot_receive. */
void boot_prepare(struct boot *b);
/* Is some of the storage in a cluster? After boot_receive. */
bool boot_network(struct boot *b);
