/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several clients of the cluster in one layer (`clients`) do together: threads, each on a file in a directory of its own. The
 * time of an operation is that of all threads, divided by what all have done: less is more throughput.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ceph.h"
#include "libservices/libservice.h"

enum { THREADS = 4, PAGE = 4096, PAGES = 1024 };

static const struct ls_cred root;
static const struct ls_call call = {.tenant = "bench", .cred = &root};

struct layer {
	struct ls *ls;
	struct ls_inode *dir[THREADS], *inode[THREADS];
	struct ls_file *file[THREADS];
	unsigned count;
	bool writes;
};

struct work {
	struct layer *layer;
	unsigned which;
};

static void must(int64_t r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench-ceph: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void *work(void *arg)
{
	struct work *w = arg;
	struct layer *l = w->layer;
	struct ls_file *file = l->file[w->which];
	char page[PAGE] = "";
	struct iovec iov = {page, PAGE};
	unsigned seed = w->which + 1;
	off_t end;

	for (unsigned i = 0; i < l->count; i++) {
		off_t at = (seed = seed * 1103515245 + 12345, (off_t)(seed >> 8) % PAGES * PAGE);
		if (!l->writes) {
			must(ls_read(l->ls, &call, file, &iov, 1, at), "read");
			continue;
		}
		must(ls_write(l->ls, &call, file, &iov, 1, at, 0, &end), "write");
		must(ls_fsync(l->ls, &call, file, 1), "fsync");
	}
	return NULL;
}

static double measure(void *arg)
{
	struct layer *l = arg;
	struct work works[THREADS];
	pthread_t thread[THREADS];
	int64_t start = bench_now();

	for (unsigned i = 0; i < THREADS; i++) {
		works[i] = (struct work){l, i};
		must(-pthread_create(&thread[i], NULL, work, &works[i]), "begin a thread");
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	return (double)(bench_now() - start) / l->count / THREADS;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static void name_of(char name[16], unsigned which)
{
	snprintf(name, 16, "bench-dir%u", which);
}

static void file_make(struct layer *l, unsigned i)
{
	char name[16], *data = calloc(PAGES, PAGE);
	struct iovec iov = {data, PAGES * PAGE};
	struct ls_attr attr;
	off_t end;

	name_of(name, i);
	if (ls_lookup(l->ls, &call, l->ls->root, name, &l->dir[i], &attr) < 0)
		must(ls_mkdir(l->ls, &call, l->ls->root, name, 0700, &l->dir[i], &attr), "mkdir");
	ls_unlink(l->ls, &call, l->dir[i], "file");
	must(ls_create(l->ls, &call, l->dir[i], "file", 0600, O_RDWR, &l->inode[i], &attr, &l->file[i]), "create");
	must(ls_write(l->ls, &call, l->file[i], &iov, 1, 0, 0, &end), "write");
	must(ls_fsync(l->ls, &call, l->file[i], 0), "fsync");
	free(data);
}

static void layer_open(struct layer *l, const struct ceph_where *w, unsigned clients, const char *cache)
{
	struct json_object *stack;
	char error[512] = "", text[2048];

	snprintf(text, sizeof(text),
		 "{\"ceph\": {\"monitors\": \"%s\", \"name\": \"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"cache_size\": \"%s\", "
		 "\"clients\": %u}}", w->monitors, w->name, w->keyring, w->path, cache, clients);
	stack = json_tokener_parse(text);
	if (ls_stack_open(stack, "bench", &l->ls, error, sizeof(error)) < 0) {
		fprintf(stderr, "bench-ceph: %s\n", error);
		exit(1);
	}
	json_object_put(stack);
	for (unsigned i = 0; i < THREADS; i++)
		file_make(l, i);
}

static void layer_close(struct layer *l)
{
	char name[16];

	for (unsigned i = 0; i < THREADS; i++) {
		ls_unlink(l->ls, &call, l->dir[i], "file");
		ls_release(l->ls, &call, l->file[i]);
		ls_forget(l->ls, &call, l->inode[i], 1);
		ls_forget(l->ls, &call, l->dir[i], 1);
		name_of(name, i);
		ls_rmdir(l->ls, &call, l->ls->root, name);
	}
	ls_stack_close(l->ls);
}

static double alone(const struct bench *b, const struct ceph_where *w, unsigned clients, const char *cache, bool writes,
		    unsigned count)
{
	struct layer l = {.count = count, .writes = writes};
	double times[3];
	int n = b->quick ? 1 : 3;

	layer_open(&l, w, clients, cache);
	measure(&l);
	for (int i = 0; i < n; i++)
		times[i] = measure(&l);
	layer_close(&l);
	return bench_median(times, n);
}

/* By turns; each layer is there alone when it is measured, as another's files would be taken from it. */
void ceph_clients_compare(const struct bench *b, const struct ceph_where *where)
{
	static const struct {
		const char *name, *cache;
		bool writes;
		unsigned count;
	} cases[] = {
		{"4 KiB read, uncached, 4 threads", "0", false, 1000},
		{"4 KiB read, client's cache, 4 threads", "64M", false, 10000},
		{"4 KiB write and fdatasync, 4 threads", "64M", true, 200},
	};
	enum { ROUNDS = 5, ROUNDS_QUICK = 1 };
	int rounds = b->quick ? ROUNDS_QUICK : ROUNDS;

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
		for (unsigned clients = 2; clients <= 4; clients *= 2) {
			double ours[ROUNDS], peer[ROUNDS];
			unsigned count = b->quick ? cases[k].count / 10 : cases[k].count;
			char name[96];

			for (int i = 0; i < rounds; i++) {
				ours[i] = alone(b, where, clients, cases[k].cache, cases[k].writes, count);
				peer[i] = alone(b, where, 1, cases[k].cache, cases[k].writes, count);
			}
			snprintf(name, sizeof(name), "%s, %u clients", cases[k].name, clients);
			bench_report(b, &(struct bench_result){name, "1 client", ours, peer, rounds, 0});
		}
}
