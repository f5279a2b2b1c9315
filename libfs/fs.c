/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's one connection to its pool.
 *
 * What concerns this process alone lies in memory that the child of a fork finds zeroed, so that the child
 * begins anew by itself: no session, no open files. What the child shares with its parent (the mapping of the
 * table) is remembered outside of it.
 */
#include <errno.h>
#include <sys/mman.h>
#include "ipc/sys.h"
#include "libfs/internal.h"
#include "libfs/keep.h"
#include "libfs/park.h"

/* How long a call waits for a service that is being restarted. */
#define FS_PATIENCE_NS (60LL * SYS_NS)

static struct {
	struct front front;
	uint32_t umask_known;
	uint32_t umask;
	uint32_t credentials_stale;
	struct { /* the working directory, adopted with the session; nobody has asked for it yet */
		uint64_t ino, session;
		uint32_t base;
		uint32_t handle; /* 0: none */
	} cwd;
} __attribute__((aligned(4096))) fs; /* whole pages, and nothing else in them */

static struct {
	const struct wire_table *table;
	uint32_t wiped; /* on fork, all that is this process's alone */
	struct front_lease lease;
} inherited;

struct front *fs_front(void)
{
	return &fs.front;
}

int fs_wipe_on_fork(void *memory, size_t size)
{
	return (int)sys_madvise(memory, size, MADV_WIPEONFORK);
}

int fs_init(void)
{
	int r;

	if (fs.front.table)
		return 0;
	fs.front.table = inherited.table;
	fs.front.lease = &inherited.lease;
	r = front_table(&fs.front);
	if (r < 0)
		return r;
	inherited.table = fs.front.table;
	fs_route_begin();
	return 0;
}

const struct wire_table *fs_table(void)
{
	return inherited.table;
}

/* Most programs of a pool never come here: until then there is nothing that the child of a fork must not find. */
static int fs_begin(void)
{
	int r = fs_init();

	if (r < 0 || inherited.wiped)
		return r;
	if ((r = fs_wipe_on_fork(&fs, sizeof(fs))) < 0 || (r = fs_files_wipe_on_fork()) < 0 ||
	    (r = park_wipe_on_fork()) < 0 || (r = keep_wipe_on_fork()) < 0)
		return r;
	inherited.wiped = 1;
	return 0;
}

static int (*cwd_identify)(uint32_t *ret_mount, uint64_t *ret_ino);

void fs_cwd_by(int (*identify)(uint32_t *ret_mount, uint64_t *ret_ino))
{
	cwd_identify = identify;
}

static int attach_first(void)
{
	struct front_adopt adopt = {0};
	int r = fs_begin();
	uint32_t mount;

	if (r < 0)
		return r;
	if (cwd_identify && cwd_identify(&mount, &adopt.ino) == 0)
		adopt.base = WIRE_MOUNT(mount);
	r = front_attach_in(&fs.front, FS_PATIENCE_NS, &adopt);
	if (r < 0 || !adopt.handle)
		return r;
	fs.cwd.base = adopt.base;
	fs.cwd.ino = adopt.ino;
	fs.cwd.session = fs_session();
	__atomic_store_n(&fs.cwd.handle, adopt.handle, __ATOMIC_RELEASE);
	return 0;
}

int fs_ready(void)
{
	int r = __builtin_expect(!__atomic_load_n(&fs.front.attached, __ATOMIC_RELAXED), 0) ?
			attach_first() :
			front_attach(&fs.front, FS_PATIENCE_NS);

	if (__builtin_expect(r < 0, 0))
		return r;
	if (__builtin_expect(__atomic_load_n(&fs.credentials_stale, __ATOMIC_RELAXED), 0)) {
		__atomic_store_n(&fs.credentials_stale, 0, __ATOMIC_SEQ_CST);
		r = front_credentials(&fs.front);
		if (r < 0) {
			__atomic_store_n(&fs.credentials_stale, 1, __ATOMIC_SEQ_CST);
			return r;
		}
	}
	return 0;
}

/* Whoever gets it has it. */
static uint32_t cwd_take(void)
{
	uint32_t handle = __atomic_exchange_n(&fs.cwd.handle, 0, __ATOMIC_ACQ_REL);

	return handle && fs.cwd.session == fs_session() ? handle : 0;
}

int64_t fs_adopt_cwd(uint32_t mount, uint64_t ino)
{
	struct wire_attr attr;
	uint32_t flags, handle;
	int r = fs_ready();

	if (r < 0)
		return r;
	handle = cwd_take();
	if (handle && fs.cwd.base == WIRE_MOUNT(mount) && fs.cwd.ino == ino)
		return handle;
	if (handle)
		fs_close(handle, fs_session());
	return fs_adopt(mount, ino, UINT64_MAX, &attr, &flags);
}

void fs_cwd_changed(void)
{
	uint32_t handle = fs.cwd.handle ? cwd_take() : 0;

	if (handle)
		fs_close(handle, fs_session());
}

int fs_attached(void)
{
	return fs.front.attached != 0;
}

uint64_t fs_session(void)
{
	return (uint64_t)fs.front.generation << 32 | fs.front.session;
}

const struct front_lease *fs_lease(void)
{
	return &inherited.lease;
}

void fs_credentials_changed(void)
{
	front_lease_drop(&inherited.lease);
	/* A session that is made later takes the credentials of then. */
	if (fs.front.attached)
		__atomic_store_n(&fs.credentials_stale, 1, __ATOMIC_SEQ_CST);
}

void fs_umask_set(uint32_t mask)
{
	fs.umask = mask & 0777;
	__atomic_store_n(&fs.umask_known, 1, __ATOMIC_RELEASE);
}

uint32_t fs_umask(void)
{
	const struct wire_session *head;
	uint32_t attached;

	if (!__atomic_load_n(&fs.umask_known, __ATOMIC_ACQUIRE) && fs_ready() == 0) {
		attached = __atomic_load_n(&fs.front.attached, __ATOMIC_ACQUIRE);
		head = (const struct wire_session *)fs.front.sessions[attached - 1].segment;
		fs_umask_set(head->umask);
	}
	return fs.umask;
}

uint32_t fs_mode(uint32_t mode)
{
	uint32_t mask = fs_umask();

	return WIRE_MADE_MODE(mode, mask);
}

void fs_mounts_changed(void)
{
	if (fs_attached()) /* else it has not looked at what it mounted on: nothing of ours, then */
		front_hello(&fs.front, WIRE_HELLO_MOUNTS);
}

int fs_hello_exec(void)
{
	return front_hello(&fs.front, WIRE_HELLO_EXEC);
}
