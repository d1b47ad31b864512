"""Two positions and TLS: the provider's certificate is held against the provider's name, whatever a client's `Host` says."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Upstream, expect, fallback_route, host_of, plugin
from harness.plugin import PROVIDER_KEYS

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
EVIL = "evil.example"
"""What the client says in `Host`."""
NAMES = {"alpha": "alpha.test", "beta": "beta.test"}
"""The host of each provider's `base_url`."""
CERTIFIED = {"alpha.test": "alpha", EVIL: "beta"}
"""`beta`'s server has a certificate that is trusted, for the name that the client sends."""


class TlsUpstream(Upstream):
    """An upstream that speaks TLS and keeps the server names that it was asked for."""

    def __init__(self, name: str, certificate: Path) -> None:
        self.names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.set_alpn_protocols(["http/1.1"])
        self._context.sni_callback = lambda _sock, asked, _context: self.names.append(asked)
        super().__init__(name)

    def reset(self) -> None:
        super().reset()
        self.names = []

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):  # also where the client refuses the certificate
            super()._serve(self._context.wrap_socket(sock, server_side=True), number)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A certificate with its key for each name, and as `all` what trusts them."""
    folder = tmp_path_factory.mktemp("tls")
    made: dict[str, Path] = {}
    for name in CERTIFIED:
        made[name] = folder / f"{name}.pem"
        command = [
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ]
        subprocess.run(command, check=True, capture_output=True)
        made[name].write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    made["all"] = folder / "all.pem"
    trusted = (made[name].read_text().partition("-----BEGIN PRIVATE")[0] for name in CERTIFIED)
    made["all"].write_text("".join(trusted))
    return made


@pytest.fixture(scope="module")
def module_servers(certificates: dict[str, Path]) -> Iterator[dict[str, TlsUpstream]]:
    servers = {of: TlsUpstream(of, certificates[name]) for name, of in CERTIFIED.items()}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def servers(module_servers: dict[str, TlsUpstream]) -> dict[str, TlsUpstream]:
    for server in module_servers.values():
        server.reset()
    return module_servers


def yaml_of(name: str) -> list[Any]:
    """The documents of a file, or those of a page's blocks, and those that stand in their texts."""
    text = (ROOT / name).read_text()
    texts = re.findall(r"```yaml\n(.*?)```", text, re.S) if name.endswith(".md") else [text]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def maps(value: Any) -> Iterator[Json]:
    if isinstance(value, str) and "transport_socket" in value:
        value = yaml.safe_load(value)
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from maps(inner)


SHIPPED = ["examples/hosted-providers/envoy.yaml", "envoy/kubernetes/gateway.yaml", "envoy/istio/two-positions.yaml", "README.md"]


def shipped_cluster(file: str) -> Json:
    """The cluster of Groq as a file has it."""
    found = [it for it in maps(yaml_of(file)) if "groq" in str(it.get("name")) and "transport_socket" in it]
    assert len(found) == 1, f"{file} has {len(found)} clusters of Groq"
    return found[0]


def cluster_of(shipped: Json, provider: str, port: int, trusted: Path) -> Json:
    """The same for a provider of this suite, with nothing changed but names, the address and whom to trust."""
    text = json.dumps({**deepcopy(shipped), "name": f"{provider}-tls"})
    text = text.replace("api.groq.com", NAMES[provider]).replace("/etc/ssl/certs/ca-certificates.crt", str(trusted))
    cluster = json.loads(text)
    cluster.pop("dns_lookup_family", None)
    cluster["type"] = "STATIC"
    endpoints = [{"lb_endpoints": [host_of(provider, port)]}]
    return {**cluster, "load_assignment": {"cluster_name": cluster["name"], "endpoints": endpoints}}


def start(start_envoy, servers, certificates, shipped: Json):
    """Two providers in clusters of their own, and `both` in a composite cluster over them."""
    providers = plugin.providers()
    for provider in providers:
        if provider["name"] in NAMES:
            provider["cluster"] = f"{provider['name']}-tls"
    aliases = {"both": {"fallback": ["beta/b", "alpha/a"], "cluster": "over"}}
    config = plugin.configuration(providers=providers, model_aliases=aliases)
    composite = {
        "@type": "type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig",
        "clusters": [{"name": "beta-tls"}, {"name": "alpha-tls"}],
    }

    def more(_: dict[str, int]) -> tuple[list[Json], list[Json]]:
        trusted = certificates["all"]
        own = [cluster_of(shipped, name, server.port, trusted) for name, server in servers.items()]
        over = {
            "name": "over",
            "connect_timeout": "1s",
            "lb_policy": "CLUSTER_PROVIDED",
            "cluster_type": {"name": "envoy.clusters.composite", "typed_config": composite},
        }
        return [*own, over], [fallback_route("over", {"cluster": "over"})]

    return start_envoy(config=config, positions=2, more=more)


def ask(envoy, model: str):
    return envoy.post(body={"model": model, "messages": []}, fields=[("host", EVIL)])


@pytest.mark.parametrize("file", SHIPPED)
def test_a_certificate_for_another_name_is_refused(start_envoy, servers, certificates, file):
    """With the cluster as it is shipped: alone, and below a composite cluster."""
    envoy = start(start_envoy, servers, certificates, shipped_cluster(file))
    expect.good(ask(envoy, "alpha/a"))
    got = servers["alpha"].only
    assert got.header("host") == "alpha.test"
    assert got.header("authorization") == "Bearer " + PROVIDER_KEYS["alpha"]
    assert servers["alpha"].names == ["alpha.test"]

    assert ask(envoy, "beta/b").status == 503
    assert servers["beta"].names == ["beta.test"], "the name of base_url, not the client's"
    assert servers["beta"].requests == []

    reply = expect.good(ask(envoy, "both"))
    assert reply.header("x-langwatch-attempts") == "beta=none, alpha=200"
    assert set(servers["beta"].names) == {"beta.test"} and len(servers["beta"].names) >= 2
    assert servers["beta"].requests == []
    assert set(servers["alpha"].names) == {"alpha.test"}


def test_what_check_warns_of(start_envoy, servers, certificates):
    """Envoy takes the automatic names from the client, and any name where none is asked for."""
    shipped = deepcopy(shipped_cluster(SHIPPED[0]))
    tls = shipped["transport_socket"]["typed_config"]
    del tls["sni"]
    del tls["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    (options,) = shipped["typed_extension_protocol_options"].values()
    options["upstream_http_protocol_options"] = {"auto_sni": True, "auto_san_validation": True}
    envoy = start(start_envoy, servers, certificates, shipped)
    assert ask(envoy, "alpha/a").status == 503, "the right certificate"
    assert servers["alpha"].requests == []
    expect.good(ask(envoy, "beta/b"))
    assert servers["beta"].names == [EVIL]
    assert servers["beta"].only.header("api-key") == PROVIDER_KEYS["beta"], "the wrong one gets the key"
    servers["beta"].reset()
    # Below a composite cluster Envoy 1.40 reads neither: no name is sent, and every certificate passes. Before it, the
    # client's name is taken there, too.
    expect.good(ask(envoy, "both"))
    assert servers["beta"].only.header("host") == "beta.test:8080"
    assert servers["beta"].names in ([None], [EVIL])
