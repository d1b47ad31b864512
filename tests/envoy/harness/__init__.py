"""Runs the module in a real Envoy between raw clients and scripted upstreams. See README.md."""

from . import examples, expect, memory, openai_shapes, plugin, quirks, responses, sdk, wire
from .bootstrap import HOST, ROUTING_HEADER, Setting, fallback_route, host_of
from .client import Connection, Incoming, Response
from .client2 import H2Connection
from .envoy import ENVOY_BIN, FILTER_NATIVE, FILTER_WASM, ROOT, Envoy, headers, refused_log
from .pool import Pool
from .script import PATIENCE, Answer, Gate, answer, sse
from .upstream import Recorded, Upstream

__all__ = [
    "ENVOY_BIN",
    "FILTER_NATIVE",
    "FILTER_WASM",
    "HOST",
    "PATIENCE",
    "ROOT",
    "ROUTING_HEADER",
    "Answer",
    "Connection",
    "Envoy",
    "Gate",
    "H2Connection",
    "Incoming",
    "Pool",
    "Recorded",
    "Response",
    "Setting",
    "Upstream",
    "answer",
    "examples",
    "expect",
    "fallback_route",
    "headers",
    "host_of",
    "memory",
    "openai_shapes",
    "plugin",
    "quirks",
    "refused_log",
    "responses",
    "sdk",
    "sse",
    "wire",
]
