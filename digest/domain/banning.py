"""What never comes into an edition, by tag, section or pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Protocol
from urllib.parse import urlsplit


class Story(Protocol):
    """What a rule looks at."""

    @property
    def url(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def section(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...


class Bans:
    """The desk's standing rules. Letters' case does not matter; a pattern is tried on the title and on the path."""

    def __init__(self, tags: Sequence[str], sections: Sequence[str], patterns: Sequence[str]) -> None:
        self._tags = {tag.casefold(): tag for tag in tags}
        self._sections = {section.casefold(): section for section in sections}
        self._patterns = [(pattern, re.compile(translate(pattern.casefold()))) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._tags or self._sections or self._patterns)

    def on(self, story: Story) -> str:
        """The rule that keeps it out, in words; empty when none does."""
        if self._sections and (named := self._sections.get(story.section.casefold())):
            return f"section {named!r} is banned"
        for tag in story.tags if self._tags else ():
            if named := self._tags.get(tag.casefold()):
                return f"tag {named!r} is banned"
        for pattern, compiled in self._patterns:
            if compiled.match(story.title.casefold()) or compiled.match(urlsplit(story.url).path.casefold()):
                return f"pattern {pattern!r} is banned"
        return ""
