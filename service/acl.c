/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "service/acl.h"

static size_t entries_of(const void *value, size_t size, const struct posix_acl_xattr_entry **ret)
{
	*ret = (const void *)((const char *)value + sizeof(struct posix_acl_xattr_header));
	return (size - sizeof(struct posix_acl_xattr_header)) / sizeof(**ret);
}

int acl_mode(const void *value, size_t size, mode_t *ret_mode, bool *ret_minimal)
{
	const struct posix_acl_xattr_header *header = value;
	const struct posix_acl_xattr_entry *entry;
	bool user = false, group = false, other = false, mask = false, named = false;
	mode_t mode = 0, mask_bits = 0;
	size_t count;

	if (size < sizeof(*header) || header->a_version != POSIX_ACL_XATTR_VERSION ||
	    (size - sizeof(*header)) % sizeof(*entry))
		return -EINVAL;
	count = entries_of(value, size, &entry);
	for (size_t i = 0; i < count; i++) {
		unsigned bits = entry[i].e_perm;
		if (bits & ~7u)
			return -EINVAL;
		switch (entry[i].e_tag) {
		case ACL_USER_OBJ:
			user = true;
			mode |= bits << 6;
			break;
		case ACL_GROUP_OBJ:
			group = true;
			mode |= bits << 3;
			break;
		case ACL_OTHER:
			other = true;
			mode |= bits;
			break;
		case ACL_MASK:
			mask = true;
			mask_bits = bits << 3;
			break;
		case ACL_USER:
		case ACL_GROUP:
			named = true;
			break;
		default:
			return -EINVAL;
		}
	}
	if (!user || !group || !other || (named && !mask))
		return -EINVAL;
	*ret_mode = mask ? (mode & ~070u) | mask_bits : mode;
	*ret_minimal = !named && !mask;
	return 0;
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
