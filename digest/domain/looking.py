"""Which of an edition's pages were looked at, and which are gone: asked right before it is frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from digest.domain.editions import Pick

LookAgain = Callable[[Sequence[str]], Mapping[str, str]]  # of these pages, those that are gone, and how we know


LOOKS = 4  # each may take seconds, and Saturday does not wait


class NotLookedAt(Exception):
    """Its pages were not asked about yet: picks, or those that moved up."""


class Looked:
    """What is known of the picked pages right before freezing; after LOOKS looks that has to be enough."""

    def __init__(self, look_again: LookAgain | None) -> None:
        self._look_again = look_again
        self._asked: set[str] = set()
        self._looks_left = LOOKS if look_again else 0
        self.gone: dict[str, str] = {}

    def look(self, urls: Sequence[str]) -> None:
        """Ask about pages."""
        assert self._look_again is not None
        self._looks_left -= 1
        self._asked.update(urls)
        self.gone.update(self._look_again(urls))

    def must_know(self, picks: Sequence[Pick]) -> None:
        """Raises NotLookedAt."""
        urls = [pick.article.url for pick in picks if pick.article.url not in self._asked]
        if urls and self._looks_left:
            raise NotLookedAt(urls)
