/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/tenant.h"
#include "service/meter.h"

enum { FILE_SIZE = 8 << 20, PIECE = 4096, RAGE_PIECE = 1 << 20, RAGE_SIZE = 32 << 20, FILES = 64 };

/* ---- a worker -------------------------------------------------------------------------------------- */

static char buffer[RAGE_PIECE];

static int file_fill(const char *name, size_t size)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	for (size_t at = 0; fd >= 0 && at < size; at += sizeof(buffer))
		if (pwrite(fd, buffer, sizeof(buffer), (off_t)at) < 0)
			exit(1);
	if (fd < 0)
		exit(1);
	fsync(fd);
	return fd;
}

static void small_files(void)
{
	char name[32];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "small%d", i);
		close(open(name, O_RDWR | O_CREAT, 0600));
	}
}

/* Seven reads to two looks at a name and one write. */
static void work_step(int fd, unsigned random)
{
	char name[32];
	struct stat st;
	off_t at = (off_t)(random / 16 % (FILE_SIZE / PIECE)) * PIECE;

	switch (random % 10) {
	case 0:
		if (pwrite(fd, buffer, PIECE, at) != PIECE)
			exit(1);
		break;
	case 1:
	case 2:
		snprintf(name, sizeof(name), "small%u", random / 16 % FILES);
		if (stat(name, &st) < 0)
			exit(1);
		break;
	default:
		if (pread(fd, buffer, PIECE, at) != PIECE)
			exit(1);
	}
}

static void work(int fd, unsigned ms)
{
	static uint64_t bucket[METER_BUCKETS];
	int64_t start = bench_now(), now = start, until = start + ms * 1000000ll;
	unsigned random = 1;
	uint64_t n = 0;

	memset(bucket, 0, sizeof(bucket));
	for (; now < until; n++) {
		int64_t before = now;
		random = random * 1103515245u + 12345u;
		work_step(fd, random >> 8);
		now = bench_now();
		bucket[meter_bucket((uint64_t)(now - before))]++;
	}
	printf("%llu %lld", (unsigned long long)n, (long long)(now - start));
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		if (bucket[i])
			printf(" %u:%llu", i, (unsigned long long)bucket[i]);
	putchar('\n');
}

/* One child computes, one writes. */
static void rage(unsigned ms)
{
	int64_t until = bench_now() + ms * 1000000ll;
	volatile unsigned sum = 0;
	pid_t pid = fork();

	if (pid == 0) {
		while (bench_now() < until)
			for (int i = 0; i < 100000; i++)
				sum += (unsigned)i;
		_exit(sum == 1);
	}
	while (bench_now() < until) {
		int fd = open("rage", O_RDWR | O_CREAT, 0600);
		for (off_t at = 0; at < RAGE_SIZE && bench_now() < until; at += RAGE_PIECE)
			if (pwrite(fd, buffer, RAGE_PIECE, at) < 0)
				break;
		fsync(fd);
		close(fd);
	}
	waitpid(pid, NULL, 0);
	puts("0 1");
}

void tenant_run(const char *dir, int cpu)
{
	char order[16];
	unsigned ms;
	int fd;

	bench_pin(cpu);
	if (chdir(dir) < 0)
		exit(1);
	fd = file_fill("file", FILE_SIZE);
	small_files();
	puts("ready");
	fflush(stdout);
	while (scanf("%15s %u", order, &ms) == 2) {
		if (!strcmp(order, "work"))
			work(fd, ms);
		else
			rage(ms);
		fflush(stdout);
	}
	exit(0);
}

/* ---- tenants --------------------------------------------------------------------------------------- */

static char place[64];

static void places_set(void)
{
	char self[4096], engine[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		exit(1);
	self[n] = 0;
	setenv("BENCH", self, 1);
	*strrchr(self, '/') = 0;
	snprintf(engine, sizeof(engine), "%s/../engine/polytropon", self);
	setenv("POLYTROPON", access(engine, X_OK) == 0 ? engine : "polytropon", access(engine, X_OK) == 0);
}

void tenants_begin(const char *bench)
{
	signal(SIGPIPE, SIG_IGN);
	places_set();
	snprintf(place, sizeof(place), "/tmp/bench-%s.XXXXXX", bench);
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(place) || chdir(place) < 0) {
		fprintf(stderr, "bench-%s: a place to work in: %s\n", bench, strerror(geteuid() ? EPERM : errno));
		exit(77);
	}
	if (system("mkdir ext4 && truncate -s 1G ext4.img && mkfs.ext4 -q ext4.img && mount -o loop ext4.img ext4") != 0)
		printf("{\"bench\":\"%s\",\"missing\":\"ext4\"}\n", bench);
}

void tenants_end(void)
{
	char command[200];

	snprintf(command, sizeof(command), "cd / && { umount %s/ext4; rm -rf %s; } 2>/dev/null", place, place);
	if (system(command) != 0)
		fprintf(stderr, "'%s' is left behind\n", place);
}

static void child(bool pool, unsigned number, int cpu, int in, int out)
{
	char command[512];

	dup2(in, 0);
	dup2(out, 1);
	if (pool)
		snprintf(command, sizeof(command),
			 "exec \"$POLYTROPON\" run --image %s/pool%u.img --size 256M --cpus %d --at /bench -- \"$BENCH\" "
			 "--worker /bench %d", place, number, cpu, cpu);
	else
		snprintf(command, sizeof(command),
			 "mountpoint -q ext4 && mkdir -p ext4/%u && exec \"$BENCH\" --worker ext4/%u %d", number, number,
			 cpu);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

bool tenant_start(struct tenant *t, bool pool, unsigned number, int cpu)
{
	int to[2], from[2];
	char line[64];

	*t = (struct tenant){0};
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		exit(1);
	t->pid = fork();
	if (t->pid == 0)
		child(pool, number, cpu, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	t->to = fdopen(to[1], "w");
	t->from = fdopen(from[0], "r");
	if (fgets(line, sizeof(line), t->from) && !strcmp(line, "ready\n"))
		return true;
	tenant_end(t);
	return false;
}

static void order(struct tenant *t, const char *what, unsigned ms)
{
	fprintf(t->to, "%s %u\n", what, ms);
	fflush(t->to);
}

void tenant_work(struct tenant *t, unsigned ms)
{
	order(t, "work", ms);
}

void tenant_rage(struct tenant *t, unsigned ms)
{
	order(t, "rage", ms);
}

static double percentile(const uint64_t *bucket, uint64_t all, double p)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++) {
		seen += bucket[i];
		if (seen && seen >= all * p)
			return meter_value(i);
	}
	return 0;
}

/* Closer together towards the end, where it matters. */
static void points_take(struct tenant_result *r, const uint64_t *bucket)
{
	static const double shares[] = {0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95,
					0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1};

	for (r->points = 0; r->points < sizeof(shares) / sizeof(shares[0]); r->points++) {
		r->share[r->points] = shares[r->points];
		r->point[r->points] = percentile(bucket, r->operations, shares[r->points]);
	}
}

struct tenant_result tenant_take(struct tenant *t)
{
	static char line[METER_BUCKETS * 24];
	uint64_t bucket[METER_BUCKETS] = {0};
	struct tenant_result r = {0};
	unsigned long long n, ns, count;
	unsigned index;
	char *p = line;

	if (!t->from || !fgets(line, sizeof(line), t->from) || sscanf(line, "%llu %llu", &n, &ns) != 2) {
		fprintf(stderr, "a tenant has ended too early\n");
		exit(1);
	}
	p += strcspn(p, " ") + 1;
	for (p += strcspn(p, " "); sscanf(p, " %u:%llu", &index, &count) == 2 && index < METER_BUCKETS;
	     p += 1 + strcspn(p + 1, " "))
		bucket[index] = count;
	r.operations = n;
	r.mean = n ? (double)ns / n : 0;
	r.p50 = percentile(bucket, n, 0.5);
	r.p99 = percentile(bucket, n, 0.99);
	r.p999 = percentile(bucket, n, 0.999);
	if (n)
		points_take(&r, bucket);
	return r;
}

void tenant_end(struct tenant *t)
{
	if (t->to) {
		fclose(t->to);
		fclose(t->from);
		waitpid(t->pid, NULL, 0);
	}
	t->to = t->from = NULL;
}

void tenant_print_points(const char *key, const struct tenant_result *r)
{
	printf(",\"%s\":[", key);
	for (unsigned i = 0; i < r->points; i++)
		printf("%s[%.0f,%g]", i ? "," : "", r->point[i], r->share[i]);
	putchar(']');
}
