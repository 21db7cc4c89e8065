"""`digest subscribers`: the operator's way in, and answers to readers who write."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from digest import importing, preferring, suppressing
from digest.app import App
from digest.cli.opening import clock, newsletter_named, opened
from digest.cli.printing import fail, local, print_json, say, table
from digest.domain.newsletters import Newsletter
from digest.domain.subscribers import Evidence, Subscription, SubscriptionState, Way
from digest.errors import InvalidAddress, UsageError
from digest.mail.addresses import parse
from digest.store import consent, deliveries, suppressions
from digest.store import subscribers as subscriber_queries

app = typer.Typer(help="Subscribers: add, list, show, import, unsubscribe, suppress.", no_args_is_help=True)
_Json = typer.Option(False, "--json", help="Print JSON.")
_Newsletter = typer.Option(None, help="Which newsletter; needed when there are several.")
_Consent = typer.Option("", "--consent-from", help="Where their consent comes from; kept as proof.")


@app.command()
def add(
    address: str,
    newsletter: str | None = _Newsletter,
    name: str = typer.Option("", help="The reader's name."),
    confirmed: bool = typer.Option(False, "--confirmed", help="They have agreed already; needs --consent-from."),
    consent_from: str = _Consent,
) -> None:
    """Add one reader. Without --confirmed they are asked by mail."""
    if confirmed and not consent_from.strip():
        raise UsageError("--confirmed needs --consent-from TEXT: where and when this reader agreed")
    with opened() as opening:
        chosen = newsletter_named(opening, newsletter)
        entry = importing.Entry(parse(address), name, confirmed)
        brought = _bring(opening, chosen, [entry], Way.OPERATOR, consent_from)
    said = {
        "added": f"Added {entry.address} to {chosen.title}" + ("." if confirmed else "; they are asked to confirm."),
        "already": f"{entry.address} is there already.",
        "unsubscribed": f"{entry.address} has unsubscribed; only they can sign up again.",
        "suppressed": f"{entry.address} is suppressed and is not added.",
    }
    result = next(name for name, number in asdict(brought).items() if number)
    (say if result in ("added", "already") else fail)(said[result])
    raise typer.Exit(0 if result in ("added", "already") else 1)


@app.command("import")
def import_(
    file: Path,
    newsletter: str | None = _Newsletter,
    consent_from: str = _Consent,
    as_json: bool = _Json,
) -> None:
    """Bring readers in from a CSV with a column `email`, and `name` if you have it. All of it or nothing."""
    if not consent_from.strip():
        raise UsageError(
            "an import needs --consent-from TEXT: where and when these readers agreed; it is kept as proof"
        )
    entries, refused = _read(file)
    with opened() as opening:
        chosen = newsletter_named(opening, newsletter)
        brought = _bring(opening, chosen, entries, Way.IMPORT, consent_from)
    if as_json:
        print_json({**asdict(brought), "refused": [{"line": line, "why": why} for line, why in refused]})
    else:
        for line, why in refused:
            fail(f"{file}, line {line}: {why}")
        say(
            f"{brought.added:,} added, {brought.already:,} there already, {brought.unsubscribed:,} had unsubscribed, "
            f"{brought.suppressed:,} suppressed, {len(refused):,} refused."
        )


@app.command("list")
def list_(
    newsletter: str | None = _Newsletter,
    state: str = typer.Option("", help="pending, confirmed or unsubscribed."),
    as_json: bool = _Json,
) -> None:
    """Every subscription."""
    if state and state not in set(SubscriptionState):
        raise UsageError(f"there is no state {state!r}; there are: {', '.join(SubscriptionState)}")
    with opened() as opening, opening.store.read() as tx:
        found = list(subscriber_queries.listed(tx, newsletter or "", state))
    if as_json:
        print_json([_json(each) for each in found])
    else:
        rows = [
            (each.address, each.name, each.newsletter, each.state, f"{each.requested_at:%Y-%m-%d}") for each in found
        ]
        table(("address", "name", "newsletter", "state", "since"), rows)


@app.command()
def show(address: str, as_json: bool = _Json) -> None:
    """One reader: subscriptions, the trail of consent, the mails they got."""
    with opened() as opening:
        found = suppressing.find(opening.store, parse(address))
        with opening.store.read() as tx:
            trail = consent.trail(tx, found[0].subscriber_id)
            mails = list(deliveries.listed(tx, subscriber_id=found[0].subscriber_id))
            suppression = suppressions.of(tx, opening.links.address_hash(found[0].address.key))
    suppressed = suppression.reason if suppression else None
    if as_json:
        print_json(
            {
                "address": found[0].address.text,
                "suppressed": suppressed,
                "subscriptions": [_json(each) for each in found],
                "events": [asdict(each) for each in trail],
                "deliveries": [asdict(each) for each in mails],
            }
        )
        return
    say(str(found[0].address) + (f" (suppressed: {suppressed})" if suppressed else ""), "bold")
    for each in found:
        say(f"  {each.newsletter}: {each.state}")
    zone = next(iter(opening.newsletters.values())).zone
    for event in trail:
        say(f"  {local(event.at, zone)}  {event.kind} by {event.evidence.way} {event.evidence.form}")
    for mail in mails:
        say(f"  {local(mail.settled_at, zone)}  {mail.mail} {mail.edition_id or ''} {mail.state} {mail.reply}")


@app.command()
def unsubscribe(
    address: str, newsletter: str | None = typer.Option(None, help="Only this one; otherwise all.")
) -> None:
    """End a reader's subscriptions, effective at once."""
    with opened() as opening:
        found = suppressing.find(opening.store, parse(address))
        for each in found:
            if newsletter in (None, each.newsletter):
                preferring.leave(opening.store, each.id, Evidence(Way.OPERATOR), clock())
                say(f"{each.address} no longer gets {each.newsletter}.")


@app.command()
def suppress(address: str, reason: str = typer.Option("by the operator", help="Why.")) -> None:
    """Never mail this address again, even if it is imported or signs up anew."""
    with opened() as opening:
        evidence = Evidence(Way.OPERATOR, form=reason)
        new = suppressing.suppress(opening.store, opening.links, parse(address), reason, evidence, clock())
    say("Suppressed." if new else "It was suppressed already.")


def _bring(
    opening: App, newsletter: Newsletter, entries: list[importing.Entry], way: Way, consent: str
) -> importing.Brought:
    evidence = Evidence(way, form=consent.strip(), language=newsletter.language)
    return importing.bring_in(
        opening.store, opening.links, entries, newsletter.name, newsletter.language, evidence, clock()
    )


def _read(file: Path) -> tuple[list[importing.Entry], list[tuple[int, str]]]:
    entries: list[importing.Entry] = []
    refused: list[tuple[int, str]] = []
    for line, row in _rows(file):
        try:
            status = (row.get("status") or "confirmed").strip().lower()
            if status not in ("confirmed", "subscribed", "active", "enabled"):
                refused.append((line, f"status {status!r}: only confirmed readers are brought in"))
                continue
            entries.append(importing.Entry(parse(row["email"]), (row.get("name") or "").strip()))
        except InvalidAddress as error:
            refused.append((line, str(error)))
    return entries, refused


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            names = {name.strip().lower(): name for name in reader.fieldnames or []}
            if "email" not in names:
                raise UsageError(f"{file} has no column `email`; its columns are: {', '.join(names) or 'none'}")
            for row in reader:
                yield reader.line_num, {name: row[original] or "" for name, original in names.items()}
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} is not a CSV file in UTF-8: {error}") from None


def _json(subscription: Subscription) -> dict[str, object]:
    return {**asdict(subscription), "address": subscription.address.text}
