"""`digest edition check`: what the preflight finds, for people and for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime

from digest.app import App
from digest.app.preflight import READER
from digest.cli.printing import print_json, say
from digest.domain.editions import Edition
from digest.domain.findings import NAMES, Finding, Level, ordered, stoppers, unknown
from digest.errors import UsageError
from digest.store import editions

_STYLES = {Level.ERROR: "red", Level.WARNING: "yellow", Level.HINT: ""}


def allowed_names(names: Sequence[str]) -> Sequence[str]:
    """The names given with --allow. Raises UsageError for one that no check has."""
    if strange := unknown(names):
        raise UsageError(f"no check finds {strange[0]!r}; they find: {', '.join(NAMES)}")
    return names


def check(app: App, edition: Edition, allow: Sequence[str], now: datetime, *, offline: bool, as_json: bool) -> int:
    """Run the preflight, print what it finds, and return the exit status: 1 when errors are left."""
    allowed = app.preflight.allowed(edition.newsletter, allowed_names(allow))
    renderings = [rendering for rendering, _ in app.samples(edition, READER, now)]
    specimens = [app.preflight.specimen(edition, each, now) for each in renderings]
    findings = app.preflight.by_rules(edition, specimens)
    specimen = specimens[0]
    if not offline:
        with app.store.read() as tx:
            picks = editions.picked(tx, edition.id)
        around = app.preflight.around(app.plain(edition, specimen.html), edition, picks)
        findings = ordered([*findings, *asyncio.run(around)])
    left = stoppers(findings, allowed)
    sizes = {
        "html_bytes": len(specimen.html.encode()),
        "text_bytes": len(specimen.text.encode()),
        "message_bytes": len(specimen.content),
    }
    if as_json:
        shown = [{**asdict(each), "allowed": each.name in allowed} for each in findings]
        print_json({"edition": edition.id, **sizes, "fit": not left, "findings": shown})
    else:
        say(f"{sizes['html_bytes']:,} bytes of html, {sizes['message_bytes']:,} on the wire")
        show(findings, allowed)
    return 1 if left else 0


def show(findings: Sequence[Finding], allowed: Collection[str]) -> None:
    """What was found, the worst first, each with what to do about it."""
    for each in findings:
        may = ", allowed" if each.level is Level.ERROR and each.name in allowed else ""
        say(f"{each.level}{may}: {each.name}: {each.text}", _STYLES[each.level] if not may else "yellow")
        say(f"  {each.fix}")
    left = stoppers(findings, allowed)
    if left:
        names = " ".join(f"--allow {name}" for name in dict.fromkeys(each.name for each in left))
        say(f"It will not be sent like this. To send it all the same: digest edition send {names}", "red")
    else:
        say("Nothing stands against sending it." if findings else "All is well.")
