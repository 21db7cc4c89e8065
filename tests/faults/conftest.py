"""One shelf of frozen editions for all the tests of faults."""

from __future__ import annotations

import pytest

from tests.faults.stage import Shelf


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Databases that are ready to send."""
    return Shelf(tmp_path_factory.mktemp("shelf"))
