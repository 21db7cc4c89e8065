"""A pick as a template sees it: clean text, safe addresses, numbers as the language writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from digest.domain.articles import Image
from digest.domain.editions import Pick
from digest.mail.clean import clean_text, clean_url
from digest.mail.languages import Language

IMAGE_WIDTH = 536  # pixels: the column inside the 600 px table
WORDS_A_MINUTE = 220  # read silently, by adults; Polish and Ukrainian words are longer and fewer a minute
_LEAST = 100  # pixels of a picture's sides
_TALLEST, _WIDEST = 3.0, 6.0  # heights a width, widths a height
_SLOWER = {"pl": 180, "uk": 180}


@dataclass(frozen=True, slots=True)
class Story:
    """What a template may say of a pick. `minutes` is the time of reading, 0 when the source does not tell."""

    position: int
    title: str
    url: str
    excerpt: str
    section: str
    author: str
    views: str
    count: int
    image: str
    alt: str
    height: int | None
    minutes: int = 0
    block: str = ""  # the heading it stands under
    is_sponsored: bool = False
    rank: int = 0  # from 1 in each part of the mail; 0 for a sponsored one

    @property
    def kicker(self) -> str:
        """Its section, unless the heading it stands under says that already."""
        return "" if self.section.casefold() == self.block.casefold() else self.section

    @property
    def is_read(self) -> bool:
        """Whether anybody read it."""
        return self.count > 0


def story_of(pick: Pick, excerpt: int, with_images: bool, spoken: Language) -> Story:
    """The pick in at most so many characters of excerpt."""
    article = pick.article
    image = article.image if with_images and article.image and is_picture(article.image) else None
    url = clean_url(image.url) if image else ""
    known = image and image.width and image.height
    return Story(
        position=pick.position,
        title=clean_text(article.title, 200) or "…",
        url=clean_url(article.url),
        excerpt=clean_text(article.summary, excerpt) if excerpt else "",
        section=clean_text(article.section, 40),
        author=clean_text(article.author, 60),
        views=spoken.number(pick.views),
        count=pick.views,
        image=url,
        alt=clean_text(image.alt, 120) if image else "",
        height=round(IMAGE_WIDTH * image.height / image.width)
        if image and known and image.height and image.width
        else None,
        minutes=_minutes(article.words, spoken.code),
        block="" if pick.is_sponsored else clean_text(pick.block, 60),
        is_sponsored=pick.is_sponsored,
    )


def is_picture(image: Image) -> bool:
    """Whether it can stand in a mail, as far as its size is known.

    The first picture of a text may be a counting pixel, an emoji or a spacer, and is no better for being enlarged.
    """
    width, height = image.width, image.height
    if (width and width < _LEAST) or (height and height < _LEAST):
        return False
    return not (width and height) or 1 / _TALLEST <= width / height <= _WIDEST


def ranked(stories: Sequence[Story]) -> list[Story]:
    """The stories with their ranks: each part of the mail counts for itself."""
    seen: Counter[str] = Counter()
    made = []
    for each in stories:
        seen[each.block] += not each.is_sponsored
        made.append(replace(each, rank=0 if each.is_sponsored else seen[each.block]))
    return made


def _minutes(words: int | None, code: str) -> int:
    return max(1, round(words / _SLOWER.get(code, WORDS_A_MINUTE))) if words else 0
