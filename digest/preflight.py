"""FLOW: a look at an edition before it goes out: what the rules say of its mail, and what its links answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence

from digest.domain.editions import FOR_SIZE, NOT_PLAUSIBLE, Basis, Edition
from digest.domain.findings import Finding, Level, ordered, stoppers
from digest.errors import NotFit
from digest.mail.specimen import host_of, links, pictures, shown
from digest.sources.answers import Answer, ask

HEAVY = 1_000_000  # bytes of a picture
_GONE = (404, 410)


def refuse(edition: Edition, findings: Iterable[Finding], allowed: Collection[str]) -> None:
    """See that nothing stands against sending. Raises NotFit when an error is left that nobody has allowed."""
    if left := stoppers(findings, allowed):
        raise NotFit(edition.id, [(each.name, each.text, each.fix) for each in left])


def of_list(edition: Edition) -> list[Finding]:
    """What was noted when the list was made, said again before it goes out."""
    return [_noted(edition, note) for note in edition.notes]


def _noted(edition: Edition, note: str) -> Finding:
    if note.startswith(NOT_PLAUSIBLE):
        by = "the newest" if edition.basis is Basis.NEWEST else "these counts"
        text = f"the counts cannot be right, and the list goes by {by}: {note.removeprefix(NOT_PLAUSIBLE)}"
        fix = "See what the sources say: digest collect --check. Once they are right: digest edition draft"
        return Finding("not-plausible", Level.WARNING, text, fix)
    if note.startswith(FOR_SIZE):
        return Finding("shortened", Level.HINT, note, "Take fewer articles: [newsletters.X.selection] count")
    return Finding("list-note", Level.HINT, note, f"See the list and its reasons: digest edition show {edition.id}")


async def look_around(html: str, own: str, homes: Sequence[str], private_hosts: Sequence[str] = ()) -> list[Finding]:
    """Ask for every page and picture that the html leads to.

    Our own pages begin with `own`; of these only the first page is asked for: an edition that is not sent yet has no
    page in the archive, and nobody's links are tried out.
    """
    pages = [own if url.startswith(own) else url for url, _ in links(html)]
    images = [each.url for each in pictures(html) if each.url.startswith(("http://", "https://"))]
    trusted = [own, *homes]
    linked, loaded = await asyncio.gather(
        ask(pages, homes=trusted, private_hosts=private_hosts),
        ask(images, homes=trusted, private_hosts=private_hosts, whole=True),
    )
    missed = len({*pages}) - len(linked) + len({*images}) - len(loaded)
    found = [*_of_links(linked), *_of_images(loaded), *_of_time(missed)]
    return ordered(found)


def _of_links(answers: Sequence[Answer]) -> Iterator[Finding]:
    for each in answers:
        if each.status in _GONE:
            text = f"{shown(each.url)} is not there: the server answers {each.status}"
            yield Finding("link-gone", Level.ERROR, text, "Ban the article, or mend its address: digest articles")
    for words, number in _unseen(answers):
        text = words if number == 1 else f"{number} pages could not be seen, the first of them: {words}"
        yield Finding("link-unreachable", Level.WARNING, text, "Open it in a browser: some sites refuse programs")


def _of_images(answers: Sequence[Answer]) -> Iterator[Finding]:
    another = "Give the article another picture, then draft again"
    for each in answers:
        name = shown(each.url)
        if each.status in _GONE:
            text = f"the picture {name} is not there: the server answers {each.status}"
            yield Finding("image-gone", Level.ERROR, text, another)
        elif _is_seen(each) and each.kind and not each.kind.startswith("image/"):
            yield Finding("image-kind", Level.WARNING, f"{name} is no picture, but {each.kind[:60]}", another)
        elif _is_seen(each) and each.size > HEAVY:
            text = f"the picture {name} has {each.size:,} bytes; it comes late on a phone"
            yield Finding("image-size", Level.WARNING, text, "Let the site make a smaller one, 1,200 pixels wide")
    for words, number in _unseen(answers):
        text = words if number == 1 else f"{number} pictures could not be seen, the first of them: {words}"
        yield Finding("image-unreachable", Level.WARNING, text, "Open it in a browser: mailboxes fetch it like that")


def _is_seen(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _unseen(answers: Sequence[Answer]) -> Iterator[tuple[str, int]]:
    """(what happened, to how many) of those we learned nothing about; a host that is down is one thing, not twenty."""
    groups: dict[tuple[str, str], list[Answer]] = {}
    for each in answers:
        if not _is_seen(each) and each.status not in _GONE:
            groups.setdefault((host_of(each.url), each.trouble or str(each.status)), []).append(each)
    for (_, trouble), alike in groups.items():
        yield f"{shown(alike[0].url)} could not be seen: {trouble}", len(alike)


def _of_time(missed: int) -> Iterator[Finding]:
    if missed:
        text = f"{missed} addresses did not answer in time, or were too many to ask for"
        yield Finding("not-looked-at", Level.WARNING, text, "Run the check again when the site is less busy")
