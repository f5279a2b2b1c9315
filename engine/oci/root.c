/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/oci/inside.h"

static const struct {
	const char *name;
	unsigned long flags;
} propagations[] = {
	{"private", MS_PRIVATE},   {"rprivate", MS_REC | MS_PRIVATE},
	{"slave", MS_SLAVE},       {"rslave", MS_REC | MS_SLAVE},
	{"shared", MS_SHARED},     {"rshared", MS_REC | MS_SHARED},
	{"unbindable", MS_UNBINDABLE}, {"runbindable", MS_REC | MS_UNBINDABLE},
};

static unsigned long propagation(const struct bundle *b)
{
	const char *word = json_text_at(b->config, "linux.rootfsPropagation");

	for (size_t i = 0; word && i < ARRAY_LEN(propagations); i++)
		if (!strcmp(propagations[i].name, word))
			return propagations[i].flags;
	return MS_REC | MS_SLAVE;
}

int root_prepare(const struct bundle *bundle, const char *path, int tree, struct error *error)
{
	_cleanup_(close_p) int own = -1;
	int root;

	if (mount(NULL, "/", NULL, propagation(bundle), NULL) < 0)
		return error_errno(error, errno, "set the propagation of mounts");
	if (tree < 0)
		tree = own = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return error_errno(error, errno, "root '%s'", path);
	/* pivot_root wants a mount whose parent is private, and a place for it: its own directory. */
	if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(error, errno, "mount the root at '%s'", path);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? error_errno(error, errno, "open root '%s'", path) : root;
}

int root_enter(int root, struct error *error)
{
	/* A shared parent is refused; and the old root's end must not be told to those it was copied from. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 || fchdir(root) < 0)
		return error_errno(error, errno, "leave the host's mounts");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(error, errno, "make it the root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_errno(error, errno, "leave the old root");
	return 0;
}

/* ---- names below the root ------------------------------------------------------------------------ */

static int open_in(int root, const char *path, uint64_t flags, mode_t mode)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_IN_ROOT};
	int fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int make_directories(int root, const char *path)
{
	_cleanup_(close_p) int at = open_in(root, ".", O_PATH | O_DIRECTORY, 0);
	char part[PATH_MAX];

	/* Each is looked up from the root again: it may be a link to somewhere else below the root. */
	for (const char *p = path; at >= 0 && *p;) {
		const char *end = p + strspn(p, "/");
		end += strcspn(end, "/");
		snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		int next = open_in(root, part, O_PATH | O_DIRECTORY, 0);
		if (next == -ENOENT) {
			const char *name = strrchr(part, '/');
			name = name ? name + 1 : part;
			if (*name && mkdirat(at, name, 0755) < 0 && errno != EEXIST)
				return -errno;
			next = open_in(root, part, O_PATH | O_DIRECTORY, 0);
		}
		if (next < 0)
			return next;
		close(at);
		at = next;
		p = end;
	}
	return at < 0 ? at : 0;
}

static int make_file(int root, const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int r, fd;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	slash = strrchr(dir, '/');
	if (slash) {
		*slash = '\0';
		r = make_directories(root, dir);
		if (r < 0)
			return r;
	}
	fd = open_in(root, path, O_CREAT | O_WRONLY | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int root_open(int root, const char *path, bool make, bool directory)
{
	int fd = open_in(root, path, O_PATH, 0), r;
	char file[PATH_MAX];
	size_t n = strlen(path);

	if (fd != -ENOENT || !make)
		return fd;
	if (directory) {
		r = make_directories(root, path);
		return r < 0 ? r : open_in(root, path, O_PATH, 0);
	}
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= sizeof(file))
		return -ENAMETOOLONG;
	snprintf(file, sizeof(file), "%.*s", (int)n, path);
	r = make_file(root, file);
	return r < 0 ? r : open_in(root, file, O_PATH, 0);
}
