"""Where articles and views come from: one file a kind of source, one protocol for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from digest.domain.articles import Harvest


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source is asked for. All times aware UTC.

    `now` is the moment of reading. `since` is when this source was last read well, None for the first time.
    `edges` are the cut-offs of the last two weeks, oldest first: a source that can only count views up to
    now needs them to tell one period from the next.
    `remembered` is what the source's last Harvest asked to keep (ETag, Last-Modified, ...).
    """

    now: datetime
    since: datetime | None = None
    edges: tuple[datetime, ...] = ()
    remembered: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """A place articles or views are read from."""

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        ...

    async def collect(self, reading: Reading) -> Harvest:
        """Read the source once. Raises SourceError; then nothing of this reading is stored."""
        ...
