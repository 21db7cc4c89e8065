"""Filling an edition's blocks from those allowed, best first: pins, quotas, likeness, the sponsored block."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from digest.domain.newsletters import Block, BlockKind, Selection

SPONSORED = "sponsored"  # the block's heading is the template's business
_WORD = re.compile(r"\w+")


class Story(Protocol):
    """What is chosen among."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def section(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def shares(self) -> int | None: ...
    @property
    def pinned_at(self) -> datetime | None: ...
    @property
    def pinned_position(self) -> int | None: ...


class Place(NamedTuple):
    """Where a story stands in the edition, counted from 1. Without a `reason` it is there by its rank."""

    position: int
    block: str = ""
    reason: str = ""
    is_sponsored: bool = False


def fill(stories: Sequence[Story], selection: Selection) -> tuple[dict[int, Place], dict[int, str]]:
    """(the place of each story that is in, why some of the others are not), by id; `stories` come best first."""
    return _Filling(stories, selection).result()


class _Filling:
    def __init__(self, stories: Sequence[Story], selection: Selection) -> None:
        self._selection = selection
        self._blocks = selection.blocks or (Block("", BlockKind.TOP, selection.count),)
        self._passed: dict[int, str] = {}  # why a story was passed over
        self._taken: list[tuple[Story, Block, str]] = []  # (story, block, reason), in the order of the edition
        self._is_in: set[int] = set()
        self._by_section: Counter[str] = Counter()
        self._by_author: Counter[str] = Counter()
        self._told: list[tuple[frozenset[str], Story]] = []  # the words of stories in, for likeness
        marked = marks_of(selection)
        self._sponsored = [each for each in stories if is_marked(each, marked)] if marked else []
        apart = {each.id for each in self._sponsored}
        self._stories = [each for each in stories if each.id not in apart] if apart else stories
        self._pins = self._pins_by_block()
        self._reserved = {each.id for pins in self._pins for each in pins}

    def _pins_by_block(self) -> list[list[Story]]:
        """The pins that have a place kept in each block; those for which there is no room compete like any other.

        They go into the blocks for pins; without any, into the block their wished position lies in, or the first.
        """
        pinned = [each for each in self._stories if each.pinned_at is not None]
        pinned.sort(key=lambda each: (each.pinned_at, each.id))
        own = [number for number, block in enumerate(self._blocks) if block.kind is BlockKind.PINNED]
        rooms = [block.count for block in self._blocks]
        kept: list[list[Story]] = [[] for _ in self._blocks]
        for story in pinned:
            for number in own or self._where(story):
                if rooms[number]:
                    kept[number].append(story)
                    rooms[number] -= 1
                    break
        return kept

    def _where(self, story: Story) -> list[int]:
        """The block the wished position lies in, if the story may stand there; else those that take any story."""
        wished = self._block_at(story.pinned_position or 1)
        block = self._blocks[wished]
        if block.kind is not BlockKind.SECTION or block.section.casefold() == story.section.casefold():
            return [wished]
        return [number for number, each in enumerate(self._blocks) if each.kind is BlockKind.TOP]

    def _block_at(self, position: int) -> int:
        last = 0
        for number, block in enumerate(self._blocks):
            last += block.count
            if position <= last:
                return number
        return len(self._blocks) - 1

    def result(self) -> tuple[dict[int, Place], dict[int, str]]:
        """Fill every block in turn."""
        for number, block in enumerate(self._blocks):
            taken = self._take(self._pins[number], block, block.count, pinned=True)
            if block.kind is not BlockKind.PINNED:
                self._take(self._pool(block), block, block.count - taken)
        for story in self._stories:
            if story.pinned_at is not None and story.id not in self._is_in:
                self._passed[story.id] = "pinned, but there is no room for it"
        return self._places(), {**self._passed, **self._sponsored_out()}

    def _pool(self, block: Block) -> Iterable[Story]:
        if block.kind is BlockKind.SECTION:
            wanted = block.section.casefold()
            return (each for each in self._stories if each.section.casefold() == wanted)
        if block.kind is BlockKind.SHARED:
            return sorted((each for each in self._stories if each.shares), key=lambda each: -(each.shares or 0))
        return self._stories

    def _take(self, pool: Iterable[Story], block: Block, room: int, *, pinned: bool = False) -> int:
        """Take from the pool until the block is full; returns how many."""
        taken = 0
        for story in pool:
            if taken >= room:
                break
            if story.id in self._is_in or (story.id in self._reserved and not pinned):
                continue
            if not pinned and (why := self._why_passed(story, block)):
                self._passed[story.id] = why
                continue
            self._passed.pop(story.id, None)  # another block may have passed it over
            self._keep(story, block, "pinned by the desk" if pinned else "")
            taken += 1
        return taken

    def _why_passed(self, story: Story, block: Block) -> str:
        limits = self._selection
        own_block = block.kind is BlockKind.SECTION
        section, author = story.section.casefold(), story.author.casefold()
        if section and not own_block and 0 < limits.max_per_section <= self._by_section[section]:
            return f"at most {limits.max_per_section} of a section, and {story.section!r} has them"
        if author and 0 < limits.max_per_author <= self._by_author[author]:
            return f"at most {limits.max_per_author} by an author, and {story.author!r} has them"
        if limits.similar and (better := self._like(story)):
            return f"the same story as {better.title[:80]!r}"
        return ""

    def _like(self, story: Story) -> Story | None:
        """A story that is in and tells the same: the part of their words that the two titles share."""
        words = words_of(story.title)
        return next((other for known, other in self._told if likeness(words, known) >= self._selection.similar), None)

    def _keep(self, story: Story, block: Block, reason: str) -> None:
        if block.kind is BlockKind.SHARED and not reason:
            reason = f"shared {story.shares:,} times"
        elif block.kind is BlockKind.SECTION and not reason:
            reason = f"among the best of {block.section!r}"
        self._is_in.add(story.id)
        self._taken.append((story, block, reason))
        self._by_section[story.section.casefold()] += 1
        self._by_author[story.author.casefold()] += 1
        if self._selection.similar:
            self._told.append((words_of(story.title), story))

    def _places(self) -> dict[int, Place]:
        """Positions over the whole edition; a pin with a position of its own stands there, within its block."""
        places: dict[int, Place] = {}
        for block in self._blocks:
            inside = [(story, reason) for story, its, reason in self._taken if its is block]
            wished = [each for each in inside if _has_a_place(each[0])]
            free = [each for each in inside if not _has_a_place(each[0])]
            last = -1
            for story, reason in sorted(wished, key=_wish):
                last = max(0, (story.pinned_position or 1) - 1 - len(places), last + 1)
                free.insert(last, (story, reason))
            for story, reason in free:
                at = len(places) + 1
                real = f"{reason} at {at}" if reason and _has_a_place(story) else reason
                places[story.id] = Place(at, block.title, real)
        for story in self._sponsored[: self._selection.sponsored_count]:
            places[story.id] = Place(len(places) + 1, SPONSORED, "sponsored", is_sponsored=True)
        return places

    def _sponsored_out(self) -> dict[int, str]:
        out = self._sponsored[self._selection.sponsored_count :]
        return {story.id: "sponsored: kept apart from what is ranked" for story in out}


def marks_of(selection: Selection) -> frozenset[str]:
    """The tags that make a story a sponsored one, whatever their case."""
    return frozenset(tag.casefold() for tag in selection.sponsored_tags)


def is_marked(story: Story, marks: frozenset[str]) -> bool:
    """Whether the story bears one of the marks."""
    return not marks.isdisjoint(map(str.casefold, story.tags))


def _has_a_place(story: Story) -> bool:
    return story.pinned_at is not None and story.pinned_position is not None


def _wish(kept: tuple[Story, str]) -> tuple[int, datetime, int]:
    story = kept[0]
    assert story.pinned_at is not None
    return (story.pinned_position or 0, story.pinned_at, story.id)


def words_of(title: str) -> frozenset[str]:
    """The words of a title, whatever their case."""
    return frozenset(_WORD.findall(title.casefold()))


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The part of all their words that two titles share, 0 to 1 (Jaccard)."""
    return len(one & other) / len(one | other) if one and other else 0.0
