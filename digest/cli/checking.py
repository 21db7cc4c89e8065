"""`digest collect --check`: what each source would give, in one line each, and nothing stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from digest import collecting
from digest.app import App
from digest.cli.printing import fail, local, many, say
from digest.domain.articles import Harvest
from digest.domain.periods import Period
from digest.errors import SourceError
from digest.sources import Reading, Source
from digest.store import articles, readership

_WAITING = {"beacon": "readers' browsers", "push": "your own system"}  # kinds that are never asked: these send
_LOOKED_BACK = timedelta(days=35)
_MOST_NOTES = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a source. `counted` is the end of the newest hour, day or span that holds views.

    `sender` names those who send to a source that is not asked; `error` is empty for all that can be read.
    """

    source: str
    articles: int = 0
    newest_article: datetime | None = None
    counts: int = 0
    views: int = 0
    counted: datetime | None = None
    lifetime: int = 0  # counters that only say how often a page was ever read
    notes: tuple[str, ...] = ()
    sender: str = ""
    error: SourceError | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it can be read and has nothing."""
        return self.error is None and not (self.articles or self.counts or self.lifetime or self.counted)

    def line(self, zone: ZoneInfo) -> str:
        """All of it for a person, times in `zone`."""
        if self.error is not None:
            return f"{self.source}: not readable: {self.error.place}: {self.error.reason}"
        if self.sender:
            counted = f"counted up to {local(self.counted, zone)}" if self.counted else "nothing was counted yet"
            return f"{self.source}: waits for {self.sender}; {counted}"
        if self.is_empty:
            return f"{self.source}: reachable, but empty: no article and no count"
        listed = (
            f"{many(self.articles, 'article')}, newest {local(self.newest_article, zone)}"
            if self.articles
            else "no articles"
        )
        return f"{self.source}: reachable; {listed}; {self._counted(zone)}"

    def _counted(self, zone: ZoneInfo) -> str:
        if self.lifetime:
            return many(self.lifetime, "lifetime counter")
        if not self.counts:
            return "no counts"
        newest = f"newest up to {local(self.counted, zone)}" if self.counted else "all of them 0"
        return f"{many(self.counts, 'count')}, {many(self.views, 'view')}, {newest}"

    def json(self) -> dict[str, Any]:
        """All of it for a script."""
        error = self.error
        return {
            "source": self.source,
            "reachable": error is None,
            "error": str(error) if error else "",
            "place": error.place if error else "",
            "reason": error.reason if error else "",
            "remedy": error.remedy if error else "",
            "empty": self.is_empty,
            "waits_for": self.sender,
            "articles": self.articles,
            "newest_article": self.newest_article,
            "counts": self.counts,
            "views": self.views,
            "newest_count": self.counted,
            "lifetime_counters": self.lifetime,
            "notes": self.notes,
        }


async def look(app: App, sources: Sequence[Source], now: datetime) -> list[Seen]:
    """Read the sources side by side, as if for the first time."""
    kinds = {each.name: each.kind for each in app.config.sources}
    return await asyncio.gather(*(_look(app, each, _WAITING.get(kinds[each.name], ""), now) for each in sources))


async def _look(app: App, source: Source, sender: str, now: datetime) -> Seen:
    try:
        if sender:
            return await _waiting(app, source, sender, now)
        return _seen(source.name, await collecting.read(source, Reading(now)))
    except SourceError as error:
        return Seen(source.name, error=error)


async def _waiting(app: App, source: Source, sender: str, now: datetime) -> Seen:
    """A source that is not asked: what it was sent so far tells whether it works."""
    reading, counted = Reading(now), None
    with app.store.read() as tx:
        if record := articles.known_source(tx, source.name):
            reading = Reading(now, record.collected_at, remembered=record.remembered)
            _, counted = readership.edges(tx, Period(now - _LOOKED_BACK, now + timedelta(days=1)), [record.id])
    harvest = await collecting.read(source, reading)
    return Seen(source.name, counted=counted, notes=harvest.notes, sender=sender)


def _seen(name: str, harvest: Harvest) -> Seen:
    return Seen(
        name,
        articles=len(harvest.articles),
        newest_article=max((each.published_at for each in harvest.articles), default=None),
        counts=len(harvest.views),
        views=sum(each.views for each in harvest.views),
        counted=max((each.at + each.span for each in harvest.views if each.views), default=None),
        lifetime=len(harvest.totals),
        notes=harvest.notes,
    )


def show(seen: Sequence[Seen], zone: ZoneInfo) -> None:
    """A line for each source; below it what to do, or what was left out."""
    for each in seen:
        if each.error is not None:
            fail(each.line(zone))
            if each.error.remedy:
                fail(f"  {each.error.remedy}")
            continue
        say(each.line(zone), "yellow" if each.is_empty else "")
        for note in each.notes[:_MOST_NOTES]:
            say(f"  {note}", "yellow")
        if (more := len(each.notes) - _MOST_NOTES) > 0:
            say(f"  and {many(more, 'note')} more; --json has them all", "yellow")
