# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Whatever is sent to the engine's socket, and to a pool's, the engine answers the next caller and its pools run on.
printf 'pools:\n  alice: {mounts: {/data: {delay: {read: 1ms, below: {mem: }}}}}\n' >pools.yaml
"$polytropon" up pools.yaml
cat >strangers.py <<'PYTHON'
import json, os, random, socket, struct, sys

random.seed(1)

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(30)
    return s

def answer(s):
    got = b""
    while not got.endswith(b"\0"):
        piece = s.recv(1 << 16)
        if not piece:
            return None
        got += piece
    return json.loads(got[:-1])

def call(s, method, parameters=None):
    s.sendall(json.dumps({"method": method, "parameters": parameters or {}}).encode() + b"\0")
    return answer(s)

def alive():
    s = connect()
    pools = call(s, "io.polytropon.Ps")["parameters"]["pools"]
    assert [p["pool"] for p in pools] == ["alice"] and pools[0]["state"] == "up", pools

def throw(data):
    s = connect()
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        s.recv(1)
    except OSError:
        pass
    s.close()
    alive()

for data in [b"", b"\0", b"\0" * 100000, b"{}\0", b"[]\0", b"null\0", b"1\0", b'"x"\0', b"{", b"{\0", b"\xff\xfe\0",
             b"[" * 1000000 + b"\0", b'{"a":' * 100000 + b"\0", b"x" * 5000000, b'{"method":"' + b"x" * 3000000 + b'"}\0',
             b'{"method":5}\0', b'{"method":null}\0', b'{"method":{}}\0', b'{"method":"io.polytropon.Ps","parameters":5}\0',
             b'{"method":"io.polytropon.Ps","oneway":true}\0' * 1000, b'{"method":"io.polytropon.Ps","parameters":[]}\0',
             b'{"method":"io.polytropon.Ps","method":"io.polytropon.Dump"}\0', b'{"method":"io.polytropon.Up","parameters":{"pools":{"a\\u0000b":{}}}}\0']:
    throw(data)
for n in range(200):
    throw(random.randbytes(random.choice([1, 10, 1000, 100000])) + b"\0")

# Every method with every kind of thing in every parameter.
things = [None, True, 0, -1, 2**31, 2**63 - 1, -2**63, 1e308, "", "alice", "x" * 10000, "a\0b", "\x1b[2J", "\ud800", "../..", [], [[]], [None],
          ["alice", 5], {}, {"alice": {}}, {"": {}}, {"b": {"mounts": {}}}, {"b": {"mounts": {"/data": {"mem": {}}}, "x": 1}},
          {"b": {"mounts": {"/data": {"host": {"path": "/", "fd": 0}}}}}, {"b": {"mounts": {"/data": {"mem": {"size": {}}}}}},
          {"b": {"mounts": {"/data": {"delay": {"below": [{"mem": {}}, {"mem": {}}]}}}}}, {"b": {"mounts": {"/data": {"delay": {"below": None}}}}},
          {"b": {"mounts": None}}, {"b": {"cache": {"size": None}}}, {"memory": None}, {"memory": {}}, {"delay.read": []}, {"x" * 600: "1"}]
methods = {"Up": ["pools"], "Ps": [], "Stats": ["pool"], "Set": ["pool", "settings"], "Dump": ["pools"], "Enter": ["pool"],
           "Join": ["pool", "pid", "listed", "command"], "GetVersion": [], "Nonsense": ["x"], "": [], "Down": ["x"]}
s = connect()
for method, names in methods.items():
    for thing in things:
        given = [{n: thing for n in names}, {"unknown": thing}, {**{n: "alice" for n in names}, **{"pools" if method == "Up" else "settings": thing}}]
        given += [{**{n: "alice" for n in names}, n: thing} for n in names]
        for parameters in given:
            if method == "Dump" and parameters == {} or method == "Join" and isinstance(parameters.get("pid"), int) and parameters["pid"] > 0:
                continue
            a = call(s, "io.polytropon." + method, parameters)
            assert a is not None and ("error" in a or method in ("Ps", "Dump", "GetVersion", "Set", "Stats", "Enter")), (method, parameters, a)
            if method == "Enter" and "error" not in a:
                s = connect()
alive()

# Callers that never finish, and that never read.
idle = [connect() for n in range(300)]
for c in idle[:100]:
    c.sendall(b'{"method"')
alive()
deaf = connect()
deaf.setblocking(False)
try:
    while True:
        deaf.send(json.dumps({"method": "io.polytropon.GetVersion"}).encode() + b"\0")
except BlockingIOError:
    pass
except OSError:
    pass
alive()
for c in idle:
    c.close()
# Pipelined calls are answered in order.
s = connect()
s.sendall((json.dumps({"method": "io.polytropon.Stats", "parameters": {"pool": "alice"}}) + "\0").encode() * 50)
got = b""
while got.count(b"\0") < 50:
    got += s.recv(1 << 20)
assert all("stats" in json.loads(a)["parameters"] for a in got.split(b"\0")[:50])
# Callers that leave before their answer.
for n in range(100):
    c = connect()
    c.sendall(json.dumps({"method": "io.polytropon." + random.choice(["Stats", "Enter", "Ps"]), "parameters": {"pool": "alice"}}).encode() + b"\0")
    c.close()
alive()
PYTHON
timeout 300 python3 strangers.py run/engine.sock || fail "see above; the engine says: $(tail -3 run/engine.log)"

# The pool's socket, which every program in the pool reaches.
cat >clients.py <<'PYTHON'
import os, random, socket, struct

random.seed(2)
MAGIC, ATTACH, KICK, FETCH, EXEC = 0x59544c50, 1, 4, 5, 3

def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("/run/polytropon/socket")
    s.settimeout(30)
    return s

def hello(magic=MAGIC, version=1, kind=ATTACH, session=0, pid=0, handle=0, rest=(0, 0)):
    return struct.pack("<8I", magic, version, kind, session, pid, handle, *rest)

def throw(*messages, fds=()):
    s = connect()
    for m in messages:
        try:
            socket.send_fds(s, [m], fds)
            s.settimeout(0.2)
            s.recv(4096)
        except OSError:
            break
    s.close()

word = lambda: random.choice([0, 1, 2, 3, 7, 31, 32, 2**15, 2**16, 2**31, 2**32 - 1, random.getrandbits(32)])
for m in [b"", b"x", b"\0" * 31, hello()[:-1], hello() + b"x", b"\xff" * 32, b"\0" * 200000, hello(magic=0), hello(version=2), hello(kind=0), hello(kind=99)]:
    throw(m)
for kind in (ATTACH, 2, KICK, FETCH, EXEC):
    for n in range(20):
        throw(hello(kind=kind, session=word(), pid=word(), handle=word()), hello(kind=kind, session=word()))
throw(hello(), fds=[0, 1, 2, os.open("/", os.O_RDONLY)])
open_ones = [connect() for n in range(200)]
open("/data/f", "w").write("still here")
print(open("/data/f").read())
PYTHON
same 'still here' timeout 300 "$polytropon" run alice -- python3 "$work/clients.py"
same 'still here' "$polytropon" run alice -- busybox cat /data/f
same 0 sh -c '"$0" ps --json | python3 -c "import json, sys; print(json.load(sys.stdin)[0][\"restarts\"])"' "$polytropon"
"$polytropon" down
