/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX asynchronous I/O, from inside. aio.c has the idea and the functions that programs call.
 *
 * What is outstanding lies in `aio`, under one lock, which is held for some dozen instructions and over no system
 * call but the allocation of memory; that is also why there is not one for each descriptor. Whoever holds it has
 * signals blocked, for close(2) takes it too, and may be called by a signal handler.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	AIO_TABLE = 256,           /* hash of descriptors */
	AIO_CHUNK = 64 * 1024,     /* requests are allocated by so many bytes */
	AIO_CHUNKS_MAX = 32,
	AIO_WORKERS_MAX = 256,     /* threads */
	AIO_WORKERS_POOL = 16,     /* of them, those that do not serve a descriptor that may block for ever */
	AIO_PRIORITY_MAX = 20,     /* AIO_PRIO_DELTA_MAX of glibc; priorities are checked and not used */
	AIO_AWAITED = 1 << 30,     /* in a block's error: somebody sleeps on it */
};

/* struct sigevent and struct aiocb, as glibc and musl lay them out; tests/unit/aio/layout.c checks it. */
struct aio_event {
	uint64_t value;
	int32_t signo;
	int32_t notify; /* SIGEV_* */
	void (*function)(uint64_t value);
	const void *attributes;
	uint8_t pad[32];
};

struct aio_block {
	int32_t fd;
	int32_t opcode;
	int32_t priority;
	void *buf;
	uint64_t length;
	struct aio_event event;
	uint64_t unused[2];
	int32_t error; /* EINPROGRESS, perhaps with AIO_AWAITED; or what it ended with. A futex. */
	int64_t ret;
	int64_t offset;
	uint8_t pad[32];
};

_Static_assert(sizeof(struct aio_block) == 168 && offsetof(struct aio_block, error) == 112, "layout");

/* ---- lists ----------------------------------------------------------------------------------- */

struct aio_link {
	struct aio_link *next, *prev;
};

struct aio_list {
	struct aio_link *first, *last;
};

static inline void aio_list_append(struct aio_list *list, struct aio_link *link)
{
	link->next = NULL;
	link->prev = list->last;
	*(list->last ? &list->last->next : &list->first) = link;
	list->last = link;
}

static inline void aio_list_remove(struct aio_list *list, struct aio_link *link)
{
	*(link->prev ? &link->prev->next : &list->first) = link->next;
	*(link->next ? &link->next->prev : &list->last) = link->prev;
}

/* ---- requests -------------------------------------------------------------------------------- */

enum aio_op {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,
	AIO_DATASYNC,
};

/* What a request has to wait for. */
enum aio_lane {
	LANE_FREE,    /* nothing */
	LANE_READS,   /* earlier reads, of a descriptor without offsets */
	LANE_WRITES,  /* earlier writes, of such a descriptor or one that appends */
	LANE_BARRIER, /* everything that is outstanding when it comes: fsync */
	LANE_MAX,
};

enum aio_stage {
	STAGE_ORDERED, /* waits for its turn */
	STAGE_READY,   /* waits for a worker */
	STAGE_POLLED,  /* a worker waits for the descriptor to become ready; may still be cancelled */
	STAGE_RUNNING,
	STAGE_CANCELED, /* while it was polled; its worker has not noticed yet */
};

struct aio_queue;

/* Also stands for the list of a lio_listio that wants to hear of its end: only group, notice and refs then. */
struct aio_request {
	struct aio_link order; /* in its queue */
	struct aio_link ready; /* in aio.ready */
	struct aio_queue *queue;
	struct aio_block *block;
	struct aio_request *group; /* the list that it is of, or NULL */
	void *buf;
	uint64_t length;
	int64_t offset;
	struct {
		uint64_t value;
		int32_t signo, notify;
		void (*function)(uint64_t value);
		const void *attributes;
	} notice;
	uint32_t members; /* of a group: how many of it are outstanding */
	int32_t fd;
	uint8_t op, lane, stage;
	uint8_t stream;  /* has no offsets; may block for ever */
	uint8_t pollable; /* and is not O_NONBLOCK */
	uint8_t awaited; /* somebody sleeps on block->error */
	uint8_t refs;
};

/* The outstanding requests of a descriptor, in order of submission. It exists while there are any. */
struct aio_queue {
	struct aio_queue *next; /* in its place of the table */
	int32_t fd;
	struct aio_list order;
	uint32_t lane[LANE_MAX]; /* requests in each */
};

union aio_cell {
	union aio_cell *next;
	struct aio_request request;
	struct aio_queue queue;
};

/* All zero is a good beginning, and what the child of a fork finds. */
struct aio_state {
	uint32_t lock;
	uint32_t wiped;    /* the child of a fork will find zeros */
	uint32_t queues;   /* that exist */
	uint32_t ended;    /* futex: counts requests that ended while somebody watched */
	uint32_t watchers; /* threads that sleep on it, at most */
	uint32_t workers;  /* threads; the next three are some of them */
	uint32_t starting; /* not yet come to work */
	uint32_t blocking; /* serving a descriptor that may block for ever */
	uint32_t sleepers; /* without work */
	uint32_t calls;    /* futex of the sleepers */
	uint32_t called;   /* sleepers that were woken and have not come yet */
	uint32_t ring;     /* sleepers to wake when the lock is given up */
	uint32_t waiting;  /* requests in `ready` */
	uint32_t chunks;
	struct aio_list ready;
	union aio_cell *free;
	struct aio_queue *table[AIO_TABLE];
} __attribute__((aligned(4096))); /* whole pages, and nothing else in them */

extern struct aio_state aio;

/* ---- aio-libc.c: the ground ------------------------------------------------------------------- */

/* Of libc, found by name when first needed, so that programs without asynchronous I/O do not pay for it. */
struct aio_libc {
	int (*create)(void *thread, const void *attributes, void *(*start)(void *), void *arg);
	int (*detach)(uintptr_t thread);
	int (*attr_init)(void *attributes);
	int (*attr_destroy)(void *attributes);
	int (*attr_setdetachstate)(void *attributes, int state);
	int (*attr_getdetachstate)(const void *attributes, int *ret_state);
	int (*attr_setstacksize)(void *attributes, size_t size);
	int (*setcanceltype)(int type, int *ret_old);
	int *(*errno_location)(void);
	int (*sigrtmin)(void);
};

/* NULL: it has no threads. */
const struct aio_libc *aio_libc(void);
/* Any number of words that a pthread_attr_t fits into. */
#define AIO_ATTRIBUTES 32
/* Starts a thread, with signals blocked: detached, with `attributes` or, if NULL, a stack of that size (0: libc's
 * choice). 0 or -errno. */
int aio_thread(const void *attributes, size_t stack, void *(*start)(void *), void *arg);
/* Sets errno if r is negative, and returns -1 then. */
int64_t aio_answer(int64_t r);
/* A system call, the way that the program's own would take. */
int64_t aio_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

void aio_lock(void);
/* Also wakes those in aio.ring. */
void aio_unlock(void);
/* All that libc does not use for itself. */
uint64_t aio_signals_block(void);
void aio_signals_restore(uint64_t mask);
/* `until` is absolute, CLOCK_MONOTONIC; NULL: for ever. 0 or -errno. */
struct sys_time;
long aio_futex_wait(const void *word, uint32_t value, const struct sys_time *until);
void aio_futex_wake(void *word, uint32_t count);

/* ---- aio-queue.c: what is outstanding ---------------------------------------------------------- */

/* With the lock held. A request or queue, zeroed; NULL: there are too many. */
union aio_cell *aio_cell_new(void);
void aio_request_put(struct aio_request *r);
/* Adds a copy of `wanted`. 0, or -EAGAIN. */
int aio_queue_add(const struct aio_request *wanted);
/* With the lock held: one that is ready, for the calling worker. NULL: none. */
struct aio_request *aio_queue_take(void);
/* A request that was taken has ended with this result. */
void aio_queue_end(struct aio_request *r, int64_t result);
/* What aio_cancel(3) returns: of one block, or of all. */
int aio_queue_cancel(int fd, const struct aio_block *block);
/* The descriptor is about to be closed, or replaced. */
void aio_queue_closing(uint32_t fd);

/* ---- aio-worker.c ------------------------------------------------------------------------------ */

/*
 * With the lock held, which it may give up for a while: sees to it that a worker comes for what is ready, and
 * for `more` that will be at once. -EAGAIN: nobody will, not even later.
 */
int aio_workers_want(uint32_t more);

/* ---- aio-notify.c ------------------------------------------------------------------------------ */

/* Fills in r->notice. 0 or -EINVAL. */
int aio_notice_set(struct aio_request *r, const struct aio_event *event);
/* The request has ended and is in no list any more: tells whom it concerns, and ends the reference. */
void aio_notify(struct aio_request *r);
/* One member of a group less. */
void aio_notify_group(struct aio_request *group);
