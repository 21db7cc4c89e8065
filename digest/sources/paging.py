"""The pages of a feed: how far back they are turned, and what they hold together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.domain.articles import FoundArticle
from digest.sources import Reading

BACK = timedelta(days=14)  # how far back the pages are turned the first time
MOST_PAGES = 200
_NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its articles, notes on items left out, and the address of the next page, or "".

    A next page that `is_guess` was announced by nobody: when it is not there, this page was the last.
    """

    articles: tuple[FoundArticle, ...] = ()
    notes: tuple[str, ...] = ()
    following: str = ""
    is_guess: bool = False


async def all_pages(first: Page, turn: Callable[[Page], Awaitable[Page]], until: datetime) -> Page:
    """The first page and, while every article on a page is newer than `until`, the one after it, as one page.

    `turn` fetches the page after a page. One that brings no new article is the last, whatever it says: some sites
    answer every number with the same page.
    """
    articles, notes, page = list(first.articles), list(first.notes), first
    known, turned = {each.url for each in first.articles}, {""}
    while page.following not in turned and page.articles and all(each.published_at > until for each in page.articles):
        if len(turned) == MOST_PAGES:
            notes.append(f"only the first {MOST_PAGES} pages were read; there are more")
            break
        turned.add(page.following)
        page = await turn(page)
        new = [each for each in page.articles if each.url not in known]
        if not new:
            break
        articles += new
        notes += [f"page {len(turned)}: {note}" for note in page.notes]
        known.update(each.url for each in new)
    return Page(tuple(articles), tuple(notes))


def known_until(reading: Reading) -> datetime:
    """What was published up to here is known, or too old to matter."""
    newest, back = reading.remembered.get(_NEWEST), reading.now - BACK
    return max(back, datetime.fromisoformat(newest)) if newest else back


def newest_of(page: Page, reading: Reading) -> Mapping[str, str]:
    """What to remember, so that the next reading turns the pages back to here."""
    newest = max([known_until(reading), *(each.published_at for each in page.articles)])
    return {_NEWEST: min(newest, reading.now).isoformat()}
