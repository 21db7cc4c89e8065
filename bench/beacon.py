"""How many views a second one `digest serve` takes in, beside the same framework with an empty endpoint."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from bench.databases import Databases
from bench.errors import BenchBroken
from bench.figures import AT_LEAST, Findings, per_round
from bench.processes import Watched, tail
from bench.stage import Stage
from digest.store import Store
from digest.store.migrate import migrate
from digest.store.schema import views
from tests.servers import free_port

TARGET = 0.6
_SOURCE = '[[sources]]\nname = "beacon"\nkind = "beacon"\n'
_BARE = "empty endpoint"


@dataclass(frozen=True, slots=True)
class Taken:
    """One run: every view answered with 204, and, of ours, found in the database afterwards."""

    views: int
    rate: float  # views a second
    cpu_per_thousand: float  # of the server, in seconds, its start not included
    generator_cpu_per_thousand: float  # with the making of the reports, which is done before the clock starts
    stored: int = 0


def run(stage: Stage) -> Findings:
    """Ours over each database and the empty one, in turns."""
    options = stage.options
    count, connections = options.pick(1_000, 30_000), 32
    findings = Findings(settings={"views": count, "connections": connections, "rounds": options.rounds})
    found: dict[str, list[Taken]] = {}
    for number in range(1, options.rounds + 1):
        for who in (_BARE, stage.sqlite, stage.postgresql):
            name = who if isinstance(who, str) else who.name
            taken = _bare(stage, count, connections) if isinstance(who, str) else _ours(stage, who, count, connections)
            found.setdefault(name, []).append(taken)
            findings.keep(number, name, taken)
            stage.say(f"round {number}: {name}: {taken.rate:,.0f}/s, {taken.cpu_per_thousand:.3f} s CPU a thousand")
    bare = [each.rate for each in found[_BARE]]
    for name, runs in found.items():
        rates = [each.rate for each in runs]
        if name != _BARE:
            findings.add("Beacon / an empty endpoint", name, "x", per_round(rates, bare), AT_LEAST, TARGET)
        findings.add("Views a second", name, "/s", rates)
        findings.add("CPU seconds a thousand views", name, "s", [each.cpu_per_thousand for each in runs])
    findings.note(
        "Every view that was answered is in the database after SIGTERM; a run where one is not counts as broken."
    )
    return findings


def _bare(stage: Stage, count: int, connections: int) -> Taken:
    with serving(stage, [sys.executable, "-m", "bench.bare"], {}) as (server, port):
        return _load(stage, server, port, count, connections)


def _ours(stage: Stage, kind: Databases, count: int, connections: int) -> Taken:
    """One real `digest serve` with all its parts, over a database of its own."""
    config = stage.folder / "beacon.toml"
    config.write_text(stage.config.read_text() + _SOURCE)
    url = kind.new()
    store = Store(url)
    try:
        migrate(store)
        env = {"DIGEST_CONFIG": str(config), "DIGEST_DATABASE__URL": url}
        with serving(stage, [sys.executable, "-m", "digest", "serve", "--port"], env) as (server, port):
            taken = _load(stage, server, port, count, connections)
        with store.read() as tx:
            stored = int(tx.scalar(sa.select(sa.func.sum(views.c.views))) or 0)
    finally:
        store.close()
        kind.drop(url)
    if stored != taken.views:
        raise BenchBroken(f"{taken.views:,} views were answered, and {stored:,} are in the database: {tail(stage.log)}")
    return replace(taken, stored=stored)


@contextmanager
def serving(stage: Stage, command: Sequence[str | Path], env: dict[str, str]) -> Iterator[tuple[Watched, int]]:
    """A server on a port of its own (the last word of the command), stopped afterwards by SIGTERM."""
    port = free_port()
    server = Watched([*command, str(port)], stage.log, env=env)
    try:
        deadline = time.monotonic() + 30
        while not _listens(port):
            if server.ended() or time.monotonic() > deadline:
                raise BenchBroken(f"the server does not listen: {tail(stage.log)}")
            time.sleep(0.05)
        time.sleep(1.5)  # what a service does once at its start is over
        yield server, port
    finally:
        server.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _load(stage: Stage, server: Watched, port: int, count: int, connections: int) -> Taken:
    """The generator in a process of its own."""
    before = server.cpu_so_far()
    with stage.said.open("w+b") as said:
        generator = Watched(
            [sys.executable, "-m", "bench.views", str(port), str(count), str(connections)], stage.log, out=said
        )
        try:
            generator.wait(300)
        finally:
            generator.stop()
    if generator.code:
        raise BenchBroken(f"the generator failed: {tail(stage.log)}")
    result = json.loads(stage.said.read_text())
    cpu = (server.cpu_so_far() - before) / result["views"] * 1000
    own = generator.cpu / result["views"] * 1000
    return Taken(int(result["views"]), count / result["seconds"], cpu, own)
