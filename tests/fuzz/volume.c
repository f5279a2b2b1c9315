/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting, reading, changing, checking and repairing what claims to be a volume. Whatever it is, nothing
 * may be read or written beside it, and everything comes to an end. What fsck -y calls clean can be
 * mounted.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck.h"
#include "tests/crash/mounted.h"
#include "tests/fuzz/volume-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MAX = 6, NAMES_MAX = 300 };

/* ---- a walk ------------------------------------------------------------------------------------------ */

struct walk {
	struct mounted *m;
	unsigned names;
};

struct names {
	char name[32][256];
	unsigned count;
};

static int note(void *arg, const char *name, size_t length, uint64_t ino, unsigned type, uint64_t next)
{
	struct names *n = arg;

	if (length > 255 || n->count == 32)
		return 1;
	memcpy(n->name[n->count], name, length);
	n->name[n->count++][length] = '\0';
	return 0;
}

static void read_some(struct mounted *m, struct ls_inode *inode, uint64_t size)
{
	static uint8_t buf[20000];
	struct iovec iov = {buf, sizeof(buf)};
	const uint64_t from[] = {0, size / 2, size > 5000 ? size - 5000 : 0, UINT64_C(1) << 33};
	struct ls_file *f;

	if (ls_open(&m->ls, &m->call, inode, O_RDONLY, &f) < 0)
		return;
	for (unsigned i = 0; i < 4; i++)
		ls_read(&m->ls, &m->call, f, &iov, 1, from[i]);
	ls_seek(&m->ls, &m->call, f, 0, SEEK_HOLE);
	ls_seek(&m->ls, &m->call, f, 0, SEEK_DATA);
	ls_release(&m->ls, &m->call, f);
}

static void attributes_read(struct mounted *m, struct ls_inode *inode)
{
	char list[2048], value[2048];
	ssize_t n = ls_listxattr(&m->ls, &m->call, inode, list, sizeof(list));

	for (ssize_t i = 0; i < n; i += strnlen(list + i, n - i) + 1)
		if (memchr(list + i, 0, n - i))
			ls_getxattr(&m->ls, &m->call, inode, list + i, value, sizeof(value));
}

static void walk(struct walk *w, struct ls_inode *dir, unsigned depth)
{
	struct mounted *m = w->m;
	struct names *names = calloc(1, sizeof(*names));
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;
	char target[256];

	if (names && ls_open(&m->ls, &m->call, dir, O_RDONLY | O_DIRECTORY, &f) == 0) {
		ls_readdir(&m->ls, &m->call, f, 0, note, names);
		ls_release(&m->ls, &m->call, f);
	}
	for (unsigned i = 0; names && i < names->count && w->names++ < NAMES_MAX; i++) {
		const char *name = names->name[i];
		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    ls_lookup(&m->ls, &m->call, dir, name, &inode, &attr) < 0)
			continue;
		attributes_read(m, inode);
		if (S_ISDIR(attr.mode) && depth < DEPTH_MAX)
			walk(w, inode, depth + 1);
		else if (S_ISREG(attr.mode))
			read_some(m, inode, attr.size);
		else if (S_ISLNK(attr.mode))
			ls_readlink(&m->ls, &m->call, inode, target, sizeof(target));
		ls_forget(&m->ls, &m->call, inode, 1);
	}
	free(names);
}

/* ---- changes ----------------------------------------------------------------------------------------- */

static void change(struct mounted *m)
{
	static const struct op ops[] = {
	    {OP_WRITE, PLACE_A, 0, 100, 9000},
	    {OP_TRUNCATE, PLACE_A, 0, 0, 50},
	    {OP_XATTR, PLACE_B, 0, 0, 0},
	    {OP_RENAME, PLACE_A, PLACE_DB, 0, 0},
	    {OP_LINK, PLACE_B, PLACE_C, 0, 0},
	    {OP_FSYNC, PLACE_B, 0, 0, 0},
	    {OP_UNLINK, PLACE_DA, 0, 0, 0},
	    {OP_CREATE, PLACE_A, 0, 0, 0},
	    {OP_APPEND, PLACE_A, 0, 0, 30000},
	    {OP_PUNCH, PLACE_A, 0, 5000, 9000},
	    {OP_SYNC, 0, 0, 0, 0},
	};
	uint64_t ino;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		mounted_do(m, &ops[i], i, &ino);
}

static bool mount_all(struct pages *pages, bool changes)
{
	const struct vol_config config = {.no_keeper = true, .metadata_cache = 1 << 20, .buffer = 1 << 20};
	struct area *area = pages_area(pages);
	struct mounted m;
	char error[256];
	int r = mounted_open(&m, area, &config, error, sizeof(error));

	if (r == 0) {
		struct walk w = {&m, 0};
		walk(&w, m.ls.root, 0);
		if (changes)
			change(&m);
		mounted_close(&m);
	}
	area_close(area);
	return r == 0;
}

static bool check(struct pages *pages, bool repair)
{
	struct fsck_options options = {.repair = repair};
	struct area *area = pages_area(pages);
	struct fsck_report report;
	char error[256];
	int r = volume_fsck(area, &options, &report, error, sizeof(error));

	area_close(area);
	return r == 0 && !report.left.damage && !report.left.leaks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct volume_image v;
	struct pages copy;
	bool clean;

	volume_image_init(&v);
	volume_image_decode(&v, data, size);
	pages_init(&copy, v.pages.count, v.pages.page[0]);
	clean = check(&v.pages, false);
	pages_copy(&copy, &v.pages);
	if (!mount_all(&copy, true) && clean) {
		fprintf(stderr, "fsck finds nothing, and it cannot be mounted\n");
		abort();
	}
	pages_copy(&copy, &v.pages);
	if (check(&copy, true) && (!check(&copy, false) || !mount_all(&copy, false))) {
		fprintf(stderr, "what was repaired cannot be mounted\n");
		abort();
	}
	pages_fini(&copy);
	volume_image_fini(&v);
	return 0;
}

/* ---- for a fuzzer: mutations that keep the checksums right --------------------------------------------
 */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static void mutate_bytes(struct volume_image *v, uint32_t block, unsigned *seed)
{
	uint8_t bytes[64];
	unsigned at = rand_r(seed) % (PAGE / 4) * 4, length = 4u << rand_r(seed) % 4;

	/* What matters stands at the beginning, mostly. */
	if (rand_r(seed) % 2)
		at %= 512;
	if (at + length > PAGE)
		at = PAGE - length;
	pages_read(&v->pages, (uint64_t)block * PAGE + at, bytes, length);
	if (rand_r(seed) % 4)
		LLVMFuzzerMutate(bytes, length, length);
	else /* a value from elsewhere in this block */
		pages_read(&v->pages, (uint64_t)block * PAGE + rand_r(seed) % 60 * 8, bytes, length);
	pages_write(&v->pages, (uint64_t)block * PAGE + at, bytes, length);
}

static void mutate_place(struct volume_image *v, uint32_t block, unsigned *seed)
{
	uint32_t other = v->touched[rand_r(seed) % v->count];
	uint8_t page[PAGE];

	pages_read(&v->pages, (uint64_t)block * PAGE, page, PAGE);
	if (vol_head(page)->magic == VF_BLOCK_MAGIC && rand_r(seed) % 4)
		vol_head(page)->block = other;
	pages_write(&v->pages, (uint64_t)other * PAGE, page, PAGE);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct volume_image v;
	unsigned times;

	if (seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max);
	volume_image_init(&v);
	volume_image_decode(&v, data, size);
	times = 1 + rand_r(&seed) % 4;
	for (unsigned i = 0; v.count && i < times; i++) {
		uint32_t block = v.touched[rand_r(&seed) % v.count];
		if (rand_r(&seed) % 16)
			mutate_bytes(&v, block, &seed);
		else
			mutate_place(&v, block, &seed);
	}
	if (rand_r(&seed) % 16)
		volume_image_seal(&v);
	size = volume_image_encode(&v, data, max);
	volume_image_fini(&v);
	return size;
}
