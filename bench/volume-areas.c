/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mirror of two and a stripe of two, against one image of the same kind: what Strata's figures show of replicas and of
 * stripes. All on files of one tmpfs, so what is measured is what they cost, not what two disks would win: there a write to
 * two images is two copies of its bytes, one after the other, and cannot take less than twice as long. On a disk both are
 * under way at once; it is one disk for both here, which does twice the work all the same.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/volume.h"
#include "libservices/area.h"

enum { SMALL = 4096, LARGE = 1 << 20, SMALLS = 500, LARGES = 32, SMALLS_DISK = 50, LARGES_DISK = 4 };
#define IMAGE_SIZE (UINT64_C(256) << 20)

struct load {
	struct area *area;
	char *buf;
	unsigned size, count;
	unsigned random;
	bool write;
};

static double load_measure(void *arg)
{
	struct load *l = arg;
	int64_t start = bench_now();

	for (unsigned i = 0; i < l->count; i++) {
		uint64_t at = (l->random = l->random * 1103515245u + 12345u) / 256 % (IMAGE_SIZE / l->size) * l->size;
		int r = l->write ? area_write(l->area, l->buf, l->size, at, AREA_FUA) :
				   area_read(l->area, l->buf, l->size, at);

		if (r < 0)
			return -1;
	}
	return (double)(bench_now() - start) / l->count;
}

static struct area *area_of(const char *text)
{
	struct json_object *config = json_tokener_parse(text);
	struct area *area = NULL;
	char error[512] = "";

	if (area_check(config, error, sizeof(error)) < 0 || area_open(config, &area, error, sizeof(error)) < 0)
		fprintf(stderr, "bench-volume: %s\n", error);
	json_object_put(config);
	return area;
}

static int image_make(const char *dir, unsigned number)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/area-%u", dir, number);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, IMAGE_SIZE + LARGE) != 0) /* a mirror keeps its own notes */
		return -1;
	unlink(path);
	return fd;
}

static void areas_compare(const struct bench *b, const char *kind, struct area *ours, struct area *one, bool disk)
{
	static const char *const names[] = {"read 4 KiB", "write 4 KiB", "read 1 MiB", "write 1 MiB"};
	unsigned smalls = disk ? SMALLS_DISK : SMALLS, larges = disk ? LARGES_DISK : LARGES;
	char *buf = aligned_alloc(4096, LARGE), name[64];

	if (!buf)
		abort();
	memset(buf, 'x', LARGE);
	for (unsigned i = disk; i < 4; i += 1 + disk) { /* on a disk only writes: one child alone is read, and nothing is there yet */
		struct load l = {ours, buf, i < 2 ? SMALL : LARGE, i < 2 ? smalls : larges, 1, i & 1}, p = l;

		p.area = one;
		snprintf(name, sizeof(name), "%s of two, %s%s", kind, names[i], disk ? ", disk" : "");
		bench_compare(b, &(struct bench_case){name, load_measure, &l, "one image", load_measure, &p, 0});
	}
	free(buf);
}

static void bench_kinds(const struct bench *b, const char *dir, unsigned count, bool disk)
{
	static const char *const kinds[] = {"mirror", "stripe"};
	int fd[3] = {image_make(dir, 0), image_make(dir, 1), image_make(dir, 2)};
	char text[160];

	snprintf(text, sizeof(text), "{\"file\": {\"fd\": %d}}", fd[2]);
	for (unsigned i = 0; i < count; i++) {
		struct area *one = area_of(text), *two;
		char below[192];

		snprintf(below, sizeof(below), "{\"%s\": {%s\"below\": [{\"file\": {\"fd\": %d}}, {\"file\": {\"fd\": %d}}]}}", kinds[i],
			 i == 0 ? "\"create\": true, " : "",
			 fd[0], fd[1]);
		two = area_of(below);
		if (one && two)
			areas_compare(b, kinds[i], two, one, disk);
		area_close(two);
		area_close(one);
	}
	for (unsigned i = 0; i < 3; i++)
		close(fd[i]);
}

/* Of a stripe two files of one disk say nothing. */
void bench_areas(const struct bench *b, const char *dir)
{
	char disk[] = "/var/tmp/bench-areas-XXXXXX";

	bench_kinds(b, dir, 2, false);
	if (!mkdtemp(disk))
		return;
	bench_kinds(b, disk, 1, true);
	rmdir(disk);
}
