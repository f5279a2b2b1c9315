#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What system calls cost on Ceph: by our preload door, our FUSE door, and ceph-fuse, by turns on one cluster:
bench-ceph-doors [--cluster DIR] [--tenant NAME] [--quick] [--json]

DIR is the directory of a cluster of scripts/ceph-dev.sh (CEPH_DEV_DIR, or where that makes one), and NAME (alice) a tenant of it that
`ceph-dev.sh tenant` has made. One
pool has the directory as others may have it, too; another is alone on it (`exclusive`). Prints medians of the rounds, and ratios
to ceph-fuse. Needs root and ceph-fuse. bench-ceph has libcephfs, called directly."""
import argparse, json, os, re, shutil, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
BUILD = os.path.dirname(HERE)
ROUNDS, ROUNDS_QUICK = 7, 2
POOL = """pools:
  shared: {{mounts: {{/data: {ceph}}}}}
  alone: {{mounts: {{/data: {alone}}}}}
"""
STACK = '{{ceph: {{monitors: "{monitors}", name: client.{tenant}, keyring: {keyring}, path: /{tenant}/{place}{more}}}}}'


def command(name):
    built = os.path.join(BUILD, "engine", name)
    return built if os.path.exists(built) else shutil.which(name) or sys.exit(f"bench-ceph-doors: no command '{name}'")


def calls(argv):
    out = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split() for line in out.splitlines())}


def measure(arguments, work):
    conf = os.path.join(arguments.cluster, "ceph.conf")
    keyring = os.path.join(arguments.cluster, f"client.{arguments.tenant}.keyring")
    monitors = re.search(r"v2:([0-9.]+:\d+)", open(conf).read()).group(1)
    polytropon, worker, mount = command("polytropon"), os.path.join(HERE, "ceph-calls"), os.path.join(work, "fuse")
    stack = lambda place, more: STACK.format(monitors=monitors, tenant=arguments.tenant, keyring=keyring, place=place, more=more)
    os.mkdir(mount)
    subprocess.run(["ceph-fuse", "-c", conf, "-n", f"client.{arguments.tenant}", "-k", keyring, "-r", f"/{arguments.tenant}", mount],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for place in ("shared", "alone", "theirs"):
            os.makedirs(os.path.join(mount, "bench-doors", place), exist_ok=True)
        with open(os.path.join(work, "pools.yaml"), "w") as f:
            f.write(POOL.format(ceph=stack("bench-doors/shared", ""), alone=stack("bench-doors/alone", ", exclusive: true")))
        os.makedirs(os.path.join(work, "run"))
        os.environ["POLYTROPON_RUN"] = os.path.join(work, "run")
        subprocess.run([polytropon, "up", os.path.join(work, "pools.yaml")], check=True, stdout=subprocess.DEVNULL)
        run = lambda pool, *how: [polytropon, "run", pool, "--", *how, worker, "/data"]
        doors = {"preload": run("shared"), "fuse": run("shared", "env", "POLYTROPON_MODE=off"), "preload, exclusive": run("alone"),
                 "ceph-fuse": [worker, os.path.join(mount, "bench-doors", "theirs")]}
        results = {door: [] for door in doors}
        for _ in range(ROUNDS_QUICK if arguments.quick else ROUNDS):
            for door, argv in doors.items():
                results[door].append(calls(argv))
        return {door: {name: statistics.median(r[name] for r in rounds) for name in rounds[0]} for door, rounds in results.items()}
    finally:
        subprocess.run([polytropon, "down"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(os.path.join(mount, "bench-doors"), ignore_errors=True)
        subprocess.run(["fusermount3", "-u", mount], check=False)


def main():
    parser = argparse.ArgumentParser(prog="bench-ceph-doors", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default=os.environ.get("CEPH_DEV_DIR", "/var/tmp/polytropon-ceph"))
    parser.add_argument("--tenant", default="alice")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not shutil.which("ceph-fuse") or not os.path.exists(os.path.join(arguments.cluster, "ceph.conf")):
        print(f"bench-ceph-doors: needs ceph-fuse, and a cluster in '{arguments.cluster}': scripts/ceph-dev.sh", file=sys.stderr)
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="polytropon-ceph-doors.") as work:
        results = measure(arguments, work)
    theirs = results["ceph-fuse"]
    if arguments.json:
        for door in results:
            for name in theirs if door != "ceph-fuse" else ():
                print(json.dumps({"bench": "ceph-doors", "case": f"{name}, {door}", "ours": results[door][name], "peer": theirs[name],
                                  "peer_name": "ceph-fuse", "ratio": float("%.4g" % (results[door][name] / theirs[name]))}))
        return
    print(f"{'':20}" + "".join(f"{door:>28}" for door in results))
    for name in theirs:
        unit = "MiB/s" if name.startswith("stream") else "ns"
        print(f"{name:20}" + "".join(f"{r[name]:>14.0f} {unit:5} x{r[name] / theirs[name]:6.3f}" for r in results.values()))


main()
