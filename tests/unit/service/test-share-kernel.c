/* SPDX-License-Identifier: Apache-2.0 */
/* What passes through the kernel: the rules of service/share-kernel.c, above a layer and below a door that count. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "service/ofd.h"
#include "service/share-internal.h"
#include "service/stats.h"
#include "service/vfs.h"

enum { INO = 7, LARGE = 1 << 20, ID = 33 };

/* ---- the layer and the door -------------------------------------------------------------------- */

static struct {
	int shares[LS_SHARE_MAX];
	int refuse[LS_SHARE_MAX];
	uint64_t size;
	mode_t mode;
} layer;

static struct {
	int backing, refuse, told;
} door;

static int layer_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
			 struct ls_attr *ret)
{
	*ret = (struct ls_attr){.ino = INO, .mode = layer.mode, .nlink = 1, .size = layer.size};
	return 0;
}

static int layer_setattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
			 const struct ls_attr *in, unsigned set, struct ls_attr *ret)
{
	if (set & LS_SET_MODE)
		layer.mode = S_IFREG | (in->mode & 07777);
	return layer_getattr(ls, call, inode, f, ret);
}

static void layer_release(struct ls *ls, const struct ls_call *call, struct ls_file *f)
{
}

static void layer_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
}

static int layer_share(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, enum ls_share_how how,
		       off_t offset, off_t length, struct ls_share *ret)
{
	if (layer.refuse[how])
		return layer.refuse[how];
	layer.shares[how]++;
	*ret = (struct ls_share){.data = 3};
	return 0;
}

static int layer_unshare(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, enum ls_share_how how,
			 off_t offset, off_t length)
{
	assert_true(layer.shares[how]-- > 0);
	return 0;
}

static ssize_t layer_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
			      void *buf, size_t size)
{
	return -ENODATA;
}

static int layer_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
			  const void *buf, size_t size, int flags)
{
	return 0;
}

static bool door_passes(void *arg)
{
	return true;
}

static int door_backing(void *arg, int data)
{
	assert_int_equal(data, 3);
	if (door.refuse)
		return door.refuse;
	door.backing++;
	return ID;
}

static void door_backing_end(void *arg, int id)
{
	assert_int_equal(id, ID);
	door.backing--;
}

static void door_attr(void *arg, struct inode *inode)
{
	door.told++;
}

static void door_data(void *arg, struct inode *inode, off_t offset, off_t length)
{
}

static const struct door_hooks hooks = {
	.attr = door_attr, .data = door_data, .passes = door_passes, .backing = door_backing,
	.backing_end = door_backing_end};

/* ---- the world -------------------------------------------------------------------------------- */

static struct instance *fs;
static struct inode *inode;

static int setup(void **state)
{
	static const struct ls_attr root = {.ino = 1, .mode = S_IFDIR | 0755}, file = {.ino = INO, .mode = S_IFREG | 0644};
	static const struct ls_type type = {.name = "counting"};
	struct ls *stack = calloc(1, sizeof(*stack));

	memset(&layer, 0, sizeof(layer));
	memset(&door, 0, sizeof(door));
	layer.size = LARGE;
	layer.mode = S_IFREG | 0644;
	*stack = (struct ls){.type = &type, .tenant = strdup("test"), .root = (struct ls_inode *)&type, .root_attr = root};
	stack->op.getattr.ls = stack->op.setattr.ls = stack->op.release.ls = stack->op.forget.ls = stack;
	stack->op.share.ls = stack->op.unshare.ls = stack->op.getxattr.ls = stack->op.setxattr.ls = stack;
	stack->op.getattr.fn = layer_getattr;
	stack->op.setattr.fn = layer_setattr;
	stack->op.release.fn = layer_release;
	stack->op.forget.fn = layer_forget;
	stack->op.share.fn = layer_share;
	stack->op.unshare.fn = layer_unshare;
	stack->op.getxattr.fn = layer_getxattr;
	stack->op.setxattr.fn = layer_setxattr;
	assert_int_equal(instance_new(stack, "test", "/data", 0, &fs), 0);
	assert_int_equal(inode_enter(fs, (struct ls_inode *)&layer, &file, &inode), 0);
	fs->hooks = &hooks;
	assert_int_equal(share_pass_set("auto"), 0);
	return 0;
}

static int teardown(void **state)
{
	int left = door.backing + inode->kernel_passes + inode->kernel_rdwr;

	for (unsigned how = 0; how < LS_SHARE_MAX; how++)
		left += layer.shares[how];
	while (instance_take_dirty(fs))
		inode_unref(inode);
	inode_unref(inode);
	fs->hooks = NULL;
	instance_free(fs);
	return left;
}

struct file { /* as the FUSE door has it */
	struct ofd *ofd;
	struct share_pass pass;
};

static int opens(struct file *f, int flags)
{
	struct caller c;
	int r;

	assert_int_equal(ofd_new(inode_ref(inode), (struct ls_file *)&layer, flags, NULL, &f->ofd), 0);
	inode->kernel_opens++;
	caller_init(&c, DOOR_SELF, "", 0, 0, 0);
	r = share_kernel_pass(&c, f->ofd, flags, &f->pass);
	caller_fini(&c);
	if (r < 0) {
		inode->kernel_opens--;
		ofd_unref(f->ofd);
	}
	return r;
}

static struct share_pass opened(struct file *f, int flags)
{
	assert_int_equal(opens(f, flags), 0);
	return f->pass;
}

static void closes(struct file *f)
{
	share_kernel_closed(inode, &f->pass);
	inode->kernel_opens--;
	ofd_unref(f->ofd);
}

static int changes_mode(mode_t mode)
{
	struct ls_attr in = {.mode = mode}, after;
	struct caller c;
	int r;

	caller_init(&c, DOOR_SELF, "", 0, 0, 0);
	r = vfs_setattr(&c, inode, NULL, &in, LS_SET_MODE, &after);
	caller_fini(&c);
	return r;
}

static int sets_capabilities(void)
{
	struct caller c;
	int r;

	caller_init(&c, DOOR_SELF, "", 0, 0, 0);
	r = vfs_setxattr(&c, inode, "security.capability", "x", 1, 0);
	caller_fini(&c);
	return r;
}

/* A day later, as it were: what is only put off is tried again. */
static void time_passes(void)
{
	if (inode->pass_after != INT64_MAX)
		inode->pass_after = 0;
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void all_or_none(void **state)
{
	struct file a, b, c;

	assert_true(opened(&a, O_RDONLY).passes);
	assert_int_equal(a.pass.id, ID);
	assert_false(a.pass.direct);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL], 1);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL_WRITE], 0);
	layer.size = 1; /* what would not have begun goes on */
	assert_true(opened(&b, O_RDWR).passes);
	assert_true(b.pass.through);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL_WRITE], 1);
	assert_int_equal(door.backing, 1);
	assert_true(share_is_written(inode));
	closes(&a);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL], 1);
	closes(&b);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL], 0);
	assert_false(share_is_written(inode));
	layer.size = LARGE;
	time_passes();
	/* and the other way round */
	assert_false(opened(&a, O_RDWR | O_APPEND).passes);
	assert_false(opened(&b, O_RDONLY).passes);
	closes(&a);
	assert_false(opened(&c, O_RDONLY).passes);
	closes(&b);
	closes(&c);
	assert_true(opened(&c, O_RDONLY).passes);
	closes(&c);
}

static void what_does_not_begin(void **state)
{
	static const int flags[] = {O_WRONLY | O_TRUNC, O_RDWR | O_APPEND, O_RDWR | O_SYNC, O_WRONLY | O_DSYNC,
				    O_RDONLY | O_DIRECT};
	struct file f;

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		assert_false(opened(&f, flags[i]).passes);
		closes(&f);
	}
	layer.size = 4096;
	assert_false(opened(&f, O_RDWR).passes);
	closes(&f);
	layer.size = LARGE / 2;
	assert_false(opened(&f, O_RDONLY).passes);
	closes(&f);
	assert_true(opened(&f, O_RDWR).passes);
	closes(&f);
	time_passes();
	layer.size = 1ull << 40;
	assert_false(opened(&f, O_RDWR).passes);
	closes(&f);
	layer.size = LARGE;
	layer.mode |= S_ISUID;
	assert_false(opened(&f, O_RDWR).passes);
	closes(&f);
	layer.mode &= ~S_ISUID;
	assert_int_equal(share_pass_set("off"), 0);
	assert_false(opened(&f, O_RDWR).passes);
	closes(&f);
	assert_int_equal(share_pass_set("always"), 0);
	layer.size = 1;
	assert_true(opened(&f, O_RDWR).passes);
	closes(&f);
	assert_int_equal(share_pass_set("sometimes"), -EINVAL);
}

/* What writes by messages may still be mapped. */
static void some_pass_by_messages(void **state)
{
	struct file reader, log, map;

	assert_true(opened(&reader, O_RDONLY).passes);
	assert_true(opened(&log, O_WRONLY | O_APPEND).passes);
	assert_true(log.pass.direct);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL_WRITE], 0);
	assert_true(opened(&map, O_RDWR | O_TRUNC).passes);
	assert_true(map.pass.direct);
	assert_false(map.pass.through);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL_WRITE], 1);
	closes(&map);
	closes(&log);
	closes(&reader);
}

/* Whatever it is opened for; what it maps is their memory, and what it reads and writes comes to us. */
static void what_programs_have_mapped(void **state)
{
	struct shares *sh = shares_make(inode);
	struct file a, b;

	layer.size = 4096;
	sh->maps = 1;
	assert_true(opened(&a, O_RDWR | O_APPEND).passes);
	assert_true(a.pass.direct);
	assert_true(opened(&b, O_RDWR).passes);
	assert_true(b.pass.direct);
	assert_false(b.pass.through);
	closes(&a);
	closes(&b);
	layer.refuse[LS_SHARE_KERNEL] = -EAGAIN;
	assert_true(opened(&a, O_RDONLY).plain);
	assert_true(a.pass.direct);
	closes(&a);
	layer.refuse[LS_SHARE_KERNEL] = 0;
	sh->maps = 0;
	assert_true(opened(&a, O_RDWR).plain);
	assert_false(a.pass.direct);
	sh->maps = 1; /* who maps it sees the plain one, and does not; if he did, others are as it is */
	assert_true(opened(&b, O_RDWR).plain);
	assert_int_equal(inode->kernel_plain, 2);
	closes(&a);
	closes(&b);
	assert_int_equal(inode->kernel_plain, 0);
	sh->maps = 0;
}

static void without_the_kernel_or_the_layer(void **state)
{
	struct file f;

	door.refuse = -EPERM;
	assert_false(opened(&f, O_RDONLY).passes);
	closes(&f);
	assert_int_equal(layer.shares[LS_SHARE_KERNEL], 0);
	door.refuse = 0;
	layer.refuse[LS_SHARE_KERNEL] = -EAGAIN;
	assert_false(opened(&f, O_RDONLY).passes);
	closes(&f);
	layer.refuse[LS_SHARE_KERNEL] = 0;
	layer.refuse[LS_SHARE_KERNEL_WRITE] = -EAGAIN;
	assert_false(opened(&f, O_RDWR).passes);
	closes(&f);
	assert_int_equal(door.backing, 0);
}

static void no_room_for_a_later_writer(void **state)
{
	struct file reader, f;

	layer.refuse[LS_SHARE_KERNEL_WRITE] = -ENOSPC;
	assert_true(opened(&reader, O_RDONLY).passes);
	assert_true(opened(&f, O_WRONLY).direct);
	assert_false(share_kernel_through(inode));
	closes(&f);
	assert_int_equal(opens(&f, O_RDWR), -ENOSPC);
	closes(&reader);
}

static void set_id_bits(void **state)
{
	struct file reader, f;

	assert_true(opened(&f, O_RDWR).through);
	assert_int_equal(changes_mode(S_IFREG | 04755), -ETXTBSY);
	assert_int_equal(layer.mode, S_IFREG | 0644);
	assert_int_equal(sets_capabilities(), -ETXTBSY);
	assert_int_equal(changes_mode(S_IFREG | 0755), 0);
	closes(&f);
	time_passes();
	assert_true(opened(&reader, O_RDONLY).passes);
	assert_int_equal(changes_mode(S_IFREG | 04755), 0);
	assert_int_equal(sets_capabilities(), 0);
	assert_true(opened(&f, O_RDWR).direct);
	closes(&f);
	closes(&reader);
}

static void what_was_not_worth_it(void **state)
{
	struct file f;

	assert_true(opened(&f, O_RDONLY).passes);
	closes(&f);
	assert_false(opened(&f, O_RDONLY).passes); /* it was open for a moment */
	closes(&f);
	time_passes();
	assert_true(opened(&f, O_RDWR).passes);
	layer.size++;
	closes(&f);
	time_passes();
	assert_false(opened(&f, O_RDWR).passes); /* it grew */
	closes(&f);
}

static void what_is_synced(void **state)
{
	struct file f;

	share_kernel_synced(inode);
	assert_true(opened(&f, O_RDWR).passes);
	share_kernel_synced(inode);
	closes(&f);
	time_passes();
	assert_false(opened(&f, O_RDWR).passes);
	closes(&f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(all_or_none), T(what_does_not_begin), T(some_pass_by_messages),
		T(what_programs_have_mapped), T(without_the_kernel_or_the_layer),
		T(no_room_for_a_later_writer), T(set_id_bits), T(what_was_not_worth_it), T(what_is_synced),
	};

	if (stat_open(-1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
