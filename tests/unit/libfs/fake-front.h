/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front driver without a service: requests are answered by a function of the test, in the caller's thread. Its
 * slots are claimed and released as the real one's, so that a slot that is not released is noticed.
 */
#pragma once

#include "ipc/front.h"

/* A request, and the reply that will take its place. */
struct fake_call {
	struct wire_request request;
	struct wire_reply reply;
	char *payload;
};

extern struct wire_table fake_table;
/* Fills slot->reply. Its return is what front_call returns: 0, or -EIO for a service that died. */
extern int (*fake_serve)(struct fake_call *call);
/* Answers front_fetch; NULL: -ENOTSUP. */
extern int (*fake_fetch)(uint32_t handle, uint64_t offset);
extern uint32_t fake_cwd; /* the handle that comes with a session */
/* Slots that are claimed now; requests so far. */
extern unsigned fake_claimed, fake_calls;
/* Answers a request for a share. NULL: there are none. */
extern int (*fake_share)(struct front_share *share);
/* Threads that have counted themselves by front_copying_begin. */
extern uint32_t fake_copying;
/* The service died and another came: sessions and handles of before are void. */
void fake_restart(void);
/* A mount in the table. */
void fake_mount(unsigned index, const char *path, uint32_t flags, uint64_t dev);
