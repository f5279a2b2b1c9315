/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a block image: its cluster, its pool, its lock.
 *
 * The lock of the image is taken at once and for as long as it is open, and nobody is given it on request. Who comes later is
 * refused. Where its holder is dead, Ceph finds out after half a minute; that of our own before a crash, which left its
 * identity in the image's metadata, is broken at once, and the dead client is shut out of the cluster with it.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/area/rbd.h"
#include "libservices/cluster.h"

#define IDENTITY "polytropon.identity"

struct opening {
	struct rbd *rbd;
	struct json_object *config;
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct opening *o, int r, const char *format, ...)
{
	va_list args;
	int n = snprintf(o->error, o->error_size, "rbd '%s': ", o->rbd->name);

	va_start(args, format);
	if ((size_t)n < o->error_size)
		vsnprintf(o->error + n, o->error_size - n, format, args);
	va_end(args);
	return r;
}

/* ---- the cluster ----------------------------------------------------------------------------------- */

/* A write is durable when it is done (no cache), and who reads the host's files is the engine. */
static const char *const always[][2] = {
	{"keyring", ""},	     {"log_file", ""},		{"log_to_stderr", "false"},
	{"err_to_stderr", "false"},  {"log_to_syslog", "false"}, {"admin_socket", ""},
	{"pid_file", ""},	     {"crash_dir", ""},		{"rbd_cache", "false"},
	{"rbd_plugins", ""},	     {"objecter_tick_interval", "0.5"}, {"objecter_timeout", "1"},
};

static int option_set(void *cluster, const char *option, const char *value)
{
	return rados_conf_set(cluster, option, value);
}

static int conf_read(struct opening *o)
{
	int r, fd = cluster_file(o->config, "conf", "conf_fd");
	char name[64];

	if (fd == -ENOENT && !cluster_text(o->config, "conf"))
		return cluster_text(o->config, "monitors") ? 0 : fail(o, -EINVAL, "needs 'monitors' or 'conf'");
	if (fd < 0)
		return fail(o, fd, "open conf '%s': %s", cluster_text(o->config, "conf"), strerror(-fd));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	r = rados_conf_read_file(o->rbd->cluster, name);
	close(fd);
	return r < 0 ? fail(o, r, "its conf is not a ceph.conf: %s", strerror(-r)) : 0;
}

static int settings_apply(struct opening *o)
{
	const char *monitors = cluster_text(o->config, "monitors");
	rados_t cluster = o->rbd->cluster;
	uint64_t ns = 0;
	char seconds[32];
	int r = 0;

	ls_parse_time(cluster_text(o->config, "timeout"), &ns);
	snprintf(seconds, sizeof(seconds), "%" PRIu64, (ns + 999999999) / 1000000000);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]) && r == 0; i++)
		r = rados_conf_set(cluster, always[i][0], always[i][1]);
	for (const char *const *key = (const char *const[]){"client_mount_timeout", "rados_osd_op_timeout",
							     "rados_mon_op_timeout", NULL};
	     *key && r == 0; key++)
		r = rados_conf_set(cluster, *key, seconds);
	if (monitors && r == 0)
		r = rados_conf_set(cluster, "mon_host", monitors);
	return r < 0 ? fail(o, r, "librados does not take its settings: %s", strerror(-r)) : 0;
}

static int key_set(struct opening *o, const char *name)
{
	int r, fd = cluster_file(o->config, "keyring", "fd");

	if (fd < 0)
		return fail(o, fd, "keyring '%s': %s", cluster_text(o->config, "keyring") ?: "", strerror(-fd));
	r = cluster_key(fd, name, option_set, o->rbd->cluster);
	close(fd);
	return r < 0 ? fail(o, r, "its keyring holds no key of '%s'", name) : 0;
}

static int cluster_connect(struct opening *o)
{
	char name[CLUSTER_NAME_MAX];
	int r = cluster_name(o->config, name);

	if (r < 0)
		return fail(o, r, "'%s' is no name of a client", cluster_text(o->config, "name"));
	r = rados_create(&o->rbd->cluster, name + 7);
	if (r < 0)
		return fail(o, r, "make a client: %s", strerror(-r));
	r = conf_read(o);
	if (r == 0)
		r = settings_apply(o);
	if (r == 0)
		r = key_set(o, name);
	if (r < 0)
		return r;
	r = rados_connect(o->rbd->cluster);
	return r < 0 ? fail(o, r, r == -ETIMEDOUT ? "no answer from the cluster" : "connect as '%s': %s", name, strerror(-r)) : 0;
}

/* ---- the image ------------------------------------------------------------------------------------- */

/* POOL/IMAGE or POOL/NAMESPACE/IMAGE. */
static int pool_open(struct opening *o, char *spec, const char **ret_image)
{
	char *first = strchr(spec, '/'), *last = strrchr(spec, '/');
	int r;

	if (!first || !last[1] || first == spec || strchr(first + 1, '/') != (last == first ? NULL : last))
		return fail(o, -EINVAL, "an image is POOL/IMAGE or POOL/NAMESPACE/IMAGE");
	*first = *last = 0;
	r = rados_ioctx_create(o->rbd->cluster, spec, &o->rbd->pool);
	if (r < 0)
		return fail(o, r, "pool '%s': %s", spec, strerror(-r));
	if (last != first)
		rados_ioctx_set_namespace(o->rbd->pool, first + 1);
	*ret_image = last + 1;
	return 0;
}

/* Is the holder of the lock what we were before a crash? */
static bool owner_is_ours(struct opening *o)
{
	const char *identity = cluster_text(o->config, "identity");
	char found[512] = "";
	size_t n = sizeof(found) - 1;

	return identity && rbd_metadata_get(o->rbd->image, IDENTITY, found, &n) == 0 && strcmp(found, identity) == 0;
}

static void lock_break(struct rbd *rbd)
{
	rbd_lock_mode_t mode;
	size_t n = 1;
	char *owner;

	if (rbd_lock_get_owners(rbd->image, &mode, &owner, &n) < 0)
		return;
	if (n)
		rbd_lock_break(rbd->image, mode, owner);
	rbd_lock_get_owners_cleanup(&owner, n);
}

static int lock_take(struct opening *o)
{
	const char *identity = cluster_text(o->config, "identity");
	uint64_t features = 0;
	int r = rbd_get_features(o->rbd->image, &features);

	if (r == 0 && !(features & RBD_FEATURE_EXCLUSIVE_LOCK))
		return fail(o, -EOPNOTSUPP, "has not the feature exclusive-lock: rbd feature enable IMAGE exclusive-lock");
	if (r == 0 && owner_is_ours(o))
		lock_break(o->rbd);
	if (r == 0)
		r = rbd_lock_acquire(o->rbd->image, RBD_LOCK_MODE_EXCLUSIVE);
	if (r == -EBUSY || r == -EROFS || r == -EAGAIN)
		return fail(o, -EBUSY, "is in use");
	if (r == 0 && identity)
		rbd_metadata_set(o->rbd->image, IDENTITY, identity);
	return r < 0 ? fail(o, r, "lock: %s", strerror(-r)) : 0;
}

static int image_open(struct opening *o, const char *image, bool read_only)
{
	int r = read_only ? rbd_open_read_only(o->rbd->pool, image, &o->rbd->image, NULL)
			  : rbd_open(o->rbd->pool, image, &o->rbd->image, NULL);

	if (r < 0) {
		o->rbd->image = NULL;
		return fail(o, r, r == -ETIMEDOUT ? "no answer from the cluster" : "%s", strerror(-r));
	}
	return read_only ? 0 : lock_take(o);
}

uint64_t rbd_area_size(struct area *area)
{
	struct rbd *rbd = area->state;
	uint64_t size = 0;

	if (rbd_get_size(rbd->image, &size) < 0)
		return 0;
	size &= -(uint64_t)area->block;
	return size < AREA_SIZE_MAX ? size : AREA_SIZE_MAX;
}

int rbd_area_open(struct area *area, struct json_object *config, char *error, size_t error_size)
{
	struct rbd *rbd = calloc(1, sizeof(*rbd));
	struct opening o = {rbd, config, error, error_size};
	const char *given = cluster_text(config, "image"), *image = NULL;
	char *spec = given ? strdup(given) : NULL;
	bool read_only = strcmp(cluster_text(config, "read_only"), "true") == 0;
	int r = -ENOMEM;

	area->state = rbd;
	area->block = 4096;
	if (rbd && (rbd->name = strdup(given ? given : "")))
		r = given ? cluster_connect(&o) : fail(&o, -EINVAL, "an image is POOL/IMAGE or POOL/NAMESPACE/IMAGE");
	if (r == 0)
		r = spec ? pool_open(&o, spec, &image) : -ENOMEM;
	if (r == 0)
		r = image_open(&o, image, read_only);
	if (r == 0) {
		area->traits |= AREA_DISCARDS | (read_only ? AREA_RDONLY : 0);
		area->bytes = rbd_area_size(area);
		r = area->bytes ? 0 : fail(&o, -EINVAL, "is empty");
	}
	free(spec);
	if (r < 0 && rbd)
		rbd_area_close(area);
	return r;
}

void rbd_area_close(struct area *area)
{
	struct rbd *rbd = area->state;

	if (rbd->image)
		rbd_close(rbd->image);
	if (rbd->pool)
		rados_ioctx_destroy(rbd->pool);
	if (rbd->cluster)
		rados_shutdown(rbd->cluster);
	free(rbd->name);
	free(rbd);
}
