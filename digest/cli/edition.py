"""`digest edition`: draft it, look at it, decide, send it, see who has it."""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from digest import publishing
from digest.app import App
from digest.app.preflight import READER
from digest.cli import preflighting, sending
from digest.cli.edition_views import KINDS, edition_json, print_edition, write_preview
from digest.cli.opening import clock, moment_of, newsletter_named, opened
from digest.cli.printing import fail, local, print_json, print_json_list, say, table
from digest.domain.deliveries import DeliveryState, Verdict, judge
from digest.domain.editions import LONGEST_NOTE, Edition, EditionState
from digest.domain.newsletters import Approval
from digest.errors import UsageError, WrongState
from digest.mail.addresses import parse
from digest.mail.note import unsupported
from digest.publishing import desk

_SCREENFUL = 1_000  # rows of a table for a person
app = typer.Typer(help="Editions: draft, show, preview, approve, send, resend.", no_args_is_help=True)
_Json = typer.Option(False, "--json", help="Print JSON.")
_Edition = typer.Argument("latest", help="Its id, or `latest`.")
_Allow = typer.Option([], "--allow", metavar="NAME", help="An error of `digest edition check` that is to stop nothing.")
_Newsletter = typer.Option(None, help="Which newsletter; needed when there are several.")


@app.command()
def draft(
    newsletter: str | None = _Newsletter,
    at: str | None = typer.Option(None, help="A moment: the period that closed last before it, 2026-11-28T08:00."),
    as_json: bool = _Json,
) -> None:
    """Rank the closed period and lay its edition out. Do it anew as often as you like, until it is frozen."""
    with opened() as opening:
        chosen = newsletter_named(opening, newsletter)
        moment = moment_of("--at", at, chosen.zone) if at else clock()
        edition = opening.draft(chosen, moment, clock())
        if edition.frozen_at and not as_json:
            say(f"Edition {edition.id} is {edition.state} and stays as it is; nothing was ranked anew.", "yellow")
        _show(opening, edition, as_json)


@app.command("list")
def list_(newsletter: str | None = _Newsletter, as_json: bool = _Json) -> None:
    """Every edition, newest first."""
    with opened() as opening:
        found = publishing.listed(opening.store, newsletter)
        if as_json:
            print_json([edition_json(opening.store, each, full=False) for each in found])
            return
        if not found:
            say("No edition yet: run `digest edition draft`.")
            return
        zones = {name: each.zone for name, each in opening.newsletters.items()}
        rows = [
            (
                each.id,
                each.newsletter,
                each.number,
                local(each.period.end, zones.get(each.newsletter, ZoneInfo("UTC"))),
                each.state,
                each.subject,
            )
            for each in found
        ]
        table(("id", "newsletter", "no.", "period ends", "state", "subject"), rows, right=("id", "no."))


@app.command()
def show(
    edition: str = _Edition,
    explained: bool = typer.Option(False, "--explain", help="Every number of the ranking, and the rules."),
    as_json: bool = _Json,
) -> None:
    """The picks, why each is in, and how far the sending is."""
    with opened() as opening:
        _show(opening, publishing.find(opening.store, edition), as_json, explained=explained)


@app.command()
def preview(
    edition: str = _Edition,
    out: Path = typer.Option(Path("preview"), help="The folder to write into."),
    as_json: bool = _Json,
) -> None:
    """Write html, text and .eml exactly as readers get them.

    In each of their languages; and say where they can be seen.
    """
    with opened() as opening:
        found = publishing.find(opening.store, edition)
        written = write_preview(out, found, list(opening.samples(found, READER, clock())))
        link = opening.links.preview(found.id)
    if as_json:
        main, *others = written
        print_json({"edition": found.id, "link": link, **main, "others": others})
    else:
        for path in (each[kind] for each in written for kind in KINDS):
            say(path)
        say(f"In a browser, with `digest serve` running: {link}")


@app.command()
def check(
    edition: str = _Edition,
    allow: list[str] = _Allow,
    offline: bool = typer.Option(False, "--offline", help="Ask no server whether links and pictures are there."),
    as_json: bool = _Json,
) -> None:
    """Look at the mail before it goes out. It judges links, pictures, subject, size, contrast, spam rules, sender."""
    with opened() as opening:
        found = publishing.find(opening.store, edition)
        raise typer.Exit(preflighting.check(opening, found, allow, clock(), offline=offline, as_json=as_json))


@app.command()
def test(
    words: list[str] = typer.Argument(
        help="An address, and an edition if it is not the latest.", metavar="ADDRESS [EDITION]"
    ),
) -> None:
    """Send one copy to an address of yours."""
    addresses = [word for word in words if "@" in word]
    others = [word for word in words if "@" not in word]
    if len(addresses) != 1 or len(others) > 1:
        raise UsageError(
            "give one address, and the edition if it is not the latest: digest edition test anna@example.com"
        )
    with opened() as opening:
        found = publishing.find(opening.store, others[0] if others else "latest")
        address = parse(addresses[0]).text
        _, message = opening.sample(found, address, clock())
        receipt = asyncio.run(opening.send_one(message))
    if judge(receipt, command="DATA") is not Verdict.SENT:
        fail(f"{opening.servers[0].address} did not take it for {address}: {receipt}")
        raise typer.Exit(1)
    say(f"Sent to {address}: {receipt}")


@app.command()
def send(
    edition: str = _Edition,
    newsletter: str | None = _Newsletter,
    allow: list[str] = _Allow,
    processes: int = typer.Option(1, min=1, max=64, help="How many processes send; they share the connections."),
    as_json: bool = _Json,
) -> None:
    """Freeze the edition, queue it, deliver until all is settled. Run again after a crash it goes on."""
    with opened(proved=True) as opening:  # confirmations wait in the same outbox
        found = publishing.find(opening.store, edition, newsletter)
        chosen = newsletter_named(opening, found.newsletter)
        if chosen.approval is Approval.REQUIRED and found.state is EditionState.DRAFTED:
            hint = f"it waits for approval: digest edition approve {found.id}"
            raise WrongState("edition", found.id, found.state, "sent", hint)
        is_out = found.state is EditionState.SENT
        if not is_out:
            opening.release(found, clock(), preflighting.allowed_names(allow))
            found = sending.deliver(opening, found.id, quiet=as_json, processes=processes)
        if as_json:
            print_json(edition_json(opening.store, found))
        raise typer.Exit(sending.report(opening, found, quiet=as_json, is_old=is_out))


@app.command()
def watch(
    edition: str = _Edition, as_json: bool = typer.Option(False, "--json", help="A line of JSON a look.")
) -> None:
    """Watch an edition go out, whichever process sends it. It says how many, how fast, how long still."""
    with opened() as opening:
        found = publishing.find(opening.store, edition)
        settled = sending.watch(opening, found.id, as_json=as_json)
        if not as_json:
            sending.report(opening, settled, quiet=False)


@app.command()
def note(
    edition: str = _Edition,
    text: str | None = typer.Option(None, help="The note, in Markdown: *soft*, **strong**, [words](https://...)."),
    file: Path | None = typer.Option(None, help="A file that holds it; - reads what is piped in."),
    clear: bool = typer.Option(False, "--clear", help="Take it back."),
) -> None:
    """Put a note of the editor above the stories."""
    if sum((text is not None, file is not None, clear)) != 1:
        raise UsageError("say which: --text NOTE, --file PATH or --clear")
    written = text or ""
    if file is not None:
        written = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    if len(written) > LONGEST_NOTE:
        raise UsageError(f"the note has {len(written):,} characters; {LONGEST_NOTE:,} are the most")
    if strange := unsupported(written):
        raise UsageError("\n".join(["the note would not go out as it is meant:", *(f"  - {each}" for each in strange)]))
    with opened() as opening:
        found = desk.write_note(opening.store, publishing.find(opening.store, edition).id, written)
        say(f"Edition {found.id} {'has no note now' if clear else 'has its note'}. See it: digest edition preview")


@app.command()
def approve(edition: str = _Edition) -> None:
    """Let the edition go out at its hour."""
    _decide(edition, lambda opening, found: desk.approve(opening.store, found.id))


@app.command()
def hold(edition: str = _Edition, reason: str = typer.Option("held by the desk", help="Why.")) -> None:
    """Keep the edition back until it is approved."""
    _decide(edition, lambda opening, found: desk.hold(opening.store, found.id, reason))


@app.command()
def pause(edition: str = _Edition) -> None:
    """Stop sending; what is on the wire finishes, the rest waits."""
    _decide(edition, lambda opening, found: desk.pause(opening.store, found.id))


@app.command()
def resume(edition: str = _Edition) -> None:
    """Go on with a paused edition where it stopped."""
    _decide(edition, lambda opening, found: desk.resume(opening.store, found.id, clock()))
    say("It goes on when a sender runs: digest serve, or digest edition send.")


@app.command()
def cancel(edition: str = _Edition) -> None:
    """Never send the rest of the edition."""
    _decide(edition, lambda opening, found: desk.cancel(opening.store, found.id, clock()))


@app.command()
def resend(
    edition: str = _Edition,
    uncertain: bool = typer.Option(False, "--uncertain", help="Those nobody knows the fate of."),
    failed: bool = typer.Option(False, "--failed", help="Those that failed or were refused."),
    to: str | None = typer.Option(None, "--to", help="One reader, whatever became of their copy."),
) -> None:
    """Queue copies again, with the same Message-ID."""
    states = desk.RESENDABLE["uncertain"] if uncertain else frozenset()
    states |= desk.RESENDABLE["failed"] if failed else frozenset()
    if not states and not to:
        raise UsageError("say which: --uncertain, --failed or --to ADDRESS")
    with opened() as opening:
        found = publishing.find(opening.store, edition)
        reader = parse(to).key if to else ""
        again = desk.resend(opening.store, found.id, states or desk.RESENDABLE["any"], reader, clock())
        if not again:
            say(f"Nothing to send again: {f'{to} has no settled copy of it' if to else 'there are none of these'}.")
            return
        say(f"{again:,} queued again; they go out when a sender runs: digest serve, or digest edition send {found.id}.")


@app.command()
def deliveries(
    edition: str = _Edition,
    state: str = typer.Option("", help="Only these: queued, sent, deferred, refused, failed, uncertain, skipped, ..."),
    as_json: bool = _Json,
) -> None:
    """Who has it, who has not, and what the server said."""
    if state and state not in set(DeliveryState):
        raise UsageError(f"there is no state {state!r}; there are: {', '.join(DeliveryState)}")
    with opened() as opening:
        found = publishing.find(opening.store, edition)
        listed = publishing.deliveries_of(opening.store, found.id, state)
        if as_json:
            print_json_list(listed)
            return
        shown = list(islice(listed, _SCREENFUL))
        more = next(listed, None) is not None
    if not shown:
        say(f"No copy of edition {found.id} is {state}." if state else f"Edition {found.id} has no copies yet.")
        return
    rows = [(each.address, each.state, each.attempts, each.code or "", each.reply) for each in shown]
    table(("address", "state", "tries", "code", "the server's words"), rows, right=("tries",))
    if more:
        say(f"and more; --state narrows it down, --json has them all (these are the first {_SCREENFUL:,})")


def _decide(name: str, act: sending.Act) -> None:
    with opened() as opening:
        edition = act(opening, publishing.find(opening.store, name))
        say(f"Edition {edition.id} is {edition.state} now.")


def _show(opening: App, edition: Edition, as_json: bool, *, explained: bool = False) -> None:
    if as_json:
        print_json(edition_json(opening.store, edition))
    else:
        print_edition(opening, edition, explained=explained)
