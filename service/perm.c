/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/acl.h"
#include "service/perm.h"

/*
 * The host's fs.protected_*, which may change at any time; they matter so seldom that they are read when they do. As the
 * kernel's own defaults are 0, so are these.
 */
static int protection(const char *name)
{
	char path[64], text[16] = "";
	int fd;

	snprintf(path, sizeof(path), "sys/fs/protected_%s", name);
	fd = openat(cred_proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atoi(text);
}

int perm_access(struct caller *c, const struct inode *inode, const struct ls_attr *attr, unsigned may)
{
	unsigned granted;
	int r;

	if (caller_is_root(c)) {
		if ((may & MAY_EXEC) && !S_ISDIR(attr->mode) && !(attr->mode & 0111))
			return -EACCES;
		return 0;
	}
	if (c->cred.uid != attr->uid && (attr->mode & 070) && inode) {
		r = acl_access(c, inode, attr, may);
		if (r != ACL_SILENT)
			return r;
	}
	if (c->cred.uid == attr->uid)
		granted = attr->mode >> 6;
	else if (((attr->mode >> 3) & 7) != (attr->mode & 7) && caller_in_group(c, attr->gid))
		granted = attr->mode >> 3;
	else
		granted = attr->mode;
	return (may & ~granted & 7) ? -EACCES : 0;
}

static bool owns(const struct caller *c, const struct ls_attr *attr)
{
	return c->cred.uid == attr->uid || caller_is_root(c);
}

int perm_delete(struct caller *c, const struct inode *inode, const struct ls_attr *dir, const struct ls_attr *victim)
{
	int r = perm_access(c, inode, dir, MAY_WRITE | MAY_EXEC);

	if (r < 0)
		return r;
	if ((dir->mode & S_ISVTX) && !owns(c, victim) && c->cred.uid != dir->uid)
		return -EPERM;
	return 0;
}

int perm_open(struct caller *c, const struct inode *inode, const struct ls_attr *attr, int flags)
{
	unsigned may = 0;
	int r, access = flags & O_ACCMODE;

	if (access != O_WRONLY)
		may |= MAY_READ;
	if (access != O_RDONLY || (flags & O_TRUNC))
		may |= MAY_WRITE;
	if (S_ISDIR(attr->mode) && (may & MAY_WRITE))
		return -EISDIR;
	if (flags & OPEN_EXEC)
		may = MAY_EXEC;
	r = perm_access(c, inode, attr, may);
	if (r < 0)
		return r;
	if ((flags & O_NOATIME) && !owns(c, attr))
		return -EPERM;
	return 0;
}

void perm_new(struct caller *c, const struct ls_attr *dir, mode_t *mode, gid_t *ret_gid)
{
	*ret_gid = c->cred.gid;
	if (!(dir->mode & S_ISGID))
		return;
	*ret_gid = dir->gid;
	if (S_ISDIR(*mode))
		*mode |= S_ISGID;
	else if ((*mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && !caller_is_root(c) &&
		 !caller_in_group(c, dir->gid))
		*mode &= ~S_ISGID;
}

bool perm_write_strips(struct caller *c, const struct ls_attr *attr, mode_t *ret_mode)
{
	mode_t mode = attr->mode;

	if (!S_ISREG(mode) || !(mode & (S_ISUID | S_ISGID)) || caller_is_root(c))
		return false;
	mode &= ~S_ISUID;
	if ((mode & S_IXGRP) || !caller_in_group(c, attr->gid))
		mode &= ~S_ISGID;
	*ret_mode = mode;
	return mode != attr->mode;
}

/* What chown takes from a file that is not a directory, whoever does it. */
static mode_t chown_strips(struct caller *c, const struct ls_attr *old)
{
	mode_t mode = old->mode & ~S_ISUID;

	if ((mode & S_IXGRP) || (!caller_is_root(c) && !caller_in_group(c, old->gid)))
		mode &= ~S_ISGID;
	return mode;
}

static int perm_chown(struct caller *c, const struct ls_attr *old, const struct ls_attr *in, unsigned set)
{
	if (caller_is_root(c))
		return 0;
	if ((set & LS_SET_UID) && (c->cred.uid != old->uid || in->uid != old->uid))
		return -EPERM;
	if ((set & LS_SET_GID) &&
	    (c->cred.uid != old->uid || (in->gid != old->gid && !caller_in_group(c, in->gid))))
		return -EPERM;
	return 0;
}

static int perm_times(struct caller *c, const struct inode *inode, const struct ls_attr *old, unsigned set)
{
	bool both_now = (set & (LS_SET_ATIME_NOW | LS_SET_MTIME_NOW)) == (LS_SET_ATIME_NOW | LS_SET_MTIME_NOW);

	if (owns(c, old))
		return 0;
	if (!both_now)
		return -EPERM;
	return perm_access(c, inode, old, MAY_WRITE);
}

int perm_setattr(struct caller *c, const struct inode *inode, const struct ls_attr *old, struct ls_attr *in, unsigned *set,
		 bool by_fd)
{
	int r;

	if ((*set & LS_SET_SIZE) && !by_fd) {
		r = perm_access(c, inode, old, MAY_WRITE);
		if (r < 0)
			return r;
	}
	r = perm_chown(c, old, in, *set);
	if (r < 0)
		return r;
	if (*set & LS_SET_MODE) {
		gid_t gid = *set & LS_SET_GID ? in->gid : old->gid;
		if (!owns(c, old))
			return -EPERM;
		in->mode = (old->mode & S_IFMT) | (in->mode & 07777);
		if (!caller_is_root(c) && !caller_in_group(c, gid))
			in->mode &= ~S_ISGID;
	}
	if (*set & (LS_SET_ATIME | LS_SET_MTIME)) {
		r = perm_times(c, inode, old, *set);
		if (r < 0)
			return r;
	}
	if ((*set & (LS_SET_UID | LS_SET_GID)) && !(*set & LS_SET_MODE) && !S_ISDIR(old->mode)) {
		in->mode = chown_strips(c, old);
		if (in->mode != old->mode)
			*set |= LS_SET_MODE;
	}
	if ((*set & LS_SET_SIZE) && !(*set & LS_SET_MODE)) {
		mode_t mode;
		if (perm_write_strips(c, old, &mode)) {
			in->mode = mode;
			*set |= LS_SET_MODE;
		}
	}
	return 0;
}

static bool starts(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* The kernel has looked already at who comes through it; root of a container may have lost what root may do. */
static bool is_capable(const struct caller *c, unsigned capability)
{
	struct process p;
	bool capable;

	if (!caller_is_root(c))
		return false;
	if (c->door != DOOR_PRELOAD)
		return true;
	if (process_read(cred_proc_fd, c->pid, &p) < 0)
		return false;
	capable = p.capabilities >> capability & 1;
	process_fini(&p);
	return capable;
}

int perm_xattr(struct caller *c, const struct inode *inode, const struct ls_attr *attr, const char *name, unsigned may)
{
	bool write = may & MAY_WRITE;

	if (starts(name, "trusted."))
		return is_capable(c, CAP_SYS_ADMIN) ? 0 : (write ? -EPERM : -ENODATA);
	if (starts(name, "security."))
		return write && !is_capable(c, strcmp(name, "security.capability") ? CAP_SYS_ADMIN : CAP_SETFCAP) ? -EPERM : 0;
	if (starts(name, "ceph.")) /* a cluster's: quotas, layouts */
		return write && !caller_is_root(c) ? -EPERM : 0;
	if (starts(name, "system."))
		return write && !owns(c, attr) ? -EPERM : 0;
	if (!starts(name, "user."))
		return -EOPNOTSUPP;
	if (!S_ISREG(attr->mode) && !S_ISDIR(attr->mode))
		return write ? -EPERM : -ENODATA;
	if (S_ISDIR(attr->mode) && (attr->mode & S_ISVTX) && write && !owns(c, attr))
		return -EPERM;
	return perm_access(c, inode, attr, may);
}

int perm_hardlink(struct caller *c, const struct inode *inode, const struct ls_attr *source)
{
	if (owns(c, source))
		return 0;
	if (S_ISREG(source->mode) && !(source->mode & S_ISUID) && (source->mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP) &&
	    perm_access(c, inode, source, MAY_READ | MAY_WRITE) == 0)
		return 0;
	return protection("hardlinks") ? -EPERM : 0;
}

int perm_follow(struct caller *c, const struct ls_attr *dir, const struct ls_attr *link)
{
	if (c->cred.uid == link->uid || dir->uid == link->uid)
		return 0;
	if ((dir->mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH) || !protection("symlinks"))
		return 0;
	return -EACCES;
}

int perm_create_existing(struct caller *c, const struct ls_attr *dir, const struct ls_attr *file, int flags)
{
	const char *what = S_ISREG(file->mode) ? "regular" : S_ISFIFO(file->mode) ? "fifos" : NULL;

	if (!(flags & O_CREAT) || !what || !(dir->mode & S_ISVTX) || !(dir->mode & (S_IWOTH | S_IWGRP)))
		return 0;
	if (file->uid == dir->uid || file->uid == c->cred.uid)
		return 0;
	return protection(what) >= (dir->mode & S_IWOTH ? 1 : 2) ? -EACCES : 0;
}
