"""Fixtures of the tests that go through an official SDK."""

from __future__ import annotations

from collections.abc import Callable

import openai
import pytest
from harness import Envoy, sdk
from harness.plugin import VK


@pytest.fixture
def client(gateway: Envoy) -> Callable[..., openai.OpenAI]:
    """Makes a client of the shared gateway for a virtual key."""

    def make(vk: str = VK["main"]) -> openai.OpenAI:
        return sdk.python_client(gateway, vk)

    return make
