/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/mimic.h"
#include "engine/mounts.h"

static bool is_ours(const struct mimic *m, dev_t dev)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->made[i] == dev)
			return true;
	return false;
}

static int copy_link(int from, int to, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0 ||
	    fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* An empty file or directory, and the original bound over it with everything mounted below. */
static int bind_entry(int from, int to, const char *name, const struct stat *st)
{
	_cleanup_(close_p) int tree = -1, file = -1;

	tree = open_tree(from, name,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW |
				 AT_NO_AUTOMOUNT);
	if (tree < 0)
		return errno == EINVAL ? 0 : -errno; /* an unbindable mount: not for other namespaces */
	if (S_ISDIR(st->st_mode)) {
		if (mkdirat(to, name, 0700) < 0)
			return -errno;
	} else {
		file = openat(to, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (file < 0)
			return -errno;
	}
	return move_mount(tree, "", to, name, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int copy_entry(int from, int to, const char *name)
{
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		r = -errno;
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from, to, name, &st);
	else
		r = bind_entry(from, to, name, &st);
	return r == -ENOENT ? 0 : r; /* it went away meanwhile */
}

static int copy_entries(int from, int to, const char *path, struct error *error)
{
	DIR *dir = fdopendir(fcntl(from, F_DUPFD_CLOEXEC, 3));
	struct dirent *d;
	int r = 0;

	if (!dir)
		return error_errno(error, errno, "read '%s'", path);
	while (r == 0 && (errno = 0, d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		r = copy_entry(from, to, d->d_name);
		if (r < 0)
			error_errno(error, r, "copy '%s/%s' for the pool's view",
				    strcmp(path, "/") ? path : "", d->d_name);
	}
	closedir(dir);
	return r;
}

static int copy_attributes(int to, const struct stat *st)
{
	bool ok = fchownat(to, ".", st->st_uid, st->st_gid, 0) == 0 &&
		  fchmodat(to, ".", st->st_mode & 07777, 0) == 0;

	return ok ? 0 : -errno;
}

/* The old root goes below the new one for a moment, and then out of this namespace. */
static int make_root(int dir, struct error *error)
{
	if (fchdir(dir) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		return error_errno(error, errno, "make a new root for the pool");
	return 0;
}

static int mimic_cover(struct mimic *m, const char *path, struct error *error)
{
	_cleanup_(close_p) int from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1;
	struct stat st, made;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return error_errno(error, errno, "'%s'", path);
	if (m->count == ARRAY_LEN(m->made))
		return error_set(error, -ENOSPC, "too many missing mount points");
	to = mount_tmpfs("mode=0700", error);
	if (to < 0)
		return to;
	if (move_mount(to, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 || fstat(to, &made) < 0)
		return error_errno(error, errno, "mount over '%s' for the pool's view", path);
	m->made[m->count++] = made.st_dev;
	r = copy_entries(from, to, path, error);
	if (r < 0)
		return r;
	r = copy_attributes(to, &st);
	if (r < 0)
		return error_errno(error, r, "mount over '%s' for the pool's view", path);
	return strcmp(path, "/") ? 0 : make_root(to, error);
}

/* The longest part of the path that exists, as its real path; *rest is what is missing. */
static int deepest(const char *path, char real[static PATH_MAX], const char **rest, struct error *error)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	for (;;) {
		snprintf(part, sizeof(part), "%.*s", (int)(len ? len : 1), path);
		if (realpath(part, real))
			break;
		if (errno != ENOENT || !len)
			return error_errno(error, errno, "mount point '%s': '%s'", path, part);
		while (len && path[--len] != '/')
			;
	}
	if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(error, -ENOTDIR, "mount point '%s': '%s' is not a directory", path, part);
	*rest = path + (len ? len : 0);
	*rest += strspn(*rest, "/");
	return 0;
}

/* mkdir -p of what is missing, below a directory that is ours. */
static int make_missing(const char *real, const char *rest, char ret[static PATH_MAX], struct error *error)
{
	size_t len = snprintf(ret, PATH_MAX, "%s", strcmp(real, "/") ? real : "");

	while (*rest) {
		size_t n = strcspn(rest, "/");
		if (len + n + 2 > PATH_MAX)
			return error_errno(error, ENAMETOOLONG, "mount point '%s/%s'", ret, rest);
		len += snprintf(ret + len, PATH_MAX - len, "/%.*s", (int)n, rest);
		if (mkdir(ret, 0755) < 0 && errno != EEXIST)
			return error_errno(error, errno, "make '%s' for the pool's view", ret);
		if (chmod(ret, 0755) < 0)
			return error_errno(error, errno, "make '%s' for the pool's view", ret);
		rest += n + strspn(rest + n, "/");
	}
	return 0;
}

int mimic_directory(struct mimic *m, const char *path, char ret_real[static PATH_MAX], struct error *error)
{
	char real[PATH_MAX];
	const char *rest = "";
	struct stat st;
	int r = deepest(path, real, &rest, error);

	if (r < 0)
		return r;
	if (!*rest) {
		strcpy(ret_real, real);
		return 0;
	}
	if (stat(real, &st) < 0)
		return error_errno(error, errno, "'%s'", real);
	if (!is_ours(m, st.st_dev))
		r = mimic_cover(m, real, error);
	return r < 0 ? r : make_missing(real, rest, ret_real, error);
}
