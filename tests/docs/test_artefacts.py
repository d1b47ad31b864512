"""What is handed to others: the OCI layout, and the ConfigMap as Kubernetes mounts and replaces it."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_docs import ENVOY, MODULE, ROOT, SHIPPED, Loader, manifests, yaml

sys.path.insert(0, str(ROOT / "demo"))
from stack import HOST, free_ports  # noqa: E402


def test_the_oci_layout_holds_the_module(tmp_path: Path) -> None:
    """As Istio's agent and Envoy Gateway read it: the last layer, an archive with plugin.wasm."""
    folder = tmp_path / "oci"
    subprocess.run([sys.executable, ROOT / "scripts" / "oci.py", MODULE, folder, "0.1.0"], check=True)

    def blob(descriptor: dict) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        data = (folder / "blobs" / algorithm / digest).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest
        assert len(data) == descriptor["size"]
        return data

    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(entry))
    assert entry["mediaType"] == manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    archive = gzip.decompress(blob(layer))
    (diff,) = json.loads(blob(manifest["config"]))["rootfs"]["diff_ids"]
    assert diff == "sha256:" + hashlib.sha256(archive).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        plugin = tar.extractfile("plugin.wasm")
        assert plugin is not None
        assert plugin.read() == Path(MODULE).read_bytes()


def test_the_containerfile_fits_what_it_is_made_of() -> None:
    """No registry of images can be reached where this runs, so nothing is built: its parts are held against each other."""
    steps: dict[str, list[str]] = {}
    for line in (ROOT / "Containerfile").read_text().splitlines():
        if line and not line.startswith("#"):
            keyword, _, rest = line.partition(" ")
            steps.setdefault(keyword, []).append(rest)
    assert set(steps) == {"ARG", "FROM", "COPY", "USER", "CMD"}
    version = (ROOT / ".envoy-version").read_text().strip()
    assert steps["ARG"] == [f"ENVOY={version}"]
    assert steps["FROM"] == ["docker.io/envoyproxy/envoy:distroless-v${ENVOY}"]
    (copied,) = steps["COPY"]
    *_, source, target = copied.split()
    script = (ROOT / "scripts" / "dist.sh").read_text()
    name = re.search(r'^NAME="(.*)\$VERSION"$', script, re.M)
    assert name and 'MODULE="dist/$NAME.wasm"' in script
    assert fnmatch.fnmatch(f"{name[1]}0.1.0.wasm", source) and not fnmatch.fnmatch(f"{name[1]}0.1.0.wasm.sha256", source)
    (settings,) = (item["data"] for item in manifests() if item["kind"] == "ConfigMap")
    assert f"filename: {target}" in settings["filter.yaml"], "the shipped manifest looks for the module elsewhere"
    (deployment,) = (item for item in manifests() if item["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert json.loads(steps["CMD"][0]) == container["args"][:2]
    assert steps["USER"] != ["0"]


class Mount:
    """A folder that changes as the kubelet changes it: the files are links through `..data`, which is replaced."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder, self.version = folder, 0
        folder.mkdir()
        self.replace(files)
        for name in files:
            (folder / name).symlink_to(Path("..data") / name)

    def replace(self, files: dict[str, str]) -> None:
        self.version += 1
        version = self.folder / f"..{self.version}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")


class Server(ThreadingHTTPServer):
    """A chat server that notes what it gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), Handler)
        self.requests: list[tuple[bytes, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((body, dict(self.headers)))
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        data = json.dumps({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def status(port: int, key: str, model: str = "vllm/m") -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://{HOST}:{port}/v1/chat/completions", json.dumps({"model": model, "messages": []}).encode(), {"authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        body = json.loads(error.read())
        return error.code, str(body["error"]["code"])


@pytest.fixture
def files() -> dict[str, str]:
    (data,) = (item["data"] for item in manifests() if item["kind"] == "ConfigMap")
    return data


def test_a_replaced_config_map_takes_effect(files: dict[str, str], tmp_path: Path) -> None:
    key, ports = "vk-of-this-test", free_ports()
    mounted = tmp_path / "mounted"
    vllm = Server()

    def localised(text: str) -> str:
        text = SHIPPED.sub(MODULE, text).replace("/etc/llm-gateway", str(mounted))
        text = text.replace("0.0.0.0, port_value: 10000", f"{HOST}, port_value: {ports['gateway']}")
        text = text.replace("vllm.models.svc.cluster.local, port_value: 8000", f"{HOST}, port_value: {vllm.server_port}")
        text = text.replace("api.groq.com, port_value: 443", f"{HOST}, port_value: {free_ports()['gateway']}")
        text = text.replace("port_value: 9901", f"port_value: {ports['admin']}")
        return text.replace("0" * 64, hashlib.sha256(key.encode()).hexdigest())

    files = {name: localised(text) for name, text in files.items()}
    mount = Mount(mounted, files)
    (resource,) = yaml.load(files["filter.yaml"], Loader)["resources"]
    assert resource["name"] == "openai-gateway-filter"
    with (tmp_path / "envoy.log").open("wb") as log:
        envoy = subprocess.Popen(
            [ENVOY, "-c", mounted / "envoy.yaml", "--reject-unknown-dynamic-fields", "--disable-hot-restart", "--concurrency", "1"],
            env=os.environ | {"GROQ_API_KEY": "x-not-for-vllm"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: status(ports["gateway"], key), (200, ""))
        assert status(ports["gateway"], "vk-wrong") == (401, "invalid_api_key")
        # Nobody listens where Groq would be: the second provider of `fast` answers, with its own model and no key.
        assert status(ports["gateway"], key, "fast") == (200, "")
        asked, seen = vllm.requests[-1]
        assert json.loads(asked)["model"] == "meta-llama/Llama-3.3-70B"
        assert "x-not-for-vllm" not in str(seen) and key not in str(seen)
        revoked = files["filter.yaml"].replace("- id: search-team", "- id: search-team\n            revoked: true")
        assert revoked != files["filter.yaml"]
        mount.replace(files | {"filter.yaml": revoked})
        until(lambda: status(ports["gateway"], key), (403, "virtual_key_revoked"))
        # What the filter refuses changes nothing.
        mount.replace(files | {"filter.yaml": files["filter.yaml"].replace("kind: vllm", "kind: vlm")})
        time.sleep(1)
        assert status(ports["gateway"], key) == (403, "virtual_key_revoked")
    finally:
        envoy.terminate()
        envoy.wait(10)
        vllm.shutdown()
        vllm.server_close()


def until(what, expected, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    seen = None
    while time.monotonic() < deadline:
        try:
            seen = what()
        except OSError as error:
            seen = error
        if seen == expected:
            return
        time.sleep(0.1)
    raise AssertionError(f"{seen!r}, not {expected!r}")
