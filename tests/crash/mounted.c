/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/mounted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENAME_EXCHANGE_FLAG 2u
#define XATTR "user.number"

extern const struct ls_type ls_type_volume;

/* What ls_stack_open would do for a stack of this layer alone. */
static void bind(struct mounted *m)
{
	m->ls = (struct ls){.type = &ls_type_volume, .tenant = "crash", .state = m->vol};
	m->ls.root = (struct ls_inode *)m->vol->root_inode;
#define X(ret, name, ...)                                                                                  \
	m->ls.op.name.ls = &m->ls;                                                                         \
	m->ls.op.name.fn = ls_type_volume.ops.name;
	LS_FILE_OPS(X)
#undef X
}

int mounted_open(struct mounted *m, struct area *area, const struct vol_config *config, char *error,
		 size_t size)
{
	int r;

	*m = (struct mounted){.call = {.tenant = "crash"}};
	m->call.cred = &m->cred;
	r = vol_mount(area, "image", config, &m->vol, error, size);
	if (r == 0)
		bind(m);
	return r;
}

int mounted_close(struct mounted *m)
{
	return vol_unmount(m->vol);
}

/* ---- by place --------------------------------------------------------------------------------------- */

static const char *leaf(enum place place)
{
	static const char *const names[] = {"a", "b", "c", "d", "a", "b"};

	return names[place];
}

static void forget(struct mounted *m, struct ls_inode *inode)
{
	if (inode && inode != m->ls.root)
		ls_forget(&m->ls, &m->call, inode, 1);
}

static int lookup(struct mounted *m, struct ls_inode *dir, const char *name, struct ls_inode **ret,
		  struct ls_attr *ret_attr)
{
	return ls_lookup(&m->ls, &m->call, dir, name, ret, ret_attr);
}

/* The directory of a place; to be forgotten. */
static int dir_of(struct mounted *m, enum place place, struct ls_inode **ret)
{
	struct ls_attr attr;

	*ret = m->ls.root;
	return place < PLACE_DA ? 0 : lookup(m, m->ls.root, "d", ret, &attr);
}

static int inode_of(struct mounted *m, enum place place, struct ls_inode **ret, struct ls_attr *ret_attr)
{
	struct ls_inode *dir = NULL;
	int r = dir_of(m, place, &dir);

	if (r == 0)
		r = lookup(m, dir, leaf(place), ret, ret_attr);
	forget(m, dir);
	return r;
}

static int file_of(struct mounted *m, enum place place, int flags, struct ls_inode **ret_inode,
		   struct ls_file **ret, struct ls_attr *ret_attr)
{
	struct ls_inode *inode = NULL;
	int r = inode_of(m, place, &inode, ret_attr);

	if (r == 0)
		r = ls_open(&m->ls, &m->call, inode, flags, ret);
	if (r < 0)
		forget(m, inode);
	else
		*ret_inode = inode;
	return r;
}

/* ---- operations on names ---------------------------------------------------------------------------- */

static int do_create(struct mounted *m, const struct op *op, struct ls_inode *dir, uint64_t *ret_ino)
{
	struct ls_inode *inode = NULL;
	struct ls_file *f = NULL;
	struct ls_attr attr;
	int r = op->kind == OP_MKDIR
		    ? ls_mkdir(&m->ls, &m->call, dir, leaf(op->place), 0755, &inode, &attr)
		    : ls_create(&m->ls, &m->call, dir, leaf(op->place), 0644, O_RDWR, &inode, &attr, &f);

	if (r < 0)
		return r;
	*ret_ino = attr.ino;
	if (f)
		ls_release(&m->ls, &m->call, f);
	forget(m, inode);
	return 0;
}

static int do_link(struct mounted *m, const struct op *op, struct ls_inode *other)
{
	struct ls_inode *inode = NULL;
	struct ls_attr attr;
	int r = inode_of(m, op->place, &inode, &attr);

	if (r == 0)
		r = ls_link(&m->ls, &m->call, inode, other, leaf(op->other), &attr);
	forget(m, inode);
	return r;
}

static int do_names(struct mounted *m, const struct op *op, uint64_t *ret_ino)
{
	bool two = op->kind == OP_RENAME || op->kind == OP_EXCHANGE || op->kind == OP_LINK;
	struct ls_inode *dir = NULL, *other = NULL;
	int r = dir_of(m, op->place, &dir);

	if (r == 0 && two)
		r = dir_of(m, op->other, &other);
	if (r == 0) {
		switch (op->kind) {
		case OP_RENAME:
		case OP_EXCHANGE:
			r = ls_rename(&m->ls, &m->call, dir, leaf(op->place), other, leaf(op->other),
				      op->kind == OP_EXCHANGE ? RENAME_EXCHANGE_FLAG : 0);
			break;
		case OP_LINK:
			r = do_link(m, op, other);
			break;
		case OP_UNLINK:
			r = ls_unlink(&m->ls, &m->call, dir, leaf(op->place));
			break;
		case OP_RMDIR:
			r = ls_rmdir(&m->ls, &m->call, dir, leaf(op->place));
			break;
		default:
			r = do_create(m, op, dir, ret_ino);
		}
	}
	forget(m, other);
	forget(m, dir);
	return r;
}

/* ---- operations on a file --------------------------------------------------------------------------- */

static int do_write(struct mounted *m, const struct op *op, struct ls_file *f, const struct ls_attr *attr,
		    unsigned n)
{
	uint32_t offset = op->kind == OP_APPEND ? attr->size : op->offset;
	unsigned flags = op->kind == OP_APPEND        ? LS_WRITE_APPEND
			 : op->kind == OP_WRITE_DSYNC ? LS_WRITE_DSYNC
						      : 0;
	uint8_t *bytes = malloc(op->size);
	struct iovec iov = {bytes, op->size};
	ssize_t done;
	off_t end;

	if (!bytes)
		return -ENOMEM;
	model_bytes(n, offset, op->size, bytes);
	done = ls_write(&m->ls, &m->call, f, &iov, 1, offset, flags, &end);
	free(bytes);
	return done < 0 ? done : done == op->size ? 0 : -EIO;
}

static int do_truncate(struct mounted *m, const struct op *op, struct ls_inode *inode, struct ls_file *f)
{
	struct ls_attr attr = {.size = op->size};

	return ls_setattr(&m->ls, &m->call, inode, f, &attr, LS_SET_SIZE, &attr);
}

static int do_xattr(struct mounted *m, struct ls_inode *inode, unsigned n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n + 1);

	return ls_setxattr(&m->ls, &m->call, inode, XATTR, text, length, 0);
}

static int do_file(struct mounted *m, const struct op *op, unsigned n)
{
	struct ls_inode *inode = NULL;
	struct ls_file *f = NULL;
	struct ls_attr attr;
	int r = file_of(m, op->place, O_RDWR, &inode, &f, &attr);

	if (r < 0)
		return r;
	if (op->kind == OP_WRITE || op->kind == OP_WRITE_DSYNC || op->kind == OP_APPEND)
		r = do_write(m, op, f, &attr, n);
	else if (op->kind == OP_TRUNCATE)
		r = do_truncate(m, op, inode, f);
	else if (op->kind == OP_PUNCH)
		r = ls_fallocate(&m->ls, &m->call, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 op->offset, op->size);
	else if (op->kind == OP_RESERVE)
		r = ls_fallocate(&m->ls, &m->call, f, FALLOC_FL_KEEP_SIZE, op->offset, op->size);
	else if (op->kind == OP_XATTR)
		r = do_xattr(m, inode, n);
	else
		r = ls_fsync(&m->ls, &m->call, f, op->kind == OP_FDATASYNC);
	ls_release(&m->ls, &m->call, f);
	forget(m, inode);
	return r;
}

static int do_fsync_dir(struct mounted *m, const struct op *op)
{
	struct ls_inode *dir = m->ls.root;
	struct ls_file *f = NULL;
	struct ls_attr attr;
	int r = op->place == PLACE_D ? lookup(m, m->ls.root, "d", &dir, &attr) : 0;

	if (r == 0)
		r = ls_open(&m->ls, &m->call, dir, O_RDONLY | O_DIRECTORY, &f);
	if (r == 0) {
		r = ls_fsync(&m->ls, &m->call, f, 0);
		ls_release(&m->ls, &m->call, f);
	}
	forget(m, dir);
	return r;
}

int mounted_do(struct mounted *m, const struct op *op, unsigned number, uint64_t *ret_ino)
{
	switch (op->kind) {
	case OP_SYNC:
		return ls_sync(&m->ls, &m->call);
	case OP_CHECKPOINT:
		return vol_checkpoint(m->vol, false);
	case OP_WRITE_BACK:
		return vol_write_back(m->vol, 0);
	case OP_FSYNC_DIR:
		return do_fsync_dir(m, op);
	case OP_CREATE:
	case OP_RENAME:
	case OP_EXCHANGE:
	case OP_LINK:
	case OP_UNLINK:
	case OP_MKDIR:
	case OP_RMDIR:
		return do_names(m, op, ret_ino);
	default:
		return do_file(m, op, number);
	}
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static int read_all(struct mounted *m, struct ls_inode *inode, struct found_node *n, char *error,
		    size_t size)
{
	struct iovec iov = {n->bytes = malloc(n->size + 1), n->size};
	struct ls_file *f = NULL;
	ssize_t done;
	int r = n->bytes ? ls_open(&m->ls, &m->call, inode, O_RDONLY, &f) : -ENOMEM;

	if (r < 0)
		return r;
	done = n->size ? ls_read(&m->ls, &m->call, f, &iov, 1, 0) : 0;
	ls_release(&m->ls, &m->call, f);
	if (done == n->size)
		return 0;
	snprintf(error, size, "reading %u bytes of inode %llu gives %zd", n->size,
		 (unsigned long long)n->ino, done);
	return done < 0 ? done : -EIO;
}

static unsigned xattr_number(struct mounted *m, struct ls_inode *inode)
{
	char text[16] = "";
	ssize_t n = ls_getxattr(&m->ls, &m->call, inode, XATTR, text, sizeof(text) - 1);

	return n < 0 ? 0 : strtoul(text, NULL, 10);
}

static int look_place(struct mounted *m, struct found *f, enum place place, struct ls_inode *dir,
		      char *error, size_t size)
{
	struct ls_inode *inode = NULL;
	struct ls_attr attr;
	struct found_node *n;
	int r = lookup(m, dir, leaf(place), &inode, &attr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (unsigned i = 0; i < f->nodes; i++)
		if (f->node[i].ino == attr.ino)
			f->entry[place] = i;
	if (f->entry[place] < 0) {
		f->entry[place] = f->nodes;
		n = &f->node[f->nodes++];
		*n = (struct found_node){attr.ino,  S_ISDIR(attr.mode),     attr.nlink,
					 attr.size, xattr_number(m, inode), NULL};
		if (!n->directory && attr.size <= FILE_MAX)
			r = read_all(m, inode, n, error, size);
		else if (!n->directory)
			r = -EFBIG;
	}
	forget(m, inode);
	return r;
}

struct stranger {
	bool root;
	unsigned names;
	bool found;
};

static int see(void *arg, const char *name, size_t length, uint64_t ino, unsigned type, uint64_t next)
{
	struct stranger *s = arg;
	bool known = length == 1 &&
		     (name[0] == 'a' || name[0] == 'b' || (s->root && (name[0] == 'c' || name[0] == 'd')));

	if (!(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))) {
		s->names++;
		s->found |= !known;
	}
	return 0;
}

/* Reading a directory must show what looking up the names has found. */
static int look_names(struct mounted *m, struct found *f, struct ls_inode *dir, bool root)
{
	struct stranger s = {.root = root};
	struct ls_file *file = NULL;
	unsigned names = 0;
	int r = ls_open(&m->ls, &m->call, dir, O_RDONLY | O_DIRECTORY, &file);

	if (r < 0)
		return r;
	r = ls_readdir(&m->ls, &m->call, file, 0, see, &s);
	ls_release(&m->ls, &m->call, file);
	for (int p = root ? 0 : PLACE_DA; p < (root ? PLACE_DA : PLACES); p++)
		names += f->entry[p] >= 0;
	if (r >= 0 && s.found)
		f->stranger = "another name";
	else if (r >= 0 && s.names != names)
		f->stranger = "a name twice, or one that only one way shows";
	return r < 0 ? r : 0;
}

int mounted_look(struct mounted *m, struct found *ret, char *error, size_t size)
{
	struct ls_inode *d = NULL;
	struct ls_attr attr;
	int r = 0;

	*ret = (struct found){.nodes = 0};
	for (int p = 0; p < PLACES; p++)
		ret->entry[p] = -1;
	error[0] = '\0';
	for (int p = 0; p < PLACE_DA && r == 0; p++)
		r = look_place(m, ret, p, m->ls.root, error, size);
	if (r == 0)
		r = look_names(m, ret, m->ls.root, true);
	if (r == 0 && ret->entry[PLACE_D] >= 0)
		r = lookup(m, m->ls.root, "d", &d, &attr);
	for (int p = PLACE_DA; p < PLACES && r == 0 && d; p++)
		r = look_place(m, ret, p, d, error, size);
	if (r == 0 && d)
		r = look_names(m, ret, d, false);
	forget(m, d);
	if (r < 0 && !*error)
		snprintf(error, size, "looking at the files: %s", strerror(-r));
	return r;
}

void found_fini(struct found *f)
{
	for (unsigned i = 0; i < f->nodes; i++)
		free(f->node[i].bytes);
}
