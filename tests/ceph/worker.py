#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A program in a pool while its cluster has troubles: appends numbered lines and syncs each, makes, moves and removes files. It goes
# on until the file "stop" is beside it.
#
#   worker.py DIRECTORY REPORT
#
# REPORT gets a line for each number that an fsync acknowledged ("acked N"), and for each failed call ("failed ERRNO CALL").
import errno, os, sys, time

where, report = sys.argv[1], open(sys.argv[2], "a", buffering=1)
longest = 0.0

def call(name, fn, *arguments):
    """The result, or None after a failure, which is told."""
    global longest
    began = time.monotonic()
    try:
        return fn(*arguments)
    except OSError as e:
        report.write("failed %s %s\n" % (errno.errorcode.get(e.errno, e.errno), name))
    finally:
        longest = max(longest, time.monotonic() - began)

log = os.open(where + "/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
number = 0
while not os.path.exists(sys.argv[2] + ".stop"):
    number += 1
    line = b"line %d\n" % number
    if call("write", os.write, log, line) == len(line) and call("fsync", lambda: os.fsync(log) or True):
        report.write("acked %d\n" % number)
    fd = call("create", os.open, where + "/made", os.O_WRONLY | os.O_CREAT, 0o644)
    if fd is not None:
        call("write", os.write, fd, b"x" * 5000)
        call("close", os.close, fd)
        if call("rename", lambda: os.rename(where + "/made", where + "/moved") or True):
            call("unlink", os.unlink, where + "/moved")
    call("stat", os.stat, where)
    time.sleep(0.02)
report.write("longest %.1f\n" % longest)
