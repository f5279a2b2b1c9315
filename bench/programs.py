#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What whole programs take on our files and on ext4 (a loop device): bench-programs [--json] [--quick] [CASE...]

The same worker runs in a pool on a volume, with the preload library, and on ext4, both on image files in one directory. Each
makes what a case needs, and then runs its command by turns with the other, so that whatever else the machine does meets
both. Prints the medians, and the median of the ratios of ours to theirs, pair by pair. Needs root.
"""
import json, os, shutil, statistics, subprocess, sys, tempfile, time

ROUNDS, ROUNDS_QUICK = 7, 3

# ---- cases: what is made, once, in an empty directory; and what is timed. {n} is the number of files of a tree ---------------

TREE = r"""
import os
for d in range({n} // 50):
    os.makedirs(f"tree/d{{d // 20}}/e{{d}}")
    for f in range(50):
        with open(f"tree/d{{d // 20}}/e{{d}}/f{{f}}.c", "w") as out:
            out.write(f"int f{{d}}_{{f}}(int x) {{{{ return x + {{f}}; }}}}\n" * (1 + (d * 7 + f * 13) % 60))
"""
PROJECT = r"""
import os
os.makedirs("project")
for i in range(40):
    with open(f"project/h{i}.h", "w") as out:
        out.write(f"struct s{i} {{ int a, b; char name[{i + 1}]; }};\nint f{i}(struct s{i} *);\n")
    with open(f"project/f{i}.c", "w") as out:
        out.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n")
        out.write("".join(f'#include "h{j}.h"\n' for j in range(40)))
        out.write(f'int f{i}(struct s{i} *s) {{ return printf("%d %s\\n", s->a, s->name); }}\n')
with open("project/Makefile", "w") as out:
    out.write("lib.a: $(patsubst %.c,%.o,$(wildcard *.c))\n\tar rcs $@ $^\n%.o: %.c $(wildcard *.h)\n\t$(CC) -O0 -c -o $@ $<\n")
with open("project/configure", "w") as out:
    for name in ["fork", "mmap", "poll", "epoll_create", "memfd_create", "statx", "getrandom", "copy_file_range", "no_such"] * 2:
        out.write(f"echo 'char {name}(void); int main(void) {{ return {name}(); }}' > conftest.c\n"
                  f"if cc -w -o conftest conftest.c 2>conftest.err; then echo '#define HAVE_{name} 1' >> config.h; fi\n"
                  "sed -n 1p conftest.c | grep -q char && cat config.h > config.tmp && mv config.tmp config.h\n"
                  "rm -f conftest conftest.*\n")
"""
SQL = """
import os, sqlite3
for name in ("x.db", "x.db-wal", "x.db-shm"):
    if os.path.exists(name): os.unlink(name)
c = sqlite3.connect("x.db", isolation_level=None)
c.execute("PRAGMA journal_mode=wal")
c.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)")
c.execute("BEGIN")
c.executemany("INSERT INTO t VALUES(?, ?)", ((i, str(i * 7919 % 100003) * 5) for i in range({rows})))
c.execute("COMMIT")
c.execute("CREATE INDEX i ON t(b)")
for i in range({rows} // 20):
    c.execute("UPDATE t SET b = ? WHERE a = ?", (str(i), i * 13 % {rows}))
for i in range({rows} // 10):
    c.execute("SELECT b FROM t WHERE a = ?", (i * 31 % {rows},)).fetchone()
c.execute("DELETE FROM t WHERE a % 3 = 0")
c.execute("VACUUM")
"""
# Half puts, half gets, with the write-ahead log; and gets alone.
KV = "if os.system('$WORK_KV {kind} fill {{keys}}'): sys.exit(77)"
GIT = "git -c user.name=b -c user.email=b@localhost -c gc.auto=0 "

CASES = {
    "configure": (PROJECT, "cd project && sh configure; rm -f config.h"),
    "make -j2": (PROJECT, "make -s -j2 -C project && rm -f project/*.[oa]"),
    "git status": (TREE + "os.system('cd tree && git init -q && " + GIT + "add -A && " + GIT + "commit -qm x')", "git -C tree status"),
    "git clone": (TREE + "os.system('cd tree && git init -q && " + GIT + "add -A && " + GIT + "commit -qm x')",
                  "git clone -q tree clone && rm -rf clone"),
    "diff -r": (TREE + "import shutil; shutil.copytree('tree', 'other')", "diff -r tree other"),
    "tar": (TREE, "tar cf - tree | cat >/dev/null"),
    "untar": (TREE + "os.system('tar cf t.tar tree')", "mkdir u && tar xf t.tar -C u; rm -rf u"),
    "cp -r": (TREE, "cp -r tree copy && rm -rf copy"),
    "find, grep": (TREE, "find tree -name '*7.c' -newer tree/d0 | wc -l; grep -rl f12_ tree"),
    "sqlite3": ("", "python3 -c '" + SQL + "'"),
    "RocksDB": (KV.format(kind="rocksdb"), "$WORK_KV rocksdb mixed {keys}"),
    "LevelDB": (KV.format(kind="leveldb"), "$WORK_KV leveldb read {keys}"),
}


SIZES = {True: {"n": 3000, "rows": 5000, "keys": 10000}, False: {"n": 50000, "rows": 100000, "keys": 200000}}  # by whether it is quick


def case_text(text, quick):
    sizes = SIZES[quick]
    return text.format(**sizes) if any("{%s}" % size in text for size in sizes) else text


# ---- a worker ------------------------------------------------------------------------------------------------------------------


def worker(place):
    os.chdir(place)
    print("ready", flush=True)
    for line in sys.stdin:
        what, name, quick = json.loads(line)
        made, timed = CASES[name]
        directory = os.path.join(place, name.replace(" ", "-").replace(",", ""))
        if what == "make":
            os.mkdir(directory)
            made = subprocess.run([sys.executable, "-c", "import os, sys\n" + case_text(made, quick)], cwd=directory)
            took = -1 if made.returncode == 77 else 0  # it is not here
            if made.returncode not in (0, 77):
                sys.exit(f"bench-programs: {name} could not be made")
        elif what == "remove":
            shutil.rmtree(directory)
            took = 0
        else:
            start = time.monotonic_ns()
            subprocess.run(case_text(timed, quick), shell=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            took = time.monotonic_ns() - start
        print(took, flush=True)


class Door:
    def __init__(self, name, command, directory):
        self.name = name
        self.process = subprocess.Popen(["sh", "-c", command], cwd=directory, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"bench-programs: {name} cannot be had here")

    def ask(self, *order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench-programs: the worker on {self.name} has ended")
        return int(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def polytropon():
    beside = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../engine/polytropon")
    return beside if os.access(beside, os.X_OK) else "polytropon"


# ---- the comparison --------------------------------------------------------------------------------------------------------------


def missing(name, as_json):
    if as_json:
        print(json.dumps({"bench": "programs", "missing": name}), flush=True)
    else:
        print(f"bench-programs: there is no {name} here", file=sys.stderr)


def compare(name, ours, peer, quick, as_json):
    pairs = []
    here = [door.ask("make", name, quick) == 0 for door in (ours, peer)]
    if not all(here):
        missing(name, as_json)
    for door in ours, peer:
        if all(here):
            door.ask("run", name, quick)  # fetches into caches
    for i in range((ROUNDS_QUICK if quick else ROUNDS) * all(here)):
        took = {}
        for door in (ours, peer) if i % 2 else (peer, ours):
            took[door] = door.ask("run", name, quick)
        pairs.append((took[ours], took[peer]))
    for door in ours, peer:
        door.ask("remove", name, quick)
    if not pairs:
        return
    a, b = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(x / y for x, y in pairs)
    if as_json:
        print(json.dumps({"bench": "programs", "case": name, "ours": a, "peer": b, "peer_name": peer.name, "ratio": float("%.4g" % ratio),
                          "n": len(pairs)}), flush=True)
    else:
        print(f"{name:16} {a / 1e6:10.1f} ms   {peer.name:8} {b / 1e6:10.1f} ms   {ratio:6.2f}", flush=True)


def main(words):
    quick, as_json = "--quick" in words, "--json" in words
    names = [w for w in words if not w.startswith("--")]
    unknown = [w for w in words if w not in ("--quick", "--json") and w not in CASES]
    if unknown:
        sys.exit(f"bench-programs: '{unknown[0]}' is none of: --json, --quick, {', '.join(CASES)}")
    size, place = "1G" if quick else "4G", tempfile.mkdtemp(prefix="bench-programs.")
    os.environ.update(BENCH=os.path.realpath(__file__), WORK_KV=os.path.join(os.path.dirname(os.path.realpath(__file__)), "work-kv"), PYTHON=sys.executable,
                      POLYTROPON=polytropon())
    kernel = (f"mkdir e && truncate -s {size} e.img && mkfs.ext4 -q e.img && exec unshare -m sh -c 'mount -o loop e.img e && "
              "exec \"$PYTHON\" \"$BENCH\" --worker \"$PWD/e\"'")
    try:
        ours = Door("volume", f"exec \"$POLYTROPON\" run --image v.img --size {size} --at /bench -- \"$PYTHON\" \"$BENCH\" --worker /bench", place)
        peer = Door("ext4", kernel, place)
        for name in names or CASES:
            compare(name, ours, peer, quick, as_json)
        ours.end()
        peer.end()
    finally:
        shutil.rmtree(place)


if __name__ != "__main__":  # bench-ceph-programs has the cases and doors from here
    pass
elif sys.argv[1:2] == ["--worker"]:
    worker(sys.argv[2])
else:
    main(sys.argv[1:])
