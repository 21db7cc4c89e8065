"""Where a mail's links lead and where its pictures come from: straight to the site, or by way of us.

Both are the same for every reader. Nothing here is fetched or looked up.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from html import escape, unescape

from digest.domain.articles import Image
from digest.domain.campaign import Campaign, tagged, untagged
from digest.domain.editions import Edition, Pick
from digest.domain.links import Links
from digest.errors import InvalidToken
from digest.mail.clean import clean_url

WIDTH, HEIGHT = 1072, 2144  # pixels at most of a picture we resize: twice a mail's column, for fine screens
_HREF = re.compile(r'(?<=\shref=")[^"]*(?=")')


@dataclass(frozen=True, slots=True)
class ArticleLinks:
    """The links to an edition's articles: with the campaign, and through the counter if clicks are counted.

    `hosts` are the site's own: no other's links get the campaign. `zones` are the newsletters', for the edition's day.
    """

    links: Links
    campaign: Campaign
    hosts: Sequence[str]
    zones: Mapping[str, tzinfo]
    counted: bool = False

    def of(self, edition: Edition, pick: Pick) -> str:
        """The address the mail gives for a pick."""
        if self.counted and clean_url(pick.article.url):
            return self.links.click(edition.id, pick.position)
        return self.tagged(edition, pick.article.url)

    def tagged(self, edition: Edition, url: str) -> str:
        """Any address with the edition's campaign, if it lies on the site."""
        day = edition.send_at.astimezone(self.zones.get(edition.newsletter, UTC)).date()
        return tagged(url, self.campaign.filled(edition.newsletter, edition.number, day), self.hosts)

    def plain(self, edition: Edition, picks: Iterable[Pick], html: str) -> str:
        """The edition's html with its links as they are on the site, for the archive: no counter, no campaign."""
        urls = {pick.position: clean_url(pick.article.url) for pick in picks}

        def plain(found: re.Match[str]) -> str:
            url = unescape(found[0])
            straight = untagged(self._straight(edition, urls, url), self.hosts)
            return found[0] if straight == url else escape(straight)

        return _HREF.sub(plain, html)

    def _straight(self, edition: Edition, urls: Mapping[int, str], url: str) -> str:
        """Where a counted link of the edition leads; any other address as it is."""
        if not url.startswith(self.links.url("r/")):
            return url
        try:
            edition_id, position = self.links.read_click(url.rpartition("/")[2])
        except InvalidToken:
            return url
        return urls.get(position, url) if edition_id == edition.id else url


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of articles: from the site, or resized by us and served from our own address."""

    links: Links
    resized: bool = False

    def of(self, pick: Pick) -> Image | None:
        """The picture the mail shows for a pick. Its size in pixels is scaled, if it is known."""
        image = pick.article.image
        if image is None or not self.resized or not clean_url(image.url):
            return image
        url = self.links.picture(pick.article.id, version_of(image.url))
        width, height = image.width or 0, image.height or 0
        scaled = fitted(width, height) if width > 0 and height > 0 else (None, None)
        return replace(image, url=url, width=scaled[0], height=scaled[1])


@dataclass(frozen=True, slots=True)
class Targets:
    """Both together."""

    links: ArticleLinks
    pictures: Pictures

    def of(self, edition: Edition, pick: Pick) -> Pick:
        """The pick with the addresses that the edition's mail gives for it."""
        article = replace(pick.article, url=self.links.of(edition, pick), image=self.pictures.of(pick))
        return replace(pick, article=article)


def version_of(url: str) -> bytes:
    """Eight bytes that stand for the picture at this address: an article that gets another one gets another link."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()[:8]


def fitted(width: int, height: int) -> tuple[int, int]:
    """The size of a picture made to fit into WIDTH x HEIGHT pixels; a small one stays as it is."""
    scale = min(1.0, WIDTH / width, HEIGHT / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
