"""Figures for people: a table on the terminal, the block in bench/README.md, the plot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Findings
from bench.plot import plot
from bench.results import FOLDER, read

README = FOLDER / "README.md"
PLOT = FOLDER / "results.svg"
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


def print_findings(console: Console, name: str, findings: Findings) -> None:
    """One bench's table and notes."""
    table = Table(title=name, title_justify="left")
    table.add_column("")
    for column in ("median", "lowest", "highest", "target"):
        table.add_column(column, justify="right")
    last = ""
    for figure in findings.as_json()["figures"]:
        group, *cells = _cells(figure)
        if group != last:
            table.add_row(group, style="bold")
        cells[0] = f"  {cells[0]}"
        table.add_row(*cells, style="yellow" if figure.get("reached") is False else "")
        last = group
    console.print(table)
    for note in findings.notes:
        console.print(f"  {note}", markup=False)


def write_report(results: Path | None) -> None:
    """Rewrite the figures of bench/README.md and the plot from what is stored."""
    benches = read(results or FOLDER / "results.json")["benches"]
    text = README.read_text(encoding="utf-8")
    machines = {name: _machine(bench) for name, bench in benches.items()}
    one = len(set(machines.values())) == 1
    parts = [f"Measured on {next(iter(machines.values()))}."] if one else []
    for name, bench in benches.items():
        parts += _section(name, bench, "" if one else f" on {machines[name]}")
    block = "\n\n".join(parts)
    figures = f"{_BEGIN}\n\n{block}\n\n{_END}"
    text = re.sub(f"{_BEGIN}.*?{_END}", lambda _: figures, text, count=1, flags=re.S)
    README.write_text(text, encoding="utf-8")
    PLOT.write_text(plot(benches), encoding="utf-8")


def _machine(bench: dict[str, Any]) -> str:
    facts = bench["machine"]
    parts = [facts["processor"], facts["memory"], facts["system"], f"Python {facts['python']}"]
    parts += [f"SQLite {facts['sqlite']}", f"PostgreSQL {facts['postgresql']}", f"Postfix {facts['postfix']}"]
    return ", ".join(parts)


def _section(name: str, bench: dict[str, Any], where: str) -> Iterator[str]:
    yield f"### {name}"
    settings = ", ".join(f"{key.replace('_', ' ')} {_number(value)}" for key, value in bench["settings"].items())
    yield f"`{bench['command']}` on {bench['measured_on']}{where}; {settings}."
    rows = ["| | figure | median | lowest | highest | target |", "|---|---|--:|--:|--:|--:|"]
    last = ""
    for figure in bench["figures"]:
        group, *rest = _cells(figure)
        rows.append(f"| {'' if group == last else group} | {' | '.join(rest)} |")
        last = group
    if bench["figures"]:
        yield "\n".join(rows)
    if bench["notes"]:
        yield "\n".join(f"- {note}" for note in bench["notes"])


def _cells(figure: dict[str, Any]) -> list[str]:
    numbers = [shown(figure[key], figure["unit"]) for key in ("median", "lowest", "highest")]
    target = figure.get("target", "")
    if target:
        target += {True: ": reached", False: ": not reached"}[figure["reached"]]
    return [figure["group"], figure["what"], *numbers, target]


def shown(value: float, unit: str) -> str:
    """A number with its unit, as short as it may be."""
    space = "" if unit in ("x", "%", "/s") else " "
    return f"{_number(value)}{space}{unit}"


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
