/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/random.h"

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

const char *place_name(enum place place)
{
	static const char *const names[] = {"a", "b", "c", "d", "d/a", "d/b"};

	return names[place];
}

void op_print(const struct op *op, char *buf, size_t size)
{
	static const char *const names[] = {
	    "create", "write",     "write-dsync", "append", "truncate",   "punch",     "reserve",
	    "rename", "exchange",  "link",        "unlink", "mkdir",      "rmdir",     "xattr",
	    "fsync",  "fdatasync", "fsync-dir",   "sync",   "checkpoint", "write-back"};
	const char *name = names[op->kind], *place = place_name(op->place);

	if (op->kind == OP_RENAME || op->kind == OP_EXCHANGE || op->kind == OP_LINK)
		snprintf(buf, size, "%s %s %s", name, place, place_name(op->other));
	else if (op->kind == OP_WRITE || op->kind == OP_WRITE_DSYNC || op->kind == OP_PUNCH ||
		 op->kind == OP_RESERVE)
		snprintf(buf, size, "%s %s %u+%u", name, place, op->offset, op->size);
	else if (op->kind == OP_APPEND || op->kind == OP_TRUNCATE)
		snprintf(buf, size, "%s %s %u", name, place, op->size);
	else if (op->kind == OP_SYNC || op->kind == OP_CHECKPOINT || op->kind == OP_WRITE_BACK)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%s %s", name, place);
}

void model_bytes(unsigned n, uint32_t offset, uint32_t size, uint8_t *ret)
{
	for (uint32_t i = 0; i < size; i++) {
		struct random r = {((uint64_t)n << 32 | (offset + i) / 16) * 2654435761u};
		ret[i] = 1 + (random_next(&r) + (offset + i) % 16 * 7) % 250;
	}
}

struct model *model_new(void)
{
	struct model *m = must(calloc(1, sizeof(*m)));

	m->snap = must(calloc(OPS_MAX + 1, sizeof(*m->snap)));
	for (int i = 0; i < PLACES; i++)
		m->snap[0].entry[i] = -1;
	return m;
}

struct model *model_free(struct model *m)
{
	for (unsigned n = 0; n < NODES_MAX; n++) {
		for (unsigned v = 0; v < m->node[n].versions; v++)
			free(m->node[n].version[v].bytes);
		free(m->node[n].version);
	}
	free(m->snap);
	free(m);
	return NULL;
}

/* ---- operations ------------------------------------------------------------------------------------- */

static const struct snap *now(const struct model *m)
{
	return &m->snap[m->ops];
}

static const struct version *newest(const struct model *m, int node)
{
	return &m->node[node].version[m->node[node].versions - 1];
}

static bool directory_there(const struct model *m, enum place place)
{
	return place < PLACE_DA || now(m)->entry[PLACE_D] >= 0;
}

static bool is_file(const struct model *m, enum place place)
{
	int n = now(m)->entry[place];

	return n >= 0 && !m->node[n].directory;
}

static bool is_free(const struct model *m, enum place place)
{
	return place != PLACE_D && directory_there(m, place) && now(m)->entry[place] < 0;
}

static bool moves(const struct model *m, const struct op *op)
{
	return is_file(m, op->place) && op->other != PLACE_D && op->other != op->place &&
	       directory_there(m, op->other);
}

bool model_possible(const struct model *m, const struct op *op)
{
	const struct snap *s = now(m);

	if (m->ops == OPS_MAX || s->nodes == NODES_MAX)
		return false;
	switch (op->kind) {
	case OP_CREATE:
		return is_free(m, op->place);
	case OP_APPEND:
		return is_file(m, op->place) && newest(m, s->entry[op->place])->size + op->size <= FILE_MAX;
	case OP_RENAME:
		return moves(m, op) && s->entry[op->place] != s->entry[op->other];
	case OP_EXCHANGE:
		return moves(m, op) && is_file(m, op->other) && s->entry[op->place] != s->entry[op->other];
	case OP_LINK:
		return is_file(m, op->place) && is_free(m, op->other);
	case OP_MKDIR:
		return op->place == PLACE_D && s->entry[PLACE_D] < 0;
	case OP_RMDIR:
		return op->place == PLACE_D && s->entry[PLACE_D] >= 0 && s->entry[PLACE_DA] < 0 &&
		       s->entry[PLACE_DB] < 0;
	case OP_FSYNC_DIR:
		return op->place != PLACE_D || s->entry[PLACE_D] >= 0;
	case OP_SYNC:
	case OP_CHECKPOINT:
	case OP_WRITE_BACK:
		return true;
	default:
		return is_file(m, op->place);
	}
}

static int node_add(struct model *m, struct snap *s, bool directory)
{
	struct node *n = &m->node[s->nodes];

	*n = (struct node){.directory = directory, .born = m->ops + 1};
	n->version = must(calloc(OPS_MAX + 2, sizeof(*n->version)));
	n->version[0].bytes = must(calloc(1, 1));
	n->versions = 1;
	s->versions[s->nodes] = 1;
	return s->nodes++;
}

/* A new version of its bytes, of that size: as the last one, then zeros. */
static struct version *version_add(struct model *m, struct snap *s, int node, uint32_t size)
{
	struct node *n = &m->node[node];
	const struct version *last = &n->version[n->versions - 1];
	struct version *v = &n->version[n->versions];

	v->size = size;
	v->bytes = must(calloc(1, size + 1));
	memcpy(v->bytes, last->bytes, last->size < size ? last->size : size);
	s->versions[node] = ++n->versions;
	return v;
}

static void write_apply(struct model *m, struct snap *s, int node, uint32_t offset, uint32_t size)
{
	uint32_t old = newest(m, node)->size, end = offset + size;
	struct version *v = version_add(m, s, node, end > old ? end : old);

	model_bytes(m->ops, offset, size, v->bytes + offset);
}

static void punch_apply(struct model *m, struct snap *s, int node, uint32_t offset, uint32_t size)
{
	struct version *v = version_add(m, s, node, newest(m, node)->size);
	uint32_t end = offset + size < v->size ? offset + size : v->size;

	if (offset < end)
		memset(v->bytes + offset, 0, end - offset);
}

/* What has a name in this place now changed, and the directory with it. */
static void touch(struct model *m, int node, enum place place, bool names)
{
	if (node >= 0)
		m->node[node].touched = m->ops + 1;
	if (names)
		m->dir_touched[place >= PLACE_DA] = m->ops + 1;
}

static void promise(struct snap *s, unsigned operations)
{
	if (operations > s->floor)
		s->floor = operations;
}

static void promise_bytes(const struct model *m, struct snap *s, int node)
{
	s->promised[node] = s->versions[node] - 1;
	promise(s, m->node[node].born);
}

static void names_apply(struct model *m, struct snap *s, const struct op *op, int node)
{
	int other = s->entry[op->other];

	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
		s->entry[op->place] = node = node_add(m, s, op->kind == OP_MKDIR);
		break;
	case OP_RENAME:
		s->entry[op->other] = node;
		s->entry[op->place] = -1;
		break;
	case OP_EXCHANGE:
		s->entry[op->other] = node;
		s->entry[op->place] = other;
		break;
	case OP_LINK:
		s->entry[op->other] = node;
		break;
	default:
		s->entry[op->place] = -1;
		break;
	}
	touch(m, node, op->place, op->kind != OP_LINK);
	if (op->kind == OP_RENAME || op->kind == OP_EXCHANGE || op->kind == OP_LINK)
		touch(m, other, op->other, true);
}

static void sync_apply(struct model *m, struct snap *s, const struct op *op, int node)
{
	if (op->kind == OP_FSYNC_DIR)
		promise(s, m->dir_touched[op->place == PLACE_D]);
	if (op->kind == OP_FSYNC)
		promise(s, m->node[node].touched);
	if (op->kind == OP_FSYNC || op->kind == OP_FDATASYNC)
		promise_bytes(m, s, node);
	if (op->kind == OP_SYNC) {
		promise(s, m->ops + 1);
		for (unsigned n = 0; n < s->nodes; n++)
			s->promised[n] = s->versions[n] - 1;
	}
}

void model_apply(struct model *m, const struct op *op)
{
	struct snap *s = &m->snap[m->ops + 1];
	int node;

	*s = *now(m);
	node = s->entry[op->place];
	m->op[m->ops] = *op;
	if (op->kind == OP_WRITE || op->kind == OP_WRITE_DSYNC)
		write_apply(m, s, node, op->offset, op->size);
	else if (op->kind == OP_APPEND)
		write_apply(m, s, node, newest(m, node)->size, op->size);
	else if (op->kind == OP_TRUNCATE)
		version_add(m, s, node, op->size);
	else if (op->kind == OP_PUNCH)
		punch_apply(m, s, node, op->offset, op->size);
	else if (op->kind == OP_XATTR)
		s->xattr[node] = m->ops + 1;
	else if (op->kind >= OP_RENAME && op->kind <= OP_RMDIR)
		names_apply(m, s, op, node);
	else if (op->kind == OP_CREATE)
		names_apply(m, s, op, node);
	else
		sync_apply(m, s, op, node);
	if (op->kind > OP_CREATE && op->kind < OP_RENAME)
		touch(m, node, op->place, false);
	if (op->kind == OP_XATTR)
		touch(m, node, op->place, false);
	if (op->kind == OP_WRITE_DSYNC)
		promise_bytes(m, s, node);
	m->ops++;
}

void model_settle(struct model *m)
{
	struct snap *s = &m->snap[m->ops];

	s->floor = m->ops;
	for (unsigned n = 0; n < s->nodes; n++)
		s->promised[n] = s->versions[n] - 1;
}

void model_continue(struct model *m, const struct model *from)
{
	const struct snap *end = &from->snap[from->ops];
	struct snap *s = &m->snap[0];

	s->nodes = end->nodes;
	memcpy(s->entry, end->entry, sizeof(s->entry));
	for (unsigned n = 0; n < end->nodes; n++) {
		const struct version *v = newest(from, n);
		m->node[n] = (struct node){
		    .directory = from->node[n].directory, .ino = from->node[n].ino, .versions = 1};
		m->node[n].version = must(calloc(OPS_MAX + 2, sizeof(*m->node[n].version)));
		m->node[n].version[0].size = v->size;
		m->node[n].version[0].bytes = must(malloc(v->size + 1));
		memcpy(m->node[n].version[0].bytes, v->bytes, v->size);
		s->versions[n] = 1;
		s->xattr[n] = end->xattr[n];
	}
}

/* ---- what may be there ------------------------------------------------------------------------------ */

static unsigned links_of(const struct model *m, const struct snap *s, int node)
{
	unsigned n = m->node[node].directory ? 1 : 0;

	for (int p = 0; p < PLACES; p++)
		n += s->entry[p] == node;
	return n;
}

/* NULL: names are as in this snapshot. */
static const char *snap_differs(const struct model *m, const struct snap *s, const struct found *f,
				enum place *ret)
{
	for (int p = 0; p < PLACES; p++) {
		int node = s->entry[p];
		const struct found_node *n = f->entry[p] < 0 ? NULL : &f->node[f->entry[p]];
		*ret = p;
		if ((node < 0) != !n)
			return n ? "is there" : "is not there";
		if (!n)
			continue;
		if (n->ino != m->node[node].ino)
			return "is another file";
		if (n->directory != m->node[node].directory)
			return "is of another type";
		if (n->nlink != links_of(m, s, node))
			return "has another number of links";
		if (n->xattr != s->xattr[node])
			return "has another attribute";
	}
	return NULL;
}

static bool names_allowed(const struct model *m, const struct found *f, unsigned floor, unsigned begun,
			  char *why, size_t size)
{
	const char *differs = NULL;
	enum place place = 0;

	for (unsigned k = floor; k <= begun; k++) {
		differs = snap_differs(m, &m->snap[k], f, &place);
		if (!differs)
			return true;
	}
	snprintf(why, size,
		 "names are as after none of the operations %u to %u: after the last of them, '%s' %s",
		 floor, begun, place_name(place), differs);
	return false;
}

/* A file that was shorter and became longer may have got its length and not its bytes. */
static bool byte_allowed(const struct node *n, unsigned first, unsigned last, uint32_t at, uint8_t byte)
{
	bool shorter = false;

	for (unsigned v = first; v <= last; v++) {
		bool within = at < n->version[v].size;
		if (within && (n->version[v].bytes[at] == byte || (shorter && byte == 0)))
			return true;
		shorter |= !within;
	}
	return false;
}

static bool bytes_allowed(const struct node *n, unsigned first, unsigned last, const struct found_node *f,
			  char *why, size_t size)
{
	uint32_t least = UINT32_MAX, most = 0;

	for (unsigned v = first; v <= last; v++) {
		const struct version *version = &n->version[v];
		least = version->size < least ? version->size : least;
		most = version->size > most ? version->size : most;
		if (f->size == version->size && !memcmp(f->bytes, version->bytes, f->size))
			return true;
	}
	if (f->size < least || f->size > most) {
		snprintf(why, size, "has %u bytes, and never had (%u to %u)", f->size, least, most);
		return false;
	}
	for (uint32_t i = 0; i < f->size; i++)
		if (!byte_allowed(n, first, last, i, f->bytes[i])) {
			snprintf(why, size,
				 "has at %u of %u the byte 0x%02x, which was never written there (versions "
				 "%u to %u)",
				 i, f->size, f->bytes[i], first, last);
			return false;
		}
	return true;
}

static int node_of(const struct model *m, unsigned nodes, uint64_t ino)
{
	for (unsigned n = 0; n < nodes; n++)
		if (m->node[n].ino == ino)
			return n;
	return -1;
}

bool model_allows(const struct model *m, const struct found *f, unsigned begun, unsigned acknowledged,
		  char *why, size_t size)
{
	const struct snap *acked = &m->snap[acknowledged], *last = &m->snap[begun];
	char bytes[160];

	if (f->stranger) {
		snprintf(why, size, "there is '%s'", f->stranger);
		return false;
	}
	if (!names_allowed(m, f, acked->floor, begun, why, size))
		return false;
	for (unsigned i = 0; i < f->nodes; i++) {
		int n = node_of(m, last->nodes, f->node[i].ino);
		if (n < 0 || m->node[n].directory)
			continue;
		if (!bytes_allowed(&m->node[n], acked->promised[n], last->versions[n] - 1, &f->node[i],
				   bytes, sizeof(bytes))) {
			snprintf(why, size, "the file with number %llu %s",
				 (unsigned long long)f->node[i].ino, bytes);
			return false;
		}
	}
	return true;
}
