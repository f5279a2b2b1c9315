/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/ofd.h"
#include "service/share.h"

static const struct ls_cred self_cred;
static const struct ls_call self_call = {.tenant = "", .cred = &self_cred};

int ofd_new(struct inode *inode, struct ls_file *file, int flags, const char *path, struct ofd **ret)
{
	static uint64_t next_id;
	struct ofd *ofd = calloc(1, sizeof(*ofd));

	if (!ofd) {
		if (file)
			ls_release(inode->fs->stack, &self_call, file);
		inode_unref(inode);
		return -ENOMEM;
	}
	*ofd = (struct ofd){.refs = 1, .flags = flags, .inode = inode, .file = file,
			    .id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED),
			    .path = path ? strdup(path) : NULL};
	pthread_mutex_init(&ofd->lock, NULL);
	pthread_mutex_init(&ofd->position_lock, NULL);
	*ret = ofd;
	/* A full barrier: either a grant is seen here, or who gives one sees this open file. Partner: share_grant. */
	if (file) {
		__atomic_add_fetch(&inode->opens, 1, __ATOMIC_SEQ_CST);
		share_opened(inode);
	}
	return 0;
}

struct ofd *ofd_ref(struct ofd *ofd)
{
	__atomic_add_fetch(&ofd->refs, 1, __ATOMIC_RELAXED);
	return ofd;
}

void ofd_unref(struct ofd *ofd)
{
	struct lock_owner self;

	if (!ofd || __atomic_sub_fetch(&ofd->refs, 1, __ATOMIC_ACQ_REL))
		return;
	self = (struct lock_owner){LOCK_OWNER_OFD, ofd->id};
	if (ofd->flocked)
		hosts_lock_drop(ofd->inode, self, true);
	if (ofd->ofd_locked)
		hosts_lock_drop(ofd->inode, self, false);
	if (ofd->executes)
		__atomic_sub_fetch(&ofd->inode->executed, 1, __ATOMIC_SEQ_CST);
	if (ofd->file) {
		__atomic_sub_fetch(&ofd->inode->opens, 1, __ATOMIC_SEQ_CST);
		ls_release(ofd->inode->fs->stack, &self_call, ofd->file);
	}
	inode_unref(ofd->inode);
	pthread_mutex_destroy(&ofd->lock);
	pthread_mutex_destroy(&ofd->position_lock);
	free(ofd->path);
	free(ofd);
}
