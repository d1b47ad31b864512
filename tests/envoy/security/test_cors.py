"""A page of another origin calls the gateway with `fetch` in a real browser: Envoy's CORS filter stands before ours, as
docs/security.md shows. `scripts/chromium.sh` brings the browser."""

from __future__ import annotations

import functools
import http.server
import re
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


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def origin():
    """A site that serves the page, on another port and so of another origin than the gateway."""
    handler = functools.partial(Quiet, directory=str(PAGES))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def seen(browser: str, url: str) -> list[str]:
    """What the page says it has seen."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command += ["--virtual-time-budget=20000", "--dump-dom", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    page = re.search(r"<pre[^>]*>(.*?)</pre>", done.stdout, re.S)
    assert page, done.stderr[-2000:]
    return page[1].strip().splitlines()


def test_a_page_that_may(start_envoy, upstreams, browser, origin):
    envoy = start_envoy(cors_origin=origin)
    url = f"{origin}/cors.html?key={plugin.VK['main']}#http://127.0.0.1:{envoy.port}"
    assert seen(browser, url) == [
        "plain: 200 Hello by alpha",
        "stream: 200 done",
        "refusal: 401 invalid_api_key",
        "end",
    ]
    # The preflights were Envoy's to answer.
    assert [request.method for request in upstreams["alpha"].requests] == ["POST", "POST"]


def test_a_page_of_another_origin(start_envoy, browser, origin):
    """The browser asks first, and then sends nothing."""
    envoy = start_envoy(cors_origin="https://app.example")
    url = f"{origin}/cors.html?key={plugin.VK['main']}#http://127.0.0.1:{envoy.port}"
    with envoy.sends_nothing():
        assert seen(browser, url) == [
            *(f"{step}: TypeError: Failed to fetch" for step in ("plain", "stream", "refusal")),
            "end",
        ]


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
