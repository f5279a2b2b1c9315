/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/mounts.h"

static int configure(int fs, char *options)
{
	char *save = NULL;

	for (char *o = strtok_r(options, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		char *value = strchr(o, '=');
		if (value)
			*value++ = '\0';
		if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o, value, 0) < 0)
			return -errno;
	}
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

static int create(const char *type, const char *options, unsigned attributes, struct error *error)
{
	_cleanup_(close_p) int fs = fsopen(type, FSOPEN_CLOEXEC), mount = -1;
	char copy[256];
	int r;

	if (fs < 0)
		return error_errno(error, errno, "open file system type '%s'", type);
	snprintf(copy, sizeof(copy), "%s", options);
	r = configure(fs, copy);
	if (r < 0)
		return error_errno(error, r, "make a file system of type '%s' with %s", type, options);
	mount = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	if (mount < 0)
		return error_errno(error, errno, "mount a file system of type '%s'", type);
	return take_fd(&mount);
}

int mount_tmpfs(const char *options, struct error *error)
{
	return create("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, error);
}

int mount_fuse(const char *source, struct fuse_mount *ret, struct error *error)
{
	_cleanup_(close_p) int device = open("/dev/fuse", O_RDWR | O_CLOEXEC), mount = -1;
	char options[256];
	struct statx st;

	if (device < 0)
		return error_errno(error, errno, "open '/dev/fuse'");
	snprintf(options, sizeof(options),
		 "source=%s,subtype=polytropon,fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,"
		 "default_permissions",
		 source, device);
	mount = create("fuse", options, MOUNT_ATTR_NODEV, error);
	if (mount < 0)
		return mount;
	/* Nobody answers requests yet: ask for what the kernel knows by itself. */
	if (statx(mount, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) < 0)
		return error_errno(error, errno, "look at a FUSE mount");
	*ret = (struct fuse_mount){
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.device = take_fd(&device),
		.mount = take_fd(&mount),
	};
	return 0;
}

int mount_attach(int mount, const char *path, struct error *error)
{
	if (move_mount(mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(error, errno, "mount at '%s'", path);
	return 0;
}

int mount_attach_last(int *mount, const char *path, struct error *error)
{
	_cleanup_(close_p) int younger = -1;
	int r = mount_attach(*mount, path, error);

	if (r < 0)
		return r;
	younger = open_tree(*mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (younger < 0)
		return error_errno(error, errno, "clone the mount at '%s'", path);
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return error_errno(error, errno, "unmount '%s'", path);
	close_p(mount);
	*mount = take_fd(&younger);
	return mount_attach(*mount, path, error);
}
