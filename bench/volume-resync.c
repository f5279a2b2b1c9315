/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mirror's image that was away, and has missed every write, is back: how long it takes to bring it up to date, for each
 * MiB, while the mirror is read and written all the time, against a copy of as much that nobody disturbs. One transfer that
 * fails or that brings other bytes than were written, and there is no figure.
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

enum { PIECE = 1 << 20, BLOCK = 4096, SIZE_MIB = 1024, SIZE_MIB_QUICK = 128, META_MIB = 1, CHECK_EVERY = 64 };

struct mirror {
	int fd[2];
	unsigned mib, random;
	char *buf;
	uint64_t *word; /* the first of each block, as it is to be */
};

static struct area *mirror_open(const struct mirror *m, bool create, bool both)
{
	struct json_object *config;
	struct area *area = NULL;
	char text[192], second[64] = "{\"missing\": \"away\"}", error[512] = "";

	if (both)
		snprintf(second, sizeof(second), "{\"file\": {\"fd\": %d}}", m->fd[1]);
	snprintf(text, sizeof(text), "{\"mirror\": {%s\"below\": [{\"file\": {\"fd\": %d}}, %s]}}", create ? "\"create\": true, " : "",
		 m->fd[0], second);
	config = json_tokener_parse(text);
	if (area_check(config, error, sizeof(error)) < 0 || area_open(config, &area, error, sizeof(error)) < 0)
		fprintf(stderr, "bench-volume: %s\n", error);
	json_object_put(config);
	return area;
}

static bool is_in_sync(struct area *area)
{
	struct json_object *report = area_report(area);
	bool is = !strstr(json_object_to_json_string(report), "\"copying\"");

	json_object_put(report);
	return is;
}

static uint64_t word_next(struct mirror *m)
{
	m->random = m->random * 1103515245u + 12345u;
	return m->random;
}

static bool block_write(struct mirror *m, struct area *area, uint64_t block)
{
	m->word[block] = word_next(m);
	memcpy(m->buf, &m->word[block], sizeof(*m->word));
	return area_write(area, m->buf, BLOCK, block * BLOCK, 0) == 0;
}

static bool block_good(struct mirror *m, struct area *area, uint64_t block)
{
	return area_read(area, m->buf, BLOCK, block * BLOCK) == 0 && !memcmp(m->buf, &m->word[block], sizeof(*m->word));
}

/* All of it, other than the second image has it. */
static bool mirror_fill(struct mirror *m, struct area *area)
{
	uint64_t blocks = PIECE / BLOCK;

	for (unsigned i = 0; i < m->mib; i++) {
		for (uint64_t k = 0; k < blocks; k++) {
			m->word[i * blocks + k] = word_next(m);
			memcpy(m->buf + k * BLOCK, &m->word[i * blocks + k], sizeof(*m->word));
		}
		if (area_write(area, m->buf, PIECE, (uint64_t)i * PIECE, 0) < 0)
			return false;
	}
	return true;
}

/* Reads and writes until all is the same; then reads from both. */
static bool mirror_serve(struct mirror *m, struct area *area)
{
	uint64_t blocks = (uint64_t)m->mib * (PIECE / BLOCK);

	for (unsigned i = 0; i % CHECK_EVERY || !is_in_sync(area); i++)
		if (!block_write(m, area, word_next(m) % blocks) || !block_good(m, area, word_next(m) % blocks))
			return false;
	return true;
}

static bool mirror_good(struct mirror *m, struct area *area)
{
	struct json_object *report = area_report(area);
	bool good = !strstr(json_object_to_json_string(report), "\"away\"");

	json_object_put(report);
	for (uint64_t block = 0; good && block < (uint64_t)m->mib * (PIECE / BLOCK); block++)
		good = block_good(m, area, block);
	return good;
}

static double resync_measure(void *arg)
{
	struct mirror *m = arg;
	struct area *area = mirror_open(m, false, false);
	bool good = area && mirror_fill(m, area);
	int64_t start;

	area_close(area);
	start = bench_now();
	area = mirror_open(m, false, true);
	good = good && area && mirror_serve(m, area);
	start = bench_now() - start;
	good = good && mirror_good(m, area);
	area_close(area);
	return good ? (double)start / m->mib : -1;
}

static double copy_measure(void *arg)
{
	struct mirror *m = arg;
	int64_t start = bench_now();

	for (off_t at = 0; at < (off_t)m->mib * PIECE; at += PIECE)
		if (pread(m->fd[0], m->buf, PIECE, at) != PIECE || pwrite(m->fd[1], m->buf, PIECE, at) != PIECE)
			return -1;
	return (double)(bench_now() - start) / m->mib;
}

static int image_make(const char *dir, unsigned number, unsigned mib)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/resync-%u", dir, number);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unlink(path);
	return fd >= 0 && posix_fallocate(fd, 0, (off_t)mib * PIECE) == 0 ? fd : -1;
}

void bench_resync(const struct bench *b, const char *dir)
{
	unsigned mib = b->quick ? SIZE_MIB_QUICK : SIZE_MIB;
	struct mirror m = {.fd = {image_make(dir, 0, mib + META_MIB), image_make(dir, 1, mib + META_MIB)}, .mib = mib,
			   .buf = aligned_alloc(BLOCK, PIECE), .word = calloc(mib, PIECE / BLOCK * sizeof(*m.word))};
	struct mirror copied = {.fd = {image_make(dir, 2, mib), image_make(dir, 3, mib)}, .mib = mib, .buf = m.buf};
	struct area *area = m.buf && m.word ? mirror_open(&m, true, true) : NULL;

	if (area) {
		memset(m.buf, 'x', PIECE);
		area_close(area);
		bench_compare(b, &(struct bench_case){b->quick ? "resync of 128 MiB, a MiB" : "resync of 1 GiB, a MiB", resync_measure, &m,
						      "copy", copy_measure, &copied, 0, NULL});
	}
	free(m.buf);
	free(m.word);
	for (unsigned i = 0; i < 2; i++) {
		close(m.fd[i]);
		close(copied.fd[i]);
	}
}
