/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/wire.h"
#include "service/lease.h"
#include "service/perm.h"
#include "service/session.h"
#include "service/view.h"
#include "service/walk.h"

enum { LINKS_MAX = 40 };

/* The hint path follows the walk by text: exact unless something is renamed meanwhile. */
static void path_down(struct walk *w, const char *name)
{
	size_t length = strlen(w->path), more = strlen(name);

	if (!w->path_known || length + more + 2 > sizeof(w->path)) {
		w->path_known = false;
		return;
	}
	if (length)
		w->path[length++] = '/';
	memcpy(w->path + length, name, more + 1);
}

static void path_up(struct walk *w)
{
	char *slash = strrchr(w->path, '/');

	*(slash ? slash : w->path) = 0;
}

static void walk_learn(struct caller *c, struct inode *inode)
{
	if (c->learns)
		lease_learn(c, inode);
}

static void walk_set_dir(struct caller *c, struct walk *w, struct inode *inode, const struct ls_attr *attr)
{
	inode_unref(w->dir);
	w->dir = inode;
	w->dir_attr = *attr;
	walk_learn(c, inode);
}

/* What the caller's mount namespace has of it: view.h. */
static const struct view *view_of(const struct caller *c)
{
	return c->session ? c->session->view : NULL;
}

static bool is_covered(const struct caller *c, const struct inode *inode)
{
	if (c->session && !view_of(c))
		return __atomic_load_n(&inode->covered_here, __ATOMIC_ACQUIRE) & COVER_ON;
	return __atomic_load_n(&inode->covered, __ATOMIC_ACQUIRE) && view_of(c) && view_covers(view_of(c), inode);
}

static bool needs_name(const struct caller *c, const struct inode *inode)
{
	if (c->session && !view_of(c))
		return __atomic_load_n(&inode->covered_here, __ATOMIC_ACQUIRE);
	return __atomic_load_n(&inode->covered, __ATOMIC_ACQUIRE) && view_of(c) && view_needs_name(view_of(c), inode);
}

static bool up_is_parent(const struct caller *c, const struct instance *fs)
{
	return !view_of(c) || view_is_whole(view_of(c), fs);
}

/* What of a link's absolute path is below the root of the filesystem; NULL: it leads elsewhere. */
static const char *link_inside(const struct caller *c, const struct instance *fs, const char *text)
{
	if (view_of(c))
		return view_is_root(view_of(c), fs) ? text : NULL;
	if (!fs->path_len || strncmp(text, fs->path, fs->path_len) ||
	    (text[fs->path_len] && text[fs->path_len] != '/'))
		return NULL;
	return text + fs->path_len;
}

static int step_up(struct caller *c, struct walk *w)
{
	struct entry parent;
	int r;

	if (w->dir == w->dir->fs->root || !up_is_parent(c, w->dir->fs))
		return WIRE_ESCAPE;
	r = vfs_parent(c, w->dir, &parent);
	if (r < 0)
		return r;
	if (is_covered(c, parent.inode)) {
		inode_unref(parent.inode);
		return WIRE_ESCAPE;
	}
	walk_set_dir(c, w, parent.inode, &parent.attr);
	path_up(w);
	return 0;
}

/*
 * What remains to be walked after a symbolic link: its target, then the rest. `link` is consumed. The rest may
 * lie in `buf` itself.
 */
static int link_splice(struct caller *c, struct walk *w, const struct entry *link, const char *rest, char *buf,
		       size_t size, const char **ret)
{
	char target[PATH_MAX];
	const char *text = target;
	size_t rest_length = strlen(rest);
	struct instance *fs = w->dir->fs;
	ssize_t n;
	int r = perm_follow(c, &w->dir_attr, &link->attr);

	n = r < 0 ? r : vfs_readlink(c, link->inode, target, sizeof(target) - 1);
	inode_unref(link->inode);
	if (n < 0)
		return n;
	if (n == 0)
		return -ENOENT;
	target[n] = 0;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (*text == '/') {
		struct ls_attr attr;
		text = link_inside(c, fs, text);
		if (!text)
			return WIRE_ESCAPE;
		r = vfs_getattr(c, fs->root, NULL, &attr);
		if (r < 0)
			return r;
		walk_set_dir(c, w, inode_ref(fs->root), &attr);
		w->path[0] = 0;
		w->path_known = true;
	}
	n = strlen(text);
	if (n + rest_length + 2 > size)
		return -ENAMETOOLONG;
	memmove(buf + n + (rest_length ? 1 : 0), rest, rest_length + 1);
	memcpy(buf, text, n);
	if (rest_length)
		buf[n] = '/';
	*ret = buf;
	return 0;
}

static int step_down(struct caller *c, struct inode *dir, const char *name, struct entry *ret)
{
	uint64_t token = c->learns ? lease_name_token(c, dir, name) : LEASE_NEVER;
	int r = vfs_lookup_checked(c, dir, name, ret);

	if (r == 0 && is_covered(c, ret->inode)) {
		inode_unref(ret->inode);
		return WIRE_ESCAPE;
	}
	if (r == 0 || r == -ENOENT)
		lease_enter_name(c, dir, name, r == 0 ? ret->inode : NULL, token);
	return r;
}

/* Cuts the next component off *path. Returns its length; 0 at the end. */
static size_t component(const char **path, const char **ret)
{
	while (**path == '/')
		++*path;
	*ret = *path;
	while (**path && **path != '/')
		++*path;
	return *path - *ret;
}

/* The end of the path is a directory that we are in already: ".", "..", or nothing. */
static int end_at_dir(struct walk *w, enum last_kind kind)
{
	w->kind = kind;
	w->inode = inode_ref(w->dir);
	w->attr = w->dir_attr;
	return 0;
}

static int walk_last(struct caller *c, struct walk *w, const char *name, size_t length, const struct entry *found)
{
	memcpy(w->last, name, length);
	w->last[length] = 0;
	w->kind = LAST_NORMAL;
	w->inode = found ? found->inode : NULL;
	if (found) {
		w->attr = found->attr;
		walk_learn(c, found->inode);
	}
	path_down(w, w->last);
	return 0;
}

static int walk_steps(struct caller *c, const char *path, unsigned flags, struct walk *w)
{
	char buf[PATH_MAX * 2], name[NAME_MAX + 1];
	enum last_kind at = LAST_ROOT;

	for (;;) {
		struct entry found;
		const char *word;
		size_t length = component(&path, &word);
		bool last, slash = *path == '/';
		int r;

		if (length == 0) {
			if (w->dir->type != S_IFDIR)
				return -ENOTDIR;
			return end_at_dir(w, at);
		}
		while (*path == '/')
			path++;
		last = !*path;
		if (w->dir->type != S_IFDIR)
			return -ENOTDIR;
		r = perm_access(c, w->dir, &w->dir_attr, MAY_EXEC);
		if (r < 0)
			return r;
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		if (length == 1 && word[0] == '.') {
			at = LAST_DOT;
			continue;
		}
		if (length == 2 && word[0] == '.' && word[1] == '.') {
			at = LAST_DOTDOT;
			r = step_up(c, w);
			if (r < 0)
				return r;
			continue;
		}
		memcpy(name, word, length);
		name[length] = 0;
		r = step_down(c, w->dir, name, &found);
		if (r == -ENOENT && last && (flags & WALK_CREATE)) {
			w->slash = slash;
			return walk_last(c, w, name, length, NULL);
		}
		if (r < 0)
			return r;
		if (found.inode->type == S_IFLNK &&
		    (!last || (!(flags & WALK_PARENT) && (slash || (flags & WALK_FOLLOW))))) {
			/* A slash behind the link stays behind its target. */
			const char *rest = last && slash ? "/" : path;
			r = link_splice(c, w, &found, rest, buf, sizeof(buf), &path);
			if (r < 0)
				return r;
			at = LAST_ROOT;
			continue;
		}
		if (last && (flags & WALK_PARENT) && needs_name(c, found.inode)) {
			inode_unref(found.inode);
			return WIRE_ESCAPE;
		}
		if (last) {
			if (slash && found.inode->type != S_IFDIR && !(flags & WALK_PARENT)) {
				inode_unref(found.inode);
				return -ENOTDIR;
			}
			w->slash = slash;
			return walk_last(c, w, name, length, &found);
		}
		walk_set_dir(c, w, found.inode, &found.attr);
		path_down(w, name);
		at = LAST_ROOT;
	}
}

int walk(struct caller *c, struct inode *base, const char *base_path, const char *path, unsigned flags,
	 struct walk *w)
{
	int r;

	memset(w, 0, offsetof(struct walk, path));
	w->path_known = base_path && strlen(base_path) < sizeof(w->path);
	strcpy(w->path, w->path_known ? base_path : "");
	w->dir = inode_ref(base);
	walk_learn(c, base);
	r = vfs_getattr(c, base, NULL, &w->dir_attr);
	if (r == 0)
		r = walk_steps(c, path, flags, w);
	if (r < 0) {
		inode_unref(w->dir);
		w->dir = NULL;
	}
	return r;
}

void walk_end(struct walk *w)
{
	inode_unref(w->dir);
	inode_unref(w->inode);
}
