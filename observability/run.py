#!/usr/bin/env python3
"""`make observability`: a mock upstream, Envoy with this folder's configuration and a real Prometheus with its rules; a load for
LOAD_SECONDS (30), then what each panel of the dashboard would show.

STAY=1 leaves it up under load. PICTURE=file.png draws the panels (needs matplotlib: make dashboard-picture).
"""

import json
import os
import random
import re
import sys
import threading
import time
import urllib.parse
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "demo"))
from mock_upstream import Handler  # noqa: E402
from parts import Parts, get, post, program  # noqa: E402
from stack import HOST, StackError, as_command, stay  # noqa: E402

GATEWAY, ADMIN, MOCK, COLLECTOR, PROMETHEUS = 10000, 9901, 18000, 14318, 9090
PORTS = (GATEWAY, ADMIN, MOCK, COLLECTOR, PROMETHEUS)
KEYS = {"search-team": "vk-demo-search-team", "chat-team": "vk-demo-chat-team", "batch-team": "vk-demo-batch-team"}
WINDOW = "15s"
"""What Grafana would choose for $__rate_interval at a scrape a second, with room."""
CHAT = "/v1/chat/completions"


class Collector(Handler):
    """Takes spans, and forgets them."""

    def do_POST(self):
        self.read_body()
        self.send_head(200, "application/x-protobuf", 0)


class Observed(Parts):
    """All parts, running. Prometheus reads every second, not every 15."""

    def __init__(self, ports=None, collector=True):
        super().__init__("observability", ports or {})
        try:
            self.mock(MOCK)
            if collector:
                self.mock(COLLECTOR, Collector)
            self.envoy(FOLDER / "envoy.yaml", GATEWAY, ADMIN)
        except BaseException:
            self.stop()
            raise

    def start_prometheus(self):
        prometheus = program("debian.sh", "prometheus", "prometheus")
        rules = (FOLDER / "rules.yaml").read_text()
        (self.folder / "rules.yaml").write_text(rules)
        config = self.localised((FOLDER / "prometheus.yml").read_text()).replace("_interval: 15s", "_interval: 1s")
        (self.folder / "prometheus.yml").write_text(config)
        port = self.port(PROMETHEUS)
        self.start(
            "prometheus",
            [
                prometheus,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}",
                f"--web.listen-address={HOST}:{port}",
            ],
            lambda: get(f"http://{HOST}:{port}/-/ready") is not None,
            ports=[PROMETHEUS],
        )

    def api(self, path, **parameters):
        """What Prometheus' HTTP API answers, its `data`."""
        told = get(f"http://{HOST}:{self.port(PROMETHEUS)}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        if told is None:
            raise StackError(f"Prometheus refused {path} {parameters}")
        return json.loads(told)["data"]

    def query(self, expression):
        """The series of an expression now, as (labels, value); without those that say nothing (NaN)."""
        series = self.api("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in series if one["value"][1] != "NaN"]

    def send(self, key, body, path=CHAT):
        return post(self.port(GATEWAY), path, body, key)


def panels():
    """(title, [(expression, legend)]) of each panel of the dashboard, as Grafana would ask."""
    for panel in json.loads((FOLDER / "grafana.json").read_text())["panels"]:
        yield panel, [(ask(target["expr"]), target["legendFormat"]) for target in panel["targets"]]


def ask(expression):
    """A panel's expression with All of each variable."""
    return re.sub(r"\$(virtual_key|provider|model)\b", ".*", expression.replace("$__rate_interval", WINDOW))


def requests(chance):
    """What clients of all kinds send, for ever: (key, path, body)."""
    keys = list(KEYS.values())
    while True:
        words = " ".join(["word"] * chance.randint(3, 60))
        messages = [{"role": "user", "content": words}]
        key = chance.choices(keys, [6, 3, 1])[0]
        kind = chance.choices(("chat", "stream", "embed", "drift", "flat", "hidden", "denied", "nobody", "absent"), [30, 40, 10, 6, 4, 3, 3, 2, 2])[0]
        model = chance.choice(["small", "local", "vllm/mock-chat", "hosted/swift-8b"])
        if kind in ("chat", "stream"):
            yield key, CHAT, {"model": model, "messages": messages, "stream": kind == "stream"}
        elif kind == "embed":
            yield key, "/v1/embeddings", {"model": "local-embed", "input": [words]}
        elif kind == "flat":
            yield key, "/v1/embeddings", {"model": "vllm/flat-embedding", "input": words}
        elif kind == "drift":
            yield key, CHAT, {"model": "vllm/drifting-stream", "messages": messages, "stream": True}
        elif kind == "hidden":
            yield key, CHAT, {"model": "vllm/error-in-200", "messages": messages}
        elif kind == "denied":
            yield KEYS["batch-team"], CHAT, {"model": "hosted/swift-70b", "messages": messages}
        elif kind == "absent":
            yield key, CHAT, {"model": "vllm/no-such-model", "messages": messages}
        else:
            yield "vk-of-nobody-at-all", CHAT, {"model": model, "messages": messages}


class Load:
    """Clients that send one request after the other until `stop`. A context manager."""

    def __init__(self, observed, clients=4, seed=1):
        self._ended = threading.Event()
        self._observed = observed
        self._threads = [threading.Thread(target=self._send, args=(seed + number,), daemon=True) for number in range(clients)]

    def _send(self, seed):
        for key, path, body in requests(random.Random(seed)):
            if self._ended.is_set():
                return
            self._observed.send(key, body, path)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        for thread in self._threads:
            thread.join(30)


def show(observed):
    """Prints what each panel shows now; the titles of those that show nothing."""
    empty = []
    for panel, targets in panels():
        print(f"\n{panel['title']} ({panel['description']})")
        series = [(legend, labels, value) for expression, legend in targets for labels, value in observed.query(expression)]
        for legend, labels, value in sorted(series, key=lambda one: -one[2])[:8]:
            name = re.sub(r"{{(\w+)}}", lambda at: labels.get(at[1], "") or "-", legend)
            print(f"  {value:10.2f}  {name}")
        if not series:
            empty.append(panel["title"])
    return empty


def main():
    print("Starting a mock upstream, Envoy with observability/envoy.yaml, and Prometheus …", file=sys.stderr)
    with as_command():
        with Observed() as observed:
            observed.start_prometheus()
            seconds = int(os.environ.get("LOAD_SECONDS", "30"))
            began = time.time()
            with Load(observed):
                for gone in range(0, seconds, 5):
                    print(f"== load: {gone} of {seconds} s", file=sys.stderr)
                    time.sleep(min(5, seconds - gone))
                empty = show(observed)
                if file := os.environ.get("PICTURE"):
                    import picture  # noqa: PLC0415

                    picture.draw(observed, list(panels()), began, file)
                stay(f"Up under load: the gateway on http://{HOST}:{GATEWAY}/v1, Prometheus on http://{HOST}:{PROMETHEUS}.")
            if empty:
                raise StackError(f"nothing to see in: {', '.join(empty)}")
        print("\n== observability: every panel of the dashboard has data")


if __name__ == "__main__":
    main()
