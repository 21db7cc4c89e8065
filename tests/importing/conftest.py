"""The stage on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from digest.store import Store
from tests.importing.stage import Stage


@pytest.fixture
def stage(store: Store, tmp_path: Path) -> Stage:
    """An empty database of each kind."""
    return Stage(store, tmp_path)
