/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containers' roots cost, ours and others': bench-containers [--json] [--quick] [PART...]
 *
 * A root is a writable branch over one that is only read: a Debian tree (what this machine has of Debian's own required
 * packages) and a file of 2 GiB. All of it, and every writable branch, is on one ext4 (a loop device): for the others in
 * directories, for us in volumes. The same program runs in a pool with the preload library, in one through FUSE, on the
 * kernel's overlayfs, and where they are installed on fuse-overlayfs and unionfs-fuse, by turns.
 *
 *   append   a file of 2 GiB is opened, 1 MiB is appended, and it is closed: the first time on a fresh root. ns in all
 *   find     all names of the tree, with their attributes, when they were found once. ns a name
 *   cat      all bytes of its files, when they were read once. ns a file
 *   idle     what idle containers and pools need (containers-idle.c). bytes, and percent of a core
 *   start    a container of 100 layers starts and ends (containers-start.c). ns in all
 *
 * Prints the medians, and the median of the ratios of ours to theirs, round by round. Needs root.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/containers.h"
#include "bench/door.h"

enum { KINDS = 5, OURS = 2, CASES = 3, ROUNDS = 7, ROUNDS_QUICK = 3, APPEND = 1 << 20, BUFFER = 1 << 17 };

static const char *const cases[] = {"append", "find", "cat", "start", "idle", NULL}; /* and parts of their own */

struct kind {
	const char *name, *make, *run, *unmake; /* of a shell; $BENCH $CASE is to be run on the root */
	bool here;
	double ns[CASES][ROUNDS];
};

#define POOL                                                                                                              \
	"mkdir -p run && printf 'pools: {b: {cache: {size: 1G}, mounts: {/bench: {union: {below: [{volume: {image: %s/u.img, " \
	"size: 4G}}, {volume: {image: %s/base.img}}]}}}}}' \"$PWD\" \"$PWD\" >b.yaml && "                              \
	"\"$POLYTROPON\" up b.yaml >/dev/null"
#define POOL_END "\"$POLYTROPON\" down >/dev/null; rm -f u.img"

static struct kind kinds[KINDS] = {
	{"preload", POOL, "exec \"$POLYTROPON\" run b -- \"$BENCH\" --worker $CASE /bench", POOL_END},
	{"fuse", POOL, "exec env POLYTROPON_MODE=off \"$POLYTROPON\" run b -- \"$BENCH\" --worker $CASE /bench", POOL_END},
	{"overlayfs", "mkdir u w m && mount -t overlay o -o lowerdir=base,upperdir=u,workdir=w m",
	 "exec \"$BENCH\" --worker $CASE m", "umount m; rm -rf u w m"},
	{"fuse-overlayfs",
	 "command -v fuse-overlayfs >/dev/null && mkdir u w m && fuse-overlayfs -o lowerdir=base,upperdir=u,workdir=w m",
	 "exec \"$BENCH\" --worker $CASE m", "umount m; rm -rf u w m"},
	{"unionfs-fuse", "command -v unionfs-fuse >/dev/null && mkdir u m && unionfs-fuse -o cow \"$PWD/u=RW:$PWD/base=RO\" m",
	 "exec \"$BENCH\" --worker $CASE m", "umount m; rm -rf u m"},
};

/* ---- a worker --------------------------------------------------------------------------------- */

static char buffer[APPEND];

static void read_all(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	while (fd >= 0 && read(fd, buffer, BUFFER) > 0)
		;
	close(fd);
}

/* What there is below: names, or with `bytes` files, all of which is read. Takes the directory over. */
static unsigned tree_walk(int fd, bool bytes)
{
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	unsigned n = 0;
	struct stat st;

	while (dir && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!bytes)
			fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW);
		if (bytes && e->d_type == DT_REG)
			read_all(dirfd(dir), e->d_name);
		n += !bytes || e->d_type == DT_REG;
		if (e->d_type == DT_DIR)
			n += tree_walk(openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), bytes);
	}
	if (dir)
		closedir(dir);
	return n;
}

static double walk_twice(bool bytes)
{
	int64_t start;
	unsigned n;

	tree_walk(open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC), bytes);
	start = bench_now();
	n = tree_walk(open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC), bytes);
	return n ? (double)(bench_now() - start) / n : -1;
}

static double append_once(void)
{
	int64_t start = bench_now();
	int fd = open("large", O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, buffer, APPEND) != APPEND || close(fd) < 0)
		return -1;
	return bench_now() - start;
}

static int worker(const char *what, const char *dir)
{
	double ns;

	if (chdir(dir) < 0)
		return 1;
	ns = !strcmp(what, "append") ? append_once() : walk_twice(!strcmp(what, "cat"));
	printf("%.1f\n", ns);
	return ns < 0;
}

/* ---- kinds of roots --------------------------------------------------------------------------- */

static bool shell(const char *command)
{
	return system(command) == 0;
}

static double measure(struct kind *k, const char *what)
{
	char line[64] = "";
	double ns = -1;
	FILE *out;

	setenv("CASE", what, 1);
	if (!shell(k->make)) {
		shell(k->unmake);
		return -1;
	}
	out = popen(k->run, "re");
	if (out && fgets(line, sizeof(line), out))
		ns = atof(line);
	if (out)
		pclose(out);
	return shell(k->unmake) ? ns : -1;
}

static void report(const struct bench *b, unsigned c, const struct kind *ours, const struct kind *peer, int n)
{
	char name[64];

	snprintf(name, sizeof(name), "%s, %s", cases[c], ours->name);
	bench_report(b, &(struct bench_result){name, peer->name, ours->ns[c], peer->ns[c], n, 0});
}

static void case_measure(const struct bench *b, unsigned c, int rounds)
{
	for (unsigned k = 0; k < KINDS; k++)
		kinds[k].here = true;
	for (int i = 0; i < rounds; i++)
		for (unsigned k = 0; k < KINDS; k++)
			if (kinds[k].here) {
				kinds[k].ns[c][i] = measure(&kinds[k], cases[c]);
				kinds[k].here = kinds[k].ns[c][i] > 0;
			}
	for (unsigned k = 0; k < KINDS; k++)
		if (!kinds[k].here)
			bench_missing(b, kinds[k].name);
	for (unsigned ours = 0; ours < OURS; ours++)
		for (unsigned k = OURS; k < KINDS; k++)
			if (kinds[ours].here && kinds[k].here)
				report(b, c, &kinds[ours], &kinds[k], rounds);
}

/* ---- the place -------------------------------------------------------------------------------- */

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench-containers: %s\n", what);
	exit(1);
}

/* The file of 2 GiB is for those who append, the tree for the others. */
static void base_make(const struct bench *b)
{
	static const char file[] =
		"dd if=/dev/urandom of=base/large bs=1M count=$LARGE status=none && cat base/large >/dev/null";
	static const char tree[] =
		"dpkg-query -W -f '${Priority} ${Package}\\n' | sed -n 's/^required //p' | "
		"xargs dpkg -L | sort -u | while read -r f; do [ -f \"$f\" ] && echo \"$f\"; done | "
		"tar -cf - -T - 2>/dev/null | tar -xf - -C base/tree";
	static const char volume[] =
		"mkdir run && printf 'pools: {b: {mounts: {/bench: {volume: {image: %s/base.img, size: 4G}}}}}' \"$PWD\" >b.yaml && "
		"\"$POLYTROPON\" up b.yaml >/dev/null && \"$POLYTROPON\" run b -- cp -a base/. /bench/ && "
		"\"$POLYTROPON\" down >/dev/null";
	bool appends = bench_wants(b, "append"), walks = bench_wants(b, "find") || bench_wants(b, "cat");

	setenv("LARGE", b->quick ? "64" : "2048", 1);
	must(shell("truncate -s 12G e.img && mkfs.ext4 -q e.img && mkdir e && mount -o loop e.img e"), "no ext4");
	must(chdir("e") == 0 && shell("mkdir -p base/tree"), "no tree to work on");
	must(!appends || shell(file), "no file to work on");
	must(!walks || shell(tree), "no tree to work on");
	must((!appends && !walks) || shell(volume), "no volume to work on");
}

int main(int argc, char **argv)
{
	char run[128];
	struct bench b;

	if (argc == 4 && !strcmp(argv[1], "--worker"))
		return worker(argv[2], argv[3]);
	bench_begin(&b, "containers", cases, argv);
	place_begin("containers", "/var/tmp");
	snprintf(run, sizeof(run), "%s/e/run", place_name());
	setenv("POLYTROPON_RUN", run, 1);
	base_make(&b);
	for (unsigned c = 0; c < CASES; c++)
		if (bench_wants(&b, cases[c]))
			case_measure(&b, c, b.quick ? ROUNDS_QUICK : ROUNDS);
	if (bench_wants(&b, "start"))
		containers_start(&b);
	if (bench_wants(&b, "idle"))
		containers_rest(&b);
	return place_end();
}
