/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences of operations: every one of up to three from a small set, and long ones drawn at random. Each
 * starts on a volume that has files already, in a medium that is full of poison elsewhere, and ends with a
 * sync and a clean unmount, which are operations that a power cut may hit like the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"
#include "tests/crash/random.h"

/* ---- what was there before -------------------------------------------------------------------------- */

struct template
{
	struct pages image;
	struct model *model;
};

static void run_one(struct mounted *m, struct model *model, const struct op *op)
{
	unsigned number = model->ops, nodes = model->snap[number].nodes;
	char text[64];
	uint64_t ino = 0;
	int r = mounted_do(m, op, number, &ino);

	if (r < 0) {
		op_print(op, text, sizeof(text));
		fprintf(stderr, "crash: operation %u, %s: %s\n", number, text, strerror(-r));
		exit(2);
	}
	model_apply(model, op);
	if (model->snap[model->ops].nodes > nodes)
		model->node[nodes].ino = ino;
}

/* a: one block and more; b: within the tree; d/a: many blocks. Old contents lie where files were. */
static void template_make(struct template *t, uint64_t seed)
{
	static const struct op ops[] = {
	    {OP_CREATE, PLACE_C, 0, 0, 0},   {OP_WRITE, PLACE_C, 0, 0, 100000},
	    {OP_SYNC, 0, 0, 0, 0},           {OP_CREATE, PLACE_A, 0, 0, 0},
	    {OP_WRITE, PLACE_A, 0, 0, 9000}, {OP_CREATE, PLACE_B, 0, 0, 0},
	    {OP_WRITE, PLACE_B, 0, 0, 700},  {OP_MKDIR, PLACE_D, 0, 0, 0},
	    {OP_CREATE, PLACE_DA, 0, 0, 0},  {OP_WRITE, PLACE_DA, 0, 0, 50000},
	    {OP_UNLINK, PLACE_C, 0, 0, 0},   {OP_SYNC, 0, 0, 0, 0},
	};
	const struct vol_config config = {.no_keeper = true};
	struct area *area;
	struct mounted m;
	char error[256];

	pages_init(&t->image, GROWN_BLOCKS, crash_poison);
	t->image.count = IMAGE_BLOCKS;
	t->model = model_new();
	crash_mkfs(&t->image, seed);
	area = pages_area(&t->image);
	if (mounted_open(&m, area, &config, error, sizeof(error)) < 0) {
		fprintf(stderr, "crash: %s\n", error);
		exit(2);
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		run_one(&m, t->model, &ops[i]);
	mounted_close(&m);
	area_close(area);
	model_settle(t->model);
}

static void template_fini(struct template *t)
{
	pages_fini(&t->image);
	model_free(t->model);
}

/* ---- one image -------------------------------------------------------------------------------------- */

/* It goes on from there: a new file takes blocks, and takes nobody's. */
static bool probe(struct crash *c, struct mounted *m, const struct found *found, const char *what)
{
	static const char name[] = "probe";
	uint8_t bytes[20000];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct ls_inode *inode;
	struct ls_file *f;
	struct ls_attr attr;
	struct found again;
	char error[256];
	bool same;
	off_t end;
	int r = ls_create(&m->ls, &m->call, m->ls.root, name, 0644, 2, &inode, &attr, &f);

	memset(bytes, 0x55, sizeof(bytes));
	if (r == 0) {
		r = ls_write(&m->ls, &m->call, f, &iov, 1, 0, 0, &end) == sizeof(bytes) ? 0 : -1;
		r = r == 0 ? ls_fsync(&m->ls, &m->call, f, 0) : r;
		ls_release(&m->ls, &m->call, f);
		ls_forget(&m->ls, &m->call, inode, 1);
	}
	if (r == 0)
		r = ls_unlink(&m->ls, &m->call, m->ls.root, name);
	if (r < 0) {
		crash_violation(c, what, "nothing can be written afterwards");
		return false;
	}
	r = mounted_look(m, &again, error, sizeof(error));
	same = r == 0 && again.nodes == found->nodes;
	for (unsigned i = 0; same && i < found->nodes; i++)
		same = again.node[i].size == found->node[i].size &&
		       (again.node[i].directory ||
			!memcmp(again.node[i].bytes, found->node[i].bytes, found->node[i].size));
	found_fini(&again);
	if (!same)
		crash_violation(c, what, "what is written afterwards changes other files");
	return same;
}

static void judge(struct crash *c, const struct model *model, struct pages *image, unsigned begun,
		  unsigned acked, const char *what)
{
	const struct vol_config config = {.no_keeper = true};
	bool thorough = c->images % 4 == 0;
	struct area *area;
	struct mounted m;
	struct found found = {.nodes = 0};
	char text[400];

	if (!crash_fsck(c, image, what, "before the mount"))
		return;
	area = pages_area(image);
	if (mounted_open(&m, area, &config, text, sizeof(text)) < 0) {
		crash_violation(c, what, "mount: %s", text);
		area_close(area);
		return;
	}
	if (mounted_look(&m, &found, text, sizeof(text)) < 0)
		crash_violation(c, what, "%s", text);
	else if (!model_allows(model, &found, begun, acked, text, sizeof(text)))
		crash_violation(c, what, "%s", text);
	else if (thorough)
		thorough = probe(c, &m, &found, what);
	found_fini(&found);
	mounted_close(&m);
	area_close(area);
	if (thorough)
		crash_fsck(c, image, what, "after a mount");
}

/* ---- one sequence ----------------------------------------------------------------------------------- */

static void sequence_print(const struct model *m, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < m->ops && n + 48 < size; i++) {
		op_print(&m->op[i], buf + n, size - n);
		n += strlen(buf + n);
		n += snprintf(buf + n, size - n, "; ");
	}
}

static void judge_all(struct crash *c, const struct record *record, const struct template *t,
		      const struct model *model, uint64_t seed)
{
	struct states *states = states_new(record, &t->image, seed, c->per_moment);
	static char sequence[16384];
	char what[16384 + 512], state[200];
	uint32_t begun, acked;
	struct pages image;

	sequence_print(model, sequence, sizeof(sequence));
	pages_init(&image, t->image.count, crash_poison);
	while (c->images < c->wanted && states_next(states, &image, &begun, &acked)) {
		/* The unmount is one operation more. */
		begun = begun > model->ops ? model->ops : begun;
		acked = acked > model->ops ? model->ops : acked;
		states_describe(states, state, sizeof(state));
		snprintf(what, sizeof(what), "seed %llu: %s\n  %u operations begun, %u acknowledged; %s",
			 (unsigned long long)c->seed, sequence, begun, acked, state);
		c->images++;
		judge(c, model, &image, begun, acked, what);
	}
	pages_fini(&image);
	states_free(states);
}

static void sequence_run(struct crash *c, struct template *t, const struct op *ops, unsigned count,
			 uint64_t seed)
{
	const struct vol_config config = {
	    .no_keeper = !c->keeper, .skip = c->skip, .commit_interval = c->keeper ? 2000000 : 0};
	struct model *model = model_new();
	struct record *record;
	static const struct op sync = {.kind = OP_SYNC};
	struct mounted m;
	char error[256];

	model_continue(model, t->model);
	t->image.count = seed % 8 == 7 ? GROWN_BLOCKS : IMAGE_BLOCKS;
	record = record_new(&t->image);
	if (mounted_open(&m, record->area, &config, error, sizeof(error)) < 0) {
		fprintf(stderr, "crash: %s\n", error);
		exit(2);
	}
	for (unsigned i = 0; i <= count; i++) {
		const struct op *op = i < count ? &ops[i] : &sync;
		if (!model_possible(model, op))
			continue;
		record_mark(record, EVENT_BEGIN, model->ops);
		run_one(&m, model, op);
		record_mark(record, EVENT_END, model->ops - 1);
	}
	record_mark(record, EVENT_BEGIN, model->ops);
	mounted_close(&m);
	record_mark(record, EVENT_END, model->ops);
	judge_all(c, record, t, model, seed);
	c->sequences++;
	model_free(model);
	record_free(record);
}

/* ---- all sequences, and random ones ----------------------------------------------------------------- */

static const struct op alphabet[] = {
    {OP_CREATE, PLACE_C, 0, 0, 0},
    {OP_WRITE, PLACE_A, 0, 0, 5000},
    {OP_WRITE, PLACE_B, 0, 300, 200},
    {OP_WRITE, PLACE_C, 0, 0, 1000},
    {OP_APPEND, PLACE_A, 0, 0, 3000},
    {OP_RENAME, PLACE_C, PLACE_A, 0, 0},
    {OP_RENAME, PLACE_A, PLACE_DB, 0, 0},
    {OP_LINK, PLACE_A, PLACE_C, 0, 0},
    {OP_UNLINK, PLACE_A, 0, 0, 0},
    {OP_UNLINK, PLACE_B, 0, 0, 0},
    {OP_TRUNCATE, PLACE_A, 0, 0, 4500},
    {OP_TRUNCATE, PLACE_B, 0, 0, 0},
    {OP_FSYNC, PLACE_A, 0, 0, 0},
    {OP_FSYNC, PLACE_C, 0, 0, 0},
    {OP_FDATASYNC, PLACE_A, 0, 0, 0},
    {OP_FDATASYNC, PLACE_B, 0, 0, 0},
    {OP_SYNC, 0, 0, 0, 0},
};

enum { ALPHABET = sizeof(alphabet) / sizeof(alphabet[0]) };

static bool sequence_possible(const struct template *t, const struct op *ops, unsigned count)
{
	struct model *model = model_new();
	bool possible = true;

	model_continue(model, t->model);
	for (unsigned i = 0; i < count && possible; i++) {
		possible = model_possible(model, &ops[i]);
		if (possible)
			model_apply(model, &ops[i]);
	}
	model_free(model);
	return possible;
}

void crash_sequences(struct crash *c, unsigned length)
{
	struct template t;
	unsigned digit[3] = {0}, at = 0;
	struct op ops[3];

	template_make(&t, c->seed);
	while (at < length && c->images < c->wanted) {
		for (unsigned i = 0; i < length; i++)
			ops[i] = alphabet[digit[i]];
		if (sequence_possible(&t, ops, length))
			sequence_run(c, &t, ops, length, c->seed + c->sequences);
		for (at = 0; at < length && ++digit[at] == ALPHABET; at++)
			digit[at] = 0;
	}
	template_fini(&t);
}

static struct op op_draw(struct random *r)
{
	static const uint32_t sizes[] = {1, 100, 700, 1920, 2500, 4096, 5000, 12288, 30000};
	struct op op = {.kind = random_below(r, OP_KINDS),
			.place = random_below(r, PLACES),
			.other = random_below(r, PLACES)};

	op.size = sizes[random_below(r, sizeof(sizes) / sizeof(sizes[0]))];
	op.offset = random_below(r, 3) ? random_below(r, 20000) : random_below(r, 8) * 4096;
	if (op.kind == OP_TRUNCATE)
		op.size = random_below(r, 40000);
	return op;
}

void crash_random(struct crash *c, unsigned length, uint64_t until)
{
	struct template t;
	struct op ops[200];

	template_make(&t, c->seed);
	if (length > 200)
		length = 200;
	while (c->images < c->wanted && c->images < until) {
		struct random r = {c->seed + c->sequences};
		for (unsigned i = 0; i < length; i++)
			ops[i] = op_draw(&r);
		sequence_run(c, &t, ops, length, c->seed + c->sequences);
	}
	template_fini(&t);
}
