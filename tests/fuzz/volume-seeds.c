/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes inputs to begin with into a directory: volumes that are closed, in use, and as a power cut leaves
 * them.
 *
 *   volume-seeds DIRECTORY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/volume.h"
#include "tests/crash/mounted.h"
#include "tests/crash/record.h"
#include "tests/crash/states.h"
#include "tests/fuzz/volume-image.h"

static const char *directory;
static unsigned written;

static bool is_structure(const uint8_t *page)
{
	const struct vf_super *s = (const void *)page;
	const struct vf_frame *f = (const void *)page;
	const struct vf_shadow *shadow = (const void *)(page + 512);

	return s->magic == VF_MAGIC || f->magic == VF_FRAME_MAGIC ||
	       vol_head(page)->magic == VF_BLOCK_MAGIC || shadow->magic == VF_SHADOW_MAGIC;
}

/* What is not zero, but for the bytes of files. */
static void write_seed(const struct pages *pages)
{
	static uint8_t data[1 << 20];
	struct volume_image v;
	char path[512];
	uint32_t keep = 0;
	FILE *f;

	volume_image_init(&v);
	pages_copy(&v.pages, pages);
	for (uint32_t i = 0; i < VOLUME_BLOCKS; i++) {
		/* A frame's further blocks and a shadow's list follow their beginning. */
		if (is_structure(pages->page[i]))
			keep = i + 3;
		if (i < keep && v.count < VOLUME_TOUCHED)
			v.touched[v.count++] = i;
	}
	snprintf(path, sizeof(path), "%s/%02u", directory, written++);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, volume_image_encode(&v, data, sizeof(data)), f) == 0) {
		perror(path);
		exit(1);
	}
	fclose(f);
	volume_image_fini(&v);
}

static void mount_or_die(struct mounted *m, struct area *area)
{
	const struct vol_config config = {.no_keeper = true};
	char error[256];

	if (mounted_open(m, area, &config, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
}

static void fill(struct mounted *m, unsigned files)
{
	static const struct op ops[] = {
	    {OP_CREATE, PLACE_A, 0, 0, 0},
	    {OP_WRITE, PLACE_A, 0, 0, 9000},
	    {OP_CREATE, PLACE_B, 0, 0, 0},
	    {OP_WRITE, PLACE_B, 0, 0, 300},
	    {OP_MKDIR, PLACE_D, 0, 0, 0},
	    {OP_CREATE, PLACE_DA, 0, 0, 0},
	    {OP_WRITE, PLACE_DA, 0, 9000, 100},
	    {OP_XATTR, PLACE_A, 0, 0, 0},
	    {OP_RESERVE, PLACE_DA, 0, 20000, 30000},
	    {OP_LINK, PLACE_A, PLACE_DB, 0, 0},
	    {OP_SYNC, 0, 0, 0, 0},
	};
	static const char big[5000] = "large";
	struct ls_inode *inode;
	struct ls_file *f;
	struct ls_attr attr;
	char name[200];
	uint64_t ino;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		mounted_do(m, &ops[i], i, &ino);
	for (unsigned i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "%u-%.*s", i, (int)(i % 90),
			 "a name that is long enough to fill leaves of the tree "
			 "sooner than short ones would do it, and more");
		if (ls_create(&m->ls, &m->call, m->ls.root, name, 0644, 2, &inode, &attr, &f) < 0)
			continue;
		if (i % 10 == 0)
			ls_setxattr(&m->ls, &m->call, inode, "user.big", big, sizeof(big), 0);
		ls_release(&m->ls, &m->call, f);
		ls_forget(&m->ls, &m->call, inode, 1);
	}
	memset(name, 'x', 150);
	name[150] = '\0';
	if (ls_symlink(&m->ls, &m->call, m->ls.root, "link", name, &inode, &attr) == 0)
		ls_forget(&m->ls, &m->call, inode, 1);
	if (ls_mknod(&m->ls, &m->call, m->ls.root, "device", S_IFCHR | 0600, 1, 3, &inode, &attr) == 0)
		ls_forget(&m->ls, &m->call, inode, 1);
}

/* The volume closed, and some moments before that. */
static void seeds(unsigned files, unsigned moments)
{
	const uint64_t hash_seed[2] = {1, 2};
	const uint8_t uuid[16] = "fuzz";
	struct volume_params params = {.uuid = uuid, .hash_seed = hash_seed, .journal_size = 128 * 4096};
	struct volume_image start;
	struct record *record;
	struct states *states;
	uint32_t begun, acked;
	struct mounted m;
	struct pages image;
	struct area *area;
	char error[256];
	size_t n = 0;

	volume_image_init(&start);
	area = pages_area(&start.pages);
	if (volume_mkfs(area, "seed", &params, error, sizeof(error)) < 0)
		exit(1);
	area_close(area);
	record = record_new(&start.pages);
	mount_or_die(&m, record->area);
	fill(&m, files);
	vol_checkpoint(m.vol, false);
	mounted_do(&m, &(struct op){OP_APPEND, PLACE_B, 0, 0, 100}, 1, &(uint64_t){0});
	mounted_do(&m, &(struct op){OP_FSYNC, PLACE_B, 0, 0, 0}, 1, &(uint64_t){0});
	mounted_close(&m);
	states = states_new(record, &start.pages, 1, 2);
	pages_init(&image, start.pages.count, start.pages.page[0]);
	while (states_next(states, &image, &begun, &acked))
		if (moments && n++ % moments == moments - 1)
			write_seed(&image);
	write_seed(&record->pages);
	states_free(states);
	pages_fini(&image);
	record_free(record);
	volume_image_fini(&start);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: volume-seeds DIRECTORY\n");
		return 2;
	}
	directory = argv[1];
	seeds(0, 7);
	seeds(60, 20);
	seeds(150, 0);
	return 0;
}
