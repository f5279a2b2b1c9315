/* SPDX-License-Identifier: Apache-2.0 */
/* A volume mounted in this process, without a service: what the crash tests do to it and see of it. */
#pragma once

#include "libservices/volume/vol.h"
#include "tests/crash/model.h"

struct mounted {
	struct vol *vol;
	struct ls ls;
	struct ls_cred cred;
	struct ls_call call;
};

/* 0, or -errno and a sentence. */
int mounted_open(struct mounted *m, struct area *area, const struct vol_config *config, char *error,
		 size_t size);
int mounted_close(struct mounted *m);

/* Does it. 0 or -errno. What is created gets its number from *ret_ino. `number` decides the bytes that are
 * written. */
int mounted_do(struct mounted *m, const struct op *op, unsigned number, uint64_t *ret_ino);
/* Everything that is there. 0, or -errno and a sentence. */
int mounted_look(struct mounted *m, struct found *ret, char *error, size_t size);
void found_fini(struct found *f);
