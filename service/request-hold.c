/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the preload door that wait for a limit: a copy of the descriptor, and no thread. A signal handler of the
 * client runs meanwhile, and then it goes on waiting, as for a disk; when the client is killed, its session drops them.
 */
#include <errno.h>
#include <stdlib.h>

#include "service/limit.h"
#include "service/request.h"
#include "service/stats.h"

struct held {
	struct limit_wait wait;
	struct service *service;
	struct back_request back;
};

static enum limit_flow flow_of(unsigned op)
{
	switch (op) {
	case WIRE_READ:
		return LIMIT_READS;
	case WIRE_WRITE:
	case WIRE_COPY:
	case WIRE_FALLOCATE:
	case WIRE_FSYNC:
	case WIRE_SYNCFS:
		return LIMIT_WRITES;
	case WIRE_GETDENTS:
		return LIMIT_NAMES;
	case WIRE_WATCH:
		return LIMIT_FREE;
	}
	/* Free is what gives something back, locks, and talk between the library and us. */
	return request_has_path(op) ? LIMIT_NAMES : LIMIT_FREE;
}

static void held_serve(struct limit_wait *wait)
{
	struct held *held = (struct held *)wait;

	request_serve(held->service, &held->back);
	free(held);
}

static void held_drop(struct limit_wait *wait, int error)
{
	struct held *held = (struct held *)wait;
	const struct wire_request *in = &held->back.request;
	struct session *session = (struct session *)held->back.session;

	stat_record_parked(DOOR_PRELOAD, in->op, held->back.taken_at, error,
			   &(struct stat_about){.pid = session->pid, .container = session->container});
	back_complete(held->service->back, &held->back, &(struct wire_reply){.result = error});
	free(held);
}

bool request_is_held(struct service *s, const struct back_request *back)
{
	struct session *session = (struct session *)back->session;
	enum limit_flow flow = flow_of(back->request.op);
	uint64_t bytes = back->request.op != WIRE_WRITE ? 0 : back->request.length < WIRE_BULK ? back->request.length : WIRE_BULK;
	struct held *held;

	if (limit_pass(session->container, flow, bytes))
		return false;
	held = malloc(sizeof(*held));
	if (!held)
		return false;
	*held = (struct held){.wait = {.owner = session, .payer = session->container, .front = DOOR_PRELOAD, .flow = flow,
				       .bytes = bytes, .serve = held_serve, .drop = held_drop},
			      .service = s, .back = *back};
	if (limit_hold(&held->wait))
		return true;
	free(held);
	return false;
}

/* One that comes after this, of a session that has ended, has its turn like any other. */
void session_held_end(struct session *session)
{
	limit_drop(session, 0, -EINTR);
}
