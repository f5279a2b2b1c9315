# SPDX-License-Identifier: Apache-2.0
# In a container, behind its filter, programs of glibc and of musl reach what they share with the pool through the
# preload door: with an empty environment, too, where the loader reads /etc/ld.so.preload.
mkdir -p store tree/bin tree/lib64 tree/lib/x86_64-linux-gnu tree/etc tree/proc tree/dev tree/sys tree/run tree/tmp tree/data
cp /bin/cat /bin/dash tree/bin/
ln -s dash tree/bin/sh
cp -L /lib64/ld-linux-x86-64.so.2 tree/lib64/
cp -L /lib/x86_64-linux-gnu/libc.so.6 tree/lib/x86_64-linux-gnu/
cp -L /lib/ld-musl-x86_64.so.1 tree/lib/
cat > read.c <<'EOF'
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char buf[100];
	int fd = open(argv[1], O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf));
	return n > 0 && write(1, buf, n) == n ? 0 : 1;
}
EOF
musl-gcc -o tree/bin/read-musl read.c
cat > pools.yaml <<EOF
pools:
  fast:
    roots: {host: {path: $work/store}}
    mounts: {/data: {mem: {size: 16M}}}
EOF
"$polytropon" up pools.yaml
"$polytropon" image import tree tree > /dev/null
"$polytropon" exec fast -- sh -c 'echo shared > /data/f'
requests() { "$polytropon" stats fast --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["doors"]["preload"]["requests"])'; }
run() { "$polytropon" run --root tree --volume /data:/data "$@"; }
through_preload() {
  local before
  before=$(requests)
  same shared "$@"
  [ "$(requests)" -gt "$before" ] || fail "not through the preload door: $*"
}
through_preload run fast -- cat /data/f
through_preload run fast -- read-musl /data/f
cp /usr/bin/env tree/bin/
"$polytropon" image import tree2 tree > /dev/null
through_preload "$polytropon" run --root tree2 --volume /data:/data fast -- env -i /bin/cat /data/f
# musl reads no such file: the same bytes, by FUSE.
same shared "$polytropon" run --root tree2 --volume /data:/data fast -- env -i /bin/read-musl /data/f
