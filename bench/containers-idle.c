/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is paid for what does nothing, against what it may cost: the memory of a service for each idle container of a pool
 * (256; quick: 32), what an idle pool needs (64; quick: 8) of memory, its service, its init and its part of the engine, and
 * what all of these compute in ten seconds. Memory is the proportional set size, which counts shared pages by shares.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/containers.h"
#include "bench/door.h"

enum { CONTAINERS = 256, CONTAINERS_QUICK = 32, POOLS = 64, POOLS_QUICK = 8, REST_S = 3, IDLE_S = 10, PROCESSES = 4096 };
enum { CONTAINER_MAX = 1 << 20, POOL_MAX = 12 << 20 }; /* bytes */
static const double percent_max = 0.05; /* is written as 0.0 % */

static const char image_make[] =
	"rm -rf box && mkdir -p box/bin idle && cp \"$(command -v busybox)\" box/bin/busybox && "
	"printf 'pools: {idle: {cache: {size: 256M}, roots: {host: {path: %s/idle, exclusive: true}}}}' \"$PWD\" >idle.yaml && "
	"\"$POLYTROPON\" up idle.yaml >/dev/null && \"$POLYTROPON\" image import box box >/dev/null";

/* Each says when it has come to its rest. */
static const char containers_make[] =
	": >rest; for i in $(seq $COUNT); do "
	"\"$POLYTROPON\" run --root box idle -- /bin/busybox sh -c 'echo; exec /bin/busybox sleep 100000' >>rest 2>/dev/null & "
	"done; n=0; while [ $(wc -l <rest) -lt $COUNT ]; do n=$((n + 1)); [ $n -lt 3000 ] || exit 1; sleep 0.1; done";

static const char pools_make[] =
	"{ echo pools:; for i in $(seq $COUNT); do mkdir -p idle/$i && "
	"echo \"  idle$i: {mounts: {/data: {host: {path: $PWD/idle/$i, exclusive: true}}}}\"; done; } >idle.yaml && "
	"\"$POLYTROPON\" up idle.yaml >/dev/null && "
	"for i in $(seq $COUNT); do \"$POLYTROPON\" run idle$i -- sh -c 'echo >/data/f; cat /data/f' >/dev/null || exit 1; done";

static bool shell(const char *command, unsigned count)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", count);
	setenv("COUNT", number, 1);
	return system(command) == 0;
}

/* ---- processes -------------------------------------------------------------------------------------- */

/* All of the command's processes that are there for pools: their environment names our place. Of `comm` only; or NULL. */
static unsigned processes_find(const char *comm, pid_t ret[static PROCESSES])
{
	char path[64], text[4096], wanted[256];
	struct dirent *e;
	DIR *proc = opendir("/proc");
	unsigned n = 0;

	snprintf(wanted, sizeof(wanted), "POLYTROPON_RUN=%s", getenv("POLYTROPON_RUN"));
	while (proc && (e = readdir(proc)) && n < PROCESSES) {
		bool ours = false;
		size_t length;
		FILE *f;
		snprintf(path, sizeof(path), "/proc/%.16s/environ", e->d_name);
		f = atoi(e->d_name) > 0 ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		length = fread(text, 1, sizeof(text), f);
		fclose(f);
		ours = memmem(text, length, wanted, strlen(wanted)) != NULL;
		snprintf(path, sizeof(path), "/proc/%.16s/comm", e->d_name);
		f = ours ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		if (fgets(text, sizeof(text), f) && !strncmp(text, comm, strlen(comm)))
			ret[n++] = atoi(e->d_name);
		fclose(f);
	}
	if (proc)
		closedir(proc);
	return n;
}

static double pss_of(pid_t pid)
{
	return bench_smaps(pid, "Pss");
}

static double cpu_of(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64], text[1024], *after;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && fgets(text, sizeof(text), f) && (after = strrchr(text, ')')))
		sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	if (f)
		fclose(f);
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static double sum_of(const char *comm, double (*what)(pid_t pid))
{
	static pid_t pid[PROCESSES];
	unsigned n = processes_find(comm, pid);
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += what(pid[i]);
	return sum;
}

/* ---- cases ------------------------------------------------------------------------------------------ */

static void report(const struct bench *b, const char *name, const char *unit, double ours, double most)
{
	bench_report(b, &(struct bench_result){name, "at most", &ours, &most, 1, 0, unit});
}

static void idle_end(const char *what)
{
	if (system("\"$POLYTROPON\" down >/dev/null 2>&1") != 0)
		fprintf(stderr, "bench-containers: %s do not end\n", what);
}

static void containers_idle(const struct bench *b)
{
	unsigned count = b->quick ? CONTAINERS_QUICK : CONTAINERS;
	double before, after;
	char name[64];

	/* (One, at first: what a service needs for the first is not what it needs for each.) */
	if (!shell(image_make, 0) || !shell("\"$POLYTROPON\" run --root box idle -- /bin/busybox true", 0)) {
		fprintf(stderr, "bench-containers: no container starts here\n");
		return;
	}
	before = sum_of("polytropon-ser", pss_of);
	if (shell(containers_make, count)) {
		sleep(REST_S);
		after = sum_of("polytropon-ser", pss_of);
		snprintf(name, sizeof(name), "memory of 1 of %u containers", count);
		report(b, name, "bytes", after > before ? (after - before) / count : 0, CONTAINER_MAX);
	} else {
		fprintf(stderr, "bench-containers: %u containers do not start here\n", count);
	}
	idle_end("idle containers");
}

static void pools_idle(const struct bench *b)
{
	unsigned count = b->quick ? POOLS_QUICK : POOLS;
	char name[64];
	double used;

	if (shell(pools_make, count)) {
		sleep(REST_S);
		snprintf(name, sizeof(name), "memory of 1 of %u pools", count);
		report(b, name, "bytes", sum_of("polytropon", pss_of) / count, POOL_MAX);
		used = sum_of("polytropon", cpu_of);
		sleep(IDLE_S);
		snprintf(name, sizeof(name), "%u idle pools", count);
		report(b, name, "percent", 100 * (sum_of("polytropon", cpu_of) - used) / IDLE_S, percent_max);
	} else {
		fprintf(stderr, "bench-containers: %u pools do not start here\n", count);
	}
	idle_end("idle pools");
}

void containers_rest(const struct bench *b)
{
	containers_idle(b);
	pools_idle(b);
}
