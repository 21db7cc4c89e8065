"""What a large edition needs, played through second by second: python -m bench.simulation --readers 10000000 --hours 2.

It sends nothing. The costs it reckons with are measured by the other benches on two cores; give your own to see what
changes. Workers share the list and the rates, relays take what they can, recipient domains what they allow; some
readers are told "later" and come again; a worker may die on the way.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

# Shares of a European list, and the messages a second a well-known sender may expect each provider to take.
MIX = {"gmail.com": 0.42, "outlook.com": 0.14, "wp.pl": 0.09, "onet.pl": 0.07, "yahoo.com": 0.04, "the rest": 0.24}
RATES = {"gmail.com": 1000, "outlook.com": 400, "wp.pl": 250, "onet.pl": 200, "yahoo.com": 150, "the rest": 10_000}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is there. Rates are messages a second, sizes bytes, times seconds."""

    readers: int = 10_000_000
    hours: float = 2.0
    workers: int = 2
    connections: int = 20  # a worker
    round_trip: float = 0.02
    relays: int = 4
    relay_rate: float = 500.0  # what one MTA takes, queues durably and passes on
    cpu: float = 0.00011  # of a worker's core, a message
    database: float = 0.00005  # of the database's core, a delivery: claimed and recorded
    message: int = 35_000
    row: int = 380  # a settled delivery in PostgreSQL, its indexes and what a vacuum has not yet reused
    later: float = 0.02  # share of readers whose server says "later" once
    retry_after: int = 300
    dies_at: float = 0.0  # hours until one worker dies; 0: none does


@dataclass(slots=True)
class State:
    """Where the edition stands."""

    left: dict[str, float]
    again: dict[int, dict[str, float]] = field(default_factory=dict)  # second -> those that come again
    sent: float = 0.0
    second: int = 0


def rates(plan: Plan, workers: int) -> dict[str, float]:
    """The most a second that each part could carry by itself."""
    return {
        "workers' cores": workers / plan.cpu,
        "connections": workers * plan.connections / plan.round_trip,
        "relays": plan.relays * plan.relay_rate,
        "database's core": 1 / plan.database,
    }


def play(plan: Plan) -> tuple[State, list[tuple[int, float, float]]]:
    """The whole edition: its end, and (minute, sent so far, messages a second) for each ten minutes."""
    state = State({name: plan.readers * share for name, share in MIX.items()})
    timeline: list[tuple[int, float, float]] = []
    before = 0.0
    while state.sent < plan.readers - 0.5 and state.second < 48 * 3600:
        dead = bool(plan.dies_at) and state.second >= plan.dies_at * 3600
        step(plan, state, min(rates(plan, plan.workers - dead).values()))
        if state.second % 600 == 0:
            timeline.append((state.second // 60, state.sent, (state.sent - before) / 600))
            before = state.sent
    return state, timeline


def step(plan: Plan, state: State, room: float) -> None:
    """One second: every domain takes what it may of what there is room for, in proportion to what is left."""
    for name, number in state.again.pop(state.second, {}).items():
        state.left[name] += number
    wanted = {name: min(number, RATES[name]) for name, number in state.left.items()}
    total = sum(wanted.values())
    share = min(1.0, room / total) if total else 0.0
    for name, number in wanted.items():
        tried = number * share
        put_off = tried * plan.later if state.second < plan.hours * 3600 else 0.0
        state.left[name] -= tried
        state.sent += tried - put_off
        if put_off:
            later = state.again.setdefault(state.second + plan.retry_after, {})
            later[name] = later.get(name, 0.0) + put_off
    state.second += 1


def report(plan: Plan) -> list[str]:
    """What it comes to, in lines for a person."""
    state, timeline = play(plan)
    needed = plan.readers / (plan.hours * 3600)
    took = state.second / 3600
    lines = [
        f"{plan.readers:,} readers in {plan.hours:g} hours: {needed:,.0f} messages a second on average",
        f"  bandwidth out: {needed * plan.message * 8 / 1e6:,.0f} Mbit/s",
        f"  bytes in all: {plan.readers * plan.message / 1e12:.2f} TB",
        f"  rows: {plan.readers * plan.row / 1e9:.1f} GB of PostgreSQL for the edition",
        f"  workers' CPU: {needed * plan.cpu:.2f} cores, the database's: {needed * plan.database:.2f}",
        "  the most a second, by part: "
        + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates(plan, plan.workers).items()),
        "  the most a second, by domain: " + ", ".join(f"{name} {rate:,}" for name, rate in RATES.items()),
        "",
        "  minute        sent   a second",
        *(f"  {minute:6}  {sent:10,.0f}   {pace:8,.0f}" for minute, sent, pace in timeline),
        "",
        f"  all have it after {took:.2f} hours: {'in time' if took <= plan.hours else 'too late'}",
    ]
    for name, share in MIX.items():
        alone = plan.readers * share / RATES[name] / 3600
        if alone > plan.hours * 0.8:
            lines.append(f"  {name} alone takes {alone:.2f} hours at {RATES[name]:,} a second")
    return lines


def main(words: Sequence[str] | None = None) -> None:
    """Read the plan from the command line and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in ((each, getattr(Plan(), each)) for each in Plan.__dataclass_fields__):
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"{default:,}")
    print("\n".join(report(Plan(**vars(parser.parse_args(words))))))


if __name__ == "__main__":
    main()
