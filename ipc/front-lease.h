/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a process has the lease table of its credentials (ipc/wire-lease.h) mapped. Freestanding.
 *
 * It lies outside of `struct front`, in memory that the child of a fork has too: the child has the same credentials,
 * and may look things up before it has a session. The address never changes: another table, or nothing, is mapped
 * over the old one, for a thread or a child may be reading it. A reader takes `turn` before and after; it must be odd
 * and the same.
 */
#pragma once

#include "ipc/wire-lease.h"

struct front_lease {
	uint64_t turn; /* odd: the table may be used. Never decreases */
	const struct lease_table *table;
};

/* The process is about to be somebody else, or has been: what is known of the table is not to be used. */
void front_lease_drop(struct front_lease *l);
/*
 * Uses the table that `fd` (kept by the caller; -1: there is none) is, unless it was dropped since `turn`, when it was
 * asked for. The lock of whoever owns `l` is held.
 */
void front_lease_take(struct front_lease *l, uint64_t turn, int fd);
/* Unmaps it. Nobody may be reading. */
void front_lease_end(struct front_lease *l);
