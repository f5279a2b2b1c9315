/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease tables, from both sides in one process: the service's operations change a tree in memory, and libfs' own
 * walk (libfs/lease.c) looks into the table that they keep.
 */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipc/front-lease.h"
#include "libfs/internal.h"
#include "libfs/lease.h"
#include "service/lease.h"
#include "service/ofd.h"
#include "service/perm.h"
#include "service/walk.h"

enum { GENERATION = 7 };

static struct instance *fs;
static struct caller self; /* who changes things */
static struct wire_table table = {.generation = GENERATION};
static struct front_lease mapped;

/* ---- what libfs/lease.c needs of the rest of libfs ------------------------------------------- */

const struct front_lease *fs_lease(void)
{
	return &mapped;
}

const struct wire_table *fs_table(void)
{
	return &table;
}

int fs_attached(void)
{
	return 1;
}

int fs_ready(void)
{
	return 0;
}

uint64_t fs_session(void)
{
	return 1;
}

/* ---- a client ------------------------------------------------------------------------------- */

static void client_init(struct caller *c, struct lease *lease, uid_t uid)
{
	caller_init(c, DOOR_PRELOAD, "test", uid, uid, 0);
	c->groups_known = true;
	c->lease = lease;
	c->lease_id = lease ? lease_id(lease) : 0;
	c->learns = lease != NULL;
}

static struct lease *client_lease(uid_t uid, uid_t real)
{
	struct process who = {.uid = uid, .real_uid = real, .gid = uid, .real_gid = uid};

	return lease_open(&who, 0, GENERATION);
}

static void client_map(struct lease *lease)
{
	front_lease_take(&mapped, mapped.turn, lease ? lease_fd(lease) : -1);
}

static struct fs_object object(const char *path, uint16_t flags)
{
	return (struct fs_object){.mount = 0, .base = WIRE_MOUNT(0), .path = path, .len = strlen(path),
				  .ino = fs->root->ino, .flags = flags};
}

/* The service is asked, as when the table does not know. */
static int ask(struct caller *c, const char *path, unsigned flags, struct ls_attr *ret)
{
	struct walk w;
	int r = walk(c, fs->root, "", path, flags, &w);

	if (r < 0)
		return r;
	*ret = w.attr;
	walk_end(&w);
	return 0;
}

static uint64_t change_of(uint64_t ino)
{
	uint64_t size;

	return lease_change(0, ino, &size);
}

static enum lease_answer known(const char *path, struct wire_attr *ret)
{
	struct fs_object o = object(path, WIRE_NOFOLLOW);

	return lease_getattr(&o, ret);
}

static enum lease_answer found(const char *path, struct lease_object *ret)
{
	struct fs_object o = object(path, WIRE_NOFOLLOW);

	return lease_find(&o, ret);
}

/* ---- the tree -------------------------------------------------------------------------------- */

static struct inode *at(const char *path)
{
	struct walk w;
	struct inode *inode;
	int r = walk(&self, fs->root, "", path, 0, &w);

	if (r < 0)
		return NULL;
	inode = inode_ref(w.inode);
	walk_end(&w);
	return inode;
}

static void make(const char *dir, const char *name, mode_t mode)
{
	struct inode *d = at(dir);
	struct entry e;

	if (S_ISDIR(mode))
		assert_int_equal(vfs_mkdir(&self, d, name, mode & 07777, &e), 0);
	else
		assert_int_equal(vfs_mknod(&self, d, name, mode, 0, 0, &e), 0);
	inode_unref(e.inode);
	inode_unref(d);
}

/* As a request to make it does. */
static void make_known(struct caller *c, const char *name)
{
	struct entry e;

	lease_learn(c, fs->root);
	assert_int_equal(vfs_mkdir(c, fs->root, name, 0755, &e), 0);
	lease_learn_empty(c, e.inode, &e.attr);
	inode_unref(e.inode);
}

static void change_mode(const char *path, mode_t mode)
{
	struct ls_attr in = {.mode = mode}, out;
	struct inode *inode = at(path);

	assert_int_equal(vfs_setattr(&self, inode, NULL, &in, LS_SET_MODE, &out), 0);
	inode_unref(inode);
}

static int setup(void **state)
{
	struct json_object *stack = json_tokener_parse("{\"mem\": {}}");
	char error[256] = "";
	struct ls *ls;

	caller_init(&self, DOOR_SELF, "test", 0, 0, 0);
	if (ls_stack_check(stack, error, sizeof(error)) < 0 ||
	    ls_stack_open(stack, "test", &ls, error, sizeof(error)) < 0 || instance_new(ls, "test", "/data", 0, &fs) < 0)
		return -1;
	json_object_put(stack);
	make("", "d", S_IFDIR | 0755);
	make("d", "e", S_IFDIR | 0755);
	make("d/e", "f", S_IFREG | 0644);
	make("", "private", S_IFDIR | 0700);
	make("private", "secret", S_IFREG | 0644);
	return 0;
}

static int teardown(void **state)
{
	front_lease_end(&mapped);
	fs = instance_free(fs);
	return 0;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void what_was_asked_is_known(void **state)
{
	struct lease *lease = client_lease(0, 0);
	struct wire_attr got;
	struct ls_attr attr;
	struct caller c;

	assert_non_null(lease);
	client_map(lease);
	client_init(&c, lease, 0);
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	assert_int_equal(ask(&c, "d/e/f", 0, &attr), 0);
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);
	assert_int_equal(got.ino, attr.ino);
	assert_int_equal(got.mode, S_IFREG | 0644);
	assert_int_equal(known("d//./e/f", &got), LEASE_THERE);
	assert_int_equal(known("d/e/", &got), LEASE_THERE);
	assert_int_equal(known("", &got), LEASE_THERE);
	assert_int_equal(got.ino, fs->root->ino);
	/* Not what the service would say otherwise. */
	assert_int_equal(known("d/e/f/", &got), LEASE_ASK);
	assert_int_equal(known("d/e/f/g", &got), LEASE_ASK);
	assert_int_equal(known("d/../d/e/f", &got), LEASE_ASK);
	assert_int_equal(known("d/e/unasked", &got), LEASE_ASK);
	assert_int_equal(ask(&c, "d/e/none", 0, &attr), -ENOENT);
	assert_int_equal(known("d/e/none", &got), LEASE_ABSENT);
	assert_int_equal(known("d/e/none/more", &got), LEASE_ABSENT);
	lease_close(lease);
}

static void changes_are_seen(void **state)
{
	struct lease *lease = client_lease(0, 0);
	struct inode *e = at("d/e"), *d = at("d");
	struct wire_attr got, dir;
	struct ls_attr attr;
	struct caller c;
	struct entry entry;
	struct lease_object o;
	uint64_t before;

	client_map(lease);
	client_init(&c, lease, 0);
	ask(&c, "d/e/new", 0, &attr);
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/new", &got), LEASE_ABSENT);
	assert_int_equal(known("d/e", &dir), LEASE_THERE);
	before = change_of(dir.ino);
	assert_int_not_equal(before, 0);
	assert_int_equal(vfs_mknod(&self, e, "new", S_IFREG | 0600, 0, 0, &entry), 0);
	inode_unref(entry.inode);
	assert_int_equal(known("d/e/new", &got), LEASE_ASK);
	assert_int_equal(known("d/e", &dir), LEASE_ASK);       /* its mtime */
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);   /* other names stay */
	ask(&c, "d/e/new", 0, &attr);
	assert_int_equal(known("d/e", &dir), LEASE_THERE);
	assert_int_not_equal(change_of(dir.ino), before);
	/* A rename: both names and both directories. */
	ask(&c, "d/moved", 0, &attr);
	assert_int_equal(known("d/moved", &got), LEASE_ABSENT);
	assert_int_equal(vfs_rename(&self, e, "new", d, "moved", 0), 0);
	assert_int_equal(known("d/moved", &got), LEASE_ASK);
	assert_int_equal(known("d/e/new", &got), LEASE_ASK);
	ask(&c, "d/moved", 0, &attr);
	assert_int_equal(known("d/moved", &got), LEASE_THERE);
	/* A second name, seen at the first. */
	assert_int_equal(vfs_lookup(&self, d, "moved", &entry), 0);
	assert_int_equal(vfs_link(&self, entry.inode, e, "again", &attr), 0);
	assert_int_equal(known("d/moved", &got), LEASE_ASK);
	ask(&c, "d/moved", 0, &attr);
	assert_int_equal(known("d/moved", &got), LEASE_THERE);
	assert_int_equal(got.nlink, 2);
	assert_int_equal(vfs_unlink(&self, e, "again"), 0);
	assert_int_equal(known("d/moved", &got), LEASE_ASK);
	inode_unref(entry.inode);
	/* A mode, and what it allows. */
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(found("d/e/f", &o), LEASE_THERE);
	assert_int_equal(o.may, LEASE_MAY_R | LEASE_MAY_W);
	change_mode("d/e/f", 0755);
	assert_int_equal(found("d/e/f", &o), LEASE_THERE); /* the name is what it was */
	assert_int_equal(o.may, 0);
	assert_int_equal(o.change, 0);
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(found("d/e/f", &o), LEASE_THERE);
	assert_int_equal(o.may, LEASE_MAY_R | LEASE_MAY_W | LEASE_MAY_X);
	assert_int_equal(vfs_unlink(&self, d, "moved"), 0);
	inode_unref(e);
	inode_unref(d);
	lease_close(lease);
}

static void what_a_new_directory_has_is_known(void **state)
{
	struct lease *lease = client_lease(0, 0);
	struct inode *w, *d = at("d");
	struct lease_change change;
	struct wire_attr got;
	struct entry entry;
	struct ls_attr attr;
	char name[32];
	struct caller c;

	client_map(lease);
	client_init(&c, lease, 0);
	make_known(&c, "whole");
	w = at("whole");
	assert_int_equal(known("whole/a", &got), LEASE_ABSENT);
	assert_int_equal(known("whole/a/b", &got), LEASE_ABSENT);
	/* Made by others: to be asked for, while it is made and then. */
	lease_change_begin(&change);
	lease_change_attr(&change, w);
	lease_change_name(&change, w, "a");
	assert_int_equal(known("whole/a", &got), LEASE_ASK);
	lease_change_end(&change);
	make("whole", "a", S_IFREG | 0644);
	assert_int_equal(known("whole/a", &got), LEASE_ASK);
	assert_int_equal(known("whole/b", &got), LEASE_ABSENT);
	ask(&c, "whole/a", 0, &attr);
	assert_int_equal(known("whole/a", &got), LEASE_THERE);
	/* Made by oneself. */
	assert_int_equal(vfs_mknod(&c, w, "b", S_IFREG | 0600, 0, 0, &entry), 0);
	lease_learn(&c, entry.inode);
	inode_unref(entry.inode);
	assert_int_equal(known("whole/b", &got), LEASE_THERE);
	/* Gone, moved, and back. */
	assert_int_equal(vfs_unlink(&self, w, "a"), 0);
	assert_int_equal(known("whole/a", &got), LEASE_ABSENT);
	assert_int_equal(vfs_rename(&self, w, "b", d, "b", 0), 0);
	assert_int_equal(known("whole/b", &got), LEASE_ABSENT);
	assert_int_equal(vfs_rename(&self, d, "b", w, "c", 0), 0);
	assert_int_equal(known("whole/c", &got), LEASE_ASK);
	assert_int_equal(vfs_rename(&self, w, "c", w, "a", 0), 0);
	assert_int_equal(known("whole/a", &got), LEASE_ASK);
	assert_int_equal(known("whole/c", &got), LEASE_ABSENT);
	/* Not any more, once entries had to make room: all that there is is asked for, or known. */
	for (unsigned i = 0; i < 2 * LEASE_NAME_SETS * LEASE_WAYS; i++) {
		sprintf(name, "%u", i);
		lease_change_begin(&change);
		lease_change_attr(&change, w);
		lease_change_name(&change, w, name);
		lease_change_end(&change);
	}
	assert_int_equal(known("whole/a", &got), LEASE_ASK);
	assert_int_equal(known("whole/never", &got), LEASE_ASK);
	/* One that is not new is not whole. */
	assert_int_equal(vfs_getattr(&c, d, NULL, &attr), 0);
	attr.mtime.tv_nsec ^= 1;
	lease_learn_empty(&c, d, &attr);
	assert_int_equal(known("d/never", &got), LEASE_ASK);
	inode_unref(w);
	inode_unref(d);
	lease_close(lease);
}

static void a_directory_that_closes_hides_its_names(void **state)
{
	struct lease *lease = client_lease(1000, 1000);
	struct wire_attr got;
	struct ls_attr attr;
	struct caller c;

	client_map(lease);
	client_init(&c, lease, 1000);
	assert_int_equal(ask(&c, "private/secret", 0, &attr), -EACCES);
	assert_int_equal(known("private/secret", &got), LEASE_ASK);
	change_mode("private", 0755);
	assert_int_equal(ask(&c, "private/secret", 0, &attr), 0);
	assert_int_equal(known("private/secret", &got), LEASE_THERE);
	change_mode("private", 0700);
	assert_int_equal(known("private/secret", &got), LEASE_ASK);
	/* Also when the directory's own entry comes back. */
	assert_int_equal(ask(&c, "private", 0, &attr), 0);
	assert_int_equal(known("private", &got), LEASE_THERE);
	assert_int_equal(known("private/secret", &got), LEASE_ASK);
	change_mode("private", 0755);
	assert_int_equal(ask(&c, "private", 0, &attr), 0);
	assert_int_equal(known("private/secret", &got), LEASE_ASK); /* its anchor is another now */
	change_mode("private", 0700);
	lease_close(lease);
}

static void held_inodes_have_no_attributes(void **state)
{
	struct lease *lease = client_lease(0, 0);
	struct inode *f = at("d/e/f");
	struct wire_attr got;
	struct ls_attr attr;
	struct lease_object o;
	struct caller c;

	client_map(lease);
	client_init(&c, lease, 0);
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);
	lease_hold(f);
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	assert_int_equal(found("d/e/f", &o), LEASE_THERE);
	assert_true(o.may & LEASE_MAY_R);
	assert_int_equal(o.change, 0);
	lease_release(f);
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);
	inode_unref(f);
	lease_close(lease);
}

static void what_is_read_before_a_change_is_not_entered_after(void **state)
{
	struct lease *lease = client_lease(0, 0);
	struct inode *e = at("d/e");
	struct wire_attr got;
	struct lease_change change;
	struct entry entry;
	struct ls_attr attr;
	uint64_t token;
	struct caller c;

	client_map(lease);
	client_init(&c, lease, 0);
	ask(&c, "d/e", 0, &attr);
	token = lease_name_token(&c, e, "late");
	assert_int_not_equal(token, LEASE_NEVER);
	assert_int_equal(vfs_mknod(&self, e, "late", S_IFREG | 0600, 0, 0, &entry), 0);
	inode_unref(entry.inode);
	ask(&c, "d/e", 0, &attr);
	lease_enter_name(&c, e, "late", NULL, token);
	assert_int_equal(known("d/e/late", &got), LEASE_ASK);
	/* Nor while it is under way. */
	lease_change_begin(&change);
	lease_change_name(&change, e, "late");
	assert_int_equal(lease_name_token(&c, e, "late"), LEASE_NEVER);
	lease_change_end(&change);
	assert_int_not_equal(lease_name_token(&c, e, "late"), LEASE_NEVER);
	assert_int_equal(vfs_unlink(&self, e, "late"), 0);
	inode_unref(e);
	lease_close(lease);
}

static void tables_are_per_credentials(void **state)
{
	struct lease *many[16], *one, *again;

	assert_null(client_lease(0, 1)); /* access(2) would say something else */
	for (unsigned i = 0; i < 16; i++)
		assert_non_null(many[i] = client_lease(2000 + i, 2000 + i));
	again = client_lease(2003, 2003);
	assert_ptr_equal(again, many[3]);
	lease_close(again);
	assert_null(client_lease(3000, 3000));
	lease_close(many[5]);
	one = client_lease(3000, 3000); /* the place of one that nobody uses */
	assert_non_null(one);
	assert_int_not_equal(lease_id(one), 0);
	lease_close(one);
	for (unsigned i = 0; i < 16; i++)
		if (i != 5)
			lease_close(many[i]);
}

static void a_retired_table_is_closed(void **state)
{
	struct lease *lease = client_lease(0, 0), *many[16];
	struct wire_attr got;
	struct ls_attr attr;
	struct caller late;

	client_map(lease);
	client_init(&late, lease, 0);
	ask(&late, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);
	lease_close(lease);
	for (unsigned i = 0; i < 16; i++)
		assert_non_null(many[i] = client_lease(4000 + i, 4000 + i));
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	/* A request that had begun for the old table enters nothing in the new one. */
	for (unsigned i = 0; i < 16; i++)
		if (many[i] == lease)
			client_map(many[i]);
	ask(&late, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	for (unsigned i = 0; i < 16; i++)
		lease_close(many[i]);
}

static void nobody_else_writes(void **state)
{
	struct lease *lease = client_lease(0, 0);
	char path[64];
	int fd;

	assert_int_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, lease_fd(lease), 0), MAP_FAILED);
	assert_int_equal(pwrite(lease_fd(lease), "x", 1, 0), -1);
	assert_int_equal(ftruncate(lease_fd(lease), 0), -1);
	assert_int_equal(fallocate(lease_fd(lease), 3, 0, 4096), -1); /* a hole */
	sprintf(path, "/proc/self/fd/%d", lease_fd(lease));
	fd = open(path, O_RDWR);
	if (fd >= 0) {
		assert_int_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
		close(fd);
	}
	lease_close(lease);
}

static void dropped_credentials_end_it_at_once(void **state)
{
	struct lease *lease = client_lease(0, 0);
	struct wire_attr got;
	struct ls_attr attr;
	struct caller c;
	uint64_t asked;

	client_map(lease);
	client_init(&c, lease, 0);
	ask(&c, "d/e/f", 0, &attr);
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);
	asked = mapped.turn;
	front_lease_drop(&mapped);
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	front_lease_take(&mapped, asked, lease_fd(lease)); /* an answer to what was asked before */
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	client_map(lease);
	assert_int_equal(known("d/e/f", &got), LEASE_THERE);
	table.generation++;
	assert_int_equal(known("d/e/f", &got), LEASE_ASK);
	table.generation--;
	lease_close(lease);
}

/* ---- many threads, against a model ------------------------------------------------------------ */

enum { CHANGERS = 2, READERS = 2, NAMES = 6, SECONDS = 3 };

/*
 * A name belongs to one changer. `version` is odd while he changes it; `now` is what it leads to when it is even, and
 * before, while it is odd; `next` is what comes then. 0: nothing.
 */
struct modelled {
	char path[32];
	uint64_t version, now, next; /* inode number << 16 | mode */
} names[CHANGERS][NAMES];

static int stop;
static uint64_t hits, misses, wrong;

static unsigned dice(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static uint64_t value_of(uint64_t ino, unsigned mode)
{
	return ino << 16 | (mode & 0xffff);
}

static void model_begin(struct modelled *n, uint64_t next)
{
	__atomic_store_n(&n->next, next, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&n->version, 1, __ATOMIC_SEQ_CST);
}

static void model_end(struct modelled *n)
{
	__atomic_store_n(&n->now, n->next, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&n->version, 1, __ATOMIC_SEQ_CST);
}

enum { UNKNOWN = 1 }; /* a new inode's number is known when it is made */

static void change_one(struct caller *c, struct modelled *n, struct modelled *m, unsigned what)
{
	struct inode *dir = at(n->path[1] == '0' ? "d0" : "d1"), *dir2 = at(m->path[1] == '0' ? "d0" : "d1");
	const char *name = strchr(n->path, '/') + 1, *name2 = strchr(m->path, '/') + 1;
	struct ls_attr in, out;
	struct entry e;

	if (!n->now && what % 4 == 0) {
		model_begin(n, UNKNOWN);
		if (vfs_mknod(c, dir, name, S_IFREG | 0600, 0, 0, &e) == 0) {
			n->next = value_of(e.attr.ino, e.attr.mode);
			inode_unref(e.inode);
		}
		model_end(n);
	} else if (n->now && what % 4 == 1) {
		model_begin(n, 0);
		vfs_unlink(c, dir, name);
		model_end(n);
	} else if (n->now && what % 4 == 2 && n != m) {
		model_begin(n, 0);
		model_begin(m, n->now);
		vfs_rename(c, dir, name, dir2, name2, 0);
		model_end(m);
		model_end(n);
	} else if (n->now && what % 4 == 3 && vfs_lookup(c, dir, name, &e) == 0) {
		in.mode = 0600 | (what >> 4 & 077);
		model_begin(n, value_of(e.attr.ino, S_IFREG | in.mode));
		vfs_setattr(c, e.inode, NULL, &in, LS_SET_MODE, &out);
		model_end(n);
		inode_unref(e.inode);
	}
	inode_unref(dir);
	inode_unref(dir2);
}

/*
 * A layer that hesitates, before and after it has done what it was asked: what happens between an answer and its use,
 * or between a change and its acknowledgement, takes long enough for others to come in.
 */
static struct ls below;

static void hesitate(void)
{
	static _Thread_local unsigned seed;
	unsigned n = dice(&seed);

	if (n % 16 == 0)
		usleep(n >> 4 & 63);
	else if (n % 4 == 0)
		sched_yield();
}

#define HESITANT(name, params, ...)                                                                       \
	static int slow_##name(struct ls *ls, const struct ls_call *call, params)                        \
	{                                                                                                 \
		int r;                                                                                    \
		hesitate();                                                                               \
		r = ls_##name(&below, call, __VA_ARGS__);                                                 \
		hesitate();                                                                               \
		return r;                                                                                 \
	}
#define P(...) __VA_ARGS__
HESITANT(lookup, P(struct ls_inode *dir, const char *name, struct ls_inode **ret, struct ls_attr *attr), dir, name, ret,
	 attr)
HESITANT(getattr, P(struct ls_inode *inode, struct ls_file *f, struct ls_attr *attr), inode, f, attr)
HESITANT(setattr,
	 P(struct ls_inode *inode, struct ls_file *f, const struct ls_attr *in, unsigned set, struct ls_attr *attr),
	 inode, f, in, set, attr)
HESITANT(mknod,
	 P(struct ls_inode *dir, const char *name, mode_t mode, unsigned major, unsigned minor, struct ls_inode **ret,
	   struct ls_attr *attr),
	 dir, name, mode, major, minor, ret, attr)
HESITANT(unlink, P(struct ls_inode *dir, const char *name), dir, name)
HESITANT(rename,
	 P(struct ls_inode *dir, const char *name, struct ls_inode *dir2, const char *name2, unsigned flags), dir,
	 name, dir2, name2, flags)

static void layer_hesitates(int on)
{
	struct ls *top = fs->stack;

	if (!on) {
		top->op = below.op;
		return;
	}
	below = *top;
	top->op.lookup.fn = slow_lookup;
	top->op.getattr.fn = slow_getattr;
	top->op.setattr.fn = slow_setattr;
	top->op.mknod.fn = slow_mknod;
	top->op.unlink.fn = slow_unlink;
	top->op.rename.fn = slow_rename;
}

static void *changer(void *arg)
{
	struct modelled *own = arg;
	unsigned seed = own - names[0] + 1;
	struct caller c;

	caller_init(&c, DOOR_SELF, "test", 0, 0, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct modelled *n = &own[dice(&seed) % NAMES], *m = &own[dice(&seed) % NAMES];
		change_one(&c, n, m, dice(&seed));
		if (dice(&seed) % 4 == 0)
			sched_yield();
	}
	return NULL;
}

static uint64_t asked_value(struct caller *c, const char *path)
{
	struct ls_attr attr;

	return ask(c, path, 0, &attr) < 0 ? 0 : value_of(attr.ino, attr.mode);
}

static void complain(const struct modelled *n, const char *what, uint64_t got)
{
	if (__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST) < 10)
		fprintf(stderr, "%s: %s: got %#lx, now %#lx, next %#lx, version %lu\n", n->path, what, got, n->now,
			n->next, n->version);
}

/* Looks a name up in the table, and once more by asking; all that the model rules out is wrong. */
static void look(struct caller *c, struct modelled *n, unsigned *seed)
{
	uint64_t before = __atomic_load_n(&n->version, __ATOMIC_SEQ_CST);
	uint64_t now = __atomic_load_n(&n->now, __ATOMIC_SEQ_CST);
	uint64_t asked = dice(seed) % 8 ? UNKNOWN : asked_value(c, n->path), got;
	struct wire_attr attr;
	enum lease_answer answer = known(n->path, &attr);

	if (answer == LEASE_ASK) {
		__atomic_add_fetch(&misses, 1, __ATOMIC_RELAXED);
		return;
	}
	got = answer == LEASE_THERE ? value_of(attr.ino, attr.mode) : 0;
	__atomic_add_fetch(&hits, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&n->version, __ATOMIC_SEQ_CST) != before)
		return;
	if (!(before & 1) && got != now)
		complain(n, "an acknowledged change is not seen", got);
	/* While it changes: who has seen it changed does not see it unchanged again. */
	if ((before & 1) && asked != UNKNOWN && asked != now && got == now)
		complain(n, "a change that was seen is gone", got);
}

static void *reader(void *arg)
{
	unsigned seed = (uintptr_t)arg + 77;
	struct lease *lease = client_lease(0, 0);
	struct caller c;

	client_init(&c, lease, 0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct modelled *n = &names[dice(&seed) % CHANGERS][dice(&seed) % NAMES];
		look(&c, n, &seed);
	}
	lease_close(lease);
	return NULL;
}

static void tables_agree_with_the_tree(void **state)
{
	pthread_t thread[CHANGERS + READERS];
	struct lease *lease = client_lease(0, 0);
	struct caller c;

	client_map(lease);
	client_init(&c, lease, 0);
	make_known(&c, "d0");
	make_known(&c, "d1");
	for (unsigned i = 0; i < CHANGERS; i++)
		for (unsigned k = 0; k < NAMES; k++)
			sprintf(names[i][k].path, "d%u/c%u-%u", k % 2, i, k);
	layer_hesitates(1);
	for (uintptr_t i = 0; i < CHANGERS + READERS; i++)
		pthread_create(&thread[i], NULL, i < CHANGERS ? changer : reader,
			       i < CHANGERS ? (void *)names[i] : (void *)i);
	sleep(SECONDS);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < CHANGERS + READERS; i++)
		pthread_join(thread[i], NULL);
	layer_hesitates(0);
	printf("%lu from the table, %lu asked\n", hits, misses);
	assert_int_equal(wrong, 0);
	assert_true(hits > 1000 && misses > 100);
	lease_close(lease);
}

/* ---- what it costs --------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Printed, not asserted: the machine may be busy. */
static void costs(void **state)
{
	enum { N = 200000 };
	struct lease *lease = client_lease(0, 0);
	struct inode *f = at("d/e/f"), *e = at("d/e");
	struct lease_change change;
	struct wire_attr got;
	struct ls_attr attr;
	struct caller c;
	double t;

	client_map(lease);
	client_init(&c, lease, 0);
	ask(&c, "d/e/f", 0, &attr);
	t = seconds();
	for (unsigned i = 0; i < N; i++)
		known("d/e/f", &got);
	printf("a walk of three: %.0f ns\n", (seconds() - t) * 1e9 / N);
	t = seconds();
	for (unsigned i = 0; i < N; i++) {
		lease_change_begin(&change);
		lease_change_name(&change, e, "unknown");
		lease_change_end(&change);
	}
	printf("a change of a name that nobody knows: %.0f ns\n", (seconds() - t) * 1e9 / N);
	t = seconds();
	for (unsigned i = 0; i < N; i++) {
		lease_change_begin(&change);
		lease_change_attr(&change, f);
		lease_change_end(&change);
		lease_learn(&c, f);
	}
	printf("attributes changed and entered: %.0f ns\n", (seconds() - t) * 1e9 / N);
	inode_unref(f);
	inode_unref(e);
	lease_close(lease);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_asked_is_known),
		cmocka_unit_test(changes_are_seen),
		cmocka_unit_test(what_a_new_directory_has_is_known),
		cmocka_unit_test(a_directory_that_closes_hides_its_names),
		cmocka_unit_test(held_inodes_have_no_attributes),
		cmocka_unit_test(what_is_read_before_a_change_is_not_entered_after),
		cmocka_unit_test(tables_are_per_credentials),
		cmocka_unit_test(a_retired_table_is_closed),
		cmocka_unit_test(nobody_else_writes),
		cmocka_unit_test(dropped_credentials_end_it_at_once),
		cmocka_unit_test(tables_agree_with_the_tree),
		cmocka_unit_test(costs),
	};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
