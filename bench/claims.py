"""What a turn of the bookkeeper costs at the beginning of a large edition and at its end; no mail is sent."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.databases import Databases
from bench.figures import AT_MOST, Findings
from bench.stage import Stage
from digest.domain.deliveries import Delivery, DeliveryState, Outcome, Receipt
from digest.store import Store, claims, outbox, workers

TARGET = 1.2
_ROWS_A_TURN = 30  # ten connections, three rows each
_REWIND = 1.0  # seconds after which the sender looks from the start again
_OK = Receipt(250, "2.0.0 Ok: queued as 4WxYz1234")


@dataclass(frozen=True, slots=True)
class Drained:
    """Microseconds a delivery in each tenth of the edition: claimed, recorded, committed."""

    tenths: tuple[float, ...]


def run(stage: Stage) -> Findings:
    """Drain the same edition from both databases in turns."""
    options = stage.options
    readers = options.pick(10_000, 200_000)
    findings = Findings(settings={"readers": readers, "rounds": options.rounds, "rows a turn": _ROWS_A_TURN})
    kinds = (stage.sqlite, stage.postgresql)
    found: dict[str, list[Drained]] = {kind.name: [] for kind in kinds}
    for number in range(1, options.rounds + 1):
        for kind in kinds:
            drained = _measure(stage, kind, readers)
            found[kind.name].append(drained)
            findings.keep(number, kind.name, drained)
            first, last = drained.tenths[0], drained.tenths[-1]
            stage.say(f"round {number}: {kind.name}: {first:.0f} us a delivery at first, {last:.0f} us at last")
    for name, rows in found.items():
        ratios = [each.tenths[-1] / each.tenths[0] for each in rows]
        findings.add("Last tenth of the claims / first", name, "x", ratios, AT_MOST, TARGET)
        findings.add("Claim and record, a delivery", f"{name}, first tenth", "us", [each.tenths[0] for each in rows])
        findings.add("Claim and record, a delivery", f"{name}, last tenth", "us", [each.tenths[-1] for each in rows])
    return findings


def _measure(stage: Stage, kind: Databases, readers: int) -> Drained:
    with stage.database(kind, readers) as (url, _):
        store = Store(url)
        try:
            return Drained(_tenths(_drain(store), readers))
        finally:
            store.close()


def _drain(store: Store) -> list[tuple[int, float]]:
    """Turns as the sender makes them, (rows settled, seconds): record the last few and claim the next in one go."""
    now, walk, rewound_at = datetime.now(UTC), claims.Walk(), time.monotonic()
    with store.begin() as tx:
        worker_id = workers.register(tx, "bench", os.getpid(), now)
    turns: list[tuple[int, float]] = []
    held: list[Delivery] = []
    while True:
        outcomes = [Outcome(each.id, DeliveryState.SENT, _OK) for each in held]
        if time.monotonic() - rewound_at > _REWIND:
            walk.rewind()
            rewound_at = time.monotonic()
        began = time.perf_counter()
        with store.begin() as tx:
            outbox.settle(tx, worker_id, outcomes, now)
            held = claims.claim(tx, worker_id, walk, now, _ROWS_A_TURN).deliveries
        turns.append((len(outcomes), time.perf_counter() - began))
        if not held:
            return turns


def _tenths(turns: list[tuple[int, float]], readers: int) -> tuple[float, ...]:
    """Microseconds a delivery, tenth by tenth."""
    rows, seconds = [0] * 10, [0.0] * 10
    done = 0
    for settled, took in turns:
        tenth = min(done * 10 // readers, 9)
        rows[tenth] += settled
        seconds[tenth] += took
        done += settled
    assert done == readers, f"{done} of {readers} deliveries were drained"
    return tuple(took / number * 1e6 for took, number in zip(seconds, rows, strict=True))
