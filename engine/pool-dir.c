/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/mounts.h"
#include "engine/pool-dir.h"
#include "engine/programs.h"
#include "engine/table.h"
#include "preload/overlay.h"

/* The name of WIRE_SOCKET and so on, in the directory. */
static const char *name_in(const char *path)
{
	return path + sizeof(WIRE_POOL_DIR);
}

static int make_socket(int dir, struct error *error)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = name_in(WIRE_SOCKET);

	/* The directory has no path of its own: bind relative to it. Peers are checked by their
	 * credentials. */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	if (fd < 0 || fchdir(dir) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fchmodat(dir, name, 0666, 0) < 0 || listen(fd, 4096) < 0)
		return error_errno(error, errno, "make the pool's socket");
	return take_fd(&fd);
}

static int make_placeholder(int dir, struct stat *ret, struct error *error)
{
	_cleanup_(close_p) int fd =
		openat(dir, name_in(WIRE_PLACEHOLDER), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0);

	if (fd < 0 || fchmod(fd, 0) < 0 || fstat(fd, ret) < 0)
		return error_errno(error, errno, "make the pool's placeholder");
	return 0;
}

static int make_table(int dir, const char *pool, bool one_core, const struct stat *placeholder,
		      struct error *error)
{
	_cleanup_(close_p) int fd =
		openat(dir, name_in(WIRE_TABLE), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	struct wire_table *table = NULL;

	if (fd >= 0 && fchmod(fd, 0644) == 0 && ftruncate(fd, sizeof(*table)) == 0)
		table = table_map(fd);
	if (!table)
		return error_errno(error, errno, "make the pool's table");
	table->magic = WIRE_MAGIC;
	table->version = WIRE_VERSION;
	table->one_core = one_core;
	table->placeholder_ino_lo = (uint64_t)placeholder->st_ino;
	table->placeholder_ino_hi = (uint64_t)placeholder->st_ino >> 32;
	table->placeholder_dev_lo = (uint64_t)placeholder->st_dev;
	table->placeholder_dev_hi = (uint64_t)placeholder->st_dev >> 32;
	snprintf(table->pool, sizeof(table->pool), "%s", pool);
	table_unmap(table);
	return take_fd(&fd);
}

static int copy_file(int from, int dir, const char *name, mode_t mode)
{
	_cleanup_(close_p) int to = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
	ssize_t n = 1;

	if (to < 0 || fchmod(to, mode) < 0)
		return -errno;
	while (n > 0)
		n = sendfile(to, from, NULL, 1 << 20);
	return n < 0 ? -errno : 0;
}

/* Without it programs go through FUSE: slower, and right. */
static void copy_preload(int dir, struct json_object *warnings)
{
	_cleanup_(close_p) int from = -1;
	char path[PATH_MAX];
	struct error why;
	int r = program_preload(path, &why);

	if (r == 0) {
		from = open(path, O_RDONLY | O_CLOEXEC);
		r = from < 0 ? -errno : copy_file(from, dir, name_in(WIRE_PRELOAD), 0755);
		if (r < 0)
			error_errno(&why, r, "copy '%s'", path);
	}
	if (r < 0)
		json_say(
			warnings,
			"no preload library: %s; programs reach their files through FUSE alone, more slowly",
			why.text);
}

/* Without them the preload library patches each process by itself: slower to start, and right. */
static void write_patches(int dir, struct json_object *warnings)
{
	_cleanup_(close_p) int patches = -1;
	char sentence[400];
	int r;

	if (mkdirat(dir, name_in(WIRE_PATCH_DIR), 0755) < 0)
		return;
	patches = openat(dir, name_in(WIRE_PATCH_DIR), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = patches < 0 ? -errno : overlay_write_all(patches, "/", sentence, sizeof(sentence));
	if (r < 0)
		json_say(warnings, "no patched C library prepared: %s",
			 patches < 0 ? strerror(-r) : sentence);
}

static int fill(int dir, const char *pool, bool one_core, struct pool_dir *ret,
		struct json_object *warnings, struct error *error)
{
	_cleanup_(close_p) int listener = -1, table = -1;
	struct stat placeholder;
	int r;

	listener = make_socket(dir, error);
	if (listener < 0)
		return listener;
	r = make_placeholder(dir, &placeholder, error);
	if (r < 0)
		return r;
	table = make_table(dir, pool, one_core, &placeholder, error);
	if (table < 0)
		return table;
	if (mkdirat(dir, name_in(WIRE_ROOT_DIR), 0755) < 0)
		return error_errno(error, errno, "make the directory of the pool's roots");
	copy_preload(dir, warnings);
	write_patches(dir, warnings);
	*ret = (struct pool_dir){.listen = take_fd(&listener), .table = take_fd(&table)};
	return 0;
}

int pool_dir_make(const char *path, const char *pool, bool one_core, struct pool_dir *ret,
		  struct json_object *warnings, struct error *error)
{
	_cleanup_(close_p) int shown = mount_tmpfs("mode=0755,size=64m", error), ours = -1;
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};
	int r;

	if (shown < 0)
		return shown;
	r = mount_attach(shown, path, error);
	if (r < 0)
		return r;
	/* Two mounts of one file system: files open for writing in the one do not keep the other writable.
	 */
	ours = open_tree(shown, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (ours < 0 || mount_setattr(shown, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0)
		return error_errno(error, errno, "mount '%s'", path);
	r = fill(ours, pool, one_core, ret, warnings, error);
	if (r < 0)
		return r;
	ret->dir = take_fd(&ours);
	return 0;
}
