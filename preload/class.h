/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "preload/image.h"

/* What the mechanism does for this process; decided once, in the constructor. */
enum preload_class {
	PRELOAD_CLASS_ACCELERATED = 0,
	PRELOAD_CLASS_OFF,     /* POLYTROPON_MODE=off */
	PRELOAD_CLASS_SECURE,  /* set-user-ID and the like: the environment is not its owner's */
	PRELOAD_CLASS_GO,      /* makes system calls of its own, on stacks of its own */
	PRELOAD_CLASS_VALGRIND,
	PRELOAD_CLASS_SECCOMP, /* a filter that does not know our system calls is in force */
};

enum preload_class class_of(const struct start_info *info);

/* The value of NAME in envp, or NULL. */
const char *class_getenv(char **envp, const char *name);
