"""Takes exports out of a wasm module, and gives others their names: scripts/exports.py IN OUT

The Rust SDK exports every callback there is, and Envoy calls those that it finds. Of the calls at a
stream's end this module needs only `proxy_on_log` and `proxy_on_delete`, and it never sees TCP, gRPC or
queues. Without their exports Envoy makes a call less into the VM for each request.

Some of the SDK's callbacks run within others of the module's own (`growth.rs` and `last.rs` in
`src/host/wasm/calls`): those are exported under the SDK's names in their place.

Only the export section is written anew (WebAssembly 3.0, "Modules", "Binary Format"); all other bytes
stay. A callback that is missing is one that Envoy takes for "nothing to do" (proxy-wasm ABI 0.2.1).
"""

from __future__ import annotations

import sys
from pathlib import Path

UNNEEDED = {
    "proxy_on_done",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_upstream_connection_close",
    "proxy_on_queue_ready",
    "proxy_on_foreign_function",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
}
OWN = "gateway_on_"
"""An export that begins so takes the place of `proxy_on_…`."""
SDK = "proxy_on_"
HEADER = b"\0asm\x01\0\0\0"
EXPORT_SECTION = 7


def read_number(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def without(section: bytes, names: set[str]) -> bytes:
    """An export section's entries: name, kind, index."""
    count, at = read_number(section, 0)
    found: dict[str, bytes] = {}
    for _ in range(count):
        length, at = read_number(section, at)
        name = section[at : at + length].decode()
        kind = at + length
        _, at = read_number(section, kind + 1)
        found[name] = section[kind:at]
    if at != len(section):
        raise ValueError("the export section does not end where it says")
    kept = {name: entry for name, entry in found.items() if name not in names and not name.startswith(OWN)}
    kept |= {name.replace(OWN, SDK, 1): entry for name, entry in found.items() if name.startswith(OWN)}
    entries = [number(len(name)) + name.encode() + entry for name, entry in kept.items()]
    return number(len(entries)) + b"".join(entries)


def strip(module: bytes, names: set[str]) -> bytes:
    if not module.startswith(HEADER):
        raise ValueError("not a wasm module")
    out, at = bytearray(HEADER), len(HEADER)
    while at < len(module):
        kind = module[at]
        length, start = read_number(module, at + 1)
        at = start + length
        content = module[start:at]
        if kind == EXPORT_SECTION:
            content = without(content, names)
        out += bytes([kind]) + number(len(content)) + content
    return bytes(out)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(strip(source.read_bytes(), UNNEEDED))
