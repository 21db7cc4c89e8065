"""`digest bounces`: what came back, from a pipe or the mailbox, and what the desk decides about it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta
from typing import NoReturn
from zoneinfo import ZoneInfo

import typer

from digest import bouncing
from digest.app import App
from digest.app.bounces import Returns
from digest.bouncing import Followed
from digest.bouncing.emptying import Emptied
from digest.cli.opening import clock, load, opened
from digest.cli.printing import fail, local, many, print_json, print_json_list, say, span, table
from digest.domain.bouncing import Bounce
from digest.domain.reports import ReportKind
from digest.errors import DigestError, SchemaMismatch, StoreUnavailable, UsageError
from digest.mail.inbox import MAX_BYTES
from digest.store import bounces, mailboxes

_ORDINARY = "out-of-office or ordinary mail"
_LONG = 365  # days: who looks back further than this has seen all there is
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a mail server that pipes to us keeps the message and tries again
_KINDS = {
    "hard": ReportKind.HARD,
    "soft": ReportKind.SOFT,
    "policy": ReportKind.POLICY,
    "complaint": ReportKind.COMPLAINT,
    "left": ReportKind.LEFT,
}
AsJson = typer.Option(False, "--json", help="Print JSON.")
app = typer.Typer(help="Bounces and complaints.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Bounces and complaints."""


@app.command()
def read(
    inbox: bool = typer.Option(False, "--inbox", help="Read the mailbox in config.toml, not standard input."),
    as_json: bool = AsJson,
) -> None:
    """Act on a report from a pipe, or on those in the mailbox.

    A mail server's pipe gives one on standard input; without one, the mailbox is read once.

    Exit status 75 when the database is away: a mail server keeps the message then, and tries again.
    """
    content = b"" if inbox or sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read(MAX_BYTES + 1)
    if not content and (inbox or load().bounces.inbox or sys.stdin.isatty()):
        with opened() as opening:
            _show_emptied(Returns(opening).empty(clock), as_json)
        return
    try:
        with opened() as opening:
            _show_followed(Returns(opening).take(content, clock(), "pipe"), as_json)
    except (StoreUnavailable, SchemaMismatch) as error:
        _try_again(error)


def _try_again(error: DigestError) -> NoReturn:
    fail(str(error))
    raise typer.Exit(TRY_AGAIN)


def _show_followed(followed: Followed, as_json: bool) -> None:
    if as_json:
        print_json(asdict(followed))
    else:
        kind = _ORDINARY if followed.kind is ReportKind.OTHER else followed.kind
        strange = "" if followed.is_ours or followed.kind is ReportKind.OTHER else " (it names no mail of ours)"
        say(f"{kind}: {followed.consequence}{strange}.")


def _show_emptied(emptied: Emptied, as_json: bool) -> None:
    followed = emptied.followed.most_common()
    if as_json:
        counts = {key: getattr(emptied, key) for key in ("mailbox", "read", "put_away", "left", "too_large")}
        listed = [{"kind": kind, "consequence": then, "messages": number} for (kind, then), number in followed]
        print_json(counts | {"followed": listed})
        return
    rows = [(_ORDINARY if kind == ReportKind.OTHER else kind, then, number) for (kind, then), number in followed]
    if rows:
        table(("what came", "what followed", "messages"), rows, right=["messages"])
    new = many(emptied.read, "new message")
    said = f"{new} in {emptied.mailbox}: {emptied.put_away:,} put away, {emptied.left:,} left"
    say(f"{said}, {emptied.too_large:,} of them too large to be reports." if emptied.too_large else f"{said}.")


@app.command()
def check(as_json: bool = AsJson) -> None:
    """Connect to the mailbox and say what is there. Nothing is changed, nothing acted upon."""
    with opened() as opening, Returns(opening).inbox() as inbox:
        with opening.store.read() as tx:
            known = mailboxes.known(tx, inbox.name)
        waiting = [each for batch in inbox.waiting(known.remembered) for each in batch]
        too_large = sum(each.size > MAX_BYTES for each in waiting)
        if as_json:
            found = {"mailbox": inbox.name, "waiting": len(waiting), "too_large": too_large, "tells": inbox.tells}
            print_json(found | {"read_at": known.read_at, "failed_at": known.failed_at, "error": known.error})
            return
        new = many(len(waiting), "message")
        say(f"{inbox.name}: {new} not looked at yet, {too_large:,} of them too large for a report.")
        say(
            "It tells of new mail at once."
            if inbox.tells
            else f"It is read every {span(opening.config.bounces.every)}."
        )
        say(f"Last read: {local(known.read_at, _zone(opening))}.")


@app.command("list")
def list_(
    kind: str = typer.Option("", help=f"Only one of: {', '.join(_KINDS)}."),
    provider: str = typer.Option("", help="Only of one provider, such as gmail.com."),
    days: int = typer.Option(30, min=1, help="How far back."),
    as_json: bool = AsJson,
) -> None:
    """What came back, newest first, and what followed."""
    if kind and kind not in _KINDS:
        raise UsageError(f"--kind {kind}: write one of {', '.join(_KINDS)}")
    with opened() as opening, opening.store.read() as tx:
        wanted = {"kind": _KINDS.get(kind, ""), "provider": provider.lower()}
        found = bounces.listed(tx, since=clock() - timedelta(days=days), **wanted)
        if as_json:
            print_json_list(asdict(each) | {"address": address} for each, address in found)
            return
        zone = _zone(opening)
        rows = [_row(each, address, zone) for each, address in found]
    if rows:
        table(("when", "reader", "what", "status", "what followed", "in their words"), rows)
    else:
        what = "Nothing of that" if kind or provider else "Nothing"
        say(f"{what} came back {'yet' if days > _LONG else f'in the last {days} days'}.")


def _row(each: Bounce, address: str, zone: ZoneInfo) -> tuple[str, ...]:
    return local(each.at, zone), address or "forgotten", each.kind, each.status, each.outcome or "nothing", each.words


@app.command()
def held(as_json: bool = AsJson) -> None:
    """Bounces that are too many at once to be believed. `apply` or `discard` decides."""
    with opened() as opening, opening.store.read() as tx:
        groups = bounces.held(tx)
    if as_json:
        print_json([asdict(each) for each in groups])
    elif not groups:
        say("Nothing is held.")
    else:
        rows = [(each.edition_id, each.provider, each.bounces, each.words) for each in groups]
        table(("edition", "provider", "readers", "in its words"), rows, right=["edition", "readers"])


Provider = typer.Argument(help="Whose held bounces, such as gmail.com; see `digest bounces held`.")


@app.command("apply")
def apply_(provider: str = Provider) -> None:
    """Believe a provider's held bounces: readers are suppressed."""
    _decide(provider, believe=True)


@app.command()
def discard(provider: str = Provider) -> None:
    """Do not believe a provider's held bounces. Nothing follows from them, nor from later ones of that edition."""
    _decide(provider, believe=False)


def _decide(provider: str, *, believe: bool) -> None:
    with opened() as opening:
        number = bouncing.settle_held(opening.store, opening.links, provider, clock(), believe=believe)
    say(f"{many(number, 'bounce')} {'applied: their readers get no more mail' if believe else 'discarded'}.")


def _zone(opening: App) -> ZoneInfo:
    return ZoneInfo(opening.config.site.timezone)
