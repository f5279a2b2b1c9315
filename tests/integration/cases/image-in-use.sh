# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# An image has one user: others are told which pool has it, while its service lives, dies and is started again.
wrong() { # STATUS COMMAND...
  local wanted=$1 status=0
  shift
  "$@" >out 2>err || status=$?
  [ $status = "$wanted" ] || fail "status $status: $*: $(cat err)"
  grep -q "disk.img' is in use by pool 'keeper'" err || fail "$(cat err): $*"
}
cat >pools.yaml <<YAML
pools:
  keeper:
    mounts: {/data: {volume: {image: $work/disk.img, size: 64M}}}
YAML
sed 's/keeper/other/' pools.yaml >other.yaml
"$polytropon" up pools.yaml
all() {
  wrong 125 "$polytropon" run --image disk.img --at /data -- true
  wrong 125 "$polytropon" up other.yaml
  wrong 8 "$polytropon" fsck -n disk.img
  wrong 8 "$polytropon" fsck -y disk.img
  wrong 125 "$polytropon" mkfs --force disk.img
  wrong 125 "$polytropon" dump --image disk.img
}
all
kill -9 "$("$polytropon" ps | awk '$1 == "keeper" { print $3 }')"
all
"$polytropon" run keeper -- sh -c 'echo alive > /data/f'
all
"$polytropon" down
"$polytropon" fsck -n disk.img
same alive "$polytropon" run --image disk.img --at /data -- cat /data/f

# The same image twice in one file.
cat >twice.yaml <<YAML
pools:
  one: {mounts: {/data: {volume: {image: $work/disk.img}}}}
  two:
    mounts:
      /data: {volume: {image: $work/./disk.img}}
YAML
expect 2 "$polytropon" up twice.yaml 2>err
grep -q "^twice.yaml:5: image .* of pool 'two' is one of pool 'one' already" err || fail "$(cat err)"

# Pools that are there do not lose it to one that fails.
"$polytropon" up pools.yaml
expect 125 "$polytropon" up other.yaml 2>err
same alive "$polytropon" run keeper -- cat /data/f
