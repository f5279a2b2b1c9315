/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that wait for a limit (service/limit.h): a copy, as it came from the kernel, and no thread. When its turn has
 * come it is answered like one that has just been read.
 *
 * The kernel tells of each signal once, and a thread that is killed dies only when its message has been answered. So an
 * interrupted message is watched: as soon as its thread is about to die it ends with EINTR. A handler that only wants to
 * run waits, as for a disk.
 *
 * What the kernel writes back by itself is not held, for others may have to wait for these pages; it is charged alone.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuse/door-internal.h"
#include "fuse/ops.h"
#include "service/container.h"
#include "service/limit.h"

enum { HELD_BYTES_MAX = 64 << 20, OPCODE_TMPFILE = 51 };

struct held {
	struct limit_wait wait;
	struct fuse_door *door;
	struct fuse_buf buf;
	char message[] __attribute__((aligned(8)));
};

static _Thread_local unsigned payer; /* of the message that this thread answers */

unsigned door_payer(void)
{
	return payer;
}

static enum limit_flow flow_of(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
		return LIMIT_READS;
	case FUSE_WRITE:
	case FUSE_COPY_FILE_RANGE:
	case FUSE_FALLOCATE:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return LIMIT_WRITES;
	case FUSE_LOOKUP:
	case FUSE_GETATTR:
	case FUSE_SETATTR:
	case FUSE_READLINK:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
	case FUSE_OPEN:
	case FUSE_OPENDIR:
	case FUSE_CREATE:
	case OPCODE_TMPFILE:
	case FUSE_STATFS:
	case FUSE_SETXATTR:
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_ACCESS:
		return LIMIT_NAMES;
	}
	return LIMIT_FREE;
}

static void message_answer(struct fuse_door *door, const struct fuse_buf *buf, unsigned of)
{
	payer = of;
	about_message(buf);
	fuse_session_process_buf(door->session, buf);
	about_message(NULL);
	payer = 0;
}

/* ---- held ---------------------------------------------------------------------------------------- */

static void held_free(struct held *held)
{
	struct fuse_door *door = held->door;

	pthread_mutex_lock(&door->turn_lock);
	door->held--;
	door->held_bytes -= held->buf.size;
	pthread_cond_broadcast(&door->held_less);
	pthread_mutex_unlock(&door->turn_lock);
	free(held);
}

static void held_serve(struct limit_wait *wait)
{
	struct held *held = (struct held *)wait;

	message_answer(held->door, &held->buf, wait->payer);
	held_free(held);
}

/* Answered by hand: the library has not seen it. Without an error: the next service is sent it again. */
static void held_drop(struct limit_wait *wait, int error)
{
	struct held *held = (struct held *)wait;
	const struct fuse_in_header *in = (const struct fuse_in_header *)held->message;
	struct fuse_out_header out = {.len = sizeof(out), .error = error, .unique = in->unique};

	if (error && write(held->door->fd, &out, sizeof(out)) < 0)
		error = 0; /* the kernel has given it up by itself */
	held_free(held);
}

/* Room for what is held. False: the door is closing. */
static bool room_take(struct fuse_door *door, size_t size)
{
	bool stops;

	pthread_mutex_lock(&door->turn_lock);
	while (door->held && door->held_bytes + size > HELD_BYTES_MAX && !door->stopping)
		pthread_cond_wait(&door->held_less, &door->turn_lock);
	stops = door->stopping;
	if (!stops) {
		door->held++;
		door->held_bytes += size;
	}
	pthread_mutex_unlock(&door->turn_lock);
	return !stops;
}

static bool hold(struct fuse_door *door, const struct fuse_buf *buf, unsigned of, enum limit_flow flow, uint64_t bytes)
{
	const struct fuse_in_header *in = buf->mem;
	struct held *held = malloc(sizeof(*held) + buf->size);

	if (!held)
		return false;
	if (!room_take(door, buf->size)) { /* kept for whoever opens the door again */
		free(held);
		return true;
	}
	*held = (struct held){.wait = {.owner = door, .id = in->unique, .tid = in->pid, .payer = of, .front = DOOR_FUSE,
				       .flow = flow, .bytes = bytes, .serve = held_serve, .drop = held_drop},
			      .door = door, .buf = {.size = buf->size, .mem = held->message, .fd = -1}};
	memcpy(held->message, buf->mem, buf->size);
	if (limit_hold(&held->wait))
		return true;
	held_free(held);
	return false;
}

/* ---- messages ------------------------------------------------------------------------------------ */

/* A message to write: how many bytes. *ret_back: the kernel's own write-back. */
static uint64_t write_bytes(const struct fuse_buf *buf, bool *ret_back)
{
	const struct fuse_in_header *in = buf->mem;
	const struct fuse_write_in *arg = (const struct fuse_write_in *)(in + 1);

	if (in->opcode != FUSE_WRITE || buf->size < sizeof(*in) + sizeof(*arg))
		return 0;
	*ret_back = arg->write_flags & FUSE_WRITE_CACHE;
	return arg->size < DOOR_MAX_IO ? arg->size : DOOR_MAX_IO;
}

/* True: it has been seen to. */
static bool message_limited(struct fuse_door *door, const struct fuse_buf *buf, unsigned *ret_payer)
{
	const struct fuse_in_header *in = buf->mem;
	enum limit_flow flow = flow_of(in->opcode);
	bool back = false;
	uint64_t bytes = write_bytes(buf, &back);
	unsigned of;

	if (flow == LIMIT_FREE)
		return false;
	of = back ? 0 : container_of_thread(door->service, in->pid);
	*ret_payer = of == CONTAINER_NONE ? 0 : of;
	if (back)
		limit_moved(0, LIMIT_WRITE_BPS, bytes);
	if (back || of == CONTAINER_NONE || limit_pass(of, flow, bytes))
		return false;
	return hold(door, buf, of, flow, bytes);
}

static bool message_interrupts(struct fuse_door *door, const struct fuse_buf *buf)
{
	const struct fuse_in_header *in = buf->mem;
	const struct fuse_interrupt_in *arg = (const struct fuse_interrupt_in *)(in + 1);

	return in->opcode == FUSE_INTERRUPT && buf->size >= sizeof(*in) + sizeof(*arg) && limit_interrupt(door, arg->unique);
}

void door_message(struct fuse_door *door, const struct fuse_buf *buf)
{
	unsigned of = 0;

	if (limit_is_on() && buf->size >= sizeof(struct fuse_in_header) &&
	    (message_interrupts(door, buf) || message_limited(door, buf, &of)))
		return;
	message_answer(door, buf, of);
}

void door_held_end(struct fuse_door *door)
{
	limit_drop(door, 0, 0);
	pthread_mutex_lock(&door->turn_lock);
	while (door->held)
		pthread_cond_wait(&door->held_less, &door->turn_lock);
	pthread_mutex_unlock(&door->turn_lock);
}
