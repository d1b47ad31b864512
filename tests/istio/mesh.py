"""A mesh of one proxy: a real istiod that reads manifests from files, and a real Envoy that gets everything from it.

istiod wants a Kubernetes API even where its configuration comes from files: `KubernetesApi` answers every
list with nothing. Envoy is not Istio's build, so Istio's own extensions (metadata exchange, ALPN, statistics)
are switched off, and what Istio's agent does (certificates, downloads) is left out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class KubernetesApi(ThreadingHTTPServer):
    """Answers lists with nothing, watches with silence, and takes what it is given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.ending = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig.json"
        cluster = {"server": f"http://{HOST}:{self.server_port}"}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "empty", "cluster": cluster}],
                    "users": [{"name": "test", "user": {}}],
                    "contexts": [{"name": "empty", "context": {"cluster": "empty", "user": "test"}}],
                    "current-context": "empty",
                }
            )
        )
        return path

    def close(self) -> None:
        self.ending.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KubernetesApi

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/version":
            self.answer({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        elif path in ("/api", "/apis"):
            kind = "APIVersions" if path == "/api" else "APIGroupList"
            self.answer({"kind": kind, "versions": ["v1"], "groups": []})
        elif "watch=true" in query or "watch=1" in query:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.server.ending.wait(600)
        elif "/namespaces/istio-system/configmaps/" in path or "/leases/" in path:
            self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}, 404)
        else:
            self.answer({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        try:
            self.answer(json.loads(body), 201)
        except ValueError:
            self.answer({"kind": "Status", "status": "Success"}, 201)

    do_PUT = do_PATCH = do_POST


class Istiod:
    """istiod on manifests in a folder."""

    def __init__(self, program: str, folder: Path, manifests: list[dict]) -> None:
        self.folder, self.program = folder, program
        self.api = KubernetesApi()
        self.config = folder / "manifests"
        self.config.mkdir()
        for number, manifest in enumerate(manifests):
            (self.config / f"{number:02}.yaml").write_text(json.dumps(manifest))
        (folder / "mesh.json").write_text(json.dumps({"accessLogFile": "", "enableTracing": False}))
        self.ports = {name: free_port() for name in ("grpc", "http", "secure", "monitoring", "ctrlz")}
        self.log = folder / "istiod.log"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Istiod:
        ports = self.ports
        command = [
            self.program,
            "discovery",
            f"--configDir={self.config}",
            f"--kubeconfig={self.api.kubeconfig(self.folder)}",
            f"--meshConfig={self.folder / 'mesh.json'}",
            f"--grpcAddr={HOST}:{ports['grpc']}",
            f"--httpAddr={HOST}:{ports['http']}",
            "--httpsAddr=",
            f"--secureGRPCAddr={HOST}:{ports['secure']}",
            f"--monitoringAddr={HOST}:{ports['monitoring']}",
            f"--ctrlz_port={ports['ctrlz']}",
            "--shutdownDuration=0s",
        ]
        environment = os.environ | {
            "POD_NAMESPACE": "istio-system",
            "POD_NAME": "istiod",
            # Lists, not streams of initial events, which the empty API does not send.
            "KUBE_FEATURE_WatchListClient": "false",
            "PILOT_ENABLE_METADATA_EXCHANGE": "false",
            "PILOT_ENABLE_ALPN_FILTER": "false",
            "PILOT_ENABLE_GATEWAY_API": "false",
            "PILOT_ENABLE_STATUS": "false",
            "ENABLE_CA_SERVER": "false",
            "VALIDATION_WEBHOOK_CONFIG_NAME": "",
            "INJECTION_WEBHOOK_CONFIG_NAME": "",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        ready_or_stop(f"http://{HOST}:{ports['http']}/ready", self)
        return self

    def __exit__(self, *_: object) -> None:
        stop(self.process)
        self.api.close()


class Proxy:
    """Envoy with the bootstrap that Istio's agent would give it."""

    def __init__(self, program: str, folder: Path, istiod: Istiod, node: dict, environment: dict[str, str]) -> None:
        self.program, self.folder, self.environment = program, folder, environment
        self.admin = free_port()
        self.log = folder / "envoy.log"
        self.process: subprocess.Popen | None = None
        ads = {"ads": {}, "resource_api_version": "V3"}
        self.bootstrap = {
            "node": node,
            "admin": {"address": {"socket_address": {"address": HOST, "port_value": self.admin}}},
            "dynamic_resources": {
                "lds_config": ads,
                "cds_config": ads,
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": True,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "xds-grpc",
                        "type": "STATIC",
                        "connect_timeout": "2s",
                        "typed_extension_protocol_options": {
                            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                                "explicit_http_config": {"http2_protocol_options": {}},
                            }
                        },
                        "load_assignment": {
                            "cluster_name": "xds-grpc",
                            "endpoints": [
                                {
                                    "lb_endpoints": [
                                        {
                                            "endpoint": {
                                                "address": {
                                                    "socket_address": {
                                                        "address": HOST,
                                                        "port_value": istiod.ports["grpc"],
                                                    }
                                                }
                                            }
                                        }
                                    ]
                                }
                            ],
                        },
                    }
                ]
            },
        }

    def __enter__(self) -> Proxy:
        path = self.folder / "bootstrap.json"
        path.write_text(json.dumps(self.bootstrap))
        command = [self.program, "-c", str(path), "--disable-hot-restart", "--concurrency", "1"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | self.environment, stdout=log, stderr=log, start_new_session=True
            )
        ready_or_stop(f"http://{HOST}:{self.admin}/ready", self)
        return self

    def __exit__(self, *_: object) -> None:
        stop(self.process)

    def config_dump(self) -> str:
        with urllib.request.urlopen(f"http://{HOST}:{self.admin}/config_dump?include_eds", timeout=10) as answer:
            return answer.read().decode()


def ready_or_stop(url: str, server: Istiod | Proxy) -> None:
    try:
        wait_for(url, server.process, server.log)
    except BaseException:
        server.__exit__()
        raise


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    tail = "\n".join(line[:400] for line in log.read_text(errors="replace").splitlines()[-30:])
    raise RuntimeError(f"{url} is not there (status {process.poll()}):\n{tail}")


def stop(process: subprocess.Popen | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
