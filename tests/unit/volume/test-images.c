/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are no volumes, or damaged ones. Mounting says one clear sentence and writes nothing, or
 * works; and whatever a damaged one contains, nothing crashes.
 */
#include <json-c/json.h>
#include <sys/mman.h>

#include "libservices/volume/vol.h"
#include "tests/unit/volume/volume-test.h"

enum { SIZE = 32 << 20, FLIPS = 600 };

static uint8_t *image_map(int fd)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void refuse(int fd, const char *what)
{
	const char *error;

	error = image_mount_error(fd);
	if (!strstr(error, what) || strchr(error, '\n'))
		fail_msg("'%s' does not say '%s'", error, what);
	close(fd);
}

static void what_is_no_volume_is_refused(void **state)
{
	int fd = image_new(SIZE);
	uint8_t *p;

	refuse(image_new(4096), "not a volume");
	refuse(image_copy(fd), "not a volume");
	p = image_map(fd);
	memset(p, 0xa5, SIZE);
	refuse(image_copy(fd), "not a volume");
	munmap(p, SIZE);
	close(fd);
}

static void wrong_superblocks_are_refused(void **state)
{
	int fd = image_with_volume(SIZE);
	struct vf_super *s = (struct vf_super *)image_map(fd);
	struct vf_super good = *s;

	s->version = 2;
	refuse(image_copy(fd), "another version");
	*s = good;
	s->label[3] ^= 1;
	refuse(image_copy(fd), "checksum");
	*s = good;
	s->groups_start = s->blocks;
	s->crc = vol_super_crc(s);
	refuse(image_copy(fd), "make no sense");
	*s = good;
	s->root = 3;
	s->crc = vol_super_crc(s);
	refuse(image_copy(fd), "makes no sense");
	*s = good;
	s->uuid[5]++;
	s->crc = vol_super_crc(s);
	refuse(image_copy(fd), "another volume"); /* the blocks still are the old one's */
	munmap(s, SIZE);
	close(fd);
}

static void a_truncated_image_is_refused(void **state)
{
	int fd = image_with_volume(SIZE);

	assert_ok(ftruncate(fd, SIZE - 4096));
	refuse(fd, "truncated");
}

static void one_superblock_is_enough(void **state)
{
	int fd = image_with_volume(SIZE), copy;
	struct fs *fs = image_mount(fd, "");
	uint8_t *p;

	fs_mkdir(fs, fs->root, "first");
	assert_ok(ls_sync(fs->ls, &fs->call));
	fs_close(fs); /* generation 3, in copy 1 */
	for (int i = 0; i < 2; i++) {
		copy = image_copy(fd);
		p = image_map(copy);
		memset(p + (i ? VF_SUPER_1 : VF_SUPER_0) * VF_BLOCK, 0, VF_BLOCK);
		munmap(p, SIZE);
		fs = image_mount(copy, "");
		assert_ok(
		    fs_try(fs, fs->root, "first")); /* the shadow has what the lost one would have said */
		fs_close(fs);
		image_is_sound(copy);
		close(copy);
	}
	close(fd);
}

/* ---- flipped bits ---------------------------------------------------------------------------- */

static void populate(struct fs *fs)
{
	struct ls_inode *d = fs_mkdir(fs, fs->root, "d"), *inode;
	char name[32], big[20000];
	struct ls_attr attr;

	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		struct ls_file *f = fs_create(fs, i % 3 ? d : fs->root, name, &inode);
		assert_int_equal(fs_write(fs, f, big, i * 50, i % 5 * 3000), i * 50);
		if (i % 7 == 0)
			assert_ok(ls_setxattr(fs->ls, &fs->call, inode, "user.x", big, i * 60, 0));
		if (i % 11 == 0)
			assert_ok(ls_link(fs->ls, &fs->call, inode, fs->root, name + 1, &attr));
		fs_release(fs, f);
	}
	fs_symlink(fs, d, "link", "target");
}

struct visiting {
	struct fs *fs;
	struct ls_inode *dir;
	unsigned depth, names;
};

static int visit(void *arg, const char *name, size_t length, uint64_t ino, unsigned type, uint64_t next)
{
	struct visiting *v = arg;
	struct ls *ls = v->fs->ls;
	const struct ls_call *call = &v->fs->call;
	struct visiting deeper = {v->fs, NULL, v->depth + 1, v->names};
	char copy[256], buf[70000];
	struct iovec iov = {buf, sizeof(buf)};
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;

	memcpy(copy, name, length);
	copy[length] = 0;
	if (v->names++ > 2000 || copy[0] == '.' || ls_lookup(ls, call, v->dir, copy, &inode, &attr) < 0)
		return v->names > 2000;
	ls_getxattr(ls, call, inode, "user.x", buf, sizeof(buf));
	ls_listxattr(ls, call, inode, buf, sizeof(buf));
	ls_readlink(ls, call, inode, buf, sizeof(buf));
	if (ls_open(ls, call, inode, O_RDONLY, &f) == 0) {
		ls_read(ls, call, f, &iov, 1, 0);
		ls_seek(ls, call, f, 0, SEEK_HOLE);
		deeper.dir = inode;
		if (v->depth < 4)
			ls_readdir(ls, call, f, 0, visit, &deeper);
		ls_release(ls, call, f);
	}
	ls_forget(ls, call, inode, 1);
	return 0;
}

/* Reads all there is, then changes it. */
static void use(struct fs *fs)
{
	struct visiting v = {fs, fs->root, 0, 0};
	struct ls_inode *inode;
	struct ls_attr attr, in = {.size = 3};
	struct ls_file *f;
	char name[32];

	if (ls_open(fs->ls, &fs->call, fs->root, O_RDONLY, &f) < 0)
		return;
	ls_readdir(fs->ls, &fs->call, f, 0, visit, &v);
	ls_release(fs->ls, &fs->call, f);
	for (int i = 0; i < 300; i += 3) {
		snprintf(name, sizeof(name), "name-%d", i);
		if (ls_lookup(fs->ls, &fs->call, fs->root, name, &inode, &attr) == 0) {
			ls_setattr(fs->ls, &fs->call, inode, NULL, &in, LS_SET_SIZE, &attr);
			ls_removexattr(fs->ls, &fs->call, inode, "user.x");
			ls_forget(fs->ls, &fs->call, inode, 1);
		}
		if (i % 2)
			ls_unlink(fs->ls, &fs->call, fs->root, name);
		else
			ls_rename(fs->ls, &fs->call, fs->root, name, fs->root, "other", 0);
	}
	ls_sync(fs->ls, &fs->call);
}

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

/* A block of metadata whose contents are changed but whose checksum is right: worse than chance can do. */
static void block_damage(uint8_t *block, unsigned *seed, bool sum)
{
	unsigned bytes = 1 + next_random(seed) % 4;

	for (unsigned i = 0; i < bytes; i++)
		block[8 + next_random(seed) % 600 * (next_random(seed) % 4 ? 1 : 6)] = next_random(seed);
	if (sum)
		vol_head(block)->crc = vol_block_crc(block);
}

static void damaged_blocks_crash_nothing(void **state)
{
	int fd = image_with_volume(SIZE), copy;
	struct fs *fs = image_mount(fd, "");
	unsigned seed = 5, mounted = 0;
	struct json_object *stack;
	char error[512];
	struct ls *ls;
	uint8_t *p;

	populate(fs);
	fs_close(fs);
	for (int i = 0; i < FLIPS; i++) {
		copy = image_copy(fd);
		p = image_map(copy);
		const struct vf_super *s = (const struct vf_super *)p;
		uint64_t block = s->groups_start + next_random(&seed) % 120;
		if (i % 50 == 0)
			block = i % 100 ? VF_SUPER_0 : VF_SUPER_1;
		block_damage(p + block * VF_BLOCK, &seed, i % 4 != 0);
		munmap(p, SIZE);
		stack = json_tokener_parse(image_stack(copy, ", \"metadata_cache\": \"1M\""));
		*error = 0;
		if (ls_stack_open(stack, "test", &ls, error, sizeof(error)) < 0) {
			assert_true(*error && !strchr(error, '\n'));
		} else {
			struct fs with = {.ls = ls, .root = ls->root};
			with.call = (struct ls_call){.tenant = "test", .cred = &with.cred};
			use(&with);
			ls_stack_close(ls);
			mounted++;
		}
		json_object_put(stack);
		close(copy);
	}
	assert_in_range(mounted, FLIPS / 10, FLIPS);
	close(fd);
}

/* What is refused is not written to; nor is what is only looked at. */
static void nothing_is_written_to_what_is_refused(void **state)
{
	int fd = image_with_volume(SIZE), copy;
	struct fs *fs = image_mount(fd, "");
	uint8_t *p, *q;

	populate(fs);
	fs_close(fs);
	p = image_map(fd);
	const struct vf_super *s = (const struct vf_super *)(p + VF_SUPER_1 * VF_BLOCK);
	p[s->root * VF_BLOCK + 100] ^= 1;
	copy = image_copy(fd);
	refuse(dup(copy), "checksum");
	q = image_map(copy);
	assert_memory_equal(p, q, SIZE);
	p[s->root * VF_BLOCK + 100] ^= 1;
	close(copy);
	munmap(q, SIZE);
	copy = image_copy(fd);
	fs = image_mount(copy, ", \"rdonly\": true");
	assert_ok(fs_try(fs, fs->root, "d"));
	assert_int_equal(fs_unlink(fs, fs->root, "name-0"), -EROFS);
	fs_close(fs);
	q = image_map(copy);
	assert_memory_equal(p, q, SIZE);
	munmap(p, SIZE);
	munmap(q, SIZE);
	close(copy);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_no_volume_is_refused),
	    cmocka_unit_test(wrong_superblocks_are_refused),
	    cmocka_unit_test(a_truncated_image_is_refused),
	    cmocka_unit_test(one_superblock_is_enough),
	    cmocka_unit_test(nothing_is_written_to_what_is_refused),
	    cmocka_unit_test(damaged_blocks_crash_nothing),
	};

	if (freopen("/dev/null", "w", stderr) ==
	    NULL) /* each damaged volume says why it became read-only */
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
