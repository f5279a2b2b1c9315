/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An honest client that believes nothing: verifier DIRECTORY SECONDS
 *
 * Writes blocks that say where they belong and when they were written, reads them back, renames, lists and removes, in
 * four threads; each in files of its own. Any error, and any byte that is not what was written, is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, BLOCKS = 64, BLOCK_MAX = 300000 };

struct work {
	pthread_t thread;
	const char *dir;
	time_t end;
	unsigned number, rounds;
	uint64_t seed;
	uint64_t written[BLOCKS]; /* what block i was filled from; 0: nothing */
	char block[BLOCK_MAX];
};

static void give_up(const struct work *w, const char *what)
{
	fprintf(stderr, "verifier: thread %u, round %u: %s: %s\n", w->number, w->rounds, what, strerror(errno));
	exit(1);
}

static uint64_t noise(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static size_t block_size(unsigned i)
{
	return i % 16 == 0 ? BLOCK_MAX : i % 4 == 0 ? 4096 : 100 + i;
}

static void block_fill(struct work *w, unsigned i, uint64_t from)
{
	for (size_t n = 0; n < block_size(i); n++)
		w->block[n] = (char)(noise(&from) >> 32);
}

static void block_check(struct work *w, int fd, unsigned i)
{
	static _Thread_local char got[BLOCK_MAX];
	size_t size = block_size(i);

	if (pread(fd, got, size, (off_t)i * BLOCK_MAX) != (ssize_t)size)
		give_up(w, "read");
	block_fill(w, i, w->written[i]);
	errno = 0;
	if (memcmp(got, w->block, size) != 0)
		give_up(w, "wrong bytes");
}

static void work_data(struct work *w, int fd)
{
	unsigned i = (unsigned)(noise(&w->seed) % BLOCKS);

	if (w->written[i])
		block_check(w, fd, i);
	w->written[i] = noise(&w->seed) | 1;
	block_fill(w, i, w->written[i]);
	if (pwrite(fd, w->block, block_size(i), (off_t)i * BLOCK_MAX) != (ssize_t)block_size(i))
		give_up(w, "write");
	block_check(w, fd, i);
}

static unsigned entries(const struct work *w, const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	if (!dir)
		give_up(w, "opendir");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void work_names(struct work *w)
{
	char dir[256], a[300], b[300];
	struct stat st;
	int fd;

	snprintf(dir, sizeof(dir), "%s/d%u", w->dir, w->number);
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	if (mkdir(dir, 0700) < 0)
		give_up(w, "mkdir");
	fd = open(a, O_CREAT | O_EXCL | O_WRONLY, 0640);
	if (fd < 0 || write(fd, "four", 4) != 4 || close(fd) < 0)
		give_up(w, "create");
	if (rename(a, b) < 0 || stat(a, &st) == 0 || stat(b, &st) < 0 || st.st_size != 4 || entries(w, dir) != 1)
		give_up(w, "rename");
	if (unlink(b) < 0 || entries(w, dir) != 0 || rmdir(dir) < 0)
		give_up(w, "remove");
}

static void *work_run(void *arg)
{
	struct work *w = arg;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/f%u", w->dir, w->number);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	if (fd < 0)
		give_up(w, "open");
	for (; time(NULL) < w->end; w->rounds++) {
		work_data(w, fd);
		work_names(w);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (w->written[i])
			block_check(w, fd, i);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct work works[THREADS];
	unsigned rounds = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: verifier DIRECTORY SECONDS\n");
		return 2;
	}
	if (mkdir(argv[1], 0700) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (unsigned i = 0; i < THREADS; i++) {
		struct work *w = &works[i];

		w->dir = argv[1];
		w->end = time(NULL) + atoi(argv[2]);
		w->number = i;
		w->seed = 4711 + i;
		pthread_create(&w->thread, NULL, work_run, w);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(works[i].thread, NULL);
		rounds += works[i].rounds;
	}
	printf("%s: %u rounds\n", argv[1], rounds);
	return rounds < THREADS;
}
