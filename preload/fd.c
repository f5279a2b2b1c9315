/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor table's words: fd.h has the idea. */
#include <errno.h>
#include "ipc/front-count.h"
#include "ipc/sys.h"
#include "preload/fd.h"

static int word_change(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

struct fs_file *fd_word_get(uint32_t *word, uint32_t states)
{
	for (;;) {
		uint32_t entry = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		struct fs_file *f;

		if (FD_STATE(entry) == FD_MOVING) {
			fd_wait();
			continue;
		}
		if (!(states & FD_IN(FD_STATE(entry))))
			return NULL;
		f = fs_file_at(FD_INDEX(entry));
		if (!fs_file_get(f))
			continue;
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == entry)
			return f;
		fs_file_put(f);
	}
}

struct fs_file *fd_placeholder(uint64_t fd)
{
	uint32_t state = FD_STATE(fd_entry(fd));

	if (state != FD_PLACEHOLDER && state != FD_MOVING)
		return NULL;
	return fd_word_get(&process.fd[(uint32_t)fd], FD_IN(FD_PLACEHOLDER));
}

struct fs_file *fd_file(uint64_t fd)
{
	struct fs_file *f;
	uint32_t entry = fd_entry(fd), real;

	if (FD_STATE(entry) < FD_PLACEHOLDER)
		return NULL;
	f = fd_word_get(&process.fd[(uint32_t)fd], FD_IN(FD_PLACEHOLDER) | FD_IN(FD_REAL));
	if (!f || !fs_file_stale(f))
		return f;
	/* The service that knew the handle is gone. A real descriptor goes on without; a placeholder fails. */
	real = FD_ENTRY(FD_REAL, fs_file_index(f));
	if (fd_entry(fd) != real)
		return f;
	if (word_change(&process.fd[(uint32_t)fd], real, FD_ENTRY(FD_PASS, f->mount)))
		fs_file_drop(f);
	fs_file_put(f);
	return NULL;
}

static void fd_top(uint32_t fd)
{
	uint32_t top = __atomic_load_n(&process.fd_top, __ATOMIC_RELAXED);

	while (fd >= top &&
	       !__atomic_compare_exchange_n(&process.fd_top, &top, fd + 1, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
}

static void fd_count(uint32_t entry, uint32_t by)
{
	if (FD_STATE(entry) == FD_PLACEHOLDER || FD_STATE(entry) == FD_OPENING)
		__atomic_add_fetch(&process.placeholders, by, __ATOMIC_RELAXED);
}

static void fd_put(uint32_t fd, uint32_t entry)
{
	uint32_t old;

	fd_top(fd);
	fd_count(entry, 1);
	old = __atomic_exchange_n(&process.fd[fd], entry, __ATOMIC_ACQ_REL);
	if (FD_STATE(old) < FD_PLACEHOLDER)
		return;
	/* The kernel gave the number away, so it was closed where we did not see it. */
	front_count(WIRE_COUNT_STALE, 1);
	fd_count(old, -1u);
	fd_ended(old);
}

void fd_enter(uint32_t fd, enum fd_state state, struct fs_file *f)
{
	fd_put(fd, FD_ENTRY(state, fs_file_index(f)));
	if (state == FD_PLACEHOLDER)
		__atomic_store_n(&process.source, fd + 1, __ATOMIC_RELAXED);
}

void fd_enter_opening(uint32_t fd)
{
	fd_put(fd, FD_OPENING);
}

int fd_enter_opened(uint32_t fd, struct fs_file *f)
{
	if (!word_change(&process.fd[fd], FD_OPENING, FD_ENTRY(FD_PLACEHOLDER, fs_file_index(f))))
		return 0;
	__atomic_store_n(&process.source, fd + 1, __ATOMIC_RELAXED);
	return 1;
}

void fd_leave_opening(uint32_t fd)
{
	if (!fd_is(fd, FD_OPENING) || !word_change(&process.fd[fd], FD_OPENING, FD_UNKNOWN))
		return;
	fd_count(FD_OPENING, -1u);
	sys_close((int)fd);
	fd_used_closed(fd);
}

uint32_t fd_take(uint32_t fd)
{
	uint32_t entry;

	for (;;) {
		entry = fd_entry(fd);
		if (FD_STATE(entry) == FD_UNKNOWN)
			return entry;
		if (FD_STATE(entry) == FD_MOVING) {
			fd_wait();
			continue;
		}
		if (FD_STATE(entry) == FD_PLACEHOLDER)
			__atomic_add_fetch(&process.fd_changes, 1, __ATOMIC_SEQ_CST);
		if (word_change(&process.fd[fd], entry, FD_UNKNOWN))
			break;
	}
	fd_count(entry, -1u);
	return entry;
}

void fd_restore(uint32_t fd, uint32_t entry)
{
	if (FD_STATE(entry) < FD_PLACEHOLDER)
		return;
	fd_count(entry, 1);
	__atomic_store_n(&process.fd[fd], entry, __ATOMIC_RELEASE);
}

int64_t fd_ended(uint32_t entry)
{
	struct fs_file *f = fs_file_at(FD_INDEX(entry));

	if (FD_STATE(entry) < FD_PLACEHOLDER)
		return 0;
	/* close(2) of any descriptor drops the process's POSIX locks on the inode, also when others remain. */
	if (process.posix_locked && __atomic_load_n(&f->refs, __ATOMIC_RELAXED) > 1)
		fs_flush(f);
	return fs_file_put(f);
}
