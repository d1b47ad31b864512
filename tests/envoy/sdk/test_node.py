"""The official Node SDK, unmodified: runs the files of tests/node against the shared gateway."""

from __future__ import annotations

import pytest
from harness.plugin import PROVIDER_KEYS
from harness.sdk import run_node_tests


@pytest.mark.parametrize("file", ["chat.test.mjs", "errors.test.mjs"])
def test_node(gateway, file):
    run_node_tests(gateway, file)


def test_node_uploads(gateway, upstreams):
    run_node_tests(gateway, "uploads.test.mjs")
    sent = [got for name in ("alpha", "vllm") for got in upstreams[name].requests]
    assert len(sent) == 3
    for got in sent:
        assert b"whisper-1" in got.body
        assert b"alpha/" not in got.body and b"vllm/" not in got.body
        assert got.header("authorization") in {f"Bearer {key}" for key in PROVIDER_KEYS.values()}
    first_model = [got.body.index(b'name="model"') < got.body.index(b'name="file"') for got in sent]
    assert first_model == [True, False, False]
