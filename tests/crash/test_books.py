"""The judge is judged: what is wrong is complained of, and what is right is not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.crash.books import Books
from tests.crash.plan import Plan, Tally
from tests.crash.town import Sight


class ToldTown:
    """A town whose database says what it is told."""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}

    def look(self, *, at_rest: bool = False) -> Sight:
        rows = {f"reader{number}@example.com": state for number, state in self.states.items()}
        return Sight("sending", rows, Counter(rows.values()), len(rows))


class ToldOffice:
    """A post office whose record says what it is told."""

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        self.ids: dict[str, set[str]] = {}

    def look(self) -> int:
        return self.copies.total()

    def wait_until_empty(self) -> None:
        """Nobody is ever connected."""


@pytest.fixture
def judged():
    """Looks at states of readers 0 to 3 and their copies; returns the complaints."""
    town, office = ToldTown(), ToldOffice()
    tally = Tally(Plan("kill", "sqlite", rounds=1, readers=4, connections=1, seed=0))
    books = Books(town, office, tally, nobody_survives=True)

    def judge(states: str, copies: str) -> str:
        names = {"q": "queued", "d": "deferred", "g": "sending", "s": "sent", "u": "uncertain", "f": "failed"}
        town.states = {number: names[letter] for number, letter in enumerate(states)}
        office.copies = Counter({f"reader{number}@example.com": int(each) for number, each in enumerate(copies)})
        office.copies += Counter()  # who has none is not in the record
        tally.wrongs.clear()
        books.look_after_kill()
        return "\n".join(tally.wrongs)

    return judge


def test_a_kill_in_mid_send_is_nothing_to_complain_of(judged):
    assert judged("qqqq", "0000") == ""
    assert judged("sggd", "1100") == ""
    assert judged("suug", "1101") == ""
    assert judged("suuu", "1101") == ""


@pytest.mark.parametrize(
    ("states", "copies", "words"),
    [
        ("sqqq", "0000", "1 sent, but not in the record"),
        ("fqqq", "0000", "1 lost"),
        ("sqqq", "2000", "1 mailed twice"),
        ("qqqq", "1000", "1 in the record, and to be mailed again"),
        ("sss", "1110", "3 rows"),
        ("gggg", "0000", "4 copies of unknown fate by one kill; 3 are allowed"),
    ],
)
def test_what_is_wrong_at_a_glance_is_complained_of(judged, states, copies, words):
    assert words in judged(states, copies)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("suqq", "quqq", "1 were sent, and are no longer"),
        ("suqq", "ssqq", "1 were uncertain, and are no longer"),
        ("sgqq", "ssqq", "1 were on the wire at a kill, and their fate is guessed"),
        ("sgqq", "sqqq", "1 were on the wire at a kill, and their fate is guessed"),
    ],
)
def test_what_may_not_follow_is_complained_of(judged, before, after, words):
    assert judged(before, "1100") == ""
    assert words in judged(after, "1100")
