"""A real Envoy Gateway without Kubernetes: its manifests come from a file, and it starts the Envoy itself.

That is Envoy Gateway's own standalone mode (provider `Custom`, resources `File`, infrastructure `Host`): the same
translation, statuses, module cache and xDS server as in a cluster. Its own ports are fixed, so there is one at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mesh import HOST

START_SECONDS = 60
# xDS, the modules, its own admin, metrics and health: none of them can be chosen.
PORTS = (18000, 18002, 19000, 19001, 8081)
# Below its folder: what an Envoy shows to Envoy Gateway, and what it knows Envoy Gateway by.
CERTIFICATES = "config/certs/envoy"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"


class ModuleServer(ThreadingHTTPServer):
    """Where Envoy Gateway downloads the module from."""

    daemon_threads = True

    def __init__(self, module: Path) -> None:
        super().__init__((HOST, 0), _Handler)
        self.module = module.read_bytes()
        self.sha256 = hashlib.sha256(self.module).hexdigest()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModuleServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/wasm")
        self.send_header("content-length", str(len(self.server.module)))
        self.end_headers()
        self.wfile.write(self.server.module)


class Registry(ThreadingHTTPServer):
    """A registry of images that has one: an OCI layout, for any name and tag."""

    daemon_threads = True

    def __init__(self, layout: Path) -> None:
        super().__init__((HOST, 0), _RegistryHandler)
        (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
        self.manifest, self.media_type = entry["digest"], entry["mediaType"]
        self.blobs = {f"sha256:{path.name}": path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}
        self.pulled: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _RegistryHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        *_, kind, reference = self.path.rsplit("/", 2)
        is_manifest = kind == "manifests"
        digest = self.server.manifest if is_manifest and not reference.startswith("sha256:") else reference
        data = b"{}" if self.path == "/v2/" else self.server.blobs.get(digest)
        self.send_response(404 if data is None else 200)
        self.send_header("content-type", self.server.media_type if is_manifest else "application/octet-stream")
        self.send_header("content-length", str(len(data or b"")))
        self.send_header("docker-content-digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.server.pulled.append(digest)
            self.wfile.write(data or b"")

    do_HEAD = do_GET


class Controller:
    """Envoy Gateway on the manifests given, and the Envoy that it starts."""

    def __init__(self, program: str, envoy: str, folder: Path, manifests: list[dict], port: int, environment: dict[str, str]) -> None:
        for taken in PORTS:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("", taken))
                except OSError as error:
                    raise RuntimeError(f"Envoy Gateway needs port {taken}, and something else has it: {error}") from error
        self.program, self.folder, self.port = program, folder, port
        self.environment = {"HOME": str(folder)} | environment
        self.log = folder / "envoy-gateway.log"
        self.process: subprocess.Popen | None = None
        # In its data folder Envoy Gateway looks for the version that the EnvoyProxy names before it downloads one.
        version = subprocess.run([envoy, "--version"], capture_output=True, text=True, check=True).stdout
        (self.envoy_version,) = re.search(r"/(\d+\.\d+\.\d+)/", version).groups()
        place = folder / "data" / "envoy-versions" / self.envoy_version / "bin"
        place.mkdir(parents=True)
        (place / "envoy").symlink_to(envoy)
        self.resources = folder / "resources"
        self.resources.mkdir()
        for item in manifests:
            if item["kind"] == "EnvoyProxy":  # a process of this machine, not pods
                item["spec"] = {"provider": {"type": "Host", "host": {"envoyVersion": self.envoy_version}}}
        (self.resources / "manifests.yaml").write_text("\n---\n".join(json.dumps(item) for item in manifests))
        self.settings = folder / "settings.json"
        self.settings.write_text(
            json.dumps(
                {
                    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                    "kind": "EnvoyGateway",
                    "gateway": {"controllerName": CONTROLLER},
                    "provider": {
                        "type": "Custom",
                        "custom": {
                            "resource": {"type": "File", "file": {"paths": [str(self.resources)]}},
                            "infrastructure": {
                                "type": "Host",
                                "host": {
                                    "configHome": str(folder / "config"),
                                    "dataHome": str(folder / "data"),
                                    "stateHome": str(folder / "state"),
                                    "runtimeDir": str(folder / "runtime"),
                                },
                            },
                        },
                    },
                    # What docs/kubernetes.md says to switch on.
                    "extensionApis": {"enableEnvoyPatchPolicy": True, "enableBackend": True},
                }
            )
        )

    def __enter__(self) -> Controller:
        environment = os.environ | self.environment
        certificates = [self.program, "certgen", "--local", "--config-home", str(self.folder / "config")]
        subprocess.run(certificates, env=environment, check=True, capture_output=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.program, "server", "--config-path", str(self.settings)],
                cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((HOST, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        tail = "\n".join(line[:400] for line in self.log.read_text(errors="replace").splitlines()[-40:])
        raise RuntimeError(f"no listener on {self.port} (Envoy Gateway's status {self.process.poll()}):\n{tail}")

    def statuses(self) -> dict[str, set[tuple[str, str, str]]]:
        """By kind: type, status and reason of each condition that Envoy Gateway has reported last."""
        found: dict[str, set[tuple[str, str, str]]] = {}
        text = self.log.read_text(errors="replace")
        for kind, body, name in re.findall(r"Got new status for (\w+)\n(.*?)\n\t\{.*?\"key\": \"([^\"]*)\"\}", text, re.DOTALL):
            conditions = re.findall(r"reason: (\w+)\n\s+status: \"(\w+)\"\n\s+type: (\w+)", body)
            found[f"{kind} {name}"] = {(kind_of, status, reason) for reason, status, kind_of in conditions}
        return found

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        # Its Envoy is in the same group; it is gone already where the end was in order.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
