/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cache gives back when the machine runs short of memory.
 *
 * A cache with a `floor` below its size may grow to the size, but only of memory that nobody else needs: the kernel cannot
 * take pages of a tmpfs back as it does those of its own cache. So while more than the floor is used, a thread looks at what
 * the machine has left, and as long as that is less than a sixteenth of it, the limit is what is used less what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/cache/cache.h"
#include "libservices/wait.h"

enum { SHORT_SHARE = 16, LOOK_MIN_MS = 100, LOOK_MAX_MS = 2000 };

const char *cache_meminfo = "/proc/meminfo";

static uint64_t kilobytes_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* How many bytes the machine is short of; 0, too, where it does not say. */
static uint64_t shortage(void)
{
	char text[512] = "";
	int fd = open(cache_meminfo, O_RDONLY | O_CLOEXEC);
	uint64_t least, available;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	least = kilobytes_after(text, "MemTotal:") / SHORT_SHARE;
	available = kilobytes_after(text, "MemAvailable:");
	return available < least ? (least - available) << 10 : 0;
}

/* Sets the limit. Returns how much more than that is used. */
static uint64_t look(struct budget *b)
{
	uint64_t size = __atomic_load_n(&b->size, __ATOMIC_RELAXED), floor = __atomic_load_n(&b->floor, __ATOMIC_RELAXED),
		 used = __atomic_load_n(&b->used, __ATOMIC_RELAXED), missing = floor < size ? shortage() : 0, limit = size;

	if (missing && used < size + missing)
		limit = used > floor + missing ? used - missing : floor;
	__atomic_store_n(&b->limit, limit, __ATOMIC_RELAXED);
	return used > limit ? used - limit : 0;
}

/* Often while what is used changes, seldom while it does not, and not at all below the floor. */
static void *run(void *budget)
{
	struct budget *b = budget;
	struct pressure *p = &b->pressure;
	uint64_t before = 0;
	unsigned ms = LOOK_MIN_MS;

	pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		uint64_t used = __atomic_load_n(&b->used, __ATOMIC_RELAXED), over = look(b);

		if (over)
			evict_some(b, over);
		ms = used != before || over ? LOOK_MIN_MS : ms < LOOK_MAX_MS / 2 ? 2 * ms : LOOK_MAX_MS;
		before = used;
		if (used > __atomic_load_n(&b->floor, __ATOMIC_RELAXED)) {
			ls_wait_until(&p->wake, &p->lock, ls_now() + ms * 1000000ll);
			continue;
		}
		__atomic_store_n(&p->looks, false, __ATOMIC_RELAXED);
		pthread_cond_wait(&p->wake, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void pressure_init(struct pressure *p)
{
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
}

void pressure_watch(struct budget *b)
{
	struct pressure *p = &b->pressure;

	pthread_mutex_lock(&p->lock);
	if (!p->runs && !p->ending)
		p->runs = pthread_create(&p->thread, NULL, run, b) == 0;
	__atomic_store_n(&p->looks, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

void pressure_fini(struct pressure *p)
{
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->runs)
		pthread_join(p->thread, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
}
