#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building, testing and the demo need, on Debian 12. Says nothing if all of it is there.
set -eu

build="gcc pkg-config meson ninja-build libc6-dev libfuse3-dev libjson-c-dev libyaml-dev libcgroup-dev libcap-dev
libseccomp-dev liburing-dev libcmocka-dev libarchive-dev libssl-dev scdoc systemtap-sdt-dev"
demo="tar make git sqlite3 python3 busybox-static musl-tools fuse3 procps"
tests="clang llvm libclang-rt-14-dev liburcu-dev libck-dev rsync vim-nox perl nodejs attr acl strace fio stress-ng
libpython3.11-testsuite podman util-linux binutils file libsqlite3-dev e2fsprogs btrfs-progs curl fuse-overlayfs unionfs-fuse
librocksdb-dev libleveldb-dev python3-prometheus-client bpftrace valgrind qemu-system-x86"

ceph="libcephfs-dev librados-dev librbd-dev ceph-mon ceph-osd ceph-mds ceph-common ceph-fuse python3-cephfs python3-rados python3-rbd"

case "${1:-all}" in
build) wanted="$build" ;;
demo) wanted="$build $demo" ;;
ceph) wanted="$build $ceph" ;;
all) wanted="$build $demo $tests $ceph" ;;
*)
  echo "usage: $0 [build|demo|ceph|all]" >&2
  exit 2
  ;;
esac

missing=
for package in $wanted; do
  case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" in
  "install ok installed") ;;
  *)
    # A command that came from elsewhere (a newer nodejs, say) serves as well.
    [ "$package" = nodejs ] && command -v node >/dev/null && continue
    missing="$missing $package"
    ;;
  esac
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
