"""Two workers on one PostgreSQL, each with a relay of its own, beside one worker with one relay."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from bench.errors import BenchBroken
from bench.figures import AT_LEAST, Findings, per_round
from bench.links import far_away
from bench.processes import Watched, tail
from bench.sending import Way, environment
from bench.sinks import Sink, smtp_sink
from bench.stage import Stage
from digest.store import Store
from digest.store.schema import deliveries, editions

TARGET = 1.6
DISTANT = 0.02  # seconds of round trip: then waiting, not the cores, is what limits a worker
_GLANCE = 0.02


@dataclass(frozen=True, slots=True)
class Relay:
    """A sink, where it is reached, and the file it counts in."""

    sink: Sink
    port: int
    counter: Path

    def messages(self) -> int:
        """How many it has taken in all."""
        counts = re.findall(rb"mesg=(\d+)", self.counter.read_bytes()[-400:])
        return int(counts[-1]) if counts else 0


@dataclass(frozen=True, slots=True)
class Worked:
    """One edition sent by some workers."""

    rate: float
    window: float
    cpu_per_thousand: float  # of all workers
    shares: tuple[int, ...]  # messages, by relay


def run(stage: Stage) -> Findings:
    """One and two in turns, with relays on this machine and with relays 20 ms away."""
    options = stage.options
    findings = Findings(settings={"rounds": options.rounds, "connections of each": options.connections[0]})
    places = {
        "relays next door": (0.0, options.pick(options.readers, options.readers // 2)),
        f"relays {DISTANT * 1000:.0f} ms away": (DISTANT, options.pick(1000, 10_000)),
    }
    for place, (round_trip, readers) in places.items():
        findings.settings[f"readers, {place}"] = readers
        found: dict[int, list[Worked]] = {1: [], 2: []}
        with _relays(stage, round_trip) as relays:
            for number in range(1, options.rounds + 1):
                for crew, runs in found.items():
                    worked = _work(stage, relays[:crew], readers)
                    runs.append(worked)
                    findings.keep(number, f"{crew} of 2 workers, {place}", worked)
                    stage.say(f"round {number}: {crew} worker(s), {place}: {worked.rate:,.0f}/s, {worked.shares}")
        rates = {crew: [each.rate for each in runs] for crew, runs in found.items()}
        findings.add("Two workers / one", place, "x", per_round(rates[2], rates[1]), AT_LEAST, TARGET)
        for crew, values in rates.items():
            findings.add("Messages a second", f"{crew} worker{'s' * (crew > 1)}, {place}", "/s", values)
    findings.note("Every relay counted what it took: together exactly one message a reader, each time.")
    findings.note("Next door, two workers, two sinks and PostgreSQL share the cores; two cores cannot show more.")
    return findings


@contextmanager
def _relays(stage: Stage, round_trip: float) -> Iterator[list[Relay]]:
    with ExitStack() as stack:
        relays: list[Relay] = []
        for number in (1, 2):
            counter = stage.folder / f"counter-{round_trip}-{number}"
            log = stack.enter_context(counter.open("w+b"))
            if round_trip:
                link = stack.enter_context(far_away(round_trip, log, "-c", alone=False))
                relays.append(Relay(link.sink, link.port, counter))
            else:
                sink = stack.enter_context(smtp_sink(log, "-c"))
                relays.append(Relay(sink, sink.port, counter))
        yield relays


def _work(stage: Stage, relays: list[Relay], readers: int) -> Worked:
    """A worker for each relay until the edition is sent. Raises BenchBroken when a reader got none or two."""
    before = [relay.messages() for relay in relays]
    connections = stage.options.connections[0]
    with stage.database(stage.postgresql, readers) as (url, edition_id):
        workers = [
            Watched(
                [sys.executable, "-m", "digest", "worker"],
                stage.log,
                env=environment(stage, url, Way(connections=connections), relay.port),
            )
            for relay in relays
        ]
        try:
            began, ended = _wait(stage, workers, relays, url, edition_id)
        finally:
            for worker in workers:
                worker.stop()
        _check_rows(url, edition_id, readers)
    shares = tuple(relay.messages() - then for relay, then in zip(relays, before, strict=True))
    if sum(shares) != readers:
        raise BenchBroken(f"{readers} readers, and the relays took {shares}")
    cpu = sum(worker.cpu for worker in workers)
    return Worked(readers / (ended - began), ended - began, cpu / readers * 1000, shares)


def _wait(stage: Stage, workers: list[Watched], relays: list[Relay], url: str, edition_id: int) -> tuple[float, float]:
    """(the first connection, the edition settled)."""
    began = 0.0
    store = Store(url)
    try:
        while True:
            if any(worker.ended() for worker in workers):
                raise BenchBroken(f"a worker ended by itself: {tail(stage.log)}")
            if not began:
                began = time.time() if any(relay.sink.connections() > 0 for relay in relays) else 0.0
                time.sleep(_GLANCE / 10)
                continue
            with store.read() as tx:
                row = tx.execute(sa.select(editions.c.state, editions.c.sent_at).where(editions.c.id == edition_id))
                state, sent_at = row.one()
            if state == "paused":
                raise BenchBroken(f"the edition was paused: {tail(stage.log)}")
            if sent_at:
                return began, sent_at.timestamp()
            time.sleep(_GLANCE)
    finally:
        store.close()


def _check_rows(url: str, edition_id: int, readers: int) -> None:
    """Everyone is sent, at the first attempt."""
    store = Store(url)
    sent = sa.select(sa.func.count(), sa.func.sum(deliveries.c.attempts)).where(
        deliveries.c.edition_id == edition_id, deliveries.c.state == "sent"
    )
    try:
        with store.read() as tx:
            rows, attempts = tx.execute(sent).one()
    finally:
        store.close()
    if (rows, attempts) != (readers, readers):
        raise BenchBroken(f"{readers} readers, {rows} sent in {attempts} attempts")
