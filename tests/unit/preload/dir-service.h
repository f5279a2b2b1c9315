/* SPDX-License-Identifier: Apache-2.0 */
/* A service for tests of the dispatcher: a directory of the kernel's, served through the fake front driver. */
#pragma once

#include <stdint.h>

/* In a mount namespace of its own, makes the pool's directory and a mount with an empty directory. 0 or -errno. */
int dir_service_start(void);
/* Where it is: the mount's path. */
extern char dir_service_path[64];
/* Handles that are open. */
extern unsigned dir_service_open;
/* Requests of that kind so far. */
extern unsigned dir_service_count[64];

/* A system call as the preload library sees it: served by the dispatcher, else by the kernel. */
int64_t call6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
#define CALL_N(nr, a, b, c, d, e, f, ...)                                                             \
	call6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f))
#define CALL(name, ...) CALL_N(__NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
/* 1: the dispatcher served the last one. */
extern int call_served;
