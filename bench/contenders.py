"""What is compared: Envoys that differ in their HTTP filters only."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from work import ALIAS, MODEL, MODEL_ID, Work

Json = dict[str, Any]

VIRTUAL_KEY = "vk-bench-0"
PROVIDER_KEY = "gsk_zq8tmw2vxc7rkyb4nhjd1lpfs9gxqe6uavibtkom3ydwcner"
"""Looks like one: a key made of words has the filter look closely at each head that holds one of them."""
ROUTING_HEADER = "x-gateway-cluster"
HELD_BYTES = 32 << 20

BUSY = "busy"
"""A provider, its cluster, and its model: a listener of the same Envoy, which answers 503."""
OVER = "over"
"""The composite cluster of a fallback."""

_PATTERN = ALIAS.replace("-", "%-")
LUA = f"""
function envoy_on_request(handle)
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  text = text:gsub('"model":"{_PATTERN}"', '"model":"{MODEL}"', 1)
  local headers = handle:headers()
  headers:replace("authorization", "Bearer {PROVIDER_KEY}")
  headers:replace("content-length", body:setBytes(text))
end
"""


@dataclass(frozen=True)
class Contender:
    """An Envoy, and what it makes of a request."""

    name: str
    title: str
    http_filters: tuple[Json, ...] = ()
    rewrites: bool = False
    """Model and credential."""
    normalises: bool = False
    """Answers, and translates the Responses API."""
    base_path: str = "/v1"
    routed: bool = False
    """By the header that the filter sets, not by a fixed cluster."""
    library_folder: Path | None = None
    """Where Envoy looks for the native module."""
    upstream_http_filters: tuple[Json, ...] = ()
    """The router's."""
    falls_back: bool = False
    """Its first provider is BUSY, which answers 503 at once."""
    rows: frozenset[str] | None = None
    """Names of the rows that it is measured on; None: all."""
    is_extra: bool = False
    """It runs only when it is named."""
    access_log: tuple[Json, ...] = ()
    tracing: Json | None = None
    listeners: tuple[Json, ...] = ()
    clusters: tuple[Json, ...] = ()
    """Beside the upstream's."""
    more: Json | None = None
    """Further members of the bootstrap."""

    def joins(self, work: Work) -> bool:
        return self.rows is None or work.name in self.rows


def _any(message: str, **fields: Any) -> Json:
    return {"@type": f"type.googleapis.com/{message}", **fields}


def _named(name: str, message: str, **fields: Any) -> Json:
    return {"name": name, "typed_config": _any(message, **fields)}


def wasm_filter(name: str, module: Path, configuration: Json | None = None) -> Json:
    config: Json = {
        "name": name,
        "allow_on_headers_stop_iteration": True,
        "failure_policy": "FAIL_CLOSED",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(module)}},
        },
    }
    if configuration is not None:
        config["configuration"] = _any("google.protobuf.Struct", value=configuration)
    return _named(name, "envoy.extensions.filters.http.wasm.v3.Wasm", config=config)


def native_filter(name: str, configuration: Json, module: str = "openai_gateway_filter") -> Json:
    return _named(
        name,
        "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        dynamic_module_config={"name": module},
        filter_name=name,
        filter_config=_any("google.protobuf.Struct", value=configuration),
    )


SIZES = {"keys": 10, "aliases": 10, "allowed": 5}
"""How much this filter has to govern unless told otherwise: virtual keys, and the aliases and the
entries of the allowlist of the key that asks."""


def governance(keys: int, aliases: int, allowed: int) -> Json:
    """This filter's configuration. The first key is the one that asks; its allowlist names what is
    asked for last."""

    def virtual_key(number: int) -> Json:
        secret = f"vk-bench-{number}".encode()
        of_this = (aliases, allowed) if number == 0 else (SIZES["aliases"], SIZES["allowed"])
        names = {f"alias-{n}": f"groq/model-{n}" for n in range(of_this[0] - 1)}
        patterns = [f"team-{n}/*" for n in range(of_this[1] - 1)]
        return {
            "id": f"team-{number}",
            "key_sha256": hashlib.sha256(secret).hexdigest(),
            "providers": ["groq", "vllm"],
            "models_allowed": [*patterns, "groq/llama-3*"],
            "model_aliases": {**names, ALIAS: MODEL_ID},
        }

    return {
        "providers": [
            {
                "name": "groq",
                "base_url": "http://api.groq.test/openai/v1",
                "cluster": "upstream",
                "auth": {"key": PROVIDER_KEY},
            },
            {
                "name": "vllm",
                "kind": "vllm",
                "auth": {"mode": "none"},
                "cluster": "upstream",
            },
        ],
        "virtual_keys": [virtual_key(number) for number in range(keys)],
        "model_aliases": {"gpt-4o-mini": "groq/llama-3.1-8b-instant"},
        "routing": {"cluster_header": ROUTING_HEADER},
    }


def bare() -> Contender:
    return Contender("bare", "bare Envoy")


def this(
    module: Path, name: str = "this", title: str = "this filter", config: Json | None = None, **sizes: int
) -> Contender:
    """With `config`, or with `sizes` of what it governs."""
    return Contender(
        name,
        title,
        (wasm_filter("openai-gateway-filter", module, config or governance(**{**SIZES, **sizes})),),
        rewrites=True,
        normalises=True,
        base_path="/openai/v1",
        routed=True,
    )


def native(
    folder: Path, name: str = "native", title: str = "this filter, native", config: Json | None = None
) -> Contender:
    """The same core and configuration as a dynamic module; its library is in `folder`."""
    return Contender(
        name,
        title,
        (native_filter("openai-gateway-filter", config or governance(**SIZES)),),
        rewrites=True,
        normalises=True,
        base_path="/openai/v1",
        routed=True,
        library_folder=folder,
    )


def native_calls(library: Path) -> Contender:
    """The native module's calls, without its code."""
    calls = (native_filter("native-calls", {}, library.stem.removeprefix("lib")),)
    one = native(library.parent, "native-calls", "this filter's calls alone, native")
    return replace(one, http_filters=calls, normalises=False, rows=CALLS_ROWS)


def _two_positions() -> Json:
    settings = governance(**SIZES)
    settings["routing"]["positions"] = 2
    return settings


def native_two(folder: Path) -> Contender:
    """The dynamic module in two positions."""
    one = native(folder, "native-two", "this filter, native, two positions", _two_positions())
    return replace(one, upstream_http_filters=one.http_filters, rows=TWO_ROWS)


def two(module: Path) -> Contender:
    """The same in two positions."""
    one = this(module, "two", "this filter, two positions", _two_positions())
    return replace(one, upstream_http_filters=one.http_filters, rows=TWO_ROWS)


def floors(module: Path, empty: Path, folder: Path) -> list[Contender]:
    """One position, and in the second a filter that does nothing: what any filter costs there."""
    wasm = (wasm_filter("empty-behind", empty),)
    mutation = _named("nothing-behind", "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", mutations={})
    own = this(module, "empty-behind", "this filter, an empty wasm filter in the second position")
    built_in = native(folder, "native-nothing-behind", "this filter, native, a filter of Envoy's own in the second position")
    return [
        replace(own, upstream_http_filters=wasm, rows=TWO_ROWS, is_extra=True),
        replace(built_in, upstream_http_filters=(mutation,), rows=TWO_ROWS, is_extra=True),
    ]


def counting(module: Path, mode: str) -> Contender:
    """The same with token counts in filter state; without, `this` is `off`."""
    settings = {**governance(**SIZES), "usage": {"mode": mode}}
    filters = (wasm_filter(f"usage-{mode}", module, settings),)
    return replace(this(module, f"usage-{mode}", f"this filter, usage: {mode}"), http_filters=filters,
                   rows=USAGE_ROWS)  # fmt: skip


def fallen(module: Path) -> Contender:
    """Each request fails at a first provider and is answered by the one that all others ask."""
    settings = governance(**SIZES)
    settings["providers"].append({"name": BUSY, "base_url": f"http://{BUSY}.test/v1", "auth": {"mode": "none"}})
    (key, *_) = settings["virtual_keys"]
    key["providers"].append(BUSY)
    key["models_allowed"].append(ALIAS)
    key["model_aliases"][ALIAS] = {"fallback": [f"{BUSY}/{BUSY}", MODEL_ID], "cluster": OVER}
    filter_twice = wasm_filter("openai-gateway-filter", module, settings)
    return replace(two(module), name="fallen", title="this filter, the first of two providers at 503",
                   http_filters=(filter_twice,), upstream_http_filters=(filter_twice,), falls_back=True,
                   rows=FALLEN_ROWS)  # fmt: skip


# Rows that say nothing new about a contender are left out: the run is to stay short.
PARSING_ROWS = frozenset({"chat", "chat-32k", "chat-4m", "embed-100", "stream"})
CALLS_ROWS = PARSING_ROWS | {"embed-1", "stream-paced"}
TWO_ROWS = frozenset({"chat", "stream", "first-event"})
USAGE_ROWS = frozenset({"chat", "stream", "stream-paced"})
FALLEN_ROWS = frozenset({"chat", "first-event"})
PLAIN_ROWS = PARSING_ROWS | {"chat-32k-last", "chat-4m-last", "embed-1", "stream-paced"}


def others(modules: dict[str, Path]) -> list[Contender]:
    """Beside bare Envoy and this filter."""
    lua = _named(
        "lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": LUA},
    )

    def wasm(name: str, title: str, **fields: Any) -> Contender:
        return Contender(name, title, (wasm_filter(name, modules[name]),), **fields)

    return [
        wasm("empty", "empty wasm filter"),
        wasm("calls", "this filter's calls alone", rewrites=True, base_path="/openai/v1",
             routed=True, rows=CALLS_ROWS),
        wasm("naive", "naive wasm filter", rewrites=True),
        wasm("parsing", "parsing wasm filter", rewrites=True, rows=PARSING_ROWS),
        Contender("lua", "Lua filter", (lua,), rewrites=True, rows=PLAIN_ROWS),
    ]


def bootstrap(contender: Contender, upstream_port: int) -> Json:
    """Envoy's configuration. The listener's and the admin's port are chosen by the OS."""
    target = {"cluster_header": ROUTING_HEADER} if contender.routed else {"cluster": "upstream"}
    codec = _named("codec", "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec")
    behind = contender.upstream_http_filters
    upstream = {"upstream_http_filters": [*behind, codec]} if behind else {}
    router = _named("router", "envoy.extensions.filters.http.router.v3.Router", **upstream)
    routes = [{"match": {"prefix": "/"}, "route": {**target, "timeout": "0s"}}]
    if contender.falls_back:
        routes.insert(0, _fallback_route())
    observed = {"access_log": list(contender.access_log)} if contender.access_log else {}
    if contender.tracing:
        observed["tracing"] = contender.tracing
    manager = _named(
        "hcm",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **observed,
        stat_prefix="bench",
        codec_type="AUTO",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        http_filters=[*contender.http_filters, router],
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    # The naive filter and Lua hold whole bodies.
                    "request_body_buffer_limit": HELD_BYTES,
                    "routes": routes,
                }
            ]
        },
    )
    thresholds = {
        "max_connections": 4096,
        "max_pending_requests": 4096,
        "max_requests": 4096,
    }
    endpoint = {"endpoint": {"address": _address(upstream_port)}, **(_of("groq") if contender.falls_back else {})}
    busy_listeners, busy_clusters = _busy() if contender.falls_back else ([], [])
    return {
        **(contender.more or {}),
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "bench",
                    "address": _address(0),
                    "filter_chains": [{"filters": [manager]}],
                },
                *busy_listeners,
                *contender.listeners,
            ],
            "clusters": [
                {
                    "name": "upstream",
                    "type": "STATIC",
                    "circuit_breakers": {"thresholds": [thresholds]},
                    "load_assignment": {
                        "cluster_name": "upstream",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                },
                *busy_clusters,
                *contender.clusters,
            ],
        },
    }


def _of(provider: str) -> Json:
    """Whose host an endpoint is: below a composite cluster nothing else says so."""
    return {"metadata": {"filter_metadata": {"openai-gateway": {"provider": provider}}}}


def _fallback_route() -> Json:
    retries = {
        "retry_on": "5xx",
        "num_retries": 1,
        # Envoy's own pause before a retry is no cost of the filter's: the shortest that there is.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
    }
    match = {"prefix": "/", "headers": [{"name": ROUTING_HEADER, "string_match": {"exact": OVER}}]}
    return {"match": match, "route": {"cluster": OVER, "timeout": "0s", "retry_policy": retries}}


def _busy() -> tuple[list[Json], list[Json]]:
    """A listener that answers 503, its cluster, and the composite cluster with the upstream behind it."""
    address = {"pipe": {"path": f"@bench-{BUSY}-{uuid.uuid4()}"}}
    body = {"inline_string": '{"error":{"message":"busy","type":"server_error"}}'}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 503, "body": body}}
    manager = _named(
        "hcm",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=BUSY,
        http_filters=[_named("router", "envoy.extensions.filters.http.router.v3.Router")],
        route_config={"virtual_hosts": [{"name": BUSY, "domains": ["*"], "routes": [route]}]},
    )
    endpoint = {"endpoint": {"address": address}, **_of(BUSY)}
    load_assignment = {"cluster_name": BUSY, "endpoints": [{"lb_endpoints": [endpoint]}]}
    composite = _any(
        "envoy.extensions.clusters.composite.v3.ClusterConfig",
        clusters=[{"name": BUSY}, {"name": "upstream"}],
    )
    breakers = {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096,
                                "max_requests": 4096, "max_retries": 4096}]}  # fmt: skip
    return [{"name": BUSY, "address": address, "filter_chains": [{"filters": [manager]}]}], [
        {"name": BUSY, "type": "STATIC", "circuit_breakers": breakers, "load_assignment": load_assignment},
        {"name": OVER, "lb_policy": "CLUSTER_PROVIDED", "circuit_breakers": breakers,
         "cluster_type": {"name": "envoy.clusters.composite", "typed_config": composite}},
    ]  # fmt: skip


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
