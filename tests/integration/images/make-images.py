#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes images to import, good ones and hostile ones, in a directory.

  make-images.py DIR

  layout/            an OCI layout of two layers, gzip and plain, with a whiteout and an opaque directory
  layout.tar         the same as an archive
  docker.tar         the same as `docker save` writes it
  bad-digest/        a layer that is not what its digest says
  bad-diff-id/       one that unpacks to something else than its diff id
  up.tar, link.tar, hardlink.tar, absolute.tar, mark.tar, device.tar, whiteout.tar, bomb.tar.gz, twice.tar.gz, cut.tar.gz
"""
import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile


def sha(data):
    return hashlib.sha256(data).hexdigest()


def archive(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, value in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            data = None
            if kind == "dir":
                info.type = tarfile.DIRTYPE
            elif kind == "file":
                data = value.encode() if isinstance(value, str) else value
                info.size = len(data)
            elif kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, value
            elif kind == "hard":
                info.type, info.linkname = tarfile.LNKTYPE, value
            elif kind == "char":
                info.type, (info.devmajor, info.devminor) = tarfile.CHRTYPE, value
            elif kind == "xattr":
                info.type = tarfile.DIRTYPE
                info.pax_headers = {"SCHILY.xattr." + k: v for k, v in value.items()}
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def layout(path, layers, diff_ids=None, digests=None):
    os.makedirs(path + "/blobs/sha256")

    def blob(data, name=None):
        with open("%s/blobs/sha256/%s" % (path, name or sha(data)), "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + (name or sha(data)), "size": len(data)}

    packed = [gzip.compress(l, mtime=0) if i % 2 == 0 else l for i, l in enumerate(layers)]
    config = {
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/cat", "/etc/a"], "Env": ["FROM_IMAGE=yes"], "WorkingDir": "/etc"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + d for d in diff_ids or [sha(l) for l in layers]]},
    }
    raw = json.dumps(config).encode()
    manifest = {"schemaVersion": 2, "config": dict(blob(raw), mediaType="application/vnd.oci.image.config.v1+json"),
                "layers": [dict(blob(p, digests and digests[i]), mediaType="application/vnd.oci.image.layer.v1.tar")
                           for i, p in enumerate(packed)]}
    index = {"schemaVersion": 2, "manifests": [dict(blob(json.dumps(manifest).encode()),
                                                    mediaType="application/vnd.oci.image.manifest.v1+json")]}
    with open(path + "/index.json", "w") as f:
        json.dump(index, f)
    with open(path + "/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    return raw


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def docker(path, config, layers):
    entries = [("config.json", "file", config), ("manifest.json", "file", json.dumps(
        [{"Config": "config.json", "Layers": ["%d/layer.tar" % i for i in range(len(layers))]}]))]
    entries += [("%d/layer.tar" % i, "file", l) for i, l in enumerate(layers)]
    write(path, archive(entries))


def main():
    base = sys.argv[1]
    busybox = open("/bin/busybox", "rb").read()
    lower = archive([("bin", "dir", None), ("bin/busybox", "file", busybox)] +
                    [("bin/" + n, "link", "busybox") for n in ("sh", "cat", "ls", "id", "sleep", "echo", "touch", "grep",
                                                               "mount", "env", "ps", "test", "stat", "hostname", "readlink")] +
                    [("etc", "dir", None), ("etc/a", "file", "lower\n"), ("etc/b", "file", "lower\n"),
                     ("etc/c", "hard", "etc/b"), ("gone", "dir", None), ("gone/x", "file", "x"),
                     ("hidden", "dir", None), ("hidden/old", "file", "x")] +
                    [(d, "dir", None) for d in ("proc", "sys", "dev", "run", "tmp")])
    upper = archive([("etc", "dir", None), ("etc/a", "file", "upper\n"), ("etc/.wh.b", "file", ""),
                     (".wh.gone", "file", ""), ("hidden", "dir", None), ("hidden/.wh..wh..opq", "file", ""),
                     ("hidden/new", "file", "y")])
    config = layout(base + "/layout", [lower, upper])
    with tarfile.open(base + "/layout.tar", "w") as tar:
        tar.add(base + "/layout", arcname=".")
    docker(base + "/docker.tar", config, [lower, upper])
    other = archive([("other", "file", "x")])
    layout(base + "/bad-digest", [other], digests=["0" * 64])
    layout(base + "/bad-diff-id", [other], diff_ids=["1" * 64])
    write(base + "/up.tar", archive([("ok", "file", "x"), ("../escaped", "file", "x")]))
    write(base + "/absolute.tar", archive([("/etc/absolute", "file", "inside\n")]))
    write(base + "/link.tar", archive([("out", "link", "/../../../.."), ("out/escaped", "file", "x")]))
    write(base + "/hardlink.tar", archive([("etc", "dir", None), ("etc/x", "hard", "../../../../etc/passwd")]))
    write(base + "/mark.tar", archive([("d", "xattr", {"trusted.overlay.redirect": "/../..", "user.overlay.opaque": "y",
                                                       "user.kept": "yes", "security.evil": "x"})]))
    write(base + "/device.tar", archive([("null", "char", (1, 3)), ("zero", "char", (0, 0)), ("file", "file", "x")]))
    write(base + "/whiteout.tar", archive([("d/.wh...", "file", "")]))
    write(base + "/bomb.tar.gz", gzip.compress(archive([("zeros", "file", bytes(64 << 20))]), 9))
    write(base + "/twice.tar.gz", gzip.compress(gzip.compress(lower)))
    write(base + "/cut.tar.gz", gzip.compress(lower)[:20000])


if __name__ == "__main__":
    main()
