/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the cluster: its settings, its key, its mount.
 *
 * Nothing is looked for in the host's files: libcephfs is told all it needs, and gets its key from a descriptor. All of
 * this may wait for the cluster, so a helper does it.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libservices/ceph/ceph.h"
#include "libservices/cluster.h"

struct sentence {
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct sentence s, int r, const char *format, ...)
{
	va_list args;
	int n = snprintf(s.text, s.size, "ceph: ");

	va_start(args, format);
	vsnprintf(s.text + n, s.size - n, format, args);
	va_end(args);
	return r;
}

static int option_set(void *mount, const char *option, const char *value)
{
	return ceph_conf_set(mount, option, value);
}

/* ---- settings -------------------------------------------------------------------------------------- */

/* What holds for every client of ours. */
static const char *const always[][2] = {
	{"keyring", ""},
	{"log_file", ""},
	{"log_to_stderr", "false"},
	{"err_to_stderr", "false"},
	{"log_to_syslog", "false"},
	{"admin_socket", ""},
	{"pid_file", ""},
	{"crash_dir", ""},
	{"client_permissions", "false"}, /* the service has checked */
	{"client_quota_df", "true"},
	{"client_dirsize_rbytes", "false"},
	{"client_reconnect_stale", "true"}, /* a client that was thrown out comes back */
	{"client_acl_type", ""},
	{"client_snapdir", CEPH_SNAP_NAME},
	{"client_die_on_failed_remount", "false"},
	{"client_try_dentry_invalidate", "false"},
	{"objecter_tick_interval", "0.5"}, /* an OSD that is back is noticed at once */
	{"objecter_timeout", "1"},
	{"fuse_disable_pagecache", "true"},
};

static int number_set(struct ceph_client *cl, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return ceph_conf_set(cl->mount, key, text);
}

static int seconds_set(struct ceph_client *cl, const char *key, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 ".%03u", ns / 1000000000, (unsigned)(ns % 1000000000 / 1000000));
	return ceph_conf_set(cl->mount, key, text);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A limit below the amount at which writing back begins would stop each write until the next tick. */
static int dirty_set(struct ceph_client *cl, uint64_t size)
{
	int r = number_set(cl, "client_oc_target_dirty", min(size / 2, 8 << 20));

	return r < 0 ? r : number_set(cl, "client_oc_max_dirty", size);
}

/* Of the option that limits it, 0 means "without limit": none is one byte, and nothing to begin with. */
static int readahead_set(struct ceph_client *cl, uint64_t size)
{
	int r = number_set(cl, "client_readahead_min", min(size, 128 << 10));

	return r < 0 ? r : number_set(cl, "client_readahead_max_bytes", size ? size : 1);
}

static int cache_set(struct ceph_client *cl, uint64_t size)
{
	int r = ceph_conf_set(cl->mount, "client_oc", size ? "true" : "false");

	return r < 0 || size == 0 ? r : number_set(cl, "client_oc_size", size);
}

/* Amounts are of all clients together. */
static int option_apply(struct ceph *c, struct ceph_client *cl, const char *option, const char *value)
{
	uint64_t n = 0, share;

	if (strcmp(option, "timeout") == 0 || strcmp(option, "dirty_age") == 0)
		ls_parse_time(value, &n);
	else
		ls_parse_size(value, &n);
	share = (n + c->clients - 1) / c->clients;
	if (strcmp(option, "timeout") == 0) {
		__atomic_store_n(&c->crew.timeout, n, __ATOMIC_RELAXED);
		return number_set(cl, "client_mount_timeout", (n + 999999999) / 1000000000);
	}
	if (strcmp(option, "dirty_age") == 0)
		return seconds_set(cl, "client_oc_max_dirty_age", n);
	if (strcmp(option, "dirty_size") == 0)
		return dirty_set(cl, share);
	if (strcmp(option, "readahead") == 0)
		return readahead_set(cl, n);
	if (strcmp(option, "names") == 0)
		return number_set(cl, "client_cache_size", share);
	return cache_set(cl, share);
}

int ceph_option_apply(struct ceph *c, const char *option, const char *value)
{
	int r = 0;

	for (unsigned i = 0; i < c->clients && r >= 0; i++)
		r = option_apply(c, &c->client[i], option, value);
	return r;
}

static int settings_apply(struct ceph *c, struct ceph_client *cl, struct json_object *config, struct sentence s)
{
	const char *monitors = cluster_text(config, "monitors");
	int r = 0;

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]) && r == 0; i++) {
		r = ceph_conf_set(cl->mount, always[i][0], always[i][1]);
		if (r < 0)
			return fail(s, r, "libcephfs knows no '%s'", always[i][0]);
	}
	for (const struct ls_option *o = ls_ceph_options; o->name && r == 0; o++)
		if (o->live) {
			r = option_apply(c, cl, o->name, cluster_text(config, o->name));
			if (r < 0)
				return fail(s, r, "libcephfs does not take '%s' for '%s'", cluster_text(config, o->name), o->name);
		}
	if (monitors && (r = ceph_conf_set(cl->mount, "mon_host", monitors)) < 0)
		return fail(s, r, "monitors '%s': %s", monitors, strerror(-r));
	return 0;
}

/* ---- the mount ------------------------------------------------------------------------------------- */

static int conf_read(struct ceph_client *cl, struct json_object *config, struct sentence s)
{
	const char *path = cluster_text(config, "conf");
	char name[64];
	int r, fd;

	if (!path && !json_object_object_get(config, "conf_fd"))
		return cluster_text(config, "monitors") ? 0 : fail(s, -EINVAL, "needs 'monitors' or 'conf'");
	fd = cluster_file(config, "conf", "conf_fd");
	if (fd < 0)
		return fail(s, fd, "open '%s': %s", path ? path : "conf", strerror(-fd));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	r = ceph_conf_read_file(cl->mount, name);
	close(fd);
	return r < 0 ? fail(s, r, "conf '%s' is not a ceph.conf: %s", path, strerror(-r)) : 0;
}

static int keyring_read(struct ceph_client *cl, const char *name, struct json_object *config, struct sentence s)
{
	int r, fd = cluster_file(config, "keyring", "fd");
	const char *path = cluster_text(config, "keyring");

	if (fd < 0 && !path)
		return fail(s, -EINVAL, "needs 'keyring': the file with the key of '%s'", name);
	path = path ? path : "keyring";
	r = fd < 0 ? fd : cluster_key(fd, name, option_set, cl->mount);
	if (fd >= 0)
		close(fd);
	if (r == -ENOENT && fd >= 0)
		return fail(s, r, "keyring '%s' holds no key of '%s'", path, name);
	return r < 0 ? fail(s, r, "read keyring '%s': %s", path, strerror(-r)) : 0;
}

/* What a client of that identity, ours before a crash, still holds is taken from it at once. */
static int reclaim(struct ceph *c, struct ceph_client *cl, const char *identity)
{
	char own[CEPH_TEXT];
	int r = ceph_init(cl->mount);

	if (r < 0 || !identity)
		return r;
	if (cl != c->client) {
		snprintf(own, sizeof(own), "%s-%u", identity, (unsigned)(cl - c->client));
		identity = own;
	}
	ceph_start_reclaim(cl->mount, identity, CEPH_RECLAIM_RESET);
	ceph_finish_reclaim(cl->mount);
	ceph_set_uuid(cl->mount, identity);
	return 0;
}

static int mount_fail(struct sentence s, int r, const char *name, const char *path, const char *filesystem)
{
	switch (r) {
	case -ETIMEDOUT:
		return fail(s, r, "no answer from the cluster");
	case -EACCES:
	case -EPERM:
		return fail(s, r, "mount '%s' as '%s': the cluster refuses its key or its rights", path, name);
	case -ENOENT:
		return fail(s, r, "mount '%s' as '%s': no such directory, file system or client%s%s", path, name,
			    filesystem ? ": " : "", filesystem ? filesystem : "");
	}
	return fail(s, r, "mount '%s' as '%s': %s", path, name, strerror(-r));
}

static int root_find(struct ceph *c, struct ceph_client *cl, struct sentence s)
{
	struct ceph_statx stx;
	Inode *in = NULL;
	int r = ceph_ll_walk(cl->mount, "/", &in, &stx, CEPH_STATX_ALL_STATS, 0, ceph_mount_perms(cl->mount));

	if (r == 0)
		r = ceph_inode_enter(c, cl, in, &stx, &c->root);
	if (r < 0)
		return fail(s, r, "look at the root: %s", strerror(-r));
	ceph_attr(NULL, &stx, &c->ls->root_attr);
	return c->root->type == S_IFDIR ? 0 : fail(s, -ENOTDIR, "what is to be served is not a directory");
}

static int mount_do(struct ceph *c, struct ceph_client *cl, const char *name, struct json_object *config, struct sentence s)
{
	const char *path = cluster_text(config, "path"), *filesystem = cluster_text(config, "filesystem");
	int r = filesystem ? ceph_select_filesystem(cl->mount, filesystem) : 0;

	if (*path != '/')
		return fail(s, -EINVAL, "path '%s' must be absolute", path);
	if (r == 0)
		r = reclaim(c, cl, cluster_text(config, "identity"));
	if (r == 0)
		r = ceph_mount(cl->mount, path);
	if (r < 0)
		return mount_fail(s, r, name, path, filesystem);
	cl->mounted = true;
	r = ceph_delegations_allow(cl);
	if (r < 0)
		return fail(s, r, "allow delegations: %s", strerror(-r));
	return c->root ? 0 : root_find(c, cl, s);
}

static int client_connect(struct ceph *c, struct ceph_client *cl, const char *name, struct json_object *config, struct sentence s)
{
	int r = ceph_create(&cl->mount, name + 7);

	if (r < 0)
		return fail(s, r, "make a client: %s", strerror(-r));
	r = conf_read(cl, config, s);
	if (r == 0)
		r = settings_apply(c, cl, config, s);
	if (r == 0)
		r = keyring_read(cl, name, config, s);
	return r < 0 ? r : mount_do(c, cl, name, config, s);
}

int ceph_connect(struct ceph *c, struct json_object *config, char *error, size_t error_size)
{
	struct sentence s = {error, error_size};
	char name[CLUSTER_NAME_MAX];
	int r = cluster_name(config, name);

	if (r < 0)
		return fail(s, r, "'%s' is no name of a client", cluster_text(config, "name"));
	for (unsigned i = 0; i < c->clients && r >= 0; i++)
		r = client_connect(c, &c->client[i], name, config, s);
	return r;
}
