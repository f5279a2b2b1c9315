/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/kv.h"
#include "bench/paper-jobs.h"

/* ---- RocksDB, 50/50 put and get, with its write-ahead log --------------------------------------------- */

enum { KEYS = 10000 };

static struct kv *store;

static void rocksdb_prepare(void)
{
	tenant_must(kv_rocksdb.open != NULL, "RocksDB");
	store = kv_rocksdb.open("store");
	kv_fill(&kv_rocksdb, store, KEYS);
}

static unsigned rocksdb_step(unsigned random)
{
	unsigned kind = random % 2;

	(kind ? kv_get : kv_put)(&kv_rocksdb, store, random / 2 % KEYS);
	return kind;
}

const struct tenant_job paper_rocksdb = {"rocksdb", 1024, rocksdb_prepare, rocksdb_step};

/* ---- breadth first through a graph, as in the GAP suite ------------------------------------------------ */

enum { NODES = 1 << 17, DEGREE = 16, PIECE = 1 << 20 };

static void bfs_prepare(void)
{
	static uint32_t edges[PIECE / sizeof(uint32_t)];
	int fd = open("graph", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	unsigned random = 1;

	tenant_must(fd >= 0, "graph");
	for (size_t done = 0; done < NODES * DEGREE * sizeof(uint32_t); done += PIECE) {
		for (size_t i = 0; i < PIECE / sizeof(uint32_t); i++)
			edges[i] = (random = random * 1103515245u + 12345u) >> 8 & (NODES - 1);
		tenant_must(write(fd, edges, PIECE) == PIECE, "graph");
	}
	close(fd);
}

static uint32_t *graph_read(void)
{
	size_t size = NODES * DEGREE * sizeof(uint32_t);
	char *edges = malloc(size);
	int fd = open("graph", O_RDONLY);

	tenant_must(edges && fd >= 0, "graph");
	for (size_t done = 0; done < size; done += PIECE)
		tenant_must(read(fd, edges + done, PIECE) == PIECE, "graph");
	close(fd);
	return (uint32_t *)edges;
}

/* How many nodes can be reached. */
static unsigned graph_walk(const uint32_t *edges, uint32_t source)
{
	uint32_t *queue = malloc(NODES * sizeof(*queue));
	bool *seen = calloc(NODES, sizeof(*seen));
	unsigned head = 0, tail = 0;

	tenant_must(queue && seen, "memory");
	queue[tail++] = source;
	seen[source] = true;
	while (head < tail) {
		const uint32_t *next = &edges[(size_t)queue[head++] * DEGREE];
		for (unsigned i = 0; i < DEGREE; i++)
			if (!seen[next[i]]) {
				seen[next[i]] = true;
				queue[tail++] = next[i];
			}
	}
	free(queue);
	free(seen);
	return tail;
}

static unsigned bfs_step(unsigned random)
{
	uint32_t *edges = graph_read();

	tenant_must(graph_walk(edges, random % NODES) > NODES / 2, "the graph is not whole");
	free(edges);
	return 0;
}

const struct tenant_job paper_bfs = {"bfs", 256, bfs_prepare, bfs_step};

/* ---- the difference of two versions of a source tree ---------------------------------------------------- */

enum { DIRECTORIES = 20, FILES = 50 };

static void source_write(const char *path, unsigned number, bool changed)
{
	FILE *out = fopen(path, "w");

	tenant_must(out != NULL, path);
	for (unsigned i = 0; i < 20 + number * 13 % 300; i++)
		fprintf(out, "int f%u_%u(int x) { return x + %u; }\n", number, i, changed && i == 10 ? 0 : i);
	tenant_must(fclose(out) == 0, path);
}

static void tree_make(const char *tree, bool newer)
{
	char path[64];

	tenant_must(mkdir(tree, 0755) == 0, tree);
	for (unsigned d = 0; d < DIRECTORIES; d++) {
		snprintf(path, sizeof(path), "%s/d%u", tree, d);
		tenant_must(mkdir(path, 0755) == 0, path);
		for (unsigned f = 0; f < FILES; f++) {
			snprintf(path, sizeof(path), "%s/d%u/f%u.c", tree, d, f);
			source_write(path, d * FILES + f, newer && f % 25 == 0);
		}
	}
}

static void diff_prepare(void)
{
	tree_make("old", false);
	tree_make("new", true);
}

static unsigned diff_step(unsigned random)
{
	int status = system("diff -r old new >/dev/null");

	(void)random;
	tenant_must(WIFEXITED(status) && WEXITSTATUS(status) == 1, "diff");
	return 0;
}

const struct tenant_job paper_diff = {"diff", 256, diff_prepare, diff_step};
