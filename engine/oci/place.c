/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "engine/conversation.h"
#include "engine/mounts.h"
#include "engine/oci/inside.h"
#include "engine/oci/place.h"
#include "engine/runtime-dir.h"
#include "ipc/wire.h"

#define MOUNT_ANNOTATION "io.polytropon.mount."

/* ---- from the engine ----------------------------------------------------------------------------- */

static int ask_enter(struct place *p, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *parameters = json_object_new_object(), *reply = NULL;

	json_set(parameters, "pool", "%s", p->pool);
	if (engine_call(p->connection, "Enter", json_object_get(parameters), &reply, &p->init, error) != CALL_OK)
		return -EIO;
	if (p->init < 0)
		return error_set(error, -EPROTO, "the engine handed out no way into pool '%s'", p->pool);
	p->namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (json_true(reply, "user") ? CLONE_NEWUSER : 0) |
			(json_true(reply, "network") ? CLONE_NEWNET : 0);
	p->preload = json_true(reply, "preload");
	snprintf(p->group, sizeof(p->group), "%s", json_string(reply, "group") ? json_string(reply, "group") : "");
	return 0;
}

static int ask_root(struct place *p, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *parameters = json_object_new_object(), *reply = NULL;

	json_set(parameters, "pool", "%s", p->pool);
	json_set(parameters, "name", "%s", p->name);
	if (engine_call(p->connection, "Root", json_object_get(parameters), &reply, NULL, error) != CALL_OK)
		return -EIO;
	snprintf(p->root, sizeof(p->root), "%s", json_string(reply, "path"));
	return 0;
}

static int take_volumes(struct place *p, struct error *error)
{
	struct json_object *annotations = json_child(p->bundle->config, "annotations", json_type_object);

	json_object_object_foreach(annotations, key, value) {
		(void)value;
		if (strncmp(key, MOUNT_ANNOTATION, strlen(MOUNT_ANNOTATION)))
			continue;
		if (p->volume_count == PLACE_VOLUMES_MAX)
			return error_set(error, -E2BIG, "more than %d annotations " MOUNT_ANNOTATION "*",
					 PLACE_VOLUMES_MAX);
		p->volume[p->volume_count].mount = -1;
		p->volume[p->volume_count++].path = key + strlen(MOUNT_ANNOTATION);
	}
	return 0;
}

static int find_in_pool(struct place *p, struct error *error)
{
	int r;

	p->connection = runtime_connect(error);
	if (p->connection == -ENOENT || p->connection == -ECONNREFUSED)
		return error_set(error, p->connection, "no pool '%s' runs, nor any other", p->pool);
	r = p->connection < 0 ? p->connection : ask_enter(p, error);
	if (r == 0 && p->name)
		r = ask_root(p, error);
	if (r == 0)
		r = take_volumes(p, error);
	if (r == 0 && p->preload)
		p->env[0] = "LD_PRELOAD=" WIRE_PRELOAD;
	return r;
}

int place_find(const struct bundle *bundle, struct place *ret, struct error *error)
{
	struct place p = {.bundle = bundle, .connection = -1, .init = -1, .tree = -1, .directory = -1};
	int r = 0;

	p.pool = bundle_annotation(bundle, "io.polytropon.pool");
	p.name = bundle_annotation(bundle, "io.polytropon.root");
	snprintf(p.root, sizeof(p.root), "%s", bundle->root);
	if (p.pool)
		r = find_in_pool(&p, error);
	else if (p.name)
		r = error_set(error, -EINVAL, "annotation io.polytropon.root needs io.polytropon.pool");
	if (r < 0)
		place_fini(&p);
	else
		*ret = p;
	return r;
}

void place_fini(struct place *place)
{
	close_p(&place->connection);
	close_p(&place->init);
	close_p(&place->tree);
	close_p(&place->directory);
	while (place->volume_count)
		close_p(&place->volume[--place->volume_count].mount);
}

/* ---- in the pool's view ---------------------------------------------------------------------------- */

static int fetch(const char *path, unsigned flags, struct error *error)
{
	int mount = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

	return mount < 0 ? error_errno(error, errno, "'%s' in the pool", path) : mount;
}

int place_fetch(struct place *p, struct error *error)
{
	char key[PATH_MAX];

	/* The pool's directory alone: below it are the roots of other containers. */
	p->directory = fetch(WIRE_POOL_DIR, 0, error);
	p->tree = p->directory < 0 ? p->directory : fetch(p->root, p->name ? 0 : AT_RECURSIVE, error);
	if (p->tree < 0)
		return p->tree;
	for (unsigned i = 0; i < p->volume_count; i++) {
		snprintf(key, sizeof(key), MOUNT_ANNOTATION "%s", p->volume[i].path);
		p->volume[i].mount = fetch(bundle_annotation(p->bundle, key), AT_RECURSIVE, error);
		if (p->volume[i].mount < 0)
			return p->volume[i].mount;
	}
	return 0;
}

/* ---- in the container ------------------------------------------------------------------------------ */

static int place_at(int root, const char *path, int mount, struct error *error)
{
	_cleanup_(close_p) int target = root_open(root, path, true, true);

	if (target < 0)
		return error_errno(error, target, "make '%s'", path);
	if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, errno, "mount at '%s'", path);
	return 0;
}

static int count_filters(const struct place *p)
{
	_cleanup_(fclose_p) FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Seccomp_filters: %d", &n) == 1)
			break;
	return n + (json_at(p->bundle->config, "linux.seccomp", json_type_object) != NULL);
}

static int write_number(int dir, const char *name, int number)
{
	_cleanup_(close_p) int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", number);

	return fd < 0 || fchmod(fd, 0644) < 0 || write(fd, text, n) != n ? -errno : 0;
}

/* The names of the pool's other containers are none of its business; what covers them has room for what is. */
static int hide_roots(const struct place *p, int root, struct error *error)
{
	_cleanup_(close_p) int target = root_open(root, WIRE_ROOT_DIR, false, true), cover = -1;
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};
	int r;

	if (target < 0)
		return error_errno(error, target, "hide '" WIRE_ROOT_DIR "'");
	cover = mount_tmpfs("mode=0755,size=4k,nr_inodes=2", error);
	if (cover < 0)
		return cover;
	r = write_number(cover, "filters", count_filters(p));
	if (r == 0 && (mount_setattr(cover, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0 ||
		       move_mount(cover, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0))
		r = -errno;
	return r < 0 ? error_errno(error, r, "hide '" WIRE_ROOT_DIR "'") : 0;
}

/*
 * glibc's loader reads this file for every program, with an empty environment, too, and for those with set-id bits (which
 * the library then leaves to FUSE). musl's does not: there LD_PRELOAD in the environment is all, and without it, FUSE.
 */
static int preload_file(int root, struct error *error)
{
	static const char text[] = WIRE_PRELOAD "\n";
	_cleanup_(close_p) int memory = -1, tree = -1, target = -1, file = -1;
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};

	target = root_open(root, "/etc/ld.so.preload", true, false);
	if (target < 0)
		return error_errno(error, target, "make '/etc/ld.so.preload'");
	memory = mount_tmpfs("mode=0755,size=4k,nr_inodes=2", error);
	if (memory < 0)
		return memory;
	file = openat(memory, "preload", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (file < 0 || fchmod(file, 0644) < 0 || write(file, text, strlen(text)) < 0)
		return error_errno(error, errno, "make '/etc/ld.so.preload'");
	close_p(&file);
	/* A detached mount has no clones: it is attached, and what covers the file is what is in it. */
	if (move_mount(memory, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(error, errno, "make '/etc/ld.so.preload'");
	tree = open_tree(memory, "preload", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0 ||
	    move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, errno, "mount at '/etc/ld.so.preload'");
	return umount2("/proc", MNT_DETACH) < 0 ? error_errno(error, errno, "make '/etc/ld.so.preload'") : 0;
}

int place_furnish(struct place *p, int root, struct error *error)
{
	int r = place_at(root, WIRE_POOL_DIR, p->directory, error);

	if (r == 0)
		r = hide_roots(p, root, error);
	for (unsigned i = 0; r == 0 && i < p->volume_count; i++)
		r = place_at(root, p->volume[i].path, p->volume[i].mount, error);
	return r == 0 && p->preload && p->name ? preload_file(root, error) : r;
}
