"""Views by day from Google Analytics 4 (Data API v1beta, properties.runReport), read as a service account.

- Days are those of the property's own zone, which the answer tells; a day counts in the week in which it ends.
- Google works a day or two on what it counts, so the last 48 hours before the last reading are read again.
- `hostName` must be the host exactly: a property may count several sites.
- It keeps the most read pages of a day and puts the rest in one row named "(other)", leaves out rows of few people
  where it guards their privacy (thresholding), and answers large questions from a sample. All of that it says, and so
  do we.
- Rows are sorted by day, so the day that still grows comes last and cannot shift what was read before it. Fewer rows
  at a time than the 250,000 allowed: the answer must fit into max_bytes.

Facts: googleapis google/analytics/data/v1beta/{analytics_data_api,data}.proto, developers.google.com/analytics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from digest.config.sources import Ga4Source
from digest.domain.articles import Harvest, ViewCount
from digest.domain.periods import day_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.analytics import begin, views_in
from digest.sources.counting import AttentiveFetcher, Pages, counted_nothing, origin_of
from digest.sources.plain import folded
from digest.sources.service_account import GRANT, ServiceAccount

LATE = timedelta(hours=48)
ROWS = 100_000  # at a time: 15 MB
MOST_ROWS = 5_000_000
MOST_ANSWERS = 100
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
_DAY = timedelta(days=1)
_OTHER = "(other)"
_DIMENSIONS = ("date", "pagePath")
_METRICS = ("screenPageViews",)


@dataclass(frozen=True, slots=True)
class Ga4:
    """Reads one property: the pages at one host. `folder` is where the credentials file's path begins."""

    section: Ga4Source
    site_url: str
    zone: ZoneInfo
    folder: Path
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    @property
    def host(self) -> str:
        """Of the pages that are counted."""
        return self.section.host.strip().lower() or urlsplit(self.site_url).hostname or ""

    async def collect(self, reading: Reading) -> Harvest:
        """Views by day, from two days before the last reading to today; at first of five weeks. Raises SourceError."""
        account = await asyncio.to_thread(ServiceAccount.read, self.name, self.folder / self.section.credentials_file)
        async with AttentiveFetcher.of(self.section, self.section.url, account.token_uri) as fetcher:
            assert isinstance(fetcher, AttentiveFetcher)
            fetcher.sleep = self.sleep
            token = await self._token(fetcher, account, reading.now)
            return await self._read(_Property(self, fetcher, account, token), reading)

    async def _token(self, fetcher: AttentiveFetcher, account: ServiceAccount, now: datetime) -> str:
        form = {"grant_type": GRANT, "assertion": account.assertion(SCOPE, now)}
        try:
            answer, _ = await fetcher.get_json(account.token_uri, form=form)
        except SourceError:
            if fetcher.refusal is None or fetcher.refusal.status >= 500:
                raise
            words = fetcher.refusal.words("error_description", "message", "error")
            reason = f"Google does not accept the key of {account.email} ({fetcher.refusal.status}: {words})"
            remedy = "Check this machine's clock; if it is right, make a new key: this one may have been deleted"
            raise SourceError(self.name, account.token_uri, reason, remedy) from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise SourceError(
                self.name, account.token_uri, "it gave no access_token", "Check token_uri in the key file"
            )
        return token

    async def _read(self, counted: _Property, reading: Reading) -> Harvest:
        start = begin(reading, LATE)
        # The property's zone is not known yet, and no two are more than a day apart.
        first = start.astimezone(self.zone).date() - _DAY
        report = _Report(Pages(origin_of(self.site_url, self.section.host.strip().lower())), self.zone, reading.now)
        for _ in range(MOST_ANSWERS):
            answer = await counted.ask(first, report.rows)
            try:
                # A hundred thousand rows: meanwhile the loop serves readers.
                await asyncio.to_thread(report.take, answer)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
                reason = f"its report cannot be read ({error}); it begins {folded(str(answer)[:1000], 100)!r}"
                raise SourceError(self.name, counted.place, reason, "Check url and property_id") from None
            if report.rows >= report.row_count:
                break
        else:
            reason = f"it gave {report.rows:,} of {report.row_count:,} rows in {MOST_ANSWERS} answers"
            raise SourceError(self.name, counted.place, reason, "Check url")
        notes = report.notes()
        if report.zone.key != self.zone.key and reading.since is None:
            notes.append(f"the property's days are those of {report.zone.key}, not of {self.zone.key}")
        if not report.views:
            remedy = f"If people did read {self.host}, check property_id, and host: it must be exactly theirs"
            notes.append(counted_nothing(start, reading.now, self.zone, remedy))
        return Harvest(views=tuple(report.views), notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Property:
    """A property of Google Analytics, opened with `token`."""

    source: Ga4
    fetcher: AttentiveFetcher
    account: ServiceAccount
    token: str = field(repr=False)

    @property
    def place(self) -> str:
        """The address of its reports."""
        return f"{self.source.section.url.rstrip('/')}/v1beta/properties/{self.source.section.property_id}:runReport"

    async def ask(self, first: date, offset: int) -> Any:
        """Rows of the report from the day `first` to today, from row `offset` on. Raises SourceError."""
        host = {"matchType": "EXACT", "value": self.source.host, "caseSensitive": False}
        body = {
            "dateRanges": [{"startDate": first.isoformat(), "endDate": "today"}],
            "dimensions": [{"name": name} for name in _DIMENSIONS],
            "metrics": [{"name": name} for name in _METRICS],
            "dimensionFilter": {"filter": {"fieldName": "hostName", "stringFilter": host}},
            "orderBys": [{"dimension": {"dimensionName": name}} for name in _DIMENSIONS],
            "limit": str(ROWS),
            "offset": str(offset),
            "keepEmptyRows": False,
        }
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer, _ = await self.fetcher.get_json(
                self.place, params={"prettyPrint": "false"}, body=body, headers=headers
            )
        except SourceError:
            if self.fetcher.refusal is None or not (words := self.fetcher.refusal.words("message", "status")):
                raise
            raise self._explained(self.fetcher.refusal.status, words) from None
        return answer

    def _explained(self, status: int, words: str) -> SourceError:
        viewer = f"In Google Analytics, give {self.account.email} the role Viewer on this property; check property_id"
        remedies = {
            401: "Try again; if it stays so, make a new key for the service account",
            403: viewer if "permission" in words else "",  # or the API is not enabled, and the words say where to
            404: "Check url",
            429: "Google's quota is used up: raise [collecting] every",
        }
        later = "Google has a problem; it is read again the next time" if status >= 500 else "Check property_id"
        return SourceError(self.source.name, self.place, f"it answered {status}: {words}", remedies.get(status, later))


@dataclass(slots=True)
class _Report:
    """The rows of a report as they come in. `zone` is the site's until the report tells the property's."""

    pages: Pages
    zone: ZoneInfo
    now: datetime
    rows: int = 0
    row_count: int = 0
    first_row: Any = None  # of the last answer
    views: list[ViewCount] = field(default_factory=list)
    other: int = 0  # views in the row for all other pages
    caveats: dict[str, None] = field(default_factory=dict)

    def take(self, answer: Mapping[str, Any]) -> None:
        """Count some rows. Raises KeyError, TypeError or ValueError when the report has another shape."""
        rows = answer.get("rows") or []
        self.row_count = views_in(answer.get("rowCount", 0))
        if self.row_count > MOST_ROWS:
            raise ValueError(f"{self.row_count:,} rows are more than anybody can have pages")
        if not rows and self.rows < self.row_count:
            raise ValueError(f"it says it has {self.row_count:,} rows, and gave {self.rows:,}")
        self._heed(answer.get("metadata") or {})
        if rows:
            if rows[0] == self.first_row:
                raise ValueError("it gives the same rows again, whatever `offset` asks for")
            self.first_row = rows[0]
            self._check([each["name"] for each in answer["dimensionHeaders"]], _DIMENSIONS)
            self._check([each["name"] for each in answer["metricHeaders"]], _METRICS)
        buckets: dict[str, tuple[datetime, timedelta] | None] = {}
        for row in rows:
            day, path = (each["value"] for each in row["dimensionValues"])
            (count,) = (views_in(each["value"]) for each in row["metricValues"])
            if day not in buckets:
                buckets[day] = self._bucket(day)
            self._count(buckets[day], path, count)
        self.rows += len(rows)

    def _count(self, bucket: tuple[datetime, timedelta] | None, path: Any, count: int) -> None:
        if path == _OTHER:
            self.other += count
        elif bucket and count and (url := self.pages.url(path)):
            self.views.append(ViewCount(url, *bucket, count))

    def _bucket(self, day: str) -> tuple[datetime, timedelta] | None:
        """The day's bucket; None for one that has not begun, or when it is no day at all but "(other)"."""
        if day == _OTHER:
            return None
        if len(day) != 8 or not day.isascii() or not day.isdecimal():
            raise ValueError(f"{day[:40]!r} is no date")
        at, span = day_bucket(date(int(day[:4]), int(day[4:6]), int(day[6:])), self.zone)
        if at > self.now:
            self.caveats["days that have not begun are left out"] = None
            return None
        return at, span

    def _heed(self, metadata: Mapping[str, Any]) -> None:
        if zone := metadata.get("timeZone"):
            self.zone = ZoneInfo(zone)
        else:
            self.caveats["the report does not tell its time zone; the newsletter's is taken"] = None
        if metadata.get("dataLossFromOtherRow"):
            self.caveats["Google put little-read pages together in one row"] = None
        if metadata.get("subjectToThresholding"):
            self.caveats["Google left out rows of few people (thresholding)"] = None
        if metadata.get("samplingMetadatas"):
            self.caveats["Google estimated the counts from a sample"] = None

    @staticmethod
    def _check(names: list[str], wanted: tuple[str, ...]) -> None:
        if tuple(names) != wanted:
            raise ValueError(f"its columns are {names}")

    def notes(self) -> list[str]:
        """What the counts are not."""
        other = [f"{self.other:,} views of other pages came in one row, and count for none"] if self.other else []
        return [*self.caveats, *other, *self.pages.notes]
