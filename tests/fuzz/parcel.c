/* SPDX-License-Identifier: Apache-2.0 */
/* What a service, or whoever has taken it over, sends to its engine: lines of the input, a message each. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include "engine/parcel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_lines(int socket, const uint8_t *data, size_t size)
{
	while (size) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;

		if (send(socket, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parcel parcel = {};
	int pair[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	send_lines(pair[0], data, size);
	close(pair[0]);
	while (r == 0 || r == 1) {
		r = parcel_recv(pair[1], &parcel);
		if (r == 1) {
			if (!json_object_is_type(parcel.json, json_type_object))
				abort();
			json_true(parcel.json, "ok");
			json_string(parcel.json, "error");
			parcel_fini(&parcel);
		}
	}
	parcel_fini(&parcel);
	close(pair[1]);
	return 0;
}
