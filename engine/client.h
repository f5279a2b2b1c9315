/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the control socket, on the engine's side: messages in, one call at a time, answers out.
 *
 * The peer may send garbage, half a message or nothing, and need not read: it is read when something is
 * there, its input and output are limited, and what goes beyond ends the connection and nothing else.
 */
#pragma once

#include "engine/engine.h"

struct client {
	TAILQ_ENTRY(client) link;
	struct engine *engine;
	struct source source;
	char *in, *out;
	size_t in_len, out_len;
	bool busy;   /* a call is being answered; more input waits */
	bool oneway; /* the caller wants no answer to it */
	/* What the call waits for: the pools whose start or end decide, and what is known so far. */
	struct json_object *starting, *ending, *results;
	/* The changes of a Set that are still to be made. */
	struct change *changes;
	size_t change_next, change_count;
};

/* Takes the descriptor over. NULL without memory. */
struct client *client_new(struct engine *engine, int fd);
struct client *client_free(struct client *client);
/* Answers the call under way; takes the parameters over (NULL: none). The client may be gone afterwards. */
void client_reply(struct client *client, struct json_object *parameters, int fd);
/* error without a dot is one of io.polytropon; parameters as above. */
void client_error(struct client *client, const char *error, struct json_object *parameters);
void client_fail(struct client *client, const char *error, const char *format, ...) _printf_(3, 4);

/* ---- engine/control.c: what the calls do ---------------------------------------------------------- */

void control_call(struct client *client, struct json_object *message);
void control_pool_changed(struct engine *engine, struct pool *pool);
void control_pool_gone(struct engine *engine, struct pool *pool);
/* Frees what the call under way holds. */
void control_forget(struct client *client);
