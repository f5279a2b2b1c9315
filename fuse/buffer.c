/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for what is read, of all doors together. Each container has threads of its own, most of which sleep: so a buffer is
 * had for the length of a message, not of a thread, and there are about as many as are in use at once. A few are kept, for
 * new ones cost the kernel's work of clearing their pages.
 */
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#include "fuse/buffer.h"
#include "fuse/door-internal.h"

enum { KEPT = 8 };

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static char *kept[KEPT];
static unsigned kept_count;

char *door_buffer_take(void)
{
	char *buffer = NULL;

	pthread_mutex_lock(&kept_lock);
	if (kept_count > 0)
		buffer = kept[--kept_count];
	pthread_mutex_unlock(&kept_lock);
	if (buffer)
		return buffer;
	buffer = mmap(NULL, DOOR_MAX_IO, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return buffer == MAP_FAILED ? NULL : buffer;
}

void door_buffer_give(char *buffer)
{
	bool keep = false;

	if (!buffer)
		return;
	pthread_mutex_lock(&kept_lock);
	keep = kept_count < KEPT;
	if (keep)
		kept[kept_count++] = buffer;
	pthread_mutex_unlock(&kept_lock);
	if (!keep)
		munmap(buffer, DOOR_MAX_IO);
}
