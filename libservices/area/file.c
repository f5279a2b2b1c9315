/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An area in a file or a block device.
 *
 * Past the page cache of the host (O_DIRECT) where that can be. A transfer that somebody waits for is done
 * by system calls of that thread or by a ring that it runs, whichever is quicker. Measured for 4 KiB,
 * durable (2 cores of a VM, Linux 6.18; median in us; "ring": submit and wait in one call; "thread":
 * another waits):
 *
 *                            pwritev2 RWF_DSYNC   pwritev2, fdatasync   ring   thread
 *   file on the disk's ext4         113                   116           118     154
 *   loop device on tmpfs             34                    27            22      28
 *   file on tmpfs                   1.1                   1.3           6.3    12.4
 *
 * So a file is written in place, a device through a ring (the kernel flushes it twice for RWF_DSYNC, but
 * once when the write is asynchronous), and where the medium is memory all is done in place, at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "libservices/area/file.h"
#include "libservices/area/ring.h"

static const char *config_text(struct json_object *config, const char *key)
{
	struct json_object *v = json_object_object_get(config, key);

	return v ? json_object_get_string(v) : NULL;
}

static int config_bool(struct json_object *config, const char *key)
{
	return strcmp(config_text(config, key), "true") == 0;
}

__attribute__((format(printf, 5, 6))) static int file_fail(const struct file *file, int error, char *text,
							   size_t size, const char *format, ...)
{
	va_list args;
	int n = snprintf(text, size, "file '%s': ", file->name);

	va_start(args, format);
	if (n < size)
		vsnprintf(text + n, size - n, format, args);
	va_end(args);
	return error;
}

static int path_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_DIRECT);

	return fd < 0 && errno == EINVAL ? open(path, flags | O_CLOEXEC) : fd;
}

/* By number, or by path. */
static int file_get(struct file *file, struct json_object *config, char *error, size_t error_size)
{
	const char *path = config_text(config, "path");
	struct json_object *fd = json_object_object_get(config, "fd");

	if (!fd && !path)
		return file_fail(file, -EINVAL, error, error_size, "needs 'path' or 'fd'");
	file->by_engine = fd != NULL;
	file->fd = fd ? fcntl(json_object_get_int(fd), F_DUPFD_CLOEXEC, 0)
		      : path_open(path, config_bool(config, "read_only") ? O_RDONLY : O_RDWR);
	return file->fd < 0 ? file_fail(file, -errno, error, error_size, "%s", strerror(errno)) : 0;
}

/* Two writers would ruin it. The lock ends with the last descriptor of this opening. */
static int file_lock(struct file *file, int rdonly, char *error, size_t error_size)
{
	if (flock(file->fd, (rdonly ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	return file_fail(file, -EBUSY, error, error_size, "is in use");
}

static uint64_t file_size(struct area *area)
{
	struct file *file = area->state;
	struct stat st = {0};
	uint64_t size = 0;

	if (file->device && ioctl(file->fd, BLKGETSIZE64, &size) < 0)
		size = 0;
	if (!file->device && fstat(file->fd, &st) == 0)
		size = st.st_size;
	size &= -(uint64_t)area->block;
	return size < AREA_SIZE_MAX ? size : AREA_SIZE_MAX;
}

/* What the descriptor is, and whether it goes past the page cache. */
static int file_look(struct area *area, int direct, char *error, size_t error_size)
{
	struct file *file = area->state;
	struct statfs fs = {0};
	struct stat st = {0};
	int flags = fcntl(file->fd, F_GETFL);

	if (flags < 0 || fstat(file->fd, &st) < 0)
		return file_fail(file, -errno, error, error_size, "%s", strerror(errno));
	file->device = S_ISBLK(st.st_mode);
	if (!file->device && !S_ISREG(st.st_mode))
		return file_fail(file, -EINVAL, error, error_size, "is neither a file nor a block device");
	if ((flags & O_ACCMODE) == O_RDONLY)
		area->traits |= AREA_RDONLY;
	flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
	if (fcntl(file->fd, F_SETFL, flags) < 0)
		fcntl(file->fd, F_SETFL, flags & ~O_DIRECT);
	if (!(fcntl(file->fd, F_GETFL) & O_DIRECT))
		area->traits |= AREA_BUFFERED;
	file->memory = !file->device && fstatfs(file->fd, &fs) == 0 &&
		       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
	if (!file->device && !file->memory)
		area->traits |= AREA_THIN;
	return 0;
}

/* The unit of transfers. Where a file system does not say in which it goes past its cache, a page. */
static uint32_t file_block(const struct area *area)
{
	const struct file *file = area->state;
	struct statx x = {0};
	int sector = 0;

	if (file->device)
		return ioctl(file->fd, BLKSSZGET, &sector) == 0 && sector >= 512 && sector <= 4096 ? sector
												   : 4096;
	if (area->traits & AREA_BUFFERED || file->memory)
		return 512;
	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) < 0 || !(x.stx_mask & STATX_DIOALIGN) ||
	    x.stx_dio_offset_align == 0)
		return 4096;
	if (x.stx_dio_mem_align > x.stx_dio_offset_align)
		return x.stx_dio_mem_align;
	return x.stx_dio_offset_align < 512 ? 512 : x.stx_dio_offset_align;
}

static int file_measure(struct area *area, char *error, size_t error_size)
{
	struct file *file = area->state;

	area->block = file_block(area);
	if (area->block > 4096)
		return file_fail(file, -EINVAL, error, error_size, "its blocks are larger than 4096 bytes");
	area->traits |= AREA_DISCARDS;
	area->bytes = file_size(area);
	return area->bytes ? 0 : file_fail(file, -EINVAL, error, error_size, "is empty");
}

static void file_close(struct area *area)
{
	struct file *file = area->state;

	file_async_free(file);
	if (file->fd >= 0 && file->by_engine)
		flock(file->fd, LOCK_UN);
	if (file->fd >= 0)
		close(file->fd);
	pthread_mutex_destroy(&file->lock);
	free(file->name);
	free(file);
}

static char *file_name(struct json_object *config)
{
	struct json_object *fd = json_object_object_get(config, "fd");
	const char *path = config_text(config, "path");
	char *name;

	if (path)
		return strdup(path);
	return asprintf(&name, "descriptor %d", fd ? json_object_get_int(fd) : -1) < 0 ? NULL : name;
}

static int file_open(struct area *area, struct json_object *config, char *error, size_t error_size)
{
	struct file *file = calloc(1, sizeof(*file));
	int r;

	if (!file || !(file->name = file_name(config))) {
		free(file);
		return -ENOMEM;
	}
	area->state = file;
	file->fd = -1;
	file->ring = config_bool(config, "io_uring");
	area->rings.refused = !file->ring;
	pthread_mutex_init(&file->lock, NULL);
	r = file_get(file, config, error, error_size);
	if (r == 0)
		r = file_look(area, config_bool(config, "direct"), error, error_size);
	if (r == 0)
		r = file_lock(file, area->traits & AREA_RDONLY, error, error_size);
	if (r == 0)
		r = file_measure(area, error, error_size);
	if (r < 0)
		file_close(area);
	return r;
}

static void file_submit(struct area *area, struct area_io *io)
{
	struct file *file = area->state;

	if (file->memory || io->op == AREA_DISCARD)
		area_io_done(io, file_transfer(file, io));
	else if (io->here)
		file_queue(file, io, io->here, NULL, 0);
	else
		file_start(file, io);
}

/* Many parts at once, or a device's durable write: better by a ring. */
static int file_wants_ring(const struct area *area, const struct area_io *io)
{
	const struct file *file = area->state;

	if (file->memory || area->rings.refused || io->op > AREA_WRITE)
		return 0;
	return io->range_count > 1 || io->iov_count > IOV_MAX ||
	       (file->device && io->op == AREA_WRITE && io->flags & AREA_FUA);
}

static int file_run(struct area *area, struct area_io *io)
{
	if (file_wants_ring(area, io))
		return area_run_here(area, io);
	return file_transfer(area->state, io);
}

static void file_report(struct area *area, struct json_object *into)
{
	const struct file *file = area->state;

	json_object_object_add(into, "name", json_object_new_string(file->name));
	json_object_object_add(into, "direct", json_object_new_boolean(!(area->traits & AREA_BUFFERED)));
}

static const struct ls_option file_options[] = {
	{"path", LS_STRING, "", 0, 0, "the file or block device", 0},
	{"fd", LS_FD, "", 0, 0, "an open descriptor of it, instead of opening the path", 0},
	{"direct", LS_BOOL, "true", 0, 0, "past the page cache of the host, where it can be", 0},
	{"io_uring", LS_BOOL, "true", 0, 0, "use io_uring, where it can be", 0},
	{"read_only", LS_BOOL, "false", 0, 0, "open the path for reading", 0},
	{NULL},
};

const struct area_type area_type_file = {
	.name = "file",
	.help = "in a file or a block device",
	.options = file_options,
	.primary = "path",
	.open = file_open,
	.close = file_close,
	.submit = file_submit,
	.run = file_run,
	.resize = file_size,
	.report = file_report,
};
