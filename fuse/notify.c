/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the kernel's caches right when something changes through another door. Runs in the threads of that
 * other door, never in ours: dropping pages may make the kernel send writes that our threads must answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fuse/door-internal.h"

/* FUSE 7.40 and 7.44; linux/fuse.h of Debian 12 is older */
enum { NOTIFY_RESEND = 7, NOTIFY_INC_EPOCH = 8 };

struct notice { /* struct fuse_out_header of linux/fuse.h */
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

static bool notice_send(struct fuse_door *door, int32_t what)
{
	struct notice notice = {.len = sizeof(notice), .error = what};

	return write(door->fd, &notice, sizeof(notice)) == sizeof(notice);
}

void door_resend(struct fuse_door *door)
{
	notice_send(door, NOTIFY_RESEND);
}

/* What is on its way comes as soon as the process that asked runs; should it not run, nobody waits for it for ever. */
enum { ANSWER_ROUNDS = 10000 };

/*
 * The kernel does not know an inode whose first answer it has not seen to the end, and would keep for ever what that
 * says. So it is told until it knows the inode, or has forgotten it.
 */
static void attr_changed(void *arg, struct inode *inode)
{
	struct fuse_door *door = arg;

	for (int n = 0; n < ANSWER_ROUNDS && __atomic_exchange_n(&inode->kernel_attr, false, __ATOMIC_SEQ_CST); n++) {
		if (fuse_lowlevel_notify_inval_inode(door->session, node_of(inode), -1, 0) != -ENOENT ||
		    !inode_is_looked_up(inode))
			return;
		__atomic_store_n(&inode->kernel_attr, true, __ATOMIC_SEQ_CST);
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
}

static void data_changed(void *arg, struct inode *inode, off_t offset, off_t length)
{
	struct fuse_door *door = arg;

	/* It has no pages of its own of a file that passes through. */
	if (!__atomic_load_n(&inode->kernel_passes, __ATOMIC_SEQ_CST))
		fuse_lowlevel_notify_inval_inode(door->session, node_of(inode), offset, length);
}

/*
 * There is no notice of a size. Storing a byte at the end sets it; the page that it goes to is dropped right after,
 * by the notice of the change itself.
 */
static void grown(void *arg, struct inode *inode, off_t size, char last)
{
	struct fuse_door *door = arg;
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(1);

	if (__atomic_load_n(&inode->kernel_passes, __ATOMIC_SEQ_CST))
		return; /* its mappings are of the cached file itself */
	buf.buf[0].mem = &last;
	__atomic_store_n(&inode->kernel_size, size, __ATOMIC_SEQ_CST);
	if (fuse_lowlevel_notify_store(door->session, node_of(inode), size - 1, &buf, 0) == 0)
		data_changed(door, inode, size - 1, 1);
}

/* Messages are read in order, so one of our own comes after those that are on their way. */
static void drain(void *arg)
{
	struct fuse_door *door = arg;
	struct statx st;

	if (door->fs->root_fd >= 0)
		statx(door->fs->root_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, &st);
}

void door_names_void(struct fuse_door *door)
{
	if (door->epoch && !notice_send(door, NOTIFY_INC_EPOCH))
		door->epoch = false;
}

/*
 * The one name and no other: the kernel takes down what is mounted on a name that it forgets, or below. Nor is it
 * enough that the name expires, for an answer that is on its way would bring it back. The kernel waits for those who
 * look for names in that directory, so such an answer of before the change has come by then.
 */
static void entry_changed(void *arg, struct inode *dir, const char *name, bool kept)
{
	struct fuse_door *door = arg;

	/* What an earlier service told of is not known, if it could not be made void. */
	if (kept || __atomic_load_n(&dir->kernel_names, __ATOMIC_SEQ_CST) || (door->replay && !door->epoch))
		fuse_lowlevel_notify_inval_entry(door->session, node_of(dir), name, strlen(name));
}

const struct door_hooks fuse_door_hooks = {
	.attr = attr_changed,
	.data = data_changed,
	.grown = grown,
	.drain = drain,
	.entry = entry_changed,
	.passes = door_passes,
	.backing = door_backing,
	.backing_end = door_backing_end,
};
