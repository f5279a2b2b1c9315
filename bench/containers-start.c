/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a container takes to start and end, from an image of 100 layers: in a pool, and with crun on an overlay that
 * the kernel makes of the same layers. One at a time, and 100 (quick: 20) at once. ns in all.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/containers.h"

enum { ROUNDS = 7, ROUNDS_QUICK = 3 };

/* Layers as directories, for the overlay, and as an image in the form of docker's archives; and a pool. */
static const char make[] =
	"mkdir -p l a k run && for i in $(seq 0 99); do mkdir -p l/$i/etc && echo $i >l/$i/etc/f$i || exit 1; done; "
	"mkdir l/0/bin l/0/proc l/0/sys l/0/dev l/0/tmp && cp \"$(command -v busybox)\" l/0/bin/busybox && "
	"ln -s busybox l/0/bin/true && ln -s busybox l/0/bin/sh || exit 1; "
	"for i in $(seq 0 99); do tar -C l/$i -cf a/$i.tar . && "
	"ids=$ids,\\\"sha256:$(sha256sum <a/$i.tar | cut -d' ' -f1)\\\" && layers=$layers,\\\"$i.tar\\\" && "
	"lower=l/$i${lower:+:$lower} || exit 1; done; "
	"printf '{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/true\"],\"Env\":[\"PATH=/bin\"]},"
	"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}' \"${ids#,}\" >a/config.json && "
	"printf '[{\"Config\":\"config.json\",\"RepoTags\":[\"many:1\"],\"Layers\":[%s]}]' \"${layers#,}\" >a/manifest.json && "
	"tar -C a -cf many.tar . && echo \"$lower\" >lower && "
	"printf 'pools: {start: {cache: {size: 256M}, roots: {volume: {image: %s/store.img, size: 1G}}}}' \"$PWD\" >start.yaml && "
	"\"$POLYTROPON\" up start.yaml >/dev/null && \"$POLYTROPON\" image import many many.tar >/dev/null";

/* It knows either version of cgroups, and refuses a host that has both; the mounts are this benchmark's own. */
static const char peer_make[] =
	"command -v crun >/dev/null && for m in $(findmnt -rn -t cgroup2 -o TARGET); do umount -l $m; done; "
	"command -v crun >/dev/null";

struct starter {
	const char *command; /* of a shell: $N is a number of its own */
	unsigned count;
};

static const char ours_start[] = "\"$POLYTROPON\" run --root many start -- /bin/true";
static const char peer_start[] =
	"mkdir -p k/$N/u k/$N/w k/$N/m k/$N/b && "
	"mount -t overlay o -o \"lowerdir=$(cat lower),upperdir=k/$N/u,workdir=k/$N/w\" k/$N/m && "
	"(cd k/$N/b && crun spec && sed -i 's/\"terminal\": true/\"terminal\": false/; s|\"path\": \"rootfs\"|\"path\": \"../m\"|; "
	"s|\"sh\"|\"/bin/true\"|; s/\"readonly\": true/\"readonly\": false/' config.json && "
	"crun --cgroup-manager=disabled run bench-$$-$N); r=$?; umount k/$N/m && rm -rf k/$N && exit $r";

static double start_measure(void *arg)
{
	const struct starter *s = arg;
	char command[4096];
	int64_t start = bench_now();

	snprintf(command, sizeof(command),
		 "p=; for N in $(seq %u); do (%s) & p=\"$p $!\"; done; for i in $p; do wait $i || exit 1; done", s->count,
		 s->command);
	return system(command) == 0 ? (double)(bench_now() - start) : -1;
}

static void compare(const struct bench *b, const char *name, unsigned count)
{
	struct starter ours = {ours_start, count}, peer = {peer_start, count};
	int n = b->quick ? ROUNDS_QUICK : ROUNDS, good = 0;
	double o[ROUNDS], p[ROUNDS];

	start_measure(&ours); /* fetches into caches */
	start_measure(&peer);
	for (int i = 0; i < n; i++) {
		if (i & 1)
			p[good] = start_measure(&peer);
		o[good] = start_measure(&ours);
		if (!(i & 1))
			p[good] = start_measure(&peer);
		good += o[good] > 0 && p[good] > 0;
	}
	if (good)
		bench_report(b, &(struct bench_result){name, "crun, overlayfs", o, p, good, 0});
	else
		fprintf(stderr, "bench-containers: %s: they do not start here\n", name);
}

static void starts_compare(const struct bench *b)
{
	compare(b, "start of 100 layers", 1);
	if (b->quick)
		compare(b, "start of 100 layers, 20 at once", 20);
	else
		compare(b, "start of 100 layers, 100 at once", 100);
}

void containers_start(const struct bench *b)
{
	if (system(make) != 0)
		fprintf(stderr, "bench-containers: there is no image of 100 layers\n");
	else if (system(peer_make) != 0)
		bench_missing(b, "crun");
	else
		starts_compare(b);
	if (system("\"$POLYTROPON\" down start >/dev/null 2>&1") != 0)
		fprintf(stderr, "bench-containers: its pool does not end\n");
}
