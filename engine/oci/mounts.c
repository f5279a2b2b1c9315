/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of config.json, by the calls that know mounts as descriptors: none needs a path that the container's own
 * files could bend.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/oci/inside.h"

struct options {
	uint64_t set, clear, recursive_set;
	unsigned long propagation;
	bool bind, recursive, copy_up;
	char data[2048]; /* the file system's own, each with a NUL, "" at the end */
	size_t data_len;
};

static const struct word {
	const char *name;
	uint64_t set, clear;
} words[] = {
	{"ro", MOUNT_ATTR_RDONLY, 0},
	{"rw", 0, MOUNT_ATTR_RDONLY},
	{"nosuid", MOUNT_ATTR_NOSUID, 0},
	{"suid", 0, MOUNT_ATTR_NOSUID},
	{"nodev", MOUNT_ATTR_NODEV, 0},
	{"dev", 0, MOUNT_ATTR_NODEV},
	{"noexec", MOUNT_ATTR_NOEXEC, 0},
	{"exec", 0, MOUNT_ATTR_NOEXEC},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
	{"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
	{"diratime", 0, MOUNT_ATTR_NODIRATIME},
	{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
	{"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
	{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
	{"defaults", 0, 0},
	{"async", 0, 0},
	{"norelatime", 0, 0},
	{"nostrictatime", 0, 0},
};

static const struct {
	const char *name;
	unsigned long flag;
} propagations[] = {
	{"private", MS_PRIVATE}, {"slave", MS_SLAVE}, {"shared", MS_SHARED}, {"unbindable", MS_UNBINDABLE},
};

static bool option_propagation(struct options *o, const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(propagations); i++) {
		const char *name = propagations[i].name;
		if (!strcmp(text, name) || (text[0] == 'r' && !strcmp(text + 1, name))) {
			o->propagation = propagations[i].flag | (text[0] == 'r' ? MS_REC : 0);
			return true;
		}
	}
	return false;
}

static bool option_word(struct options *o, const char *text)
{
	bool recursive = false;

	if (!strcmp(text, "bind") || !strcmp(text, "rbind")) {
		o->bind = true;
		o->recursive |= text[0] == 'r';
		return true;
	}
	if (!strcmp(text, "tmpcopyup")) {
		o->copy_up = true;
		return true;
	}
	for (int pass = 0; pass < 2; pass++, recursive = true) /* rro, rnosuid and so on mean all below, too */
		for (size_t i = 0; i < ARRAY_LEN(words); i++) {
			const struct word *w = &words[i];
			if (strcmp(recursive && text[0] == 'r' ? text + 1 : text, w->name))
				continue;
			o->clear |= w->clear;
			o->set = (o->set & ~w->clear) | w->set;
			o->recursive_set |= recursive ? w->set : 0;
			return true;
		}
	return option_propagation(o, text);
}

static int options_take(struct json_object *list, struct options *o, struct error *error)
{
	for (size_t i = 0; i < json_length(list); i++) {
		const char *text = json_word(list, i);
		size_t n = strlen(text) + 1;
		if (option_word(o, text))
			continue;
		if (o->data_len + n >= sizeof(o->data))
			return error_set(error, -E2BIG, "too many mount options");
		memcpy(o->data + o->data_len, text, n);
		o->data_len += n;
	}
	return 0;
}

/* ---- mounts ------------------------------------------------------------------------------------ */

/* Detached. */
static int new_mount(const char *type, const char *source, const struct options *o, struct error *error)
{
	_cleanup_(close_p) int fs = fsopen(type, FSOPEN_CLOEXEC);
	int mount;

	if (fs < 0)
		return error_errno(error, errno, "file system type '%s'", type);
	if (source && *source)
		fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0);
	for (const char *p = o->data; p < o->data + o->data_len; p += strlen(p) + 1) {
		char name[256];
		const char *value = strchr(p, '=');
		snprintf(name, sizeof(name), "%.*s", value ? (int)(value - p) : 255, p);
		if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, name, value ? value + 1 : NULL, 0) < 0)
			return error_errno(error, errno, "option '%s' of a mount of type '%s'", p, type);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_errno(error, errno, "make a file system of type '%s'", type);
	mount = fsmount(fs, FSMOUNT_CLOEXEC, o->set);
	return mount < 0 ? error_errno(error, errno, "mount a file system of type '%s'", type) : mount;
}

static int bind_mount(const char *source, const struct options *o, struct error *error)
{
	struct mount_attr attr = {.attr_set = o->set, .attr_clr = o->clear & (MOUNT_ATTR__ATIME | ~o->set)};
	struct mount_attr below = {.attr_set = o->recursive_set};
	_cleanup_(close_p) int tree =
		open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (o->recursive ? AT_RECURSIVE : 0));

	if (tree < 0)
		return error_errno(error, errno, "bind '%s'", source);
	if (((attr.attr_set | attr.attr_clr) &&
	     mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) ||
	    (below.attr_set && mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &below, sizeof(below)) < 0))
		return error_errno(error, errno, "bind '%s' with its options", source);
	return take_fd(&tree);
}

static int attach(int mount, int target, const struct options *o, const char *where, struct error *error)
{
	struct mount_attr attr = {.propagation = o->propagation & ~MS_REC};

	if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, errno, "mount at '%s'", where);
	if (attr.propagation && mount_setattr(mount, "", AT_EMPTY_PATH | (o->propagation & MS_REC ? AT_RECURSIVE : 0),
					      &attr, sizeof(attr)) < 0)
		return error_errno(error, errno, "set the propagation of '%s'", where);
	return 0;
}

int mount_bind(const char *source, int target, unsigned long long set, bool recursive, struct error *error)
{
	struct options o = {.bind = true, .recursive = recursive, .set = set};
	_cleanup_(close_p) int mount = bind_mount(source, &o, error);

	return mount < 0 ? mount : attach(mount, target, &o, source, error);
}

/* Of version 1: a directory for each hierarchy, which shows the container's own group. */
static int mount_groups(int target, const struct limits *l, const struct options *o, const char *where,
			struct error *error)
{
	struct options tmpfs = {.set = o->set & ~MOUNT_ATTR_RDONLY, .data = "mode=755", .data_len = 9}, one = *o;
	_cleanup_(close_p) int base = new_mount("tmpfs", "cgroup", &tmpfs, error);
	struct mount_attr rdonly = {.attr_set = o->set & MOUNT_ATTR_RDONLY};
	int r = base < 0 ? base : attach(base, target, o, where, error);

	one.data_len = 0;
	one.propagation = 0;
	for (unsigned i = 0; r == 0 && i < l->count; i++) {
		const char *name = l->hierarchy[i].unified ? "unified" : l->hierarchy[i].controllers;
		char dir[PATH_MAX];
		_cleanup_(close_p) int below = -1;
		limits_dir(l, i, dir, sizeof(dir));
		if (mkdirat(base, name, 0755) < 0)
			return error_errno(error, errno, "make '%s/%s'", where, name);
		below = openat(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = mount_bind(dir, below, one.set, false, error);
	}
	if (r == 0 && rdonly.attr_set && mount_setattr(base, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0)
		r = error_errno(error, errno, "mount at '%s'", where);
	return r;
}

static bool only_unified(const struct limits *l)
{
	return l->count == 1 && l->hierarchy[0].unified;
}

static int mount_cgroup(int target, const struct limits *l, const struct options *o, const char *where,
			struct error *error)
{
	struct options plain = *o;
	_cleanup_(close_p) int mount = -1;

	if (!l->count)
		return 0;
	if (!only_unified(l))
		return mount_groups(target, l, o, where, error);
	plain.data_len = 0;
	mount = new_mount("cgroup2", "cgroup", &plain, error);
	return mount < 0 ? mount : attach(mount, target, o, where, error);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A bundle may say a source of its own directory. */
int mount_make(struct json_object *mount, int root, const struct limits *limits, struct error *error)
{
	const char *where = json_string(mount, "destination"), *type = json_string(mount, "type"),
		   *source = json_string(mount, "source");
	struct options o = {};
	_cleanup_(close_p) int target = -1, made = -1;
	int r = options_take(json_child(mount, "options", json_type_array), &o, error);

	if (r < 0)
		return r;
	if (!where || !*where)
		return error_set(error, -EINVAL, "a mount has no destination");
	o.bind |= type && (!strcmp(type, "bind") || !strcmp(type, "rbind"));
	if (o.bind ? !source : !type)
		return error_set(error, -EINVAL, "the mount at '%s' has no %s", where, o.bind ? "source" : "type");
	target = root_open(root, where, true, !o.bind || is_directory(source));
	if (target < 0)
		return error_errno(error, target, "mount point '%s'", where);
	if (!o.bind && (!strcmp(type, "cgroup") || !strcmp(type, "cgroup2")))
		return mount_cgroup(target, limits, &o, where, error);
	made = o.bind ? bind_mount(source, &o, error) : new_mount(type, source, &o, error);
	if (made >= 0 && o.copy_up && !o.bind) {
		r = mount_copy_up(target, made);
		if (r < 0)
			return error_errno(error, r, "copy '%s' into the mount over it", where);
	}
	return made < 0 ? made : attach(made, target, &o, where, error);
}

int mounts_make(const struct bundle *bundle, int root, const struct limits *limits, struct error *error)
{
	struct json_object *list = json_child(bundle->config, "mounts", json_type_array);
	int r = 0;

	for (size_t i = 0; i < json_length(list) && r == 0; i++)
		r = mount_make(json_object_array_get_idx(list, i), root, limits, error);
	return r;
}
