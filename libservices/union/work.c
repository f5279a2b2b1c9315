/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work directory, in the root of the writable branch, where nobody sees it. What is being made is made here and
 * then moved into place, so that a crash shows it whole or not at all; what a crash left is removed at the next open.
 *
 *   w<n>       something being made, or being taken apart
 *   i<number>  the index: a copied-up file of which a branch below has more names. It is one more link.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/rules.h"
#include "libservices/union/union.h"

static const struct ls_cred root_cred;

void union_work_name(struct union_fs *u, char name[static UNION_WORK_NAME])
{
	snprintf(name, UNION_WORK_NAME, "w%llx",
		 (unsigned long long)__atomic_add_fetch(&u->work_count, 1, __ATOMIC_RELAXED));
}

void union_index_name(uint64_t number, char name[static UNION_WORK_NAME])
{
	snprintf(name, UNION_WORK_NAME, "i%016llx", (unsigned long long)number);
}

int union_whiteout(struct union_fs *u, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	struct ls_call own = *call;
	struct ls_inode *inode;
	struct ls_attr attr;
	int r;

	own.cred = &root_cred;
	r = ls_mknod(u->ls->below[0], &own, dir, name, S_IFCHR, 0, 0, &inode, &attr);
	if (r == 0)
		ls_forget(u->ls->below[0], &own, inode, 1);
	return r;
}

/* ---- taking apart -------------------------------------------------------------------------------------- */

/* It looks empty: whatever it holds is a whiteout. */
int union_clear(struct union_fs *u, const struct ls_call *call, struct ls_inode *dir)
{
	char *names;
	int r = ls_names(u->ls->below[0], call, dir, &names);

	if (r < 0)
		return r;
	for (const char *name = names; *name && r == 0; name += strlen(name) + 1)
		r = ls_unlink(u->ls->below[0], call, dir, name);
	free(names);
	return r;
}

void union_work_remove(struct union_fs *u, const struct ls_call *call, const char *name, bool is_dir)
{
	struct ls *below = u->ls->below[0];
	struct ls_inode *inode;
	struct ls_attr attr;

	if (!is_dir) {
		ls_unlink(below, call, u->work, name);
		return;
	}
	if (ls_rmdir(below, call, u->work, name) != -ENOTEMPTY || ls_lookup(below, call, u->work, name, &inode, &attr) < 0)
		return;
	union_clear(u, call, inode);
	ls_forget(below, call, inode, 1);
	ls_rmdir(below, call, u->work, name);
}

/* What a crash left goes; the index stays. */
static int work_tidy(struct union_fs *u, const struct ls_call *call)
{
	char *names;
	int r = ls_names(u->ls->below[0], call, u->work, &names);

	if (r < 0)
		return r;
	for (const char *name = names; *name; name += strlen(name) + 1) {
		if (*name == 'i')
			u->has_index = true;
		if (*name == 'w' && ls_unlink(u->ls->below[0], call, u->work, name) < 0)
			union_work_remove(u, call, name, true);
	}
	free(names);
	return 0;
}

/* What is made here is to have no ACL but its own; the kernel gives a host directory's to what is made in it. */
static void work_strip(struct union_fs *u, const struct ls_call *call)
{
	ls_removexattr(u->ls->below[0], call, u->work, ACL_DEFAULT);
	ls_removexattr(u->ls->below[0], call, u->work, ACL_ACCESS);
}

int union_work_open(struct union_fs *u, char *error, size_t error_size)
{
	const struct ls_call call = {.tenant = u->ls->tenant, .cred = &root_cred};
	struct ls *below = u->ls->below[0];
	struct ls_attr attr;
	int r = ls_lookup(below, &call, below->root, u->work_name, &u->work, &attr);

	if (r == -ENOENT)
		r = ls_mkdir(below, &call, below->root, u->work_name, 0700, &u->work, &attr);
	if (r == 0 && !S_ISDIR(attr.mode))
		r = -ENOTDIR;
	if (r == 0)
		work_strip(u, &call);
	if (r == 0)
		r = work_tidy(u, &call);
	if (r < 0)
		snprintf(error, error_size, "union: work directory '%s' of the writable branch: %s", u->work_name,
			 strerror(-r));
	return r;
}

/* It goes if it is empty: then the branch is as the kernel's overlay would have left it. */
void union_work_close(struct union_fs *u)
{
	const struct ls_call call = {.tenant = u->ls->tenant, .cred = &root_cred};

	if (!u->work)
		return;
	ls_forget(u->ls->below[0], &call, u->work, 1);
	ls_rmdir(u->ls->below[0], &call, u->ls->below[0]->root, u->work_name);
	u->work = NULL;
}
