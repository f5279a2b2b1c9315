/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each kind of damage, made on purpose in a small volume: fsck names it, repairs it, finds nothing more,
 * and what was not damaged is as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libservices/volume/fsck.h"
#include "libservices/volume/volume.h"
#include "tests/crash/mounted.h"
#include "tests/crash/pages.h"

enum { BLOCKS = 8192 };

static const uint8_t zeros[PAGE];
static struct pages good;
static uint64_t number[PLACES]; /* of inodes, by place */

static struct area *mount_it(struct mounted *m, struct pages *p)
{
	const struct vol_config config = {.no_keeper = true};
	struct area *area = pages_area(p);
	char error[256];

	if (mounted_open(m, area, &config, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	return area;
}

static void unmount_it(struct mounted *m, struct area *area)
{
	assert_int_equal(mounted_close(m), 0);
	area_close(area);
}

/* a: many blocks, two names; b: within the tree; d/a: an attribute in pieces. All items in one leaf. */
static int setup(void **state)
{
	static const struct op ops[] = {
	    {OP_CREATE, PLACE_A, 0, 0, 0},
	    {OP_WRITE, PLACE_A, 0, 0, 30000},
	    {OP_CREATE, PLACE_B, 0, 0, 0},
	    {OP_WRITE, PLACE_B, 0, 0, 100},
	    {OP_MKDIR, PLACE_D, 0, 0, 0},
	    {OP_CREATE, PLACE_DA, 0, 0, 0},
	    {OP_WRITE, PLACE_DA, 0, 0, 5000},
	    {OP_LINK, PLACE_A, PLACE_DB, 0, 0},
	    {OP_SYNC, 0, 0, 0, 0},
	};
	struct volume_params params = {.journal_size = 128 * PAGE};
	struct ls_inode *inode;
	struct area *area;
	struct mounted m;
	struct ls_attr attr;
	char error[256];

	pages_init(&good, BLOCKS, zeros);
	area = pages_area(&good);
	assert_int_equal(volume_mkfs(area, "test", &params, error, sizeof(error)), 0);
	area_close(area);
	area = mount_it(&m, &good);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		assert_int_equal(mounted_do(&m, &ops[i], i, &number[ops[i].place]), 0);
	assert_int_equal(ls_lookup(&m.ls, &m.call, m.ls.root, "b", &inode, &attr), 0);
	assert_int_equal(ls_setxattr(&m.ls, &m.call, inode, "user.large", good.page[0], 2000, 0), 0);
	ls_forget(&m.ls, &m.call, inode, 1);
	unmount_it(&m, area);
	return 0;
}

static int teardown(void **state)
{
	pages_fini(&good);
	return 0;
}

/* ---- changing structures ----------------------------------------------------------------------------- */

static struct vf_super *super_of(struct pages *p, int copy)
{
	uint8_t bytes[PAGE];
	uint64_t block = copy ? VF_SUPER_1 : VF_SUPER_0;

	pages_read(p, block * PAGE, bytes, PAGE);
	pages_write(p, block * PAGE, bytes, PAGE); /* this image's own from now on */
	return (struct vf_super *)p->page[block];
}

static struct vf_super *newest(struct pages *p)
{
	struct vf_super *a = super_of(p, 0), *b = super_of(p, 1);

	return a->generation > b->generation ? a : b;
}

static uint8_t *block_of(struct pages *p, uint64_t block)
{
	uint8_t bytes[PAGE];

	pages_read(p, block * PAGE, bytes, PAGE);
	pages_write(p, block * PAGE, bytes, PAGE);
	return (uint8_t *)p->page[block];
}

static uint8_t *leaf_of(struct pages *p)
{
	assert_int_equal(newest(p)->root_level, 0);
	return block_of(p, newest(p)->root);
}

static uint8_t *bitmap_of(struct pages *p)
{
	return block_of(p, newest(p)->groups_start + 1);
}

static void seal(struct pages *p)
{
	uint8_t *blocks[] = {leaf_of(p), bitmap_of(p), block_of(p, newest(p)->groups_start)};

	for (int i = 0; i < 3; i++)
		vol_head(blocks[i])->crc = vol_block_crc(blocks[i]);
	newest(p)->crc = vol_super_crc(newest(p));
}

static unsigned slot_of(uint8_t *leaf, uint64_t ino, enum vf_type type)
{
	bool found;
	unsigned i = vol_leaf_search(leaf, vol_key(ino, type, 0), &found);

	assert_int_equal(vol_leaf_key(leaf, i).hi, vol_key(ino, type, 0).hi);
	return i;
}

static void *item_of(struct pages *p, uint64_t ino, enum vf_type type)
{
	uint8_t *leaf = leaf_of(p);
	unsigned length;

	return (void *)vol_leaf_value(leaf, slot_of(leaf, ino, type), &length);
}

/* Structures lie where they come to lie in a leaf. */
#define SET(type, item, field, value)                                                                      \
	do {                                                                                               \
		type copy;                                                                                 \
		memcpy(&copy, item, sizeof(copy));                                                         \
		copy.field = value;                                                                        \
		memcpy(item, &copy, sizeof(copy));                                                         \
	} while (0)

static void item_remove(struct pages *p, uint64_t ino, enum vf_type type)
{
	uint8_t *leaf = leaf_of(p);

	vol_leaf_remove(leaf, slot_of(leaf, ino, type));
}

static void item_add(struct pages *p, struct vf_key key, const void *value, unsigned length)
{
	uint8_t *leaf = leaf_of(p);
	bool found;
	unsigned i = vol_leaf_search(leaf, key, &found);

	assert_false(found);
	assert_true(vol_leaf_room(leaf) >= sizeof(struct vf_slot) + length);
	vol_leaf_insert(leaf, i, key, value, length);
}

/* ---- kinds of damage --------------------------------------------------------------------------------- */

static void links_wrong(struct pages *p)
{
	SET(struct vf_inode, item_of(p, number[PLACE_B], VF_INODE), nlink, 3);
}

static void directory_links_wrong(struct pages *p)
{
	SET(struct vf_inode, item_of(p, VF_INO_ROOT, VF_INODE), nlink, 9);
}

static void directory_size_wrong(struct pages *p)
{
	SET(struct vf_inode, item_of(p, number[PLACE_D], VF_INODE), size, 77);
}

static void parent_wrong(struct pages *p)
{
	SET(struct vf_inode, item_of(p, number[PLACE_D], VF_INODE), parent, number[PLACE_D]);
}

static void blocks_wrong(struct pages *p)
{
	SET(struct vf_inode, item_of(p, number[PLACE_A], VF_INODE), blocks, 1000);
}

static void mode_wrong(struct pages *p)
{
	SET(struct vf_inode, item_of(p, number[PLACE_DA], VF_INODE), mode, 0);
}

static void inode_gone(struct pages *p)
{
	item_remove(p, number[PLACE_DA], VF_INODE);
}

static void name_gone(struct pages *p)
{
	item_remove(p, number[PLACE_D], VF_DIRENT);
}

static void root_gone(struct pages *p)
{
	item_remove(p, VF_INO_ROOT, VF_INODE);
}

static void nameless_unlisted(struct pages *p)
{
	SET(struct vf_inode, item_of(p, number[PLACE_DA], VF_INODE), nlink, 0);
}

static void listed_with_name(struct pages *p)
{
	item_add(p, vol_key(0, VF_ORPHAN, number[PLACE_B]), NULL, 0);
}

static void listed_unknown(struct pages *p)
{
	item_add(p, vol_key(0, VF_ORPHAN, 4711), NULL, 0);
}

static void name_of_nobody(struct pages *p)
{
	SET(struct vf_dirent, item_of(p, number[PLACE_D], VF_DIRENT), ino, 4000);
}

static void name_of_other_type(struct pages *p)
{
	SET(struct vf_dirent, item_of(p, number[PLACE_D], VF_DIRENT), type, 10);
}

static void name_misplaced(struct pages *p)
{
	const struct vf_dirent d = {.ino = number[PLACE_B], .type = 8, .length = 4};
	char e[VF_DIRENT_FIXED + 4];

	memcpy(e, &d, VF_DIRENT_FIXED);
	memcpy(e + VF_DIRENT_FIXED, "oops", 4);
	item_add(p, vol_key(number[PLACE_D], VF_DIRENT, 12345), e, sizeof(e));
}

static void extent_outside(struct pages *p)
{
	SET(struct vf_extent, item_of(p, number[PLACE_A], VF_EXTENT), start, 100000);
}

static void extent_shared(struct pages *p)
{
	struct vf_extent e;

	memcpy(&e, item_of(p, number[PLACE_A], VF_EXTENT), sizeof(e));
	SET(struct vf_extent, item_of(p, number[PLACE_DA], VF_EXTENT), start, e.start);
}

static void extent_on_tree(struct pages *p)
{
	SET(struct vf_extent, item_of(p, number[PLACE_DA], VF_EXTENT), start, newest(p)->root);
}

static void item_unknown(struct pages *p)
{
	item_add(p, vol_key(number[PLACE_DA], 99, 5), "what", 4);
}

static void piece_gone(struct pages *p)
{
	item_remove(p, number[PLACE_B], VF_PIECE);
}

static void leaf_damaged(struct pages *p)
{
	uint8_t *leaf = leaf_of(p);

	memset(leaf + 100, 0x5a, 64);
	vol_head(leaf)->crc++;
}

static void used_marked_free(struct pages *p)
{
	struct vf_extent e;
	uint64_t bit;

	memcpy(&e, item_of(p, number[PLACE_A], VF_EXTENT), sizeof(e));
	bit = e.start - newest(p)->groups_start;
	bitmap_of(p)[VF_HEAD + bit / 8] &= ~(1u << bit % 8);
}

static void leaked(struct pages *p)
{
	struct vf_group *g = (void *)(block_of(p, newest(p)->groups_start) + VF_HEAD);

	assert_int_equal(bitmap_of(p)[VF_HEAD + 700], 0);
	bitmap_of(p)[VF_HEAD + 700] = 0xff;
	g->free -= 8;
	newest(p)->free_blocks -= 8;
}

static void bitmap_damaged(struct pages *p)
{
	vol_head(bitmap_of(p))->owner = 5;
}

static void groups_damaged(struct pages *p)
{
	vol_head(block_of(p, newest(p)->groups_start))->kind = VF_KIND_NODE;
}

static void group_count_wrong(struct pages *p)
{
	struct vf_group *g = (void *)(block_of(p, newest(p)->groups_start) + VF_HEAD);

	g->free += 3;
}

static void super_count_wrong(struct pages *p)
{
	newest(p)->inode_count = 99;
}

static void super_free_wrong(struct pages *p)
{
	newest(p)->free_blocks = 99;
}

static void other_super_damaged(struct pages *p)
{
	super_of(p, newest(p) == super_of(p, 0))->blocks++;
}

static const struct damage {
	const char *name;
	void (*make)(struct pages *p);
	const char *says;
	bool leak, sealed; /* sealed: no checksum gives it away */
	unsigned lost;     /* places that are lost; bits */
} damages[] = {
    {"a wrong number of links", links_wrong, "has 1 links and counts 3", false, true, 0},
    {"a directory's wrong number of links", directory_links_wrong, "has 3 links and counts 9", false, true,
     0},
    {"a directory's wrong size", directory_size_wrong, "has 2 names and counts 77", false, true, 0},
    {"a wrong parent", parent_wrong, "thinks it is in", false, true, 0},
    {"a wrong number of blocks", blocks_wrong, "has 8 blocks and counts 1000", false, true, 0},
    {"an inode of no type", mode_wrong, "it is no inode", false, true, 1 << PLACE_DA},
    {"an inode that is not there", inode_gone, "it is not there, but", false, true, 1 << PLACE_DA},
    {"a name that is not there", name_gone, "has 1 names and counts 2", false, true,
     1 << PLACE_DA | 1 << PLACE_DB},
    {"no root", root_gone, "it is not there, but", false, true, 63},
    {"an inode without links that has a name", nameless_unlisted, "has 1 links and counts 0", false, true,
     0},
    {"an orphan that has a name", listed_with_name, "and has one", false, true, 0},
    {"an orphan that is not there", listed_unknown, "and is not there", false, true, 0},
    {"a name that leads nowhere", name_of_nobody, "which is not there", false, true,
     1 << PLACE_DA | 1 << PLACE_DB},
    {"a name of another type", name_of_other_type, "says that inode", false, true, 0},
    {"a name in the wrong place", name_misplaced, "a name in the wrong place", false, true, 0},
    {"an extent outside", extent_outside, "an extent outside", false, true, 1 << PLACE_A | 1 << PLACE_DB},
    {"an extent of two files", extent_shared, "somebody else has, too", false, true, 1 << PLACE_DA},
    {"an extent on the tree", extent_on_tree, "somebody else has, too", false, true, 1 << PLACE_DA},
    {"an unknown item", item_unknown, "an item of no known kind", false, true, 0},
    {"a missing piece of an attribute", piece_gone, "pieces", false, true, 0},
    {"a damaged leaf", leaf_damaged, "should be a node of the tree", false, false, 63},
    {"a used block that is marked free", used_marked_free, "are used and marked free", false, true, 0},
    {"a leak", leaked, "nobody has them", true, true, 0},
    {"a damaged bitmap", bitmap_damaged, "should be the bitmap", false, true, 0},
    {"damaged descriptors", groups_damaged, "should describe the groups", false, true, 0},
    {"a group's wrong count", group_count_wrong, "free blocks and counts", false, true, 0},
    {"the superblock's wrong count", super_count_wrong, "the superblock counts 99", false, true, 0},
    {"the superblock's wrong room", super_free_wrong, "the superblock counts 99", false, true, 0},
    {"a damaged copy of the superblock", other_super_damaged, "superblock is damaged", false, true, 0},
};

/* ---- the claims -------------------------------------------------------------------------------------- */

struct heard {
	char text[4096];
};

static void hear(void *arg, const struct fsck_problem *problem)
{
	struct heard *h = arg;
	size_t n = strlen(h->text);

	snprintf(h->text + n, sizeof(h->text) - n, "%s\n", problem->text);
}

static struct fsck_report check(struct pages *p, bool repair, struct heard *heard)
{
	struct fsck_options options = {.repair = repair, .problem = hear, .arg = heard};
	struct area *area = pages_area(p);
	struct fsck_report report = {.clean = false};
	char error[256];

	heard->text[0] = '\0';
	if (volume_fsck(area, &options, &report, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	area_close(area);
	return report;
}

static void same_files(struct pages *p, unsigned lost)
{
	struct found was, is;
	struct area *area;
	struct mounted m;
	struct pages copy;
	char error[256];

	pages_init(&copy, BLOCKS, zeros);
	pages_copy(&copy, &good);
	area = mount_it(&m, &copy);
	assert_int_equal(mounted_look(&m, &was, error, sizeof(error)), 0);
	unmount_it(&m, area);
	area = mount_it(&m, p);
	if (mounted_look(&m, &is, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	unmount_it(&m, area);
	for (int i = 0; i < PLACES; i++) {
		const struct found_node *a = &was.node[was.entry[i] < 0 ? 0 : was.entry[i]], *b;
		if (lost >> i & 1 || was.entry[i] < 0)
			continue;
		assert_true(is.entry[i] >= 0);
		b = &is.node[is.entry[i]];
		assert_int_equal(a->ino, b->ino);
		if (a->directory)
			continue;
		assert_int_equal(a->size, b->size);
		assert_memory_equal(a->bytes, b->bytes, a->size);
	}
	found_fini(&was);
	found_fini(&is);
	pages_fini(&copy);
}

static void run_damage(const struct damage *d)
{
	struct fsck_report report;
	struct heard heard;
	struct pages p;

	pages_init(&p, BLOCKS, zeros);
	pages_copy(&p, &good);
	d->make(&p);
	if (d->sealed && d->make != other_super_damaged)
		seal(&p);
	report = check(&p, false, &heard);
	if (!strstr(heard.text, d->says))
		fail_msg("%s: no '%s' in: %s", d->name, d->says, heard.text);
	if (d->leak ? !report.was.leaks || report.was.damage : !report.was.damage)
		fail_msg("%s: not counted right: %s", d->name, heard.text);
	assert_false(report.repaired);
	report = check(&p, true, &heard);
	if (!report.repaired)
		fail_msg("%s: not repaired", d->name);
	if (report.left.damage || report.left.leaks) {
		check(&p, false, &heard);
		fail_msg("%s: left after the repair: %s", d->name, heard.text);
	}
	report = check(&p, false, &heard);
	assert_int_equal(report.was.damage + report.was.leaks, 0);
	same_files(&p, d->lost);
	report = check(&p, false, &heard);
	if (report.was.damage + report.was.leaks)
		fail_msg("%s: after a mount: %s", d->name, heard.text);
	pages_fini(&p);
}

static void should_name_and_repair_every_kind_of_damage(void **state)
{
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
		run_damage(&damages[i]);
}

static void should_find_nothing_in_a_good_volume(void **state)
{
	struct fsck_report report;
	struct heard heard;
	struct pages p;

	pages_init(&p, BLOCKS, zeros);
	pages_copy(&p, &good);
	report = check(&p, true, &heard);
	assert_string_equal(heard.text, "");
	assert_true(report.clean);
	assert_false(report.repaired);
	assert_int_equal(report.was.inodes, 5);
	assert_int_equal(report.was.names, 5);
	for (size_t i = 0; i < BLOCKS; i++)
		assert_false(p.own[i]); /* nothing was written */
	pages_fini(&p);
}

/* Two directories that are in each other: cut, and found again. */
static void should_cut_circles(void **state)
{
	static const struct op d = {OP_MKDIR, PLACE_D, 0, 0, 0};
	struct ls_inode *one, *two;
	struct fsck_report report;
	struct heard heard;
	struct ls_attr attr, inner;
	struct area *area;
	struct mounted m;
	struct pages p;
	uint64_t ino;
	char error[256];
	struct volume_params params = {.journal_size = 128 * PAGE};

	pages_init(&p, BLOCKS, zeros);
	area = pages_area(&p);
	assert_int_equal(volume_mkfs(area, "test", &params, error, sizeof(error)), 0);
	area_close(area);
	area = mount_it(&m, &p);
	assert_int_equal(mounted_do(&m, &d, 0, &ino), 0);
	assert_int_equal(ls_lookup(&m.ls, &m.call, m.ls.root, "d", &one, &attr), 0);
	assert_int_equal(ls_mkdir(&m.ls, &m.call, one, "e", 0755, &two, &inner), 0);
	ls_forget(&m.ls, &m.call, two, 1);
	ls_forget(&m.ls, &m.call, one, 1);
	unmount_it(&m, area);
	/* The root's name of d becomes e's name of d. */
	SET(struct vf_inode, item_of(&p, attr.ino, VF_INODE), parent, inner.ino);
	SET(struct vf_inode, item_of(&p, VF_INO_ROOT, VF_INODE), size, 0);
	SET(struct vf_inode, item_of(&p, VF_INO_ROOT, VF_INODE), nlink, 2);
	SET(struct vf_inode, item_of(&p, inner.ino, VF_INODE), size, 1);
	SET(struct vf_inode, item_of(&p, inner.ino, VF_INODE), nlink, 3);
	{
		uint8_t *leaf = leaf_of(&p), value[64];
		unsigned at = slot_of(leaf, VF_INO_ROOT, VF_DIRENT), length;
		const void *v = vol_leaf_value(leaf, at, &length);
		struct vf_key key = vol_leaf_key(leaf, at);
		memcpy(value, v, length);
		vol_leaf_remove(leaf, at);
		item_add(&p, vol_key(inner.ino, VF_DIRENT, key.lo), value, length);
	}
	seal(&p);
	report = check(&p, false, &heard);
	assert_non_null(strstr(heard.text, "is below itself"));
	report = check(&p, true, &heard);
	assert_int_equal(report.left.damage + report.left.leaks, 0);
	assert_int_equal(report.left.directories, 4);
	pages_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(should_find_nothing_in_a_good_volume),
	    cmocka_unit_test(should_name_and_repair_every_kind_of_damage),
	    cmocka_unit_test(should_cut_circles),
	};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
