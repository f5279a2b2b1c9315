# SPDX-License-Identifier: Apache-2.0
# As a runtime for bundles: a container's life, its hooks and limits, as engines drive it.
oci() { "$polytropon" oci --root "$work/state" "$@"; }
mkdir -p bundle/rootfs/{bin,proc,dev,sys,etc,tmp}
cp /bin/busybox bundle/rootfs/bin/
for name in sh cat id sleep ls ps grep echo env hostname; do ln -s busybox "bundle/rootfs/bin/$name"; done
config() {
  python3 - "$work" "$@" <<'EOF'
import json, sys
work, args = sys.argv[1], sys.argv[2:]
hook = lambda name: [{"path": "/bin/sh", "args": ["sh", "-c", "cat >> %s/hooks; echo ' %s' >> %s/hooks" % (work, name, work)]}]
c = {
    "ociVersion": "1.0.2",
    "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
                "env": ["PATH=/bin", "A=b"],
                "capabilities": {k: ["CAP_KILL", "CAP_CHOWN"] for k in ("bounding", "effective", "permitted")},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 99, "soft": 98}], "noNewPrivileges": True},
    "root": {"path": "rootfs", "readonly": True}, "hostname": "inside",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
               {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
               {"destination": "/tmp", "type": "bind", "source": work + "/dir", "options": ["rbind", "ro"]}],
    "hooks": {n: hook(n) for n in ("prestart", "createRuntime", "poststart", "poststop")},
    "annotations": {"org.example": "kept"},
    "linux": {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "network")],
              "resources": {"pids": {"limit": 10}, "memory": {"limit": 67108864}},
              "cgroupsPath": "/polytropon-test/%s" % work.split(".")[-1],
              "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
              "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                          "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}},
}
json.dump(c, open(work + "/bundle/config.json", "w"))
EOF
}
state() { oci state c | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])'; }
echo bound > dir/f

# What the program finds.
config sh -c 'hostname; echo $A; cat /tmp/f; ulimit -n; grep -E "CapEff|NoNew|^Seccomp:" /proc/self/status; echo $$; busybox mkdir /tmp/x || true; echo x > /y'
same "inside
b
bound
98
CapEff:	0000000000000021
NoNewPrivs:	1
Seccomp:	2
1" sh -c "'$polytropon' oci --root '$work/state' run --bundle bundle c 2> '$work/error'; :"
grep -q "not supported" error || fail "the filter refuses nothing: $(cat error)"
grep -q "Read-only" error || fail "the root can be written to"

# A life in steps.
config sleep 1000
rm hooks
oci create --bundle bundle --pid-file pid c < /dev/null > /dev/null
same created state
same "$(cat pid)" sh -c "'$polytropon' oci --root '$work/state' state c | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"pid\"])'"
shows '"org.example":"kept"' oci state c || fail "annotations are lost"
expect 1 oci create --bundle bundle c 2> error
grep -q "exists already" error || fail "$(cat error)"
grep -qa sleep "/proc/$(cat pid)/cmdline" && fail "its program began before start"
oci start c
same running state
expect 1 oci start c 2> /dev/null
same "0" oci exec c id -u
same "1
inside" oci exec --env X=1 c sh -c 'echo $X; hostname'
expect 5 oci exec c sh -c 'exit 5'
expect 1 oci exec c no-such 2> /dev/null
[ "$(oci ps --format json c | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 1 ] || fail "ps"
oci pause c
same paused state
oci resume c
same running state
group=$(find /sys/fs/cgroup -path "*/polytropon-test/${work##*.}" -type d | grep -m 1 -E 'pids|unified')
[ -f "$group/pids.max" ] && same 10 cat "$group/pids.max"
expect 1 oci delete c 2> error
grep -q "running" error || fail "$(cat error)"
shows '^c$' oci list -q || fail "list"
oci kill c KILL
for _ in $(seq 50); do [ "$(state)" = stopped ] && break; sleep 0.1; done
same stopped state
oci delete c
expect 1 oci state c 2> /dev/null
same "prestart createRuntime poststart poststop" sh -c "grep -o ' [a-zA-Z]*$' hooks | xargs"
[ -z "$(find /sys/fs/cgroup -path "*/polytropon-test/${work##*.}")" ] || fail "groups are left"
for d in /sys/fs/cgroup/*/polytropon-test; do rmdir "$d" 2> /dev/null || true; done

# Errors in a log as engines read it.
expect 1 oci --log log --log-format json state nobody 2> /dev/null
python3 -c 'import json, sys; assert "nobody" in json.loads(open(sys.argv[1]).readline())["msg"]' log
config no-such-program
expect 1 oci create --bundle bundle c 2> error
grep -q "not found" error || fail "$(cat error)"
[ -z "$(ls state)" ] || fail "a failed create left $(ls state)"
for d in /sys/fs/cgroup/*/polytropon-test; do rmdir "$d" 2> /dev/null || true; done
oci features | python3 -c 'import json, sys; assert "mount" in json.load(sys.stdin)["linux"]["namespaces"]'
expect 2 oci strat c 2> error
grep -q "did you mean 'start'" error || fail "$(cat error)"
