/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting and unmounting: the whole from its parts, and back. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"
#include "libservices/volume/volume.h"

enum { ORPHANS_GRACE = 30 };

static const struct vol_config defaults = {
    .metadata_cache = 64 << 20, .buffer = 32 << 20, .commit_interval = UINT64_C(5000000000)};

int vol_fail(struct vol *v, int r, const char *format, ...)
{
	int none = 0;
	char what[256];
	va_list args;

	if (!__atomic_compare_exchange_n(&v->failed, &none, r, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return r;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (v->mounting)
		snprintf(v->mounting, v->mounting_size, "%s: %s", v->name, what);
	else
		fprintf(stderr, "<3>volume %s: %s; it is read-only from now on\n", v->name, what);
	pthread_mutex_lock(&v->keeper_lock);
	pthread_cond_broadcast(&v->throttle_wake);
	pthread_mutex_unlock(&v->keeper_lock);
	return r;
}

static void locks_init(struct vol *v)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&v->epoch, &attr);
	pthread_rwlockattr_destroy(&attr);
	fair_lock_init(&v->tree_lock);
	pthread_mutex_init(&v->checkpoint, NULL);
	pthread_mutex_init(&v->rename, NULL);
	pthread_mutex_init(&v->paged_lock, NULL);
	pthread_mutex_init(&v->buffers.lock, NULL);
	pthread_mutex_init(&v->space.lock, NULL);
	pthread_mutex_init(&v->keeper_lock, NULL);
	pthread_cond_init(&v->keeper_wake, NULL);
	pthread_cond_init(&v->throttle_wake, NULL);
}

static void locks_fini(struct vol *v)
{
	pthread_rwlock_destroy(&v->epoch);
	fair_lock_fini(&v->tree_lock);
	pthread_mutex_destroy(&v->checkpoint);
	pthread_mutex_destroy(&v->rename);
	pthread_mutex_destroy(&v->paged_lock);
	pthread_mutex_destroy(&v->keeper_lock);
	pthread_cond_destroy(&v->keeper_wake);
	pthread_cond_destroy(&v->throttle_wake);
}

static uint64_t or_default(uint64_t given, uint64_t fallback)
{
	return given ? given : fallback;
}

static int parts_init(struct vol *v, const struct vol_config *c)
{
	uint64_t metadata = or_default(c->metadata_cache, defaults.metadata_cache);
	int r = vol_cache_init(v, metadata / 4 * 3);

	v->pages_max = or_default(c->buffer, defaults.buffer) / VF_BLOCK;
	v->commit_interval = or_default(c->commit_interval, defaults.commit_interval);
	if (r == 0)
		r = vol_table_init(v, metadata / 4);
	if (r == 0)
		r = vol_log_init(v);
	return r;
}

static void vol_free(struct vol *v)
{
	vol_table_fini(v);
	vol_cache_fini(v);
	vol_space_fini(v);
	vol_log_fini(v);
	vol_buffers_fini(v);
	locks_fini(v);
	free(v->overlay);
	free((char *)v->name);
	free(v);
}

/* The state as of the checkpoint. */
static int state_read(struct vol *v)
{
	v->root = v->super.root;
	v->root_level = v->super.root_level;
	v->next_ino = v->super.next_ino;
	v->inode_count = v->stored_inodes = v->super.inode_count;
	return vol_space_init(v);
}

static int root_get(struct vol *v, char *error, size_t error_size)
{
	int r = vol_inode_get(v, VF_INO_ROOT, &v->root_inode);

	if (r == 0 && v->root_inode->type == S_IFDIR)
		return 0;
	if (!*error)
		snprintf(error, error_size, "%s: it has no root directory", v->name);
	return -EIO;
}

/* If the area has become larger, so does the volume. */
static int grow(struct vol *v)
{
	uint64_t blocks = area_resize(v->area) / VF_BLOCK;
	int r;

	if (blocks > VF_BLOCKS_MAX)
		blocks = VF_BLOCKS_MAX;
	if (v->rdonly || blocks <= v->super.blocks)
		return 0;
	r = vol_checkpoint(v, false); /* so that all groups are clean */
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&v->epoch);
	r = vol_space_grow(v, blocks);
	pthread_rwlock_unlock(&v->epoch);
	return r < 0 ? r : vol_checkpoint(v, false);
}

int vol_grow(struct vol *v)
{
	int r;

	do
		r = grow(v);
	while (r == -EBUSY); /* somebody was quicker to change something */
	return r;
}

static int orphans_look(struct vol *v)
{
	struct vf_key key;
	int r =
	    vol_tree_first(v, vol_key(0, VF_ORPHAN, 0), vol_key(0, VF_ORPHAN, UINT64_MAX), &key, NULL, 0);

	if (r >= 0 && !v->rdonly)
		v->orphans_due = ls_now() + ORPHANS_GRACE * INT64_C(1000000000);
	return r == -ENOENT || r >= 0 ? 0 : r;
}

static int mount_run(struct vol *v, const struct vol_config *c, char *error, size_t error_size)
{
	bool any = false;
	int r = parts_init(v, c);

	if (r == 0)
		r = vol_recover(v, error, error_size);
	if (r == 0)
		r = state_read(v);
	if (r == 0)
		r = vol_replay(v, &any, error, error_size);
	if (r == 0)
		r = root_get(v, error, error_size); /* not before: the journal may have another */
	if (r == 0)
		r = orphans_look(v);
	if (r == 0 && any && !v->rdonly) {
		r = vol_write_back(v, 0);
		if (r == 0)
			r = vol_checkpoint(v, false);
	}
	return r == 0 ? vol_grow(v) : r;
}

int vol_mount(struct area *area, const char *name, const struct vol_config *config, struct vol **ret,
	      char *error, size_t error_size)
{
	struct vol *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	*error = 0;
	v->area = area;
	v->name = strdup(name);
	v->rdonly = config->rdonly || (area->traits & AREA_RDONLY);
	v->skip = config->skip;
	v->mounting = error;
	v->mounting_size = error_size;
	v->dirty_inodes_end = &v->dirty_inodes;
	locks_init(v);
	r = mount_run(v, config, error, error_size);
	v->mounting = NULL;
	if (r == 0 && !v->rdonly && !config->no_keeper)
		r = vol_keeper_start(v);
	if (r < 0) {
		if (!*error)
			snprintf(error, error_size, "%s: %s", name, strerror(-r));
		vol_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

int vol_unmount(struct vol *v)
{
	int r = 0;

	vol_keeper_stop(v);
	if (!v->rdonly && !vol_failed(v)) {
		r = vol_write_back(v, 0);
		if (r == 0)
			r = vol_checkpoint(v, true);
	}
	vol_free(v);
	return r;
}

int volume_replay(struct area *area, const char *name, char *error, size_t error_size)
{
	struct vol_config c = {.no_keeper = true};
	struct vol *v;
	int r = vol_mount(area, name, &c, &v, error, error_size);

	if (r < 0)
		return r;
	r = vol_unmount(v);
	if (r < 0)
		snprintf(error, error_size, "%s: %s", name, strerror(-r));
	return r;
}
