/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On one cluster, by turns (compare.h): bench-ceph [MONITORS NAME KEYRING PATH] [--json] [--quick] [PART...], the words for
 * example of scripts/ceph-dev.sh tenant.
 *
 *   layer    what the layer `ceph` costs over libcephfs: the same calls made directly and by way of the layer, which hands
 *            each to a helper so that its caller need not wait for ever. The client caches are set up alike
 *   clients  threads on the layer when it is several clients of the cluster, against one
 *   doors    cached operations in a pool with the preload library, in one through FUSE, and on ceph-fuse
 *
 * Without words it takes them from ceph_monitors, ceph_name, ceph_keyring and ceph_path; without these there is no cluster.
 */
#include <cephfs/libcephfs.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cached.h"
#include "bench/ceph.h"
#include "bench/compare.h"
#include "bench/door.h"
#include "libservices/libservice.h"

enum { PAGE = 4096, PIECE = 1 << 20, FILE_SIZE = 64 << 20, PAGES = FILE_SIZE / PAGE };

struct side {
	/* One of both: */
	struct ls *ls;
	struct ceph_mount_info *mount;
	UserPerm *perm;

	struct ls_inode *inode;
	struct ls_file *file;
	Inode *in;
	Fh *fh;
	unsigned count, seed;
	char *buf;
};

static const struct ls_cred root;
static const struct ls_call call = {.tenant = "bench", .cred = &root};

static void must(int64_t r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench-ceph: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void side_read(struct side *s, size_t size, off_t offset)
{
	struct iovec iov = {s->buf, size};

	if (s->ls)
		must(ls_read(s->ls, &call, s->file, &iov, 1, offset), "read");
	else
		must(ceph_ll_read(s->mount, s->fh, offset, size, s->buf), "read");
}

static void side_write(struct side *s, size_t size, off_t offset)
{
	struct iovec iov = {s->buf, size};
	off_t end;

	if (s->ls)
		must(ls_write(s->ls, &call, s->file, &iov, 1, offset, 0, &end), "write");
	else
		must(ceph_ll_write(s->mount, s->fh, offset, size, s->buf), "write");
}

static void side_sync(struct side *s)
{
	must(s->ls ? ls_fsync(s->ls, &call, s->file, 1) : ceph_ll_fsync(s->mount, s->fh, 1), "fsync");
}

static off_t anywhere(struct side *s)
{
	s->seed = s->seed * 1103515245 + 12345;
	return (off_t)(s->seed >> 8) % PAGES * PAGE;
}

/* ---- workloads: ns for one ------------------------------------------------------------------------ */

static double read_page(void *arg)
{
	struct side *s = arg;
	int64_t start = bench_now();

	for (unsigned i = 0; i < s->count; i++)
		side_read(s, PAGE, anywhere(s));
	return (double)(bench_now() - start) / s->count;
}

static double write_sync(void *arg)
{
	struct side *s = arg;
	int64_t start = bench_now();

	for (unsigned i = 0; i < s->count; i++) {
		side_write(s, PAGE, anywhere(s));
		side_sync(s);
	}
	return (double)(bench_now() - start) / s->count;
}

static double stat_file(void *arg)
{
	struct side *s = arg;
	struct ceph_statx stx;
	struct ls_attr attr;
	int64_t start = bench_now();

	for (unsigned i = 0; i < s->count; i++)
		must(s->ls ? ls_getattr(s->ls, &call, s->inode, NULL, &attr)
			   : ceph_ll_getattr(s->mount, s->in, &stx, CEPH_STATX_ALL_STATS, 0, s->perm),
		     "getattr");
	return (double)(bench_now() - start) / s->count;
}

static double stream_out(void *arg)
{
	struct side *s = arg;
	int64_t start = bench_now();

	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		side_write(s, PIECE, at);
	side_sync(s);
	return (double)(bench_now() - start) / (FILE_SIZE / PIECE);
}

static double stream_in(void *arg)
{
	struct side *s = arg;
	int64_t start = bench_now();

	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		side_read(s, PIECE, at);
	return (double)(bench_now() - start) / (FILE_SIZE / PIECE);
}

/* ---- the two sides -------------------------------------------------------------------------------- */

static const char *monitors, *name, *keyring, *path;

static void ours_open(struct side *s, bool cached)
{
	struct json_object *stack;
	char error[512] = "", text[2048];
	struct ls_attr attr;

	snprintf(text, sizeof(text),
		 "{\"ceph\": {\"monitors\": \"%s\", \"name\": \"%s\", \"keyring\": \"%s\", \"path\": \"%s\", \"cache_size\": \"%s\"}}",
		 monitors, name, keyring, path, cached ? "200M" : "0");
	stack = json_tokener_parse(text);
	if (ls_stack_open(stack, "bench", &s->ls, error, sizeof(error)) < 0) {
		fprintf(stderr, "bench-ceph: %s\n", error);
		exit(1);
	}
	json_object_put(stack);
	ls_unlink(s->ls, &call, s->ls->root, "bench-ours");
	must(ls_create(s->ls, &call, s->ls->root, "bench-ours", 0600, O_RDWR, &s->inode, &attr, &s->file), "create");
}

static void peer_open(struct side *s, bool cached)
{
	static const char *const settings[][2] = {
		{"client_oc_size", "209715200"},	  {"client_oc_max_dirty", "16777216"},
		{"client_oc_target_dirty", "8388608"},	  {"client_readahead_max_bytes", "4194304"},
		{"client_permissions", "false"},	  {"log_to_stderr", "false"}};
	struct ceph_statx stx;
	Inode *dir;

	must(ceph_create(&s->mount, strncmp(name, "client.", 7) ? name : name + 7), "create a client");
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		must(ceph_conf_set(s->mount, settings[i][0], settings[i][1]), settings[i][0]);
	must(ceph_conf_set(s->mount, "client_oc", cached ? "true" : "false"), "client_oc");
	must(ceph_conf_set(s->mount, "mon_host", monitors), "mon_host");
	must(ceph_conf_set(s->mount, "keyring", keyring), "keyring");
	must(ceph_mount(s->mount, path), "mount");
	s->perm = ceph_userperm_new(0, 0, 0, NULL);
	must(ceph_ll_walk(s->mount, "/", &dir, &stx, CEPH_STATX_INO, 0, s->perm), "root");
	ceph_ll_unlink(s->mount, dir, "bench-peer", s->perm);
	must(ceph_ll_create(s->mount, dir, "bench-peer", 0600, O_RDWR | O_CREAT, &s->in, &s->fh, &stx,
			    CEPH_STATX_ALL_STATS, 0, s->perm), "create");
	ceph_ll_put(s->mount, dir);
}

static void sides_close(struct side *ours, struct side *peer)
{
	ls_unlink(ours->ls, &call, ours->ls->root, "bench-ours");
	ls_release(ours->ls, &call, ours->file);
	ls_forget(ours->ls, &call, ours->inode, 1);
	ls_stack_close(ours->ls);
	ceph_unlink(peer->mount, "/bench-peer");
	ceph_ll_close(peer->mount, peer->fh);
	ceph_ll_put(peer->mount, peer->in);
	ceph_userperm_destroy(peer->perm);
	ceph_unmount(peer->mount);
	ceph_release(peer->mount);
}

static void compare(const struct bench *b, struct side *ours, struct side *peer, const char *what, bench_measure *fn,
		    unsigned count)
{
	ours->count = peer->count = count;
	bench_compare(b, &(struct bench_case){what, fn, ours, "libcephfs", fn, peer, 0});
}

static void layer_cached(const struct bench *b)
{
	struct side ours = {.buf = calloc(1, PIECE)}, peer = {.buf = calloc(1, PIECE)};

	ours_open(&ours, true);
	peer_open(&peer, true);
	stream_out(&ours);
	stream_out(&peer);
	compare(b, &ours, &peer, "4 KiB read, client's cache", read_page, 2000);
	compare(b, &ours, &peer, "getattr", stat_file, 2000);
	compare(b, &ours, &peer, "4 KiB write and fdatasync", write_sync, 50);
	compare(b, &ours, &peer, "write 64 MiB by 1 MiB, per MiB", stream_out, 1);
	sides_close(&ours, &peer);
	free(ours.buf);
	free(peer.buf);
}

static void layer_uncached(const struct bench *b)
{
	struct side ours = {.buf = calloc(1, PIECE)}, peer = {.buf = calloc(1, PIECE)};

	ours_open(&ours, false);
	peer_open(&peer, false);
	stream_out(&ours);
	stream_out(&peer);
	compare(b, &ours, &peer, "4 KiB read, uncached", read_page, 200);
	compare(b, &ours, &peer, "read 64 MiB by 1 MiB, per MiB", stream_in, 1);
	sides_close(&ours, &peer);
	free(ours.buf);
	free(peer.buf);
}

/* ---- doors ---------------------------------------------------------------------------------- */

#define POOL(name)                                                                                                     \
	"printf 'pools: {" name ": {cache: {size: 256M}, mounts: {/bench: {ceph: {monitors: \"%s\", name: %s, keyring: "   \
	"%s, path: %s, exclusive: true}}}}}' \"$ceph_monitors\" \"$ceph_name\" \"$ceph_keyring\" \"$ceph_path\" >" name     \
	".yaml && mkdir -p run-" name " && export POLYTROPON_RUN=\"$PWD/run-" name "\" && "                                \
	"\"$POLYTROPON\" up " name ".yaml >&2 && "
#define WORK(name)                                                                                                     \
	"run " name " -- sh -c 'mkdir /bench/" name " && \"$BENCH\" --worker /bench/" name "; rm -rf /bench/" name "'; "

static const struct cached_place places[] = {
	{"preload", POOL("preload") "\"$POLYTROPON\" " WORK("preload") "\"$POLYTROPON\" down >&2", true},
	{"fuse", POOL("fuse") "POLYTROPON_MODE=off \"$POLYTROPON\" " WORK("fuse") "\"$POLYTROPON\" down >&2", true},
	{"ceph-fuse",
	 "command -v ceph-fuse >/dev/null && mkdir c && ceph-fuse -c /dev/null -m \"$ceph_monitors\" "
	 "-n \"client.${ceph_name#client.}\" -k \"$ceph_keyring\" -r \"$ceph_path\" --log-to-stderr=false c >&2 && mkdir c/k && { \"$BENCH\" --worker c/k; "
	 "rm -rf c/k; umount c; }", false},
};

static void doors_compare(const struct bench *b)
{
	setenv("ceph_monitors", monitors, 1);
	setenv("ceph_name", name, 1);
	setenv("ceph_keyring", keyring, 1);
	setenv("ceph_path", path, 1);
	place_begin("ceph", "/tmp");
	cached_compare(b, places, sizeof(places) / sizeof(places[0]), NULL);
	place_end();
}

int main(int argc, char **argv)
{
	static const char *const parts[] = {"layer", "clients", "doors", NULL};
	struct bench b;

	if (argc == 3 && !strcmp(argv[1], "--worker"))
		return cached_worker(argv[2]);

	monitors = getenv("ceph_monitors");
	name = getenv("ceph_name");
	keyring = getenv("ceph_keyring");
	path = getenv("ceph_path");
	if (argc >= 5 && argv[1][0] != '-' && argv[4][0] != '-') {
		monitors = argv[1];
		name = argv[2];
		keyring = argv[3];
		path = argv[4];
		argv += 4;
	}
	bench_begin(&b, "ceph", parts, argv);
	if (!monitors || !name || !keyring || !path) {
		bench_missing(&b, "cluster");
		return 77;
	}
	if (bench_wants(&b, "layer")) {
		layer_cached(&b);
		layer_uncached(&b);
	}
	if (bench_wants(&b, "clients"))
		ceph_clients_compare(&b, &(struct ceph_where){monitors, name, keyring, path});
	if (bench_wants(&b, "doors"))
		doors_compare(&b);
	return 0;
}
