"""Starts and stops the programs that an example is made of, each on ports of its own."""

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from mock_upstream import Handler, Server
from stack import ENVOY, HOST, IS_NATIVE, LOGS, MODULE, NAMED_MODULE, REFUSED, ROOT, StackError, check_free

START_SECONDS = 60
STOP_SECONDS = 10


def free_port():
    """A port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def listens(port):
    """Whether somebody answers on a port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def get(url):
    """The body of an answer, or None where there is none to have."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def program(script, *words):
    """The path that a script of scripts/ prints; what it does is shown."""
    command = [ROOT / "scripts" / script, *words]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise StackError(f"scripts/{script} {' '.join(words)} failed, see above")
    return done.stdout.strip()


class Parts:
    """Programs that are stopped together, the last one first. A context manager."""

    def __init__(self, name, ports):
        """`ports`: from the port that stands in a configuration to the one that is used."""
        self.name, self.ports = name, ports
        self.running = []
        self.mocks = []
        self._folder = tempfile.TemporaryDirectory(prefix=f"openai-gateway-{name}-")
        self.folder = Path(self._folder.name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        for process in reversed([process for _, process in self.running]):
            end(process)
        for mock in self.mocks:
            mock.shutdown()
            mock.server_close()
        self._folder.cleanup()

    def port(self, port):
        return self.ports.get(port, port)

    def localised(self, text, ports=None):
        """A configuration with the ports and the module that are used."""
        ports = ports or self.ports
        text = text.replace(NAMED_MODULE, str(MODULE))
        return re.sub(
            rf"(port_value: |{re.escape(HOST)}:)(\d+)\b", lambda at: at[1] + str(ports.get(int(at[2]), at[2])), text
        )

    def mock(self, port, handler=Handler):
        """demo/mock_upstream.py, in this process."""
        check_free("mock upstream", self.port(port))
        self.mocks.append(Server((HOST, self.port(port)), handler))
        threading.Thread(target=self.mocks[-1].serve_forever, daemon=True).start()

    def start(self, name, command, ready, ports=(), **environment):
        """Starts a program and waits until `ready()`; its output goes to .cache/log."""
        for port in ports:
            check_free(name, self.port(port))
        LOGS.mkdir(parents=True, exist_ok=True)
        path = LOGS / f"{self.name}-{name}-{self.port(ports[0]) if ports else os.getpid()}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us
            )
        process.log = path
        self.running.append((name, process))
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None:
                raise StackError(f"{name} stopped with status {process.returncode}:\n{last_lines(path)}")
            if time.monotonic() > deadline:
                raise StackError(f"{name} is not ready after {START_SECONDS} seconds:\n{last_lines(path)}")
            time.sleep(0.05)
        return process

    def envoy(self, config, gateway, admin, name="envoy", ports=None, variables=None):
        """An Envoy on a configuration file, in which `gateway` and `admin` are its ports. `ports`: more of the
        constructor's, for a second Envoy on the same file. `variables`: of its environment."""
        for path, target in ((ENVOY, "envoy"), (MODULE, "native" if IS_NATIVE else "wasm")):
            if not Path(path).exists():
                raise StackError(f"{path} is missing: run `make {target}` first.")
        ports = {**self.ports, **(ports or {})}
        copy = self.folder / f"{name}.yaml"
        text, variables = self.localised(Path(config).read_text(), ports), dict(variables or {})
        if IS_NATIVE:
            import native  # asks for PyYAML, which the other host can do without

            text, of_vm = native.converted(text)
            variables |= {**of_vm, "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(MODULE.parent)}
        copy.write_text(text)
        for port in (gateway, admin):
            check_free(name, ports.get(port, port))
        command = [ENVOY, "-c", copy, "--disable-hot-restart", "--file-flush-interval-msec", "100", "--concurrency", "2"]
        url = f"http://{HOST}:{ports.get(admin, admin)}/ready"
        return self.start(name, command, lambda: get(url) is not None, **variables)


def end(process):
    """Ends a program: kindly, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_lines(path, count=15):
    """The end of a log; of a configuration that the filter refused, every mistake."""
    lines = path.read_text(errors="replace").splitlines()
    for at, line in enumerate(lines):
        if line.endswith(REFUSED):
            lines = lines[at : at + 2 * count]
            break
    return "\n".join([*lines[-count:], f"All of it: {path.relative_to(ROOT)}"])


def post(port, path, body, key, **headers):
    """(status, headers, body as text) of a POST to a gateway."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}{path}",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
