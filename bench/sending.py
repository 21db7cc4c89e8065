"""One real `digest edition send`, or one `digest worker`, from its first connection to the last settled delivery."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import count

import sqlalchemy as sa

from bench.errors import BenchBroken, NotOffered
from bench.processes import ROOT, Watched, tail
from bench.sinks import Prefix, Sink
from bench.stage import Stage
from digest.store import Store
from digest.store.schema import editions

_CLOSE_LOOK = 0.002  # seconds between looks until the first connection
_GLANCE = 0.02  # and after it
_STALLED = 60  # seconds in which a sink does nothing at all


@dataclass(frozen=True, slots=True)
class Way:
    """How to send: over so many connections in all, with so many processes, to which port."""

    connections: int = 10
    processes: int = 1
    port: int = 0  # 0: the sink's own
    prefix: Prefix = ()
    settings: Mapping[str, str] | None = None  # environment variables


@dataclass(frozen=True, slots=True)
class Sent:
    """One run, measured."""

    messages: int
    rate: float  # messages a second, within the window
    window: float  # seconds from the first connection until the edition was settled
    wall: float  # seconds from the start of the process to its end
    cpu_per_thousand: float  # seconds, of the whole process from start to end, its children's included
    cpu_before: float  # seconds of that, spent before the first connection
    peak_mb: float  # of the largest of its processes
    connections: int  # most that were open at the same time
    sink_cpu_per_thousand: float
    tenths: tuple[float, ...]  # seconds each tenth of the bytes took to arrive; empty if nobody knows


def command(edition_id: int, way: Way) -> list[str]:
    """The command line of a sending."""
    line = [*way.prefix, sys.executable, "-m", "digest", "edition", "send", str(edition_id), "--json"]
    if way.processes > 1:
        if not _offers_processes():
            raise NotOffered("`digest edition send` has no --processes")
        line += ["--processes", str(way.processes)]
    return line


def environment(stage: Stage, url: str, way: Way, port: int) -> dict[str, str]:
    """The settings of a sending. Several processes share the connections."""
    return {
        "PYTHONPATH": str(ROOT),
        "DIGEST_CONFIG": str(stage.config),
        "DIGEST_DATABASE__URL": url,
        "DIGEST_SMTP__PORT": str(port),
        "DIGEST_SMTP__CONNECTIONS": str(way.connections),
        **(way.settings or {}),
    }


@cache
def _offers_processes() -> bool:
    asked = [sys.executable, "-m", "digest", "edition", "send", "--help"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=60, env={"COLUMNS": "200"})
    return "--processes" in done.stdout


def send(stage: Stage, url: str, edition_id: int, sink: Sink, way: Way) -> Sent:
    """Send a queued edition and see that every reader got it. Raises BenchBroken, NotOffered."""
    line = command(edition_id, way)
    sink_cpu, sink_taken = sink.cpu(), sink.taken()
    with stage.said.open("wb") as said:
        process = Watched(line, stage.log, env=environment(stage, url, way, way.port or sink.port), out=said)
    try:
        begun, cpu_before = _wait_for_connection(process, sink)
        watch = _Timeline(sink, sink_taken)
        for glance in count():
            if process.ended():
                break
            if glance % 10 == 0:
                process.look()
            if watch.look() > _STALLED:
                raise BenchBroken(f"nothing has moved for {_STALLED} seconds: {tail(stage.log)}")
            time.sleep(_GLANCE)
    finally:
        process.stop()
    if process.code == 2 and way.processes > 1:
        raise NotOffered(f"`digest edition send` says: {tail(stage.log, 300)}")
    if process.code:
        raise BenchBroken(f"`digest edition send` ended with {process.code}: {tail(stage.log)}")
    messages = _sent(stage)
    window = settled_at(url, edition_id).timestamp() - begun
    return Sent(
        messages=messages,
        rate=messages / window,
        window=window,
        wall=process.wall,
        cpu_per_thousand=process.cpu / messages * 1000,
        cpu_before=cpu_before,
        peak_mb=max(process.peaks.values()) / 1e6,
        connections=watch.connections,
        sink_cpu_per_thousand=(sink.cpu() - sink_cpu) / messages * 1000,
        tenths=watch.tenths(begun),
    )


def _wait_for_connection(process: Watched, sink: Sink) -> tuple[float, float]:
    """(the moment of the first connection, CPU seconds spent before it)."""
    deadline = time.monotonic() + _STALLED
    while not process.ended():
        if time.monotonic() > deadline:
            raise BenchBroken(f"no connection came within {_STALLED} seconds")
        if sink.connections() > 0:
            return time.time(), process.cpu_so_far()
        time.sleep(_CLOSE_LOOK)
    return process.began, 0.0


class _Timeline:
    """How the sink fills: seen from what it has read, so that nobody has to be asked."""

    def __init__(self, sink: Sink, taken_before: int) -> None:
        self.connections = 0
        self._sink = sink
        self._before = taken_before
        self._moved_at = time.monotonic()
        self._moved = 0.0
        self._seen: list[tuple[float, int]] = []

    def look(self) -> float:
        """Note the moment, the connections and the bytes. Returns for how many seconds the sink has done nothing."""
        self.connections = max(self.connections, self._sink.connections())
        self._seen.append((time.time(), self._sink.taken() - self._before))
        if (moved := self._sink.cpu() + self._seen[-1][1]) != self._moved:
            self._moved, self._moved_at = moved, time.monotonic()
        return time.monotonic() - self._moved_at

    def tenths(self, begun: float) -> tuple[float, ...]:
        """How long each tenth took. A sink that reads by recv() is not counted by the kernel: empty then."""
        total = self._seen[-1][1] if self._seen else 0
        if total < 100_000:
            return ()
        moments = [next(at for at, taken in self._seen if taken >= total * n / 10) for n in range(1, 11)]
        return tuple(round(to - since, 3) for since, to in zip([begun, *moments], moments, strict=False))


def _sent(stage: Stage) -> int:
    """How many the command says were sent; all of them, or the run is worth nothing."""
    said = stage.said.read_text(errors="replace")
    try:
        shown = json.loads(said)
    except ValueError:
        raise BenchBroken(f"`digest edition send --json` printed no JSON: {said[-500:]}") from None
    sent: int = shown["counts"]["sent"]
    if sent != shown["audience"] or sum(shown["counts"].values()) != sent:
        raise BenchBroken(f"not everyone was sent a message: {shown['audience']} readers, {shown['counts']}")
    return sent


def settled_at(url: str, edition_id: int) -> datetime:
    """When the edition was settled. Raises BenchBroken when it is not."""
    store = Store(url)
    try:
        with store.read() as tx:
            moment: datetime | None = tx.scalar(sa.select(editions.c.sent_at).where(editions.c.id == edition_id))
    finally:
        store.close()
    if moment is None:
        raise BenchBroken("the edition is not settled")
    return moment
