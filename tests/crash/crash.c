/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a volume survive power cuts? See model.h for what must hold, states.h for what a power cut leaves.
 *
 *   crash [--images N] [--seed N] [--length N] [--only sequences|random|sqlite] [--keeper] [--skip BARRIER]
 *
 * --skip leaves one barrier out (data, commit, shadow, home) and succeeds only if violations are found: the
 * proof that they would be.
 */
#include "tests/crash/crash.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck.h"
#include "libservices/volume/volume.h"
#include "tests/crash/random.h"

enum { TELL_MAX = 10 };

const uint8_t crash_poison[PAGE] = {[0 ... PAGE - 1] = POISON};

void crash_violation(struct crash *c, const char *what, const char *format, ...)
{
	va_list args;

	c->violations++;
	if (c->told++ >= (c->skip && !c->verbose ? 1 : TELL_MAX))
		return;
	printf("VIOLATION: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n  image %llu, %s\n", (unsigned long long)c->images, what);
	fflush(stdout);
}

void crash_mkfs(struct pages *image, uint64_t seed)
{
	const uint64_t hash_seed[2] = {seed, 2};
	const uint8_t uuid[16] = "crash test";
	struct volume_params params = {.uuid = uuid, .hash_seed = hash_seed, .journal_size = 128 * 4096};
	struct area *area = pages_area(image);
	char error[256];

	if (volume_mkfs(area, "image", &params, error, sizeof(error)) < 0) {
		fprintf(stderr, "crash: %s\n", error);
		exit(2);
	}
	area_close(area);
}

struct problems {
	char first[256];
};

static void on_problem(void *arg, const struct fsck_problem *p)
{
	struct problems *problems = arg;

	if (!problems->first[0])
		snprintf(problems->first, sizeof(problems->first), "%s", p->text);
}

bool crash_fsck(struct crash *c, struct pages *image, const char *what, const char *when)
{
	struct problems problems = {""};
	struct fsck_options options = {.problem = on_problem, .arg = &problems};
	struct area *area = pages_area(image);
	struct fsck_report report;
	char error[256];
	int r = volume_fsck(area, &options, &report, error, sizeof(error));
	bool clean = r == 0 && !report.was.damage && !report.was.leaks;

	area_close(area);
	if (!clean)
		crash_violation(c, what, "fsck %s: %s", when, r < 0 ? error : problems.first);
	return clean;
}

static int skip_find(const char *name, enum vol_skip *ret)
{
	static const char *const names[] = {"none", "data", "commit", "shadow", "home"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name)) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

struct plan {
	const char *only;
	unsigned length;
	bool given;
};

static int usage(void)
{
	fprintf(
	    stderr,
	    "usage: crash [--images N] [--seed N] [--length N] [--per-moment N] [--keeper] [--verbose]\n"
	    "             [--only sequences|random|sqlite] [--skip none|data|commit|shadow|home]\n");
	return 2;
}

static int take(struct crash *c, struct plan *plan, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(word, "--keeper")) {
			c->keeper = true;
			continue;
		}
		if (!strcmp(word, "--verbose")) {
			c->verbose = true;
			continue;
		}
		if (!value)
			return usage();
		i++;
		if (!strcmp(word, "--images"))
			c->wanted = strtoull(value, NULL, 10);
		else if (!strcmp(word, "--seed"))
			c->seed = strtoull(value, NULL, 10);
		else if (!strcmp(word, "--per-moment"))
			c->per_moment = strtoul(value, NULL, 10);
		else if (!strcmp(word, "--length"))
			plan->length = strtoul(value, NULL, 10);
		else if (!strcmp(word, "--only"))
			plan->only = value;
		else if (strcmp(word, "--skip") || skip_find(value, &c->skip) < 0)
			return usage();
	}
	return 0;
}

static bool wants(const struct plan *plan, const char *what)
{
	return !plan->only || !strcmp(plan->only, what);
}

int main(int argc, char **argv)
{
	struct crash c = {.wanted = 2000, .seed = 1, .per_moment = 4};
	struct plan plan = {.length = 40};
	uint64_t part;

	if (take(&c, &plan, argc, argv) != 0)
		return 2;
	part = plan.only ? c.wanted : c.wanted / 5;
	for (unsigned length = 1; length <= 3 && wants(&plan, "sequences"); length++) {
		struct crash some = c;
		some.wanted = c.images + part * (plan.only ? 1 : 2);
		some.wanted = some.wanted > c.wanted ? c.wanted : some.wanted;
		if (c.images < part * 2 || plan.only)
			crash_sequences(&some, length);
		some.wanted = c.wanted;
		c = some;
	}
#ifdef CRASH_SQLITE
	if (wants(&plan, "sqlite")) {
		crash_sqlite(&c, true, c.images + part / 2);
		crash_sqlite(&c, false, c.images + part / 2);
	}
#endif
	if (wants(&plan, "random")) {
		struct crash some = c;
		crash_random(&some, plan.length, c.images + (c.wanted - c.images) / 2);
		some.keeper = true;
		crash_random(&some, plan.length, c.wanted);
		some.keeper = c.keeper;
		c = some;
	}
	printf("%llu images of %llu sequences: %llu violations (seed %llu)\n", (unsigned long long)c.images,
	       (unsigned long long)c.sequences, (unsigned long long)c.violations,
	       (unsigned long long)c.seed);
	return c.skip ? c.violations == 0 : c.violations > 0;
}
