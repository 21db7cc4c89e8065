"""`digest subscribers`: the operator's way in, and answers to readers who write."""

from __future__ import annotations

from dataclasses import asdict, replace

import typer

from digest.app import App
from digest.app.gate import admit
from digest.cli import person
from digest.cli.exporting import export
from digest.cli.importing import import_
from digest.cli.opening import clock, newsletter_named, opened
from digest.cli.printing import fail, print_json_list, say, table
from digest.cli.statistics import stats
from digest.cli.suppressed import why
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
    help="Subscribers: add, list, show, import, unsubscribe, suppress, forget, and proofs of their consent.",
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
        found = subscriber_queries.listed(tx, newsletter_named(opening, newsletter).name if newsletter else "", state)
        if as_json:
            print_json_list(_json(each) for each in found)
            return
        rows = [
            (each.address, each.name, each.newsletter, each.state, f"{each.requested_at:%Y-%m-%d}") for each in found
        ]
    table(("address", "name", "newsletter", "state", "since"), rows)


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
def suppress(address: str, reason: str = typer.Option("no reason given", help="Why.")) -> None:
    """Never mail this address again, even if it is imported or signs up anew; `digest suppressions` has more."""
    with opened() as opening:
        evidence = Evidence(Way.OPERATOR, form=reason)
        new = suppressing.suppress(opening.store, opening.links, parse(address), reason, evidence, clock())
    say("Suppressed." if new else "It was suppressed already.")


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
