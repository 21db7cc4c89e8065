"""The cast and the stage: a real store, a set clock, a whole service over a real SMTP server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from digest.store import Store
from digest.store.migrate import migrate
from tests.servers import postgres as postgres_server

NOW = datetime(2026, 11, 28, 7, 0, 30, tzinfo=UTC)  # Saturday 08:00:30 in Warsaw


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Postgres]:
    """A private PostgreSQL for the whole run."""
    with postgres_server.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/digest.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A migrated store of each kind."""
    made = Store(store_url)
    migrate(made)
    yield made
    made.close()
