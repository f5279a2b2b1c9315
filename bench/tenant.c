/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/tenant.h"
#include "service/meter.h"

enum { RAGE_PIECE = 1 << 20, RAGE_SIZE = 32 << 20, EXT4_MEGABYTES = 16384 };

/* ---- a worker -------------------------------------------------------------------------------------- */

void tenant_must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "a tenant: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void work(const struct tenant_job *job, unsigned ms)
{
	static uint64_t bucket[TENANT_KINDS * METER_BUCKETS];
	int64_t start = bench_now(), now = start, until = start + ms * 1000000ll;
	static unsigned random = 1;

	memset(bucket, 0, sizeof(bucket));
	do {
		int64_t before = now;
		unsigned kind;
		random = random * 1103515245u + 12345u;
		kind = job->step(random >> 8);
		now = bench_now();
		bucket[kind * METER_BUCKETS + meter_bucket((uint64_t)(now - before))]++;
	} while (now < until);
	printf("%lld", (long long)(now - start));
	for (unsigned i = 0; i < TENANT_KINDS * METER_BUCKETS; i++)
		if (bucket[i])
			printf(" %u:%llu", i, (unsigned long long)bucket[i]);
	putchar('\n');
}

/* One child computes, one writes. */
static void rage(unsigned ms)
{
	static char buffer[RAGE_PIECE];
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
	puts("1");
}

static const struct tenant_job *job_find(const struct tenant_job *jobs, const char *name)
{
	while (jobs->name && strcmp(jobs->name, name) != 0)
		jobs++;
	return jobs->name ? jobs : NULL;
}

void tenant_main(char **argv, const struct tenant_job *jobs)
{
	const struct tenant_job *job;
	char order[16];
	unsigned ms;

	if (!argv[1] || strcmp(argv[1], "--worker") != 0 || !argv[2] || !argv[3] || !argv[4])
		return;
	job = job_find(jobs, argv[2]);
	tenant_must(job && chdir(argv[3]) == 0, argv[3]);
	if (atoi(argv[4]) >= 0)
		bench_pin(atoi(argv[4]));
	job->prepare();
	door_ready();
	while (scanf("%15s %u", order, &ms) == 2) {
		if (!strcmp(order, "work"))
			work(job, ms);
		else
			rage(ms);
		fflush(stdout);
	}
	exit(0);
}

/* ---- tenants --------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	/* Of a shell: $N is the tenant's number, $PLACE where all is, $SIZE the megabytes, $CPU its core or -1, $CPUS
	 * the same as an option. */
	const char *command;
} places[TENANT_PLACES] = {
	{"pool", "exec \"$POLYTROPON\" run --image \"$PLACE/pool$N.img\" --size ${SIZE}M $CPUS --at /bench -- "
		 "\"$BENCH\" --worker $JOB /bench $CPU"},
	{"ext4", "mountpoint -q ext4 && mkdir -p ext4/$N && exec \"$BENCH\" --worker $JOB ext4/$N $CPU"},
	{"overlayfs on ext4", "mountpoint -q ext4 && cd ext4 && mkdir o$N && cd o$N && mkdir l u w m && "
			      "mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m && "
			      "exec \"$BENCH\" --worker $JOB m $CPU"},
	{"fuse-overlayfs", "command -v fuse-overlayfs >/dev/null && mountpoint -q ext4 && cd ext4 && mkdir f$N && cd f$N && "
			   "mkdir l u w m && fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w m && "
			   "exec \"$BENCH\" --worker $JOB m $CPU"},
};

const char *tenant_place_name(enum tenant_place place)
{
	return places[place].name;
}

void tenants_begin(const char *bench)
{
	char command[160];

	place_begin(bench, "/tmp");
	setenv("PLACE", place_name(), 1);
	snprintf(command, sizeof(command),
		 "mkdir ext4 && truncate -s %dM ext4.img && mkfs.ext4 -q ext4.img && mount -o loop ext4.img ext4",
		 EXT4_MEGABYTES);
	if (system(command) != 0)
		fprintf(stderr, "bench-%s: there is no ext4 here\n", bench);
}

void tenants_clear(void)
{
	if (system("cd ext4 && for m in [fo]*/m; do mountpoint -q $m && umount $m; done; rm -rf ./[0-9]* [fo]* ../pool*.img") != 0)
		fprintf(stderr, "'%s': some is still there\n", place_name());
}

int tenants_end(void)
{
	tenants_clear();
	return place_end();
}

static void number_set(const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	setenv(name, text, 1);
}

static void core_set(int cpu)
{
	char option[32] = "";

	if (cpu >= 0)
		snprintf(option, sizeof(option), "--cpus %d", cpu);
	number_set("CPU", cpu);
	setenv("CPUS", option, 1);
}

bool tenant_start(struct tenant *t, enum tenant_place place, const struct tenant_job *job, unsigned number, int cpu)
{
	snprintf(t->name, sizeof(t->name), "%s %u", places[place].name, number);
	number_set("N", (int)number);
	number_set("SIZE", (int)job->megabytes);
	core_set(cpu);
	setenv("JOB", job->name, 1);
	return door_start(&t->door, t->name, places[place].command);
}

void tenant_work(struct tenant *t, unsigned ms)
{
	door_order(&t->door, "work %u", ms);
}

void tenant_rage(struct tenant *t, unsigned ms)
{
	door_order(&t->door, "rage %u", ms);
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
static void times_take(struct tenant_times *r, const uint64_t *bucket)
{
	static const double shares[] = {0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95,
					0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1};

	r->operations = 0;
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		r->operations += bucket[i];
	r->p50 = percentile(bucket, r->operations, 0.5);
	r->p99 = percentile(bucket, r->operations, 0.99);
	r->p999 = percentile(bucket, r->operations, 0.999);
	for (r->points = 0; r->points < sizeof(shares) / sizeof(shares[0]); r->points++) {
		r->share[r->points] = shares[r->points];
		r->point[r->points] = percentile(bucket, r->operations, shares[r->points]);
	}
}

void tenant_take(struct tenant *t, struct tenant_result *ret)
{
	static char line[TENANT_KINDS * METER_BUCKETS * 24];
	static uint64_t bucket[TENANT_KINDS * METER_BUCKETS], all[METER_BUCKETS];
	unsigned long long count;
	unsigned index;
	double ns;
	char *p = line;

	memset(bucket, 0, sizeof(bucket));
	door_answer(&t->door, line, sizeof(line));
	ns = atof(line);
	for (p += strcspn(p, " "); sscanf(p, " %u:%llu", &index, &count) == 2 && index < TENANT_KINDS * METER_BUCKETS;
	     p += 1 + strcspn(p + 1, " "))
		bucket[index] = count;
	for (unsigned i = 0; i < METER_BUCKETS; i++) {
		all[i] = 0;
		for (unsigned k = 0; k < TENANT_KINDS; k++)
			all[i] += bucket[k * METER_BUCKETS + i];
	}
	times_take(&ret->all, all);
	for (unsigned k = 0; k < TENANT_KINDS; k++)
		times_take(&ret->kind[k], &bucket[k * METER_BUCKETS]);
	ret->mean = ret->all.operations ? ns / ret->all.operations : 0;
}

void tenant_end(struct tenant *t)
{
	door_end(&t->door);
}

void tenant_print_points(const char *key, const struct tenant_times *t)
{
	printf(",\"%s\":[", key);
	for (unsigned i = 0; i < t->points; i++)
		printf("%s[%.0f,%g]", i ? "," : "", t->point[i], t->share[i]);
	putchar(']');
}
