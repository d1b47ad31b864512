"""What each recorded answer counts to: what a client can see of its tokens, and its text where it tells nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from harness import headers, metering
from harness.quirks import ANSWERS, params, path_of, recorded


@pytest.fixture
def observed(start_envoy: Any) -> Any:
    return start_envoy(**vars(metering.setting()))


def counted(gateway: Any, upstreams: Any, quirk: Any, chunks: Any = None) -> Any:
    """The reply, and what it counted to."""
    upstreams["alpha"].next(recorded(quirk, chunks))
    mark = uuid.uuid4().hex
    fields = headers("main", None, [*quirk.fields, ("x-test-id", mark)])
    with gateway.connect() as client:
        body = quirk.request_body
        client.send_head(
            "POST", path_of(quirk), [*fields, ("content-length", str(len(body)))]
        )
        client.send(body)
        incoming = client.answer()
        if quirk.meta["upstream"].get("close") == "never" and incoming.status == 200:
            incoming.read_until(lambda got: got.endswith(b"data: [DONE]\n\n"))
            reply = incoming.so_far
        else:
            reply = incoming.rest()
    return reply, *metering.counts(gateway, mark)


@pytest.mark.parametrize("quirk", params(ANSWERS))
def test_it_counts_what_a_client_can_see(
    observed: Any, upstreams: Any, quirk: Any
) -> None:
    reply, source, counts = counted(observed, upstreams, quirk)
    usage, text, failed = metering.told(reply)
    embeds = path_of(quirk) == "/v1/embeddings"
    text = 0 if embeds else text
    if failed and not text:
        assert (source, counts) == (None, [0, 0, 0, 0])
        return
    tokens = {
        name: value for name, value in (usage or {}).items() if name.endswith("_tokens")
    }
    given = tokens.get("completion_tokens", 0)
    # Rerankers tell all of them alone.
    prompt = tokens.get("prompt_tokens", tokens.get("total_tokens"))
    if source == "upstream":
        assert counts[0] == prompt
        assert counts[1] == given
        assert counts[3] == max(tokens.get("total_tokens") or 0, counts[0] + counts[1])
        return
    assert not given, "an estimate where tokens were counted"
    assert counts[1] == metering.estimated(text)
    assert counts[3] == counts[0] + counts[1]


TABLE = {
    "a-usage-after-keepalives": ("upstream", 3, 2, 0, 5),
    "a-usage-choices-missing": ("upstream", 3, 2, 0, 5),
    "a-usage-every-chunk": ("upstream", 3, 2, 0, 5),
    "a-usage-strings": ("upstream", 3, 2, 0, 5),
    "a-usage-x-groq": ("upstream", 3, 2, 0, 5),
    "a-usage-zero-placeholder": ("upstream", 3, 2, 0, 5),
    "a-truncated-between-frames": ("estimated", 1, 1, 0, 2),
    "a-error-inside-choice": ("estimated", 1, 1, 0, 2),
    "a-done-missing": ("estimated", 1, 1, 0, 2),
    "a-transcript-vllm-chunks": ("estimated", 0, 3, 0, 3),
    "a-gzip-flush-per-event": ("estimated", 1, 47, 0, 48),
    "s-usage-anthropic": ("upstream", 3, 1, 0, 4),
    "s-usage-gemini-plain": ("upstream", 3, 1, 0, 4),
    "s-usage-list-plain": ("upstream", 3, 1, 0, 4),
    "s-tool-map": ("estimated", 1, 2, 0, 3),
    "s-emb-map": ("estimated", 1, 0, 0, 1),
    "s-tr-string": ("estimated", 0, 2, 0, 2),
    "s-err-problem-later": ("estimated", 1, 1, 0, 2),
    "s-err-problem-first": (None, 0, 0, 0, 0),
    "b-201-error": (None, 0, 0, 0, 0),
}
"""By hand: who counted; input, output, cached and all tokens."""


@pytest.mark.parametrize(
    "quirk",
    [quirk for quirk in ANSWERS if quirk.id in TABLE],
    ids=lambda quirk: quirk.id,
)
def test_it_counts_to(observed: Any, upstreams: Any, quirk: Any) -> None:
    for chunks in (None, 1):
        _, source, counts = counted(observed, upstreams, quirk, chunks)
        assert (source, *counts) == TABLE[quirk.id]
