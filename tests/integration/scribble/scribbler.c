/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that writes random bytes over every shared page that it can reach: scribbler WHAT SECONDS FILE
 *
 *   session   attaches by the front driver and knows where it hurts: tails, bells, words of slots, requests
 *   maps      opens FILE and maps it, so that the preload library attaches, and writes over every mapping of its
 *             process that is shared and writable, but the file's own
 *
 * It does so in children, one after the other, each for a second or so: what one has broken for itself does not
 * stop the next, and the service sees all of them come and go. FILE is one that nobody else uses.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ipc/front.h"
#include "ipc/rcqb.h"

enum { AREAS_MAX = 64, CHILD_MS = 1000, KICK_EVERY = 20000, REST_EVERY = 5000 };

struct area {
	char *at;
	size_t size;
};

static struct front front_memory;
static uint64_t seed;

static uint64_t noise(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* A byte, a word that could mean something, or a run of bytes. */
static void scribble_area(const struct area *a)
{
	static const uint64_t words[] = {0, 1, 2, 3, 4, 8, 10, 0xffffffff, 0x7fffffffffffffff, 1ull << 63, ~0ull, 4096, 262144};
	size_t at = noise() % (a->size - 64);

	switch (noise() % 4) {
	case 0:
		a->at[at] = (char)noise();
		break;
	case 1:
		*(uint64_t *)(a->at + at / 8 * 8) = words[noise() % (sizeof(words) / sizeof(words[0]))];
		break;
	case 2:
		*(uint32_t *)(a->at + at / 4 * 4) = (uint32_t)noise() % 64;
		break;
	default:
		for (unsigned i = 0; i < 64; i++)
			a->at[at + i] = (char)noise();
	}
}

/* A request that is nearly right, in a slot that is submitted as it should be, or as it should not. */
static void scribble_request(const struct front_session *s, unsigned queue)
{
	unsigned n = (unsigned)(noise() % WIRE_SLOTS);
	struct wire_slot *slot = (struct wire_slot *)(s->segment + WIRE_PAGE + n * WIRE_SLOT_STRIDE);
	struct rcqb *ring = (struct rcqb *)(s->queues + queue * s->queue_stride);

	slot->request = (struct wire_request){
		.op = (uint8_t)(noise() % (WIRE_OP_MAX + 2)),
		.flags = (uint16_t)noise(),
		.base = noise() % 2 ? WIRE_MOUNT(noise() % 3) : (uint32_t)noise() % 70000,
		.handle = (uint32_t)noise() % 3 ? (uint32_t)noise() % 70000 : (uint32_t)noise(),
		.mode = (uint32_t)noise(),
		.offset = noise() >> noise() % 64,
		.length = noise() >> noise() % 64,
		.arg = noise() >> noise() % 64,
		.where = (uint8_t)(noise() % 4),
		.path_len = (uint16_t)(noise() >> noise() % 64),
		.out_max = (uint32_t)(noise() >> noise() % 64),
		.more.base2 = WIRE_MOUNT(noise() % 3),
		.more.arg2 = noise(),
		.more.path2_len = (uint32_t)(noise() >> noise() % 64),
		.more.address = noise() % 2 ? (uint64_t)(uintptr_t)s->segment : noise(),
	};
	__atomic_store_n(&slot->state, noise() % 4 ? WIRE_SLOT_SUBMITTED : (uint32_t)noise() % 16, __ATOMIC_RELEASE);
	rcqb_enqueue(ring, s->queue_shift, noise() % 4 ? WIRE_ITEM(s->number, n) : noise());
	__atomic_fetch_add(&ring->bell, 1, __ATOMIC_SEQ_CST);
	sys_futex_wake(&ring->bell, 1);
}

static void scribble_session(const struct front_session *s)
{
	unsigned queue = (unsigned)(noise() % s->queue_count);
	struct rcqb *ring = (struct rcqb *)(s->queues + queue * s->queue_stride);
	const struct area queues = {s->queues, s->queues_size}, segment = {s->segment, WIRE_SESSION_SIZE};

	switch (noise() % 8) {
	case 0:
		ring->tail += noise() % 4096 - 2048;
		break;
	case 1:
		ring->tail = noise();
		break;
	case 2:
		ring->slot[noise() % (1u << s->queue_shift)].word = noise();
		break;
	case 3:
		scribble_area(&queues);
		break;
	case 4:
		scribble_area(&segment);
		break;
	default:
		scribble_request(s, queue);
	}
}

static void child_session(int64_t until)
{
	const struct front_session *s;

	if (front_attach(&front_memory, 5000000000ull) < 0)
		_exit(1);
	s = &front_memory.sessions[front_memory.attached - 1];
	for (uint64_t i = 1; now_ms() < until; i++) {
		scribble_session(s);
		if (i % KICK_EVERY == 0)
			front_hello(&front_memory, WIRE_HELLO_KICK);
		if (i % REST_EVERY == 0)
			usleep((useconds_t)(noise() % 3000));
	}
	_exit(0);
}

/* Shared and writable, and no file of the pool's: other clients have a right to those. */
static size_t areas_find(struct area *areas, const char *file)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096 + 128], mode[8];
	size_t n = 0;

	while (maps && n < AREAS_MAX && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || strcmp(mode, "rw-s") || strstr(line, file))
			continue;
		areas[n++] = (struct area){(char *)from, to - from};
	}
	if (maps)
		fclose(maps);
	return n;
}

static void child_maps(int64_t until, const char *file)
{
	struct area areas[AREAS_MAX];
	char data[8192] = "";
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	size_t n;

	if (fd < 0 || pwrite(fd, data, sizeof(data), 0) < 0 || pread(fd, data, sizeof(data), 0) < 0)
		_exit(1);
	mmap(NULL, sizeof(data), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	n = areas_find(areas, file);
	if (!n)
		_exit(2);
	alarm(CHILD_MS / 1000 + 4); /* its own calls may never return now */
	for (uint64_t i = 1; now_ms() < until; i++) {
		scribble_area(&areas[noise() % n]);
		if (i % REST_EVERY == 0 && pread(fd, data, sizeof(data), (off_t)noise()) < 0)
			usleep(1000);
	}
	_exit(0);
}

/* It may break itself: only one that could not begin counts. */
static int round_run(const char *what, const char *file)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		seed = (uint64_t)getpid() * 0x9e3779b97f4a7c15ull + (uint64_t)now_ms();
		if (strcmp(what, "maps") == 0)
			child_maps(now_ms() + CHILD_MS, file);
		child_session(now_ms() + CHILD_MS);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && (WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	int64_t end;
	unsigned rounds = 0, bad = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: scribbler session|maps SECONDS FILE\n");
		return 2;
	}
	for (end = now_ms() + 1000 * atoi(argv[2]); now_ms() < end; rounds++)
		bad += !round_run(argv[1], argv[3]);
	printf("%s: %u rounds, %u could not begin\n", argv[1], rounds, bad);
	return bad > rounds / 2;
}
