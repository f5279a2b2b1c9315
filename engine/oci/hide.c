/* SPDX-License-Identifier: Apache-2.0 */
/* maskedPaths and readonlyPaths, and a root that is not to be written to. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "engine/mounts.h"
#include "engine/oci/inside.h"

static int mask(int root, const char *path, struct error *error)
{
	_cleanup_(close_p) int target = root_open(root, path, false, false), empty = -1;
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};
	struct stat st;

	if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
		return 0;
	if (target < 0 || fstat(target, &st) < 0)
		return error_errno(error, target < 0 ? target : errno, "hide '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return mount_bind("/dev/null", target, 0, false, error);
	empty = mount_tmpfs("mode=0755,size=4k,nr_inodes=2", error);
	if (empty < 0)
		return empty;
	if (mount_setattr(empty, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0 ||
	    move_mount(empty, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, errno, "hide '%s'", path);
	return 0;
}

static int make_rdonly(int root, const char *path, struct error *error)
{
	_cleanup_(close_p) int target = root_open(root, path, false, false), tree = -1;
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};

	if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
		return 0;
	if (target >= 0)
		tree = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &rdonly, sizeof(rdonly)) < 0 ||
	    move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, target < 0 ? target : errno, "make '%s' read-only", path);
	return 0;
}

int paths_hide(const struct bundle *bundle, int root, struct error *error)
{
	struct json_object *masked = json_at(bundle->config, "linux.maskedPaths", json_type_array);
	struct json_object *rdonly = json_at(bundle->config, "linux.readonlyPaths", json_type_array);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int r = 0;

	for (size_t i = 0; i < json_length(rdonly) && r == 0; i++)
		r = make_rdonly(root, json_word(rdonly, i), error);
	for (size_t i = 0; i < json_length(masked) && r == 0; i++)
		r = mask(root, json_word(masked, i), error);
	if (r == 0 && json_true_at(bundle->config, "root.readonly") &&
	    mount_setattr(root, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		r = error_errno(error, errno, "make the root read-only");
	return r;
}
