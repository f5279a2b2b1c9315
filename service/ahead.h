/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client is likely to ask next, done before it asks: files that are opened one after the other are opened
 * ahead (struct wire_ahead), and names that are looked at so are entered in the lease table ahead.
 */
#pragma once

#include <stdbool.h>

#include "ipc/wire.h"

struct session;
struct ahead; /* of a session */

/* This request may be one of a row, if it succeeded. */
bool ahead_wants(const struct session *session, const struct wire_request *in, int64_t result);
/* It has been answered. By the worker that did. Returns how many files it has opened ahead. */
unsigned ahead_follow(struct session *session, const struct wire_request *in, const char *path);
/* Of a request to list a directory, before it is answered: all of its records. */
void ahead_listed(struct session *session, const struct wire_request *in, uint64_t ino, const char *records, size_t size);
void ahead_free(struct ahead *ahead); /* takes NULL */
