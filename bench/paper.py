#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The figures of the papers that this is made after, again: bench-paper [--json] [--quick] [FIGURE...]

Polytropon's own: rocksdb, bfs, diff, fileappend, queues, copies. Of others: arrakis (a write and its fsync, by file system),
odafs (4 KiB reads with and without a message), strata (mirror and stripe), comanche (many clients of one polling thread).
Each is measured by a part of another benchmark beside this one. Needs root.
"""
import json
import os
import subprocess
import sys

FIGURES = {
    "rocksdb": ("paper-pools", "rocksdb"),
    "bfs": ("paper-pools", "bfs"),
    "diff": ("paper-pools", "diff"),
    "fileappend": ("bench-containers", "append"),
    "queues": ("bench-ipc", "paper"),
    "copies": ("bench-ipc", "copy"),
    "arrakis": ("bench-volume", "fsync"),
    "odafs": ("bench-cached", "message"),
    "strata": ("bench-volume", "areas"),
    "comanche": ("bench-ipc", "clients"),
}


def say(line):
    print(json.dumps(line, ensure_ascii=False, separators=(",", ":")), flush=True)


def line_rename(figure, text):
    """As a line of this benchmark; its case begins with the figure's name."""
    try:
        line = json.loads(text)
    except ValueError:
        return text.rstrip("\n")
    line["bench"] = "paper"
    if not line.get("case", figure).startswith(figure):
        line["case"] = f"{figure}: {line['case']}"
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def figure_run(figure, options):
    here = os.path.dirname(os.path.realpath(__file__))
    program, part = FIGURES[figure]
    command = [os.path.join(here, program), part, *options]
    if not os.access(command[0], os.X_OK):
        if "--json" in options:
            say({"bench": "paper", "missing": f"{figure} ({program} is not built here)"})
        else:
            print(f"bench-paper: there is no {program} here", file=sys.stderr)
        return 0
    if "--json" not in options:
        print(f"\n{figure}", flush=True)
        return subprocess.call(command)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for text in process.stdout:
            print(line_rename(figure, text), flush=True)
    return process.returncode


def main(words):
    options = [w for w in words if w in ("--json", "--quick")]
    figures = [w for w in words if w not in options]
    unknown = [w for w in figures if w not in FIGURES]
    if unknown:
        sys.exit(f"bench-paper: '{unknown[0]}' is none of: --json, --quick, {', '.join(FIGURES)}")
    failed = [f for f in figures or FIGURES if figure_run(f, options) not in (0, 77)]
    if failed:
        sys.exit(f"bench-paper: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
