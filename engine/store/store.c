/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "engine/store/store.h"

bool store_name_is_good(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+-");

	return n && n <= 128 && !name[n] && name[0] != '.' && name[0] != '-';
}

static int remove_at(int dir, const char *name);

static int empty_directory(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		close(fd);
		return -errno;
	}
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			r = remove_at(dirfd(d), e->d_name);
	closedir(d);
	return r;
}

static int remove_at(int dir, const char *name)
{
	int fd, r;

	if (unlinkat(dir, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return errno == ENOENT ? 0 : -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = empty_directory(fd);
	if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int store_remove(const char *path)
{
	return remove_at(AT_FDCWD, path);
}

static int make_directories(struct error *error)
{
	static const char *const names[] = {"/layers", "/images", "/containers", "/tmp"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (mkdir(names[i], 0755) < 0 && errno != EEXIST)
			return error_errno(error, errno, "make '%s' in the store", names[i]);
	return 0;
}

int store_lock(int *ret, struct error *error)
{
	_cleanup_(close_p) int fd = -1;
	int r = make_directories(error), tmp;

	if (r < 0)
		return r;
	fd = open("/images", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return error_errno(error, errno, "lock the store");
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = tmp < 0 ? -errno : empty_directory(tmp);
	if (r < 0)
		return error_errno(error, r, "remove what an earlier import left in the store");
	*ret = take_fd(&fd);
	return 0;
}

bool store_has_layer(const char *digest)
{
	char path[80];

	snprintf(path, sizeof(path), "/layers/%s", digest);
	return access(path, F_OK) == 0;
}

int store_temporary(const char *name, int *ret, struct error *error)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/tmp/%s", name);
	if (mkdir(path, 0755) < 0)
		return error_errno(error, errno, "make '%s' in the store", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(error, errno, "open '%s' in the store", path);
	*ret = fd;
	return 0;
}

int store_write_file(int dir, const char *name, const char *text, size_t size)
{
	_cleanup_(close_p) int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (; size; text += n, size -= n) {
		n = write(fd, text, size);
		if (n < 0)
			return -errno;
	}
	return 0;
}
