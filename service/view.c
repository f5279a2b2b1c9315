/* SPDX-License-Identifier: Apache-2.0 */
#include "service/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "service/lease.h"
#include "service/mountinfo.h"
#include "service/session.h"
#include "service/socket.h"
#include "service/walk.h"

struct bits {
	uint64_t word[WIRE_MOUNTS_MAX / 64];
};

struct view {
	struct view *next;
	unsigned number;
	uint64_t namespace, root_dev, root_ino; /* of the processes that have it */
	unsigned sessions; /* the socket thread's: entered and not left */
	unsigned refs;     /* atomic */
	bool ended;        /* atomic */
	struct watch *watch;
	int watch_fd; /* of the pool's own */
	int root; /* the filesystem that is "/"; -1: none */
	struct bits shown, partial;
	struct cover {
		struct inode *inode; /* referenced, and counted in inode->covered */
		bool above;          /* not itself: something below it */
	} *cover;
	unsigned cover_count;
};

/* ---- questions -------------------------------------------------------------------------------------- */

static void bit_set(struct bits *bits, unsigned n)
{
	bits->word[n / 64] |= 1ull << (n % 64);
}

static void bit_clear(struct bits *bits, unsigned n)
{
	bits->word[n / 64] &= ~(1ull << (n % 64));
}

static bool bit_has(const struct bits *bits, unsigned n)
{
	return n < WIRE_MOUNTS_MAX && bits->word[n / 64] >> (n % 64) & 1;
}

unsigned view_number(const struct view *view)
{
	return view->number;
}

bool view_ended(const struct view *view)
{
	return __atomic_load_n(&view->ended, __ATOMIC_ACQUIRE);
}

bool view_shows(const struct view *view, unsigned n)
{
	return bit_has(&view->shown, n) && !view_ended(view);
}

int view_root(const struct view *view)
{
	return view->root;
}

bool view_is_root(const struct view *view, const struct instance *fs)
{
	return view->root == (int)fs->index;
}

bool view_is_whole(const struct view *view, const struct instance *fs)
{
	return !bit_has(&view->partial, fs->index);
}

bool view_covers(const struct view *view, const struct inode *inode)
{
	for (unsigned i = 0; i < view->cover_count; i++)
		if (view->cover[i].inode == inode && !view->cover[i].above)
			return true;
	return false;
}

bool view_needs_name(const struct view *view, const struct inode *inode)
{
	for (unsigned i = 0; i < view->cover_count; i++)
		if (view->cover[i].inode == inode)
			return true;
	return false;
}

/* ---- what the kernel says ------------------------------------------------------------------------------ */

/* The pool's filesystem that is mounted there, referenced; NULL: it is something else. */
static struct instance *mounted(struct service *s, uint64_t dev)
{
	for (unsigned n = 0; n < service_mount_top(s); n++) {
		struct instance *fs = service_mount_get(s, n);
		if (fs && fs->dev == dev)
			return fs;
		if (fs)
			service_mount_put(fs);
	}
	return NULL;
}

/* What a mount refuses, such as to be written, the filesystem cannot know: that is left to the kernel. */
static void view_show(struct view *view, const struct mount_line *line, const struct instance *fs, struct bits *limited)
{
	if (bit_has(&view->shown, fs->index) || strcmp(line->root, "/"))
		bit_set(&view->partial, fs->index);
	if (line->limited && !fs->rdonly)
		bit_set(limited, fs->index);
	bit_set(&view->shown, fs->index);
}

static int cover_add(struct view *view, struct inode *inode, bool above)
{
	struct cover *more = reallocarray(view->cover, view->cover_count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	view->cover = more;
	view->cover[view->cover_count++] = (struct cover){inode_ref(inode), above};
	__atomic_add_fetch(&inode->covered, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int view_cover_one(struct view *view, struct caller *self, struct instance *fs, const char *path, bool above)
{
	struct walk w;
	int r = walk(self, fs->root, "", path, 0, &w);

	if (r < 0)
		return r;
	r = w.inode == fs->root ? 0 : cover_add(view, w.inode, above);
	walk_end(&w);
	return r;
}

/* The mount point is the kernel's name of it: there are no links in it. */
static int view_cover(struct service *s, struct view *view, struct instance *fs, char *path)
{
	struct caller self;
	char *slash;
	int r;

	caller_init(&self, DOOR_SELF, s->pool, 0, 0, 0);
	r = view_cover_one(view, &self, fs, path, false);
	while (r == 0 && (slash = strrchr(path, '/')) && slash > path) {
		*slash = 0;
		r = view_cover_one(view, &self, fs, path, true);
	}
	caller_fini(&self);
	return r;
}

/* A mount on one of ours whose place cannot be told may be anywhere in it. */
static void view_line(struct service *s, struct view *view, const struct mount_list *list, const struct mount_line *line,
		      struct bits *limited)
{
	const struct mount_line *parent = mount_list_find(list, line->parent);
	struct instance *fs = mounted(s, line->dev);
	char path[PATH_MAX];

	if (fs) {
		view_show(view, line, fs, limited);
		service_mount_put(fs);
	}
	fs = parent && parent != line ? mounted(s, parent->dev) : NULL;
	if (!fs)
		return;
	if (mount_line_under(line, parent, path, sizeof(path)) < 0 || view_cover(s, view, fs, path) < 0)
		bit_set(limited, fs->index);
	service_mount_put(fs);
}

static int view_read(struct service *s, struct view *view, int fd)
{
	int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *mounts = again < 0 ? NULL : fdopen(again, "re");
	struct bits limited = {};
	struct mount_list list;
	int r;

	if (!mounts) {
		close(again);
		return -ENOMEM;
	}
	r = mount_list_read(mounts, &list);
	fclose(mounts);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < list.count; i++)
		view_line(s, view, &list, &list.line[i], &limited);
	for (unsigned n = 0; n < WIRE_MOUNTS_MAX; n++)
		if (bit_has(&limited, n))
			bit_clear(&view->shown, n);
	mount_list_fini(&list);
	return 0;
}

/* Only all of a container's root is one; a process that went elsewhere by chroot has none. */
static void view_find_root(struct service *s, struct view *view)
{
	struct instance *fs = mounted(s, view->root_dev);

	if (!fs)
		return;
	if (fs->index >= s->mount_count && fs->root->ino == view->root_ino && view_shows(view, fs->index))
		view->root = (int)fs->index;
	service_mount_put(fs);
}

/* ---- lives ---------------------------------------------------------------------------------------------- */

void view_put(struct view *view)
{
	if (!view || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL))
		return;
	while (view->cover_count) {
		struct inode *inode = view->cover[--view->cover_count].inode;
		__atomic_sub_fetch(&inode->covered, 1, __ATOMIC_SEQ_CST);
		inode_unref(inode);
	}
	free(view->cover);
	free(view);
}

static void view_unlist(struct service *s, struct view *view)
{
	struct view **p;

	for (p = &s->views; *p && *p != view; p = &(*p)->next)
		;
	if (*p)
		*p = view->next;
	if (view->watch)
		socket_forget(s, view->watch);
	view->watch = NULL;
}

void view_leave(struct service *s, struct view *view)
{
	if (view && --view->sessions == 0)
		view_unlist(s, view);
}

/* ---- the pool's own ------------------------------------------------------------------------------------- */

static unsigned own_bits(const struct view *view, const struct inode *inode)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < view->cover_count; i++)
		if (view->cover[i].inode == inode)
			bits |= view->cover[i].above ? COVER_BELOW : COVER_ON;
	return bits;
}

/* Marks what a view has, as `now` has it. Returns whether anything changed. */
static bool own_mark(const struct view *view, const struct view *now)
{
	bool changed = false;

	for (unsigned i = 0; i < view->cover_count; i++) {
		struct inode *inode = view->cover[i].inode;
		unsigned bits = own_bits(now, inode);
		changed |= __atomic_exchange_n(&inode->covered_here, bits, __ATOMIC_SEQ_CST) != bits;
	}
	return changed;
}

/* Containers come and go, and with them mounts that concern nobody here: only what covers something is news. */
static void own_changed(struct service *s, struct view *own)
{
	struct view *now = calloc(1, sizeof(*now)), was = *own;
	bool changed;

	if (!now)
		return;
	now->refs = 1;
	lseek(own->watch_fd, 0, SEEK_SET);
	if (view_read(s, now, own->watch_fd) == 0) {
		changed = own_mark(now, now);
		changed |= own_mark(own, now);
		own->cover = now->cover;
		own->cover_count = now->cover_count;
		now->cover = was.cover;
		now->cover_count = was.cover_count;
		if (changed)
			leases_end_view(0);
	}
	view_put(now);
}

int view_own_watch(struct service *s)
{
	struct view *own;
	char name[32];
	int fd, r;

	if (!s->init)
		return 0;
	snprintf(name, sizeof(name), "%d/mountinfo", s->init);
	fd = openat(s->proc_fd, name, O_RDONLY | O_CLOEXEC);
	own = fd < 0 ? NULL : calloc(1, sizeof(*own));
	if (!own) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? -EACCES : -ENOMEM;
	}
	own->watch_fd = fd;
	r = socket_watch_view(s, fd, own, &own->watch);
	if (r < 0) {
		close(fd);
		free(own);
		return r;
	}
	s->own_view = own;
	own_changed(s, own);
	return 0;
}

void view_changed(struct service *s, struct view *view)
{
	if (view == s->own_view) {
		own_changed(s, view);
		return;
	}
	__atomic_store_n(&view->ended, true, __ATOMIC_SEQ_CST);
	leases_end_view(view->number);
	view_unlist(s, view);
}

/* It is watched before it is read: a change after the reading is an event. */
static int view_open(struct service *s, pid_t pid, struct view *view)
{
	char name[32];
	int fd, r;

	snprintf(name, sizeof(name), "%d/mountinfo", pid);
	fd = openat(s->proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -EACCES;
	r = socket_watch_view(s, fd, view, &view->watch);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = view_read(s, view, fd);
	if (r == 0)
		view_find_root(s, view);
	return r;
}

static int view_new(struct service *s, pid_t pid, const struct view *like, struct view **ret)
{
	struct view *view = malloc(sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	*view = *like;
	view->root = -1;
	view->number = ++s->last_view;
	view->refs = 1;
	view->next = s->views;
	s->views = view;
	r = view_open(s, pid, view);
	if (r < 0) {
		view_unlist(s, view);
		view_put(view);
		return r;
	}
	*ret = view;
	return 0;
}

/* Whom it is about. DONT_SYNC: the answer must not need this service. */
static int view_identify(struct service *s, pid_t pid, struct view *ret)
{
	struct statx root;
	struct stat st;
	char name[32];

	snprintf(name, sizeof(name), "%d/ns/mnt", pid);
	if (fstatat(s->proc_fd, name, &st, 0) < 0)
		return -errno;
	snprintf(name, sizeof(name), "%d/root", pid);
	if (statx(s->proc_fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &root) < 0)
		return -errno;
	*ret = (struct view){.namespace = st.st_ino, .root_dev = makedev(root.stx_dev_major, root.stx_dev_minor),
			     .root_ino = root.stx_ino};
	return 0;
}

static struct view *view_find(const struct service *s, const struct view *like)
{
	for (struct view *view = s->views; view; view = view->next)
		if (view->namespace == like->namespace && view->root_dev == like->root_dev &&
		    view->root_ino == like->root_ino)
			return view;
	return NULL;
}

int view_get(struct service *s, const struct session *session, struct view **ret)
{
	struct view like, *view;
	int r;

	*ret = NULL;
	if (!s->mount_namespace)
		return 0;
	r = view_identify(s, session->pid, &like);
	if (r < 0 || like.namespace == s->mount_namespace)
		return r;
	view = view_find(s, &like);
	if (view)
		__atomic_add_fetch(&view->refs, 1, __ATOMIC_RELAXED);
	else
		r = view_new(s, session->pid, &like, &view);
	if (r < 0)
		return r;
	view->sessions++;
	*ret = view;
	return 0;
}
