/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What figures and traces tell of an operation by way of the kernel, out of the kernel's own message: the library hands on
 * the parts that it thinks an operation needs. A name is one in the directory whose number is told.
 */
#include <linux/fuse.h>
#include <string.h>

#include "fuse/ops.h"
#include "service/container.h"

static _Thread_local const struct fuse_buf *message; /* that this thread answers; NULL: none is known */

void about_message(const struct fuse_buf *buf)
{
	message = buf;
}

/* Where the name begins, behind the header; 0: there is none, or none of a file. */
static size_t name_place(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_SYMLINK:
		return sizeof(struct fuse_in_header);
	case FUSE_MKNOD:
		return sizeof(struct fuse_in_header) + sizeof(struct fuse_mknod_in);
	case FUSE_MKDIR:
		return sizeof(struct fuse_in_header) + sizeof(struct fuse_mkdir_in);
	case FUSE_LINK:
		return sizeof(struct fuse_in_header) + sizeof(struct fuse_link_in);
	case FUSE_RENAME:
		return sizeof(struct fuse_in_header) + sizeof(struct fuse_rename_in);
	case FUSE_RENAME2:
		return sizeof(struct fuse_in_header) + sizeof(struct fuse_rename2_in);
	case FUSE_CREATE:
		return sizeof(struct fuse_in_header) + sizeof(struct fuse_create_in);
	}
	return 0;
}

static const char *name_of(const char *bytes, size_t size, uint32_t opcode)
{
	size_t at = name_place(opcode);

	return at && at < size && memchr(bytes + at, 0, size - at) ? bytes + at : NULL;
}

static void range_of(struct stat_about *about, const char *bytes, size_t size, uint32_t opcode)
{
	struct fuse_read_in in; /* of the same shape as that of a write */

	_Static_assert(offsetof(struct fuse_read_in, offset) == offsetof(struct fuse_write_in, offset) &&
			   offsetof(struct fuse_read_in, size) == offsetof(struct fuse_write_in, size), "as said");
	if ((opcode != FUSE_READ && opcode != FUSE_WRITE) || size < sizeof(struct fuse_in_header) + sizeof(in))
		return;
	memcpy(&in, bytes + sizeof(struct fuse_in_header), sizeof(in));
	about->offset = in.offset;
	about->length = in.size;
}

struct stat_about about_operation(struct service *s, const struct fuse_ctx *ctx)
{
	unsigned container = container_of_thread(s, ctx->pid);
	struct stat_about about = {.pid = ctx->pid, .container = container == CONTAINER_NONE ? 0 : container};
	const struct fuse_in_header *in = message ? message->mem : NULL;

	if (!in || message->flags & FUSE_BUF_IS_FD || message->size < sizeof(*in))
		return about;
	about.ino = in->nodeid;
	about.path = name_of(message->mem, message->size, in->opcode);
	range_of(&about, message->mem, message->size, in->opcode);
	return about;
}
