"""Views by day from Matomo (Reporting API of Matomo 3 to 5, `Actions.getPageUrls`).

Days, because Matomo archives its page reports by day; there is no report of pages by hour.

- One day is asked for at a time, in pages of rows: a range of days would come as one answer of any size. Rows are
  asked for until none is left, as a server may give fewer than we ask for.
- `nb_hits` are views. The page is the row's `url`; a label is a path without host, with `index` for a trailing slash.
- Archiving keeps the 500 most visited rows of the top level and 100 of each folder (config.ini.php); the views of the
  others are summed in rows called "Others", which are no page. They are told in a note, and not counted.
- A day is one in the site's zone, which `SitesManager.getSiteFromId` tells to whoever may view the site.
- Matomo 5 refuses a wrong token with 401, older ones with 200 and `{"result": "error", "message": ...}`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from digest.config.sources import MatomoSource
from digest.domain.articles import Harvest, ViewCount
from digest.domain.periods import day_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.analytics import ApiFetcher, begin, unreadable, views_in
from digest.sources.counting import Pages, counted_nothing, origin_of
from digest.sources.plain import folded, web_url

LATE = timedelta(days=2)  # a day is archived anew after its midnight, and imported logs come later still
PAGE = 5000  # rows, of some 300 bytes
_ZONE = "zone"
_CHECK = "Check token and site_id: the token's user needs view access to the site"
_CHECK_EMPTY = "If people did read, check site_id and the site's tracking code"
_REMEDIES = {400: _CHECK, 401: _CHECK, 403: _CHECK}
_RAISE = (
    "raise datatable_archiving_maximum_rows_actions and datatable_archiving_maximum_rows_subtable_actions "
    "in Matomo's config.ini.php; days archived from then on will name more pages"
)
# Of a folder, whatever the language; of the top level, or of a folder before Matomo 3; as the archive has it.
_OTHERS = re.compile(r"(?:.*/)?(?: - [^/]+|Others)|-1")
_NO_URL = "Page URL not defined"
_UTC_AND = re.compile(r"UTC([+-])(\d{1,2})")  # Matomo's own names of zones, beside the usual ones


@dataclass(slots=True)
class _Counted:
    """The views of one reading, and what was left out of them."""

    pages: Pages
    views: list[ViewCount] = field(default_factory=list)
    others: int = 0
    unnamed: int = 0


@dataclass(frozen=True, slots=True)
class Matomo:
    """Reads one site. Labels belong to `site_url`; days to the site's own zone, or to `zone` when Matomo hides it."""

    section: MatomoSource
    site_url: str
    zone: ZoneInfo
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Views of the days since the last reading, today's too; at most five weeks. Raises SourceError."""
        counted = _Counted(Pages(origin_of(self.site_url)))
        token = self.section.token.get_secret_value()
        fetcher = ApiFetcher.asking(self.section, self._url, token, _REMEDIES)
        fetcher.sleep = self.sleep
        async with fetcher:
            zone, notes = await self._zone(fetcher, reading)
            today = reading.now.astimezone(zone).date()
            first = today if _moved(zone, reading) else begin(reading, LATE).astimezone(zone).date()
            for day in _days(first, today):
                rows = await self._rows(fetcher, day)
                self._count(rows, day, day_bucket(day, zone), counted)
        notes += _notes(counted)
        if not counted.views:
            notes.append(counted_nothing(day_bucket(first, zone)[0], reading.now, zone, _CHECK_EMPTY))
        return Harvest(views=tuple(counted.views), remembered={_ZONE: zone.key}, notes=tuple(notes))

    @property
    def _url(self) -> str:
        url = self.section.url.rstrip("/")
        return url if url.endswith(".php") else f"{url}/index.php"

    async def _ask(self, fetcher: ApiFetcher, method: str, **parameters: object) -> Any:
        """The answer of a method of the API; the token travels in the body, where no log keeps it."""
        form = {
            "module": "API",
            "method": method,
            "idSite": self.section.site_id,
            "format": "JSON",
            "language": "en",  # of "Others"
            "token_auth": self.section.token.get_secret_value(),
            **parameters,
        }
        answer, _ = await fetcher.get_json(self._url, form={name: str(value) for name, value in form.items()})
        if isinstance(answer, dict) and answer.get("result") == "error":
            raise _Refused(self.name, self._url, f"Matomo says: {fetcher.shown(answer.get('message'))}", _CHECK)
        return answer

    async def _zone(self, fetcher: ApiFetcher, reading: Reading) -> tuple[ZoneInfo, list[str]]:
        """The zone of the site's days: as it says, as it said, or as ours; with a note unless it is the first."""
        try:
            site = await self._ask(fetcher, "SitesManager.getSiteFromId")
        except SourceError as error:
            if not isinstance(error, _Refused) and error.status not in (401, 403):
                raise
            site = None  # were it the token, the next question would fail too
        site = site[0] if isinstance(site, list) and site else site  # before Matomo 4 in a list
        told = site.get("timezone") if isinstance(site, dict) else None
        zone = _zone_called(told)
        before = _zone_called(reading.remembered.get(_ZONE))
        if zone is None:
            zone = before or self.zone
            return zone, [f"Matomo does not tell the site's time zone ({told!r:.60}); its days are read as {zone.key}"]
        if before and _moved(zone, reading):
            return zone, [f"the site's time zone was {before.key} and is {zone.key}: today's views may count twice"]
        return zone, []

    async def _rows(self, fetcher: ApiFetcher, day: date) -> dict[tuple[str, str], Mapping[str, Any]]:
        """All rows of a day, by label and address: one that two pages show, as today goes on, counts once."""
        rows: dict[tuple[str, str], Mapping[str, Any]] = {}
        last: list[Any] = []
        offset = 0
        while page := await self._page(fetcher, day, offset):
            if page == last:
                raise SourceError(self.name, self._url, "it gives the same rows for ever", "Update Matomo")
            rows.update(((str(row.get("label")), str(row.get("url"))), row) for row in page)
            last, offset = page, offset + len(page)
        return rows

    async def _page(self, fetcher: ApiFetcher, day: date, offset: int) -> list[dict[str, Any]]:
        answer = await self._ask(
            fetcher,
            "Actions.getPageUrls",
            period="day",
            date=day,
            flat=1,
            format_metrics=0,
            showColumns="label,nb_hits,url",
            filter_sort_column="label",
            filter_sort_order="asc",
            filter_limit=PAGE,
            filter_offset=offset,
        )
        if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
            raise unreadable(self.name, self._url, answer, "Matomo")
        return answer

    def _count(
        self,
        rows: Mapping[tuple[str, str], Mapping[str, Any]],
        day: date,
        bucket: tuple[datetime, timedelta],
        counted: _Counted,
    ) -> None:
        for row in rows.values():
            label = row.get("label")
            label = str(label).strip() if isinstance(label, str | int) else ""
            try:
                views = views_in(row.get("nb_hits"))
            except ValueError as error:
                place = f"{self._url}, {day}, row {label[:60]!r}"
                remedy = "Nothing was stored; have Matomo archive that day anew, or update it"
                raise SourceError(self.name, place, str(error), remedy) from None
            url = row.get("url")
            if (not url and _OTHERS.fullmatch(label)) or label.endswith("/ - Others"):  # a folder may lend its address
                counted.others += views
            elif not url and label in ("", _NO_URL):
                counted.unnamed += views
            elif views and (page := self._page_url(url, label, counted.pages)):
                counted.views.append(ViewCount(page, *bucket, views))

    def _page_url(self, url: object, label: str, pages: Pages) -> str | None:
        """The address of a row, or None and a line in the notes of `pages`."""
        if isinstance(url, str) and url.strip():
            try:
                return web_url(url.replace("&amp;", "&"), self.site_url)
            except ValueError:
                return pages.url(folded(url, 60))  # which names no page, as it begins with no slash
        path = label.lstrip("/")
        return pages.url(path if path.endswith(("…", "...")) else f"/{path.removesuffix('index')}")


class _Refused(SourceError):
    """Matomo answered, and says no."""


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _zone_called(name: object) -> ZoneInfo | None:
    """A zone by the name Matomo gives it: Europe/Warsaw, or UTC+2, which POSIX writes as Etc/GMT-2."""
    if not isinstance(name, str):
        return None
    if offset := _UTC_AND.fullmatch(name):
        name = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}"
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no such zone, or no name of one at all
        return None


def _moved(zone: ZoneInfo, reading: Reading) -> bool:
    """Whether days were read in another zone before: read anew in this one, their views would count twice."""
    return reading.remembered.get(_ZONE, zone.key) != zone.key


def _notes(counted: _Counted) -> list[str]:
    notes: list[str] = []
    if counted.others:
        known = sum(count.views for count in counted.views)
        share = f"{counted.others:,} of {counted.others + known:,} views"
        notes.append(f'{share} belong to pages Matomo does not name, only sums as "Others": {_RAISE}')
    if counted.unnamed:
        notes.append(f"{counted.unnamed:,} views have no address in Matomo ({_NO_URL}) and are left out")
    return [*notes, *counted.pages.notes]
