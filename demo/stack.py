"""Starts and stops what `make run` and `make demo` need: the mock upstreams and Envoy with the filter."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from mock_upstream import Handler, Server

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "envoy" / "envoy.yaml"
ENVOY = Path(os.environ.get("ENVOY_BIN") or ROOT / ".envoy" / "bin" / "envoy")
# The module as envoy/envoy.yaml names it, and the one to run.
NAMED_MODULE = "target/wasm32-wasip1/release/openai_gateway_filter.wasm"
IS_NATIVE = os.environ.get("HOST") == "native"
MODULE = Path(os.environ.get("FILTER_WASM") or ROOT / NAMED_MODULE)
if IS_NATIVE:
    MODULE = Path(os.environ.get("FILTER_NATIVE") or ROOT / "target/release") / "libopenai_gateway_filter.so"
LOGS = ROOT / ".cache" / "log"
HOST = "127.0.0.1"
# The ports in envoy/envoy.yaml, by what listens there.
PORTS = {"gateway": 10000, "admin": 9901, "mock upstream": 18000, "hosted API": 18001}
VARIABLES = {"gateway": "PORT", "admin": "ADMIN_PORT", "mock upstream": "MOCK_PORT", "hosted API": "HOSTED_PORT"}
START_SECONDS = 30
STOP_SECONDS = 10


# The end of the line of Envoy's log below which the filter's mistakes stand, a line each.
REFUSED = "the configuration is refused:"


def ports_from_environment():
    """PORTS, with those that VARIABLES of the environment say."""
    ports = dict(PORTS)
    for name, variable in VARIABLES.items():
        if value := os.environ.get(variable):
            if not (value.isdigit() and 0 < int(value) < 65536):
                raise StackError(f"{variable}={value} is no port")
            ports[name] = int(value)
    return ports


class StackError(Exception):
    """Why it did not start, for the user."""


class Stack:
    """The mock upstream in this process, the hosted API and Envoy in others. A context manager: it stops them."""

    def __init__(self, ports=None, access_log=None):
        """`ports` as PORTS; `access_log` is where Envoy's standard output goes (default: ours)."""
        self.ports = ports or PORTS
        self.access_log = access_log
        self.mock = None
        self.hosted = None
        self.envoy = None
        self.folder = tempfile.TemporaryDirectory(prefix="openai-gateway-filter-")
        # It stays when all is over: the reasons of a failure are in it.
        self.log = LOGS / f"envoy-{self.ports['gateway']}.log"

    @property
    def url(self):
        return f"http://{HOST}:{self.ports['gateway']}"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        for path, target in ((ENVOY, "envoy"), (MODULE, "native" if IS_NATIVE else "wasm")):
            if not path.exists():
                raise StackError(f"{path} is missing: run `make {target}` first.")
        # Before Envoy starts: it listens with SO_REUSEPORT, so that two of them would share a port and
        # the requests on it without a word.
        for name, port in self.ports.items():
            check_free(name, port)
        self.mock = Server((HOST, self.ports["mock upstream"]), Handler)
        threading.Thread(target=self.mock.serve_forever, daemon=True).start()
        # A process of its own, so that it can be killed.
        program = [sys.executable, Path(__file__).with_name("mock_upstream.py"), "--port", str(self.ports["hosted API"])]
        self.hosted = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        if not self.hosted.stdout.readline():
            raise StackError("the hosted API's mock did not start")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        config, variables = self.config()
        with self.log.open("wb") as log:
            self.envoy = subprocess.Popen(
                [
                    ENVOY,
                    *("-c", config),
                    # Another Envoy on this machine is no relative of this one.
                    "--disable-hot-restart",
                    # The access log is to be seen at once, not every 10 seconds.
                    *("--file-flush-interval-msec", "100"),
                ],
                cwd=ROOT,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=self.access_log,
                stderr=log,
                # Ctrl-C in the terminal is for us; we stop Envoy.
                start_new_session=True,
            )
        self.wait_until_ready()

    def config(self):
        """envoy/envoy.yaml itself, or a copy with other ports or another module; and what Envoy's environment needs."""
        if self.ports == PORTS and MODULE == ROOT / NAMED_MODULE:
            return CONFIG, {}
        text, variables = CONFIG.read_text().replace(NAMED_MODULE, str(MODULE)), {}
        for name, port in PORTS.items():
            text = text.replace(f"port_value: {port}", f"port_value: {self.ports[name]}")
            text = text.replace(f"{HOST}:{port}", f"{HOST}:{self.ports[name]}")
        if IS_NATIVE:
            import native  # asks for PyYAML, which the other host can do without

            text, variables = native.converted(text)
            variables["ENVOY_DYNAMIC_MODULES_SEARCH_PATH"] = str(MODULE.parent)
        copy = Path(self.folder.name) / "envoy.yaml"
        copy.write_text(text)
        return copy, variables

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.envoy.poll() is not None:
                raise StackError(f"Envoy stopped with status {self.envoy.returncode}:\n{self.last_log_lines()}")
            try:
                with urllib.request.urlopen(f"http://{HOST}:{self.ports['admin']}/ready", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise StackError(f"Envoy is not ready after {START_SECONDS} seconds:\n{self.last_log_lines()}")

    def last_log_lines(self, count=15):
        """The end of the log; of a configuration that the filter refused, every mistake."""
        lines = self.log.read_text(errors="replace").splitlines()
        shown, refused = [], False
        for line in lines:
            if refused and not line.startswith("["):
                shown.append(f"  {line}")
            else:
                refused = line.endswith(REFUSED)
        # Each VM says it again.
        shown = list(dict.fromkeys(shown)) or lines[-count:]
        return "\n".join([*shown, f"All of it: {self.log.relative_to(ROOT)}"])

    def kill_hosted_api(self):
        """An outage, as it comes: without a word."""
        self.hosted.kill()
        self.hosted.wait()

    def stop(self):
        if self.envoy and self.envoy.poll() is None:
            self.envoy.terminate()
            try:
                self.envoy.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.envoy.kill()
                self.envoy.wait()
        if self.hosted:
            self.kill_hosted_api()
            self.hosted.stdout.close()
        if self.mock:
            self.mock.shutdown()
            self.mock.server_close()
        self.folder.cleanup()


def check_free(name, port):
    with socket.socket() as probe:
        # As servers do: connections of a server that has just stopped do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(
                f"Port {port} of {HOST} ({name}) can't be used: {error.strerror}.\n"
                f"Stop what listens there (`ss -ltnp 'sport = :{port}'` shows it), or choose another: "
                f"{', '.join(VARIABLES.values())} of make run."
            ) from error


def free_ports():
    """Ports that nothing uses now, in the form of PORTS."""
    probes = {name: socket.socket() for name in PORTS}
    for probe in probes.values():
        probe.bind((HOST, 0))
    ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def exit_on_signals():
    """SIGTERM and SIGHUP end the program as Ctrl-C does: cleaning up, once. What comes while it cleans up (make hands on a
    signal that the whole group gets anyway) would leave processes behind."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number, _):
        for other in signals:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(0)

    for number in signals:
        signal.signal(number, end)


@contextlib.contextmanager
def as_command():
    """What a program of ours runs in: a fault is one line and status 1, Ctrl-C none."""
    exit_on_signals()
    try:
        yield
    except StackError as error:
        sys.exit(f"{paint('31', 'error:')} {error}")
    except KeyboardInterrupt:
        print("\nStopped.")


def stay(told):
    """Says what is up and leaves it up, where STAY is set."""
    if os.environ.get("STAY"):
        print(f"\n{told} Ctrl-C stops it.")
        while True:
            time.sleep(3600)


def paint(code, text):
    """ANSI colour on a terminal, nothing elsewhere (https://no-color.org)."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return f"\033[{code}m{text}\033[0m"
    return text
