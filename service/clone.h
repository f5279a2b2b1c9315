/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers' store, as it lies in a filesystem of its own:
 *
 *   layers/<digest>/        a layer that is only read: a tree in overlayfs' convention
 *   images/<name>/layers    the image's layers, a digest a line, the topmost first
 *   frozen/<id>/            what was the upper of a container that was cloned: a layer from then on
 *   containers/<name>/      upper/: what the container has changed; lowers: the layers below it, a path from the
 *                           store's root a line, the topmost first; work/: for the kernel's overlay
 *   trash/                  what is being removed
 *
 * All of it is the tenant's to write: whatever it says, nothing outside of the store can be reached.
 *
 * Every operation takes the same time and space whatever the containers hold (but that layers nobody has any more are
 * looked for, and trash is removed, by a thread in the background), and may be interrupted at any point: the next one on
 * that container finishes it. The caller's `error` gets a sentence.
 */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include "service/store.h"

enum { CLONE_NAME_MAX = 63, CLONE_LOWERS_MAX = 128 };

struct json_object;

/* A container, as it is to be mounted. */
struct clone_branches {
	struct ls_inode *dir[CLONE_LOWERS_MAX + 1]; /* the upper first; references */
	struct ls_attr attr[CLONE_LOWERS_MAX + 1];
	unsigned count;
};

/* Makes the store's directories that are missing. */
int clone_prepare(struct store *st, char *error, size_t size);
/* Makes container `name` of an image or a container. in_use: is that one running? */
int clone_make(struct store *st, const char *source, const char *name, bool (*in_use)(void *arg, const char *name),
	       void *arg, char *error, size_t size);
/* To the trash. */
int clone_remove(struct store *st, const char *name, char *error, size_t size);
/* [{"name", "layers", "changed"}], by name. */
int clone_list(struct store *st, struct json_object **ret, char *error, size_t size);
int clone_branches(struct store *st, const char *name, struct clone_branches *ret, char *error, size_t size);
void clone_branches_fini(struct store *st, struct clone_branches *branches);
/* Removes the trash, and what is frozen and below no container. For a thread; `lock` is held for names only. */
void clone_tidy(struct store *st, pthread_mutex_t *lock, const bool *stop);
