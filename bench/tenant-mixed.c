/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tenants do to be compared: work on cached files. `mixed` is one operation on 8 MiB. `serving` is what a server does
 * for one question: 16 operations, on 512 KiB, which fit a core's own cache. What cores share in hardware, they share
 * whatever the file system: with 8 MiB, which lie in the L3 cache, p99 beside a neighbour that writes is 1.3 to 1.6 times
 * as long, and that of plain copies within 8 MiB of memory 1.2 to 2.6 times.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/tenant.h"

enum { MIXED_SIZE = 8 << 20, SERVING_SIZE = 512 << 10, PIECE = 4096, FILES = 64, SERVING_OPERATIONS = 16 };

static char buffer[PIECE];
static int file;
static off_t file_size;

static void prepare(off_t size)
{
	char name[32];

	file = open("file", O_RDWR | O_CREAT, 0600);
	tenant_must(file >= 0, "file");
	file_size = size;
	for (off_t at = 0; at < size; at += PIECE)
		tenant_must(pwrite(file, buffer, PIECE, at) == PIECE, "file");
	fsync(file);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "small%d", i);
		close(open(name, O_RDWR | O_CREAT, 0600));
	}
}

static void mixed_prepare(void)
{
	prepare(MIXED_SIZE);
}

static void serving_prepare(void)
{
	prepare(SERVING_SIZE);
}

static unsigned mixed_step(unsigned random)
{
	off_t at = (off_t)(random / 16 % (unsigned)(file_size / PIECE)) * PIECE;
	char name[32];
	struct stat st;

	switch (random % 10) {
	case 0:
		tenant_must(pwrite(file, buffer, PIECE, at) == PIECE, "write");
		break;
	case 1:
	case 2:
		snprintf(name, sizeof(name), "small%u", random / 16 % FILES);
		tenant_must(stat(name, &st) == 0, name);
		break;
	default:
		tenant_must(pread(file, buffer, PIECE, at) == PIECE, "read");
	}
	return 0;
}

static unsigned serving_step(unsigned random)
{
	for (int i = 0; i < SERVING_OPERATIONS; i++) {
		mixed_step(random);
		random = random * 1103515245u + 12345u;
		random = random >> 16 | random << 16;
	}
	return 0;
}

const struct tenant_job tenant_mixed = {"mixed", 256, mixed_prepare, mixed_step};
const struct tenant_job tenant_serving = {"serving", 256, serving_prepare, serving_step};
