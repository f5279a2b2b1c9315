/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE passthrough, the kernel's side of it: files are made known to it, and it answers with numbers for them. Which
 * files pass, and when, is decided in service/share-kernel.c.
 *
 * It takes CAP_SYS_ADMIN in the initial user namespace. A service that has not got it, or a kernel that does not want
 * these files, is told once, and the door goes on without.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse/door-internal.h"

/* linux/fuse.h of Debian 12 is older. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define IOC_BACKING_OPEN _IOW(229, 1, struct backing_map)
#define IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

bool door_passes(void *arg)
{
	struct fuse_door *door = arg;
	int data, id;

	if (__atomic_load_n(&door->passes_sure, __ATOMIC_RELAXED) || !__atomic_load_n(&door->passes, __ATOMIC_RELAXED))
		return __atomic_load_n(&door->passes, __ATOMIC_RELAXED);
	data = memfd_create("passes", MFD_CLOEXEC);
	id = data < 0 ? -errno : door_backing(door, data);
	if (id > 0) {
		door_backing_end(door, id);
		__atomic_store_n(&door->passes_sure, true, __ATOMIC_RELAXED);
	}
	if (data >= 0)
		close(data);
	return id > 0;
}

int door_backing(void *arg, int data)
{
	struct fuse_door *door = arg;
	struct backing_map map = {.fd = data};
	int id = -EOPNOTSUPP;

	if (!__atomic_load_n(&door->passes, __ATOMIC_RELAXED))
		return id;
	id = ioctl(door->fd, IOC_BACKING_OPEN, &map);
	if (id > 0)
		return id;
	id = id < 0 ? -errno : -EINVAL;
	if (id != -ENOMEM && id != -ENFILE)
		__atomic_store_n(&door->passes, false, __ATOMIC_RELAXED);
	return id;
}

void door_backing_end(void *arg, int number)
{
	struct fuse_door *door = arg;
	uint32_t id = number;

	ioctl(door->fd, IOC_BACKING_CLOSE, &id);
}
