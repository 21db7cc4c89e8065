"""What the checks share: the specimens, made once, and one browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.browser import Window, window
from tests.checks.playing import play
from tests.checks.specimens import Specimens
from tests.checks.texts import WORDS


@pytest.fixture(scope="session")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Specimens:
    """Every mail and page, in every language."""
    taken = Specimens()
    for language in WORDS:
        taken += play(language, tmp_path_factory.mktemp(f"play-{language}"))
    return taken


@pytest.fixture(scope="module")
def browser() -> Iterator[Window]:
    """A tab. Ended with the module: its driver keeps a loop in this thread, which others have no use for."""
    with window() as made:
        yield made


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go; CI keeps them."""
    folder = Path(os.environ.get("ARTIFACTS", "artifacts")) / "checks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
