"""The shipped manifest, translated and delivered by a real Envoy Gateway, served by a real Envoy.

What a machine without a cluster lacks is replaced, and a second key added: where the module and the providers are, TLS
toward the provider (a test of its own has it), and the address of Envoy Gateway's own module server, which is a Service's name in a cluster.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from controller import CERTIFICATES, Controller, ModuleServer, Registry
from mesh import HOST, free_port
from mesh_parts import (
    DIGEST, KEY, ROOT, UPSTREAM_KEY, Provider, chat, contents, error_code, manifests, send, within_budget, without_service,
)  # fmt: skip

NARROW = "vk-that-may-less"
MODEL = "groq/llama-3.3-70b-versatile"


def of(documents: list[dict], kind: str, name: str | None = None) -> dict:
    (found,) = (item for item in documents if item["kind"] == kind and name in (None, item["metadata"]["name"]))
    return found


def local(documents: list[dict], modules: ModuleServer, port: int, servers: dict[str, Provider], certificates: Path) -> list[dict]:
    """The manifest as it runs here."""
    (code,) = (item["code"] for item in of(documents, "EnvoyExtensionPolicy")["spec"]["wasm"])
    assert code["type"] == "HTTP"
    code["http"] = {"url": f"http://{HOST}:{modules.server_port}/openai_gateway_filter.wasm", "sha256": modules.sha256}
    settings = plugin(documents)
    (key,) = settings["virtual_keys"]
    assert key["key_sha256"] == "0" * 64, "the shipped manifest names no real key"
    key["key_sha256"] = DIGEST
    digest = hashlib.sha256(NARROW.encode()).hexdigest()
    settings["virtual_keys"].append({"id": "narrow", "key_sha256": digest, "models_allowed": ["groq/*"]})
    (listener,) = of(documents, "Gateway")["spec"]["listeners"]
    listener["port"] = port
    for name, server in servers.items():
        of(documents, "Backend", name)["spec"]["endpoints"] = [{"ip": {"address": HOST, "port": server.server_port}}]
    # Envoy takes the module from Envoy Gateway: here at this machine's address, and with the certificates that a
    # cluster has in a Secret.
    address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address"
    tls = "/transport_socket/typed_config/common_tls_context"
    file = {name: {"filename": str(certificates / name)} for name in ("ca.crt", "tls.crt", "tls.key")}
    certificate = {"certificate_chain": file["tls.crt"], "private_key": file["tls.key"]}
    operations = [
        {"op": "replace", "path": address, "value": HOST},
        {"op": "replace", "path": f"{tls}/validation_context/trusted_ca", "value": file["ca.crt"]},
        {"op": "remove", "path": f"{tls}/tls_certificate_sds_secret_configs"},
        {"op": "add", "path": f"{tls}/tls_certificates", "value": [certificate]},
    ]
    here = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyPatchPolicy",
        "metadata": {"name": "here", "namespace": "default"},
        "spec": {
            "targetRef": of(documents, "EnvoyPatchPolicy")["spec"]["targetRef"],
            "type": "JSONPatch",
            "jsonPatches": [
                {"type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "wasm_cluster", "operation": operation}
                for operation in operations
            ],
        },
    }
    return [item for item in documents if item["kind"] != "BackendTLSPolicy"] + [here]


def plugin(documents: list[dict]) -> dict:
    (found,) = (item["config"] for item in of(documents, "EnvoyExtensionPolicy")["spec"]["wasm"])
    return found


def test_the_manifest(programs: dict[str, str], module_server: ModuleServer, groq: Provider, vllm: Provider, tmp_path: Path) -> None:
    port = free_port()
    documents = local(manifests("envoy-gateway/gateway.yaml"), module_server, port, {"groq": groq, "vllm": vllm}, tmp_path / CERTIFICATES)
    environment = {"GROQ_API_KEY": UPSTREAM_KEY}
    with Controller(programs["envoy_gateway"], programs["envoy"], tmp_path, documents, port, environment) as gateway:
        statuses = gateway.statuses()
        assert ("Programmed", "True", "Programmed") in statuses["EnvoyPatchPolicy default/llm"], statuses
        refused = {(name, *condition) for name, seen in statuses.items() for condition in seen if condition[1] == "False"}
        # No load balancer gives the Gateway an address here.
        assert refused <= {("Gateway default/llm", "Programmed", "False", "AddressNotAssigned")}, refused

        host = "llm.example.com"
        status, headers, body = send(port, host, chat(MODEL))
        assert status == 200, body
        assert json.loads(body)["choices"][0]["message"]["content"] == "Hello"
        assert headers["x-langwatch-provider"] == "groq"
        path, seen, sent = groq.requests.pop()
        assert path == "/openai/v1/chat/completions"
        assert seen["host"] == "api.groq.com"
        assert seen["authorization"] == f"Bearer {UPSTREAM_KEY}"
        assert json.loads(sent)["model"] == "llama-3.3-70b-versatile"
        told = {name for name in seen if name.startswith(("x-forwarded", "x-envoy", "x-gateway"))}
        assert not told, "a provider learns nothing of the gateway and its clients"

        status, headers, body = send(port, host, chat("vllm/BAAI/bge-m3"))
        assert (status, headers["x-langwatch-provider"]) == (200, "vllm"), body
        path, seen, _ = vllm.requests.pop()
        assert (path, seen["host"]) == ("/v1/chat/completions", "vllm.models.svc.cluster.local:8000")
        assert "authorization" not in seen, "the virtual key goes no further"

        status, headers, body = send(port, host, chat(MODEL, stream=True))
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert contents(body) == "Hello"

        # The model comes behind what Envoy Gateway's listener would buffer.
        held = {"messages": [], "padding": "x" * 3_000_000, "model": MODEL}
        status, _, body = send(port, host, held)
        assert status == 200, body[:300]
        groq.requests.clear()

        status, _, body = send(port, host, chat("vllm/BAAI/bge-m3"), key=NARROW)
        assert (status, error_code(body)) == (403, "model_not_allowed")
        status, _, body = send(port, host, chat(MODEL), key="vk-wrong")
        assert (status, error_code(body)) == (401, "invalid_api_key")
        # A client does not choose the route, neither with the filter's word nor without.
        status, _, body = send(port, host, chat(MODEL), key="vk-wrong", more={"x-gateway-cluster": "groq"})
        assert status == 401, body
        status, _, body = send(port, host, chat("x"), path="/other", more={"x-gateway-cluster": "groq"})
        assert status == 503, body
        assert not groq.requests and not vllm.requests, "a refused request never reaches a provider"
        assert KEY not in gateway.log.read_text(errors="replace")


def test_the_module_from_a_registry(
    programs: dict[str, str], module_server: ModuleServer, groq: Provider, tmp_path: Path
) -> None:
    """As an image: the OCI layout of `make dist`, pulled by Envoy Gateway."""
    layout = tmp_path / "oci"
    subprocess.run([sys.executable, ROOT / "scripts" / "oci.py", programs["module"], layout, "0.1.0"], check=True)
    registry = Registry(layout)
    port = free_port()
    documents = local(manifests("envoy-gateway/gateway.yaml"), module_server, port, {"groq": groq}, tmp_path / CERTIFICATES)
    (wasm,) = of(documents, "EnvoyExtensionPolicy")["spec"]["wasm"]
    digest = registry.manifest.removeprefix("sha256:")
    image = {"url": f"{HOST}:{registry.server_port}/llm/openai-gateway-filter:0.1.0", "sha256": digest}
    wasm["code"] = {"type": "Image", "image": image}
    environment = {"GROQ_API_KEY": UPSTREAM_KEY}
    with Controller(programs["envoy_gateway"], programs["envoy"], tmp_path, documents, port, environment):
        status, _, body = send(port, "llm.example.com", chat(MODEL))
        assert status == 200, body
    (layer,) = json.loads(registry.blobs[registry.manifest])["layers"]
    assert {registry.manifest, layer["digest"]} <= set(registry.pulled)
    registry.close()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a name, and its key."""
    public, private = folder / "provider.crt", folder / "provider.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(private), "-out", str(public)]
    subprocess.run(command, check=True, capture_output=True)
    return public, private


@pytest.mark.parametrize("name", ["api.groq.com", "api.example.com"])
def test_tls_toward_the_provider(
    programs: dict[str, str], module_server: ModuleServer, groq: Provider, tmp_path: Path, name: str
) -> None:
    """As the manifest's BackendTLSPolicy has it, but for who is trusted: the provider's name is asked for, and checked."""
    public, private = certificate(tmp_path, name)
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    context.sni_callback = lambda _, server_name, __: asked.append(server_name)
    groq.socket = context.wrap_socket(groq.socket, server_side=True)
    shipped = manifests("envoy-gateway/gateway.yaml")
    policy = of(shipped, "BackendTLSPolicy")
    port = free_port()
    documents = local(shipped, module_server, port, {"groq": groq}, tmp_path / CERTIFICATES)
    validation = policy["spec"]["validation"]
    assert validation.pop("wellKnownCACertificates") == "System"
    validation["caCertificateRefs"] = [{"group": "", "kind": "ConfigMap", "name": "trusted"}]
    trusted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trusted", "namespace": "default"}}
    documents += [policy, trusted | {"data": {"ca.crt": public.read_text()}}]
    environment = {"GROQ_API_KEY": UPSTREAM_KEY}
    with Controller(programs["envoy_gateway"], programs["envoy"], tmp_path, documents, port, environment):
        status, _, body = send(port, "llm.example.com", chat(MODEL))
    assert asked[0] == "api.groq.com"
    if name == "api.groq.com":
        assert status == 200, body
    else:
        assert status == 503 and not groq.requests, "somebody else's certificate"
        assert error_code(body)


def test_budgets(programs: dict[str, str], module_server: ModuleServer, groq: Provider, tmp_path: Path) -> None:
    port = free_port()
    documents = local(manifests("envoy-gateway/gateway.yaml"), module_server, port, {"groq": groq}, tmp_path / CERTIFICATES)
    plugin(documents)["usage"] = {"mode": "observe"}
    documents += manifests("envoy-gateway/budgets.yaml")
    environment = {"GROQ_API_KEY": UPSTREAM_KEY}
    with Controller(programs["envoy_gateway"], programs["envoy"], tmp_path, documents, port, environment) as gateway:
        assert ("Programmed", "True", "Programmed") in gateway.statuses()["EnvoyPatchPolicy default/llm-budgets"]
        within_budget(port, "llm.example.com", groq, chat(MODEL))


def test_budgets_of_a_fleet(programs: dict[str, str], module_server: ModuleServer, groq: Provider, tmp_path: Path) -> None:
    """The service is not there: nothing passes, which shows that it is asked."""
    port = free_port()
    documents = local(manifests("envoy-gateway/gateway.yaml"), module_server, port, {"groq": groq}, tmp_path / CERTIFICATES)
    plugin(documents)["usage"] = {"mode": "require"}
    documents += manifests("envoy-gateway/budgets-fleet.yaml")
    environment = {"GROQ_API_KEY": UPSTREAM_KEY}
    with Controller(programs["envoy_gateway"], programs["envoy"], tmp_path, documents, port, environment) as gateway:
        assert ("Programmed", "True", "Programmed") in gateway.statuses()["EnvoyPatchPolicy default/llm-budgets"]
        without_service(port, "llm.example.com", groq, chat(MODEL))


def test_the_pods_have_the_keys_that_the_filter_asks_for() -> None:
    shipped = manifests("envoy-gateway/gateway.yaml")
    (wasm,) = of(shipped, "EnvoyExtensionPolicy")["spec"]["wasm"]
    container = of(shipped, "EnvoyProxy")["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]
    assert {variable["name"] for variable in container["env"]} == set(wasm["env"]["hostKeys"])
    named = of(shipped, "Gateway")["spec"]["infrastructure"]["parametersRef"]
    assert (named["kind"], named["name"]) == ("EnvoyProxy", of(shipped, "EnvoyProxy")["metadata"]["name"])


def test_no_backend_is_refused_in_a_cluster() -> None:
    """Envoy Gateway takes loopback addresses and localhost in its standalone mode alone."""
    for item in manifests("envoy-gateway/gateway.yaml"):
        if item["kind"] == "Backend":
            for endpoint in item["spec"]["endpoints"]:
                assert "localhost" not in endpoint.get("fqdn", {}).get("hostname", "")
                address = endpoint.get("ip", {}).get("address")
                assert address is None or not ipaddress.ip_address(address).is_loopback, item["metadata"]["name"]
