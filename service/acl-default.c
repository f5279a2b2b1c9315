/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Default ACLs: what is made in a directory that has one gets it as its access ACL, as far as the mode that was asked
 * for allows, and the umask does not count. A directory gets it as its own default ACL, too.
 *
 * The layers know nothing of it. So an object is first made with nothing for anybody but its owner, then gets its ACLs,
 * then its mode: nobody may do more with it at any moment, nor after a crash, than he may in the end. Where a layer's
 * directory is one of the kernel's, that gives the object the same ACL by itself; of a mode that has been masked by the
 * ACL it makes the same mode once more.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "service/acl-default.h"
#include "service/acl-find.h"
#include "service/acl.h"

int acl_default_begin(struct caller *c, struct inode *dir, mode_t *mode, struct acl_default *ret)
{
	char *value;
	ssize_t n = acl_find(c, dir, ACL_OF_DEFAULT, &value);
	mode_t bits;
	int kind = n > 0 ? acl_mode(value, n, &bits) : (int)n;

	*ret = (struct acl_default){.value = NULL};
	if (kind == ACL_NONE)
		*mode &= ~c->umask;
	else if (kind > 0)
		*mode &= ~0777u | bits;
	if (kind == ACL_MORE || (kind == ACL_MINIMAL && S_ISDIR(*mode))) {
		*ret = (struct acl_default){.value = value, .size = n, .mode = *mode, .access = kind == ACL_MORE};
		*mode &= ~077u;
	} else {
		free(value);
	}
	return kind < 0 ? kind : 0;
}

int acl_default_give(struct caller *c, struct instance *fs, struct ls_inode *made, struct acl_default *acl,
		     struct ls_attr *attr)
{
	struct ls_attr in = {.mode = (attr->mode & (S_IFMT | 07000)) | (acl->mode & 0777)};
	int r = 0;

	if (!acl->value)
		return 0;
	if (S_ISDIR(acl->mode)) {
		r = ls_setxattr(fs->stack, &c->call, made, ACL_DEFAULT, acl->value, acl->size, 0);
		acl_changed(fs, ACL_OF_DEFAULT, attr->ino);
	}
	acl_chmod(acl->value, acl->size, acl->mode);
	if (r == 0 && acl->access) {
		r = ls_setxattr(fs->stack, &c->call, made, ACL_ACCESS, acl->value, acl->size, 0);
		acl_changed(fs, ACL_OF_ACCESS, attr->ino);
	}
	if (r == 0)
		r = ls_setattr(fs->stack, &c->call, made, NULL, &in, LS_SET_MODE, attr);
	acl->given = r == 0;
	return r;
}

void acl_default_end(struct acl_default *acl)
{
	free(acl->value);
	acl->value = NULL;
}
