"""A web server for each test, and the moment at which sources are read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.sources.web import Web, serving

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)  # Saturday 08:00 in Warsaw


@pytest.fixture
def web() -> Iterator[Web]:
    """A server on loopback that knows no page yet."""
    with serving() as running:
        yield running
