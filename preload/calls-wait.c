/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that name many descriptors in memory: waiting for them, and passing them to others. */
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include "ipc/sys.h"
#include "preload/calls.h"

/*
 * Without FUSE the kernel cannot be asked of our descriptors. It would say that files are always ready: so it is asked
 * of the others, without waiting. Beyond these numbers they are all the kernel's, which says that ours are no good.
 */
enum { WAIT_POLL_MAX = 128, WAIT_SELECT_MAX = 1024 };

static int wait_is_ours(uint64_t fd)
{
	fd_learn(fd);
	return fd_is(fd, FD_PLACEHOLDER);
}

/* poll and ppoll. With `copy` in place of the program's array. */
static int64_t poll_others(const struct preload_regs *r, struct pollfd *copy)
{
	return r->nr == __NR_poll ? sys3(__NR_poll, (long)copy, (long)r->a[1], 0)
				  : sys5(__NR_ppoll, (long)copy, (long)r->a[1], (long)&(struct sys_time){0, 0},
					 (long)r->a[3], (long)r->a[4]);
}

static int poll_ready(struct preload_regs *r, struct pollfd *p, uint64_t count)
{
	enum { READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM };
	struct pollfd copy[WAIT_POLL_MAX];
	uint64_t i, ours = 0;
	int64_t n;

	for (i = 0; i < count; i++) {
		copy[i] = p[i];
		if (p[i].fd >= 0 && wait_is_ours((uint32_t)p[i].fd)) {
			copy[i].fd = -1;
			ours++;
		}
	}
	if (!ours)
		return 0;
	n = poll_others(r, copy);
	if (n >= 0 && !fs_memory_writable(r->a[0], count * sizeof(*p)))
		n = -EFAULT;
	for (i = 0; n >= 0 && i < count; i++) {
		int is_ours = copy[i].fd != p[i].fd;
		p[i].revents = is_ours ? p[i].events & READY : copy[i].revents;
		n += is_ours && p[i].revents;
	}
	return call_done(r, n);
}

int call_poll(struct preload_regs *r)
{
	struct pollfd *p = (struct pollfd *)r->a[0];
	uint64_t i, count = (uint32_t)r->a[1];

	if (!(process.placeholders || process.tokens) || count > FD_MAX ||
	    !fs_memory_readable(r->a[0], count * sizeof(*p)))
		return 0;
	if (process.tokens)
		return count <= WAIT_POLL_MAX ? poll_ready(r, p, count) : 0;
	for (i = 0; i < count; i++)
		fd_materialise((uint32_t)p[i].fd, WHY_POLL);
	return 0;
}

struct wait_sets {
	uint64_t bits[3][WAIT_SELECT_MAX / 64]; /* to read, to write, exceptional */
};

/* Takes ours out of the sets. How many there were, whose readiness counts. */
static int64_t select_take(const struct preload_regs *r, uint64_t count, struct wait_sets *all, struct wait_sets *ours)
{
	uint64_t set, fd, bit;
	int64_t n = 0;

	for (set = 0; set < 3; set++) {
		if (!r->a[1 + set])
			continue;
		mem_copy(all->bits[set], (const void *)r->a[1 + set], (count + 63) / 64 * 8);
		for (fd = 0; fd < count; fd++) {
			bit = 1ull << fd % 64;
			if (!(all->bits[set][fd / 64] & bit) || !wait_is_ours(fd))
				continue;
			all->bits[set][fd / 64] &= ~bit;
			if (set < 2)
				ours->bits[set][fd / 64] |= bit;
			n += set < 2;
		}
	}
	return n;
}

static int64_t select_others(const struct preload_regs *r, struct wait_sets *all)
{
	long in = r->a[1] ? (long)all->bits[0] : 0, out = r->a[2] ? (long)all->bits[1] : 0;
	long except = r->a[3] ? (long)all->bits[2] : 0;
	struct sys_time now = {0, 0};

	return sys6(__NR_pselect6, (long)r->a[0], in, out, except, (long)&now, r->nr == __NR_pselect6 ? (long)r->a[5] : 0);
}

static int select_ready(struct preload_regs *r, uint64_t count)
{
	struct wait_sets all = {0}, ours = {0};
	int64_t ready = select_take(r, count, &all, &ours), n;
	uint64_t set, word;

	if (!ready)
		return 0;
	n = select_others(r, &all);
	if (n < 0)
		return call_done(r, n);
	for (set = 0; set < 3; set++)
		for (word = 0; r->a[1 + set] && word < (count + 63) / 64; word++)
			((uint64_t *)r->a[1 + set])[word] = all.bits[set][word] | ours.bits[set][word];
	return call_done(r, n + ready);
}

static int select_sets_good(const struct preload_regs *r, uint64_t count)
{
	int set;

	for (set = 1; set <= 3; set++)
		if (r->a[set] && !fs_memory_writable(r->a[set], (count + 63) / 64 * 8))
			return 0;
	return 1;
}

/* select and pselect6 */
int call_select(struct preload_regs *r)
{
	uint64_t fd, count = (uint32_t)r->a[0];
	int set;

	if (!(process.placeholders || process.tokens) || count > FD_MAX)
		return 0;
	if (process.tokens)
		return count && count <= WAIT_SELECT_MAX && select_sets_good(r, count) ? select_ready(r, count) : 0;
	for (set = 1; set <= 3; set++) {
		const uint64_t *bits = (const uint64_t *)r->a[set];

		if (!fs_memory_readable(r->a[set], (count + 63) / 64 * 8))
			continue;
		for (fd = 0; fd < count && fd < process.fd_top; fd++)
			if (bits[fd / 64] >> fd % 64 & 1)
				fd_materialise(fd, WHY_POLL);
	}
	return 0;
}

/* What the kernel says of regular files and directories. */
int call_epoll_ctl(struct preload_regs *r)
{
	struct fs_file *f = fd_file(r->a[2]);

	return f ? call_done_file(r, f, -EPERM) : 0;
}

static void pass_rights(const struct msghdr *m)
{
	char *p = m->msg_control, *end = p + m->msg_controllen;

	if (!fs_memory_readable((uint64_t)p, m->msg_controllen))
		return;
	while ((uint64_t)(end - p) >= sizeof(struct cmsghdr)) {
		const struct cmsghdr *c = (const struct cmsghdr *)p;
		const int *fd = (const int *)(p + CMSG_LEN(0)), *last;

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > (uint64_t)(end - p))
			return;
		last = (const int *)(p + c->cmsg_len);
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			for (; fd < last; fd++)
				fd_materialise((uint32_t)*fd, WHY_PASSED);
		if (CMSG_ALIGN(c->cmsg_len) > (uint64_t)(end - p))
			return;
		p += CMSG_ALIGN(c->cmsg_len);
	}
}

int call_sendmsg(struct preload_regs *r)
{
	if (process.placeholders && fs_memory_readable(r->a[1], sizeof(struct msghdr)))
		pass_rights((const struct msghdr *)r->a[1]);
	return 0;
}

int call_sendmmsg(struct preload_regs *r)
{
	const struct mmsghdr *m = (const struct mmsghdr *)r->a[1];
	uint64_t i, count = (uint32_t)r->a[2] < 1024 ? (uint32_t)r->a[2] : 1024;

	if (!process.placeholders || !fs_memory_readable(r->a[1], count * sizeof(*m)))
		return 0;
	for (i = 0; i < count; i++)
		pass_rights(&m[i].msg_hdr);
	return 0;
}
