"""The processes of a benchmark: what must be built, Envoys, and the load generator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import expect
from contenders import VIRTUAL_KEY, Contender, bootstrap
from expect import Expected, Side
from work import SDK_HEADERS, Work

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "bench"
ENVOY = Path(os.environ.get("ENVOY_BIN", ROOT / ".envoy/bin/envoy")).absolute()
FILTER = Path(
    os.environ.get("FILTER_WASM", ROOT / "target/wasm32-wasip1/release/openai_gateway_filter.wasm")
).absolute()
NATIVE = Path(os.environ.get("FILTER_NATIVE", ROOT / "target/release"))
"""The folder of the native module."""
CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, PROXY_CORE = CORES[0], CORES[-1]
READY_SECONDS = 60.0


def build() -> dict[str, Path]:
    """The load generator and the filters to compare with."""

    def cargo(target: str, manifest: str) -> None:
        command = [ROOT / "scripts/cargo.sh", target, "build", "--release", "--locked"]
        where = ["--manifest-path", ROOT / manifest, "--target-dir", BUILT]
        subprocess.run([str(word) for word in command + where], cwd=ROOT, check=True)

    cargo("host", "bench/load/Cargo.toml")
    cargo("host", "bench/native-calls/Cargo.toml")
    cargo("wasm32-wasip1", "bench/filters/Cargo.toml")
    wasm = BUILT / "wasm32-wasip1/release"
    filters = {
        name: wasm / f"bench_{name}_filter.wasm" for name in ("empty", "calls", "naive", "parsing")
    }
    filters["calls"] = with_fewer_exports(filters["calls"])
    return {
        "load": BUILT / "release/bench-load",
        "native-calls": BUILT / "release/libnative_calls.so",
        **{n: optimised(p) for n, p in filters.items()},
    }


def with_fewer_exports(module: Path) -> Path:
    """As `make wasm` does it to this filter's module, since each export is a call that Envoy makes."""
    out = module.with_suffix(".exports.wasm")
    subprocess.run([sys.executable, ROOT / "scripts/exports.py", module, out], check=True)
    return out


def optimised(module: Path) -> Path:
    """What `make wasm` does to this filter's module where it can, for a fair comparison."""
    if (tool := wasm_opt()) is None:
        return module
    out = module.with_suffix(".opt.wasm")
    subprocess.run([tool, "-O3", "-g", str(module), "-o", str(out)], check=True)
    return out


def wasm_opt() -> str | None:
    tool = os.environ.get("WASM_OPT") or shutil.which("wasm-opt")
    return None if tool == "no" else tool


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes that are started meanwhile stay on this core, with all their threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Proxy:
    """A running process with what it started, between clients and upstream."""

    title: str
    target: str
    process: subprocess.Popen
    extra_headers: str = ""
    """For every request, each with its line end."""

    def __init__(self) -> None:
        self.expected: dict[str, Expected] = {}
        """By the name of the row."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def expects(self, work: Work) -> Expected:
        return self.expected[work.name]

    def log(self) -> str:
        raise NotImplementedError

    def wait_until(self, ready: Any, seconds: float = READY_SECONDS) -> Any:
        """The first thing that is true that `ready` returns; an OSError is a no."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if result := ready():
                    return result
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"{self.title} did not start:\n{self.log()[-2000:]}")


class Envoy(Proxy):
    """A running Envoy with one worker."""

    def __init__(self, contender: Contender, upstream_port: int, seconds: float = READY_SECONDS) -> None:
        """`seconds`: until it must be ready."""
        super().__init__()
        self.contender = contender
        self.name = contender.name
        self.title = contender.title
        self._folder = tempfile.TemporaryDirectory(prefix="bench-envoy-")
        folder = Path(self._folder.name)
        config, admin, self._log = (
            folder / "envoy.json",
            folder / "admin",
            folder / "log",
        )
        config.write_text(json.dumps(bootstrap(contender, upstream_port)))
        command = [
            *(ENVOY, "-c", config, "--admin-address-path", admin, "--concurrency", "1"),
            *("--disable-hot-restart", "--log-level", "warning"),
        ]
        environment = dict(os.environ)
        if contender.library_folder:
            environment["ENVOY_DYNAMIC_MODULES_SEARCH_PATH"] = str(contender.library_folder)
        with self._log.open("wb") as log, on_core(PROXY_CORE):
            self.process = subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, env=environment, cwd=folder
            )
        try:
            address = self.wait_until(lambda: admin.exists() and admin.read_text())
            self.admin_url = f"http://{address}"
            self.wait_until(lambda: self.admin("/ready").startswith("LIVE"), seconds)
            listeners = json.loads(self.admin("/listeners?format=json"))["listener_statuses"]
            (listener,) = (one for one in listeners if one["name"] == "bench")
            port = listener["local_address"]["socket_address"]["port_value"]
        except BaseException:
            self.stop()
            raise
        self.target = f"127.0.0.1:{port}"

    def joins(self, work: Work) -> bool:
        return self.contender.joins(work)

    def expects(self, work: Work) -> Expected:
        if work.translated and self.contender.normalises:
            return super().expects(work)
        return expect.of_envoy(self.contender, work)

    def verify(self, load: Load, work: Work) -> None:
        """Raises Unverified when it does not do what the row asks."""
        if work.translated and self.contender.normalises:
            self.expected[work.name] = expect.recorded(load, self, work)

    def admin(self, path: str) -> str:
        with urllib.request.urlopen(self.admin_url + path, timeout=10) as answer:
            return answer.read().decode()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._folder.cleanup()


class WrongAnswers(RuntimeError):
    """Of a proxy under load. The first line says what was wrong, the rest is the proxy's log."""


class Load:
    """Clients and upstream."""

    def __init__(self, binary: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-load-")
        self._files: dict[bytes, str] = {}
        with on_core(LOAD_CORE):
            self._process = subprocess.Popen(
                [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def run(self, proxy: Proxy, work: Work, expected: Expected, seconds: float,
            connections: int | None = None, requests: int | None = None) -> Json:  # fmt: skip
        """Loads a proxy with one row's work. Raises WrongAnswers when a single one was."""
        content_type = "text/event-stream" if work.pieces else "application/json"
        scenario = {
            "target": proxy.target,
            "pids": [proxy.pid],
            "seconds": seconds,
            "connections": connections or work.connections,
            "requests": requests,
            "request": {
                "head": _head(
                    f"POST /v1{work.path} HTTP/1.1\nhost: {proxy.target}\n"
                    f"authorization: Bearer {VIRTUAL_KEY}\ncontent-type: application/json\n"
                    + SDK_HEADERS
                    + proxy.extra_headers
                ),
                "body": self._file(work.body),
            },
            "upstream": self._side(expected.upstream),
            "answer": {
                "head": _head(
                    f"HTTP/1.1 200 OK\ncontent-type: {content_type}\nserver: uvicorn\n"
                    "date: Fri, 21 Nov 2025 10:00:00 GMT\nx-request-id: 4f1c7d\n"
                ),
                "body": self._file(work.answer),
                "pieces": work.pieces,
                "interval_us": work.interval_us,
            },
            "client": self._side(expected.client),
        }
        self._process.stdin.write(json.dumps(scenario) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline() or '{"error": "it died"}')
        if "error" in result:
            raise RuntimeError(f"load generator: {result['error']}")
        if result["wrong"] or not result["completed"]:
            raise WrongAnswers(
                f"{result['wrong']} wrong answers, {result['completed']} right: "
                f"{result['first_wrong']}\n{proxy.log()[-2000:]}"
            )
        return result

    def _side(self, side: Side) -> Json:
        return {
            "head": side.head,
            "exact": None if side.exact is None else self._file(side.exact),
            "contains": side.contains,
            "length": side.length,
            "capture": side.capture and str(side.capture),
        }

    def _file(self, content: bytes) -> str:
        if content not in self._files:
            path = Path(self._folder.name) / str(len(self._files))
            path.write_bytes(content)
            self._files[content] = str(path)
        return self._files[content]


def _head(lines: str) -> str:
    return lines.replace("\n", "\r\n")
