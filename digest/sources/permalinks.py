"""The address of a WordPress post, made of its row as WordPress makes it (wp-includes/link-template.php, 6.x)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TAG = re.compile(r"%[a-z_]+%")
_DATES = ("%year%", "%monthnum%", "%day%", "%hour%", "%minute%", "%second%")
_KNOWN = frozenset({*_DATES, "%postname%", "%post_id%", "%category%", "%author%", "%pagename%"})


@dataclass(frozen=True, slots=True)
class PostRow:
    """What an address may be made of. `date` is the site's local time, as 2026-11-27 18:30:00."""

    id: int
    name: str
    date: str
    author: str = ""  # as it stands in addresses
    categories: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Permalinks:
    """A site's addresses: its `home`, its `structure` such as /%year%/%postname%/, and its categories.

    `slugs` and `parents` are by category id; `default` is the category of posts that have none.
    A structure with words of a plugin's own cannot be followed: then addresses are plain, as /?p=12, which WordPress
    sends on to the real one.
    """

    home: str
    structure: str
    slugs: Mapping[int, str] = field(default_factory=dict)
    parents: Mapping[int, int] = field(default_factory=dict)
    default: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether addresses are of the kind /?p=12."""
        return not self.structure or bool(self.unknown)

    @property
    def unknown(self) -> list[str]:
        """The words of the structure that WordPress itself does not know."""
        return [tag for tag in _TAG.findall(self.structure) if tag not in _KNOWN]

    def asks_for(self, tag: str) -> bool:
        """Whether the structure has a word such as %category%."""
        return tag in self.structure

    def of(self, post: PostRow) -> str:
        """The post's address."""
        home = self.home.rstrip("/")
        if self.is_plain:
            return f"{home}/?p={post.id}"
        words = dict(zip(_DATES, re.split(r"[-: ]", post.date), strict=False))
        words |= {"%postname%": post.name, "%pagename%": post.name, "%post_id%": str(post.id), "%author%": post.author}
        if self.asks_for("%category%"):
            of_post = self._category(min(post.categories)) if post.categories else ""
            words["%category%"] = of_post or self.slugs.get(self.default, "")
        path = _TAG.sub(lambda tag: words.get(tag[0], tag[0]), self.structure)
        return home + "/" + path.lstrip("/")

    def _category(self, category: int) -> str:
        """The category's name in addresses, after those of the categories it lies in."""
        path: list[str] = []
        seen: set[int] = set()
        while category in self.slugs and category not in seen:
            seen.add(category)
            path.insert(0, self.slugs[category])
            category = self.parents.get(category, 0)
        return "/".join(path)
