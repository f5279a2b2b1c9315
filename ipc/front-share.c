/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says of itself in its session's memory: that it copies from memory that may be cut, that it forks. */
#include "ipc/front-internal.h"

static struct wire_session *session_head(const struct front_session *s)
{
	return (struct wire_session *)s->segment;
}

struct wire_slot *front_copying_begin(struct front *f, uint32_t session)
{
	struct wire_slot *slot = front_claim(f);

	if (!slot)
		return NULL;
	if (f->session != session) {
		front_release(f, slot);
		return NULL;
	}
	/* A full barrier before the caller looks at the share's epoch. Partner: the service changes that, and then looks
	 * at this count. */
	__atomic_add_fetch(&session_head(front_current(f))->copying, 1, __ATOMIC_SEQ_CST);
	return slot;
}

void front_copying_end(struct front *f, struct wire_slot *slot)
{
	const struct front_session *s = f->sessions;

	while ((uintptr_t)slot - (uintptr_t)s->segment >= WIRE_SESSION_SIZE)
		s++;
	__atomic_sub_fetch(&session_head(s)->copying, 1, __ATOMIC_SEQ_CST);
	front_release(f, slot);
}

void front_forking(struct front *f)
{
	struct wire_slot *slot = front_claim(f); /* so that the session stays mapped */

	if (!slot)
		return;
	__atomic_store_n(&session_head(front_current(f))->forking, 1, __ATOMIC_RELEASE);
	front_release(f, slot);
}
