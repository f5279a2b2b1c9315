/* SPDX-License-Identifier: Apache-2.0 */
/* `fsck`: checks a volume, and repairs it if asked. The exit status is as fsck(8) says. */
#include <errno.h>
#include <string.h>

#include "engine/cmd-image.h"
#include "libservices/volume/fsck.h"

const struct option_row fsck_options[] = {
    {"n", NULL, "only look"},
    {"y", NULL, "repair without asking"},
    {"json", NULL, "print a report in JSON"},
    {"progress", NULL, "show how far it is, on stderr"},
    {},
};

enum {
	FSCK_CLEAN = 0,
	FSCK_REPAIRED = 1,
	FSCK_UNCORRECTED = 4,
	FSCK_OPERATIONAL = 8,
	FSCK_USAGE = 16,
};

enum { PROBLEMS_MAX = 1000 }; /* in a report; all are counted */

struct check {
	struct target target;
	bool no, yes, json, progress;
	struct json_object *problems;
	int shown; /* of the progress, in percent */
};

static int take_option(const struct command *command, const struct option_row *o, const char *value,
		       void *arg)
{
	struct check *c = arg;

	c->no |= !strcmp(o->name, "n");
	c->yes |= !strcmp(o->name, "y");
	c->json |= !strcmp(o->name, "json");
	c->progress |= !strcmp(o->name, "progress");
	return c->no && c->yes ? misuse(command, "-n and -y exclude each other") : 0;
}

/* ---- what the check says while it goes -------------------------------------------------------------- */

static void progress_clear(struct check *c)
{
	if (c->progress && c->shown)
		fprintf(stderr, "\r%60s\r", "");
	c->shown = 0;
}

static void on_problem(void *arg, const struct fsck_problem *p)
{
	struct check *c = arg;
	struct json_object *o;

	if (json_object_array_length(c->problems) < PROBLEMS_MAX) {
		o = json_object_new_object();
		json_set(o, "kind", "%s", p->kind == FSCK_LEAK ? "leak" : "damage");
		json_set(o, "text", "%s", p->text);
		if (p->ino)
			json_object_object_add(o, "inode", json_object_new_uint64(p->ino));
		if (p->block)
			json_object_object_add(o, "block", json_object_new_uint64(p->block));
		json_object_array_add(c->problems, o);
	}
	if (c->json)
		return;
	progress_clear(c);
	printf("%s\n", p->text);
}

static void on_progress(void *arg, const char *doing, double part)
{
	struct check *c = arg;
	int percent = part * 100, bars = part * 30;
	char bar[31];

	if (!c->progress || percent == c->shown)
		return;
	c->shown = percent;
	memset(bar, '=', bars);
	memset(bar + bars, ' ', 30 - bars);
	bar[30] = '\0';
	fprintf(stderr, "\r%-12s [%s] %3d%%", doing, bar, percent);
}

/* ---- the report ------------------------------------------------------------------------------------- */

static int status_of(const struct fsck_report *r)
{
	if (r->left.damage || r->left.leaks)
		return FSCK_UNCORRECTED;
	return r->was.damage || r->was.leaks ? FSCK_REPAIRED : FSCK_CLEAN;
}

static const char *status_name(int status)
{
	return status == FSCK_CLEAN ? "clean" : status == FSCK_REPAIRED ? "repaired" : "damaged";
}

static struct json_object *counts_json(const struct fsck_counts *c)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	    {"inodes", c->inodes},
	    {"directories", c->directories},
	    {"names", c->names},
	    {"extents", c->extents},
	    {"attributes", c->attributes},
	    {"nodes", c->nodes},
	    {"orphans", c->orphans},
	    {"blocks_used", c->blocks_used},
	    {"blocks_leaked", c->blocks_leaked},
	    {"journal_frames", c->frames},
	    {"journal_records", c->records},
	    {"damage", c->damage},
	    {"leaks", c->leaks},
	};
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_object_object_add(o, rows[i].name, json_object_new_uint64(rows[i].value));
	return o;
}

static void print_json(const struct check *c, const struct fsck_report *r, int status)
{
	_cleanup_(json_put_p) struct json_object *o = json_object_new_object();
	char uuid[37] = "";

	for (int i = 0, n = 0; i < 16; i++)
		n += snprintf(uuid + n, sizeof(uuid) - n, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", r->uuid[i]);
	json_set(o, "image", "%s", c->target.text);
	json_set(o, "status", "%s", status_name(status));
	json_set(o, "uuid", "%s", uuid);
	json_set(o, "label", "%s", r->label);
	json_object_object_add(o, "blocks", json_object_new_uint64(r->blocks));
	json_object_object_add(o, "free_blocks", json_object_new_uint64(r->free_blocks));
	json_object_object_add(o, "generation", json_object_new_uint64(r->generation));
	json_object_object_add(o, "was_closed", json_object_new_boolean(r->clean));
	json_object_object_add(o, "found", counts_json(&r->was));
	json_object_object_add(o, "left", counts_json(&r->left));
	json_object_object_add(o, "problems", json_object_get(c->problems));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void print_text(const struct check *c, const struct fsck_report *r, int status)
{
	const struct fsck_counts *n = &r->left;

	printf("%s: %s: %llu inodes, %llu names, %llu of %llu blocks used", c->target.text,
	       status_name(status), (unsigned long long)n->inodes, (unsigned long long)n->names,
	       (unsigned long long)n->blocks_used, (unsigned long long)r->blocks);
	if (n->frames)
		printf("; the journal has %llu transactions, which the next mount applies",
		       (unsigned long long)n->frames);
	if (r->was.damage || r->was.leaks)
		printf("; %llu damaged, %llu leaks", (unsigned long long)r->was.damage,
		       (unsigned long long)r->was.leaks);
	if (r->repaired)
		printf("; %llu damaged, %llu leaks after the repair", (unsigned long long)n->damage,
		       (unsigned long long)n->leaks);
	putchar('\n');
}

/* ---- the check -------------------------------------------------------------------------------------- */

static int look(struct check *c, bool repair, struct fsck_report *ret)
{
	struct fsck_options options = {
	    .repair = repair, .problem = on_problem, .progress = on_progress, .arg = c};
	struct error error;
	int r = volume_fsck(c->target.area, &options, ret, error.text, sizeof(error.text));

	progress_clear(c);
	if (r == 0)
		return 0;
	complain("'%s': %s%s", c->target.text, error.text,
		 r == -EMEDIUMTYPE ? target_holds(&c->target) : "");
	return r == -EUCLEAN ? FSCK_UNCORRECTED : FSCK_OPERATIONAL;
}

static bool ask(void)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return false;
	printf("Repair? [y/N] ");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static int check(struct check *c)
{
	struct fsck_report report;
	int status, r = look(c, c->yes, &report);

	if (r != 0)
		return r;
	status = status_of(&report);
	if (status == FSCK_UNCORRECTED && !c->no && !c->yes && !c->json && ask()) {
		r = look(c, true, &report);
		if (r != 0)
			return r;
		status = status_of(&report);
	}
	if (c->json)
		print_json(c, &report, status);
	else
		print_text(c, &report, status);
	return status;
}

int cmd_fsck(const struct command *command, char **argv)
{
	struct check c = {.problems = json_object_new_array()};
	struct error error;
	int r = target_options_take(&c.target, command, argv, take_option, &c);

	if (r != 0) {
		r = FSCK_USAGE;
	} else if (target_open(&c.target, c.no ? IMAGE_READ : 0, &error) < 0 ||
		   target_area(&c.target, &error) < 0) {
		complain("%s", error.text);
		r = FSCK_OPERATIONAL;
	} else {
		r = check(&c);
	}
	target_fini(&c.target);
	json_object_put(c.problems);
	return r;
}
