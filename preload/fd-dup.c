/* SPDX-License-Identifier: Apache-2.0 */
/* What changes which number means which open file: close and the dup family. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/fd.h"

int64_t fd_close(uint32_t fd)
{
	uint32_t entry = fd_take(fd);
	int64_t r = 0, ended;

	if (!fd_entry_plain(entry) || process_limited(NO_PLACEHOLDERS) || !fd_vacant_keep(fd)) {
		r = sys_close((int)fd);
		fd_used_closed(fd);
	}
	ended = fd_ended(entry);
	return r < 0 ? r : ended;
}

/* Enters a duplicate that the kernel made of a descriptor in `state`. Takes over the reference. */
static void dup_enter(uint32_t fd, enum fd_state state, struct fs_file *f)
{
	uint64_t offset;

	fd_enter(fd, state, f);
	offset = __atomic_load_n(&f->offset, __ATOMIC_ACQUIRE);
	if (state == FD_PLACEHOLDER && offset == FS_MOVED)
		fd_settle(fd, f);
	else if (state == FD_PLACEHOLDER && offset >= FS_HANDED)
		fd_token_settle(fd, f);
}

static struct fs_file *dup_source(uint32_t fd, enum fd_state *ret_state)
{
	struct fs_file *f = fd_file(fd);

	*ret_state = FD_STATE(fd_entry(fd)) == FD_REAL ? FD_REAL : FD_PLACEHOLDER;
	return f;
}

int64_t fd_dup(uint32_t fd, int command, uint64_t from)
{
	enum fd_state state;
	struct fs_file *f;
	int64_t r;

	/* A number beyond the table cannot be a placeholder's. */
	if (from >= FD_MAX)
		fd_materialise(fd, WHY_NUMBER);
	f = dup_source(fd, &state);
	fd_vacate();
	r = sys3(__NR_fcntl, fd, command, (long)from);
	if (r < 0 || r >= FD_MAX) {
		if (f)
			fs_file_put(f);
	} else if (f) {
		dup_enter((uint32_t)r, state, f);
	}
	return r;
}

int64_t fd_dup_onto(uint32_t fd, uint32_t onto, int cloexec)
{
	enum fd_state state;
	struct fs_file *f;
	uint32_t entry;
	int64_t r;

	/* Sanitizers and crash handlers write to standard error in ways that we do not see. Without FUSE they have to cope. */
	if (onto == STDERR_FILENO || onto >= FD_MAX)
		fd_materialise(fd, onto == STDERR_FILENO ? WHY_STANDARD : WHY_NUMBER);
	fd_adopt_locked(onto);
	f = dup_source(fd, &state);
	entry = onto < FD_MAX ? fd_take(onto) : FD_UNKNOWN;
	r = sys3(__NR_dup3, fd, onto, cloexec ? O_CLOEXEC : 0);
	if (r < 0) {
		fd_restore(onto, entry);
		entry = FD_UNKNOWN;
	}
	if (f) {
		if (r < 0 || onto >= FD_MAX)
			fs_file_put(f);
		else
			dup_enter(onto, state, f);
	}
	fd_ended(entry);
	return r;
}
