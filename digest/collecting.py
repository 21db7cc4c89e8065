"""FLOW: sources, then articles and the views each got, hour by hour.

One reading of one source is one transaction: it is stored whole or not at all, and the others go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.domain.articles import FoundArticle, Harvest, canonical_url, counted_since, spread
from digest.domain.periods import Period, hour_bucket
from digest.errors import SourceError
from digest.sources import Reading, Source
from digest.store import Store, Transaction, articles
from digest.store.articles import Unmatched

Bucket = tuple[int, datetime, timedelta]  # page id, start, span


@dataclass(frozen=True, slots=True)
class Collected:
    """What one reading of one source came to; `error` is empty when it went well."""

    source: str
    found: int = 0
    new: int = 0
    views: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


async def collect(store: Store, source: Source, site_url: str, edges: Sequence[datetime], now: datetime) -> Collected:
    """Read one source and store what it brought. A source that fails is recorded, never raised."""
    with store.begin() as tx:
        record = articles.source(tx, source.name)
    try:
        harvest = await source.collect(Reading(now, record.collected_at, tuple(edges), record.remembered))
        with store.begin() as tx:
            return _keep(tx, record.id, source.name, harvest, site_url, now)
    except SourceError as error:
        with store.begin() as tx:
            articles.note_failed(tx, record.id, now, str(error))
        return Collected(source.name, error=str(error))


def _keep(tx: Transaction, source_id: int, name: str, harvest: Harvest, site_url: str, now: datetime) -> Collected:
    articles.lock_source(tx, source_id)
    found, notes = _by_canonical(harvest.articles, site_url)
    counted, count_notes = _views_by_canonical(harvest, site_url)
    totals, total_notes = _totals_by_canonical(harvest, site_url)
    pages = articles.page_ids(tx, [*found, *(key for key, _, _ in counted), *totals])
    new = articles.save(tx, source_id, {pages[key]: article for key, article in found.items()}, now)
    counts = {(pages[key], at, span): views for (key, at, span), views in counted.items()}
    articles.put_views(tx, source_id, counts)
    risen = _take_totals(tx, source_id, {pages[key]: total for key, total in totals.items()}, now)
    articles.note_collected(tx, source_id, now, harvest.remembered)
    views = sum(counts.values()) + risen
    return Collected(name, len(found), new, views, (*harvest.notes, *notes, *count_notes, *total_notes))


def _by_canonical(found: Sequence[FoundArticle], site_url: str) -> tuple[dict[str, FoundArticle], list[str]]:
    by_key: dict[str, FoundArticle] = {}
    notes: list[str] = []
    for article in found:
        try:
            by_key[canonical_url(article.url, site_url)] = article
        except ValueError as error:
            notes.append(f"article {article.title[:60]!r} left out: {error}")
    return by_key, notes


def _views_by_canonical(
    harvest: Harvest, site_url: str
) -> tuple[dict[tuple[str, datetime, timedelta], int], list[str]]:
    """Views of one page in one bucket, summed over the spellings of its address."""
    counted: dict[tuple[str, datetime, timedelta], int] = defaultdict(int)
    keys, notes = _canonical_keys([count.url for count in harvest.views], site_url)
    for count in harvest.views:
        if key := keys[count.url]:
            counted[key, count.at, count.span] += count.views
    return counted, notes


def _totals_by_canonical(harvest: Harvest, site_url: str) -> tuple[dict[str, int], list[str]]:
    totals: dict[str, int] = defaultdict(int)
    keys, notes = _canonical_keys([total.url for total in harvest.totals], site_url)
    for total in harvest.totals:
        if key := keys[total.url]:
            totals[key] += total.total
    return totals, notes


def _canonical_keys(urls: Sequence[str], site_url: str) -> tuple[dict[str, str], list[str]]:
    """Each address once: a log names the same few thousand pages a million times."""
    keys: dict[str, str] = {}
    notes: list[str] = []
    for url in urls:
        if url not in keys:
            try:
                keys[url] = canonical_url(url, site_url)
            except ValueError as error:
                keys[url] = ""
                notes.append(f"views left out: {error}")
    return keys, notes


def _take_totals(tx: Transaction, source_id: int, totals: Mapping[int, int], now: datetime) -> int:
    """Turn readings of lifetime counters into views since the last reading; returns their sum."""
    if not totals:
        return 0
    before = articles.read_totals(tx, source_id)
    counts: dict[Bucket, int] = defaultdict(int)
    for page, total in totals.items():
        if page in before and before[page][1] < now:
            previous, read_at = before[page]
            for at, span, views in spread(counted_since(previous, total), read_at, now):
                counts[page, at, span] += views
    # An hour between two readings gets a share from each of them, so shares are added.
    articles.add_views(tx, source_id, counts)
    articles.put_totals(tx, source_id, totals, now)
    return sum(counts.values())


def count_views(store: Store, source_name: str, counts: Mapping[tuple[str, datetime], int], site_url: str) -> None:
    """Add views counted by our own beacon, by (page URL, hour)."""
    by_key: dict[tuple[str, datetime, timedelta], int] = defaultdict(int)
    for (url, moment), views in counts.items():
        at, span = hour_bucket(moment)
        by_key[canonical_url(url, site_url), at, span] += views
    with store.begin() as tx:
        source_id = articles.source(tx, source_name).id
        pages = articles.page_ids(tx, [key for key, _, _ in by_key])
        articles.add_views(tx, source_id, {(pages[key], at, span): n for (key, at, span), n in by_key.items()})


def unmatched(store: Store, period: Period) -> list[Unmatched]:
    """Pages read in the period that are no articles we know, most read first."""
    with store.read() as tx:
        return articles.unmatched(tx, period)
