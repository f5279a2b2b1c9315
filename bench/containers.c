/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containers' roots cost, ours and others': bench-containers [--json] [--quick]
 *
 * A root is a writable branch over one that is only read: a Debian tree (what this machine has of Debian's own required
 * packages) and a file of 2 GiB. All of it, and every writable branch, is on one ext4 (a loop device). The same program
 * runs in a pool with the preload library, in one through FUSE, on the kernel's overlayfs, and where they are installed
 * on fuse-overlayfs and unionfs-fuse, by turns.
 *
 *   append   a file of 2 GiB is opened, 1 MiB is appended, and it is closed: the first time on a fresh root. ns in all
 *   find     all names of the tree, with their attributes, when they were found once. ns a name
 *   cat      all bytes of its files, when they were read once. ns a file
 *
 * Prints the medians, and the median of the ratios of ours to theirs, round by round. Needs root.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 5, OURS = 2, CASES = 3, ROUNDS = 7, ROUNDS_QUICK = 3, APPEND = 1 << 20, BUFFER = 1 << 17 };

static const char *const cases[CASES] = {"append", "find", "cat"};

struct kind {
	const char *name, *make, *run, *unmake; /* of a shell; $BENCH $CASE is to be run on the root */
	bool here;
	double ns[CASES][ROUNDS];
};

#define POOL                                                                                                              \
	"mkdir -p run u && printf 'pools: {b: {cache: {size: 1G}, mounts: {/bench: {union: {below: [{host: {path: %s/u, " \
	"exclusive: true}}, {host: {path: %s/base, exclusive: true}}]}}}}}' \"$PWD\" \"$PWD\" >b.yaml && "                \
	"\"$POLYTROPON\" up b.yaml >/dev/null"
#define POOL_END "\"$POLYTROPON\" down >/dev/null; rm -rf u"

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

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

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
	start = now();
	n = tree_walk(open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC), bytes);
	return n ? (double)(now() - start) / n : -1;
}

static double append_once(void)
{
	int64_t start = now();
	int fd = open("large", O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, buffer, APPEND) != APPEND || close(fd) < 0)
		return -1;
	return now() - start;
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

static double measure(struct kind *k, const char *what)
{
	char line[64] = "";
	double ns = -1;
	FILE *out;

	setenv("CASE", what, 1);
	if (system(k->make) != 0) {
		if (system(k->unmake) != 0)
			return -1;
		return -1;
	}
	out = popen(k->run, "re");
	if (out && fgets(line, sizeof(line), out))
		ns = atof(line);
	if (out)
		pclose(out);
	if (system(k->unmake) != 0)
		return -1;
	return ns;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, int n)
{
	double sorted[ROUNDS];

	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), by_value);
	return sorted[n / 2];
}

static void report(bool json, unsigned c, const struct kind *ours, const struct kind *peer, int n)
{
	double ratio[ROUNDS];

	for (int i = 0; i < n; i++)
		ratio[i] = ours->ns[c][i] / peer->ns[c][i];
	if (json)
		printf("{\"bench\":\"containers\",\"case\":\"%s, %s\",\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"%s\","
		       "\"ratio\":%.3f,\"n\":%d}\n",
		       cases[c], ours->name, median(ours->ns[c], n), median(peer->ns[c], n), peer->name, median(ratio, n), n);
	else
		printf("%-8s %-8s %14.1f   %-16s %14.1f   %7.3f\n", cases[c], ours->name, median(ours->ns[c], n), peer->name,
		       median(peer->ns[c], n), median(ratio, n));
	fflush(stdout);
}

static void case_measure(unsigned c, bool json, int rounds)
{
	for (unsigned k = 0; k < KINDS; k++)
		kinds[k].here = true;
	for (int i = 0; i < rounds; i++)
		for (unsigned k = 0; k < KINDS; k++)
			if (kinds[k].here) {
				kinds[k].ns[c][i] = measure(&kinds[k], cases[c]);
				kinds[k].here = kinds[k].ns[c][i] > 0;
			}
	for (unsigned ours = 0; ours < OURS; ours++)
		for (unsigned k = OURS; k < KINDS; k++)
			if (kinds[ours].here && kinds[k].here)
				report(json, c, &kinds[ours], &kinds[k], rounds);
}

/* ---- the place -------------------------------------------------------------------------------- */

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench-containers: %s\n", what);
	exit(1);
}

static void place_make(char *dir, bool quick)
{
	static const char tree[] =
		"mkdir base base/tree && dpkg-query -W -f '${Priority} ${Package}\\n' | sed -n 's/^required //p' | "
		"xargs dpkg -L | sort -u | while read -r f; do [ -f \"$f\" ] && echo \"$f\"; done | "
		"tar -cf - -T - 2>/dev/null | tar -xf - -C base/tree && "
		"dd if=/dev/urandom of=base/large bs=1M count=$LARGE status=none && cat base/large >/dev/null";

	must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "needs root");
	must(mkdtemp(dir) && chdir(dir) == 0, "no place to work in");
	setenv("LARGE", quick ? "256" : "2048", 1);
	must(system("truncate -s 12G e.img && mkfs.ext4 -q e.img && mkdir e && mount -o loop e.img e") == 0, "no ext4");
	must(chdir("e") == 0 && system(tree) == 0, "no tree to work on");
}

static void names_set(const char *dir)
{
	char self[4096], *engine = NULL, *run = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	must(n > 0, "/proc/self/exe");
	self[n] = 0;
	setenv("BENCH", self, 1);
	*strrchr(self, '/') = 0;
	if (asprintf(&engine, "%s/../engine/polytropon", self) > 0 && access(engine, X_OK) == 0)
		setenv("POLYTROPON", engine, 0);
	setenv("POLYTROPON", "polytropon", 0);
	if (asprintf(&run, "%s/e/run", dir) > 0)
		setenv("POLYTROPON_RUN", run, 1);
	free(engine);
	free(run);
}

int main(int argc, char **argv)
{
	char dir[] = "/var/tmp/bench-containers.XXXXXX", command[128];
	bool json = false, quick = false;

	if (argc == 4 && !strcmp(argv[1], "--worker"))
		return worker(argv[2], argv[3]);
	for (int i = 1; i < argc; i++) {
		json |= !strcmp(argv[i], "--json");
		quick |= !strcmp(argv[i], "--quick");
		if (strcmp(argv[i], "--json") && strcmp(argv[i], "--quick")) {
			fprintf(stderr, "usage: bench-containers [--json] [--quick]\n");
			return 2;
		}
	}
	place_make(dir, quick);
	names_set(dir);
	for (unsigned c = 0; c < CASES; c++)
		case_measure(c, json, quick ? ROUNDS_QUICK : ROUNDS);
	snprintf(command, sizeof(command), "cd / && umount -l %s/e; rm -rf %s", dir, dir);
	return system(command) != 0;
}
