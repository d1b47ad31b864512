"""Other gateways, from the package registries, each in an environment of its own below .cache/bench.

Each is told the same: the client's model goes upstream under another name and with another credential.
Access logs and telemetry are off, and there is one worker.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import expect
from contenders import PROVIDER_KEY, VIRTUAL_KEY
from processes import ENVOY, PROXY_CORE, ROOT, Load, Proxy, on_core
from work import ALIAS, MODEL, Work

CACHE = ROOT / ".cache" / "bench"
START_SECONDS = 90.0
INSTALL_SECONDS = 3600.0
"""A crate is built, and with link-time optimization."""
BODY_BYTES = 64 << 20


@dataclass(frozen=True)
class Setting:
    """What a peer is started with: `port` to listen on, the upstream's, and a folder to write to."""

    package: Path
    folder: Path
    port: int
    upstream: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream}/v1"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


@dataclass(frozen=True)
class Start:
    """A command line, and what goes with it."""

    command: list[str | Path]
    environment: dict[str, str] = field(default_factory=dict)
    headers: str = ""


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    requirements: tuple[str, ...]
    """The first is the gateway's own package and version. Of a crate, the others say what of it is built."""
    start: Callable[[Setting], Start]
    ready: str = "/"
    """A path that answers, with whatever status, once the peer is up."""
    installer: str = "pip"
    """Or npm or cargo."""
    rewrites: bool = True
    """Model and credential; else it only forwards, which is less work."""
    note: str = ""
    streams: int = 64
    """How many it can serve at once within the time that a run may take."""

    @property
    def version(self) -> str:
        return self.requirements[0]

    @property
    def folder(self) -> Path:
        return CACHE / self.name

    def is_installed(self) -> bool:
        stamp = self.folder / "installed.txt"
        return stamp.exists() and stamp.read_text() == "\n".join(self.requirements)

    def install(self) -> None:
        """Raises OSError or subprocess.SubprocessError."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

        def run(*command: str | Path) -> None:
            subprocess.run(
                [str(word) for word in command], cwd=self.folder, check=True, timeout=INSTALL_SECONDS,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

        if self.installer == "npm":
            # The versions of what it depends on hold for itself as well.
            others = dict(word.rsplit("@", 1) for word in self.requirements[1:])
            package = {"private": True, "overrides": others}
            (self.folder / "package.json").write_text(json.dumps(package))
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
            run("npm", "install", *quiet, self.requirements[0])
        elif self.installer == "cargo":
            run("cargo", "install", "--quiet", "--locked", "--root", self.folder, *self.requirements)
        else:
            python = os.environ.get("PYTHON", "python3")
            run(python, "-m", "venv", self.folder / "venv")
            pip = self.folder / "venv/bin/pip"
            run(pip, "install", "--quiet", "--disable-pip-version-check", *self.requirements)
        (self.folder / "installed.txt").write_text("\n".join(self.requirements))


class Running(Proxy):
    """A peer that has been started."""

    def __init__(self, peer: Peer, upstream_port: int) -> None:
        super().__init__()
        self.peer = peer
        self.name = peer.name
        self.title = peer.title
        self._folder = tempfile.TemporaryDirectory(prefix="bench-peer-")
        folder = Path(self._folder.name)
        port = free_port()
        self.target = f"127.0.0.1:{port}"
        start = peer.start(Setting(peer.folder, folder, port, upstream_port))
        self.extra_headers = start.headers
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self._log = folder / "log"
        with self._log.open("wb") as log, on_core(PROXY_CORE):
            self.process = subprocess.Popen(
                [str(word) for word in start.command], cwd=folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                env={**kept, "HOME": str(folder), **start.environment},
            )  # fmt: skip
        try:
            self.wait_until(self._answers, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://{self.target}{self.peer.ready}", timeout=5).close()
        except urllib.error.HTTPError:
            pass
        return True

    def joins(self, work: Work) -> bool:
        return True

    def verify(self, load: Load, work: Work) -> None:
        """Raises expect.Unverified when it does not do what the row asks."""
        self.expected[work.name] = expect.recorded(load, self, work, self.peer.rewrites)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self.process.wait()
        self._folder.cleanup()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _yaml(*documents: object) -> str:
    """JSON is YAML."""
    return "\n---\n".join(json.dumps(document) for document in documents)


def _litellm(setting: Setting) -> Start:
    model = {
        "model": f"openai/{MODEL}",
        "api_base": setting.base_url,
        "api_key": PROVIDER_KEY,
        "use_chat_completions_api": True,
    }
    config = {
        "model_list": [{"model_name": ALIAS, "litellm_params": model}],
        "general_settings": {"master_key": VIRTUAL_KEY},
        # A tokenizer from a hub, to count what the upstream has counted.
        "litellm_settings": {"telemetry": False, "disable_hf_tokenizer_download": True},
    }
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "HF_HUB_OFFLINE": "1",
    }
    command = [
        *(setting.package / "venv/bin/litellm", "--config", setting.write("c.yaml", _yaml(config))),
        *("--host", "127.0.0.1", "--port", str(setting.port)),
        *("--log_config", setting.write("log.json", _yaml({"version": 1}))),
    ]
    return Start(command, environment)


def _aigw(setting: Setting) -> Start:
    gateway = "gateway.networking.k8s.io"
    extension = "gateway.envoyproxy.io"
    ai = "aigateway.envoyproxy.io"

    def resource(version: str, kind: str, spec: object = None, **more: object) -> object:
        meta = {"name": "bench", "namespace": "default"}
        body = {"apiVersion": version, "kind": kind, "metadata": meta, **more}
        return body if spec is None else {**body, "spec": spec}

    def refer(group: str, kind: str) -> dict[str, str]:
        return {"group": group, "kind": kind, "name": "bench"}

    listener = {"name": "http", "protocol": "HTTP", "port": setting.port}
    by_model = {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": ALIAS}]}
    backend = {"name": "bench", "namespace": "default", "modelNameOverride": MODEL}
    rule = {"matches": [by_model], "backendRefs": [backend], "timeouts": {"request": "120s"}}
    # The Envoy of this benchmark, where aigw looks for the version that is named.
    version = (ROOT / ".envoy-version").read_text().strip()
    envoy = setting.folder / ".local/share/aigw/envoy-versions" / version / "bin/envoy"
    envoy.parent.mkdir(parents=True)
    envoy.symlink_to(ENVOY.resolve())
    resources = _yaml(
        resource(f"{gateway}/v1", "GatewayClass",
                 {"controllerName": f"{extension}/gatewayclass-controller"}),
        resource(f"{gateway}/v1", "Gateway", {
            "gatewayClassName": "bench",
            "listeners": [listener],
            "infrastructure": {"parametersRef": refer(extension, "EnvoyProxy")},
        }),
        resource(f"{extension}/v1alpha1", "EnvoyProxy", {
            "provider": {"type": "Host", "host": {"envoyVersion": version}},
            "concurrency": 1,
            "logging": {"level": {"default": "error"}},
            "telemetry": {"accessLog": {"disable": True}},
        }),
        resource(f"{extension}/v1alpha1", "ClientTrafficPolicy", {
            "targetRefs": [refer(gateway, "Gateway")],
            "connection": {"bufferLimit": "50Mi"},
        }),
        resource(f"{ai}/v1beta1", "AIGatewayRoute",
                 {"parentRefs": [refer(gateway, "Gateway")], "rules": [rule]}),
        resource(f"{extension}/v1alpha1", "Backend",
                 {"endpoints": [{"ip": {"address": "127.0.0.1", "port": setting.upstream}}]}),
        resource(f"{ai}/v1beta1", "AIServiceBackend", {
            "schema": {"name": "OpenAI"},
            "backendRef": {**refer(extension, "Backend"), "namespace": "default"},
        }),
        resource("v1", "Secret", type="Opaque", stringData={"apiKey": PROVIDER_KEY}),
        resource(f"{ai}/v1beta1", "BackendSecurityPolicy", {
            "targetRefs": [refer(ai, "AIServiceBackend")],
            "type": "APIKey",
            "apiKey": {"secretRef": {"name": "bench"}},
        }),
    )  # fmt: skip
    [aigw] = setting.package.glob("venv/lib/python*/site-packages/*/bin/aigw")
    admin = ("--admin-port", str(free_port()))
    return Start([aigw, "run", *admin, setting.write("aigw.yaml", resources)])


def _portkey(setting: Setting) -> Start:
    server = setting.package / "node_modules/@portkey-ai/gateway/build/start-server.js"
    config = {
        "provider": "openai",
        "api_key": PROVIDER_KEY,
        "custom_host": setting.base_url,
        "override_params": {"model": MODEL},
    }
    return Start(
        ["node", server, "--headless", f"--port={setting.port}"],
        {"NODE_ENV": "production"},
        f"x-portkey-config: {json.dumps(config)}\n",
    )


def _ferro(setting: Setting) -> Start:
    config = {
        "max_request_bytes": BODY_BYTES,
        "strategy": {"mode": "single"},
        "targets": [{"virtual_key": "groq"}],
        "aliases": {ALIAS: MODEL},
    }
    environment = {
        "PORT": str(setting.port),
        "MASTER_KEY": VIRTUAL_KEY,
        "GROQ_API_KEY": PROVIDER_KEY,
        "GROQ_BASE_URL": setting.base_url,
        "GATEWAY_CONFIG": str(setting.write("config.yaml", _yaml(config))),
        "LOG_LEVEL": "error",
        "RATE_LIMIT_RPS": "0",
    }
    return Start([setting.package / "venv/bin/ferrogw", "serve"], environment)


def _litellm_rs(setting: Setting) -> Start:
    """Built without its default features it has no log."""
    provider = {
        "name": "bench",
        "provider_type": "openai_compatible",
        "base_url": setting.base_url,
        "endpoint_access": "private_network",
        "api_key": PROVIDER_KEY,
        "models": [MODEL],
        "timeout": 120,
        # It knows no "unlimited".
        **dict.fromkeys(("rpm", "tpm", "max_concurrent_requests"), (1 << 32) - 1),
    }
    config = {
        "server": {
            "host": "127.0.0.1",
            "port": setting.port,
            "workers": 1,
            "max_body_size": BODY_BYTES,
            "cors": {"enabled": False},
        },
        "providers": [provider],
        "model_aliases": {ALIAS: MODEL},
        "router": {"load_balancer": {"health_check_enabled": False}},
        "storage": {
            "database": {"url": "sqlite::memory:", "enabled": False},
            "redis": {"url": "redis://127.0.0.1", "enabled": False},
        },
        "auth": {"enable_jwt": False, "enable_api_key": False, "allow_anonymous": True},
        "monitoring": {"metrics": {"enabled": False}},
        "guardrails": {"enabled": False},
        # It refuses a model whose price it does not know.
        "pricing": {"unpriced_model_policy": "allow_unpriced", "unpriced_fallback_cost_per_1k_tokens": 0.0},
    }
    command = [setting.package / "bin/gateway", "--config", setting.write("gateway.yaml", _yaml(config)), "serve"]
    return Start(command, {"TOKIO_WORKER_THREADS": "1"})


def _router(*program: str | Path, more: tuple[str, ...] = ()) -> Callable[[Setting], Start]:
    """vLLM's router and the one that it comes from, SGLang's, are told the same."""

    def start(setting: Setting) -> Start:
        first, *rest = program
        worker = setting.base_url.removesuffix("/v1")
        return Start([
            *(setting.package / "venv/bin" / first, *rest, "--host", "127.0.0.1"),
            *("--port", str(setting.port), "--worker-urls", worker, "--policy", "round_robin"),
            *("--max-payload-size", str(BODY_BYTES), "--log-level", "error"),
            *("--prometheus-port", str(free_port()), "--disable-retries", "--disable-circuit-breaker", *more),
        ])  # fmt: skip

    return start


def every() -> list[Peer]:
    return [
        Peer("aigw", "Envoy AI Gateway", ("theagentrouter-local-gateway==0.1.0a7",), _aigw,
             note="does not check the client's key"),
        Peer("litellm", "LiteLLM proxy", ("litellm[proxy]==1.106.2",), _litellm,
             "/health/liveliness", streams=16,
             note="serves 16 streams at once here, not 64: it is too slow for more"),
        Peer("portkey", "Portkey", ("@portkey-ai/gateway@1.15.2", "@hono/node-server@1.13.7"),
             _portkey, installer="npm", note="is told model and credential by a header of each request"),
        Peer("ferro", "Ferro", ("ferrogw==1.5.10",), _ferro, "/readyz"),
        Peer("litellm-rs", "litellm-rs",
             ("litellm-rs@0.9.0", "--no-default-features", "--features=sqlite", "--bin=gateway"), _litellm_rs,
             "/health", installer="cargo",
             note="does not check the client's key: it knows only keys that it made, in a database"),
        Peer("vllm-router", "vLLM router", ("vllm-router==0.1.17",), _router("vllm-router"), "/health",
             rewrites=False, note="forwards: it replaces neither model nor credential"),
        Peer("sglang-router", "SGLang router", ("sglang-router==0.3.2",),
             _router("python", "-m", "sglang_router.launch_router", more=("--disable-health-check",)), "/health",
             rewrites=False, note="forwards: it replaces neither model nor credential"),
    ]  # fmt: skip
