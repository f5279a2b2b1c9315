/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/conversation.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/passing.h"

struct answer {
	char *text;
	size_t len;
	int fd;
};

static int send_all(int connection, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(connection, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= n;
	}
	return 0;
}

/* Reads until the NUL. One call is under way at a time, so nothing follows it. */
static int receive(int connection, struct answer *a)
{
	enum { STEP = 64 * 1024 };

	while (!a->len || a->text[a->len - 1]) {
		char *grown = realloc(a->text, a->len + STEP);
		ssize_t n;
		int fd;
		if (!grown)
			return -ENOMEM;
		a->text = grown;
		n = passing_receive(connection, grown + a->len, STEP, &fd);
		if (n <= 0)
			return n ? n : -ECONNRESET;
		a->len += n;
		if (a->fd < 0)
			a->fd = fd;
		else
			close_p(&fd);
	}
	return 0;
}

static int error_kind(const char *name)
{
	static const struct {
		const char *name;
		int kind;
	} kinds[] = {
		{"io.polytropon.NoPool", CALL_NO_POOL},
		{"io.polytropon.Refused", CALL_REFUSED},
		{"io.polytropon.Ending", CALL_ENDING},
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return kinds[i].kind;
	return CALL_FAILED;
}

static int understand(const char *text, struct json_object **ret, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *json = json_tokener_parse(text);
	struct json_object *parameters = json_child(json, "parameters", json_type_object);
	const char *name = json_string(json, "error"), *message = json_string(parameters, "message");

	if (!json)
		return error_set(error, CALL_FAILED, "the engine's answer is not JSON");
	if (name)
		return error_set(error, error_kind(name), "%s", message ? message : name);
	if (ret)
		*ret = json_object_get(parameters);
	return CALL_OK;
}

int engine_call(int connection, const char *method, struct json_object *parameters,
		struct json_object **ret, int *ret_fd, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *message = json_object_new_object();
	struct answer answer = {.fd = -1};
	const char *text;
	int r;

	json_set(message, "method", "io.polytropon.%s", method);
	json_object_object_add(message, "parameters", parameters ? parameters : json_object_new_object());
	text = json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN);
	r = send_all(connection, text, strlen(text) + 1);
	if (r == 0)
		r = receive(connection, &answer);
	if (r == 0)
		r = understand(answer.text, ret, error);
	else if (r == -ECONNRESET || r == -EPIPE)
		r = error_set(error, CALL_ENDING, "the engine ended before it answered");
	else
		r = error_errno(error, r, "ask the engine") ? CALL_FAILED : CALL_FAILED;
	if (r == CALL_OK && ret_fd)
		*ret_fd = take_fd(&answer.fd);
	close_p(&answer.fd);
	free(answer.text);
	return r;
}
