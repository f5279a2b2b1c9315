/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files on their way between the preload door and the kernel: a handle becomes a FUSE descriptor (materialise), a
 * descriptor or what stands for one becomes a handle (adopt), and either is asked for its path.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "service/pending.h"
#include "service/request.h"
#include "service/token.h"
#include "service/view.h"

static int64_t put_text(struct request *q, const char *text)
{
	size_t length = strlen(text);

	if (length + 1 > q->payload_size)
		return -ENAMETOOLONG;
	memcpy(q->payload, text, length + 1);
	q->out.out_len = length + 1;
	return length;
}

/* The open file's hint path, if it still leads there. Owned by the caller; NULL if it does not. */
static char *path_verified(struct request *q, struct ofd *ofd)
{
	struct caller self;
	struct walk w;
	char *path;
	bool good = false;

	if (ofd->inode == ofd->inode->fs->root)
		return strdup("");
	pthread_mutex_lock(&ofd->lock);
	path = ofd->path ? strdup(ofd->path) : NULL;
	pthread_mutex_unlock(&ofd->lock);
	if (!path)
		return NULL;
	caller_init(&self, DOOR_SELF, q->service->pool, 0, 0, 0);
	if (walk(&self, ofd->inode->fs->root, "", path, 0, &w) == 0) {
		good = w.inode == ofd->inode;
		walk_end(&w);
	}
	caller_fini(&self);
	if (!good) {
		free(path);
		path = NULL;
	}
	return path;
}

int64_t request_materialise(struct request *q)
{
	struct ofd *ofd = request_ofd(q);
	char *path = NULL, name[64];
	int64_t r;

	if (!ofd)
		return -EBADF;
	/* The kernel finds its root under no other name. */
	if (q->in->arg == 0 || ofd->inode == ofd->inode->fs->root)
		path = path_verified(q, ofd);
	snprintf(name, sizeof(name), WIRE_OPEN_NAME "%llx", (unsigned long long)ofd->id);
	r = pending_add(q->session, q->in->more.tid, ofd);
	if (r == 0)
		r = put_text(q, path ? path : name);
	free(path);
	ofd_unref(ofd);
	return r;
}

/* Of a file that is not found where it was opened: where that was, in the kernel's words. NULL: no memory. */
static char *path_gone(struct ofd *ofd)
{
	char *path;
	int n;

	pthread_mutex_lock(&ofd->lock);
	if (ofd->path)
		n = asprintf(&path, "%s (deleted)", ofd->path);
	else
		n = asprintf(&path, "#%llu (deleted)", (unsigned long long)ofd->inode->ino);
	pthread_mutex_unlock(&ofd->lock);
	return n < 0 ? NULL : path;
}

int64_t request_getpath(struct request *q)
{
	struct ofd *ofd = request_ofd(q);
	char *path;
	int64_t r;

	if (!ofd)
		return -EBADF;
	path = path_verified(q, ofd);
	if (!path && q->in->arg == 1)
		path = path_gone(ofd);
	r = path ? put_text(q, path) : -ENOENT;
	free(path);
	ofd_unref(ofd);
	return r;
}

/* /proc/<pid>/cwd or fd/<n> of the caller, as a path relative to its mount; NULL if that cannot be told. */
static char *proc_path(const struct session *session, struct instance *fs, const char *link)
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(session->service->proc_fd, link, path, sizeof(path) - 1), gone = strlen(" (deleted)");

	if (n < 0)
		return NULL;
	path[n] = 0;
	/* So it says also while the kernel looks the name up again; whether it is true, path_verified finds out. */
	if (n > gone && !strcmp(path + n - gone, " (deleted)"))
		path[n - gone] = 0;
	if (session->view && view_is_root(session->view, fs))
		return strdup(path + (*path == '/'));
	if (strncmp(path, fs->path, fs->path_len) || (path[fs->path_len] && path[fs->path_len] != '/'))
		return NULL;
	return strdup(path + fs->path_len + (path[fs->path_len] == '/'));
}

/* What the inode number of a token leads to. */
static int64_t adopt_token(struct request *q, struct instance *fs)
{
	struct ofd *ofd = token_find(fs, q->in->offset);
	struct ls_attr attr;
	int64_t r;

	if (!ofd)
		return -ESTALE;
	r = vfs_getattr(&q->caller, ofd->inode, ofd, &attr);
	if (r < 0) {
		ofd_unref(ofd);
		return r;
	}
	wire_attr_from(&attr, &q->out.attr);
	q->out.arg = __atomic_load_n(&ofd->flags, __ATOMIC_RELAXED);
	return request_give(q, ofd);
}

/* Its type, if that is what the link leads to; or -errno. */
static int link_check(const struct session *session, const struct instance *fs, const char *link, uint64_t ino)
{
	struct statx st;

	/* DONT_SYNC: the answer must not need this service. */
	if (statx(session->service->proc_fd, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_TYPE, &st) < 0)
		return -errno;
	return makedev(st.stx_dev_major, st.stx_dev_minor) == fs->dev && st.stx_ino == ino ? st.stx_mode & S_IFMT : -EXDEV;
}

static int directory_open(const struct session *session, struct instance *fs, const char *link, uint64_t ino,
			  struct ofd **ret)
{
	struct inode *inode = ino == fs->root->ino ? inode_ref(fs->root) : inode_find(fs, ino);
	char *path;
	int r;

	if (!inode)
		return -ESTALE;
	path = proc_path(session, fs, link);
	r = ofd_new(inode, NULL, O_PATH | O_DIRECTORY, path, ret);
	free(path);
	return r;
}

static int64_t adopt_from(struct request *q, struct instance *fs)
{
	struct ofd *ofd;
	char link[64];
	int r;

	if (q->in->arg == UINT64_MAX)
		snprintf(link, sizeof(link), "%d/cwd", q->session->pid);
	else
		snprintf(link, sizeof(link), "%d/fd/%u", q->session->pid, (unsigned)q->in->arg);
	r = link_check(q->session, fs, link, q->in->offset);
	if (r < 0)
		return r;
	if (fs->token_dir >= 0)
		return adopt_token(q, fs);
	if (r != S_IFDIR)
		return -ENOTDIR;
	r = directory_open(q->session, fs, link, q->in->offset, &ofd);
	return r < 0 ? r : request_give(q, ofd);
}

/* The filesystem of that base, referenced; NULL: there is none, or the session does not see it. */
static struct instance *adopt_mount(const struct session *session, uint32_t base)
{
	struct instance *fs = service_mount_get(session->service, base & 0x7fffffffu);

	if (!fs || ((base & 0x80000000u) && session_sees(session, fs)))
		return fs;
	service_mount_put(fs);
	return NULL;
}

int64_t request_adopt(struct request *q)
{
	struct instance *fs = adopt_mount(q->session, q->in->base);
	int64_t r;

	if (!fs)
		return -EINVAL;
	r = adopt_from(q, fs);
	service_mount_put(fs);
	return r;
}

uint32_t session_adopt_cwd(struct session *session, uint32_t base, uint64_t ino)
{
	struct instance *fs = adopt_mount(session, base);
	int64_t handle = 0;
	struct ofd *ofd;
	char link[32];

	if (!fs)
		return 0;
	snprintf(link, sizeof(link), "%d/cwd", session->pid);
	if (fs->token_dir < 0 && link_check(session, fs, link, ino) == S_IFDIR &&
	    directory_open(session, fs, link, ino, &ofd) == 0)
		handle = session_handle_new(session, ofd);
	service_mount_put(fs);
	return handle < 0 ? 0 : (uint32_t)handle;
}
