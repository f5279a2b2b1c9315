/* SPDX-License-Identifier: Apache-2.0 */
/* What tenants do to be compared: work on cached files. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/tenant.h"

enum { FILE_SIZE = 8 << 20, PIECE = 4096, FILES = 64 };

static char buffer[PIECE];
static int file;

static void mixed_prepare(void)
{
	char name[32];

	file = open("file", O_RDWR | O_CREAT, 0600);
	tenant_must(file >= 0, "file");
	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		tenant_must(pwrite(file, buffer, PIECE, at) == PIECE, "file");
	fsync(file);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "small%d", i);
		close(open(name, O_RDWR | O_CREAT, 0600));
	}
}

static unsigned mixed_step(unsigned random)
{
	off_t at = (off_t)(random / 16 % (FILE_SIZE / PIECE)) * PIECE;
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

const struct tenant_job tenant_mixed = {"mixed", 256, mixed_prepare, mixed_step};
