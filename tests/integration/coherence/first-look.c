/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file changes while somebody at the FUSE door looks at it for the first time: what that look finds may be from before
 * or after, the next one not. first-look DIR SEED SECONDS
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TURN_FD = 100, BEFORE = 10, AFTER = 5 };

/* Steps are counted: the looker does the odd ones, when told, and says so by counting on. */
static struct {
	uint32_t step, ended;
	int64_t first, second;
} *turn;

static const char *dir;

static void turn_map(void)
{
	turn = mmap(NULL, sizeof(*turn), PROT_READ | PROT_WRITE, MAP_SHARED, TURN_FD, 0);
	if (turn == MAP_FAILED)
		exit(2);
}

static void step_to(uint32_t step)
{
	__atomic_store_n(&turn->step, step, __ATOMIC_SEQ_CST);
}

static bool step_wait(uint32_t step)
{
	while (__atomic_load_n(&turn->step, __ATOMIC_SEQ_CST) != step) {
		if (__atomic_load_n(&turn->ended, __ATOMIC_SEQ_CST))
			return false;
		sched_yield();
	}
	return true;
}

static void name_of(char path[static 4096], uint32_t step)
{
	snprintf(path, 4096, "%s/look%u", dir, step / 4);
}

static int64_t size_now(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static int looker(void)
{
	char path[4096];

	turn_map();
	for (uint32_t step = 1; step_wait(step); step += 4) {
		name_of(path, step);
		turn->first = size_now(path);
		step_to(step + 1);
		if (!step_wait(step + 2))
			break;
		turn->second = size_now(path);
		step_to(step + 3);
	}
	return 0;
}

static int look(uint32_t step, unsigned pause)
{
	char path[4096];
	bool wrong;
	int fd;

	name_of(path, step);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, "0123456789", BEFORE) != BEFORE)
		return 2;
	step_to(step);
	for (volatile unsigned i = 0; i < pause; i++)
		;
	if (ftruncate(fd, AFTER) < 0 || !step_wait(step + 1))
		return 2;
	step_to(step + 2);
	if (!step_wait(step + 3))
		return 2;
	wrong = (turn->first != BEFORE && turn->first != AFTER) || turn->second != AFTER;
	if (wrong)
		fprintf(stderr, "look %u: first %ld, then %ld, not %d\n", step / 4, turn->first, turn->second, AFTER);
	close(fd);
	unlink(path);
	return wrong;
}

static pid_t looker_start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setenv("POLYTROPON_MODE", "off", 1);
		execl("/proc/self/exe", "first-look", "--looker", dir, (char *)NULL);
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL);
	uint32_t step = 1;
	unsigned seed;
	int fd, r = 0;
	pid_t pid;

	if (argc == 3) {
		dir = argv[2];
		return looker();
	}
	if (argc != 4) {
		fprintf(stderr, "usage: first-look DIR SEED SECONDS\n");
		return 2;
	}
	dir = argv[1];
	seed = (unsigned)atoi(argv[2]);
	end += atoi(argv[3]);
	fd = memfd_create("turn", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*turn)) < 0 || dup2(fd, TURN_FD) < 0)
		return 2;
	close(fd);
	turn_map();
	pid = looker_start();
	for (; r == 0 && time(NULL) < end; step += 4)
		r = look(step, (unsigned)rand_r(&seed) % 60000);
	__atomic_store_n(&turn->ended, 1, __ATOMIC_SEQ_CST);
	waitpid(pid, NULL, 0);
	printf("%u first looks\n", step / 4);
	return r;
}
