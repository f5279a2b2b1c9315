/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/patch/dispatch.h"

void subject_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define CHECK(condition) ((condition) ? (void)0 : subject_fail(__FILE__, __LINE__, #condition))

/* gcc's address sanitizer is a library and says so by a macro; clang's is in the program, with read() and all. */
#if defined(__SANITIZE_ADDRESS__)
#define SUBJECT_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUBJECT_SANITIZED
#define SUBJECT_SANITIZED_IN_PROGRAM
#endif
#endif

/* subject-threads.c; each is a case: 0, or 77. */
int subject_threads(void);
int subject_cancel(void);
int subject_cancel_handled(void);
int subject_cancel_race(void);
int subject_unwind(void);
int subject_dlopen(void);
int subject_registers(void);
