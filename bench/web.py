"""How many readers a second one `digest serve` lets in, confirms and lets go, beside an empty endpoint."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from bench.beacon import serving
from bench.errors import BenchBroken
from bench.figures import AT_LEAST, AT_MOST, Findings, per_round
from bench.posts import WARM_UP, keep
from bench.processes import Watched, tail
from bench.stage import Stage
from bench.town import opened
from digest.domain.links import Links
from digest.store import Store
from digest.store.schema import deliveries, subscriptions

TARGET, GROWTH = 0.4, 1.2
_BARE = "empty endpoint"
_ACTS = ("confirm", "unsubscribe", "sign-up")  # so that the short list has enough readers for each
# Limits are for strangers: everybody here comes from one address.
_LIMITS = """
[subscribing]
sign_ups_per_hour = 1000000
domain_sign_ups_per_hour = 1000000
all_sign_ups_per_hour = 10000000
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One run: every request answered with 200, and what it asked for in the database afterwards."""

    rate: float  # requests a second
    cpu_per_thousand: float  # of the server, in seconds, its start not included


def run(stage: Stage) -> Findings:
    """Each act on a short list and on a long one, over each database, in turns with the empty endpoint."""
    options = stage.options
    count, connections = options.pick(600, 6_000), 32
    short, long = options.pick(2_000, 10_000), options.pick(4_000, 1_000_000)
    findings = Findings(
        settings={"requests": count, "connections": connections, "readers": [short, long], "rounds": options.rounds}
    )
    rates: dict[tuple[str, str, int], list[float]] = {}
    for number in range(1, options.rounds + 1):
        for kind in (stage.sqlite, stage.postgresql):
            for readers in (short, long):
                with stage.database(kind, readers, queued=False) as (url, _):
                    for act in _ACTS:
                        bare = _bare(stage, act, count, connections)
                        ours = _ours(stage, url, act, count, connections)
                        rates.setdefault((_BARE, f"{act}, {kind.name}", readers), []).append(bare.rate)
                        rates.setdefault((act, kind.name, readers), []).append(ours.rate)
                        findings.keep(number, f"{act}, {kind.name}, {readers:,} readers", ours)
                        stage.say(
                            f"round {number}: {act}, {kind.name}, {readers:,} readers: {ours.rate:,.0f}/s of "
                            f"{bare.rate:,.0f}/s, {ours.cpu_per_thousand:.2f} s CPU a thousand"
                        )
    _figures(findings, rates, (stage.sqlite.name, stage.postgresql.name), short, long)
    return findings


def _figures(
    findings: Findings, rates: dict[tuple[str, str, int], list[float]], kinds: tuple[str, ...], short: int, long: int
) -> None:
    for act in _ACTS:
        for kind in kinds:
            for readers in (short, long):
                ratio = per_round(rates[act, kind, readers], rates[_BARE, f"{act}, {kind}", readers])
                wanted = (AT_LEAST, TARGET) if act == "unsubscribe" else ()
                findings.add(
                    "A request / an empty endpoint", f"{act}, {kind}, {readers:,} readers", "x", ratio, *wanted
                )
                findings.add(
                    f"{act}, requests a second", f"{kind}, {readers:,} readers", "/s", rates[act, kind, readers]
                )
            slower = per_round(rates[act, kind, short], rates[act, kind, long])
            findings.add(f"{short:,} / {long:,} readers", f"{act}, {kind}", "x", slower, AT_MOST, GROWTH)
    findings.note("Every act is looked up in the database afterwards; a run where one is missing counts as broken.")


def _bare(stage: Stage, act: str, count: int, connections: int) -> Answered:
    """The same bodies to an endpoint that takes anything and does nothing."""
    body = urlencode({"List-Unsubscribe": "One-Click"})
    return _load(
        stage,
        [sys.executable, "-m", "bench.bare"],
        {},
        (_post("/beacon", body) for _ in range(count + WARM_UP)),
        connections,
    )


def _ours(stage: Stage, url: str, act: str, count: int, connections: int) -> Answered:
    """One real `digest serve` without its sender, over a town that is settled."""
    config = stage.folder / "web.toml"
    config.write_text(stage.config.read_text() + _LIMITS)
    prepare, done = _PREPARED[act]
    store = Store(url)
    try:
        with opened(stage.config, url) as app:
            requests = list(prepare(store, app.links, count + WARM_UP))
        before = done(store)
        env = {"DIGEST_CONFIG": str(config), "DIGEST_DATABASE__URL": url}
        command = [sys.executable, "-m", "digest", "serve", "--without", "sender,scheduler", "--port"]
        answered = _load(stage, command, env, iter(requests), connections)
        if (found := done(store) - before) != len(requests):
            raise BenchBroken(f"{len(requests):,} were answered, {found:,} are in the database: {tail(stage.log)}")
    finally:
        store.close()
    return answered


def _load(
    stage: Stage, command: list[str], env: dict[str, str], requests: Iterator[bytes], connections: int
) -> Answered:
    """The server, and the generator in a process of its own."""
    file = stage.folder / "requests"
    keep(file, requests)
    with serving(stage, command, env) as (server, port):
        before = server.cpu_so_far()
        with stage.said.open("w+b") as said:
            words: list[str | Path] = [sys.executable, "-m", "bench.posts", str(port), file, str(connections)]
            generator = Watched(words, stage.log, out=said)
            try:
                generator.wait(300)
            finally:
                generator.stop()
        if generator.code:
            raise BenchBroken(f"the generator failed: {tail(stage.log)}")
        result = json.loads(stage.said.read_text())
        cpu = (server.cpu_so_far() - before) / result["answered"] * 1000
    return Answered((result["answered"] - WARM_UP) / result["seconds"], cpu)


def _post(path: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: recap.news.example.com\r\nUser-Agent: a mailbox provider\r\nAccept: */*\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _some(store: Store, state: str, count: int) -> list[tuple[int, object]]:
    """(id, requested_at) of subscriptions in that state, from all over the list."""
    query = sa.select(subscriptions.c.id, subscriptions.c.requested_at).where(subscriptions.c.state == state)
    with store.read() as tx:
        last = tx.scalar(sa.select(sa.func.max(subscriptions.c.id))) or 0
        wanted = random.Random(last).sample(range(1, last + 1), min(last, 4 * count))
        found = [tuple(row) for row in tx.execute(query.where(subscriptions.c.id.in_(wanted)).limit(count))]
    if len(found) < count:
        raise BenchBroken(f"only {len(found):,} of {count:,} subscriptions are {state}")
    return found


def _leaving(store: Store, links: Links, count: int) -> Iterator[bytes]:
    body = urlencode({"List-Unsubscribe": "One-Click"})
    for number, _ in _some(store, "confirmed", count):
        yield _post(_path(links.unsubscribe(number)), body)


def _confirming(store: Store, links: Links, count: int) -> Iterator[bytes]:
    chosen = _some(store, "confirmed", count)
    with store.begin() as tx:  # who confirms has asked a moment ago
        for start in range(0, count, 500):
            ids = [number for number, _ in chosen[start : start + 500]]
            some = sa.update(subscriptions).where(subscriptions.c.id.in_(ids))
            tx.execute(some.values(state="pending", confirmed_at=None, requested_at=datetime.now(UTC)))
    for number, requested_at in _some(store, "pending", count):
        yield _post(_path(links.confirm(number, requested_at)), urlencode({"confirm": "yes"}))  # type: ignore[arg-type]


def _asking(store: Store, links: Links, count: int) -> Iterator[bytes]:
    luck = random.Random(count)
    for number in range(count):
        address = f"reader{luck.getrandbits(60):x}@town{number % 500}.example.com"
        yield _post("/subscribe", urlencode({"email": address, "newsletter": "weekly"}))


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def _number(query: sa.Select[tuple[int]]) -> Callable[[Store], int]:
    def count(store: Store) -> int:
        with store.read() as tx:
            return int(tx.scalar(query) or 0)

    return count


_counted = sa.select(sa.func.count())
_PREPARED: dict[str, tuple[Callable[[Store, Links, int], Iterator[bytes]], Callable[[Store], int]]] = {
    "unsubscribe": (_leaving, _number(_counted.where(subscriptions.c.state == "unsubscribed"))),
    "confirm": (_confirming, _number(_counted.where(subscriptions.c.state == "confirmed"))),
    "sign-up": (_asking, _number(_counted.where(deliveries.c.mail == "confirmation"))),
}
