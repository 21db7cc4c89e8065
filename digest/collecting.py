"""FLOW: sources, then articles and the views each got, hour by hour.

One reading of one source is one transaction: it is stored whole or not at all, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from digest.domain.articles import FoundArticle, Harvest, Pages, counted_since, spelling, spread
from digest.domain.periods import Period, day_bucket, hour_bucket
from digest.errors import DigestError, SourceError
from digest.sources import Reading, Source
from digest.sources.rows import MOST_VIEWS
from digest.store import Store, Transaction, articles, pushes, readership
from digest.store.articles import SourceRecord
from digest.store.readership import Unmatched

log = logging.getLogger("digest.collecting")

Bucket = tuple[int, datetime, timedelta]  # page id, start, span
KEYS_KEPT = timedelta(days=30)  # how long a push that comes again is known


@dataclass(frozen=True, slots=True)
class Collected:
    """What one reading of one source came to; `error` is empty when it went well."""

    source: str
    found: int = 0
    new: int = 0
    views: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Views that one `writer` stores in one go: a process numbers its batches, and repeats one it is not sure of."""

    writer: str
    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one push came with: its key ("" when it has none), the hash of its body, and how it will be answered."""

    key: str
    body_hash: str
    at: datetime
    answer: Callable[[Collected], Mapping[str, Any]]


class KeyTaken(DigestError):
    """The `key` came with another body before."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"the key {key!r} came with another body before")


async def collect(store: Store, source: Source, site: Pages, edges: Sequence[datetime], now: datetime) -> Collected:
    """Read one source and store what it brought. A source that fails is recorded, never raised."""
    # In threads: a database that is busy, or a harvest of a hundred thousand rows, must not hold up the readers.
    record = await asyncio.to_thread(_record, store, source.name)
    try:
        harvest = await read(source, Reading(now, record.collected_at, tuple(edges), record.remembered))
        return await asyncio.to_thread(_store, store, record, harvest, site, now)
    except SourceError as error:
        await asyncio.to_thread(_note_failed, store, record, error, now)
        return Collected(source.name, error=str(error))


async def read(source: Source, reading: Reading) -> Harvest:
    """What a source gives. Raises SourceError, whatever went wrong: no source may stop the others, or an edition."""
    try:
        return await source.collect(reading)
    except SourceError:
        raise
    except Exception as error:
        log.exception("source %s", source.name)
        reason = f"it cannot be read: {type(error).__name__}: {error}"
        raise SourceError(source.name, "all of it", reason, "Digest did not expect that: please report it") from error


def _record(store: Store, name: str) -> SourceRecord:
    with store.begin() as tx:
        return articles.source(tx, name)


def _store(store: Store, record: SourceRecord, harvest: Harvest, site: Pages, now: datetime) -> Collected:
    with _storing(record.name), store.begin() as tx:
        return _keep(tx, record.id, record.name, harvest, site, now)


@contextmanager
def _storing(name: str) -> Iterator[None]:
    """What the database will not take of a source is that source's failure; that it is away is nobody's."""
    try:
        yield
    except DigestError:
        raise
    except Exception as error:
        log.exception("source %s", name)
        reason = f"it cannot be stored: {type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        raise SourceError(name, "all of it", reason, "Digest did not expect that: please report it") from error


def _note_failed(store: Store, record: SourceRecord, error: SourceError, now: datetime) -> None:
    with store.begin() as tx:
        articles.note_failed(tx, record.id, now, str(error))


def _keep(tx: Transaction, source_id: int, name: str, harvest: Harvest, site: Pages, now: datetime) -> Collected:
    articles.lock_source(tx, source_id)
    found, notes = _by_canonical(harvest.articles, site)
    counted, count_notes = _views_by_canonical(harvest, site)
    totals, total_notes = _totals_by_spelling(harvest, site)
    pages = articles.page_ids(
        tx, [*found, *(key for key, _, _ in counted), *(each for pair in totals for each in pair)]
    )
    # Sorted: two sources with the same articles then lock them in one order.
    new = articles.save(tx, source_id, {pages[key]: article for key, article in sorted(found.items())}, now)
    counts = {(pages[key], at, span): views for (key, at, span), views in counted.items()}
    if folded := readership.put_views(tx, source_id, counts):
        count_notes.append(f"counts left out: {len(folded)}, of hours so old that the count of their day holds them")
    read = {(pages[counter], pages[key]): total for (counter, key), total in totals.items()}
    risen = _take_totals(tx, source_id, read, now)
    articles.note_collected(tx, source_id, now, harvest.remembered)
    views = sum(number for bucket, number in counts.items() if bucket not in folded) + risen
    return Collected(name, len(found), new, views, (*harvest.notes, *notes, *count_notes, *total_notes))


def _by_canonical(found: Sequence[FoundArticle], site: Pages) -> tuple[dict[str, FoundArticle], list[str]]:
    by_key: dict[str, FoundArticle] = {}
    notes: list[str] = []
    for article in found:
        try:
            by_key[site.key(article.url)] = article if _is_likely(article.shares) else replace(article, shares=None)
        except ValueError as error:
            notes.append(f"article {article.title[:60]!r} left out: {error}")
    if odd := sum(not _is_likely(article.shares) for article in found):
        notes.append(f"shares left out: {odd}, as no article is shared that often")
    return by_key, notes


def _is_likely(shares: int | None) -> bool:
    return shares is None or 0 <= shares <= MOST_VIEWS


def _views_by_canonical(harvest: Harvest, site: Pages) -> tuple[dict[tuple[str, datetime, timedelta], int], list[str]]:
    """Views of one page in one bucket, summed over the spellings of its address."""
    counted: dict[tuple[str, datetime, timedelta], int] = defaultdict(int)
    keys, notes = _canonical_keys([count.url for count in harvest.views], site)
    for count in harvest.views:
        if key := keys[count.url]:
            counted[key, count.at, count.span] += count.views
    return counted, notes


def _totals_by_spelling(harvest: Harvest, site: Pages) -> tuple[dict[tuple[str, str], int], list[str]]:
    """Lifetime counters by (spelling, page). Each is told from its own last reading: one of /a/amp may come alone."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    keys, notes = _canonical_keys([total.url for total in harvest.totals], site)
    for total in harvest.totals:
        if key := keys[total.url]:
            totals[spelling(total.url, key), key] += total.total
    return totals, notes


def _canonical_keys(urls: Sequence[str], site: Pages) -> tuple[dict[str, str], list[str]]:
    """Each address once: a log names the same few thousand pages a million times."""
    keys: dict[str, str] = {}
    notes: list[str] = []
    for url in urls:
        if url not in keys:
            try:
                keys[url] = site.key(url)
            except ValueError as error:
                keys[url] = ""
                notes.append(f"views left out: {error}")
    return keys, notes


def _take_totals(tx: Transaction, source_id: int, totals: Mapping[tuple[int, int], int], now: datetime) -> int:
    """Turn readings of lifetime counters, by (counter, page), into views since the last reading; returns their sum.

    A counter that is new has no last reading, but that of an article published after it began at 0 then.
    """
    if not totals:
        return 0
    before = readership.read_totals(tx, source_id)
    last = max((read_at for _, read_at in before.values()), default=now)
    born = articles.published_after(tx, {page for counter, page in totals if counter not in before}, last)
    counts: dict[Bucket, int] = defaultdict(int)
    for (counter, page), total in totals.items():
        since = min(born[page], now) if page in born else now
        previous, read_at = before.get(counter, (0, since if since < now else last))
        if read_at < now and (counter in before or page in born):
            for at, span, views in spread(counted_since(previous, total), read_at, now):
                counts[page, at, span] += views
    # An hour between two readings gets a share from each of them, so shares are added.
    readership.add_views(tx, source_id, counts)
    readership.put_totals(tx, source_id, {counter: total for (counter, _), total in totals.items()}, now)
    return sum(counts.values())


def count_views(store: Store, source_name: str, counts: Mapping[tuple[str, datetime], int], batch: Batch) -> None:
    """Add views counted by our own beacon, by (page key, hour). A batch that is stored already changes nothing."""
    with store.begin() as tx:
        source_id = articles.source(tx, source_name).id
        if not pushes.is_next(tx, source_id, batch.writer, batch.number, batch.at):
            return
        pages = articles.page_ids(tx, {key for key, _ in counts})
        readership.add_views(tx, source_id, {(pages[key], *hour_bucket(at)): n for (key, at), n in counts.items()})


def push(store: Store, source_name: str, harvest: Harvest, site: Pages, parcel: Parcel) -> Mapping[str, Any]:
    """Store what was pushed, in one transaction with its key, and give the answer; the same again changes nothing.

    Raises KeyTaken when the key came with another body before.
    """
    with _storing(source_name), store.begin() as tx:
        source_id = articles.source(tx, source_name).id
        articles.lock_source(tx, source_id)  # two requests with one key: the second sees what the first has stored
        if parcel.key and (before := pushes.pushed(tx, source_id, parcel.key)):
            if before.body_hash != parcel.body_hash:
                raise KeyTaken(parcel.key)
            return before.answer
        kept = _keep(tx, source_id, source_name, harvest, site, parcel.at)
        answer = parcel.answer(replace(kept, notes=(*kept.notes, *_spelling_notes(harvest, site))))
        if parcel.key:
            pushes.keep(tx, source_id, parcel.key, parcel.body_hash, parcel.at, answer)
        return answer


def _spelling_notes(harvest: Harvest, site: Pages) -> list[str]:
    """Counts are kept by page, and each request replaces the last: it has to hold all spellings of a page."""
    keys, _ = _canonical_keys([count.url for count in harvest.views], site)
    variants = [url for url, key in keys.items() if key and site.is_variant(url, key)]
    if not variants:
        return []
    shown = f"{variants[0][:200]}, which counts as {keys[variants[0]][:200]}"
    return [f"other spellings of pages: {len(variants)}, such as {shown}. Send all spellings of a page in one request"]


def forget_pushes(store: Store, now: datetime) -> int:
    """Forget keys nobody will repeat any more; returns how many."""
    with store.begin() as tx:
        return pushes.forget(tx, now - KEYS_KEPT)


def fold_hours(store: Store, zone: ZoneInfo, before: datetime) -> int:
    """Turn the hours of every local day that ended by `before` into one bucket a page; returns how many rows less.

    A day at a time, a transaction each: stopped anywhere, it goes on there. Days that are folded are passed over by
    the index alone. (A day bucket counts where it ends, so what is told of periods that long ago shifts by hours.)
    """
    saved, at = 0, None
    while True:
        with store.begin() as tx:
            if (end_of_first := readership.next_end(tx, at)) is None:
                return saved
            last_moment = end_of_first - timedelta(seconds=1)
            start, span = day_bucket(last_moment.astimezone(zone).date(), zone)
            at = start + span
            if at > before:
                return saved
            if end_of_first < at:  # else the day is one bucket already, or one hour long
                saved += readership.fold_hours(tx, start, at)


def failures(store: Store) -> set[str]:
    """What is wrong with the sources that could not be read the last time."""
    with store.read() as tx:
        return articles.failures(tx)


def unmatched(store: Store, period: Period) -> list[Unmatched]:
    """Pages read in the period that are no articles we know, most read first."""
    with store.read() as tx:
        return readership.unmatched(tx, period)
