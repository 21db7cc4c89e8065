"""The fast way does what the slow one would: a plain model, one row after the other, on both databases."""

from __future__ import annotations

import csv
import io
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.subscribing import importing

WORDS = {
    "": "confirmed",
    "subscribed": "confirmed",
    "unsubscribed": "unsubscribed",
    "bounced": "bounced",
    "spam": "complained",
    "blocked": "operator",
    "pending": "pending",
    "sideways": "?",
}
LIFTED = ("unsubscribed", "bounced")
ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(list(WORDS))), max_size=25)
_numbers = count()


class Model:
    """Subscriptions and suppressions as they should be, by the letter of the rules."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.kept_out: dict[str, str] = {}

    def file(self, rows: list[tuple[str, str]]) -> dict[str, int]:
        """Outcomes of one file."""
        counts: dict[str, int] = {}
        taken: set[str] = set()
        for who, word in rows:
            outcome, changes = self.row(who, WORDS[word])
            if outcome != "refused":
                if not changes and who in taken:
                    outcome = "duplicates"
                taken.add(who)
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts

    def row(self, who: str, standing: str) -> tuple[str, bool]:
        """(outcome, whether anything changed)."""
        if standing in ("?", "pending"):
            return "refused", False
        if standing == "confirmed":
            if who in self.kept_out:
                return "suppressed", False
            if who in self.held:
                return ("already" if self.held[who] == "confirmed" else "unsubscribed"), False
            self.held[who] = "confirmed"
            return "added", True
        changes = False
        if standing == "unsubscribed" and self.held.get(who) == "confirmed":
            self.held[who], changes = "unsubscribed", True
        before = self.kept_out.get(who)
        if before is None or (before in LIFTED and standing not in LIFTED):
            self.kept_out[who], changes = standing, True
        return ("unsubscribed" if standing == "unsubscribed" else "suppressed"), changes


def written(rows: list[tuple[str, str]], domain: str) -> str:
    """Rows as a file."""
    out = io.StringIO()
    csv.writer(out).writerows([("email", "status"), *((f"{who}@{domain}", word) for who, word in rows)])
    return out.getvalue()


@pytest.mark.parametrize("batch", [1, 3, 5_000])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(ROWS, min_size=1, max_size=3))
def test_a_file_does_what_its_rows_would_do_one_by_one(stage, monkeypatch, batch, files):
    monkeypatch.setattr(importing, "BATCH", batch)
    number = next(_numbers)
    domain, model = f"of-{number}.example.com", Model()
    for place, rows in enumerate(files):
        report = stage.bring(written(rows, domain), f"file-{number}-{place}.csv", again=True)
        assert {name: value for name, value in report.counts.items() if value} == model.file(rows)
    states = {who.partition("@")[0]: state for who, state in stage.states().items() if who.endswith(f"@{domain}")}
    assert states == model.held
    assert {who: kind for who in "abcdef" if (kind := stage.kept_out(f"{who}@{domain}"))} == model.kept_out


@pytest.mark.parametrize("batch", [1, 2])
def test_a_dry_run_over_several_batches_counts_alike(stage, monkeypatch, batch):
    monkeypatch.setattr(importing, "BATCH", batch)
    rows = [("a", ""), ("b", "bounced"), ("a", ""), ("b", ""), ("a", "spam"), ("c", "unsubscribed"), ("c", "")]
    dry = stage.bring(written(rows, "example.com"), dry_run=True)
    real = stage.bring(written(rows, "example.com"))
    assert dry.counts == real.counts
    assert real.counts["duplicates"] == 3
