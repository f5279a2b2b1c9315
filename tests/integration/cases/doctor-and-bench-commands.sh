# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# doctor says what there is; bench lists and runs what there is, and a page is made of recorded lines.
"$polytropon" doctor >out
grep -q '^ok  *root' out || fail "doctor: $(cat out)"
"$polytropon" doctor --json | python3 -c 'import json, sys; d = json.load(sys.stdin); assert all(c["ok"] or c["cost"] for c in d) and len({c["name"] for c in d}) == len(d) > 10, d'
# Without what is needed.
expect 1 env POLYTROPON_SERVICE=/nonexistent "$polytropon" doctor >out
grep -q '^NEEDED *service' out || fail "doctor: $(cat out)"

"$polytropon" bench >names
for name in cached containers isolation paper programs scale volume; do grep -qx $name names || fail "no benchmark $name"; done
expect 2 "$polytropon" bench isolatoin 2>err
grep -q "did you mean 'isolation'" err || fail "$(cat err)"

# Parts of a benchmark by their names; and what the figures of papers are.
expect 2 "$build/bench/bench-volume" fsnyc 2>err
grep -q 'fsync files device disk areas' err || fail "$(cat err)"
expect 1 "$build/bench/bench-paper" rockdb 2>err
grep -q 'rocksdb, bfs, diff, fileappend, queues, copies, arrakis, odafs, strata, comanche' err || fail "$(cat err)"
"$build/bench/bench-ipc" --quick --json clients >out
python3 -c 'import json; d = [json.loads(l) for l in open("out")]; assert len(d) >= 3 and all(l["bench"] == "ipc" and l["ours"] > 0 for l in d)'

# Benchmarks of our own making: what they print goes into the report, and their failure is the command's.
mkdir benches
cp "$build/bench/bench-report" benches/
cat >benches/bench-fine <<'SH'
#!/bin/sh
[ "$1" = --quick ] || exit 3
echo '{"bench":"fine","case":"quick <b>one</b>","ours":100.0,"peer":200.0,"peer_name":"ext4","ratio":0.5,"n":9,"cdf":[[10,0.1],[100,0.5],[1000,0.99]],"peer_cdf":[[20,0.1],[200,0.5],[2000,0.99]]}'
echo '{"bench":"fine","case":"slow one","ours":300.0,"peer":100.0,"peer_name":"tmpfs","ratio":3.0,"n":9,"ours_low":250,"ours_high":400,"peer_low":90,"peer_high":120}'
for x in 1 2 4; do echo "{\"bench\":\"fine\",\"case\":\"$x pools\",\"x\":$x,\"ours\":$x,\"peer\":$((2 * x)),\"peer_name\":\"ext4\",\"ratio\":0.5,\"n\":3}"; done
echo '{"bench":"fine","missing":"passthrough_hp"}'
echo 'no JSON'
SH
printf '#!/bin/sh\nexit 77\n' >benches/bench-elsewhere
printf '#!/bin/sh\nexit 9\n' >benches/bench-wrong
chmod +x benches/*
printf '#!/bin/sh\necho isolation "$@" >>%s/said\n' "$work" >benches/bench-isolation
chmod +x benches/bench-isolation
export POLYTROPON_BENCHES=$work/benches/bench-report
# How much a neighbour may be felt is for the one benchmark that asks.
"$polytropon" bench isolation fine --quick --threshold 1.5 >/dev/null
same "isolation --quick --threshold 1.5" cat said
for bad in 0 x 1.2x nan inf; do
  expect 2 "$polytropon" bench isolation --threshold $bad 2>err
  grep -q -- "--threshold $bad: it is a number above 0" err
done
rm benches/bench-isolation
"$polytropon" bench fine elsewhere --quick --report report >out 2>err
grep -q "'elsewhere' cannot be run here" err || fail "$(cat err)"
page=report/index.html
[ -s $page ] || fail 'no page'
python3 - $page <<'PY'
import re, sys
from html.parser import HTMLParser
text = open(sys.argv[1]).read()
HTMLParser().feed(text)
assert "<b>one</b>" not in text and "&lt;b&gt;one" in text
assert text.index("slow one") < text.index("quick &lt;b"), "what is slower is not first"
assert text.count("<svg") >= 3 and "polytropon bench fine --quick" in text and "passthrough_hp" in text
assert not re.search(r'(src|href)="(?!#)', text), "it is not self-contained"
PY
ls report/*.svg >/dev/null
# The same as Markdown, beside the pictures.
benches/bench-report --markdown report >report.md
python3 - <<'PY'
import os, re
text = open("report.md").read()
assert text.index("slow one") < text.index("## Machine") and "<b>" not in text.replace("\\<b\\>", "")
pictures = re.findall(r"!\[.*\]\((.*)\)", text)
assert len(pictures) >= 3 and all(os.path.exists(p) for p in pictures), pictures
PY
expect 1 "$polytropon" bench wrong --report report >out 2>err
grep -q "'wrong' ended with status 9" err || fail "$(cat err)"
