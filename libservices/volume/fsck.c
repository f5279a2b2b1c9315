/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsck: look (without writing anything), and if asked, repair and look again.
 *
 * A volume that was not closed is no damaged one: its journal is part of its state. Before a repair it is
 * mounted once, which brings the journal home, data and all; where that is refused, because of the very
 * damage that is to be repaired, its items are taken from the journal and the bytes of files in it are
 * given up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck-internal.h"

int fsck_grow(void *array, size_t count, size_t *max, size_t size)
{
	void **p = array, *grown;
	size_t wanted = *max ? *max * 2 : 64;

	if (count < *max)
		return 0;
	grown = realloc(*p, wanted * size);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*max = wanted;
	return 0;
}

void fsck_say(struct fsck *f, enum fsck_kind kind, uint64_t ino, uint64_t block, const char *format, ...)
{
	struct fsck_problem problem = {.kind = kind, .ino = ino, .block = block};
	char text[256];
	va_list args;

	if (kind == FSCK_DAMAGE)
		f->counts->damage++;
	else
		f->counts->leaks++;
	if (f->quiet || !f->options->problem)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	problem.text = text;
	f->options->problem(f->options->arg, &problem);
}

int fsck_fail(struct fsck *f, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->error, f->error_size, format, args);
	va_end(args);
	return r;
}

void fsck_progress(struct fsck *f, const char *doing, uint64_t done, uint64_t all)
{
	if (f->options->progress && !f->quiet)
		f->options->progress(f->options->arg, doing, all ? done < all ? (double)done / all : 1 : 0);
}

void fsck_fini(struct fsck *f)
{
	for (size_t i = 0; i < f->image_count; i++)
		free(f->image[i].buf);
	free(f->image);
	fsck_over_fini(&f->over);
	fsck_space_fini(f);
	free(f->span);
	free(f->inode);
	free(f->name);
	free(f->orphan);
}

static void report_fill(struct fsck *f, struct fsck_report *ret)
{
	memcpy(ret->uuid, f->super.uuid, sizeof(ret->uuid));
	memcpy(ret->label, f->super.label, sizeof(f->super.label));
	ret->blocks = f->super.blocks;
	ret->free_blocks = f->super.free_blocks;
	ret->generation = f->super.generation;
	ret->clean = f->super.clean;
}

static void super_check(struct fsck *f)
{
	for (int i = 0; i < 2; i++)
		if (f->super_bad[i]) {
			fsck_say(f, FSCK_DAMAGE, 0, i ? VF_SUPER_1 : VF_SUPER_0,
				 "the %s superblock is damaged", i ? "second" : "first");
			f->rewrite_space = true;
		}
	if (f->base_inodes != f->super.inode_count && !f->lost) {
		fsck_say(f, FSCK_DAMAGE, 0, 0,
			 "there are %" PRIu64 " inodes, and the superblock counts %" PRIu64, f->base_inodes,
			 f->super.inode_count);
		f->rewrite_space = true;
	}
}

/* All that can be seen without writing. */
static int look(struct fsck *f)
{
	int r = fsck_read_super(f);

	if (r == 0)
		r = fsck_read_shadow(f);
	if (r == 0)
		r = fsck_read_journal(f);
	if (r == 0)
		r = fsck_space_init(f);
	if (r == 0)
		r = fsck_items(f);
	if (r == 0)
		r = fsck_space(f);
	if (r == 0)
		r = fsck_links(f);
	if (r == 0)
		super_check(f);
	return r;
}

static bool is_wrong(const struct fsck_counts *c)
{
	return c->damage || c->leaks;
}

/* Brings the journal home. */
static void replay(struct area *area)
{
	const struct vol_config config = {.no_keeper = true};
	char error[256];
	struct vol *v;

	if (vol_mount(area, "fsck", &config, &v, error, sizeof(error)) == 0)
		vol_unmount(v);
}

/* One look, and a repair of what it has seen. */
static int pass(struct area *area, const struct fsck_options *options, bool quiet, bool repair,
		struct fsck_report *report, struct fsck_counts *counts, char *error, size_t error_size)
{
	struct fsck f = {.area = area,
			 .options = options,
			 .report = report,
			 .counts = counts,
			 .quiet = quiet,
			 .error = error,
			 .error_size = error_size};
	int r;

	error[0] = '\0';
	*counts = (struct fsck_counts){0};
	r = look(&f);
	if (r == 0)
		report_fill(&f, report);
	if (r == 0 && repair && is_wrong(counts)) {
		r = fsck_repair(&f);
		report->repaired = r == 0;
	}
	fsck_fini(&f);
	return r;
}

int volume_fsck(struct area *area, const struct fsck_options *options, struct fsck_report *ret, char *error,
		size_t error_size)
{
	struct fsck_report report = {.clean = true};
	struct fsck_counts again;
	int r = pass(area, options, false, false, &report, &report.was, error, error_size);

	report.left = report.was;
	if (r == 0 && options->repair &&
	    (is_wrong(&report.was) || report.was.frames || report.recovering)) {
		struct fsck_report now = report;
		if (report.was.frames || report.recovering)
			replay(area);
		r = pass(area, options, true, true, &now, &again, error, error_size);
		if (r == 0)
			r = pass(area, options, true, false, &now, &report.left, error, error_size);
		report.repaired = now.repaired || (is_wrong(&report.was) && !is_wrong(&report.left));
	}
	if (r == 0)
		*ret = report;
	return r;
}
