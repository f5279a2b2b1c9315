/* SPDX-License-Identifier: Apache-2.0 */
/* What this process may know of names and attributes without asking: ipc/wire-lease.h. */
#pragma once

#include "ipc/wire-lease.h"
#include "libfs/fs.h"

enum lease_answer {
	LEASE_ASK = 0, /* the service */
	LEASE_THERE,
	LEASE_ABSENT, /* there is no such name: -ENOENT */
};

struct lease_object {
	uint64_t ino;
	uint64_t change; /* 0: the attributes are not known */
	uint64_t size;   /* if they are */
	uint32_t type;   /* S_IFMT bits */
	uint32_t may;    /* LEASE_MAY_* */
};

/* What the object is, by its path or handle. It may be a symbolic link only with WIRE_NOFOLLOW. */
enum lease_answer lease_find(const struct fs_object *o, struct lease_object *ret);
/* And its attributes. */
enum lease_answer lease_getattr(const struct fs_object *o, struct wire_attr *ret);
/* It has no extended attributes, and `ret` its attributes. */
int lease_is_bare(const struct fs_object *o, struct wire_attr *ret);
/* The inode is in the table: it has a name. */
int lease_holds(uint32_t mount, uint64_t ino);
/* Its change count now, and its size; 0: not known. */
uint64_t lease_change(uint32_t mount, uint64_t ino, uint64_t *ret_size);
