# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Who a container's program is: names of its own /etc/passwd and /etc/group, whatever those are; capabilities by any spelling.
python3 "$source/tests/integration/images/make-images.py" "$work"
cat > pools.yaml <<'EOF'
pools:
  box:
    roots: {mem: 64M}
EOF
"$polytropon" up pools.yaml
trap '"$polytropon" down' EXIT
"$polytropon" image import busy layout > /dev/null
run() { "$polytropon" run --root "$@"; }
inside() { run users "$@"; }

run busy --name users box -- sh -c 'mkdir -p /home/dave
printf "root:x:0:0::/root:/bin/sh\n\nbroken\n:::::\nbig:x:4294967295:0::/:\nneg:x:-1:0::/:\ndave:x:1234:100::/home/dave:/bin/sh\n" > /etc/passwd
printf "root:x:0:\nusers:x:100:\naudio:x:29:eve,dave\nvideo:x:44:davey\nwheel:x:10:dave" > /etc/group'
same "1234:100" inside --uid dave box -- sh -c 'echo $(id -u):$(id -g)'
same "100 29 10" inside --uid dave box -- sh -c 'sed -n "s/^Groups:[^0-9]*//p" /proc/self/status | { read a b c; echo 100 $b $a; }'
same "1234:29" inside --uid dave:audio box -- sh -c 'echo $(id -u):$(id -g)'
same "1234:7" inside --uid dave:7 box -- sh -c 'echo $(id -u):$(id -g)'
same "1234:100" inside --uid 1234 box -- sh -c 'echo $(id -u):$(id -g)'
same "77:0" inside --uid 77 box -- sh -c 'echo $(id -u):$(id -g)'
same "/home/dave" inside --uid dave box -- sh -c 'echo $HOME'
for name in eve big neg 4294967295 -1 '' ':' broken "$(printf '%0300d' 1)x"; do
  case $name in '' | ':') continue ;; esac
  expect 125 inside --uid "$name" box -- true 2> err
  grep -q "is not in the container's /etc/passwd\|too long" err || fail "$name: $(cat err)"
done
expect 125 inside --uid dave:nobody box -- true 2> err
grep -q "group 'nobody' is not in the container's /etc/group" err || fail "$(cat err)"
same 7 "$polytropon" run --root busy --uid 7:9 box -- id -u

# Files that are none, that never end, or that are too long.
for make in 'rm /etc/passwd; mkfifo /etc/passwd' 'rm /etc/passwd; mkdir /etc/passwd' 'rm -r /etc/passwd; ln -s /dev/zero /etc/passwd' \
  'rm /etc/passwd; ln -s /etc/passwd /etc/passwd' 'rm /etc/passwd; head -c 2000000 /dev/zero > /etc/passwd' \
  'head -c 100000 /dev/zero > /etc/passwd' 'head -c 100000 /dev/zero | tr "\0" : > /etc/passwd' \
  'head -c 100000 /dev/urandom > /etc/passwd'; do
  inside box -- sh -c "$make"
  expect 125 timeout 60 "$polytropon" run --root users --uid dave box -- true 2> err
  grep -q "user 'dave' is not in" err || fail "$make: $(cat err)"
  same 5 inside --uid 5 box -- sh -c 'sed -n "s/^Uid:[^0-9]*\([0-9]*\).*/\1/p" /proc/self/status'
done

# Capabilities. Bit 13 is CAP_NET_RAW, 21 is CAP_SYS_ADMIN.
for word in NET_RAW CAP_NET_RAW net_raw cap_Net_Raw; do
  caps=$(inside --cap "$word" box -- sh -c 'sed -n "s/^CapEff:[^0-9a-f]*//p" /proc/self/status')
  [ $((0x$caps >> 13 & 1)) = 1 ] || fail "$word: $caps"
  [ $((0x$caps >> 21 & 1)) = 0 ] || fail "$word: $caps"
done
expect 125 inside --cap NETRAW box -- true 2> err
grep -q "unknown capability 'NETRAW'; did you mean 'CAP_NET_RAW'" err || fail "$(cat err)"
expect 125 inside --cap "$(printf '%0300d' 1)" box -- true 2> err
grep -q "unknown capability" err || fail "$(cat err)"
