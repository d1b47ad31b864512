"""A page of another origin calls the gateway with `fetch` in a real browser: Envoy's CORS filter stands before ours, as
docs/security.md shows. `scripts/chromium.sh` brings the browser."""

from __future__ import annotations

import functools
import http.server
import queue
import subprocess
import tempfile
import threading

import pytest
from harness import ROOT, headers, plugin

PAGES = ROOT / "tests/envoy/data"


@pytest.fixture(scope="module")
def browser() -> str:
    """The program of a headless Chromium."""
    found = subprocess.run([ROOT / "scripts/chromium.sh"], stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.strip()


class Site(http.server.ThreadingHTTPServer):
    """Serves the page, on another port and so of another origin than the gateway, and takes what it says in the end."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Page, directory=str(PAGES)))
        self.said: queue.Queue[str] = queue.Queue()
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"


class Page(http.server.SimpleHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.said.put(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def site():
    with Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def origin(site: Site) -> str:
    return site.origin


def seen(browser: str, site: Site, gateway: int) -> list[str]:
    """What the page has seen of the gateway on that port."""
    url = f"{site.origin}/cors.html?key={plugin.VK['main']}#http://127.0.0.1:{gateway}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile() as log:
        command = [browser, "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--remote-debugging-port=0", url]
        running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            return site.said.get(timeout=60).splitlines()
        except queue.Empty:
            log.seek(0)
            pytest.fail(f"the page said nothing: {log.read()[-2000:].decode(errors='replace')}")
        finally:
            running.terminate()
            running.wait(10)


def test_a_page_that_may(start_envoy, upstreams, browser, site):
    envoy = start_envoy(cors_origin=site.origin)
    assert seen(browser, site, envoy.port) == [
        "plain: 200 Hello by alpha",
        "stream: 200 done",
        "refusal: 401 invalid_api_key",
    ]
    # The preflights were Envoy's to answer.
    assert [request.method for request in upstreams["alpha"].requests] == ["POST", "POST"]


def test_a_page_of_another_origin(start_envoy, browser, site):
    """The browser asks first, and then sends nothing."""
    envoy = start_envoy(cors_origin="https://app.example")
    with envoy.sends_nothing():
        assert seen(browser, site, envoy.port) == [f"{step}: TypeError: Failed to fetch" for step in ("plain", "stream", "refusal")]


@pytest.mark.parametrize("positions", [1, 2])
def test_a_page_reads_an_error_in_the_answers_place(start_envoy, upstreams, origin, positions):
    """It goes through Envoy's CORS filter as the answer would have; a reply would go past it."""
    from harness import answer, expect

    envoy = start_envoy(cors_origin=origin, positions=positions)
    asked = [*headers("main", "application/json"), ("origin", origin)]
    for bad in (answer([1]), answer("<p>no</p>", content_type="text/html"), answer({"error": {"message": "m"}}, 503)):
        upstreams["alpha"].next(bad)
        reply = envoy.request("POST", "/v1/chat/completions", asked, body=b'{"model":"alpha/m","messages":[]}')
        expect.envelope(reply)
        assert reply.header("access-control-allow-origin") == origin


def test_an_upstream_can_not_let_a_page_in(start_envoy, upstreams, origin):
    """What a server says of origins goes nowhere, beside Envoy's own word on it."""
    from harness import answer, openai_shapes

    envoy = start_envoy(cors_origin=origin)
    fields = [("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true")]
    for own, allowed in ((origin, origin), ("https://other.example", None)):
        upstreams["alpha"].next(answer(openai_shapes.completion(), headers=fields))
        body = b'{"model":"alpha/m","messages":[]}'
        asked = [*headers("main", "application/json"), ("origin", own)]
        reply = envoy.request("POST", "/v1/chat/completions", asked, body=body)
        assert reply.status == 200 and reply.header("access-control-allow-origin") == allowed
        assert reply.header("access-control-allow-credentials") is None
