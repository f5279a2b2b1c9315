/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACLs as the layers keep them.
 *
 * Nearly everything has none, and everything that is made, and every user's step through another's directory, would
 * have the layer asked for one. So the numbers of inodes that were seen to have none are remembered (struct acl_absent),
 * each in the one place that it can have: who finds his number there asks no further. Not where others change the files,
 * too: there each time is the first.
 *
 * An answer that was on its way while some inode got an ACL is not remembered: `changes` has changed.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "service/acl-find.h"
#include "service/acl.h"

static const char *const names[] = {[ACL_OF_ACCESS] = ACL_ACCESS, [ACL_OF_DEFAULT] = ACL_DEFAULT};

static uint64_t *absent_place(struct acl_absent *absent, uint64_t ino)
{
	return &absent->ino[ino % ACL_ABSENT];
}

static bool absent_is(struct acl_absent *absent, uint64_t ino)
{
	return __atomic_load_n(absent_place(absent, ino), __ATOMIC_ACQUIRE) == ino;
}

static void absent_put(struct acl_absent *absent, uint64_t ino, uint64_t seen)
{
	pthread_mutex_lock(&absent->lock);
	if (absent->changes == seen)
		__atomic_store_n(absent_place(absent, ino), ino, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&absent->lock);
}

void acl_changed(struct instance *fs, enum acl_of of, uint64_t ino)
{
	struct acl_absent *absent = &fs->no_acl[of];

	pthread_mutex_lock(&absent->lock);
	__atomic_add_fetch(&absent->changes, 1, __ATOMIC_RELEASE);
	if (absent_is(absent, ino))
		__atomic_store_n(absent_place(absent, ino), 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&absent->lock);
}

/* What the layer has of that name, copied from `first` where it went in there. */
static ssize_t value_get(struct caller *c, const struct inode *inode, const char *name, char **ret)
{
	char first[512], *value;
	ssize_t n = ls_getxattr(inode->fs->stack, &c->call, inode->ls, name, first, sizeof(first));

	if (n == 0 || (n < 0 && n != -ERANGE))
		return n;
	value = malloc(n > 0 ? n : XATTR_SIZE_MAX);
	if (!value)
		return -ENOMEM;
	if (n > 0)
		memcpy(value, first, n);
	else
		n = ls_getxattr(inode->fs->stack, &c->call, inode->ls, name, value, XATTR_SIZE_MAX);
	if (n > 0)
		*ret = value;
	else
		free(value);
	return n;
}

ssize_t acl_find(struct caller *c, const struct inode *inode, enum acl_of of, char **ret)
{
	struct acl_absent *absent = &inode->fs->no_acl[of];
	uint64_t seen = __atomic_load_n(&absent->changes, __ATOMIC_ACQUIRE);
	ssize_t n;

	*ret = NULL;
	if (absent_is(absent, inode->ino))
		return 0;
	n = value_get(c, inode, names[of], ret);
	if (n == -ENODATA || n == -EOPNOTSUPP)
		n = 0;
	if (n == 0 && !inode->fs->shared)
		absent_put(absent, inode->ino, seen);
	return n;
}
