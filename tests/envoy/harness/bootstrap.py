"""Envoy's bootstrap, built for one test setting."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from . import plugin

Json = dict[str, Any]
SHIPPED = Path(__file__).resolve().parents[3] / "envoy/envoy.yaml"
"""Its labels for metrics are the suite's."""
SECURITY_PAGE = SHIPPED.parents[1] / "docs/security.md"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTING_HEADER = "x-gateway-cluster"
PLUGIN_NAME = "openai_gateway"


@dataclass(frozen=True)
class Setting:
    """What may differ between two Envoys of the suite. Defaults are what most tests run with."""

    config: Json | str = field(default_factory=plugin.configuration)
    form: Literal["string", "struct"] = "string"
    filter_at: Literal["downstream", "upstream", "nowhere"] = "downstream"
    """`upstream`: in the cluster `alpha`, to which everything is routed."""
    env: dict[str, str] = field(default_factory=lambda: dict(plugin.ENV))
    concurrency: int = 1
    stop_iteration: bool = True
    """`allow_on_headers_stop_iteration`."""
    buffer_bytes: int = 1_048_576
    """`per_connection_buffer_limit_bytes` of the listener and of every cluster."""
    route_buffer_bytes: int | None = 2_097_152
    """`request_body_buffer_limit` of the virtual host, which goes before the listener's limit. Envoy
    adds what it has read (up to the listener's limit) to the held body before the filter sees it, and
    answers 413 above this: so it is the sum of that limit and `max_buffered_bytes`, and more."""
    max_header_kb: int = 2048
    idle_timeout: str = "300s"
    fixed_cluster: str | None = None
    """A route that does not follow the filter: everything goes to this cluster."""
    retry: Json | None = None
    """`retry_policy` of the routes."""
    domains: tuple[str, ...] = ()
    """Virtual hosts of their own beside the one for every host; answers say in `x-virtual-host` which it was."""
    every_host: bool = True
    """Whether there is a virtual host for the hosts that `domains` does not name."""
    redirects: bool = False
    """The routes follow a server's redirects by themselves (`internal_redirect_policy`)."""
    rewrite_host: str | None = None
    """`host_rewrite_literal` of the routes."""
    cors_origin: str | None = None
    """Envoy's CORS filter before ours, which lets pages of this origin in: as docs/security.md shows it."""
    compress: bool = False
    """Envoy's compressor toward the client, as in the example configuration."""
    shipped_edges: bool = False
    """Envoy's own replies, and the headers that routes remove, are those of the example configuration."""
    positions: int = int(os.environ.get("POSITIONS", "1"))
    """2: the filter also stands in the router's upstream filters, and is told so.
    With POSITIONS=2 in the environment this is what every test runs with that says nothing else."""
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    """Composite clusters over others, each with a route that tries one after the other; hosts say whose they are."""
    facts: bool = False
    """The access log also shows what `usage` writes (see FACTS)."""
    before: list[Json] = field(default_factory=list)
    """Other HTTP filters of Envoy, in front of ours."""
    behind: list[Json] = field(default_factory=list)
    """Other HTTP filters of Envoy, between ours and the router."""
    more: Callable[[dict[str, int]], tuple[list[Json], list[Json]]] | None = None
    """Further clusters and routes, from the ports of the clusters; hosts say whose they are."""
    ejects_for: str = ""
    """Hosts that fail are ejected for so long after two failures; an ejected one is skipped."""
    ecds: bool = False
    """The filter comes from a file that may be replaced (`Envoy.replace_filter`)."""
    alone: bool = False
    """A process that no other test has used or will: for one whose memory is measured. What an earlier test has let it
    grow by, it would not grow by again."""


def _any(message: str, /, **fields: Any) -> Json:
    return {"@type": f"type.googleapis.com/{message}", **fields}


def _named(name: str, message: str, /, **fields: Any) -> Json:
    return {"name": name, "typed_config": _any(message, **fields)}


FACTS = (
    "virtual_key",
    "operation",
    "model",
    "estimate",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "total_tokens",
    "usage_source",
)
"""The facts in filter state, with `gateway_` before each."""

HOST = os.environ.get("HOST", "wasm")
"""What runs the core: `wasm`, or `native` (Envoy's dynamic modules)."""
TYPES = {
    "wasm": "envoy.extensions.filters.http.wasm.v3.Wasm",
    "native": "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
}
"""The message of the filter's configuration, by host."""
RUNTIME = {"envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": True}
"""Prometheus shows the native module's counters under the same names as the wasm module's."""
NATIVE_NAME = "openai_gateway_filter"


def plugin_filter(setting: Setting, wasm: Path) -> Json:
    """The typed config of the filter under test."""
    configuration = plugin.encode(_plugin_config(setting), setting.form)
    if HOST == "native":
        return _any(
            TYPES[HOST],
            dynamic_module_config={"name": NATIVE_NAME},
            filter_name=PLUGIN_NAME,
            filter_config=configuration,
        )
    code = {"local": {"filename": str(wasm)}}
    return _any(
        TYPES[HOST],
        config={
            "name": PLUGIN_NAME,
            "root_id": PLUGIN_NAME,
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": setting.stop_iteration,
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": code,
                "environment_variables": {"host_env_keys": sorted(setting.env)},
            },
            "configuration": configuration,
        },
    )


def _plugin_config(setting: Setting) -> Json | str:
    """The filter's configuration, in which it is told of its positions."""
    config = setting.config
    if setting.positions == 1 or isinstance(config, str):
        return config
    return {**config, "routing": {"positions": setting.positions, **config.get("routing", {})}}


def ecds_file(setting: Setting, wasm: Path, version: str) -> Json:
    """The discovery file that holds the filter."""
    resource = _any(
        "envoy.config.core.v3.TypedExtensionConfig",
        name=PLUGIN_NAME,
        typed_config=plugin_filter(setting, wasm),
    )
    return {"version_info": version, "resources": [resource]}


def bootstrap(setting: Setting, wasm: Path, ports: dict[str, int], ecds_path: Path) -> Json:
    """A bootstrap with one listener, whose port the OS chooses, and a cluster per upstream."""
    return {
        **_process(),
        "static_resources": {
            "listeners": [listener(setting, wasm, ports, ecds_path)],
            "clusters": clusters(setting, wasm, ports),
        },
    }


def discovering(folder: Path) -> Json:
    """A bootstrap whose listeners and clusters are discovered: what `discovered` says is in a folder's files."""

    def source(name: str) -> Json:
        watched = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
        return {"path_config_source": watched, "resource_api_version": "V3"}

    return {**_process(), "dynamic_resources": {"lds_config": source("lds.json"), "cds_config": source("cds.json")}}


def discovered(message: str, resources: list[Json], version: int) -> Json:
    """What such a file holds."""
    return {"version_info": str(version), "resources": [_any(message, **each) for each in resources]}


def _process() -> Json:
    return {
        "node": {"id": "test", "cluster": "test"},
        "stats_config": _shipped()["stats_config"],
        "admin": {"address": _address(0)},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
    }


def clusters(setting: Setting, wasm: Path, ports: dict[str, int]) -> list[Json]:
    """A cluster per upstream, and those of the setting's own."""
    return [
        *(_cluster(setting, wasm, name, port) for name, port in ports.items()),
        *(_composite(name, parts) for name, parts in setting.fallbacks.items()),
        *(setting.more(ports)[0] if setting.more else []),
    ]


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@cache
def _shipped() -> Json:
    """The example configuration."""
    return yaml.safe_load(SHIPPED.read_text())


def _shipped_manager() -> Json:
    """The HTTP connection manager of the example configuration."""
    (listener,) = _shipped()["static_resources"]["listeners"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def listener(setting: Setting, wasm: Path, ports: dict[str, int], ecds_path: Path) -> Json:
    """The listener with the filter; the OS chooses its port."""
    filters: list[Json] = []
    if setting.compress:
        filters.append(_compressor())
    if setting.cors_origin:
        filters.append(_named("cors", "envoy.extensions.filters.http.cors.v3.Cors"))
    filters.extend(setting.before)
    if setting.filter_at == "downstream":
        filters.append(_filter(setting, wasm, ecds_path))
    filters.extend(setting.behind)
    router: Json = {}
    if setting.positions == 2:
        codec = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
        router["upstream_http_filters"] = [_filter(setting, wasm, ecds_path), _named("codec", codec)]
    filters.append(_named("router", "envoy.extensions.filters.http.router.v3.Router", **router))
    attempts = " attempts=%FILTER_STATE(wasm.gateway_attempts:PLAIN)%" if setting.fallbacks else ""
    facts = "".join(f" {name}=%FILTER_STATE(wasm.gateway_{name}:PLAIN)%" for name in FACTS)
    log_format = (
        "access %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL% %REQ(x-test-id)% "
        "request=%FILTER_STATE(wasm.gateway_request:PLAIN)% "
        f"cache=%FILTER_STATE(wasm.gateway_cache:PLAIN)%{attempts}{facts if setting.facts else ''}\n"
    )
    access_log = _named(
        "stdout",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format={"text_format_source": {"inline_string": log_format}},
    )
    manager = _named(
        "hcm",
        HCM,
        stat_prefix="gateway",
        codec_type="AUTO",
        http_protocol_options={"enable_trailers": True},
        max_request_headers_kb=setting.max_header_kb,
        stream_idle_timeout=setting.idle_timeout,
        normalize_path=True,
        merge_slashes=True,
        access_log=[access_log],
        http_filters=filters,
        route_config=_routes(setting, ports),
    )
    if setting.shipped_edges:
        manager["typed_config"]["local_reply_config"] = _shipped_manager()["local_reply_config"]
    return {
        "name": "gateway",
        "address": _address(0),
        "per_connection_buffer_limit_bytes": setting.buffer_bytes,
        "filter_chains": [{"filters": [manager]}],
    }


def _filter(setting: Setting, wasm: Path, ecds_path: Path) -> Json:
    if not setting.ecds:
        return {"name": PLUGIN_NAME, "typed_config": plugin_filter(setting, wasm)}
    source = {"path": str(ecds_path), "watched_directory": {"path": str(ecds_path.parent)}}
    type_url = f"type.googleapis.com/{TYPES[HOST]}"
    discovery = {"config_source": {"path_config_source": source}, "type_urls": [type_url]}
    return {"name": PLUGIN_NAME, "config_discovery": discovery}


def _compressor() -> Json:
    gzip = _named("gzip", "envoy.extensions.compression.gzip.compressor.v3.Gzip")
    return _named(
        "compressor",
        "envoy.extensions.filters.http.compressor.v3.Compressor",
        compressor_library=gzip,
    )


def _routes(setting: Setting, ports: dict[str, int]) -> Json:
    """`/plain` goes to the cluster `plain`; everything else where the routing header says. With
    `x-test-route: timeout` Envoy waits 0.3 s for an answer."""
    to_chosen: Json = {"cluster_header": ROUTING_HEADER, "timeout": "0s"}
    if setting.filter_at == "upstream":
        to_chosen = {"cluster": "alpha", "timeout": "0s"}
    if setting.fixed_cluster:
        to_chosen = {"cluster": setting.fixed_cluster, "timeout": "0s"}
    if setting.retry:
        to_chosen["retry_policy"] = setting.retry
    if setting.redirects:
        codes = [301, 302, 303, 307, 308]
        to_chosen["internal_redirect_policy"] = {"redirect_response_codes": codes}
    if setting.rewrite_host:
        to_chosen["host_rewrite_literal"] = setting.rewrite_host
    impatient = {"prefix": "/", "headers": [_exactly("x-test-route", "timeout")]}
    routes = [
        *(_fallback_route(name, len(parts)) for name, parts in setting.fallbacks.items()),
        *(setting.more(ports)[1] if setting.more else []),
        {"match": {"prefix": "/plain"}, "route": {"cluster": "plain"}},
        {"match": impatient, "route": {**to_chosen, "timeout": "0.3s"}},
        {"match": {"prefix": "/"}, "route": to_chosen},
    ]
    host: Json = {"name": "all", "domains": ["*"], "routes": routes}
    if setting.route_buffer_bytes is not None:
        host["request_body_buffer_limit"] = setting.route_buffer_bytes
    if setting.cors_origin:
        host["typed_per_filter_config"] = {"cors": _cors_policy(setting.cors_origin)}
    if setting.shipped_edges:
        (shipped,) = _shipped_manager()["route_config"]["virtual_hosts"]
        host["request_headers_to_remove"] = shipped["request_headers_to_remove"]
    named = [_named_host(host, domain) for domain in setting.domains]
    return {"name": "routes", "virtual_hosts": [*named, *([host] if setting.every_host else [])]}


def _named_host(host: Json, domain: str) -> Json:
    tells = {"header": {"key": "x-virtual-host", "value": domain}}
    return {**host, "name": domain, "domains": [domain], "response_headers_to_add": [tells]}


def _cors_policy(origin: str) -> Json:
    """The policy that docs/security.md shows, for another origin."""
    shown = re.search(r"```yaml\n(# A virtual host's.*?)```", SECURITY_PAGE.read_text(), re.S)
    assert shown, "docs/security.md shows no policy"
    (policy,) = yaml.safe_load(shown[1])["typed_per_filter_config"].values()
    return {**policy, "allow_origin_string_match": [{"exact": origin}]}


def _fallback_route(name: str, targets: int) -> Json:
    return fallback_route(name, {"cluster": name}, num_retries=targets - 1)


def fallback_route(name: str, action: Json, **policy: Any) -> Json:
    """A route of requests whose routing header says `name`, with a retry policy for fallbacks."""
    policy = {
        "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-status-codes",
        "retriable_status_codes": [401, 402, 403, 404, 408, 424, 429, 499],
        "num_retries": 1,
        "per_try_idle_timeout": "0.6s",
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.02s"},
        **policy,
    }
    match = {"prefix": "/", "headers": [_exactly(ROUTING_HEADER, name)]}
    return {"match": match, "route": {"timeout": "0s", "retry_policy": policy, **action}}


def host_of(provider: str, port: int) -> Json:
    """An endpoint that says whose it is."""
    metadata = {"filter_metadata": {"openai-gateway": {"provider": provider}}}
    return {"endpoint": {"address": _address(port)}, "metadata": metadata}


def _composite(name: str, parts: list[str]) -> Json:
    config = _any(
        "envoy.extensions.clusters.composite.v3.ClusterConfig",
        clusters=[{"name": part} for part in parts],
    )
    return {
        "name": name,
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        # Envoy's default is three retries at a time: with more, a request gets the first failure.
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "cluster_type": {"name": "envoy.clusters.composite", "typed_config": config},
    }


def _exactly(name: str, value: str) -> Json:
    return {"name": name, "string_match": {"exact": value}}


def _cluster(setting: Setting, wasm: Path, name: str, port: int) -> Json:
    options: Json = {
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
    }
    if setting.filter_at == "upstream" and name == "alpha":
        codec = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
        own = {"name": PLUGIN_NAME, "typed_config": plugin_filter(setting, wasm)}
        options["http_filters"] = [own, _named("codec", codec)]
    host: Json = {"endpoint": {"address": _address(port)}}
    if setting.fallbacks or setting.more:  # else a cluster's name says whose its hosts are
        host = host_of(name.removesuffix("-cluster"), port)
    endpoint = {"lb_endpoints": [host]}
    ejects: Json = {}
    if setting.ejects_for:
        ejects = {
            "outlier_detection": {
                "consecutive_5xx": 2,
                "base_ejection_time": setting.ejects_for,
                "max_ejection_time": setting.ejects_for,
                "max_ejection_percent": 100,
                "interval": "0.1s",
            },
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        }
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "connect_timeout": "2s",
        "per_connection_buffer_limit_bytes": setting.buffer_bytes,
        "typed_extension_protocol_options": {protocol: _any(protocol, **options)},
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
        **ejects,
    }
