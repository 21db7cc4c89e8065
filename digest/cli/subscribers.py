"""`digest subscribers`: the operator's way in, and answers to readers who write."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC
from zoneinfo import ZoneInfo

import typer

from digest.app import App
from digest.app.gate import admit
from digest.cli import person
from digest.cli.exporting import export
from digest.cli.importing import import_
from digest.cli.opening import clock, newsletter_named, opened
from digest.cli.printing import fail, print_json_list, say, table
from digest.cli.statistics import stats
from digest.cli.suppressed import given, why
from digest.domain.addresses import Address
from digest.domain.newsletters import Newsletter
from digest.domain.subscribers import Evidence, Subscription, SubscriptionState, Way
from digest.domain.suppressions import SuppressionKind
from digest.errors import UsageError
from digest.mail.addresses import parse
from digest.store import subscribers as subscriber_queries
from digest.store import suppressions
from digest.subscribing import importing, preferring, suppressing

app = typer.Typer(
    help="Readers: add, list, show, import, unsubscribe, forget.",
    no_args_is_help=True,
)
app.command("import")(import_)
app.command()(export)
app.command()(stats)
app.command()(person.show)
app.command()(person.proof)
app.command()(person.forget)
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
        entry = importing.Entry(admit(opening.config, address), name, confirmed)
        brought = _bring(opening, chosen, entry, Evidence(Way.OPERATOR, address, form=consent_from.strip()))
        suppressed = _why_suppressed(opening, entry.address) if brought.suppressed else ""
    said = {
        "added": f"Added {entry.address} to {chosen.title}" + ("." if confirmed else "; they are asked to confirm."),
        "already": f"{entry.address} is there already.",
        "unsubscribed": f"{entry.address} has unsubscribed; only they can sign up again.",
        "suppressed": suppressed,
    }
    result = next(name for name, number in asdict(brought).items() if number)
    (say if result in ("added", "already") else fail)(said[result])
    raise typer.Exit(0 if result in ("added", "already") else 1)


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
        found = subscriber_queries.marked(tx, newsletter_named(opening, newsletter).name if newsletter else "", state)
        if as_json:
            print_json_list(_json(each) | {"is_suppressed": suppressed} for each, suppressed in found)
            return
        zones = {name: each.zone for name, each in opening.newsletters.items()}
        rows = [_row(each, zones.get(each.newsletter), suppressed=suppressed) for each, suppressed in found]
    if rows:
        table(("address", "name", "newsletter", "state", "since"), rows)
    else:
        say(f"Nobody is {state}." if state else "There are no readers yet.")


@app.command()
def unsubscribe(
    address: str, newsletter: str | None = typer.Option(None, help="Only this one; otherwise all.")
) -> None:
    """End a reader's subscriptions, effective at once."""
    with opened() as opening:
        found = suppressing.find(opening.store, parse(address))
        titles = {each.newsletter: each.newsletter for each in found}  # one may have gone from config.toml since
        titles |= {name: each.title for name, each in opening.newsletters.items()}
        if newsletter and newsletter not in {each.newsletter for each in found}:
            raise UsageError(f"{address} was never asked about {titles.get(newsletter, newsletter)}")
        for each in found:
            if newsletter not in (None, each.newsletter):
                continue
            title = titles[each.newsletter]
            if each.state is SubscriptionState.UNSUBSCRIBED:
                say(f"{each.address} had left {title} already.")
                continue
            preferring.leave(opening.store, each.id, Evidence(Way.OPERATOR), clock())
            say(f"{each.address} no longer gets {title}.")


@app.command()
def suppress(address: str, reason: str = typer.Option("no reason given", help="Why; kept in the log.")) -> None:
    """Never mail this address again. That holds if it is imported or signs up anew; `digest suppressions` has more."""
    reason = given(reason)
    with opened() as opening:
        evidence = Evidence(Way.OPERATOR, form=reason)
        new = suppressing.suppress(opening.store, opening.links, parse(address), reason, evidence, clock())
    say("Suppressed." if new else "It was suppressed already.")


def _row(each: Subscription, zone: ZoneInfo | None, *, suppressed: bool) -> tuple[object, ...]:
    state = f"{each.state}, suppressed" if suppressed else each.state
    return each.address, each.name, each.newsletter, state, f"{each.since.astimezone(zone or UTC):%Y-%m-%d}"


def _bring(opening: App, chosen: Newsletter, entry: importing.Entry, evidence: Evidence) -> importing.Brought:
    proof = replace(evidence, language=chosen.language)
    return importing.bring_in(opening.store, opening.links, [entry], chosen.name, chosen.language, proof, clock())


def _why_suppressed(opening: App, address: Address) -> str:
    """Why an address is not added, and what to do when it should be."""
    with opening.store.read() as tx:
        found = suppressions.of(tx, opening.links.address_hash(address.key))
        if found is None or found.kind is SuppressionKind.DOMAIN:
            domain = suppressions.domain(tx, address.domain)
            reason = domain.reason if domain else ""
            what, lifted = f"all of {address.domain} is suppressed ({reason})", address.domain
        else:
            what, lifted = f"the address is suppressed ({why(found.kind, found.by, found.reason)})", address.text
    return f"{address} is not added: {what}. If that is over: digest suppressions lift {lifted} --reason TEXT"


def _json(subscription: Subscription) -> dict[str, object]:
    return {**asdict(subscription), "address": subscription.address.text}
