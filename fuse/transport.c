/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the library and /dev/fuse. Four things that the library does not know are done here, on the bytes:
 *
 *  - INIT's answer asks for more: shared mappings of files opened for direct I/O (FUSE 7.39), passthrough (7.40), and
 *    that the kernel remembers that a file has no set-id bits and capabilities for a write to take away (7.33).
 *  - OPEN's and CREATE's answers, which end alike, say which file they pass through to.
 *  - TMPFILE (7.37) is CREATE with the name "/", in question and answer; it is handed on as that.
 *  - A service that takes over a connection from a dead one gets no INIT. It is made up from what the first
 *    one was, so that the library negotiates the same, and its answer is kept from the kernel.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse/door-internal.h"

/* From the protocol (linux/fuse.h, 7.45), where Debian 12's header is older. */
enum { OPCODE_INIT = 26, OPCODE_CREATE = 35, OPCODE_TMPFILE = 51 };
enum { FLAG_HANDLE_KILLPRIV_V2 = 1 << 28, FLAG_INIT_EXT = 1 << 30 };
enum { FLAG2_DIRECT_IO_ALLOW_MMAP = 1 << 4, FLAG2_PASSTHROUGH = 1 << 5 };
enum { OPEN_PASSTHROUGH = 1 << 7 };

struct in_header {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid;
	uint16_t extlen, padding;
};

struct init_in {
	uint32_t major, minor, max_readahead, flags, flags2, unused[11];
};

struct out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

struct init_out {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth;
	uint16_t request_timeout, unused[11];
};

struct open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

static _Thread_local int passes_to; /* 0: nowhere */

#define INIT_UNIQUE 0x504f4c59u /* of a made-up INIT; the kernel's numbers are even and start at 2 */

static ssize_t init_replay(struct fuse_door *door, void *buf, size_t size)
{
	struct {
		struct in_header header;
		struct init_in init;
	} message = {
		.header = {.len = sizeof(message), .opcode = OPCODE_INIT, .unique = INIT_UNIQUE | 1},
		.init = {door->init[0], door->init[1], door->init[2], door->init[3], door->init[4]},
	};

	if (size < sizeof(message))
		return -1;
	memcpy(buf, &message, sizeof(message));
	return sizeof(message);
}

static ssize_t transport_read(int fd, void *buf, size_t size, void *userdata)
{
	struct fuse_door *door = userdata;
	struct in_header *header = buf;
	ssize_t n;

	if (door->replay && !door->init_seen) {
		door->init_seen = true;
		return init_replay(door, buf, size);
	}
	n = read(fd, buf, size);
	if (n >= (ssize_t)sizeof(*header) && header->opcode == OPCODE_TMPFILE)
		header->opcode = OPCODE_CREATE;
	if (n >= (ssize_t)(sizeof(*header) + offsetof(struct init_in, unused)) && header->opcode == OPCODE_INIT)
		memcpy(door->init, header + 1, 5 * sizeof(uint32_t));
	return n;
}

static void init_extend(struct fuse_door *door, struct init_out *out)
{
	uint32_t offered = door->init[3] & FLAG_INIT_EXT ? door->init[4] : 0;

	out->flags |= door->init[3] & FLAG_HANDLE_KILLPRIV_V2;
	if (!(offered & FLAG2_DIRECT_IO_ALLOW_MMAP))
		return;
	out->flags |= FLAG_INIT_EXT;
	out->flags2 |= FLAG2_DIRECT_IO_ALLOW_MMAP;
	out->minor = 40;
	if (!(offered & FLAG2_PASSTHROUGH) || (door->fs->shared && !door->fs->delegates))
		return;
	out->flags2 |= FLAG2_PASSTHROUGH;
	out->max_stack_depth = 1;
}

void transport_open_passes(int id)
{
	passes_to = id;
}

void transport_open_end(void)
{
	passes_to = 0;
}

static void open_pass(struct iovec *last)
{
	struct open_out *out = (struct open_out *)((char *)last->iov_base + last->iov_len) - 1;

	out->open_flags |= OPEN_PASSTHROUGH;
	out->backing_id = passes_to;
}

static ssize_t transport_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_door *door = userdata;
	const struct out_header *header = iov[0].iov_base;

	if (!door->init_answered && header->unique && count == 2 && iov[1].iov_len >= 24) {
		struct init_out out = {0};
		struct iovec both[2] = {iov[0], {&out, sizeof(out)}};
		struct out_header head = *header;

		door->init_answered = true;
		door->passes = true; /* until it turns out that the kernel will not */
		if (door->replay)
			return header->len;
		memcpy(&out, iov[1].iov_base, iov[1].iov_len < sizeof(out) ? iov[1].iov_len : sizeof(out));
		init_extend(door, &out);
		head.len = sizeof(head) + sizeof(out);
		both[0].iov_base = &head;
		return writev(fd, both, 2) < 0 ? -1 : (ssize_t)header->len;
	}
	if (passes_to && !header->error && count > 1)
		open_pass(&iov[count - 1]);
	return writev(fd, iov, count);
}

const struct fuse_custom_io fuse_door_io = {
	.read = transport_read,
	.writev = transport_writev,
};
