"""Writes an OCI layout that holds a wasm module: scripts/oci.py MODULE FOLDER VERSION

In the form that Istio's agent and Envoy Gateway pull (the "compat" variant of Solo's image specification): an
ordinary image of one layer, with the module as plugin.wasm. `crane push FOLDER REGISTRY/NAME:VERSION` takes it
to a registry. Nothing in it depends on the time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def put(folder: Path, media_type: str, data: bytes) -> dict:
    """Stores a blob under its digest, and gives back its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def archive(module: bytes) -> bytes:
    """A tar archive with the module, owned by nobody in particular and of no time."""
    out = io.BytesIO()
    entry = tarfile.TarInfo("plugin.wasm")
    entry.size, entry.mode = len(module), 0o644
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(module))
    return out.getvalue()


def write(module: bytes, folder: Path, version: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "blobs" / "sha256").mkdir(parents=True)
    names = {
        "org.opencontainers.image.title": "openai-gateway-filter",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    layer = archive(module)
    config = {
        "architecture": "wasm",
        "os": "wasi",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(folder, CONFIG, encode(config)),
        "layers": [put(folder, LAYER, gzip.compress(layer, mtime=0))],
        "annotations": names,
    }
    descriptor = put(folder, MANIFEST, encode(manifest))
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": version}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor]}
    (folder / "index.json").write_bytes(encode(index))
    (folder / "oci-layout").write_bytes(encode({"imageLayoutVersion": "1.0.0"}))


if __name__ == "__main__":
    source, target, name = sys.argv[1:]
    write(Path(source).read_bytes(), Path(target), name)
