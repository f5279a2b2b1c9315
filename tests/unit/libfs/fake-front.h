/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front driver without a service: requests are answered by a function of the test, in the caller's thread. Its
 * slots are claimed and released as the real one's, so that a slot that is not released is noticed.
 */
#pragma once

#include "ipc/front.h"

extern struct wire_table fake_table;
/* Fills slot->reply. Its return is what front_call returns: 0, or -EIO for a service that died. */
extern int (*fake_serve)(struct wire_slot *slot);
/* Slots that are claimed now; requests so far. */
extern unsigned fake_claimed, fake_calls;
/* The service died and another came: sessions and handles of before are void. */
void fake_restart(void);
/* A mount in the table. */
void fake_mount(unsigned index, const char *path, uint32_t flags, uint64_t dev);
