/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that measure where they were started, and wait for orders: so that all that is compared is there at the
 * same time, and can be measured by turns. A door is a command of a shell that makes its place and runs this program
 * there again: "$BENCH"; the command that is measured is "$POLYTROPON". It says "ready" when it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct door {
	const char *name;
	pid_t pid;
	FILE *to, *from; /* NULL: it could not be had */
};

/* A fresh directory in `parent`, which becomes the working directory, in a mount namespace of the bench's own; $BENCH and
 * $POLYTROPON. Without root it exits with 77. */
void place_begin(const char *bench, const char *parent);
const char *place_name(void);
/* Whatever is mounted there, and what is below. 0, or 1 after a sentence. */
int place_end(void);

bool door_start(struct door *d, const char *name, const char *command);
void door_order(struct door *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The answer; exits if there is none. */
void door_answer(struct door *d, char *line, size_t size);
void door_end(struct door *d);
/* Of the door's process: tells that it is ready. */
void door_ready(void);
