/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease table: names and attributes that clients may use without asking.
 *
 * One memfd for each set of credentials (uid, gid, groups, capabilities) that sessions of the pool have, written by
 * the service alone, mapped read-only by the sessions with just those credentials. What is in it, a caller with
 * these credentials was told or could have asked for. An entry that is there is true: the service takes out, before
 * it acknowledges a change by any door, what the change made untrue. So nothing has a time limit and clients have
 * nothing of their own to invalidate.
 *
 * Two hash tables of sets of LEASE_WAYS entries. `seq` makes each entry a seqlock: odd while the service changes it;
 * a reader takes seq, copies, takes seq again, and uses nothing if they differ or were odd. The hash also says at which
 * entry of its set to begin: most are found there.
 *
 *   names       (directory, name) -> inode, or the knowledge that there is none. Good only as long as the
 *               directory's own attributes entry is there with LEASE_NAMES and `anchor` equal to the name's: dropping
 *               one entry drops all names in a directory (its permissions changed, it was removed). Of a directory
 *               with LEASE_WHOLE all names there are have an entry, if only one with anchor 0, which says to ask; so
 *               a name without an entry is not there. The flag goes before an entry makes room for another.
 *   attributes  inode -> attributes and what the credentials may do.
 *
 * A client walks a path by names, component by component, from the mount's root; at a symbolic link, "..", a name
 * that is longer than LEASE_NAME_MAX or not there, it sends the request instead.
 */
#pragma once

#include "ipc/wire.h"

enum {
	LEASE_WAYS = 8,
	LEASE_NAME_SETS = 1 << 15,
	LEASE_ATTR_SETS = 1 << 15,
	LEASE_NAME_MAX = 99, /* bytes, without a NUL */
};

enum lease_flags {
	LEASE_KNOWN = 1 << 0,  /* attr is good */
	LEASE_NAMES = 1 << 1,  /* of a directory: names below may be used, the caller may search it */
	LEASE_MAY_R = 1 << 2,  /* what access(2) with the effective ids would allow, if asked for these together */
	LEASE_MAY_W = 1 << 3,
	LEASE_MAY_X = 1 << 4,
	LEASE_WHOLE = 1 << 5, /* of a directory: every name in it has an entry */
	LEASE_BARE = 1 << 6,  /* with LEASE_KNOWN: no extended attributes, ACLs among them; what could have those says ENODATA */
};

struct lease_name {
	uint32_t seq;
	uint32_t anchor; /* of the directory's entry when this was entered; 0: ask */
	uint64_t dir;    /* inode number; 0: the entry is empty */
	uint64_t ino;    /* 0: there is no such name */
	uint16_t mount;  /* index in the mount table */
	uint16_t type;   /* S_IFMT bits >> 12 */
	uint8_t len;
	char name[LEASE_NAME_MAX];
};
_Static_assert(sizeof(struct lease_name) == 128, "a cache line, and another for long names");

struct lease_attr {
	uint32_t seq;
	uint32_t flags;  /* enum lease_flags */
	uint32_t mount;
	uint32_t anchor; /* never used twice for one inode number */
	/* Changes whenever anything of the inode changes - attributes, data by whatever door, or, of a directory, its
	 * names -, never back: what was remembered under an equal change count is still so. */
	uint64_t change;
	struct wire_attr attr; /* attr.ino 0: the entry is empty */
	uint8_t pad[192 - 24 - sizeof(struct wire_attr)];
};
_Static_assert(sizeof(struct lease_attr) == 192, "three cache lines");

struct lease_table {
	uint32_t magic;
	uint32_t version;
	uint32_t generation; /* of the service */
	uint32_t closed;     /* 1: nothing in it is true any more (the service ends, the credentials are gone) */
	uint32_t pad[1020];
	struct lease_name name[LEASE_NAME_SETS][LEASE_WAYS];
	struct lease_attr attr[LEASE_ATTR_SETS][LEASE_WAYS];
};

/*
 * The place of a name, of an inode: LEASE_WAYS * set + entry to begin with. Both sides use these. Multiply-xorshift; names
 * 8 bytes at a time.
 */
static inline uint64_t lease_mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/*
 * Inodes that were made one after the other, which are those of a directory for the most part, are beside each other, two in a
 * set, so that a process that looks at them maps few pages.
 */
static inline uint32_t lease_attr_place(uint32_t mount, uint64_t ino)
{
	uint64_t set = (ino >> 1) + (lease_mix((ino >> 20) * 31 + mount) >> 8);

	return (uint32_t)(set * LEASE_WAYS + ino % LEASE_WAYS) & (LEASE_ATTR_SETS * LEASE_WAYS - 1);
}

static inline uint64_t lease_text_hash(uint32_t mount, uint64_t dir, const char *text, uint32_t len)
{
	uint64_t h = lease_mix(dir * 31 + mount) ^ len;
	uint32_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t word;

		__builtin_memcpy(&word, text + i, 8);
		h = lease_mix(h ^ word);
	}
	for (; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3ull;
	return lease_mix(h);
}

static inline uint32_t lease_name_place(uint32_t mount, uint64_t dir, const char *name, uint32_t len)
{
	return (uint32_t)(lease_text_hash(mount, dir, name, len) >> 8) & (LEASE_NAME_SETS * LEASE_WAYS - 1);
}

/* A path from the directory that it starts in, as a number that is not 0: what open files are known by, to be opened again. */
static inline uint64_t lease_path_hash(uint32_t mount, uint64_t dir, const char *path, uint32_t len)
{
	uint64_t h = lease_text_hash(mount, dir, path, len);

	return h ? h : 1;
}
