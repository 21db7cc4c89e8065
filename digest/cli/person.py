"""`digest subscribers show`, `proof` and `forget`: one person, as the desk sees them, proves, and lets them go."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer

from digest.app import App
from digest.cli.opening import clock, opened
from digest.cli.printing import local, many, plain, print_json, say
from digest.cli.suppressed import by_whom, why
from digest.config import split_mailbox
from digest.domain.addresses import Address
from digest.domain.subscribers import ConsentEvent, EventKind, Evidence, Subscription, Way
from digest.domain.suppressions import Suppression, SuppressionChange
from digest.errors import NotFound, UsageError
from digest.mail.addresses import parse
from digest.store import consent, deliveries, known, subscribers, suppressions
from digest.subscribing import forgetting, proving
from digest.tables.writing import private

_Json = typer.Option(False, "--json", help="Print JSON.")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?\+00:00")
_SAID = {
    EventKind.REQUESTED: "asked for",
    EventKind.CONFIRMED: "confirmed",
    EventKind.UNSUBSCRIBED: "left",
    EventKind.RETURNED: "took leaving back",
    EventKind.CHANGED: "changed",
    EventKind.SUPPRESSED: "was suppressed",
    EventKind.LIFTED: "was let go again",
    EventKind.FORGOTTEN: "was forgotten",
}
_HOW = {
    Way.FORM: "by a form",
    Way.LINK: "by the link in a mail",
    Way.ONE_CLICK: "with one click",
    Way.MAILTO: "by mail",
    Way.PAGE: "on their own page",
    Way.API: "through the API",
    Way.COMPLAINT: "by a complaint",
    Way.BOUNCE: "by a bounce",
    Way.OPERATOR: "by the operator",
    Way.IMPORT: "by an import",
}


@dataclass(frozen=True, slots=True)
class _Person:
    """All that the database has of an address."""

    address: Address
    subscriptions: list[Subscription]
    trail: list[ConsentEvent]
    mails: list[Any]
    reports: list[known.KnownReport]
    suppression: Suppression | None
    changes: list[SuppressionChange]
    is_reader: bool


def show(address: str, as_json: bool = _Json) -> None:
    """One person: what they get, their consent, their mails. Also what came back, and whether they are suppressed."""
    with opened() as opening:
        found = _look(opening, parse(address))
        zone = next(iter(opening.newsletters.values())).zone
    if as_json:
        print_json(_json(found))
        return
    name = found.subscriptions[0].name if found.subscriptions else ""
    say(str(found.address) + (f" ({name})" if name else "") + ("" if found.is_reader else ": not a reader"), "bold")
    if found.suppression:
        suppression = found.suppression
        said = why(suppression.kind, suppression.by, suppression.reason)
        say(f"  suppressed since {local(suppression.at, zone)} {said}", "yellow")
    for each in found.subscriptions:
        say(f"  {each.newsletter}: {_standing(each, zone)}")
    _section("consent", (_event(each, zone) for each in found.trail))
    _section("mails", (_mail(each, zone) for each in found.mails))
    _section("came back", (f"{local(e.at, zone)}  {e.kind} {e.status} {e.words}" for e in found.reports))
    _section("suppressions", (_change(each, zone) for each in found.changes))


def _look(opening: App, address: Address) -> _Person:
    """Raises NotFound for an address that was never here, or of which nothing is left."""
    with opening.store.read() as tx:
        reader = suppressions.ids_of(tx, [address.key]).get(address.key)
        address_hash = opening.links.address_hash(address.key)
        subscriptions = subscribers.everything_of(tx, reader) if reader else []
        found = _Person(
            address=subscriptions[0].address if subscriptions else address,
            subscriptions=subscriptions,
            trail=consent.trail(tx, reader) if reader else [],
            mails=list(deliveries.listed(tx, subscriber_id=reader)) if reader else [],
            reports=known.reports(tx, reader) if reader else [],
            suppression=suppressions.of(tx, address_hash),
            changes=suppressions.changes(tx, address_hash),
            is_reader=reader is not None,
        )
    if not found.is_reader and not found.suppression and not found.changes:
        raise NotFound("subscriber", address.text, "see `digest subscribers list`")
    return found


def _json(found: _Person) -> dict[str, Any]:
    return {
        "address": found.address.text,
        "is_reader": found.is_reader,
        "suppressed": found.suppression.reason if found.suppression else None,
        "suppression": asdict(found.suppression) if found.suppression else None,
        "subscriptions": [{**asdict(each), "address": each.address.text} for each in found.subscriptions],
        "events": [asdict(each) for each in found.trail],
        "deliveries": [asdict(each) for each in found.mails],
        "bounces": [asdict(each) for each in found.reports],
        "suppression_changes": [asdict(each) for each in found.changes],
    }


def _section(title: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            say(f"  {title}", "bold")
        say(f"    {line.rstrip()}")


def _standing(each: Subscription, zone: ZoneInfo) -> str:
    words = f"{each.state} since {local(each.since, zone)}, in {each.language}"
    if each.rhythm:
        words += f", {each.rhythm}"
    return words + (f", paused until {local(each.paused_until, zone)}" if each.paused_until else "")


def _event(event: ConsentEvent, zone: ZoneInfo) -> str:
    evidence = event.evidence
    where = f", from {evidence.ip}" if evidence.ip else ""
    form = f": {evidence.form}" if evidence.form else ""
    what = " ".join(filter(None, (_SAID[event.kind], event.newsletter, _HOW[evidence.way])))
    return f"{local(event.at, zone)}  {what}{where}{form}"


def _mail(mail: Any, zone: ZoneInfo) -> str:
    edition = f" of edition {mail.edition_id}" if mail.edition_id else ""
    answer = f": {mail.code or ''} {mail.reply}".rstrip() if mail.reply else ""
    when = local(mail.settled_at, zone) if mail.settled_at else "not yet"
    return f"{when}  {mail.mail}{edition} {mail.state}{answer}"


def _change(each: SuppressionChange, zone: ZoneInfo) -> str:
    if each.lifted:
        return f"{local(each.at, zone)}  let go {by_whom(each.by)}: {each.reason}"
    return f"{local(each.at, zone)}  suppressed {why(each.kind, each.by, each.reason)}"


def proof(
    address: str,
    as_json: bool = _Json,
    out: Path | None = typer.Option(None, help="Write it into this file, as JSON."),
) -> None:
    """The proof of one person's consent. It says to what, when, how and in which words, also of who was forgotten."""
    with opened() as opening:
        proved = proving.prove(opening.store, opening.links, _publisher(opening), parse(address), clock())
    if out is not None:
        with private(out) as file:
            file.write(json.dumps(proved, ensure_ascii=False, indent=2, default=plain) + "\n")
        say(f"Wrote {out}.")
    elif as_json:
        print_json(proved)
    else:
        _print_proof(proved)


def _publisher(opening: App) -> proving.Publisher:
    config = opening.config
    sender = split_mailbox(config.mail.confirmation_from or config.mail.from_)[1]
    titles = {each.name: each.title for each in opening.newsletters.values()}
    return proving.Publisher(config.site.name, config.site.postal_address, sender, titles)


def _print_proof(proved: dict[str, Any]) -> None:
    record = proved["record"]
    person = record["person"]
    say(person["address"] + (" (forgotten; this is what is left)" if person["is_forgotten"] else ""), "bold")
    for each in record["consents"] + record["consents_before_erasure"]:
        say(f"  {each['purpose']}: {each.get('result', 'withdrawn')}")
        for name, value in each.items():
            if name not in ("newsletter", "title", "purpose", "result") and value:
                _print_fact(name, value)
    if record["suppressed"]:
        _print_fact("suppressed", record["suppressed"])
    say(f"  SHA-256 of the record: {proved['sha256']}")


def _print_fact(name: str, value: Any, indent: str = "    ") -> None:
    """One fact a line; what has parts, its parts below it."""
    words = name.replace("_", " ")
    if isinstance(value, dict):
        say(f"{indent}{words}")
        for key, part in value.items():
            if part and key not in ("kind", "newsletter"):
                _print_fact(key, part, f"{indent}  ")
    elif isinstance(value, list):
        for each in value:
            _print_fact(name, each, indent)
    elif name == "text":
        say(f"{indent}“{value}”")
    else:
        say(f"{indent}{words}: {_MOMENT.sub(_readable, str(value))}")


def _readable(moment: re.Match[str]) -> str:
    return f"{moment[1]} {moment[2]} UTC"


def forget(
    address: str,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = _Json,
) -> None:
    """Delete a person and all that is known of them. It cannot be undone."""
    parsed = parse(address)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to ask; say --yes to forget them")
        typer.confirm(f"Forget {parsed} for ever?", abort=True)
    with opened() as opening:
        evidence = Evidence(Way.OPERATOR, form="digest subscribers forget")
        erased = forgetting.forget_address(opening.store, opening.links, parsed, evidence, clock())
        kept_for = opening.config.subscribing.keep_proof.days
    if as_json:
        print_json(asdict(erased))
        return
    say(f"{parsed} is forgotten.", "bold")
    say(
        f"  Gone: name and address, {many(erased.subscriptions, 'subscription')}, "
        f"{many(erased.events, 'line')} of the trail, and what led to them in {many(erased.deliveries, 'mail')} "
        f"and {many(erased.bounces, 'report')}. Mails that waited and are not sent: {erased.waiting:,}."
    )
    say(
        f"  Kept: a fingerprint, so that no import brings them back, and for {many(kept_for, 'day')} the proof of "
        f"{many(erased.proofs, 'consent')}, without name and address."
    )
    say("  Not ours to clean: backups, files you imported or exported, and your own mailboxes.")
