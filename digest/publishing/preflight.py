"""FLOW: a look at an edition before it goes out: what the rules say of its mail, and what its links answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from digest.domain.editions import FOR_SIZE, NOT_PLAUSIBLE, Basis, Edition, Pick
from digest.domain.findings import Finding, Level, ordered, stoppers
from digest.errors import NotFit
from digest.mail.clean import clean_text, clean_url
from digest.mail.note import written
from digest.mail.specimen import host_of, links, pictures, shown
from digest.sources.answers import Answer, ask

HEAVY = 1_000_000  # bytes of a picture
_GONE = (404, 410)
_PRIVATE = "private network"
_ALLOW = "Readers cannot reach it. If it is only for a trial, put its host into private_hosts of one of the [[sources]]"


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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an address of a mail comes from, and what to do when it is wrong."""

    name: str
    fix: str


def origins(picks: Sequence[Pick], note: str, site_url: str = "") -> dict[str, Origin]:
    """The origins of the addresses in a mail: its articles' pages and pictures, and the editor's note."""
    found = {}
    for url, _ in links(written(note, clean_url(site_url))[0]):
        found[url] = Origin("the editor's note", "Mend the note: digest edition note")
    for pick in picks:
        article = pick.article
        name = f"article {article.id}, “{clean_text(article.title, 60)}”"
        ban = f"digest articles ban {article.id}"
        found[clean_url(article.url)] = Origin(name, f"Leave it out: {ban}. Or mend its address, then draft again")
        if article.image:
            fix = f"Give it another picture, then draft again. Or leave it out: {ban}"
            found[clean_url(article.image.url)] = Origin(name, fix)
    return found


async def look_around(
    html: str,
    own: str,
    homes: Sequence[str],
    private_hosts: Sequence[str] = (),
    known: Mapping[str, Origin] = MappingProxyType({}),
) -> list[Finding]:
    """Ask for every page and picture that the html leads to; `known` says where they come from.

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
    found = [*_of_links(linked, known), *_of_images(loaded, known), *_of_time(missed)]
    return ordered(found)


_TEMPLATE = Origin("a template, or [site] url", "Mend it in your templates, or in config.toml")


def _of_links(answers: Sequence[Answer], known: Mapping[str, Origin]) -> Iterator[Finding]:
    for each in answers:
        if each.status in _GONE:
            origin = known.get(each.url, _TEMPLATE)
            text = f"{shown(each.url)} is not there: the server answers {each.status} (it is of {origin.name})"
            yield Finding("link-gone", Level.ERROR, text, origin.fix)
    for words, number in _unseen(answers):
        text = words if number == 1 else f"{number} pages could not be seen, the first of them: {words}"
        fix = _ALLOW if _PRIVATE in words else "Open it in a browser: some sites refuse programs"
        yield Finding("link-unreachable", Level.WARNING, text, fix)


def _of_images(answers: Sequence[Answer], known: Mapping[str, Origin]) -> Iterator[Finding]:
    for each in answers:
        origin = known.get(each.url, _TEMPLATE)
        name, another = shown(each.url), origin.fix
        if origin is not _TEMPLATE:
            name += f" of {origin.name},"
        if each.status in _GONE:
            text = f"the picture {name} is not there: the server answers {each.status}"
            yield Finding("image-gone", Level.ERROR, text, another)
        elif _is_seen(each) and each.kind and not each.kind.startswith("image/"):
            yield Finding("image-kind", Level.WARNING, f"{name} is no picture, but {each.kind[:60]}", another)
        elif _is_seen(each) and each.size > HEAVY:
            text = f"the picture {name} has {each.size:,} bytes; it comes late on a phone"
            fix = "Set [mail] resize_images = true, or let the site make a smaller one, 1,200 pixels wide"
            yield Finding("image-size", Level.WARNING, text, fix)
    for words, number in _unseen(answers):
        text = words if number == 1 else f"{number} pictures could not be seen, the first of them: {words}"
        fix = _ALLOW if _PRIVATE in words else "Open it in a browser: mailboxes fetch it like that"
        yield Finding("image-unreachable", Level.WARNING, text, fix)


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
