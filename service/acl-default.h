/* SPDX-License-Identifier: Apache-2.0 */
/* What an object that is made gets from its directory's default ACL. */
#pragma once

#include "service/vfs.h"

/* Of an object that is being made. All zero: it gets nothing but a mode. */
struct acl_default {
	char *value; /* the directory's ACL, until it is given; owned */
	size_t size;
	mode_t mode; /* what the object has in the end */
	bool access; /* it gets an access ACL: its mode does not say it all */
	bool given;
};

/*
 * What is made in dir with *mode, as asked for, type and all: that becomes the mode to make it with, by the umask or by
 * the directory's default ACL. Then acl_default_give, and acl_default_end in any case.
 */
int acl_default_begin(struct caller *c, struct inode *dir, mode_t *mode, struct acl_default *ret);
/* It has been made, with the attributes *attr, which become those of the end. */
int acl_default_give(struct caller *c, struct instance *fs, struct ls_inode *made, struct acl_default *acl,
		     struct ls_attr *attr);
void acl_default_end(struct acl_default *acl);
