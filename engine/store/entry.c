/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/store/entry.h"

static const char wh[] = ".wh.", wh_meta[] = ".wh..wh.", wh_opaque[] = ".wh..wh..opq";

static bool starts(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

int entry_path(const char *name, unsigned depth, char *ret, size_t size)
{
	size_t len = 0, n;

	for (; *name; name += n) {
		while (*name == '/')
			name++;
		n = strcspn(name, "/");
		if (n == 0 || (n == 1 && name[0] == '.'))
			continue;
		if ((n == 2 && name[0] == '.' && name[1] == '.') || n > NAME_MAX || depth-- == 0)
			return -EINVAL;
		if (len + n + 2 > size)
			return -ENAMETOOLONG;
		if (len)
			ret[len++] = '/';
		memcpy(ret + len, name, n);
		len += n;
	}
	if (len == 0)
		ret[len++] = '.';
	ret[len] = '\0';
	return 0;
}

/* Marks of the overlay convention would be believed; trusted.* and most of security.* are the host's to give. */
static bool xattr_is_taken(const char *name)
{
	if (starts(name, "user."))
		return !starts(name, "user.overlay.");
	return !strcmp(name, "security.capability") || starts(name, "system.posix_acl_");
}

static void xattrs_filter(struct archive_entry *entry)
{
	struct archive_entry *copy = archive_entry_clone(entry);
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_clear(entry);
	if (!copy)
		return;
	archive_entry_xattr_reset(copy);
	while (archive_entry_xattr_next(copy, &name, &value, &size) == ARCHIVE_OK)
		if (name && xattr_is_taken(name))
			archive_entry_xattr_add_entry(entry, name, value, size);
	archive_entry_free(copy);
}

static int refuse(struct error *error, const char *what, const char *name)
{
	int r = error_set(error, -EINVAL, "%s '%.300s'", what, name);

	text_tame(error->text);
	return r;
}

/* A hard link's other name is a path of the archive, too. */
static int link_take(struct archive_entry *entry, const struct entry_rules *rules, struct error *error)
{
	const char *name = archive_entry_hardlink(entry);
	char target[PATH_MAX];

	if (!name)
		return 0;
	if (entry_path(name, rules->depth, target, sizeof(target)) < 0 || !strcmp(target, "."))
		return refuse(error, "a hard link leads outside, to", name);
	archive_entry_copy_hardlink(entry, target);
	return 0;
}

static bool type_is_taken(struct archive_entry *entry, const struct entry_rules *rules)
{
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
	case AE_IFDIR:
	case AE_IFLNK:
	case AE_IFIFO:
		return true;
	case AE_IFCHR: /* 0/0 is how a tree spells a whiteout: an archive has other words for it */
		if (archive_entry_rdevmajor(entry) == 0 && archive_entry_rdevminor(entry) == 0)
			return false;
		return rules->devices;
	case AE_IFBLK:
		return rules->devices;
	default:
		return archive_entry_hardlink(entry) != NULL;
	}
}

/* ".wh.name" and its like; *slash is where the last component of the path begins. */
static int special(char *path, char *last, struct error *error)
{
	if (!strcmp(last, wh_opaque)) {
		strcpy(last > path ? last - 1 : last, last > path ? "" : ".");
		return ENTRY_OPAQUE;
	}
	if (starts(last, wh_meta))
		return ENTRY_LEFT_OUT;
	memmove(last, last + strlen(wh), strlen(last + strlen(wh)) + 1);
	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		return refuse(error, "a whiteout has no name, in", path);
	return ENTRY_WHITEOUT;
}

static bool below_whiteout(const char *path)
{
	const char *p = starts(path, wh) ? path : strstr(path, "/.wh.");

	return p && strchr(p + 1, '/');
}

int entry_take(struct archive_entry *entry, const struct entry_rules *rules, char *path, struct error *error)
{
	const char *name = archive_entry_pathname(entry), *link;
	char *last;

	if (!name)
		return error_set(error, -EINVAL, "an entry has no name");
	if (entry_path(name, rules->depth, path, PATH_MAX) < 0)
		return refuse(error, "a name leads outside or is too deep:", name);
	if (below_whiteout(path))
		return ENTRY_LEFT_OUT;
	last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	if (starts(last, wh))
		return special(path, last, error);
	if (!type_is_taken(entry, rules))
		return ENTRY_LEFT_OUT;
	if (!strcmp(path, ".") && (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFDIR))
		return refuse(error, "the root is no directory:", name);
	link = archive_entry_symlink(entry);
	if (archive_entry_filetype(entry) == AE_IFLNK && (!link || !*link || strlen(link) >= PATH_MAX))
		return refuse(error, "a symbolic link leads nowhere:", name);
	if (archive_entry_size_is_set(entry) &&
	    (archive_entry_size(entry) < 0 || (uint64_t)archive_entry_size(entry) > rules->size))
		return refuse(error, "a file is larger than the limit:", name);
	archive_entry_copy_pathname(entry, path);
	xattrs_filter(entry);
	return link_take(entry, rules, error);
}
