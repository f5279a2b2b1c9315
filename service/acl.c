/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>

#include "service/acl-find.h"
#include "service/acl.h"

static size_t entries_of(const void *value, size_t size, const struct posix_acl_xattr_entry **ret)
{
	*ret = (const void *)((const char *)value + sizeof(struct posix_acl_xattr_header));
	return (size - sizeof(struct posix_acl_xattr_header)) / sizeof(**ret);
}

/* As the kernel keeps them: in this order, and only named users and groups more than once. */
static bool entry_after(const struct posix_acl_xattr_entry *entry, unsigned last)
{
	bool named = entry->e_tag == ACL_USER || entry->e_tag == ACL_GROUP;

	if (entry->e_perm & ~7u || (named && entry->e_id == (uint32_t)ACL_UNDEFINED_ID))
		return false;
	return entry->e_tag > last || (named && entry->e_tag == last);
}

static int entries_mode(const struct posix_acl_xattr_entry *entry, size_t count, mode_t *ret_mode, unsigned *ret_tags)
{
	unsigned tags = 0, last = 0;
	mode_t mode = 0;

	for (size_t i = 0; i < count; last = entry[i++].e_tag) {
		mode_t bits = entry[i].e_perm;
		if (!entry_after(&entry[i], last))
			return -EINVAL;
		switch (entry[i].e_tag) {
		case ACL_USER_OBJ:
			mode |= bits << 6;
			break;
		case ACL_GROUP_OBJ:
			mode |= bits << 3;
			break;
		case ACL_MASK: /* instead of the group's */
			mode = (mode & ~070u) | bits << 3;
			break;
		case ACL_OTHER:
			mode |= bits;
			break;
		case ACL_USER:
		case ACL_GROUP:
			break;
		default:
			return -EINVAL;
		}
		tags |= entry[i].e_tag;
	}
	*ret_mode = mode;
	*ret_tags = tags;
	return 0;
}

int acl_mode(const void *value, size_t size, mode_t *ret_mode)
{
	const struct posix_acl_xattr_header *header = value;
	const unsigned needed = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER, named = ACL_USER | ACL_GROUP;
	const struct posix_acl_xattr_entry *entry;
	unsigned tags;
	size_t count;
	mode_t mode;

	if (size == 0)
		return ACL_NONE;
	if (size < sizeof(*header) || (size - sizeof(*header)) % sizeof(*entry))
		return -EINVAL;
	if (header->a_version != POSIX_ACL_XATTR_VERSION)
		return -EOPNOTSUPP;
	count = entries_of(value, size, &entry);
	if (count == 0)
		return ACL_NONE;
	if (entries_mode(entry, count, &mode, &tags) < 0 || (tags & needed) != needed ||
	    ((tags & named) && !(tags & ACL_MASK)))
		return -EINVAL;
	*ret_mode = mode;
	return tags == needed ? ACL_MINIMAL : ACL_MORE;
}

/* As the kernel's posix_acl_permission, but that the owner is not asked about. */
static int entries_access(struct caller *c, const struct posix_acl_xattr_entry *entry, size_t count, gid_t gid,
			  unsigned may)
{
	const struct posix_acl_xattr_entry *grants = NULL;
	bool member = false;
	unsigned mask = 7;

	for (size_t i = 0; i < count; i++) {
		const struct posix_acl_xattr_entry *e = &entry[i];
		bool group = e->e_tag == ACL_GROUP_OBJ || e->e_tag == ACL_GROUP;
		if (e->e_tag == ACL_MASK)
			mask = e->e_perm;
		else if (grants || (e->e_tag == ACL_USER && e->e_id != c->cred.uid))
			continue;
		else if (e->e_tag == ACL_USER)
			grants = e;
		else if (group && caller_in_group(c, e->e_tag == ACL_GROUP ? e->e_id : gid)) {
			member = true;
			grants = may & ~e->e_perm ? NULL : e;
		} else if (e->e_tag == ACL_OTHER && !member)
			return may & ~e->e_perm ? -EACCES : 0;
	}
	return grants && !(may & ~(grants->e_perm & mask)) ? 0 : -EACCES;
}

int acl_access(struct caller *c, const struct inode *inode, const struct ls_attr *attr, unsigned may)
{
	const struct posix_acl_xattr_entry *entry;
	size_t count;
	mode_t bits;
	char *value;
	ssize_t n = acl_find(c, inode, ACL_OF_ACCESS, &value);
	int kind = n > 0 ? acl_mode(value, n, &bits) : (int)n;

	if (kind > 0) {
		count = entries_of(value, n, &entry);
		kind = entries_access(c, entry, count, attr->gid, may & 7);
	} else if (kind == ACL_NONE) {
		kind = ACL_SILENT;
	}
	free(value);
	return kind;
}

void acl_chmod(void *value, size_t size, mode_t mode)
{
	struct posix_acl_xattr_entry *entry;
	size_t count = entries_of(value, size, (const struct posix_acl_xattr_entry **)&entry);
	struct posix_acl_xattr_entry *group = NULL;

	for (size_t i = 0; i < count; i++) {
		switch (entry[i].e_tag) {
		case ACL_USER_OBJ:
			entry[i].e_perm = (mode >> 6) & 7;
			break;
		case ACL_OTHER:
			entry[i].e_perm = mode & 7;
			break;
		case ACL_GROUP_OBJ:
			if (!group)
				group = &entry[i];
			break;
		case ACL_MASK: /* instead of the group's */
			group = &entry[i];
			break;
		}
	}
	if (group)
		group->e_perm = (mode >> 3) & 7;
}
