"""What a run is asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 3  # rows a connection whose fate may be unknown after a kill


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of which scenario."""

    scenario: str
    database: str  # sqlite or postgresql
    rounds: int
    readers: int
    connections: int
    seed: int
    resend: bool = True  # whether the uncertain copies are sent again at the end

    @property
    def most_unknown(self) -> int:
        """Copies of which nobody may know the fate after one kill."""
        return WINDOW * self.connections


@dataclass(slots=True)
class Tally:
    """What came of it. `wrongs` must stay empty."""

    plan: Plan
    rounds: int = 0
    editions: int = 0
    sent: int = 0
    uncertain: int = 0
    most: int = 0  # uncertain by one kill
    lost: int = 0
    twice: int = 0
    slowest: float = 0  # seconds: the longest it took to go on, or to leave
    wrongs: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # seen, and within the rules

    def remark(self, words: str) -> None:
        """Keep a remark once."""
        if words not in self.remarks:
            self.remarks.append(words)
