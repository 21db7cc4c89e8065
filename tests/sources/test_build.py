"""Every kind of source that can be configured can be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from digest.config.sources import AnySource
from digest.sources import Source
from digest.sources.build import build


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("feed", {"url": "https://news.example.com/feed/"}),
        ("wordpress", {"url": "https://news.example.com"}),
        ("files", {"views": "v.csv"}),
        ("beacon", {}),
    ],
)
def test_a_section_becomes_a_source_of_its_name(kind: str, keys: dict[str, Any]) -> None:
    section: Any = TypeAdapter(AnySource).validate_python({"name": "news", "kind": kind, **keys})
    source: Source = build(
        section, site_url="https://news.example.com", zone=ZoneInfo("Europe/Warsaw"), folder=Path("/srv")
    )
    assert source.name == "news"
