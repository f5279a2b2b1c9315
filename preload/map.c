/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapping of a file of ours is a mapping of its cached data, which the service keeps in memory for as long as it
 * knows of the mapping (a share to map, ipc/wire.h). So we follow what becomes of it: each entry here is a range of
 * addresses and the number of its share, which ends with the last range that has it.
 *
 * What changes mappings of ours is done here, under a lock, so that entries and mappings agree: a range that one thread
 * unmaps may be another's new mapping a moment later. The lock is held over system calls that do not wait, with signals
 * blocked; whoever needs the service asks before, or afterwards.
 *
 * The child of a fork has its parent's mappings and entries, and asks for shares of its own. Until then the service
 * keeps those of its parent, even if that ends.
 *
 * Mappings that ld.so makes of objects are the kernel's: one FUSE descriptor serves all parts of an object, and pages
 * that are never written are as good there.
 */
#include "preload/map.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "libfs/memory.h"
#include "preload/process.h"

enum {
	PAGE = 4096,
	GONE_MAX = 16, /* shares that end in one go; of more the rest stays until the process ends */
	KNOWN_FLAGS = MAP_TYPE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE | MAP_NONBLOCK | MAP_NORESERVE | MAP_LOCKED |
		      MAP_STACK | MAP_32BIT,
};

struct map {
	uint64_t start, end; /* 0: free */
	uint64_t offset;     /* in the file, of start */
	uint64_t session;    /* that the share is of: fs_session() */
	uint32_t share;
	uint16_t shared;   /* MAP_SHARED */
	uint16_t writable; /* and the share is to write */
};

uint32_t map_count;

/* The child of a fork finds this as it is. */
static struct {
	uint32_t lock;
	uint32_t refused; /* bits: mounts whose files cannot be mapped */
	struct map map[MAPS_MAX];
} maps;

/* Shares that nobody needs any more, to be told when the lock is released. */
struct gone {
	uint32_t count;
	uint32_t share[GONE_MAX];
};

/* ---- the lock --------------------------------------------------------------------------------- */

static uint64_t maps_lock(void)
{
	uint64_t all = ~0ull, mask = 0;

	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof(all));
	while (__atomic_exchange_n(&maps.lock, 1, __ATOMIC_ACQUIRE))
		sys_yield();
	return mask;
}

static void maps_unlock(uint64_t mask)
{
	__atomic_store_n(&maps.lock, 0, __ATOMIC_RELEASE);
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask));
}

static void gone_tell(const struct gone *gone)
{
	uint32_t i;

	for (i = 0; i < gone->count; i++)
		fs_unshare(gone->share[i]);
}

/* ---- entries, with the lock held --------------------------------------------------------------- */

static struct map *map_new(void)
{
	struct map *m;

	for (m = maps.map; m < maps.map + MAPS_MAX; m++)
		if (!m->end)
			return m;
	return NULL;
}

static int map_enter(const struct map *entry)
{
	struct map *m = map_new();

	if (!m)
		return -ENOMEM;
	*m = *entry;
	__atomic_add_fetch(&map_count, 1, __ATOMIC_RELEASE);
	return 0;
}

static void gone_add(struct gone *gone, const struct map *m)
{
	if (gone->count < GONE_MAX && m->session == fs_session())
		gone->share[gone->count++] = m->share;
}

static int share_is_used(uint32_t share)
{
	const struct map *m;

	for (m = maps.map; m < maps.map + MAPS_MAX; m++)
		if (m->end && m->share == share)
			return 1;
	return 0;
}

/* Those that are not: one of each. */
static void gone_sift(struct gone *gone)
{
	uint32_t i, k, n = 0;

	for (i = 0; i < gone->count; i++) {
		for (k = 0; k < n && gone->share[k] != gone->share[i]; k++)
			;
		if (k == n && !share_is_used(gone->share[i]))
			gone->share[n++] = gone->share[i];
	}
	gone->count = n;
}

static void map_end(struct map *m, struct gone *gone)
{
	m->end = 0;
	__atomic_sub_fetch(&map_count, 1, __ATOMIC_RELEASE);
	gone_add(gone, m);
}

/* A range loses what lies from start to end. Without an entry for the second half, the share stays for both. */
static void map_cut(struct map *m, uint64_t start, uint64_t end, struct gone *gone)
{
	struct map tail = *m;

	tail.start = end;
	tail.offset += end - m->start;
	if (m->start < start && end < m->end) {
		if (map_enter(&tail) == 0)
			m->end = start;
	} else if (m->start < start) {
		m->end = start;
	} else if (end < m->end) {
		*m = tail;
	} else {
		map_end(m, gone);
	}
}

/* The first range that has something between the two. */
static struct map *map_at(uint64_t start, uint64_t end)
{
	struct map *m;

	for (m = maps.map; m < maps.map + MAPS_MAX; m++)
		if (m->end && m->start < end && start < m->end)
			return m;
	return NULL;
}

static void maps_cut(uint64_t start, uint64_t end, struct gone *gone)
{
	struct map *m;

	for (m = maps.map; m < maps.map + MAPS_MAX; m++)
		if (m->end && m->start < end && start < m->end)
			map_cut(m, start, end, gone);
}

static uint64_t page_up(uint64_t at)
{
	return (at + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* ---- mmap ------------------------------------------------------------------------------------- */

static int map_is_ours(const struct preload_regs *r, const struct fs_file *f)
{
	uint64_t type = r->a[3] & MAP_TYPE;

	return f->type == S_IFREG && (type == MAP_SHARED || type == MAP_PRIVATE || type == MAP_SHARED_VALIDATE) &&
	       !(r->a[3] & ~(uint64_t)KNOWN_FLAGS) && r->a[1] && r->a[1] < 1ull << 46 && r->a[5] % PAGE == 0 &&
	       r->a[5] < 1ull << 46 && !(maps.refused & 1u << f->mount) &&
	       preload_status.coverage == PRELOAD_FULL && !process_limited(NO_PLACEHOLDERS | NO_SERVICE);
}

/* What the kernel says of the descriptor's access mode. */
static int64_t map_access(const struct preload_regs *r, const struct fs_file *f)
{
	uint32_t access = f->flags & O_ACCMODE;
	int shared = (r->a[3] & MAP_TYPE) != MAP_PRIVATE;

	if (access == O_WRONLY || (shared && (r->a[2] & PROT_WRITE) && access != O_RDWR))
		return -EACCES;
	return 0;
}

/* Maps the descriptor and enters it. The lock is held. */
static int64_t map_make(const struct preload_regs *r, struct map *entry, int64_t fd, struct gone *gone)
{
	int64_t at;

	if (!map_new())
		return -ENOMEM;
	at = sys6(__NR_mmap, (long)r->a[0], (long)r->a[1], (long)r->a[2], (long)r->a[3], fd, (long)r->a[5]);
	if (sys_failed(at))
		return at;
	sys_madvise((void *)at, r->a[1], MADV_NOHUGEPAGE); /* as direct_map does */
	maps_cut((uint64_t)at, page_up((uint64_t)at + r->a[1]), gone);
	entry->start = (uint64_t)at;
	entry->end = page_up((uint64_t)at + r->a[1]);
	entry->session = fs_session();
	map_enter(entry);
	return at;
}

int64_t map_file(struct preload_regs *r, struct fs_file *f)
{
	int shared = (r->a[3] & MAP_TYPE) != MAP_PRIVATE, writable = shared && (r->a[2] & PROT_WRITE);
	struct map entry = {.offset = r->a[5], .shared = (uint16_t)shared, .writable = (uint16_t)(writable != 0)};
	struct gone gone = {0};
	uint64_t mask;
	int64_t fd, at;

	if (!map_is_ours(r, f))
		return FS_KERNEL;
	at = map_access(r, f);
	if (at < 0)
		return at;
	fd = fs_map(f, writable, r->a[5], r->a[1], &entry.share);
	if (fd == -EOPNOTSUPP)
		__atomic_or_fetch(&maps.refused, 1u << f->mount, __ATOMIC_RELAXED);
	if (fd < 0)
		return FS_KERNEL;
	mask = maps_lock();
	at = map_make(r, &entry, fd, &gone);
	gone_sift(&gone);
	maps_unlock(mask);
	sys_close((int)fd);
	if (sys_failed(at))
		fs_unshare(entry.share);
	gone_tell(&gone);
	fs_memory_changed((uint64_t)at, r->a[1]);
	/* Where the memory's own file system forbids what files of ours allow. */
	return at == -EPERM || at == -EACCES ? FS_KERNEL : at;
}

/* ---- munmap, and mmap of something else over it ------------------------------------------------- */

static int64_t map_call(struct preload_regs *r)
{
	r->ret = sys6(r->nr, (long)r->a[0], (long)r->a[1], (long)r->a[2], (long)r->a[3], (long)r->a[4], (long)r->a[5]);
	return r->ret;
}

int64_t map_over(struct preload_regs *r)
{
	struct gone gone = {0};
	uint64_t mask = maps_lock();

	if (!sys_failed(map_call(r)))
		maps_cut(r->a[0], page_up(r->a[0] + r->a[1]), &gone);
	gone_sift(&gone);
	maps_unlock(mask);
	gone_tell(&gone);
	return r->ret;
}

/* ---- mremap ----------------------------------------------------------------------------------- */

/* The whole of the old range is one of ours. */
static struct map *map_covering(uint64_t start, uint64_t length)
{
	struct map *m = map_at(start, start + (length ? length : 1));

	return m && m->start <= start && page_up(start + length) <= m->end ? m : NULL;
}

/* The lock is held; `grown`: a share for all of the new range, or 0. */
static int64_t map_moved(struct preload_regs *r, uint32_t grown, struct gone *gone)
{
	struct map *old = map_covering(r->a[0], r->a[1]), entry = {0};
	int64_t at = map_call(r);

	if (sys_failed(at))
		return at;
	if (old) {
		entry = *old;
		gone_add(gone, old); /* unless it is used still, by then */
		entry.offset += r->a[0] - old->start;
		entry.start = (uint64_t)at;
		entry.end = page_up((uint64_t)at + r->a[2]);
		if (grown)
			entry.share = grown;
	}
	/* MREMAP_DONTUNMAP leaves it there, empty; and a length of 0 makes a second one. */
	if (r->a[1])
		maps_cut(r->a[0], page_up(r->a[0] + r->a[1]), gone);
	maps_cut((uint64_t)at, page_up((uint64_t)at + r->a[2]), gone);
	if (old)
		map_enter(&entry);
	return at;
}

/* A share for a range that becomes longer. 0: none is needed, or there is none to be had. */
static int64_t map_grown(const struct preload_regs *r, uint32_t *ret_share)
{
	uint64_t mask = maps_lock();
	struct map *m = map_covering(r->a[0], r->a[1]), was;
	int64_t fd;

	*ret_share = 0;
	if (m)
		was = *m;
	maps_unlock(mask);
	if (!m || r->a[2] <= r->a[1])
		return 0;
	fd = fs_map_again(was.share, was.writable, was.offset + (r->a[0] - was.start), r->a[2], ret_share);
	if (fd >= 0)
		sys_close((int)fd);
	return fd < 0 ? -ENOMEM : 0;
}

int64_t map_move(struct preload_regs *r)
{
	struct gone gone = {0};
	uint32_t share;
	int64_t at = map_grown(r, &share);
	uint64_t mask;

	if (at < 0) {
		r->ret = at;
		return at;
	}
	mask = maps_lock();
	at = map_moved(r, share, &gone);
	gone_sift(&gone);
	maps_unlock(mask);
	if (sys_failed(at) && share)
		fs_unshare(share);
	gone_tell(&gone);
	return at;
}

/* ---- mprotect --------------------------------------------------------------------------------- */

/* Part of a range is to be written: maps it anew, of a descriptor that allows that. */
static void map_allow(struct map *m, uint64_t start, uint64_t end, uint64_t prot, struct gone *gone)
{
	struct map entry = *m, whole = *m;
	int64_t fd, at = -EAGAIN;
	uint64_t mask;

	entry.start = start > m->start ? start : m->start;
	entry.end = end < m->end ? end : m->end;
	entry.offset += entry.start - m->start;
	entry.writable = 1;
	fd = fs_map_again(m->share, 1, entry.offset, entry.end - entry.start, &entry.share);
	if (fd < 0)
		return; /* and the kernel says no */
	mask = maps_lock();
	m = map_at(entry.start, entry.end);
	if (m && m->share == whole.share && m->start == whole.start && m->end == whole.end && map_new()) {
		at = sys6(__NR_mmap, (long)entry.start, (long)(entry.end - entry.start), (long)prot, MAP_SHARED | MAP_FIXED,
			  fd, (long)entry.offset);
		if (!sys_failed(at)) {
			sys_madvise((void *)at, entry.end - entry.start, MADV_NOHUGEPAGE);
			maps_cut(entry.start, entry.end, gone);
			map_enter(&entry);
		}
	}
	gone_sift(gone);
	maps_unlock(mask);
	sys_close((int)fd);
	if (sys_failed(at))
		fs_unshare(entry.share);
}

int64_t map_protect(struct preload_regs *r)
{
	uint64_t start = r->a[0], end = page_up(r->a[0] + r->a[1]), mask;
	struct gone gone = {0};
	struct map *m, found;

	for (m = maps.map; (r->a[2] & PROT_WRITE) && m < maps.map + MAPS_MAX; m++) {
		mask = maps_lock();
		found = *m;
		maps_unlock(mask);
		if (found.end && found.shared && !found.writable && found.start < end && start < found.end)
			map_allow(&found, start, end, r->a[2], &gone);
	}
	gone_tell(&gone);
	return map_call(r);
}

/* ---- msync ------------------------------------------------------------------------------------ */

int64_t map_sync(uint64_t at, uint64_t length)
{
	uint64_t mask;
	struct map *m, found;
	int64_t r = 0;

	for (m = maps.map; r >= 0 && m < maps.map + MAPS_MAX; m++) {
		mask = maps_lock();
		found = *m;
		maps_unlock(mask);
		if (found.end && found.shared && found.start < at + length && at < found.end)
			r = fs_map_sync(found.share);
	}
	return r < 0 && r != FS_KERNEL ? r : 0;
}

/* ---- fork ------------------------------------------------------------------------------------- */

static void share_rename(const struct map *of, uint32_t share)
{
	struct map *m, was = *of;

	for (m = maps.map; m < maps.map + MAPS_MAX; m++)
		if (m->end && m->share == was.share && m->session == was.session) {
			m->share = share;
			m->session = fs_session();
		}
}

void map_inherited(void)
{
	struct map *m;
	uint32_t share;

	maps.lock = 0;
	if (fs_ready() < 0)
		return;
	for (m = maps.map; m < maps.map + MAPS_MAX; m++)
		if (m->end && m->session != fs_session() &&
		    fs_map_inherited((uint32_t)m->session, m->share, &share) == 0)
			share_rename(m, share);
}

int64_t map_fork(struct preload_regs *r)
{
	uint64_t mask;

	fs_forking();
	/* Held by whoever forks, so that the child's entries are whole. */
	mask = maps_lock();
	map_call(r);
	if (r->ret != 0) {
		maps_unlock(mask);
		return r->ret;
	}
	maps_unlock(mask);
	process_enter();
	return 0;
}
