"""The configurations that operators copy: each is accepted by Envoy with the module loaded.

`envoy --mode validate` loads the module and runs its `on_configure`, so that the filter's own
configuration is checked as well.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from harness import ENVOY_BIN, FILTER_WASM, ROOT

pytestmark = pytest.mark.wasm_host  # of files that name the wasm module

MAIN = ROOT / "envoy" / "envoy.yaml"
EXAMPLES = sorted((ROOT / "examples").glob("*/envoy.yaml"))
OBSERVABILITY = ROOT / "observability" / "envoy.yaml"
SHORT = ("budgets", "budgets-local")
"""Examples that leave out what a gateway needs that faces clients."""
# Budgets stand beside a gateway's manifest, and hold no filter of ours.
BUDGETS = sorted((ROOT / "envoy" / "istio").glob("budgets*.yaml"))
ISTIO = sorted(set((ROOT / "envoy" / "istio").glob("*.yaml")) - set(BUDGETS))
MODULE = "target/wasm32-wasip1/release/openai_gateway_filter.wasm"
FILTER = "openai-gateway-filter"
HCM = "envoy.filters.network.http_connection_manager"
# Envoy logs these at `warning` and goes on; a model to copy has none.
COMPLAINTS = re.compile(r"deprecated|unknown field", re.IGNORECASE)


class Loader(yaml.SafeLoader):
    """YAML as Envoy reads it: a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> dict:
    return yaml.load(text, Loader)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def env_names(value: object) -> set[str]:
    """Every name below any `host_env_keys`."""
    if isinstance(value, dict):
        return {name for key, item in value.items() for name in (item if key == "host_env_keys" else env_names(item))}
    if isinstance(value, list):
        return {name for item in value for name in env_names(item)}
    return set()


def validate(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs Envoy on a configuration, with this build's module and a value for each variable."""
    path = folder / "envoy.yaml"
    path.write_text(text.replace(MODULE, str(FILTER_WASM)))
    environment = os.environ | {name: f"value-of-{name}" for name in env_names(load(text))}
    command = [ENVOY_BIN, "--mode", "validate", "-c", path]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def expect_valid(text: str, folder: Path) -> None:
    result = validate(text, folder)
    assert result.returncode == 0, result.stderr[-3000:]
    complaints = [line for line in result.stderr.splitlines() if COMPLAINTS.search(line)]
    assert not complaints, "\n".join(complaints)


def connection_manager(config: dict) -> dict:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def router(config: dict) -> dict:
    """The router's own configuration."""
    (found,) = (item for item in connection_manager(config)["http_filters"] if item["name"].endswith(".router"))
    return found["typed_config"]


def positions(config: dict) -> list[tuple[list[dict], int]]:
    """Where the filter stands: lists of filters, and its index in each."""
    lists = [connection_manager(config)["http_filters"], router(config).get("upstream_http_filters", [])]
    found = [(filters, i) for filters in lists for i, item in enumerate(filters) if item["name"] == FILTER]
    assert found[0][0] is lists[0] and len(found) == (2 if lists[1] else 1)
    return found


def replace_filter(config: dict, typed_config: dict) -> None:
    """Puts a filter configuration where the one of `config` is."""
    put_filter(config, {"name": FILTER, "typed_config": typed_config})


def put_filter(config: dict, entry: dict) -> None:
    for filters, index in positions(config):
        filters[index] = entry


def leave_second_position(config: dict) -> None:
    """`config` as it is for a filter that stands in the listener's filters alone."""
    del router(config)["upstream_http_filters"]
    log = connection_manager(config)["access_log"][0]["typed_config"]["log_format"]["json_format"]
    del log["attempts"]


@pytest.mark.parametrize("path", [MAIN, *EXAMPLES, OBSERVABILITY], ids=name_of)
def test_is_valid(path: Path, tmp_path: Path) -> None:
    expect_valid(path.read_text(), tmp_path)


def test_an_envoy_without_memory_says_so(tmp_path: Path) -> None:
    """Envoy refuses what comes before it runs out, in OpenAI's shape."""
    text = MAIN.read_text().replace(MODULE, str(FILTER_WASM))
    for old, new in ((r"max_heap_size_bytes: \d+", "max_heap_size_bytes: 1"), (r"port_value: (9901|10000)\b", "port_value: 0")):
        assert re.search(old, text)
        text = re.sub(old, new, text)
    (tmp_path / "envoy.yaml").write_text(text)
    environment = os.environ | {name: f"value-of-{name}" for name in env_names(load(text))}
    command = [ENVOY_BIN, "--disable-hot-restart", "-c", tmp_path / "envoy.yaml", "--admin-address-path", tmp_path / "admin"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=(tmp_path / "log").open("w")) as envoy:
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "admin").is_file() or "overload_actions" not in admin(tmp_path, "/stats?filter=^overload.*active"):
                assert envoy.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
                time.sleep(0.1)
            while (told := admin(tmp_path, "/stats?filter=^overload.*active")).count(": 1\n") < 3:
                assert time.monotonic() < deadline, told
                time.sleep(0.1)
            (listener,) = json.loads(admin(tmp_path, "/listeners?format=json"))["listener_statuses"]
            port = listener["local_address"]["socket_address"]["port_value"]
            with pytest.raises(HTTPError) as refused:
                urlopen(f"http://127.0.0.1:{port}/v1/models")
            assert (refused.value.status, refused.value.headers["retry-after"]) == (503, "1")
            assert json.load(refused.value)["error"]["code"] == "overloaded"
        finally:
            envoy.kill()


def admin(folder: Path, path: str) -> str:
    with urlopen(f"http://{(folder / 'admin').read_text()}{path}") as reply:
        return reply.read().decode()


def test_providers_that_are_commented_out_are_valid(tmp_path: Path) -> None:
    lines, commented = [], []
    for line in MAIN.read_text().splitlines():
        match = re.fullmatch(r"( *)# ?(.*)", line)
        start = match and re.fullmatch(r"- name: (groq|together)", match[2])
        inside = match and (start or (lines and lines[-1][1]))
        if start:
            commented.append(start[1])
        lines.append((match[1] + match[2] if inside else line, bool(inside)))
    assert sorted(commented) == ["groq", "groq", "together", "together"], "a provider and a cluster each"
    expect_valid("\n".join(line for line, _ in lines), tmp_path)


def test_hot_reload_discovers_a_valid_filter(tmp_path: Path) -> None:
    folder = ROOT / "examples" / "hot-reload"
    config = load((folder / "envoy.yaml").read_text())
    (resource,) = load((folder / "filter.yaml").read_text())["resources"]
    (discovery,) = (item for item in connection_manager(config)["http_filters"] if item["name"] == FILTER)
    assert resource["name"] == discovery["name"]
    assert config["node"]["id"], "discovery needs a node"
    replace_filter(config, resource["typed_config"])
    expect_valid(json.dumps(config), tmp_path)


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.parent.name not in SHORT], ids=name_of)
def test_the_shared_parts_are_the_same(path: Path) -> None:
    """Examples differ in providers, keys, clusters and the routes of fallbacks; all else is explained in one place."""

    def shared(config: dict) -> dict:
        config = copy.deepcopy(config)
        config.pop("node", None)
        config["static_resources"].pop("clusters")
        (host,) = connection_manager(config)["route_config"]["virtual_hosts"]
        host["routes"] = [route for route in host["routes"] if "retry_policy" not in route.get("route", {})]
        filters = connection_manager(config)["http_filters"]
        settings = next((item for item in filters if item["name"] == FILTER and "typed_config" in item), None)
        if settings is None:
            replace_filter(config, {})
            return config
        plugin = settings["typed_config"]["config"]
        plugin.pop("configuration")
        plugin["vm_config"].pop("environment_variables", None)
        return config

    main, example = shared(load(MAIN.read_text())), shared(load(path.read_text()))
    if path.parent.name == "one-position":
        leave_second_position(main)
    if path.parent.name == "hot-reload":
        replace_filter(main, {})
    assert example == main


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.parent.name in SHORT], ids=name_of)
def test_what_short_examples_share_is_the_same(path: Path) -> None:
    """What they do have: the filter, the virtual host, what no client may set."""

    def plugin(manager: dict) -> dict:
        (settings,) = (item["typed_config"]["config"] for item in manager["http_filters"] if item["name"] == FILTER)
        return {name: value for name, value in settings.items() if name != "configuration"}

    main, example = connection_manager(load(MAIN.read_text())), connection_manager(load(path.read_text()))
    assert plugin(example) == plugin(main) | {"vm_config": plugin(example)["vm_config"]}
    kept = {"normalize_path", "merge_slashes", "use_remote_address", "early_header_mutation_extensions"}
    assert {name: example[name] for name in kept} == {name: main[name] for name in kept}
    (host,), (full,) = (manager["route_config"]["virtual_hosts"] for manager in (example, main))
    assert host | {"routes": None} == full | {"routes": None}


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_has_a_readme_that_the_index_names(path: Path) -> None:
    assert (path.parent / "README.md").exists()
    assert f"({path.parent.name}/)" in (ROOT / "examples" / "README.md").read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("allow_on_headers_stop_iteration", "allow_on_header_stop_iteration"),
        ("kind: vllm", "kind: vllmm"),
        ("models_allowed", "models_alowed"),
    ],
)
def test_a_mistake_is_found(old: str, new: str, tmp_path: Path) -> None:
    """That the tests above can fail: in Envoy's fields and in the filter's."""
    text = MAIN.read_text()
    assert old in text
    assert validate(text.replace(old, new), tmp_path).returncode != 0


@pytest.mark.parametrize("path", ISTIO, ids=name_of)
def test_envoy_configuration_for_istio_is_valid(path: Path, tmp_path: Path) -> None:
    """What Istio would make of the EnvoyFilter, in a bootstrap with static parts."""
    documents = list(yaml.load_all(path.read_text(), Loader))
    (envoy_filter,) = (item for item in documents if item["kind"] == "EnvoyFilter")
    patches, clusters = {}, []
    for patch in envoy_filter["spec"]["configPatches"]:
        name = patch["applyTo"]
        if name == "CLUSTER":
            clusters.append(patch["patch"]["value"])
            continue
        if name == "HTTP_FILTER" and patch["patch"]["operation"] == "MERGE":
            name = "ROUTER"
        assert name not in patches
        patches[name] = patch["patch"]["value"]

    extension, inserted = patches.pop("EXTENSION_CONFIG"), patches.pop("HTTP_FILTER")
    plugin = extension["typed_config"]["config"]
    assert plugin["allow_on_headers_stop_iteration"] is True
    assert extension["name"] == inserted["name"]
    discovery = inserted["config_discovery"]
    assert extension["typed_config"]["@type"] in discovery["type_urls"]
    code = plugin["vm_config"]["code"]
    assert code.keys() <= {"remote", "local"}
    # Istio's agent replaces a remote by the file that it fetched.
    downloads = "remote" in code
    plugin["vm_config"]["code"] = {"local": {"filename": MODULE}}

    second = patches.pop("ROUTER", None)
    settings = plugin["configuration"]["value"]
    assert settings.get("routing", {}).get("positions", 1) == (2 if second else 1)
    if second:
        assert second["typed_config"]["@type"] == router(load(MAIN.read_text()))["@type"]
        again, codec = second["typed_config"]["upstream_http_filters"]
        assert (again["name"], codec["name"]) == (extension["name"], "envoy.filters.http.upstream_codec")
        assert set(again["config_discovery"]["type_urls"]) <= set(discovery["type_urls"])

    def start() -> dict:
        config = load(MAIN.read_text())
        if not second:
            leave_second_position(config)
        return config

    config = start()
    manager = connection_manager(config)
    replace_filter(config, extension["typed_config"])
    manager["route_config"]["virtual_hosts"][0] |= patches.pop("VIRTUAL_HOST")
    merged = patches.pop("NETWORK_FILTER")["typed_config"]
    assert merged["@type"] == manager["@type"]
    manager |= merged
    config["static_resources"]["clusters"] += clusters
    action = patches.pop("HTTP_ROUTE", {}).get("route")
    if action:
        assert action["cluster"] in {cluster["name"] for cluster in clusters}
        manager["route_config"]["virtual_hosts"][0]["routes"].insert(0, {"match": {"prefix": "/fast"}, "route": action})
    assert not patches, "every patch is validated"
    expect_valid(json.dumps(config), tmp_path)

    # The discovery as it stands. Nothing answers; Envoy would wait.
    config = start()
    put_filter(config, inserted)
    if second:
        router(config)["upstream_http_filters"] = second["typed_config"]["upstream_http_filters"]
    config["node"] = {"id": "test", "cluster": "test"}
    config["dynamic_resources"] = {
        "ads_config": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "vllm"}}],
        }
    }
    expect_valid(json.dumps(config), tmp_path)
    rbac = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
    assert (rbac in discovery["type_urls"]) == downloads


@pytest.mark.parametrize("path", BUDGETS, ids=name_of)
def test_budgets_for_istio_are_valid(path: Path, tmp_path: Path) -> None:
    """What Istio adds to a gateway for them, in the bootstrap that is shipped."""
    (envoy_filter,) = yaml.load_all(path.read_text(), Loader)
    added: dict[str, list[dict]] = {"HTTP_FILTER": [], "CLUSTER": []}
    for patch in envoy_filter["spec"]["configPatches"]:
        added[patch["applyTo"]].append(patch["patch"]["value"])
    assert added["HTTP_FILTER"]
    config = load(MAIN.read_text())
    *before, last = connection_manager(config)["http_filters"]
    connection_manager(config)["http_filters"] = [*before, *added["HTTP_FILTER"], last]
    config["static_resources"]["clusters"] += added["CLUSTER"]
    expect_valid(json.dumps(config), tmp_path)


@pytest.mark.parametrize("name", ["gateway.yaml", "two-positions.yaml"])
def test_istio_routes_name_the_clusters_of_the_providers(name: str) -> None:
    documents = list(yaml.load_all((ROOT / "envoy" / "istio" / name).read_text(), Loader))
    kinds: dict[str, list[dict]] = {}
    for document in documents:
        kinds.setdefault(document["kind"], []).append(document["spec"])
    (patch,) = (item for item in kinds["EnvoyFilter"][0]["configPatches"] if item["applyTo"] == "EXTENSION_CONFIG")
    settings = patch["patch"]["value"]["typed_config"]["config"]["configuration"]["value"]
    header = settings["routing"]["cluster_header"]
    clusters = {provider["cluster"] for provider in settings["providers"]}

    # A fallback's route gets its cluster, which is no host of the mesh, by its name.
    patched = {
        item["match"]["routeConfiguration"]["vhost"]["route"]["name"]: item["patch"]["value"]["route"]["cluster"]
        for item in kinds["EnvoyFilter"][0]["configPatches"]
        if item["applyTo"] == "HTTP_ROUTE"
    }
    fallbacks = {alias["cluster"] for alias in settings.get("model_aliases", {}).values()}
    assert set(patched.values()) == fallbacks

    matched = {}
    for route in kinds["VirtualService"][0]["http"]:
        if route.get("name") in patched:
            (match,) = route["match"]
            assert match["headers"][header]["exact"] == patched[route["name"]]
            assert route["retries"]["attempts"] == 1
            continue
        for match in route.get("match", []):
            matched[match["headers"][header]["exact"]] = route["route"][0]["destination"]
    assert matched.keys() == clusters
    hosts = {host for entry in kinds["ServiceEntry"] for host in entry["hosts"]}
    for cluster, destination in matched.items():
        assert cluster == f"outbound|{destination['port']['number']}||{destination['host']}"
        if destination["host"].endswith(".svc.cluster.local"):
            continue  # a Service of the mesh
        assert destination["host"] in hosts
        assert destination["host"] in {rule["host"] for rule in kinds["DestinationRule"]}
