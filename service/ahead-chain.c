/* SPDX-License-Identifier: Apache-2.0 */
#include "service/ahead-chain.h"

#include <pthread.h>
#include <string.h>

enum { LINKS = 4096, BELIEVED = 2, SURE = 3 };

static struct {
	uint64_t after;
	uint8_t times;
	char path[CHAIN_PATH];
} links[LINKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void chain_learn(uint64_t after, const char *path)
{
	typeof(links[0]) *link = &links[after % LINKS];
	const size_t size = strlen(path) + 1;

	if (!after || size > CHAIN_PATH || pthread_mutex_trylock(&lock))
		return;
	if (link->after == after && !memcmp(link->path, path, size)) {
		link->times += link->times < SURE;
	} else if (link->times > 1) {
		link->times--; /* what is believed is not forgotten at once */
	} else {
		link->after = after;
		link->times = 1;
		memcpy(link->path, path, size);
	}
	pthread_mutex_unlock(&lock);
}

bool chain_next(uint64_t after, char path[CHAIN_PATH])
{
	const typeof(links[0]) *link = &links[after % LINKS];
	bool believed;

	if (!after || pthread_mutex_trylock(&lock))
		return false;
	believed = link->after == after && link->times >= BELIEVED;
	if (believed)
		memcpy(path, link->path, CHAIN_PATH);
	pthread_mutex_unlock(&lock);
	return believed;
}
