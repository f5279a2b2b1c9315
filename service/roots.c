/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "service/clone.h"
#include "service/control.h"
#include "service/fail.h"
#include "service/lease.h"
#include "service/limit.h"
#include "service/roots.h"
#include "service/share.h"

enum { PATIENCE_S = 20 };

/* A container's union, for the roots that stand on it. */
struct container {
	struct container *next;
	struct roots *roots;
	char name[CLONE_NAME_MAX + 1];
	struct ls *ls;
	unsigned users;
	bool stale; /* its branches have changed places: nobody else is to stand on it */
};

struct roots {
	struct service *service;
	struct ls *store;
	pthread_mutex_t lock; /* of the list */
	struct container *containers;
	pthread_mutex_t names; /* held while containers are made, and while what nobody has is looked for */
	pthread_t tidier;
	bool tidying, stopping, again; /* again, tidier_done: under lock */
	bool tidier_done;
	unsigned closers; /* atomic */
};

struct ls *roots_store(const struct service *s)
{
	return s->roots ? s->roots->store : NULL;
}

/* ---- containers ------------------------------------------------------------------------------------- */

/* The last user's end is the union's. */
static void container_put(void *arg)
{
	struct container *c = arg, **p;
	struct roots *roots = c->roots;
	bool last;

	pthread_mutex_lock(&roots->lock);
	last = --c->users == 0;
	for (p = &roots->containers; last && *p && *p != c; p = &(*p)->next)
		;
	if (last && *p)
		*p = c->next;
	pthread_mutex_unlock(&roots->lock);
	if (!last)
		return;
	ls_stack_close(c->ls);
	free(c);
}

static struct container *container_find(struct roots *roots, const char *name)
{
	struct container *c;

	pthread_mutex_lock(&roots->lock);
	for (c = roots->containers; c && (c->stale || strcmp(c->name, name) != 0); c = c->next)
		;
	if (c)
		c->users++;
	pthread_mutex_unlock(&roots->lock);
	return c;
}

/* It has been cloned or removed: whoever still has something of it in hand may finish. */
static void container_forget(struct roots *roots, const char *name)
{
	pthread_mutex_lock(&roots->lock);
	for (struct container *c = roots->containers; c; c = c->next)
		c->stale |= strcmp(c->name, name) == 0;
	pthread_mutex_unlock(&roots->lock);
}

/* The union of these directories, whose references it takes. */
static int union_over(struct roots *roots, struct clone_branches *b, struct ls **ret, char *error, size_t size)
{
	struct json_object *none = json_object_new_object();
	struct ls *below[CLONE_LOWERS_MAX + 1];
	unsigned n = 0;
	int r = 0;

	for (; n < b->count && r == 0; n += r == 0)
		r = ls_part_open(roots->store, b->dir[n], &b->attr[n], 0, &below[n]);
	for (unsigned i = n + (r < 0); i < b->count; i++)
		ls_forget(roots->store, &(struct ls_call){.tenant = roots->store->tenant}, b->dir[i], 1);
	b->count = 0;
	if (r == 0)
		r = ls_open_on("union", none, roots->service->pool, below, n, ret, error, size);
	else
		while (n > 0)
			ls_stack_close(below[--n]);
	json_object_put(none);
	return r;
}

static int container_new(struct roots *roots, const char *name, struct container **ret, char *error, size_t size)
{
	struct container *c = calloc(1, sizeof(*c));
	struct clone_branches branches;
	struct store st;
	int r;

	if (!c)
		return -ENOMEM;
	store_init(&st, roots->store, PATIENCE_S);
	r = clone_branches(&st, name, &branches, error, size);
	if (r == 0)
		r = union_over(roots, &branches, &c->ls, error, size);
	if (r < 0) {
		free(c);
		return r;
	}
	c->roots = roots;
	c->users = 1;
	snprintf(c->name, sizeof(c->name), "%s", name);
	pthread_mutex_lock(&roots->lock);
	c->next = roots->containers;
	roots->containers = c;
	pthread_mutex_unlock(&roots->lock);
	*ret = c;
	return 0;
}

/* ---- places in the mount table ------------------------------------------------------------------------- */

/* Free is what nobody has anything of in hand. */
static int slot_find(struct service *s, int wanted)
{
	for (unsigned n = wanted < 0 ? s->mount_count : (unsigned)wanted; n < SERVICE_MOUNTS_MAX; n++) {
		if (n >= s->mount_count && !__atomic_load_n(&s->root_held[n], __ATOMIC_ACQUIRE))
			return n;
		if (wanted >= 0)
			break;
	}
	return -ENFILE;
}

static void slot_tell(struct service *s, unsigned n, const struct instance *fs)
{
	struct wire_mount *m = &s->table->mount[n];
	unsigned top = n + 1;

	m->root_ino = fs->root->ino;
	m->path_len = snprintf(m->path, sizeof(m->path), "%s", fs->path);
	m->flags = WIRE_MOUNT_FUSE | WIRE_MOUNT_ROOT;
	/* Clients look for a root by its device. */
	__atomic_store_n(&m->dev, fs->dev, __ATOMIC_RELEASE);
	if (top > s->root_top) {
		__atomic_store_n(&s->root_top, top, __ATOMIC_RELEASE);
		__atomic_store_n(&s->table->mount_top, top, __ATOMIC_RELEASE);
	}
}

static void mount_put(struct service *s, unsigned n, struct instance *fs)
{
	pthread_rwlock_wrlock(&s->mounts_lock);
	s->mount[n] = fs;
	pthread_rwlock_unlock(&s->mounts_lock);
}

/* ---- roots ---------------------------------------------------------------------------------------------- */

/* Nothing of the instance is in anybody's hands: instance_free. */
static void root_ended(struct instance *fs)
{
	struct container *c = fs->ended_arg;
	struct service *s = c->roots->service;
	unsigned slot = fs->index;

	if (fs->root_fd >= 0)
		close(fs->root_fd);
	container_put(c);
	leases_forget(slot);
	__atomic_store_n(&s->root_held[slot], false, __ATOMIC_RELEASE);
}

static void root_door_end(struct instance *fs)
{
	struct container *c = fs->ended_arg;

	c->roots->service->root_door->close(fs->door);
}

/* Takes over the container and the descriptors, also on failure. */
static int root_mount(struct service *s, const struct root_wish *wish, struct container *c, unsigned slot,
		      char *error, size_t size)
{
	struct instance *fs;
	int r = instance_new(c->ls, s->pool, wish->path, slot, &fs);

	if (r < 0) {
		container_put(c);
		close(wish->fuse);
		close(wish->root);
		return r;
	}
	fs->dev = wish->dev;
	fs->became_dirty = flusher_wake;
	fs->flush_interval = &s->settings.flush_interval;
	fs->counted = limit_is_watched(c->roots->store);
	fs->ended = root_ended;
	fs->ended_arg = c;
	fs->root_fd = wish->root;
	s->root_held[slot] = true;
	if (!wish->live)
		memset(s->table->mount[slot].fuse_init, 0, sizeof(s->table->mount[slot].fuse_init));
	r = s->root_door->open(s, fs, wish->fuse, wish->live, &s->door[slot]);
	if (r < 0) {
		snprintf(error, size, "container '%s': its FUSE door: %s", wish->name, strerror(-r));
		instance_close(fs);
		return r;
	}
	fs->door_end = root_door_end;
	mount_put(s, slot, fs);
	slot_tell(s, slot, fs);
	return 0;
}

int root_open(struct service *s, const struct root_wish *wish, unsigned *ret_slot, char *error, size_t size)
{
	struct container *c = s->roots ? container_find(s->roots, wish->name) : NULL;
	int slot = slot_find(s, wish->slot), r = slot < 0 ? slot : 0;

	snprintf(error, size, "container '%s': %s", wish->name, strerror(ENOMEM));
	if (!s->roots)
		r = fail(error, size, -ENOENT, "pool '%s' has no containers: its file has no 'roots'", s->pool);
	else if (r < 0)
		fail(error, size, r, "container '%s': as many roots are open as there can be (%d)", wish->name,
		     SERVICE_MOUNTS_MAX - (int)s->mount_count);
	else if (!c)
		r = container_new(s->roots, wish->name, &c, error, size);
	if (r == 0) {
		*ret_slot = slot;
		return root_mount(s, wish, c, slot, error, size);
	}
	if (c)
		container_put(c);
	close(wish->fuse);
	close(wish->root);
	return r;
}

struct closing {
	struct service *service;
	struct instance *fs;
	struct fuse_door *door;
};

/* A thread of its own: a request of the kernel's may still be under way. */
static void *close_run(void *arg)
{
	struct closing *c = arg;
	struct roots *roots = c->service->roots;

	c->service->root_door->stop(c->door);
	share_linger_end(c->fs);
	instance_write_back(c->service, c->fs);
	instance_close(c->fs);
	free(c);
	__atomic_sub_fetch(&roots->closers, 1, __ATOMIC_RELEASE);
	return NULL;
}

int root_close(struct service *s, unsigned slot)
{
	struct instance *fs = slot < SERVICE_MOUNTS_MAX && slot >= s->mount_count ? s->mount[slot] : NULL;
	struct closing *c;
	pthread_t thread;

	if (!fs)
		return -ENOENT;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct closing){s, fs, s->door[slot]};
	__atomic_store_n(&s->table->mount[slot].dev, 0, __ATOMIC_RELEASE);
	mount_put(s, slot, NULL);
	s->door[slot] = NULL;
	__atomic_add_fetch(&s->roots->closers, 1, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, close_run, c) == 0)
		pthread_detach(thread);
	else
		close_run(c);
	return 0;
}

/* ---- the store ------------------------------------------------------------------------------------------ */

static void *tidier_run(void *arg)
{
	struct roots *roots = arg;
	struct store st;
	bool again = true;

	while (again) {
		pthread_mutex_lock(&roots->lock);
		roots->again = false;
		pthread_mutex_unlock(&roots->lock);
		store_init(&st, roots->store, 0);
		clone_tidy(&st, &roots->names, &roots->stopping);
		pthread_mutex_lock(&roots->lock);
		again = roots->again && !roots->stopping;
		roots->tidier_done = !again;
		pthread_mutex_unlock(&roots->lock);
	}
	return NULL;
}

/* In the socket thread, or before it takes messages. */
static void tidy(struct roots *roots)
{
	bool runs;

	pthread_mutex_lock(&roots->lock);
	roots->again = true;
	runs = roots->tidying && !roots->tidier_done;
	pthread_mutex_unlock(&roots->lock);
	if (runs)
		return;
	if (roots->tidying)
		pthread_join(roots->tidier, NULL);
	roots->tidier_done = false;
	roots->tidying = pthread_create(&roots->tidier, NULL, tidier_run, roots) == 0;
}

int roots_new(struct service *s, struct ls *store, struct ls **ret_mount, char *error, size_t size)
{
	struct roots *roots = calloc(1, sizeof(*roots));
	struct store st;
	int r;

	if (!roots) {
		ls_stack_close(store);
		return -ENOMEM;
	}
	*roots = (struct roots){.service = s, .store = store};
	pthread_mutex_init(&roots->lock, NULL);
	pthread_mutex_init(&roots->names, NULL);
	s->roots = roots;
	store_init(&st, store, PATIENCE_S);
	r = store->traits & LS_RDONLY ? -EROFS : clone_prepare(&st, error, size);
	if (r == 0)
		r = ls_part_open(store, store->root, &store->root_attr, LS_PART_PRIVATE | LS_PART_SHARED, ret_mount);
	if (r < 0)
		roots_fini(s);
	return r;
}

void roots_begin(struct service *s)
{
	if (s->roots)
		tidy(s->roots);
}

void roots_fini(struct service *s)
{
	struct roots *roots = s->roots;

	if (!roots)
		return;
	__atomic_store_n(&roots->stopping, true, __ATOMIC_RELAXED);
	if (roots->tidying)
		pthread_join(roots->tidier, NULL);
	while (__atomic_load_n(&roots->closers, __ATOMIC_ACQUIRE))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	/* What sessions still have in hand goes with the process; what it stands on is written back and stays. */
	ls_stack_close(roots->store);
	s->roots = NULL;
	pthread_mutex_destroy(&roots->lock);
	pthread_mutex_destroy(&roots->names);
	free(roots);
}

/* ---- the engine's methods ------------------------------------------------------------------------------- */

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

static bool is_open(void *arg, const char *name)
{
	struct service *s = arg;

	for (unsigned n = s->mount_count; n < s->root_top; n++)
		if (s->mount[n] && !strcmp(((struct container *)s->mount[n]->ended_arg)->name, name))
			return true;
	return false;
}

static int do_clone(struct service *s, struct store *st, struct json_object *message, char *error, size_t size)
{
	const char *source = member(message, "source");
	int r;

	pthread_mutex_lock(&s->roots->names);
	r = clone_make(st, source, member(message, "name"), is_open, s, error, size);
	pthread_mutex_unlock(&s->roots->names);
	if (r == 0)
		container_forget(s->roots, source);
	return r;
}

static int do_remove(struct service *s, struct store *st, struct json_object *message, char *error, size_t size)
{
	const char *name = member(message, "name");
	int r;

	if (is_open(s, name))
		return fail(error, size, -EBUSY, "container '%s' runs; end it first", name);
	r = clone_remove(st, name, error, size);
	if (r == 0) {
		container_forget(s->roots, name);
		tidy(s->roots);
	}
	return r;
}

struct json_object *roots_control(struct service *s, const char *method, struct json_object *message)
{
	struct json_object *answer, *list = NULL;
	char error[512] = "out of memory";
	struct store st;
	int r;

	if (strncmp(method, "clone", 5) != 0)
		return NULL;
	if (!s->roots) {
		snprintf(error, sizeof(error), "pool '%s' has no containers: its file has no 'roots'", s->pool);
		return control_error(error);
	}
	store_init(&st, s->roots->store, PATIENCE_S);
	if (!strcmp(method, "clone"))
		r = do_clone(s, &st, message, error, sizeof(error));
	else if (!strcmp(method, "clone-remove"))
		r = do_remove(s, &st, message, error, sizeof(error));
	else if (!strcmp(method, "clone-list"))
		r = clone_list(&st, &list, error, sizeof(error));
	else
		return NULL;
	if (r < 0)
		return control_error(error);
	answer = control_ok();
	if (list)
		json_object_object_add(answer, "containers", list);
	return answer;
}
