/* SPDX-License-Identifier: Apache-2.0 */
/* The option `tmpcopyup`: a tmpfs begins with what the directory beneath it holds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "engine/oci/inside.h"

enum { DEPTH_MAX = 64 };

static int copy_attributes(int to, const char *name, const struct stat *st)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0) ||
	    utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int copy_file(int from, int to, const char *name)
{
	_cleanup_(close_p) int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), out = -1;
	ssize_t n = 1;

	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (in >= 0 && out >= 0 && n > 0)
		n = sendfile(out, in, NULL, 1 << 20);
	return in < 0 || out < 0 || n < 0 ? -errno : 0;
}

static int copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? -errno : 0;
}

static int copy_tree(int from, int to, unsigned depth);

static int copy_directory(int from, int to, const char *name, unsigned depth)
{
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
	_cleanup_(close_p) int out = -1;

	if (in < 0 || mkdirat(to, name, 0700) < 0) {
		r = -errno;
		close_p(&in);
		return r;
	}
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out >= 0)
		return copy_tree(in, out, depth + 1);
	close(in);
	return -errno;
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		r = copy_directory(from, to, name, depth);
	else if (S_ISREG(st.st_mode))
		r = copy_file(from, to, name);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from, to, name);
	else
		return 0;
	return r < 0 ? r : copy_attributes(to, name, &st);
}

/* Takes `from` over. */
static int copy_tree(int from, int to, unsigned depth)
{
	DIR *d = depth < DEPTH_MAX ? fdopendir(from) : NULL;
	struct dirent *e;
	int r = 0;

	if (!d) {
		close(from);
		return -ELOOP;
	}
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			r = copy_entry(dirfd(d), to, e->d_name, depth);
	closedir(d);
	return r;
}

int mount_copy_up(int target, int mount)
{
	int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(close_p) int to = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (from >= 0 && to >= 0)
		return copy_tree(from, to, 0);
	close_p(&from);
	return -errno;
}
