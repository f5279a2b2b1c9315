/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a pool, in tables: the pool file's checks, `set`, `dump` and the options of `run` read them.
 */
#pragma once

#include "engine/util.h"

enum { SPEC_KEYS_MAX = 32 };

enum spec_kind {
	SPEC_COUNT,
	SPEC_SIZE,
	SPEC_TIME,
	SPEC_BOOL,
	SPEC_CPUS,
	SPEC_NETWORK, /* true, false or host */
	SPEC_WORD,    /* lower-case letters, as the service knows them */
	SPEC_SECTION,
	SPEC_MOUNTS,
	SPEC_STACK,
};

struct spec_key {
	const char *name;
	enum spec_kind kind;
	uint64_t min, max;              /* of a count or size; max 0: any */
	const char *help;               /* one line */
	const struct spec_key *section; /* of a section */
	const char *alias;              /* another spelling of this "section.key" */
	bool live;                      /* `set` may change it */
};

extern const struct spec_key spec_pool_keys[]; /* ends with an entry without a name */
extern const struct spec_key spec_io_keys[];   /* of the section `io`, which containers have, too */

const struct spec_key *spec_key_find(const struct spec_key *keys, const char *name);
/* The names as ls_nearest wants them; aliases too. */
void spec_key_names(const struct spec_key *keys, const char *names[static SPEC_KEYS_MAX + 1]);
const char *spec_kind_name(enum spec_kind kind); /* "a size such as 1G" */
/* Checks one value and writes its normal form. 0, or -EINVAL with the reason. */
int spec_value(const struct spec_key *key, const char *text, char *ret, size_t size, struct error *why);
