"""Figures: medians of rounds, beside their targets; and what a bench hands back."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one bench: every round's, of which the median counts."""

    group: str  # figures of one group share a unit and a panel of the plot
    what: str
    unit: str
    rounds: tuple[float, ...]
    sense: str = ""  # AT_LEAST or AT_MOST the target; empty: there is none
    target: float = 0.0

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.rounds)

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        if not self.sense:
            return None
        return self.value >= self.target if self.sense == AT_LEAST else self.value <= self.target

    def as_json(self) -> dict[str, Any]:
        """For bench/results.json."""
        shown: dict[str, Any] = {
            "group": self.group,
            "what": self.what,
            "unit": self.unit,
            "median": _short(self.value),
            "lowest": _short(min(self.rounds)),
            "highest": _short(max(self.rounds)),
            "rounds": [_short(each) for each in self.rounds],
        }
        if self.sense:
            shown |= {"target": f"{self.sense} {self.target:g}", "reached": self.reached}
        return shown


@dataclass(slots=True)
class Findings:
    """What a bench found: its figures, every run behind them, and what a reader of them must know."""

    figures: list[Figure] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self, group: str, what: str, unit: str, rounds: Iterable[float], sense: str = "", target: float = 0.0
    ) -> None:
        """One more figure, if there is a round of it."""
        if values := tuple(rounds):
            self.figures.append(Figure(group, what, unit, values, sense, target))

    def keep(self, round_number: int, who: str, measured: object) -> None:
        """One run, as it was measured: a frozen dataclass or a dict."""
        values = asdict(measured) if is_dataclass(measured) and not isinstance(measured, type) else dict(measured)  # type: ignore[call-overload]
        self.runs.append({"round": round_number, "who": who} | {key: _shorter(each) for key, each in values.items()})

    def note(self, text: str) -> None:
        """Said once."""
        if text not in self.notes:
            self.notes.append(text)

    def as_json(self) -> dict[str, Any]:
        """For bench/results.json."""
        groups = list(dict.fromkeys(each.group for each in self.figures))
        return {
            "settings": self.settings,
            "figures": [each.as_json() for each in sorted(self.figures, key=lambda one: groups.index(one.group))],
            "notes": self.notes,
            "runs": self.runs,
        }


def per_round(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """The ratio in each round: what was measured in turn is compared in turn, then the median is taken."""
    return [above / below for above, below in zip(upper, lower, strict=True)]


def _shorter(value: Any) -> Any:
    if isinstance(value, float):
        return _short(value)
    return [_shorter(each) for each in value] if isinstance(value, (list, tuple)) else value


def _short(value: float) -> float:
    """Four digits that mean something are plenty."""
    return float(f"{value:.4g}")
