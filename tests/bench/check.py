#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the quick form of a benchmark for its correctness, not for its figures: check.py PROGRAM [OPTION...]

What it prints must be lines of JSON that a report can be made of, with one comparison at least. Nothing may be left behind.
"""
import glob
import json
import os
import subprocess
import sys

WORDS, NUMBERS = ("bench", "case", "peer_name"), ("ours", "peer", "ratio", "n")


def is_comparison(line):
    if "missing" in line:
        return False
    assert all(isinstance(line[key], str) and line[key] for key in WORDS), line
    assert all(isinstance(line[key], (int, float)) for key in NUMBERS), line
    assert all(line[key] > 0 for key in NUMBERS) or line.get("unit") == "percent", line
    assert line.get("ours_low", line["ours"]) <= line["ours"] <= line.get("ours_high", line["ours"]), line
    return True


def left():
    if "POLYTROPON_SHARED_MACHINE" in os.environ:  # others' are there too
        return set()
    return set(glob.glob("/tmp/bench-*") + glob.glob("/var/tmp/bench-*"))


def main(command):
    before = left()
    done = subprocess.run([*command, "--quick", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        sys.exit(77)
    assert done.returncode == 0, f"status {done.returncode}"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    count = sum(map(is_comparison, lines))
    print(f"{count} comparisons; missing: {', '.join(line['missing'] for line in lines if 'missing' in line) or 'nothing'}")
    assert count > 0
    assert not left() - before, left() - before


if __name__ == "__main__":
    main(sys.argv[1:])
