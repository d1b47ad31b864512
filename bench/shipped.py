"""What can be added around this filter, as the shipped configurations have it: loggers, the tracer, a local budget.

Read from the files that users copy, so that what is measured is what they run.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from contenders import SIZES, Contender, counting, governance, this, wasm_filter

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
ROWS = frozenset({"chat", "stream-paced"})
ENOUGH = 4_000_000_000
"""Of a bucket: nothing may be refused."""


def contenders(module: Path) -> list[Contender]:
    """Each adds one thing. They run when they are named in --contenders: the usual run is to stay short."""
    manager = _manager("envoy/envoy.yaml")
    observed = _manager("observability/envoy.yaml")
    counts = counting(module, "observe")

    def add(base: Contender, name: str, title: str, **more: Any) -> Contender:
        return replace(base, name=name, title=f"this filter, {title}", rows=ROWS, is_extra=True, **more)

    (log,) = manager["access_log"]
    shipped = yaml.safe_load((ROOT / "observability/envoy.yaml").read_text())
    address = {"pipe": {"path": f"@bench-otlp-{uuid.uuid4()}"}}
    off = wasm_filter("usage-off", module, governance(**SIZES))
    return [
        add(this(module), "log-file", "access log to a file", http_filters=(off,), access_log=(_to_file(log),)),
        add(counts, "log-file-observe", "usage: observe, access log to a file", access_log=(_to_file(log),)),
        add(counts, "stats-log", "usage: observe, stats access logger", access_log=tuple(observed["access_log"]),
            more={"stats_config": shipped["stats_config"]}),
        add(counts, "tracer", "usage: observe, OpenTelemetry", tracing=observed["tracing"],
            listeners=(_collector(address),), clusters=(_cluster("otlp", address),)),
        add(counts, "limits", "usage: observe, local budgets",
            http_filters=(*counts.http_filters, *_budgets())),
    ]  # fmt: skip


def _manager(file: str) -> Json:
    """The HTTP connection manager of a shipped configuration."""
    bootstrap = yaml.safe_load((ROOT / file).read_text())
    (listener,) = bootstrap["static_resources"]["listeners"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def _to_file(log: Json) -> Json:
    """The same log, to a file of the run."""
    typed = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": "access.log",
        "log_format": log["typed_config"]["log_format"],
    }
    return {"name": "envoy.access_loggers.file", "typed_config": typed}


def _budgets() -> list[Json]:
    """The limits of examples/budgets-local, with more in each bucket than a run can take."""
    filters = [one for one in _manager("examples/budgets-local/envoy.yaml")["http_filters"]
               if "local_ratelimit" in one["name"]]  # fmt: skip
    for one in filters:
        for descriptor in one["typed_config"]["descriptors"]:
            descriptor["token_bucket"] |= {"max_tokens": ENOUGH, "tokens_per_fill": ENOUGH}
    return filters


def _collector(address: Json) -> Json:
    """A listener of the same Envoy that takes spans in: what it costs is part of the row."""
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    typed = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "otlp",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "otlp", "domains": ["*"], "routes": [route]}]},
    }
    chain = {"filters": [{"name": "hcm", "typed_config": typed}]}
    return {"name": "otlp", "address": address, "filter_chains": [chain]}


def _cluster(name: str, address: Json) -> Json:
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment}
