#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What whole programs take on one Ceph cluster, through our preload door and through ceph-fuse; and many tenants side by side:
bench-ceph-programs [--json] [--quick] [CASE...]

The cases are those of bench-programs; without words the paper's: untar, git clone, diff -r, RocksDB (half puts, half gets), and `pools`.
Each is run by turns in a pool that has the directory as others may have it, too (shared), in one that is alone on it (exclusive),
and on ceph-fuse, each in a directory of its own. `pools`: eight pools, a client each, against eight mounts of ceph-fuse, at
once: the time of a cached read of all together, and the memory (PSS) of a client that does nothing.

The cluster is that of the environment: ceph_monitors, ceph_name, ceph_keyring, ceph_path (`scripts/ceph-dev.sh tenant`). Needs root and
ceph-fuse."""
import glob, importlib.machinery, importlib.util, json, os, shutil, signal, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.realpath(__file__))
ROUNDS, ROUNDS_QUICK, POOLS, READ_MS, READ_MS_QUICK = 3, 1, 8, 3000, 500
PAPER = ["untar", "git clone", "diff -r", "RocksDB"]


def programs_load():
    loader = importlib.machinery.SourceFileLoader("bench_programs", os.path.join(HERE, "bench-programs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    module.SIZES = {True: {"n": 200, "rows": 1000, "keys": 1000}, False: {"n": 1000, "rows": 20000, "keys": 50000}}
    return module


programs = programs_load()


class Report:
    def __init__(self, as_json):
        self.as_json = as_json

    def missing(self, name):
        print(json.dumps({"bench": "ceph-programs", "missing": name}) if self.as_json else f"bench-ceph-programs: there is no {name} here", flush=True)

    def case(self, name, ours, theirs, unit="ms", scale=1e6):
        a, b, ratio = statistics.median(ours), statistics.median(theirs), statistics.median(x / y for x, y in zip(ours, theirs))
        if self.as_json:
            print(json.dumps({"bench": "ceph-programs", "case": name, "ours": a, "peer": b, "peer_name": "ceph-fuse", "ratio": float("%.4g" % ratio),
                              "n": len(ours), **({"unit": "bytes"} if unit == "KiB" else {})}), flush=True)
        else:
            print(f"{name:36} {a / scale:12.2f} {unit:4} ceph-fuse {b / scale:12.2f} {unit:4} {ratio:8.3f}", flush=True)


class Cluster:
    """A directory of the tenant's for this run, reached by a mount of ceph-fuse; pools and more mounts in it."""

    def __init__(self, work):
        self.work, self.mounts = work, []
        self.tenant = os.environ["ceph_name"].removeprefix("client.")
        self.top = f"bench-programs-{os.getpid()}"
        self.base = self.mount("base", os.environ["ceph_path"])
        os.mkdir(os.path.join(self.base, self.top))
        os.environ["POLYTROPON_RUN"] = os.path.join(work, "run")
        os.mkdir(os.environ["POLYTROPON_RUN"])

    def path(self, name):
        os.makedirs(os.path.join(self.base, self.top, name), exist_ok=True)
        return os.path.join(os.environ["ceph_path"], self.top, name)

    def mount(self, name, path):
        at = os.path.join(self.work, "mount-" + name)
        os.mkdir(at)
        subprocess.run(["ceph-fuse", "-c", "/dev/null", "-m", os.environ["ceph_monitors"], "-n", "client." + self.tenant, "-k", os.environ["ceph_keyring"],
                        "-r", path, "--log-to-stderr=false", at], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.mounts.append(at)
        return at

    def pools(self, which):
        """which: name of a pool -> directory and whether it is alone there."""
        mount = ('{{ceph: {{monitors: "{0[ceph_monitors]}", name: client.{1}, keyring: {0[ceph_keyring]}, path: {2}, exclusive: {3}}}}}')
        with open(os.path.join(self.work, "pools.yaml"), "w") as out:
            out.write("pools:\n")
            for name, (place, alone) in which.items():
                stack = mount.format(os.environ, self.tenant, self.path(place), str(alone).lower())
                out.write(f"  {name}: {{cache: {{size: 256M}}, mounts: {{/bench: {stack}}}}}\n")
        subprocess.run([programs.polytropon(), "up", os.path.join(self.work, "pools.yaml")], check=True, stdout=subprocess.DEVNULL)

    def down(self):
        subprocess.run([programs.polytropon(), "down"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        self.down()
        shutil.rmtree(os.path.join(self.base, self.top), ignore_errors=True)
        for at in reversed(self.mounts):
            subprocess.run(["umount", at], check=False)


# ---- programs ------------------------------------------------------------------------------------------------------------------


def programs_compare(cluster, names, quick, report):
    tag = os.getpid()
    pools = {f"shared{tag}": ("shared", False), f"alone{tag}": ("alone", True)}
    cluster.pools(pools)
    theirs = cluster.mount("programs", cluster.path("theirs"))
    run = "exec \"$POLYTROPON\" run {} -- \"$PYTHON\" \"$BENCH\" --worker /bench"
    doors = {"shared": programs.Door("shared", run.format(f"shared{tag}"), cluster.work),
             "exclusive": programs.Door("exclusive", run.format(f"alone{tag}"), cluster.work),
             "ceph-fuse": programs.Door("ceph-fuse", f"exec \"$PYTHON\" \"$BENCH\" --worker '{theirs}'", cluster.work)}
    for name in names:
        times = {door: [] for door in doors}
        if not all([door.ask("make", name, quick) == 0 for door in doors.values()]):
            report.missing(name)
            continue
        for i in range(1 + (ROUNDS_QUICK if quick else ROUNDS)):  # the first fetches into caches
            for which, door in list(doors.items())[:: 1 if i % 2 else -1]:
                took = door.ask("run", name, quick)
                times[which] += [took] if i else []
        for door in doors.values():
            door.ask("remove", name, quick)
        for which in ("shared", "exclusive"):
            report.case(f"{name}, {which}", times[which], times["ceph-fuse"])
    for door in doors.values():
        door.end()
    cluster.down()


# ---- pools -----------------------------------------------------------------------------------------------------------------------


def memory(words):
    """The PSS of the process whose command line has these words, in bytes."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if words in open(path, "rb").read().replace(b"\0", b" ").decode(errors="replace") and int(path.split("/")[2]) != os.getpid():
                rollup = open(os.path.join(os.path.dirname(path), "smaps_rollup")).read()
                return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) * 1024
        except (OSError, StopIteration):
            continue
    return sys.exit(f"bench-ceph-programs: no process '{words}'")


def reads_together(commands, ms):
    """ns of a read of all together."""
    workers = [subprocess.Popen([*command, str(ms)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for command in commands]
    if any(w.stdout.readline() != "ready\n" for w in workers):
        sys.exit("bench-ceph-programs: a tenant cannot begin")
    for w in workers:
        w.stdin.write("\n")
        w.stdin.flush()
    counts = [int(w.stdout.readline()) for w in workers]
    for w in workers:
        w.stdin.close()
        w.wait()
    return ms * 1e6 / sum(counts)


def pools_compare(cluster, quick, report):
    names = [f"bench{os.getpid()}n{i}" for i in range(POOLS)]
    ms, worker = READ_MS_QUICK if quick else READ_MS, os.path.join(HERE, "ceph-reads")
    cluster.pools({name: (f"ours{i}", False) for i, name in enumerate(names)})
    mounts = [cluster.mount(f"theirs{i}", cluster.path(f"theirs{i}")) for i in range(POOLS)]
    time.sleep(1)
    report.case("memory of an idle client", [memory(f"--boot {name}") for name in names], [memory(at) for at in mounts], "KiB", 1024)
    ours = [[programs.polytropon(), "run", name, "--", worker, "/bench"] for name in names]
    theirs = [[worker, at] for at in mounts]
    times = [(reads_together(ours, ms), reads_together(theirs, ms)) for _ in range(ROUNDS_QUICK if quick else ROUNDS)]
    report.case(f"4 KiB read, cached, {POOLS} tenants", [a for a, _ in times], [b for _, b in times], "ns", 1)
    cluster.down()


def main(words):
    quick, report = "--quick" in words, Report("--json" in words)
    names = [w for w in words if not w.startswith("--")] or [*PAPER, "pools"]
    unknown = [w for w in words if w not in ("--quick", "--json", "pools") and w not in programs.CASES]
    if unknown:
        sys.exit(f"bench-ceph-programs: '{unknown[0]}' is none of: --json, --quick, pools, {', '.join(programs.CASES)}")
    if not shutil.which("ceph-fuse") or not all(os.environ.get("ceph_" + key) for key in ("monitors", "name", "keyring", "path")):
        report.missing("ceph-fuse" if not shutil.which("ceph-fuse") else "cluster")
        sys.exit(77)
    os.environ.update(BENCH=os.path.realpath(__file__), WORK_KV=os.path.join(HERE, "work-kv"), PYTHON=sys.executable, POLYTROPON=programs.polytropon())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was begun is ended
    with tempfile.TemporaryDirectory(prefix="bench-ceph-programs.") as work:
        cluster = Cluster(work)
        try:
            programs_compare(cluster, [name for name in names if name != "pools"], quick, report)
            if "pools" in names:
                pools_compare(cluster, quick, report)
        finally:
            cluster.end()


if sys.argv[1:2] == ["--worker"]:
    programs.worker(sys.argv[2])
else:
    main(sys.argv[1:])
