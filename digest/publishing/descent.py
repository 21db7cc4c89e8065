"""FLOW: picking's part: looking at pages from the most read down, until no other can come into the edition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count

from digest.domain.newsletters import Selection
from digest.domain.periods import Period
from digest.domain.ranking import Candidate, Ranked, best_of_unseen, is_settled, rank, without_rank

FIRST_LOOK = 300  # pages; four times as many the next time

Pages = tuple[Sequence[tuple[int, int]], Callable[[Sequence[int]], list[Candidate]]]  # (page, views); what fetches them


class Descent:
    """Looks at pages from the most read down, until no other can come into the edition.

    A week has tens of thousands of pages, and ten of them are picked. `top` are some of the most read, those behind
    them were read `unseen` times at the most, and `whole` has them all; None: `top` has. `sent` is when articles were
    last in an edition.
    """

    def __init__(
        self,
        selection: Selection,
        period: Period,
        sent: Mapping[int, datetime],
        top: Pages,
        unseen: int | None,
        whole: Callable[[], Pages],
    ) -> None:
        self._selection = selection
        self._period = period
        self._sent = sent
        self._counts, self._fetch = top
        self._unseen = unseen
        self._whole = whole
        self._seen: dict[int, Candidate] = {}
        self._until = 0

    @property
    def rest(self) -> list[tuple[int, int]] | None:
        """The pages that were not looked at; None when they were not even counted."""
        if self._unseen is not None:
            return None
        return [(page, views) for page, views in self._counts[self._until :] if page not in self._seen]

    def judge(self, known: Sequence[Candidate], *, to_the_end: bool = False, by_newest: bool = False) -> list[Ranked]:
        """Rank what is known and as many pages as it takes."""
        self._add(known)
        step = FIRST_LOOK
        for round_ in count():
            if to_the_end or (round_ and self._until >= len(self._counts)):
                self._count_all()
            step = len(self._counts) if to_the_end else step
            before, self._until = self._until, _past_ties(self._counts, self._until + step)
            pages = [page for page, _ in self._counts[before : self._until] if page not in self._seen]
            self._add(self._fetch(pages))
            step *= 4
            ranked = rank(self._seen.values(), self._period, self._selection, by_newest=by_newest)
            is_end = self._until >= len(self._counts)
            if is_end and self._unseen is None:
                return ranked
            unseen = (self._unseen or 0) if is_end else self._counts[self._until][1]
            if is_settled(ranked, self._period, self._selection, unseen):
                best = best_of_unseen(self._period, self._selection, unseen)
                return without_rank(ranked, best, self._selection.holds)
        raise AssertionError("a list has an end")

    def _count_all(self) -> None:
        if self._unseen is not None:
            (self._counts, self._fetch), self._unseen = self._whole(), None

    def _add(self, candidates: Iterable[Candidate]) -> None:
        self._seen |= {each.id: each._replace(sent_at=self._sent.get(each.id)) for each in candidates}


def _past_ties(counts: Sequence[tuple[int, int]], place: int) -> int:
    """Behind the last page that was read as often as the one before `place`: what follows was read less."""
    while 0 < place < len(counts) and counts[place][1] == counts[place - 1][1]:
        place += 1
    return min(place, len(counts))
