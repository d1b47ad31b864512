"""The configuration that is soaked: a small budget, so that it is soon used up, and keys and providers of both camps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/envoy"))

from harness import plugin  # noqa: E402

Json = dict[str, Any]
MIB = 1 << 20
HELD = 64 * MIB
"""Of it each key and each provider may hold a quarter."""
BETA = "beta"
"""The innocents' provider; theirs is the key `literal`."""
WICKED = ["alpha", "delta"]
ATTACKING_KEYS = ["main", "env"]
CLUSTERS = ["alpha", "beta", "delta", "plain"]
"""`plain` is where paths outside of the prefix go."""


def configuration(held: int, **changes: Any) -> Json:
    """Three providers and three keys: two of each may take half of the budget, and leave the rest."""
    providers = [each for each in plugin.providers() if each["name"] in CLUSTERS]
    ids = {f"id-{name}" for name in ("literal", *ATTACKING_KEYS)}
    limits = {
        "max_request_bytes": 34 * MIB,
        "max_buffered_bytes": 16 * MIB,
        "max_answer_bytes": 16 * MIB,
        "max_held_bytes": held,
    }
    keys = [each for each in plugin.virtual_keys() if each["id"] in ids]
    return {"providers": providers, "virtual_keys": keys, "limits": limits, **changes}
