# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# An operation whose storage does not answer within the pool's `timeout` ends with ETIMEDOUT, through both doors; live.
cat >pools.yaml <<'EOF'
pools:
  slow:
    timeout: 300ms
    cache: {size: 0}
    mounts:
      /data: {delay: {read: 1h, below: {mem: 64M}}}
EOF
"$polytropon" up pools.yaml
trap '"$polytropon" down slow' EXIT
"$polytropon" run slow -- sh -c 'echo text > /data/f'
for cat in 'cat' 'busybox cat'; do
  expect 1 timeout 60 "$polytropon" run slow -- sh -c "$cat /data/f" 2>err
  grep -q 'timed out' err || fail "$cat: $(cat err)"
done
expect 2 "$polytropon" set slow timeout=soon 2>err
grep -q "is not a time" err || fail "$(cat err)"
"$polytropon" set slow timeout=1h delay.read=0
same text "$polytropon" run slow -- cat /data/f
shows 'timeout: 1h' "$polytropon" dump slow || fail "$("$polytropon" dump slow)"
