#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how pools add up on this machine, fits the model of docs/scaling.md to that, and writes both into its tables.

  scripts/scaling.py [--quick] [--ceph] [BUILD]

BUILD is the build directory (build). --ceph makes a cluster for a moment (scripts/ceph-dev.sh) and looks at its sessions;
without it what the document says of Ceph stays as it is. Needs root, and a machine that does nothing else.
"""
import glob
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
DOCUMENT = os.path.join(SOURCE, "docs/scaling.md")
TICK = os.sysconf("SC_CLK_TCK")


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


# ---- idle pools ------------------------------------------------------------------------------------------------------------


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def status(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
        return int(next(line.split()[1] for line in lines if line.startswith(key + ":")))


def ticks(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            total += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
    return total


class Pools:
    """Running pools, ended with the block."""

    def __init__(self, polytropon, text):
        self.polytropon, self.text = polytropon, text
        self.place = tempfile.TemporaryDirectory(prefix="scaling.")

    def __enter__(self):
        os.environ["POLYTROPON_RUN"] = self.place.name
        path = os.path.join(self.place.name, "pools.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write(self.text)
        start = time.monotonic()
        run(self.polytropon, "up", path)
        self.took = time.monotonic() - start
        self.list = json.loads(run(self.polytropon, "ps", "--json"))
        return self

    def __exit__(self, *failure):
        run(self.polytropon, "down")
        self.place.cleanup()


def idle_measure(polytropon, count, stack="{mem: {}}"):
    text = "pools:\n" + "".join(f"  p{i}: {{mounts: {{/data: {stack}}}}}\n" for i in range(count))
    with Pools(polytropon, text) as pools:
        services, inits = ([p[key] for p in pools.list] for key in ("service", "init"))
        engine = status(services[0], "PPid")
        time.sleep(1)
        before = ticks([*services, *inits, engine])
        time.sleep(5)
        return {"pools": count, "memory": sum(map(pss, services + inits)), "engine": pss(engine),
                "descriptors": len(os.listdir(f"/proc/{engine}/fd")), "threads": sum(status(p, "Threads") for p in services + inits),
                "cpu": 100 * (ticks([*services, *inits, engine]) - before) / TICK / 5, "start": pools.took}


# ---- loads -----------------------------------------------------------------------------------------------------------------


def bench(build, name, *options):
    lines = run(os.path.join(build, "bench/bench-" + name), "--json", *options).splitlines()
    return [line for line in map(json.loads, lines) if "case" in line]


def tenants_measure(build, quick):
    return [{"tenants": c["x"], "rate": 1e9 / c["ours"], "low": 1e9 / c["ours_high"], "high": 1e9 / c["ours_low"], "n": c["n"]}
            for c in bench(build, "scale", *quick)]


def requests_measure(build, quick):
    clients = bench(build, "ipc", *quick, "clients")
    message = bench(build, "cached", *quick, "message")
    return {"null": 1e9 / min(c["ours"] for c in clients), "read": 1e9 / message[-1]["peer"], "direct": 1e9 / message[-1]["ours"]}


# ---- the model -------------------------------------------------------------------------------------------------------------


def model_fit(tenants, cores):
    """One tenant's rate; what a further core takes from each; what more tenants than cores cost. Of the upper ends of the
    spreads: whatever disturbs a measurement takes from it."""
    rate = {t["tenants"]: t["high"] for t in tenants}
    one, most = rate[1], max(rate)
    at_cores = rate.get(cores, one)
    beta = max(0.0, cores * one / at_cores - 1) / (cores - 1) if cores > 1 else 0.0
    gamma = max(0.0, at_cores / rate[most] - 1) / (1 - cores / most) if most > cores else 0.0
    return one, beta, gamma


def model_rate(model, tenants, cores, beta=None):
    one, fitted, gamma = model
    beta = fitted if beta is None else beta
    busy = min(tenants, cores)
    return busy * one / (1 + beta * (busy - 1)) / (1 + gamma * max(0.0, 1 - cores / tenants))


def line_fit(points, key):
    """A pool's share, and what there is without any; from the first and the last point."""
    first, last = points[0], points[-1]
    each = (last[key] - first[key]) / (last["pools"] - first["pools"])
    return each, first[key] - each * first["pools"]


# ---- tables ----------------------------------------------------------------------------------------------------------------


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " ---: |" * len(head), *("| " + " | ".join(row) + " |" for row in rows)])


def million(rate):
    return f"{rate / 1e6:.2f} M/s"


def section_machine(quick):
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        processor = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "?")
    load, cores = os.getloadavg()[0], os.cpu_count()
    busy = "" if load <= cores else " **It did other things, too: these figures, and what the model makes of them, are mostly noise.**"
    return (f"{processor}, {cores} cores, Linux {platform.release()}, load {load:.1f} when it began, "
            f"`scripts/scaling.py{' --quick' if quick else ''}`.{busy}")


def section_idle(points):
    fits = {key: line_fit(points, key) for key in ("memory", "descriptors", "threads", "start")}
    rows = [[str(p["pools"]), f"{p['memory']:.1f} MiB", f"{fits['memory'][0] * p['pools'] + fits['memory'][1]:.1f} MiB", str(p["threads"]),
             str(p["descriptors"]), f"{p['engine']:.1f} MiB", f"{p['cpu']:.1f} %", f"{p['start']:.2f} s"] for p in points]
    return table(["idle pools", "memory of all", "by the model", "threads", "descriptors of the engine", "engine", "CPU of all", "`up` took"], rows), fits


def section_tenants(tenants, model, cores):
    rows = []
    for t in tenants:
        guess = model_rate(model, t["tenants"], cores)
        rows.append([str(t["tenants"]), million(t["rate"]), f"{t['low'] / 1e6:.2f} – {t['high'] / 1e6:.2f}", str(t["n"]), million(guess),
                     f"{100 * (guess / t['high'] - 1):+.0f} %"])
    return table(["busy pools", "operations", "spread", "n", "by the model", "error"], rows)


def section_model(model, fits):
    rows = []
    for pools in (1, 8, 32, 128, 256, 1000):
        size = {key: each * pools + none for key, (each, none) in fits.items()}
        rows.append([str(pools), *(million(model_rate(model, pools, cores)) for cores in (2, 8, 32, 128)),
                     million(model_rate(model, pools, 128, beta=0)), f"{size['memory']:.0f} MiB", f"{size['threads']:.0f}",
                     f"{size['descriptors']:.0f}", f"{size['start']:.1f} s"])
    return table(["pools", "2 cores", "8 cores", "32 cores", "128 cores", "128, β = 0", "memory", "threads", "descriptors", "`up`"], rows)


def section_requests(requests):
    rows = [["4 KiB read of shared pages, no message", million(requests["direct"])],
            ["null requests of many clients to one thread", million(requests["null"])],
            ["4 KiB reads with a message, one client", million(requests["read"])]]
    return table(["on this machine", "a second"], rows)


def section_parameters(model, fits):
    one, beta, gamma = model
    return (f"x₁ = {million(one)}, β = {beta:.3f}, γ = {gamma:.3f}; a pool has {fits['memory'][0]:.2f} MiB, {fits['threads'][0]:.0f} "
            f"threads, {fits['descriptors'][0]:.1f} descriptors in the engine, and starts in {fits['start'][0] * 1000:.0f} ms.")


# ---- Ceph ------------------------------------------------------------------------------------------------------------------


def ceph_tenants(dev, place, count):
    for i in range(count):
        said = dict(word.split("=", 1) for word in run(dev, "tenant", f"t{i}", place).split() if "=" in word)
        yield (f'{{ceph: {{monitors: "{said["monitors"]}", name: {said["name"]}, keyring: {said["keyring"]}, path: {said["path"]}, '
               "exclusive: true}}")


def section_ceph(polytropon, quick):
    dev, rows = os.path.join(SOURCE, "scripts/ceph-dev.sh"), []
    place = os.path.join(tempfile.gettempdir(), f"scaling-ceph.{os.getpid()}")
    run(dev, "up", place)
    try:
        stacks = list(ceph_tenants(dev, place, 4 if quick else 8))
        for count in (1, len(stacks)):
            text = "pools:\n" + "".join(f"  p{i}: {{mounts: {{/data: {stack}}}}}\n" for i, stack in enumerate(stacks[:count]))
            with Pools(polytropon, text) as pools:
                services = [p["service"] for p in pools.list]
                time.sleep(2)
                before = ticks(services)
                time.sleep(10)
                used = 100 * (ticks(services) - before) / TICK / 10
                sockets = sum(os.readlink(fd).startswith("socket:") for s in services for fd in glob.glob(f"/proc/{s}/fd/*"))
                rows.append([str(count), f"{sum(map(pss, services)) / count:.1f} MiB", f"{sum(status(s, 'Threads') for s in services) / count:.0f}",
                             f"{sockets / count:.0f}", f"{used / count:.2f} %"])
    finally:
        run(dev, "down", place)
    return table(["idle pools on Ceph", "memory of a service", "its threads", "its sockets", "its CPU"], rows)


def document_write(sections):
    with open(DOCUMENT, encoding="utf-8") as document:
        text = document.read()
    for name, body in sections.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = text.split(begin, 1)
        text = f"{before}{begin}\n{body}\n{end}{rest.split(end, 1)[1]}"
    with open(DOCUMENT, "w", encoding="utf-8") as document:
        document.write(text)


def main(words):
    quick = ["--quick"] if "--quick" in words else []
    build = next((w for w in words if not w.startswith("--")), os.path.join(SOURCE, "build"))
    polytropon = os.path.join(build, "engine/polytropon")
    os.environ.setdefault("POLYTROPON_LAYERS", os.path.join(build, "libservices"))
    if os.geteuid() != 0 or not os.access(polytropon, os.X_OK):
        sys.exit(f"scaling.py: it needs root, and '{polytropon}'")
    sections = {"machine": section_machine(quick)}
    idle = [idle_measure(polytropon, n) for n in ((1, 4, 16) if quick else (1, 8, 32, 64))]
    tenants = tenants_measure(build, quick)
    model = model_fit(tenants, os.cpu_count())
    sections["idle"], fits = section_idle(idle)
    sections["tenants"] = section_tenants(tenants, model, os.cpu_count())
    sections["requests"] = section_requests(requests_measure(build, quick))
    sections["parameters"] = section_parameters(model, fits)
    sections["model"] = section_model(model, fits)
    if "--ceph" in words:
        sections["ceph"] = section_ceph(polytropon, quick)
    document_write(sections)


if __name__ == "__main__":
    main(sys.argv[1:])
