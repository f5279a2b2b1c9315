/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of the host.
 *
 * Whatever happens to names, everything is reached by descriptors: an O_PATH one for each inode that
 * somebody refers to (table.c), from which files are opened through /proc/self/fd. So nothing is raced by
 * path, and nothing above the directory can be reached.
 *
 * Others may change the directory at any time (LS_SHARED), unless it is said to be exclusive. The process must
 * have a umask of 0 and these capabilities: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID,
 * CAP_MKNOD, and CAP_SYS_ADMIN for trusted attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "libservices/host/host.h"

int host_sync(struct ls *ls, const struct ls_call *call)
{
	return syncfs(host_of(ls)->sync_fd) < 0 ? -errno : 0;
}

int host_statfs(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	struct statfs s;

	if (fstatfs(host_of(ls)->sync_fd, &s) < 0)
		return -errno;
	*ret = (struct ls_statfs){
		.bsize = s.f_bsize,
		.frsize = s.f_frsize,
		.blocks = s.f_blocks,
		.bfree = s.f_bfree,
		.bavail = s.f_bavail,
		.files = s.f_files,
		.ffree = s.f_ffree,
		.namelen = s.f_namelen,
		.type = s.f_type,
	};
	return 0;
}

/*
 * Half of what the process may have is for others than inodes: open files, clients' memory. And some of that is not for
 * open files, so that who has them all open keeps nobody else from the service.
 */
static void descriptors_allow(struct host *h, uint64_t wanted)
{
	enum { OTHERS_MOST = 8192 };
	struct rlimit limit;
	rlim_t others;

	h->fd_limit = wanted;
	h->fd_top = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max > INT_MAX)
		limit.rlim_max = INT_MAX;
	if (wanted > limit.rlim_max / 2)
		h->fd_limit = limit.rlim_max / 2;
	others = limit.rlim_max / 8;
	h->fd_top = limit.rlim_max - (others < OTHERS_MOST ? others : OTHERS_MOST);
}

static const char *config_text(struct json_object *config, const char *key)
{
	struct json_object *v = json_object_object_get(config, key);

	return v ? json_object_get_string(v) : NULL;
}

/* The number of a descriptor in the configuration; -1 if it has none. */
static int config_fd(struct json_object *config, const char *key)
{
	const char *text = config_text(config, key);

	return text ? atoi(text) : -1;
}

static int open_root(struct host *h, int fd, const char *path)
{
	h->root_fd = openat(fd, fd >= 0 ? "." : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->root_fd < 0)
		return -errno;
	h->sync_fd = openat(h->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return h->sync_fd < 0 ? -errno : 0;
}

static int open_proc(struct host *h, int proc_fd)
{
	h->xattr_at = access("/proc/self/fd", X_OK) < 0;
	h->self_fd = openat(proc_fd, proc_fd >= 0 ? "self/fd" : "/proc/self/fd",
			    O_PATH | O_DIRECTORY | O_CLOEXEC);
	return h->self_fd < 0 ? -errno : 0;
}

static struct host *host_new(void)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->root_fd = h->sync_fd = h->self_fd = -1;
	pthread_mutex_init(&h->lock, NULL);
	for (int i = 0; i < HOST_STRIPES; i++)
		fair_lock_init(&h->stripe[i]);
	return h;
}

static void host_free(struct host *h)
{
	host_table_fini(h);
	if (!h->root && h->root_fd >= 0)
		close(h->root_fd); /* else it was the root inode's */
	if (h->sync_fd >= 0)
		close(h->sync_fd);
	if (h->self_fd >= 0)
		close(h->self_fd);
	for (int i = 0; i < HOST_STRIPES; i++)
		fair_lock_fini(&h->stripe[i]);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void host_type_close(struct ls *ls)
{
	host_free(host_of(ls));
}

static int host_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	const char *path = config_text(config, "path"), *what = path;
	int r, fd = config_fd(config, "fd");
	struct host *h;
	struct statx sx;

	if (fd < 0 && *path != '/') {
		snprintf(error, error_size, "host: path '%s' must be absolute", path);
		return -EINVAL;
	}
	h = host_new();
	if (!h)
		return -ENOMEM;
	descriptors_allow(h, strtoull(config_text(config, "descriptors"), NULL, 10));
	r = open_root(h, fd, path);
	if (r == 0) {
		what = "/proc/self/fd";
		r = open_proc(h, config_fd(config, "proc_fd"));
	}
	if (r == 0) {
		what = path;
		r = host_table_init(h);
	}
	if (r == 0)
		r = host_statx(h->root_fd, "", &sx);
	if (r < 0) {
		snprintf(error, error_size, "host: open '%s': %s", what, strerror(-r));
		host_free(h);
		return r;
	}
	ls->state = h;
	ls->root = (struct ls_inode *)h->root;
	host_attr(h->root, &sx, &ls->root_attr);
	if (strcmp(config_text(config, "exclusive"), "true") != 0)
		ls->traits |= LS_SHARED;
	return 0;
}

static const struct ls_option host_options[] = {
	{"path", LS_STRING, NULL, 0, 0, "the directory, as an absolute path", 0},
	{"fd", LS_FD, "", 0, 0, "an open descriptor of the directory, instead of opening the path", 0},
	{"proc_fd", LS_FD, "", 0, 0, "an open descriptor of /proc, instead of opening /proc/self/fd", 0},
	{"exclusive", LS_BOOL, "false", 0, 0, "nobody else changes the directory: what is known of it may be kept", 0},
	{"descriptors", LS_COUNT, "4096", 16, 1 << 20, "how many descriptors to keep for inodes in use", 0},
	{NULL},
};

const struct ls_type ls_type_host = {
	.name = "host",
	.help = "a directory of the host",
	.unset = LS_REFUSE,
	.options = host_options,
	.primary = "path",
	.open = host_type_open,
	.close = host_type_close,
	.ops = {
#define X(ret, op_name, ...) .op_name = host_##op_name,
		LS_FILE_OPS(X)
#undef X
	},
};
