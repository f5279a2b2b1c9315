/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes append records to one file, all at once and at both doors, while they are stopped, killed and started again,
 * and while readers read, and somebody may cut the file to nothing: append DIR SEED SECONDS [cut]
 *
 * A record whose write(2) returned is there once, whole, and after those of the same writer that came before; one that
 * was under way when its writer was killed may be there, and may have come a moment after the writer's end. Nothing
 * else is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 4, PRELOADED = 3, READERS = 2, SHARED_FD = 100, RECORD_MAX = 200, MANY = 100000, KILLS_MAX = 256 };

static struct shared {
	uint64_t written[WRITERS]; /* records whose write has returned */
	uint64_t begun[WRITERS];
	uint64_t reads, cuts;
	bool stop;
} *shared;

static uint64_t orphans[WRITERS][KILLS_MAX]; /* under way at a writer's end; 0: has been seen */
static unsigned kills[WRITERS];
static const char *path;
static uint64_t chance;

static uint64_t below(uint64_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance % n;
}

static void fail(const char *what, long a, long b)
{
	fprintf(stderr, "append: %s: %ld %ld (%s)\n", what, a, b, strerror(errno));
	exit(1);
}

/* "writer number length xxxx\n", of a length that follows from both. */
static unsigned record(char *to, unsigned writer, uint64_t number)
{
	unsigned length = 30 + (unsigned)((number * 2654435761u + writer) % (RECORD_MAX - 30));
	int n = snprintf(to, RECORD_MAX, "%u %lu %u ", writer, number, length);

	memset(to + n, 'a' + (int)(number % 26), length - (unsigned)n - 1);
	to[length - 1] = '\n';
	return length;
}

static int writer_main(unsigned writer)
{
	char text[RECORD_MAX + 8];
	int fd = -1;

	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		/* In bursts: it must be alone for a while to have the end of the file to itself. */
		for (uint64_t burst = 1 + below(3000); burst && !shared->stop && shared->begun[writer] < MANY; burst--) {
			uint64_t number = ++shared->begun[writer];
			unsigned length = record(text, writer, number);
			ssize_t n;

			if (fd < 0)
				fd = open(path, O_WRONLY | O_APPEND);
			n = fd < 0 ? -1 : write(fd, text, length);
			if (n != (ssize_t)length)
				fail("write", n, (long)length);
			__atomic_store_n(&shared->written[writer], number, __ATOMIC_RELEASE);
		}
		if (below(2)) {
			close(fd);
			fd = -1;
		}
		usleep((useconds_t)below(20000));
	}
	return 0;
}

/* The file up to what it read last never changes, but to become empty. */
static int reader_main(bool cuts)
{
	static char last[4096], again[4096];
	int fd = open(path, O_RDONLY);

	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		off_t end = lseek(fd, 0, SEEK_END), at;
		ssize_t n;

		if (end < 4096)
			continue;
		at = (off_t)below((uint64_t)end - 4095);
		n = pread(fd, last, sizeof(last), at);
		if (n != sizeof(last) && !cuts)
			fail("short read before the end", n, (long)at);
		for (unsigned i = 0; i < 40 && n == sizeof(last) && !cuts; i++)
			if (pread(fd, again, sizeof(again), at) != sizeof(again) || memcmp(last, again, sizeof(last)))
				fail("bytes that changed", (long)at, (long)end);
		shared->reads++;
	}
	return 0;
}

static pid_t spawn(const char *what, unsigned n, bool fuse)
{
	char number[16], seed[32];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(number, sizeof(number), "%u", n);
	snprintf(seed, sizeof(seed), "%lu", below(1 << 30) + (uint64_t)getpid());
	if (fuse)
		setenv("POLYTROPON_MODE", "off", 1);
	execl("/proc/self/exe", "append", what, path, number, seed, (char *)NULL);
	_exit(127);
}

/* Whether it was under way when its writer was killed. Once. */
static bool orphan_take(unsigned writer, uint64_t number)
{
	for (unsigned i = 0; i < kills[writer]; i++)
		if (orphans[writer][i] == number) {
			orphans[writer][i] = 0;
			return true;
		}
	return false;
}

/* Every record of the file is one that was begun, and of each writer each comes after the last. */
static void check(bool cuts)
{
	static uint64_t last[WRITERS];
	uint64_t seen[WRITERS] = {0}, size, at = 0;
	char wanted[RECORD_MAX + 8], *text;
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0)
		fail("open", 0, 0);
	size = (uint64_t)st.st_size;
	text = malloc(size + 1);
	for (uint64_t n = 0; n < size;) {
		ssize_t got = pread(fd, text + n, size - n, (off_t)n);
		if (got <= 0)
			fail("read", (long)n, got);
		n += (uint64_t)got;
	}
	text[size] = 0;
	memset(last, 0, sizeof(last));
	while (at < size) {
		char *end;
		unsigned length, writer = (unsigned)strtoul(text + at, &end, 10);
		uint64_t number = strtoul(end, NULL, 10);

		if (end == text + at || writer >= WRITERS)
			fail("no record", (long)at, (long)size);
		length = record(wanted, writer, number);
		if (at + length > size || memcmp(wanted, text + at, length))
			fail("torn record", (long)at, (long)number);
		if (!number || number > shared->begun[writer])
			fail("a record that nobody wrote", (long)number, (long)last[writer]);
		if (number <= last[writer] && !orphan_take(writer, number))
			fail("out of order", (long)number, (long)last[writer]);
		if (number > last[writer])
			last[writer] = number;
		seen[writer]++;
		at += length;
	}
	for (unsigned w = 0; w < WRITERS && !cuts; w++)
		if (last[w] < shared->written[w])
			fail("lost at the end", (long)last[w], (long)shared->written[w]);
	free(text);
	close(fd);
	/* All that were acknowledged: what is missing was under way when its writer was killed. */
	for (unsigned w = 0; w < WRITERS && !cuts; w++)
		printf("writer %u: %lu of %lu\n", w, seen[w], shared->begun[w]);
}

/* Numbers that were acknowledged but are not there. */
static void check_complete(void)
{
	uint64_t count[WRITERS] = {0};
	char line[RECORD_MAX + 8];
	FILE *f = fopen(path, "r");
	unsigned writer;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%u", &writer) == 1 && writer < WRITERS)
			count[writer]++;
	if (f)
		fclose(f);
	for (unsigned w = 0; w < WRITERS; w++)
		if (count[w] + kills[w] < shared->begun[w])
			fail("lost", (long)count[w], (long)shared->begun[w]);
}

static void disturb(pid_t writers[WRITERS])
{
	unsigned w = (unsigned)below(WRITERS);

	if (below(3) || kills[w] == KILLS_MAX) {
		kill(writers[w], SIGSTOP);
		usleep((useconds_t)below(400000));
		kill(writers[w], SIGCONT);
	} else {
		kill(writers[w], SIGKILL);
		waitpid(writers[w], NULL, 0);
		orphans[w][kills[w]++] = shared->begun[w];
		writers[w] = spawn("--writer", w, w >= PRELOADED);
	}
}

static int run(unsigned seconds, bool cuts)
{
	time_t end = time(NULL) + seconds;
	pid_t writers[WRITERS], readers[READERS];
	int status, bad = 0;

	for (unsigned w = 0; w < WRITERS; w++)
		writers[w] = spawn("--writer", w, w >= PRELOADED);
	for (unsigned r = 0; r < READERS; r++)
		readers[r] = spawn(cuts ? "--reader-cuts" : "--reader", 0, false);
	while (time(NULL) < end) {
		usleep((useconds_t)below(300000));
		disturb(writers);
		if (cuts && truncate(path, 0) == 0)
			shared->cuts++;
	}
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
	for (unsigned w = 0; w < WRITERS; w++)
		bad |= waitpid(writers[w], &status, 0) < 0 || status;
	for (unsigned r = 0; r < READERS; r++)
		bad |= waitpid(readers[r], &status, 0) < 0 || status;
	check(cuts);
	if (!cuts)
		check_complete();
	printf("%lu reads, %lu cuts, kills %u %u %u %u\n", shared->reads, shared->cuts, kills[0], kills[1], kills[2], kills[3]);
	return bad;
}

int main(int argc, char **argv)
{
	char name[4096];
	bool child = argc == 5 && !strncmp(argv[1], "--", 2);
	int fd;

	if (!child) {
		if (argc != 4 && argc != 5) {
			fprintf(stderr, "usage: append DIR SEED SECONDS [cut]\n");
			return 2;
		}
		fd = memfd_create("shared", 0);
		if (fd < 0 || ftruncate(fd, sizeof(*shared)) < 0 || dup2(fd, SHARED_FD) < 0)
			return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	if (shared == MAP_FAILED)
		return 2;
	if (child) {
		path = argv[2];
		chance = strtoull(argv[4], NULL, 0) * 2654435761u + 1;
		return strcmp(argv[1], "--writer") ? reader_main(!strcmp(argv[1], "--reader-cuts"))
						   : writer_main((unsigned)atoi(argv[3]));
	}
	snprintf(name, sizeof(name), "%s/log", argv[1]);
	path = name;
	chance = strtoull(argv[2], NULL, 0) * 2654435761u + 1;
	close(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	fprintf(stderr, "append: seed %s\n", argv[2]);
	return run((unsigned)atoi(argv[3]), argc == 5);
}
