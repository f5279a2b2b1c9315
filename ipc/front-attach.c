/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table, and how a process gets a session: over a socket that is closed at once.
 *
 * One thread at a time attaches. It does so with all signals blocked, so that neither a signal handler that
 * needs a session itself, nor a siglongjmp, finds the lock held by its own thread; the long wait for a
 * service that is being restarted is outside of the lock.
 *
 * When the service died, the new session takes the old one's place at once. The old one stays mapped until
 * the last call that holds one of its slots has noticed and released it: a retired session.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "ipc/front-count.h"
#include "ipc/front-internal.h"

enum {
	ANSWER_MS = 2000,      /* for a service that accepts connections to answer */
	ANSWER_KICK_MS = 200,
	ANSWER_SOON_NS = 150 * 1000, /* it is there by then, most likely */
	ANSWER_YIELD_NS = 20 * 1000, /* if others have the core for so long they are at work */
	SHARE_MS = 60000,      /* for the data of a mapping to be read */
	RETRY_MS = 50,
	LOCK_MS = 20,
	TRIES = 50,
	FDS = 3,
};

/* ---- the table -------------------------------------------------------------------------------- */

static void path_make(const struct front *f, const char *name, char *to, size_t room)
{
	const char *dir = f->dir ? f->dir : WIRE_POOL_DIR;
	size_t n = str_length_max(dir, room - 16);

	mem_copy(to, dir, n);
	mem_copy(to + n, name, str_length(name) + 1);
}

static int table_map(int fd, const struct wire_table **ret)
{
	struct wire_table *table;

	if (sys3(__NR_lseek, fd, 0, 2 /* SEEK_END */) < (long)sizeof(*table))
		return -EPROTO;
	table = sys_mmap(NULL, sizeof(*table), PROT_READ, MAP_SHARED, fd, 0);
	if (sys_failed((long)table))
		return (int)(long)table;
	if (table->magic != WIRE_MAGIC || table->version != WIRE_VERSION) {
		sys_munmap(table, sizeof(*table));
		return -EPROTO;
	}
	*ret = table;
	return 0;
}

int front_table(struct front *f)
{
	const struct wire_table *table, *none = NULL;
	char path[256];
	long fd;
	int r;

	if (__atomic_load_n(&f->table, __ATOMIC_ACQUIRE))
		return 0;
	path_make(f, "/table", path, sizeof(path));
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	r = table_map((int)fd, &table);
	sys_close((int)fd);
	if (r < 0)
		return r;
	if (!__atomic_compare_exchange_n(&f->table, &none, table, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		sys_munmap((void *)table, sizeof(*table)); /* another thread was faster */
	return 0;
}

/* ---- the socket ------------------------------------------------------------------------------- */

/* A descriptor or -errno. Does not block: a queue of connections that is full is -EAGAIN. */
static int socket_open(const struct front *f)
{
	struct sockaddr_un address;
	long fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return (int)fd;
	address.sun_family = AF_UNIX;
	path_make(f, "/socket", address.sun_path, sizeof(address.sun_path));
	r = sys_connect((int)fd, &address, sizeof(address.sun_family) + (unsigned)str_length(address.sun_path) + 1);
	if (r < 0) {
		sys_close((int)fd);
		return (int)r;
	}
	return (int)fd;
}

static int socket_send(int fd, uint32_t kind, uint32_t session, uint32_t handle, uint64_t offset)
{
	const struct wire_hello hello = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.kind = kind,
		.session = session,
		.pid = (uint32_t)sys_getpid(),
		.handle = handle,
		.offset = offset,
	};
	long r = sys_sendto(fd, &hello, sizeof(hello), MSG_NOSIGNAL);

	return r < 0 ? (int)r : 0;
}

static void fds_none(int fds[static FDS])
{
	for (int i = 0; i < FDS; i++)
		fds[i] = -1;
}

static void fds_close(const int fds[static FDS])
{
	for (int i = 0; i < FDS; i++)
		if (fds[i] >= 0)
			sys_close(fds[i]);
}

static void fds_take(const struct msghdr *message, int fds[static FDS])
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(message);

	fds_none(fds);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	for (unsigned i = 0; i < FDS && CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++)
		mem_copy(&fds[i], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
}

/*
 * An answer takes less than to be woken on a core that slept meanwhile. But the service may need this very core, or
 * others, who then have it for so long that it is better to sleep.
 */
static int receive_soon(int64_t *since)
{
	int64_t now = sys_now();

	if (!*since)
		*since = now;
	if (now - *since > ANSWER_SOON_NS)
		return 0;
	sys0(__NR_sched_yield);
	if (sys_now() - now > ANSWER_YIELD_NS)
		*since = -ANSWER_SOON_NS; /* one more look */
	return 1;
}

/* The answer: its result, or -errno. fds[] are the caller's, on success and on failure. */
static int socket_receive(int fd, int timeout_ms, struct wire_welcome *ret, int fds[static FDS])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS * sizeof(int))];
	struct iovec part = {ret, sizeof(*ret)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct pollfd poll = {.fd = fd, .events = POLLIN};
	int64_t since = 0;
	long r;

	fds_none(fds);
	while ((r = sys_recvmsg(fd, &message, MSG_CMSG_CLOEXEC)) == -EAGAIN && receive_soon(&since))
		;
	if (r == -EAGAIN) {
		do
			r = sys_poll(&poll, 1, timeout_ms);
		while (r == -EINTR);
		if (r <= 0)
			return r == 0 ? -EAGAIN : (int)r;
		r = sys_recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	}
	if (r < 0)
		return (int)r;
	fds_take(&message, fds);
	if (r == 0)
		return -EAGAIN; /* it died */
	if (r != sizeof(*ret) || ret->magic != WIRE_MAGIC || ret->version != WIRE_VERSION)
		return -EPROTO;
	return ret->result;
}

static void fd_block(int fd)
{
	sys3(__NR_fcntl, fd, F_SETFL, sys3(__NR_fcntl, fd, F_GETFL, 0) & ~O_NONBLOCK);
}

/*
 * Says something of our session and waits for the answer. The connection *ret_fd, or -1, and fds[] are the caller's, on
 * success and on failure.
 */
static int session_say(struct front *f, uint32_t kind, int timeout_ms, int *ret_fd, int fds[static FDS])
{
	struct front_session *s = front_current(f);
	struct wire_welcome welcome;
	int r;

	fds_none(fds);
	*ret_fd = -1;
	if (!s)
		return -ENOTCONN;
	r = socket_open(f);
	if (r < 0)
		return r;
	*ret_fd = r;
	r = socket_send(*ret_fd, kind, s->number, 0, 0);
	if (r == 0)
		r = socket_receive(*ret_fd, timeout_ms, &welcome, fds);
	if (r == -ESTALE)
		__atomic_store_n(&s->lost, 1, __ATOMIC_RELAXED);
	return r;
}

int front_hello(struct front *f, uint32_t kind)
{
	int fds[FDS], fd, r = session_say(f, kind, kind == WIRE_HELLO_KICK ? ANSWER_KICK_MS : ANSWER_MS, &fd, fds);

	fds_close(fds);
	if (r == 0 && kind == WIRE_HELLO_EXEC) {
		fd_block(fd);
		return fd;
	}
	if (fd >= 0)
		sys_close(fd);
	return r;
}

int front_fetch(struct front *f, uint32_t handle, uint64_t offset)
{
	struct front_session *s = front_current(f);
	struct wire_welcome welcome;
	int fds[FDS] = {-1, -1, -1}, fd, r;

	if (!s)
		return -ENOTCONN;
	fd = socket_open(f);
	if (fd < 0)
		return fd;
	r = socket_send(fd, WIRE_HELLO_FETCH, s->number, handle, offset);
	if (r == 0)
		r = socket_receive(fd, ANSWER_MS, &welcome, fds);
	sys_close(fd);
	if (r == 0 && fds[0] >= 0)
		return fds[0];
	fds_close(fds);
	return r < 0 ? r : -EPROTO;
}

static int share_ask(int fd, uint32_t session, struct front_share *share)
{
	const struct wire_hello hello = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.kind = WIRE_HELLO_SHARE,
		.session = session,
		.pid = (uint32_t)sys_getpid(),
		.handle = share->handle,
		.how = share->how,
		.parent = share->parent,
		.parent_share = share->parent_share,
		.offset = share->offset,
		.length = share->length,
	};
	int fds[FDS], r = (int)sys_sendto(fd, &hello, sizeof(hello), MSG_NOSIGNAL);
	struct wire_welcome welcome;

	if (r < 0)
		return r;
	r = socket_receive(fd, SHARE_MS, &welcome, fds);
	share->number = welcome.session;
	share->data = fds[0];
	share->state = fds[1];
	share->marks = fds[2];
	if (r < 0)
		fds_close(fds);
	return r;
}

int front_share(struct front *f, struct front_share *share)
{
	struct front_session *s = front_current(f);
	int fd, r;

	if (!s)
		return -ENOTCONN;
	fd = socket_open(f);
	if (fd < 0)
		return fd;
	r = share_ask(fd, s->number, share);
	sys_close(fd);
	return r;
}

void front_share_close(const struct front_share *share)
{
	const int fds[FDS] = {share->data, share->state, share->marks};

	fds_close(fds);
}

/* ---- sessions --------------------------------------------------------------------------------- */

static int welcome_check(const struct wire_welcome *w, uint32_t *ret_shift)
{
	uint32_t shift = RCQB_SHIFT_MIN;

	while (shift < RCQB_SHIFT_MAX && 1u << shift < w->queue_slots)
		shift++;
	if (1u << shift != w->queue_slots || w->queue_count < 1 || w->queue_count > WIRE_QUEUES_MAX)
		return -EPROTO;
	if (w->queue_stride < rcqb_size(shift) || w->queue_stride % RCQB_LINE)
		return -EPROTO;
	if (w->session_size != WIRE_SESSION_SIZE || w->queues_size < (uint64_t)w->queue_count * w->queue_stride)
		return -EPROTO;
	*ret_shift = shift;
	return 0;
}

static int memory_map(int fd, uint64_t size, char **ret)
{
	char *memory;

	if (fd < 0 || sys3(__NR_lseek, fd, 0, 2 /* SEEK_END */) < (long)size)
		return -EPROTO;
	memory = sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sys_failed((long)memory))
		return (int)(long)memory;
	sys_madvise(memory, size, MADV_DONTFORK);
	*ret = memory;
	return 0;
}

static void session_unmap(struct front_session *s)
{
	if (s->segment)
		sys_munmap(s->segment, WIRE_SESSION_SIZE);
	if (s->queues)
		sys_munmap(s->queues, s->queues_size);
	s->segment = s->queues = NULL;
}

static int session_map(struct front_session *s, const struct wire_welcome *w, const int fds[static FDS])
{
	const struct wire_session *head;
	int r = welcome_check(w, &s->queue_shift);

	if (r < 0)
		return r;
	s->number = w->session;
	s->generation = w->generation;
	s->queue_count = w->queue_count;
	s->queue_stride = w->queue_stride;
	s->queues_size = w->queues_size;
	r = memory_map(fds[1], w->queues_size, &s->queues);
	if (r == 0)
		r = memory_map(fds[0], WIRE_SESSION_SIZE, &s->segment);
	if (r < 0) {
		session_unmap(s);
		return r;
	}
	head = (const struct wire_session *)s->segment;
	if (head->magic == WIRE_MAGIC && head->version == WIRE_VERSION && head->slots == WIRE_SLOTS &&
	    head->slot_stride == WIRE_SLOT_STRIDE) {
		front_count_attach(s->segment, fds[0]);
		return 0;
	}
	session_unmap(s);
	return -EPROTO;
}

void front_session_reap(struct front *f, struct front_session *s)
{
	uint32_t retired = 1;

	if (__atomic_load_n(&s->pins, __ATOMIC_SEQ_CST))
		return;
	for (unsigned i = 0; i < WIRE_SLOTS; i++)
		if (__atomic_load_n(&s->claim[i].claimed, __ATOMIC_SEQ_CST) &&
		    !__atomic_load_n(&s->claim[i].orphan, __ATOMIC_SEQ_CST))
			return;
	/* Two may come here at once. 2 keeps session_place from taking the place before it is empty. */
	if (!__atomic_compare_exchange_n(&s->retired, &retired, 2, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	session_unmap(s);
	__atomic_store_n(&s->retired, 0, __ATOMIC_RELEASE);
}

/* Orphans are nobody's any more. */
static void session_clear(struct front_session *s)
{
	for (unsigned i = 0; i < WIRE_SLOTS; i++)
		if (__atomic_exchange_n(&s->claim[i].orphan, 0, __ATOMIC_ACQ_REL))
			__atomic_store_n(&s->claim[i].claimed, 0, __ATOMIC_RELEASE);
	s->lost = 0;
}

/*
 * A place for a new session. If calls hold slots of all the older ones, which were told of their service's
 * death long ago, threads have died in them: the oldest stays mapped for good, and is forgotten.
 */
static struct front_session *session_place(struct front *f)
{
	struct front_session *s, *current = front_current(f), *oldest = NULL;

	for (s = f->sessions; s < f->sessions + FRONT_SESSIONS; s++) {
		if (s == current)
			continue;
		if (!__atomic_load_n(&s->segment, __ATOMIC_ACQUIRE) && !s->retired) {
			session_clear(s);
			return s;
		}
		if (!oldest || s->generation < oldest->generation)
			oldest = s;
	}
	mem_zero(oldest, sizeof(*oldest));
	return oldest;
}

/* The lock is held. */
static void session_replace(struct front *f, struct front_session *s)
{
	const struct wire_session *head = (const struct wire_session *)s->segment;
	struct front_session *old = front_current(f);

	f->smo_min = head->smo_min;
	f->cma_min = head->cma_min;
	f->session = s->number;
	f->generation = s->generation;
	/* A full barrier before the old one's claims are looked at. Partner: front_claim. */
	__atomic_store_n(&f->attached, 1 + (uint32_t)(s - f->sessions), __ATOMIC_SEQ_CST);
	if (old)
		__atomic_store_n(&old->retired, 1, __ATOMIC_SEQ_CST);
	for (old = f->sessions; old < f->sessions + FRONT_SESSIONS; old++)
		if (old != s)
			front_session_reap(f, old);
}

/* ---- attaching -------------------------------------------------------------------------------- */

/* Returns 0, or -EAGAIN after a while: try again. */
static int lock_take(struct front *f)
{
	const struct sys_time while_ = {0, LOCK_MS * 1000000};
	uint32_t holder = 0;

	if (__atomic_compare_exchange_n(&f->lock, &holder, (uint32_t)sys_gettid(), 0, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return 0;
	sys_futex_wait(&f->lock, holder, &while_);
	/* A vfork child may have been killed in here. */
	if (sys2(__NR_tkill, holder, 0) == -ESRCH)
		__atomic_compare_exchange_n(&f->lock, &holder, 0, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return -EAGAIN;
}

static void lock_drop(struct front *f)
{
	__atomic_store_n(&f->lock, 0, __ATOMIC_RELEASE);
	sys_futex_wake(&f->lock, 1);
}

static int front_is_good(struct front *f)
{
	struct front_session *s = front_current(f);

	return s && !front_stale(f, s);
}

/* A session belongs to the process that asks for it: a vfork child must not ask on its parent's behalf. */
static int attach_identify(struct front *f)
{
	uint32_t pid = (uint32_t)sys_getpid();

	if (f->pid && f->pid != pid && f->pid == (uint32_t)sys0(__NR_getppid))
		return -EBUSY;
	f->pid = pid;
	return 0;
}

/* How fast the time stamp counter is, from the time that the handshake took. */
static void attach_calibrate(struct front *f, int64_t ns, uint64_t cycles)
{
	uint64_t rate = ns > 1000 ? cycles * 1000 / (uint64_t)ns : 0;

	f->cycles_us = rate < 100 ? 100 : rate > 10000 ? 10000 : (uint32_t)rate;
}

/* When the lease table was asked for. */
static uint64_t lease_turn(const struct front *f)
{
	return f->lease ? __atomic_load_n(&f->lease->turn, __ATOMIC_SEQ_CST) : 0;
}

/* Asks for a session. The lock is held. */
static int attach_ask(struct front *f, struct front_adopt *adopt)
{
	int64_t since = sys_now();
	uint64_t cycles = sys_cycles();
	struct front_session *s = session_place(f);
	struct wire_welcome welcome;
	uint64_t turn = lease_turn(f);
	int fds[FDS], r, fd = socket_open(f);

	if (fd < 0)
		return fd;
	r = socket_send(fd, WIRE_HELLO_ATTACH, f->session, adopt ? adopt->base : 0, adopt ? adopt->ino : 0);
	if (r == 0) {
		r = socket_receive(fd, ANSWER_MS, &welcome, fds);
		if (r == 0)
			r = session_map(s, &welcome, fds);
		if (r == 0 && f->lease)
			front_lease_take(f->lease, turn, fds[2]);
		fds_close(fds);
	}
	sys_close(fd);
	if (r < 0)
		return r;
	attach_calibrate(f, sys_now() - since, sys_cycles() - cycles);
	session_replace(f, s);
	if (adopt)
		adopt->handle = welcome.adopted;
	return 0;
}

static int attach_needed(struct front *f, struct front_adopt *adopt)
{
	int r = front_is_good(f) ? 0 : attach_identify(f);

	return r < 0 || front_is_good(f) ? r : attach_ask(f, adopt);
}

/* Tells who we are now, and gets the lease table of those. The lock is held. */
static int credentials_ask(struct front *f, struct front_adopt *unused)
{
	uint64_t turn = lease_turn(f);
	int fds[FDS], fd, r = session_say(f, WIRE_HELLO_CREDENTIALS, ANSWER_MS, &fd, fds);

	if (fd >= 0)
		sys_close(fd);
	if (r == 0 && f->lease)
		front_lease_take(f->lease, turn, fds[0]);
	fds_close(fds);
	return r;
}

/* With all signals blocked and the lock held; -EAGAIN: another thread has it. */
static int locked(struct front *f, int (*what)(struct front *f, struct front_adopt *adopt), struct front_adopt *adopt)
{
	const uint64_t all = ~0ull;
	uint64_t old = 0;
	int r;

	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, sizeof(all));
	r = lock_take(f);
	if (r == 0) {
		r = what(f, adopt);
		lock_drop(f);
	}
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old));
	return r;
}

int front_credentials(struct front *f)
{
	int r = -EAGAIN;

	for (int i = 0; i < TRIES && r == -EAGAIN && front_is_good(f); i++)
		r = locked(f, credentials_ask, NULL);
	return r;
}

static int attach_once(struct front *f, struct front_adopt *adopt)
{
	if (__atomic_load_n(&f->table->service_state, __ATOMIC_ACQUIRE) == WIRE_SERVICE_DOWN)
		return -EAGAIN;
	return locked(f, attach_needed, adopt);
}

/* Until the service's generation changes, or for a moment. */
static void attach_wait(struct front *f)
{
	const struct sys_time moment = {0, RETRY_MS * 1000000};
	uint32_t generation = __atomic_load_n(&f->table->generation, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&f->table->service_state, __ATOMIC_ACQUIRE) == WIRE_SERVICE_UP)
		sys_nanosleep(&(struct sys_time){0, 1000000});
	else
		sys_futex_wait(&f->table->generation, generation, &moment);
}

static int attach_may_retry(int r)
{
	return r == -EAGAIN || r == -ECONNREFUSED || r == -ENOENT || r == -ECONNRESET || r == -EPIPE || r == -EINTR;
}

int front_attach(struct front *f, uint64_t timeout_ns)
{
	return front_is_good(f) ? 0 : front_attach_in(f, timeout_ns, NULL);
}

int front_attach_in(struct front *f, uint64_t timeout_ns, struct front_adopt *adopt)
{
	int64_t until = 0;
	int r;

	while (!front_is_good(f)) {
		if (!f->table && (r = front_table(f)) < 0)
			return r;
		if (__atomic_load_n(&f->table->service_state, __ATOMIC_ACQUIRE) == WIRE_SERVICE_GONE)
			return -ENOTCONN;
		r = attach_once(f, adopt);
		if (r < 0 && !attach_may_retry(r))
			return r;
		if (!until)
			until = sys_now() + (int64_t)timeout_ns;
		else if (r < 0 && sys_now() >= until)
			return r;
		if (r < 0)
			attach_wait(f);
	}
	return 0;
}

void front_detach(struct front *f)
{
	struct front_lease *lease = f->lease;
	const char *dir = f->dir;

	for (unsigned i = 0; i < FRONT_SESSIONS; i++)
		session_unmap(&f->sessions[i]);
	if (f->table)
		sys_munmap((void *)f->table, sizeof(*f->table));
	if (lease)
		front_lease_end(lease);
	mem_zero(f, sizeof(*f));
	f->dir = dir;
	f->lease = lease;
}
