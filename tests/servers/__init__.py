"""Real servers for the tests: each starts its own, on loopback, and ends it."""

import os

import pytest


def require(available: bool, what: str, how: str) -> None:
    """Skip, in one line, when a real server is not installed; in CI nothing is skipped."""
    if available:
        return
    reason = f"{what} is not installed; to run this too: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
