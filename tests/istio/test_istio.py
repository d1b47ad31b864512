"""The shipped manifests, rendered by a real istiod and served by a real Envoy.

What a machine without a mesh lacks is replaced, and nothing else: TLS toward the client and the provider, the
download of the module, and mutual TLS between pods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mesh import HOST, Istiod, Proxy, free_port
from mesh_parts import (
    DIGEST, UPSTREAM_KEY, Provider, chat, contents, error_code, manifests, send, within_budget, without_service,
)  # fmt: skip

GATEWAY_NODE = {
    "id": "router~10.0.0.9~llm-gateway.istio-ingress~istio-ingress.svc.cluster.local",
    "cluster": "llm-gateway.istio-ingress",
    "metadata": {"NAMESPACE": "istio-ingress", "LABELS": {"istio": "llm-gateway"}, "ISTIO_VERSION": "1.31.0", "CLUSTER_ID": "Kubernetes"},
}
NO_MTLS = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": "istio-system"},
    "spec": {"mtls": {"mode": "DISABLE"}},
}


def maps(value: object) -> Iterator[dict]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from maps(inner)


def of_kind(documents: list[dict], kind: str) -> list[dict]:
    return [document for document in documents if document["kind"] == kind]


def patch(documents: list[dict], what: str) -> dict:
    (found,) = (
        item["patch"]["value"]
        for document in of_kind(documents, "EnvoyFilter")
        for item in document["spec"]["configPatches"]
        if item["applyTo"] == what
    )
    return found


def local_module(documents: list[dict], module: str) -> dict:
    """Puts the module's file where the download is, and gives back the filter's own part."""
    config = patch(documents, "EXTENSION_CONFIG")["typed_config"]["config"]
    config["vm_config"]["code"] = {"local": {"filename": module}}
    settings = config["configuration"]["value"]
    (key,) = settings["virtual_keys"]
    assert key["key_sha256"] == "0" * 64, "the shipped manifest names no real key"
    key["key_sha256"] = DIGEST
    return settings


def served_by(documents: list[dict], provider: Provider) -> tuple[int, str]:
    """Lets the gateway listen here in the clear, and its provider be this one; its port and its own host."""
    port = free_port()
    (gateway,) = of_kind(documents, "Gateway")
    hosts = gateway["spec"]["servers"][0]["hosts"]
    gateway["spec"]["servers"] = [{"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": hosts}]
    (groq,) = (item for item in of_kind(documents, "ServiceEntry") if item["metadata"]["name"] == "groq")
    groq["spec"]["resolution"] = "STATIC"
    groq["spec"]["endpoints"] = [{"address": HOST, "ports": {"https": provider.server_port}}]
    (rule,) = of_kind(documents, "DestinationRule")
    rule["spec"]["trafficPolicy"]["tls"] = {"mode": "DISABLE"}
    return port, hosts[0]


def test_gateway(programs: dict[str, str], provider: Provider, tmp_path: Path) -> None:
    documents = manifests("istio/gateway.yaml")
    settings = local_module(documents, programs["module"])
    port, host = served_by(documents, provider)

    environment = {"GROQ_API_KEY": UPSTREAM_KEY}
    with (
        Istiod(programs["istiod"], tmp_path, [*documents, NO_MTLS]) as istiod,
        Proxy(programs["envoy"], tmp_path, istiod, GATEWAY_NODE, environment) as envoy,
    ):
        dump = envoy.config_dump()
        assert '"allow_on_headers_stop_iteration": true' in dump, "istiod delivers the setting"
        status, headers, body = send(port, host, chat("groq/llama-3.3-70b-versatile"))
        assert status == 200, body
        assert json.loads(body)["choices"][0]["message"]["content"] == "Hello"
        assert headers["x-langwatch-provider"] == "groq"
        path, seen, sent = provider.requests[0]
        assert path == "/openai/v1/chat/completions"
        assert seen["host"] == "api.groq.com"
        assert seen["authorization"] == f"Bearer {UPSTREAM_KEY}"
        assert json.loads(sent)["model"] == "llama-3.3-70b-versatile"
        told = {name for name in seen if name.startswith(("x-forwarded", "x-envoy", "x-gateway"))}
        assert not told - {"x-envoy-peer-metadata", "x-envoy-peer-metadata-id"}, "a provider learns nothing of the mesh"

        status, headers, body = send(port, host, chat("groq/llama-3.3-70b-versatile", stream=True))
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert contents(body) == "Hello"

        held = {"messages": [], "padding": "x" * 3_000_000, "model": "groq/llama-3.3-70b"}
        status, _, body = send(port, host, held)
        assert status == 200, body[:300]

        status, _, body = send(port, host, chat("groq/whisper"))
        assert (status, error_code(body)) == (403, "model_not_allowed")
        status, _, body = send(port, host, chat("groq/llama-3.3-70b-versatile"), key="vk-wrong")
        assert (status, error_code(body)) == (401, "invalid_api_key")
        assert len(provider.requests) == 3, "a refused request never reaches a provider"
        assert send(port, host, chat("x"), path="/other")[0] == 503
        assert settings["providers"][0]["cluster"] in dump


def test_two_positions_with_a_fallback(
    programs: dict[str, str], provider: Provider, second: Provider, tmp_path: Path
) -> None:
    documents = manifests("istio/two-positions.yaml")
    local_module(documents, programs["module"])
    port, host = served_by(documents, provider)
    clusters = {
        item["patch"]["value"]["name"]: item["patch"]["value"]
        for document in of_kind(documents, "EnvoyFilter")
        for item in document["spec"]["configPatches"]
        if item["applyTo"] == "CLUSTER"
    }
    for name, server in (("llm-groq", provider), ("llm-vllm", second)):
        clusters[name].pop("transport_socket", None)
        (endpoint,) = clusters[name]["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"] = {"address": HOST, "port_value": server.server_port}

    with (
        Istiod(programs["istiod"], tmp_path, [*documents, NO_MTLS]) as istiod,
        Proxy(programs["envoy"], tmp_path, istiod, GATEWAY_NODE, {"GROQ_API_KEY": UPSTREAM_KEY}) as envoy,
    ):
        dump = envoy.config_dump()
        assert "upstream_http_filters" in dump, "istiod delivers the second position"
        # What an EnvoyFilter adds to the retry policy stands beside what Istio makes of `retries`.
        policy = next(it["route"]["retry_policy"] for it in maps(json.loads(dump)) if it.get("name") == "fast" and "match" in it)
        assert policy["retriable_status_codes"] == [401, 402, 403, 404, 408, 424, 429, 499], policy
        assert (policy["num_retries"], policy["per_try_idle_timeout"]) == (1, "300s"), policy
        # One provider by its name: the credential is set in the second position.
        status, headers, body = send(port, host, chat("groq/llama-3.3-70b-versatile"))
        assert status == 200, body
        path, seen, _ = provider.requests.pop()
        assert (path, seen["host"]) == ("/openai/v1/chat/completions", "api.groq.com")
        assert seen["authorization"] == f"Bearer {UPSTREAM_KEY}"

        # The first one is well: it is enough.
        status, headers, body = send(port, host, chat("fast"))
        assert (status, headers.get("x-langwatch-provider")) == (200, "groq"), body
        assert json.loads(provider.requests.pop()[2])["model"] == "llama-3.3-70b-versatile"
        assert second.requests == []

        # It fails, also inside a 200: the second one answers, and never sees the first one's key.
        hidden = (200, {"error": {"message": "m", "code": 429}})
        for failure, shown in (((503, {"error": {"message": "busy"}}), 503), (hidden, 429)):
            for stream in (False, True):
                provider.failure = failure
                status, headers, body = send(port, host, chat("fast", stream=stream))
                assert status == 200, body
                assert headers["x-langwatch-attempts"] == f"groq={shown}, vllm=200"
                assert not stream or contents(body) == "Hello"
                (first,), (other,) = provider.requests, second.requests
                assert first[1]["authorization"] == f"Bearer {UPSTREAM_KEY}"
                assert "authorization" not in other[1] and UPSTREAM_KEY not in str(other)
                assert other[0] == "/v1/chat/completions"
                assert other[1]["host"] == "vllm.models.svc.cluster.local:8000"
                assert json.loads(other[2])["model"] == "meta-llama/Llama-3.3-70B"
                told = {name for name in other[1] if name.startswith(("x-forwarded", "x-envoy", "x-gateway"))}
                assert not told - {"x-envoy-peer-metadata", "x-envoy-peer-metadata-id"}, told
                provider.requests.clear()
                second.requests.clear()

        status, _, body = send(port, host, chat("fast"), key="vk-wrong")
        assert (status, error_code(body)) == (401, "invalid_api_key")
        assert not provider.requests and not second.requests


def test_budgets(programs: dict[str, str], provider: Provider, tmp_path: Path) -> None:
    """One machine's budgets: istiod puts Envoy's limit behind the gateway filter."""
    documents = manifests("istio/gateway.yaml")
    local_module(documents, programs["module"])["usage"] = {"mode": "observe"}
    port, host = served_by(documents, provider)
    limits = manifests("istio/budgets.yaml")
    with (
        Istiod(programs["istiod"], tmp_path, [*documents, *limits, NO_MTLS]) as istiod,
        Proxy(programs["envoy"], tmp_path, istiod, GATEWAY_NODE, {"GROQ_API_KEY": UPSTREAM_KEY}),
    ):
        within_budget(port, host, provider, chat("groq/llama-3.3-70b-versatile"))


def test_budgets_of_a_fleet(programs: dict[str, str], provider: Provider, tmp_path: Path) -> None:
    """The service is not there: nothing passes, which shows that it is asked, and where."""
    documents = manifests("istio/gateway.yaml")
    local_module(documents, programs["module"])["usage"] = {"mode": "require"}
    port, host = served_by(documents, provider)
    limits = manifests("istio/budgets-fleet.yaml")
    with (
        Istiod(programs["istiod"], tmp_path, [*documents, *limits, NO_MTLS]) as istiod,
        Proxy(programs["envoy"], tmp_path, istiod, GATEWAY_NODE, {"GROQ_API_KEY": UPSTREAM_KEY}) as envoy,
    ):
        assert "apply_on_stream_done" in envoy.config_dump()
        without_service(port, host, provider, chat("groq/llama-3.3-70b-versatile"))


def test_sidecar(programs: dict[str, str], provider: Provider, tmp_path: Path) -> None:
    port = free_port()
    text = json.dumps(manifests("istio/sidecar.yaml"))
    # The port of the pod's own server; two of these tests may run at once.
    documents = json.loads(text.replace("8000", str(port)))
    local_module(documents, programs["module"])
    # Nothing diverts traffic here as iptables do in a pod: the sidecar listens on the port itself.
    sidecar = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "vllm", "namespace": "models"},
        "spec": {
            "workloadSelector": {"labels": {"app": "vllm"}},
            "ingress": [
                {
                    "port": {"number": port, "protocol": "HTTP", "name": "http"},
                    "bind": HOST,
                    "captureMode": "NONE",
                    "defaultEndpoint": f"{HOST}:{provider.server_port}",
                }
            ],
        },
    }
    node = {
        "id": "sidecar~10.0.0.9~vllm-0.models~models.svc.cluster.local",
        "cluster": "vllm.models",
        "metadata": {
            "NAMESPACE": "models",
            "LABELS": {"app": "vllm"},
            "ISTIO_VERSION": "1.31.0",
            "INTERCEPTION_MODE": "NONE",
            "CLUSTER_ID": "Kubernetes",
        },
    }
    with (
        Istiod(programs["istiod"], tmp_path, [*documents, sidecar, NO_MTLS]) as istiod,
        Proxy(programs["envoy"], tmp_path, istiod, node, {}) as envoy,
    ):
        assert '"allow_on_headers_stop_iteration": true' in envoy.config_dump()
        host = f"vllm.models.svc.cluster.local:{port}"
        status, headers, body = send(port, host, chat("BAAI/bge-m3"))
        assert status == 200, body
        assert headers["x-langwatch-model"] == "BAAI/bge-m3"
        path, seen, _ = provider.requests[0]
        assert path == "/v1/chat/completions"
        assert "authorization" not in seen, "the virtual key stays in the sidecar"

        status, _, body = send(port, host, chat("BAAI/bge-m3", stream=True))
        assert (status, contents(body)) == (200, "Hello")
        status, _, body = send(port, host, chat("other"))
        assert (status, error_code(body)) == (403, "model_not_allowed")
        assert send(port, host, chat("x"), key="vk-wrong")[0] == 401
        assert send(port, host, {}, path="/tokenize")[0] == 403, "only /v1 gets in"
        assert len(provider.requests) == 2
