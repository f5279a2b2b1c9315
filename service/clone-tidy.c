/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody needs any more. A frozen layer is needed while a container's list of lowers names it, or one in the making
 * may: so it is looked for, and goes to the trash, under the lock under which containers are made. The trash itself is
 * removed without it, for that may take long.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/clone.h"

/* Does the container's list have the layer, or is it just being put there? */
static bool container_needs(struct store *st, const char *container, const char *layer)
{
	static const char *const files[] = {"lowers", "freezing"};
	char path[PATH_MAX], *text;
	struct ls_inode *dir;
	bool needs = false;

	snprintf(path, sizeof(path), "containers/%s", container);
	if (store_dir(st, path, &dir, NULL) < 0)
		return false;
	for (unsigned i = 0; i < 2 && !needs; i++)
		if (store_read(st, dir, files[i], &text) == 0) {
			needs = strstr(text, layer) != NULL;
			free(text);
		}
	store_put(st, dir);
	return needs;
}

static bool is_needed(struct store *st, const char *containers, const char *layer)
{
	for (const char *c = containers; *c; c += strlen(c) + 1)
		if (container_needs(st, c, layer))
			return true;
	return false;
}

static void frozen_sweep(struct store *st, struct ls_inode *frozen, struct ls_inode *trash,
			 struct ls_inode *containers, const bool *stop)
{
	char *layers, *names;

	if (store_list(st, frozen, &layers) < 0)
		return;
	if (store_list(st, containers, &names) == 0) {
		for (const char *l = layers; *l && !__atomic_load_n(stop, __ATOMIC_RELAXED); l += strlen(l) + 1)
			if (!is_needed(st, names, l))
				ls_rename(st->ls, &st->call, frozen, l, trash, l, 0);
		free(names);
	}
	free(layers);
}

static void trash_empty(struct store *st, struct ls_inode *trash, const bool *stop)
{
	char *names;

	if (store_list(st, trash, &names) < 0)
		return;
	for (const char *name = names; *name; name += strlen(name) + 1)
		if (store_remove(st, trash, name, stop) == -ECANCELED)
			break;
	free(names);
}

void clone_tidy(struct store *st, pthread_mutex_t *lock, const bool *stop)
{
	struct ls_inode *frozen = NULL, *trash = NULL, *containers = NULL;
	int r = store_dir(st, "trash", &trash, NULL);

	if (r == 0)
		r = store_dir(st, "frozen", &frozen, NULL);
	if (r == 0)
		r = store_dir(st, "containers", &containers, NULL);
	if (r == 0) {
		pthread_mutex_lock(lock);
		frozen_sweep(st, frozen, trash, containers, stop);
		pthread_mutex_unlock(lock);
		trash_empty(st, trash, stop);
	}
	store_put(st, containers);
	store_put(st, frozen);
	store_put(st, trash);
}
