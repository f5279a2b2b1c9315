/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cached operations cost at our doors, and on others' file systems: bench-cached [--json] [--quick] [PART...]
 *
 *   doors    the same program runs in a pool with the preload library, in one through FUSE, on tmpfs, on ext4 and
 *            btrfs (loop devices) and where they are there on fuse-overlayfs and libfuse's passthrough_hp and
 *            passthrough_ll
 *   message  reads from shared memory, and the same with a message each: of a directory that others may change, which
 *            is not shared
 *
 * All wait for orders, and measure each case by turns, so that whatever else the machine does meets all alike. Prints
 * the medians, and the median of the ratios of ours to theirs, round by round. Times are ns an operation. Needs root.
 */
#include <string.h>

#include "bench/cached.h"
#include "bench/door.h"

static const struct cached_place places[] = {
	{"preload", "exec \"$POLYTROPON\" run --mem --at /bench -- \"$BENCH\" --worker /bench", true},
	{"fuse", "exec env POLYTROPON_MODE=off \"$POLYTROPON\" run --mem --at /bench -- \"$BENCH\" --worker /bench", true},
	{"tmpfs", "mkdir t && mount -t tmpfs tmpfs t && exec \"$BENCH\" --worker t", false},
	{"ext4", "mkdir e && truncate -s 512M e.img && mkfs.ext4 -q e.img && mount -o loop e.img e && "
		 "exec \"$BENCH\" --worker e", false},
	{"btrfs", "mkdir b && truncate -s 512M b.img && mkfs.btrfs -q b.img >&2 && mount -o loop b.img b && "
		  "exec \"$BENCH\" --worker b", false},
	{"fuse-overlayfs", "command -v fuse-overlayfs >/dev/null && mkdir -p o.l o.u o.w o && "
			   "fuse-overlayfs -o lowerdir=o.l,upperdir=o.u,workdir=o.w o && exec \"$BENCH\" --worker o", false},
	{"passthrough_hp", "command -v passthrough_hp >/dev/null && mkdir p.source p && passthrough_hp p.source p && "
			   "exec \"$BENCH\" --worker p", false},
	{"passthrough_ll", "command -v passthrough_ll >/dev/null && mkdir -p l.source l && mount -t tmpfs tmpfs l.source && "
			   "passthrough_ll -o source=\"$PWD/l.source\" -o cache=always l && exec \"$BENCH\" --worker l", false},
};

static const struct cached_place messages[] = {
	{"preload", "exec \"$POLYTROPON\" run --mem --at /bench -- \"$BENCH\" --worker /bench", true},
	{"a message", "mkdir m && mount -t tmpfs tmpfs m && "
		      "exec \"$POLYTROPON\" run --host m --at /bench -- \"$BENCH\" --worker /bench", false},
};

static bool reads(const struct cached_case *c)
{
	return c->reads;
}

int main(int argc, char **argv)
{
	static const char *const parts[] = {"doors", "message", NULL};
	struct bench b;

	if (argc == 3 && !strcmp(argv[1], "--worker"))
		return cached_worker(argv[2]);
	bench_begin(&b, "cached", parts, argv);
	place_begin("cached", "/tmp");
	if (bench_wants(&b, "doors"))
		cached_compare(&b, places, sizeof(places) / sizeof(places[0]), NULL);
	if (bench_wants(&b, "message"))
		cached_compare(&b, messages, sizeof(messages) / sizeof(messages[0]), reads);
	return place_end();
}
