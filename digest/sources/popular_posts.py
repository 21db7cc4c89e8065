"""The counts of WP Popular Posts (5.3 to 7.x): views between two moments, from a counter that always ends "now".

The plugin's one public question is "how often was each post read in the last so many minutes?". So the views in
[a, b) are the difference of two such windows asked one after the other: those since a, less those since b.

How exact that is:
- A window begins whole minutes before the second in which it is asked. So it is asked right after a minute has
  begun, which hits edges on whole minutes to within the seconds that asking takes. Only the very first reading does
  not wait for the minute, as somebody may be watching it: its edges may lie up to half a minute off.
- Views that come in between the asking of two windows, a second or so, are missing from the difference.
- Times are kept in the site's local time. The hour that comes twice when the clocks go back cannot be told from
  its twin: nothing is read during it, and no edge is set in it; its views go into one longer bucket, complete.
- A server with PHP before 8.1 subtracts on the wall clock: in a first reading, cut-offs that lie before a clock
  change are then an hour off. Later readings reach back an hour or so and do not meet this.
- The server's clock counts, not ours. With WPP_CACHE_VIEWS the plugin writes views down up to some minutes late;
  those written after the next edge was read are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from digest.domain.articles import ViewCount
from digest.domain.periods import hour_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.counters import whole
from digest.sources.fetch import Fetcher
from digest.sources.plain import web_url
from digest.sources.rows import MOST_VIEWS

NAMESPACE = "wordpress-popular-posts/v1"
FIRST_BACK = timedelta(days=14)  # what the first reading counts when there was no cut-off yet
LAST_EDGE = "counted_until"  # in what is remembered: the moment up to which views are counted
_PAGE = 500  # posts; the plugin has no limit. Few pages: among posts with the same count it keeps no order
_LEAST_PAGE = 100  # fewer than this is the last page, whatever limit a proxy or filter may put on us
_PROMPT = 5.0  # seconds into a minute that still count as its beginning
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Counted:
    """The views of one reading, the ids of the posts read most in it, and what to remember."""

    views: tuple[ViewCount, ...] = ()
    most_read: tuple[int, ...] = ()
    remembered: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Views by post id since some moment, and the posts' addresses."""

    views: dict[int, int] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PopularPosts:
    """Reads the counter at `route` of a site whose local times are in `zone`."""

    fetcher: Fetcher
    route: str
    zone: tzinfo

    @staticmethod
    def counted_before(reading: Reading) -> bool:
        """Whether an earlier reading found the counter."""
        return LAST_EDGE in reading.remembered

    async def since_last(self, reading: Reading) -> Counted:
        """Views from the last edge counted, over the cut-offs since, to the last whole hour. Raises SourceError."""
        kept = {name: value for name, value in reading.remembered.items() if name == LAST_EDGE}
        if comes_twice(reading.now, self.zone):
            return Counted(remembered=kept, notes=("views wait: this hour of the clock comes twice",))
        edges = [edge for edge in edges_of(reading) if not comes_twice(edge, self.zone)]
        if len(edges) < 2:
            return Counted(remembered=kept)
        clock = _Clock(reading.now)
        if kept:
            await clock.reach_a_minute(self.fetcher.sleep)
        windows = [await self._window(edge, clock) for edge in edges]
        views: list[ViewCount] = []
        totals: dict[int, int] = {}
        for (start, wide), (end, narrow) in pairwise(zip(edges, windows, strict=True)):
            for post, since_start in wide.views.items():
                if (between := since_start - narrow.views.get(post, 0)) > 0:
                    views.append(ViewCount(wide.links[post], start, end - start, between))
                    totals[post] = totals.get(post, 0) + between
        most_read = sorted(totals, key=lambda post: (-totals[post], post))
        return Counted(tuple(views), tuple(most_read), {LAST_EDGE: edges[-1].isoformat()})

    async def _window(self, edge: datetime, clock: _Clock) -> Window:
        """Views since `edge`; none when that is this very minute."""
        minutes = round((clock.moment() - edge) / _MINUTE)
        window = Window()
        while minutes > 0:
            query = {
                "range": "custom",
                "time_unit": "minute",
                "time_quantity": minutes,
                "limit": _PAGE,
                "offset": len(window.views),
                "_fields": "id,link,pageviews",
                # The plugin and caches before it keep answers by their parameters, for an hour or so.
                "digest": int(clock.moment().timestamp()),
            }
            batch, reply = await self.fetcher.get_json(self.route, params=query)
            known = len(window.views)
            for post in self._posts(batch, reply.url):
                window.views[post[0]], window.links[post[0]] = post[1:]
            if len(batch) < _LEAST_PAGE or len(window.views) == known:
                break
        return window

    def _posts(self, batch: Any, place: str) -> list[tuple[int, int, str]]:
        """(id, views, address) of each post of a reply."""
        try:
            return [(whole(post["id"]), _views(post["pageviews"]), web_url(post["link"], self.route)) for post in batch]
        except (KeyError, TypeError, ValueError) as error:
            reason = f"its counts cannot be read ({error!r}); it answered {str(batch)[:120]}"
            raise SourceError(
                self.fetcher.source, place, reason, 'Update WP Popular Posts, or set views = "none"'
            ) from None


def _views(value: Any) -> int:
    views = whole(value)
    if not 0 <= views <= MOST_VIEWS:
        raise ValueError(f"{views} views cannot be")
    return views


class _Clock:
    """The time while a reading goes on that began at `now`."""

    def __init__(self, now: datetime) -> None:
        self._loop = asyncio.get_running_loop()
        self._now, self._since = now, self._loop.time()

    def moment(self) -> datetime:
        """Now."""
        return self._now + timedelta(seconds=self._loop.time() - self._since)

    async def reach_a_minute(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait until a minute begins, unless one has just begun."""
        moment = self.moment()
        begun = moment.replace(second=0, microsecond=0)
        into = (moment - begun).total_seconds()
        if into > _PROMPT:
            await sleep(60 - into)
            self._now, self._since = begun + _MINUTE, self._loop.time()


def edges_of(reading: Reading) -> list[datetime]:
    """The moments between which views are counted: the last one counted, cut-offs since, the last whole hour."""
    last_hour, _ = hour_bucket(reading.now)
    known = reading.remembered.get(LAST_EDGE)
    first = datetime.fromisoformat(known) if known else min(reading.edges, default=last_hour - FIRST_BACK)
    later = {edge for edge in (*reading.edges, last_hour) if first < edge <= reading.now}
    return sorted({first.astimezone(UTC), *later})


def comes_twice(moment: datetime, zone: tzinfo) -> bool:
    """Whether local time cannot tell this moment from one an hour later or earlier, as the clocks go back.

    The first instant of such an hour can be told: all that the wall clock shows before it was before it.
    """
    local = moment.astimezone(zone)
    before = local.replace(tzinfo=None) - timedelta(microseconds=1)
    return _is_ambiguous(local.replace(tzinfo=None), zone) and (local.fold == 1 or _is_ambiguous(before, zone))


def _is_ambiguous(wall: datetime, zone: tzinfo) -> bool:
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first > second
