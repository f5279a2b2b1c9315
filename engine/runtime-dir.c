/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "engine/runtime-dir.h"

enum { JOIN_MS = 30 * 1000 };

const char *runtime_dir(void)
{
	const char *dir = getenv("POLYTROPON_RUN");

	return dir && *dir ? dir : RUNTIME_DIR;
}

bool runtime_dir_is_default(void)
{
	return !strcmp(runtime_dir(), RUNTIME_DIR);
}

static void path_in(char buf[static PATH_MAX], const char *name)
{
	snprintf(buf, PATH_MAX, "%s/%s", runtime_dir(), name);
}

static int socket_address(struct sockaddr_un *ret, struct error *error)
{
	char path[PATH_MAX];

	path_in(path, "engine.sock");
	if (strlen(path) >= sizeof(ret->sun_path))
		return error_set(error, -ENAMETOOLONG, "'%s' is too long for a socket", path);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(ret->sun_path, path);
	return 0;
}

int runtime_connect(struct error *error)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int r = socket_address(&address, error);

	if (r < 0)
		return r;
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(error, errno, "engine at '%s'", address.sun_path);
	return take_fd(&fd);
}

/* It must be a directory, root's, and nobody else's business. */
static int runtime_dir_make(struct error *error)
{
	struct stat st;

	if (mkdir(runtime_dir(), 0700) < 0 && errno != EEXIST)
		return error_errno(error, errno, "make '%s'", runtime_dir());
	if (lstat(runtime_dir(), &st) < 0)
		return error_errno(error, errno, "'%s'", runtime_dir());
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return error_set(error, -EPERM, "'%s' is not a directory of user %u", runtime_dir(),
				 geteuid());
	if (chmod(runtime_dir(), 0700) < 0)
		return error_errno(error, errno, "'%s'", runtime_dir());
	return 0;
}

/* An engine that ends removes the lock with the directory: what was locked must still be the lock. */
static bool lock_is_current(int fd, const char *path)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

static int try_lock(const char *path, struct error *error)
{
	_cleanup_(close_p) int fd = -1;
	int r = runtime_dir_make(error);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : error_errno(error, errno, "open '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !lock_is_current(fd, path))
		return -EAGAIN;
	return take_fd(&fd);
}

int runtime_join(int *ret_connection, int *ret_lock, struct error *error)
{
	const struct timespec pause = {0, 10 * 1000 * 1000};
	int64_t until = now_ms() + JOIN_MS;
	char path[PATH_MAX];

	path_in(path, "engine.lock");
	while (now_ms() < until) {
		int fd = runtime_connect(error);
		if (fd >= 0) {
			*ret_connection = fd;
			return 0;
		}
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			return fd;
		fd = try_lock(path, error);
		if (fd >= 0) {
			*ret_lock = fd;
			return 0;
		}
		if (fd != -EAGAIN)
			return fd;
		nanosleep(&pause, NULL);
	}
	return error_set(error, -ETIMEDOUT, "another engine holds '%s' and does not answer", path);
}

int runtime_listen(struct error *error)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	int r = socket_address(&address, error);

	if (r < 0)
		return r;
	unlink(address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(address.sun_path, 0600) < 0 || listen(fd, 64) < 0)
		return error_errno(error, errno, "listen at '%s'", address.sun_path);
	return take_fd(&fd);
}

int runtime_log_open(void)
{
	char path[PATH_MAX];

	path_in(path, "engine.log");
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void runtime_remove(void)
{
	static const char *const names[] = {"engine.sock", "engine.log", "engine.lock"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(path, names[i]);
		unlink(path);
	}
	rmdir(runtime_dir());
}
