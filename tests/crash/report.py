"""The table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.crash.plan import Tally

_COLUMNS = ("rounds", "sent", "uncertain", "most", "lost", "twice", "slowest")


def report(console: Console, tallies: Sequence[Tally], seconds: float) -> None:
    """What came of every scenario, then what was remarked, then one line for all.

    `most`: uncertain by one kill. `slowest`: seconds until it went on, or left.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("scenario", no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for each in tallies:
        numbers = (each.rounds, each.sent, each.uncertain, each.most, each.lost, each.twice)
        style = "red" if each.wrongs else ""
        table.add_row(_name(each), *[f"{number:,}" for number in numbers], _seconds(each.slowest), style=style)
    console.print()
    console.print(table)
    for each in tallies:
        for remark in each.remarks:
            console.print(f"{_name(each)}: {remark}", markup=False)
    wrongs = sum(len(each.wrongs) for each in tallies)
    rounds = sum(each.rounds for each in tallies)
    console.print(
        f"\n{rounds} rounds in {seconds:.0f} s: {f'{wrongs} violations' if wrongs else 'nothing went wrong'}."
    )


def _name(tally: Tally) -> str:
    return f"{tally.plan.scenario}, {tally.plan.database}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value else "-"
