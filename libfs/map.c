/* SPDX-License-Identifier: Apache-2.0 */
/* Shares for a program's own mappings of files. They outlive the handle by which they were asked for. */
#include <errno.h>
#include "ipc/sys.h"
#include "libfs/internal.h"

/* Asks, and keeps of the answer the data's descriptor alone. */
static int64_t map_ask(struct front_share *ask, uint32_t *ret_number)
{
	int r = fs_ready();

	if (r == 0)
		r = front_share(fs_front(), ask);
	if (r < 0)
		return r;
	*ret_number = ask->number;
	if (ask->state >= 0)
		sys_close(ask->state);
	if (ask->marks >= 0)
		sys_close(ask->marks);
	return ask->data;
}

int64_t fs_map(struct fs_file *f, int writable, uint64_t offset, uint64_t length, uint32_t *ret_number)
{
	struct front_share ask = {.handle = f->handle, .how = writable ? WIRE_SHARE_MAP_WRITE : WIRE_SHARE_MAP,
				  .offset = offset, .length = length};
	int64_t fd;

	if (f->session != fs_session())
		return -EIO;
	fd = map_ask(&ask, ret_number);
	return fd == -1 ? -EIO : fd;
}

int64_t fs_map_again(uint32_t number, int writable, uint64_t offset, uint64_t length, uint32_t *ret_number)
{
	struct front_share ask = {.how = writable ? WIRE_SHARE_MAP_WRITE : WIRE_SHARE_MAP, .offset = offset,
				  .length = length, .parent = (uint32_t)fs_session(), .parent_share = number};
	int64_t fd = map_ask(&ask, ret_number);

	return fd == -1 ? -EIO : fd;
}

int64_t fs_map_inherited(uint32_t parent, uint32_t number, uint32_t *ret_number)
{
	struct front_share ask = {.how = WIRE_SHARE_MAP, .parent = parent, .parent_share = number};
	int64_t fd = map_ask(&ask, ret_number);

	return fd < -1 ? fd : 0; /* there is none to come: the memory is there */
}

int64_t fs_unshare(uint32_t number)
{
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_UNSHARE, 0, 0);

	if (r < 0)
		return r;
	op.q->arg = number;
	return fs_op_finish(&op);
}

int64_t fs_map_sync(uint32_t number)
{
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_FSYNC, 0, 0);

	if (r < 0)
		return r;
	op.q->flags = WIRE_DATASYNC;
	op.q->arg = number;
	return fs_op_finish(&op);
}

void fs_forking(void)
{
	front_forking(fs_front());
}
