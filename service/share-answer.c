/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client asks for a share: who may have which, and how it gets the descriptors.
 *
 * The child of a fork has its parent's mappings and must say so, or what it has mapped may go when its parent ends. It
 * has no handle of the file; that the memory is in its address space is the proof that it may ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "service/limit.h"
#include "service/perm.h"
#include "service/service.h"
#include "service/session.h"
#include "service/share-internal.h"
#include "service/vfs.h"
#include "service/watched.h"

enum { SHARE_FDS = 3 };

struct asked {
	struct session *session;
	struct caller caller;
	struct ls_share got;
	int fds[SHARE_FDS]; /* to send */
	bool opened[SHARE_FDS];
	unsigned count;
};

/* ---- descriptors ------------------------------------------------------------------------------ */

/* The layer's descriptor, or one of the same file that cannot be written through. */
static int fd_put(struct asked *a, int fd, bool writable)
{
	char name[32];
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -EBADF;
	a->fds[a->count] = fd;
	a->opened[a->count] = !writable && (flags & O_ACCMODE) != O_RDONLY;
	if (a->opened[a->count]) {
		snprintf(name, sizeof(name), "self/fd/%d", fd);
		a->fds[a->count] = openat(a->session->service->proc_fd, name, O_RDONLY | O_CLOEXEC);
		if (a->fds[a->count] < 0)
			return -errno;
	}
	a->count++;
	return 0;
}

static int fds_put(struct asked *a, unsigned how)
{
	int r = fd_put(a, a->got.data, share_writes(how));

	if (r == 0 && share_copies(how))
		r = fd_put(a, a->got.state, false);
	if (r == 0 && how == LS_SHARE_WRITE)
		r = fd_put(a, a->got.marks, true);
	return r;
}

static void fds_end(struct asked *a)
{
	while (a->count-- > 0)
		if (a->opened[a->count])
			close(a->fds[a->count]);
}

static int answer(struct asked *a, int socket, int result, uint32_t number)
{
	struct wire_welcome welcome = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .result = result,
				       .session = number};
	char control[CMSG_SPACE(SHARE_FDS * sizeof(int))] = "";
	struct iovec iov = {&welcome, sizeof(welcome)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (result == 0 && a->count) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(a->count * sizeof(int));
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){CMSG_LEN(a->count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), a->fds, a->count * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* ---- by a handle ------------------------------------------------------------------------------ */

static int permitted(struct caller *c, const struct ofd *ofd, unsigned how)
{
	struct inode *inode = ofd->inode;
	int access = ofd->flags & O_ACCMODE;
	struct ls_attr attr;
	mode_t mode;
	int r;

	if (inode->type != S_IFREG || !ofd->file)
		return -EOPNOTSUPP;
	if (share_writes(how) && (access == O_RDONLY || inode->fs->rdonly))
		return -EACCES;
	/* Memory that can be written can be read. */
	if (access == O_WRONLY && (!share_copies(how) || vfs_access(c, inode, MAY_READ) < 0))
		return -EACCES;
	if (how == LS_SHARE_WRITE && (limit_writes(c->session->container) || watched(c->session->service, inode)))
		return -EBUSY;
	if (how != LS_SHARE_WRITE || caller_is_root(c))
		return 0;
	r = ls_getattr(inode->fs->stack, &c->call, inode->ls, NULL, &attr);
	return r < 0 ? r : perm_write_strips(c, &attr, &mode) ? -EBUSY : 0;
}

static struct share *share_new(struct asked *a, struct inode *inode, const struct wire_hello *hello)
{
	struct share *share = calloc(1, sizeof(*share));

	if (share)
		*share = (struct share){.inode = inode, .session = a->session, .how = hello->how,
					.session_number = a->session->back.number, .uid = a->caller.cred.uid,
					.offset = hello->offset, .length = hello->length};
	return share;
}

/* Asks, and sends the answer while the layer's descriptors are sure to be there. Takes over the share. */
static int give(struct asked *a, int socket, struct shares *sh, struct share *share, bool force,
		int (*prepare)(struct asked *a, unsigned how))
{
	int r = share_add(&a->caller, sh, share, force, &a->got);

	if (r < 0) {
		free(share);
		return answer(a, socket, r, 0);
	}
	r = prepare(a, share->how);
	if (answer(a, socket, r, share->number) < 0 || r < 0)
		share_drop(sh, share);
	fds_end(a);
	return 0;
}

static int answer_handle(struct asked *a, int socket, const struct wire_hello *hello)
{
	struct ofd *ofd = session_handle_get(a->session, hello->handle);
	struct shares *sh = NULL;
	struct share *share = NULL;
	int r = ofd ? permitted(&a->caller, ofd, hello->how) : -EBADF;

	if (r == 0 && (!(sh = shares_make(ofd->inode)) || !(share = share_new(a, ofd->inode, hello))))
		r = -ENOMEM;
	if (r < 0) {
		ofd_unref(ofd);
		return answer(a, socket, r, 0);
	}
	share->may_write = (ofd->flags & O_ACCMODE) == O_RDWR && !ofd->inode->fs->rdonly;
	pthread_mutex_lock(&sh->lock);
	r = give(a, socket, sh, share, false, fds_put);
	pthread_mutex_unlock(&sh->lock);
	ofd_unref(ofd);
	return r;
}

/* ---- by another share ------------------------------------------------------------------------- */

/* Whether the process has the file mapped. */
static int mapped(struct asked *a, unsigned how)
{
	unsigned major_, minor_;
	unsigned long long ino;
	char path[32], line[512];
	struct stat st;
	bool found = false;
	int fd;
	FILE *maps;

	snprintf(path, sizeof(path), "%d/maps", a->session->pid);
	fd = openat(a->session->service->proc_fd, path, O_RDONLY | O_CLOEXEC);
	maps = fd < 0 ? NULL : fdopen(fd, "re");
	if (!maps || fstat(a->got.data, &st) < 0) {
		if (fd >= 0 && !maps)
			close(fd);
		return maps ? fclose(maps), -EIO : -EIO;
	}
	while (!found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%*x-%*x %*s %*x %x:%x %llu", &major_, &minor_, &ino) == 3 &&
			makedev(major_, minor_) == st.st_dev && ino == st.st_ino;
	fclose(maps);
	return found ? 0 : -EPERM;
}

static struct inode *inode_of_share(struct service *s, uint32_t session_number, uint32_t number)
{
	struct session *session = (struct session *)back_session_get(s->back, session_number);
	struct inode *inode = NULL;
	uint32_t at = number;

	if (session) {
		inode = session_share(session, &at, SHARES_ALL);
		back_session_put(&session->back);
	}
	if (inode && at == number)
		return inode;
	inode_unref(inode);
	return orphan_share(session_number, number);
}

/* Its own share to map, to write now, or more of the file; or its parent's, to have the like. With the lock held. */
static int answer_by(struct asked *a, int socket, const struct wire_hello *hello, struct shares *sh)
{
	struct share *by = shares_number(sh, hello->parent_share), *share;
	bool own = by && by->session == a->session;

	if (!by || by->session_number != hello->parent || share_copies(by->how) || share_copies(hello->how))
		return answer(a, socket, -EBADF, 0);
	if (own && hello->how == LS_SHARE_MAP_WRITE && !by->may_write)
		return answer(a, socket, -EACCES, 0);
	share = share_new(a, by->inode, hello);
	if (!share)
		return answer(a, socket, -ENOMEM, 0);
	share->how = own ? hello->how : by->how;
	share->may_write = by->may_write;
	if (!own) {
		share->offset = by->offset;
		share->length = by->length;
	}
	return give(a, socket, sh, share, true, own ? fds_put : mapped);
}

static int answer_share(struct asked *a, int socket, const struct wire_hello *hello)
{
	struct inode *inode = inode_of_share(a->session->service, hello->parent, hello->parent_share);
	int r;

	if (!inode)
		return answer(a, socket, -EBADF, 0);
	pthread_mutex_lock(&inode->shares->lock);
	r = answer_by(a, socket, hello, inode->shares);
	pthread_mutex_unlock(&inode->shares->lock);
	inode_unref(inode);
	return r;
}

int share_sync(struct caller *c, struct session *session, uint32_t number)
{
	uint32_t at = number;
	struct inode *inode = session_share(session, &at, SHARES_ALL);
	struct ls_file *file;
	struct ofd *ofd;
	int r = inode && at == number ? ls_open(inode->fs->stack, &c->call, inode->ls, O_RDONLY, &file) : -EBADF;

	if (r == 0)
		r = ofd_new(inode_ref(inode), file, O_RDONLY, NULL, &ofd);
	if (r == 0) {
		r = vfs_fsync(c, ofd, 1);
		ofd_unref(ofd);
	}
	inode_unref(inode);
	return r;
}

int share_answer(struct session *session, int socket, const struct wire_hello *hello)
{
	struct asked a = {.session = session};
	int r;

	if (hello->how < LS_SHARE_READ || hello->how > LS_SHARE_MAP_WRITE || (int64_t)hello->offset < 0 ||
	    (int64_t)hello->length < 0 || hello->offset > (uint64_t)INT64_MAX - hello->length)
		return answer(&a, socket, -EINVAL, 0);
	session_caller(session, &a.caller, false);
	r = hello->handle ? answer_handle(&a, socket, hello) : answer_share(&a, socket, hello);
	caller_fini(&a.caller);
	return r;
}
