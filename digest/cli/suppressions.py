"""`digest suppressions`: addresses and domains that get no mail, whoever brings them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import typer

from digest.app import App
from digest.cli.opening import clock, opened
from digest.cli.printing import fail, many, print_json, print_json_list, say, table
from digest.cli.suppressed import Reason, given, who, why
from digest.cli.suppression_lists import COLUMNS, FOREIGN, Lines, Refusals, Refused, guarded
from digest.domain.pace import is_large
from digest.domain.subscribers import Evidence, Way
from digest.domain.suppressions import SuppressedDomain, Suppression, SuppressionKind
from digest.errors import InvalidAddress, UsageError
from digest.mail.addresses import parse
from digest.store import subscribers, suppressions
from digest.subscribing import suppressing
from digest.tables.writing import private

_SHOWN = 20  # refused lines that are printed
_LISTED = 1_000  # and told to a script
_MANY, _TENTH = 100, 10  # a domain of so many readers, and of more than that part of all, is asked about
_OF_A_HASH, _CUT = 12, "…"  # characters of a fingerprint that tell it from others in a list

app = typer.Typer(help="Addresses and domains that get no mail: list, add, lift.", no_args_is_help=True)
_Json = typer.Option(False, "--json", help="Print JSON.")
_Kinds = ", ".join(SuppressionKind)


@app.command("list")
def list_(
    kind: str = typer.Option("", help=f"Only one kind: {_Kinds}."),
    whole: bool = typer.Option(False, "--whole", help="Fingerprints and reasons in full, however wide the table gets."),
    as_json: bool = _Json,
) -> None:
    """Every suppression: who, what kind, by whom, why.

    With the address where the reader is still here, and otherwise the fingerprint of it.

    `by` says who: the operator, the report of a mailbox provider, the mail server while we sent, the reader, an import.
    """
    _known_kind(kind)
    with opened() as opening:
        if as_json:
            print_json_list(_rows(opening, kind))
            return
        zone = next(iter(opening.newsletters.values())).zone
        rows = [
            (
                row["email"] or _fingerprint(row["hash"], whole=whole) or f"all of {row['domain']}",
                row["kind"],
                who(row["by"]),
                f"{row['at'].astimezone(zone):%Y-%m-%d}",
                row["reason"],
            )
            for row in _rows(opening, kind)
        ]
    if not rows:
        say("Nobody is suppressed." if not kind else f"Nobody is suppressed as {kind}.")
        return
    table(("address", "kind", "by", "since", "reason"), rows, cut=() if whole else ("address", "reason"))
    if not whole and any(row[0].endswith(_CUT) for row in rows):
        say("Fingerprints are of addresses that are gone from here; --whole shows them in full.")


def _fingerprint(address_hash: str, *, whole: bool) -> str:
    return address_hash if whole or not address_hash else address_hash[:_OF_A_HASH] + _CUT


@app.command()
def add(
    subject: str = typer.Argument(help="An address, or a domain such as example.com."),
    reason: str = Reason,
    yes: bool = typer.Option(False, "--yes", help="Do not ask, however many readers a domain has."),
    as_json: bool = _Json,
) -> None:
    """Nothing goes to this address or domain from now on.

    A domain that many readers have, or that of a large provider of mailboxes, is asked about first.
    """
    reason = given(reason)
    with opened() as opening:
        if (domain := _domain(subject)) is not None and not yes:
            _ask_about(opening, domain)
        if domain is None:
            evidence = Evidence(Way.OPERATOR, form=reason)
            new = suppressing.suppress(opening.store, opening.links, parse(subject), reason, evidence, clock())
            readers = int(new)
        else:
            new, readers = suppressing.suppress_domain(opening.store, opening.links, domain, reason, clock())
    if as_json:
        print_json({"new": new, "readers": readers})
    elif domain is None:
        say("Suppressed." if new else "It was suppressed already.")
    else:
        say(
            f"All of {domain} {'is' if new else 'was already'} suppressed; "
            f"{many(readers, 'reader there gets', 'readers there get')} no mail now."
        )


@app.command()
def lift(
    subject: str = typer.Argument(help="An address, or a domain."),
    reason: str = Reason,
) -> None:
    """Let an address or a domain go again."""
    reason = given(reason)
    with opened() as opening:
        if (domain := _domain(subject)) is not None:
            readers = suppressing.lift_domain(opening.store, domain, reason, clock())
            say(f"{domain} may be mailed again, and with it {many(readers, 'reader')}.")
            return
        found = suppressing.lift(opening.store, opening.links, parse(subject), reason, clock())
    say(f"{subject} may be mailed again; it was suppressed {why(found.kind, found.by, found.reason)}.")
    if found.kind in (SuppressionKind.COMPLAINED, SuppressionKind.REPORTED, SuppressionKind.FORGOTTEN):
        say("  They wished to be left alone: be sure that they have changed their mind.", "yellow")


@app.command("import")
def import_(
    file: Path,
    reason: str = typer.Option("", help="Why, for lines that do not say so themselves."),
    kind: str = typer.Option("operator", help=f"Of lines that do not say so themselves: {_Kinds}."),
    force: bool = typer.Option(False, "--force", help="Also what was let go here after the list was written."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would happen."),
    as_json: bool = _Json,
) -> None:
    """Suppress the addresses and domains that a CSV lists.

    Also the export of another Digest, for instance after a restore.
    """
    _known_kind(kind)
    refused = Refusals(_LISTED)

    def refuse(each: Refused) -> None:
        refused.add(each)
        if not as_json and each.why != FOREIGN and refused.count - refused.foreign <= _SHOWN:
            fail(f"{file}, line {each.line}: {each.why}")

    with opened() as opening, _reading(file) as text:
        lines = Lines(text, opening.links.fingerprint, SuppressionKind(kind), reason.strip(), clock(), refuse)
        brought = suppressing.bring_in(opening.store, opening.links, lines, clock(), dry_run=dry_run, even_lifted=force)
    if as_json:
        shown = [asdict(each) for each in refused.first]
        counts = {"refused": refused.count, "of_another_secret": refused.foreign}
        print_json({**asdict(brought), "dry_run": dry_run, **counts, "refused_lines": shown})
    else:
        _say_what_came(brought, refused, dry_run=dry_run)
    if refused.count and not (brought.suppressed or brought.already or brought.domains or brought.lifted_since):
        raise typer.Exit(1)


def _say_what_came(brought: suppressing.Brought, refused: Refusals, *, dry_run: bool) -> None:
    if refused.count - refused.foreign > _SHOWN:
        fail(f"and {refused.count - refused.foreign - _SHOWN:,} more")
    if refused.foreign:
        fail(
            f"{many(refused.foreign, 'hash was', 'hashes were')} made with another [web] secret, so nobody can tell "
            "whose. Move digest.secret here from where the list was made, before anybody is mailed from here; "
            "or bring in a list of the addresses themselves, in a column email"
        )
    would = "would be " if dry_run else ""
    say(
        f"{brought.suppressed:,} {would}suppressed, {brought.already:,} were already, "
        f"{many(brought.domains, 'domain')}, {many(refused.count, 'line')} refused."
    )
    if brought.lifted_since:
        say(f"  {many(brought.lifted_since, 'line')} passed over: lifted since. Give --force to suppress them again.")
    if brought.forgotten:
        were = many(brought.forgotten, "reader who had been forgotten was", "readers who had been forgotten were")
        say(f"  {were} here again, and forgotten again.")


@app.command()
def export(
    out: Path | None = typer.Option(None, help="Write into this file; otherwise it is printed."),
    form: str = typer.Option("csv", "--format", help="csv or json."),
) -> None:
    """Write out every suppression; `import` reads the CSV again."""
    if form not in ("csv", "json"):
        raise UsageError(f"--format {form!r}: write csv or json")
    with opened() as opening, _writing(out) as stream:
        if form == "json":
            print_json_list(_rows(opening, ""), stream)
            return
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for row in _rows(opening, ""):
            text = {name: guarded(str(value)) for name, value in row.items()}
            writer.writerow({**text, "at": row["at"].isoformat()})


@app.command("new-secret")
def new_secret(yes: bool = typer.Option(False, "--yes", help="Do not ask.")) -> None:
    """Go on with the [web] secret as it is now.

    Suppressions of readers who are here hold again, the others are lost.
    """
    if not yes:
        typer.confirm("Old links stop working, and suppressions of readers who are gone are lost. Go on?", abort=True)
    with opened() as opening:
        renewed, lost = suppressing.take_new_secret(opening.store, opening.links)
    were = many(renewed, "suppression was", "suppressions were")
    say(f"{were} made anew; {lost:,} of people who are not here hold no longer.")


def _rows(opening: App, kind: str) -> Iterator[dict[str, Any]]:
    """Domains first, then addresses: read as a stream."""
    key = opening.links.fingerprint
    with opening.store.read() as tx:
        if kind in ("", SuppressionKind.DOMAIN):
            yield from (_domain_row(each, key) for each in suppressions.domains(tx))
        yield from (_row(each, address, key) for each, address in suppressions.listed(tx, kind))


def _domain_row(each: SuppressedDomain, key: str) -> dict[str, Any]:
    named = {"email": "", "domain": each.domain, "hash": "", "kind": str(SuppressionKind.DOMAIN)}
    return {**named, "reason": each.reason, "by": each.by, "at": each.at, "secret": key}


def _row(each: Suppression, address: str, key: str) -> dict[str, Any]:
    named = {"email": address, "domain": each.domain, "hash": each.address_hash, "kind": str(each.kind)}
    return {**named, "reason": each.reason, "by": each.by, "at": each.at, "secret": key}


def _ask_about(opening: App, domain: str) -> None:
    """Ask first where a slip would silence many: a provider of mailboxes, or more than a tenth of the readers."""
    with opening.store.read() as tx:
        here, all_ = subscribers.confirmed_at_domain(tx, domain)
    if not is_large(domain) and (here < _MANY or here * _TENTH <= all_):
        return
    what = f"{domain} is a large provider of mailboxes" if is_large(domain) else f"{domain} is not small here"
    what += f": {many(here, 'reader')} of {all_:,} would get no more mail"
    if not sys.stdin.isatty():
        raise UsageError(f"{what}; say --yes if that is meant")
    typer.confirm(f"{what}. Go on?", abort=True)


def _domain(subject: str) -> str | None:
    """The domain in lower-case A-labels if that is what was typed; None: it is an address. Raises UsageError."""
    if "@" in subject.strip().lstrip("@"):
        return None
    try:
        return parse(f"anybody@{subject.strip().lstrip('@')}").domain
    except InvalidAddress as error:
        raise UsageError(f"{subject!r} is neither an address nor a domain: {error.reason}") from None


def _known_kind(kind: str) -> None:
    if kind and kind not in set(SuppressionKind):
        raise UsageError(f"there is no kind {kind!r}; there are: {_Kinds}")


@contextmanager
def _reading(file: Path) -> Iterator[IO[str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            yield text
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} is not a CSV file in UTF-8: {error}") from None


@contextmanager
def _writing(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    with private(out) as stream:
        yield stream
    say(f"Wrote {out}.")
