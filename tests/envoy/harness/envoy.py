"""A real Envoy process with the filter in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from . import bootstrap, plugin
from .bootstrap import Setting, ecds_file
from .client import Connection, Response
from .client2 import H2Connection
from .script import PATIENCE
from .upstream import Upstream
from .wire import Fields

ROOT = Path(__file__).resolve().parents[3]
ENVOY_BIN = ROOT / os.environ.get("ENVOY_BIN", ".envoy/bin/envoy")
FILTER_WASM = ROOT / os.environ.get(
    "FILTER_WASM", "target/wasm32-wasip1/release/openai_gateway_filter.wasm"
)
FILTER_NATIVE = ROOT / os.environ.get("FILTER_NATIVE", "target/release")
"""The folder of the native module, for HOST=native."""
STARTING = 60.0
"""Seconds that an Envoy may take to be ready; V8 compiles the module first."""

_PANIC = re.compile(r"panicked at|in-VM backtrace|wasm_fail_stream|Function: proxy_on|unreachable")


class EnvoyDied(Exception):
    """Envoy left before it was ready. The message is its log."""


class Envoy:
    """A running Envoy. Use `with`, or `stop` it."""

    def __init__(self, setting: Setting, ports: dict[str, int], *, serves_others: bool = False) -> None:
        """`serves_others`: listener and clusters are discovered, so that it can `serve` another setting."""
        self.setting = setting
        self._ports = ports
        self._folder = tempfile.TemporaryDirectory(prefix="gateway-envoy-")
        folder = Path(self._folder.name)
        self._log_path = folder / "envoy.log"
        self._log_seen = 0
        self._log_from = 0
        self._answers: list[bytes] = []
        self._ecds_path = folder / "ecds" / "filter.json"
        self._ecds_path.parent.mkdir()
        self._ecds_version = 0
        if setting.ecds:
            self._write_filter(setting)
        self._discovery = folder / "xds"
        self._version = 0
        self._process: subprocess.Popen[bytes] | None = None
        if serves_others:
            self._discovery.mkdir()
            self._discover(setting)
            built = bootstrap.discovering(self._discovery)
        else:
            built = bootstrap.bootstrap(setting, FILTER_WASM, ports, self._ecds_path)
        config_path = folder / "envoy.json"
        config_path.write_text(json.dumps(built, indent=1))
        admin_path = folder / "admin"
        self._process = self._spawn(config_path, admin_path)
        try:
            admin = self._when_ready(lambda: admin_path.exists() and admin_path.read_text())
            self.admin_port = int(admin.rpartition(":")[2])
            self._when_ready(self._is_live)
            self.port: int = self._when_ready(self._listens)
        except BaseException:
            self.stop()
            raise

    def _spawn(self, config_path: Path, admin_path: Path) -> subprocess.Popen[bytes]:
        command = [
            *(ENVOY_BIN, "-c", config_path, "--admin-address-path", admin_path),
            *("--concurrency", str(self.setting.concurrency), "--disable-hot-restart"),
            *("--drain-time-s", "1"),  # what `serve` replaces
            *("--log-level", "warning", "--component-log-level", "wasm:debug,dynamic_modules:info"),
            *("--file-flush-interval-msec", "50"),  # the access log
        ]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(FILTER_NATIVE),
            **self.setting.env,
        }
        with self._log_path.open("wb") as log:
            return subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, env=environment
            )

    def _when_ready(self, ready: Any) -> Any:
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EnvoyDied(self.log())
            if result := ready():
                return result
            time.sleep(0.02)
        raise EnvoyDied(f"not ready after {STARTING} s\n{self.log()}")

    def _is_live(self) -> bool:
        try:
            return self.admin("/ready").startswith("LIVE")
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the process and removes its files."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """The whole log so far, since the last `serve`."""
        return self._log_since(self._log_from)

    def _log_since(self, at: int) -> str:
        """What was logged behind so many bytes: of an Envoy that many tests have used, not all of it."""
        with self._log_path.open("rb") as log:
            log.seek(at)
            return log.read().decode(errors="replace")

    def _log_bytes(self) -> int:
        return self._log_path.stat().st_size

    def access(self, test_id: str) -> str:
        """What the access log says of the request with this `x-test-id`, from there on."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.log().splitlines():
                if line.startswith("access ") and f" {test_id} " in line:
                    return line.partition(f" {test_id} ")[2]
            assert time.monotonic() < deadline, f"no access log of {test_id}"
            time.sleep(0.02)

    def admin(self, path: str) -> str:
        """GET of the admin interface."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
            return reply.read().decode()

    def stat(self, name: str) -> int:
        """A counter or gauge by its whole name; 0 when Envoy has none."""
        pattern = re.escape(name).replace("/", "%2F")
        found = self.admin(f"/stats?filter=^{pattern}$").strip()
        return int(found.rpartition(": ")[2]) if found else 0

    def replace_filter(self, setting: Setting) -> None:
        """Puts another filter configuration in place of the discovered one, by a rename."""
        self._write_filter(setting)

    def offer_filter(self, setting: Setting) -> tuple[bool, str]:
        """The same, and waits for Envoy's decision: whether it took it, and what it logged."""
        logged, before = len(self.log()), self._decisions()
        self._write_filter(setting)
        deadline = time.monotonic() + PATIENCE
        while (now := self._decisions()) == before:
            assert time.monotonic() < deadline, f"no decision\n{self.log()[logged:]}"
            time.sleep(0.01)
        return now[0] > before[0], self.log()[logged:]

    def _decisions(self) -> tuple[int, int]:
        """How many discovered configurations were taken and refused."""
        stats = self.admin("/stats?filter=^extension_config_discovery\\.")
        counts = dict(line.rsplit(": ", 1) for line in stats.splitlines())
        ends = ("update_success", "update_rejected")
        taken, refused = (
            sum(int(count) for name, count in counts.items() if name.endswith(end)) for end in ends
        )
        return taken, refused

    def _write_filter(self, setting: Setting) -> None:
        self._ecds_version += 1
        content = ecds_file(setting, FILTER_WASM, str(self._ecds_version))
        _replace(self._ecds_path, content)

    # Becoming another

    def serve(self, setting: Setting) -> None:
        """Becomes an Envoy of another setting: listener and clusters are new ones, and the log begins anew."""
        self.setting = setting
        self._log_from = self._log_bytes()
        self._discover(setting)
        self.port = self._when_ready(self._listens)

    def _discover(self, setting: Setting) -> None:
        """Writes what is discovered. Clusters come before the listener, whose routes name some."""
        self._version += 1
        # Another version of each, however alike they are: nothing is left of what their hosts did before.
        fresh = {"filter_metadata": {"test": {"version": self._version}}}
        clusters = [{**each, "metadata": fresh} for each in bootstrap.clusters(setting, FILTER_WASM, self._ports)]
        listener = bootstrap.listener(setting, FILTER_WASM, self._ports, self._ecds_path)
        seen = self._cds_updates() if self._process else None
        self._offer("cds.json", "envoy.config.cluster.v3.Cluster", clusters)
        if seen is not None:
            self._when_ready(lambda: self._cds_updates() > seen)
        self._offer("lds.json", "envoy.config.listener.v3.Listener", [{**listener, "name": self._listener_name()}])

    def _offer(self, name: str, message: str, resources: list[dict[str, Any]]) -> None:
        _replace(self._discovery / name, bootstrap.discovered(message, resources, self._version))

    def _listener_name(self) -> str:
        return f"gateway-{self._version}" if self._version else "gateway"

    def _listens(self) -> int | None:
        """The port of the listener of now, once it is there."""
        for status in json.loads(self.admin("/listeners?format=json")).get("listener_statuses", []):
            if status["name"] == self._listener_name():
                return status["local_address"]["socket_address"]["port_value"]
        if self.stat("listener_manager.lds.update_rejected"):
            raise EnvoyDied(self.log())
        return None

    def _cds_updates(self) -> int:
        """How many updates of its clusters Envoy has taken."""
        assert not self.stat("cluster_manager.cds.update_rejected"), self.log()
        return self.stat("cluster_manager.cds.update_success")

    # Requests

    def connect(self) -> Connection:
        """A raw HTTP/1.1 connection."""
        return Connection(self.port, self._answers.append)

    def connect2(self) -> H2Connection:
        """An HTTP/2 connection."""
        return H2Connection(self.port, self._answers.append)

    def request(self, method: str, path: str, fields: Fields = (), **rest: Any) -> Response:
        """One request on a connection of its own; see `Connection.request`."""
        with self.connect() as connection:
            return connection.request(method, path, fields, **rest)

    def post(
        self,
        path: str = "/v1/chat/completions",
        body: bytes | dict[str, Any] | None = None,
        *,
        vk: str | None = "main",
        fields: Fields = (),
        content_type: str | None = "application/json",
        **rest: Any,
    ) -> Response:
        """A POST with a virtual key of the suite. A dict is sent as compact JSON."""
        if isinstance(body, dict):
            body = json.dumps(body, separators=(",", ":")).encode()
        return self.request("POST", path, headers(vk, content_type, fields), body=body, **rest)

    @contextmanager
    def sends_nothing(self) -> Iterator[None]:
        """What runs inside makes no request to any upstream, by Envoy's own count: of requests, and in two positions, where
        one is begun before the second instance can refuse it, of bytes."""
        before = self._upstream_requests()
        yield
        sent = self._upstream_requests() - before
        assert sent == 0, f"{sent} requests (or bytes) went upstream"

    @contextmanager
    def completes_nothing(self, upstreams: dict[str, Upstream]) -> Iterator[None]:
        """What runs inside completes no request: none was begun, or what was begun was aborted."""
        before = self._upstream_requests()
        yield
        if self._upstream_requests() == before:
            return
        # Envoy may drop an aborted request before its head is on the wire, so the
        # record may stay empty; one that is on its way is given time to arrive.
        time.sleep(0.05)
        for server in upstreams.values():
            for request in list(server.requests):
                request.wait_aborted()

    def _upstream_requests(self) -> int:
        counter = "upstream_rq_total" if self.setting.positions == 1 else "upstream_cx_tx_bytes_total"
        stats = self.admin(f"/stats?filter=^cluster\\..*\\.{counter}$")
        return sum(int(line.rpartition(": ")[2]) for line in stats.splitlines())

    # What must hold after every test

    def check(self) -> None:
        """Alive, no panic, no reload of the VM, and no secret in log, stats or answers; looks at
        what is new since the last call."""
        assert self._process.poll() is None, f"Envoy died\n{self.log()}"
        seen, self._log_seen = self._log_seen, self._log_bytes()
        fresh = self._log_since(seen)
        assert not _PANIC.search(fresh), f"the module failed\n{fresh}"
        stats = self.admin("/stats")
        assert "vm_reload_success: 0" in stats or "vm_reload_success" not in stats, stats
        assert_no_secret("the log", fresh)
        assert_no_secret("the statistics", stats)
        for answer in self._answers:
            assert_no_secret("an answer", answer.decode("latin-1"))
        self._answers.clear()


def _replace(path: Path, content: Any) -> None:
    """By a rename, which is what Envoy watches for."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.rename(path)


def headers(vk: str | None, content_type: str | None = None, more: Fields = ()) -> Fields:
    """The usual request headers: a bearer key of the suite and a content type."""
    fields: Fields = [("authorization", f"Bearer {plugin.VK[vk]}")] if vk else []
    if content_type:
        fields.append(("content-type", content_type))
    return [*fields, *more]


def assert_no_secret(where: str, text: str) -> None:
    """No configured key, and no configured digest, is in a text."""
    for secret in plugin.SECRETS:
        assert secret not in text, f"{secret} is in {where}"


def refused_log(setting: Setting, ports: dict[str, int]) -> str:
    """Starts an Envoy that must refuse its configuration; its log."""
    try:
        envoy = Envoy(setting, ports)
    except EnvoyDied as died:
        log = str(died)
        assert not _PANIC.search(log), f"the module failed\n{log}"
        assert_no_secret("the log", log)
        return log
    envoy.stop()
    raise AssertionError("Envoy accepted the configuration")
