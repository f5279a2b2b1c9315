/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash may leave of a sequence of operations, and what it may not.
 *
 * Names, links and attributes must be as after some number of operations from the sequence's beginning on:
 * at least those that fsync and sync have promised, at most those that had begun. So a rename has happened
 * or not.
 *
 * Bytes of files need not keep pace with names; but each byte of a file must be one that some version of
 * the file had at that place, since the newest version that was promised; or zero, where the file has grown
 * since. So what was promised is there, and nothing that was never written there: poison, old contents,
 * other files' bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum place { PLACE_A, PLACE_B, PLACE_C, PLACE_D, PLACE_DA, PLACE_DB, PLACES }; /* a, b, c, d/, d/a, d/b */

enum op_kind {
	OP_CREATE,
	OP_WRITE,
	OP_WRITE_DSYNC,
	OP_APPEND,
	OP_TRUNCATE,
	OP_PUNCH,
	OP_RESERVE, /* fallocate, keeping the size */
	OP_RENAME,
	OP_EXCHANGE,
	OP_LINK,
	OP_UNLINK,
	OP_MKDIR,
	OP_RMDIR,
	OP_XATTR,
	OP_FSYNC,
	OP_FDATASYNC,
	OP_FSYNC_DIR,
	OP_SYNC,
	OP_CHECKPOINT, /* nobody asks for these two; they happen */
	OP_WRITE_BACK,
	OP_KINDS,
};

struct op {
	enum op_kind kind;
	enum place place, other;
	uint32_t offset, size;
};

enum { NODES_MAX = 256, FILE_MAX = 160 * 1024, OPS_MAX = 256 };

struct version {
	uint32_t size;
	uint8_t *bytes;
};

struct node {
	bool directory;
	uint64_t ino;
	struct version *version;
	unsigned versions;
	/* Operations, + 1: when it was made, when something of it changed last. 0: before everything. */
	unsigned born, touched;
};

/* The state after some number of operations. */
struct snap {
	int16_t entry[PLACES]; /* a node, or -1 */
	unsigned nodes;
	unsigned floor;               /* operations that are promised */
	uint16_t versions[NODES_MAX]; /* of each node, so far */
	uint16_t promised[NODES_MAX]; /* the newest version that is */
	uint16_t xattr[NODES_MAX];    /* 0: none */
};

struct model {
	struct node node[NODES_MAX];
	struct snap *snap; /* [0]: before everything */
	struct op op[OPS_MAX];
	unsigned ops;
	unsigned dir_touched[2]; /* the root, d */
};

struct model *model_new(void);
struct model *model_free(struct model *m);
/* Is the operation one that succeeds now? */
bool model_possible(const struct model *m, const struct op *op);
/* It has been done. */
void model_apply(struct model *m, const struct op *op);
/* The bytes that operation number n writes at that offset of a file. */
void model_bytes(unsigned n, uint32_t offset, uint32_t size, uint8_t *ret);
/* What has happened so far is the beginning of another model: all of it is promised. */
void model_settle(struct model *m);
/* The model at its beginning, as the other one is at its end. */
void model_continue(struct model *m, const struct model *from);

const char *place_name(enum place place);
/* "write a 0+1000" */
void op_print(const struct op *op, char *buf, size_t size);

/* What was found of one inode. */
struct found_node {
	uint64_t ino;
	bool directory;
	uint32_t nlink, size;
	unsigned xattr;
	uint8_t *bytes;
};

struct found {
	int entry[PLACES]; /* into node, or -1 */
	struct found_node node[PLACES];
	unsigned nodes;
	const char *stranger; /* something that has another name than any place */
};

/* Is it one of those that there may be? If not, why. */
bool model_allows(const struct model *m, const struct found *found, unsigned begun, unsigned acknowledged,
		  char *why, size_t size);
