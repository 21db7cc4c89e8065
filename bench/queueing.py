"""Freezing an edition and queueing it to everyone, beside the one statement a database cannot do without."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from bench import town
from bench.databases import Databases
from bench.figures import AT_MOST, Findings, per_round
from bench.stage import Stage
from digest import publishing
from digest.app import App
from digest.store import Store
from digest.store.schema import deliveries

TARGET = 2.0


@dataclass(frozen=True, slots=True)
class Queued:
    """Seconds each took, its commit included."""

    release: float  # ours: freeze, queue, count, check
    alike: float  # the same rows into a table with the same columns, keys and indexes
    bare: float  # the same rows into a table with no key and no index


def run(stage: Stage) -> Findings:
    """Ours, then the two statements, on a fresh copy each round; both databases in turns."""
    options = stage.options
    readers = options.pick(20_000, 1_000_000)
    findings = Findings(settings={"readers": readers, "rounds": options.rounds})
    kinds = (stage.sqlite, stage.postgresql)
    found: dict[str, list[Queued]] = {kind.name: [] for kind in kinds}
    for number in range(1, options.rounds + 1):
        for kind in kinds:
            queued = _measure(stage, kind, readers)
            found[kind.name].append(queued)
            findings.keep(number, kind.name, queued)
            stage.say(
                f"round {number}: {kind.name}: ours {queued.release:.2f} s, the statement {queued.alike:.2f} s,"
                f" without indexes {queued.bare:.2f} s"
            )
    for name, rows in found.items():
        ours, alike, bare = ([getattr(each, what) for each in rows] for what in ("release", "alike", "bare"))
        ratios = per_round(ours, alike)
        findings.add("Queueing / the bare statement", name, "x", ratios, AT_MOST, TARGET)
        findings.add("Queueing / the statement without any index", name, "x", per_round(ours, bare))
        findings.add("Seconds to queue", name, "s", ours)
        findings.add("Seconds of the statement alone", f"{name}, same indexes", "s", alike)
        findings.add("Seconds of the statement alone", f"{name}, no index at all", "s", bare)
    return findings


def _measure(stage: Stage, kind: Databases, readers: int) -> Queued:
    with (
        stage.database(kind, readers, queued=False) as (url, edition_id),
        town.opened(stage.config, url) as app,
    ):
        began = time.perf_counter()
        publishing.release(app.store, app.press, app.newsletters["weekly"], edition_id, datetime.now(UTC))
        release = time.perf_counter() - began
        _rest(app.store)
        return Queued(release, _statement(app, _alike()), _statement(app, _bare()))


def _statement(app: App, table: sa.Table) -> float:
    """How long the same rows take from one table to another."""
    with app.store.begin() as tx:
        table.create(tx)
    began = time.perf_counter()
    with app.store.begin() as tx:
        rows = sa.select(*deliveries.c).order_by(deliveries.c.id)
        tx.execute(sa.insert(table).inline().from_select([column.name for column in deliveries.c], rows))
    took = time.perf_counter() - began
    with app.store.begin() as tx:
        table.drop(tx)
    _rest(app.store)
    return took


def _alike() -> sa.Table:
    """The outbox once more, under other names."""
    metadata = sa.MetaData()
    for referred in {key.column.table for key in deliveries.foreign_keys}:
        referred.to_metadata(metadata)
    table = deliveries.to_metadata(metadata, name="deliveries_alike")
    named: list[sa.Constraint | sa.Index] = [*table.constraints, *table.indexes]
    for each in named:
        each.name = f"{each.name}_alike" if each.name else None
    return table


def _bare() -> sa.Table:
    return sa.Table("deliveries_bare", sa.MetaData(), *(sa.Column(each.name, each.type) for each in deliveries.c))


def _rest(store: Store) -> None:
    """Write out what waits in memory and log, so that nobody pays for the one before."""
    flush = "PRAGMA wal_checkpoint(TRUNCATE)" if store.is_sqlite else "CHECKPOINT"
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.exec_driver_sql(flush)
