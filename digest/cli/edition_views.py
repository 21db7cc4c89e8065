"""An edition for people, for scripts, and as files to look at."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from digest.app import App
from digest.cli.explaining import candidate_json, explain, show_notes, show_ranked
from digest.cli.printing import local, many, say, table
from digest.domain.editions import Edition, EditionState, Rendering
from digest.mail.envelope import Parcel
from digest.store import Store, candidates, clicks, deliveries, editions

KINDS = {"html": "html", "text": "txt", "eml": "eml"}  # the files of a preview, and how their names end


def edition_json(store: Store, edition: Edition, *, full: bool = True) -> dict[str, Any]:
    """The shape scripts rely on; `full` adds picks and candidates."""
    with store.read() as tx:
        picks = editions.picked(tx, edition.id) if full else []
        record = candidates.load(tx, edition.id, whole=True) if full else None
        counts = deliveries.counts(tx, edition.id)
        followed = clicks.of_edition(tx, edition.id)
    shown: dict[str, Any] = {
        "id": edition.id,
        "newsletter": edition.newsletter,
        "number": edition.number,
        "state": edition.state,
        "reason": edition.reason,
        "period": {"start": edition.period.start, "end": edition.period.end},
        "send_at": edition.send_at,
        "subject": edition.subject,
        "audience": edition.audience,
        "excluded": edition.excluded,
        "counts": counts,
        "clicks": [{"position": position, "clicks": number} for position, number in followed.items()],
        "basis": edition.basis,
        "notes": edition.notes,
    }
    if record is not None:
        shown["window"], shown["rules"] = record.window, record.rules
        shown["picks"] = [
            {
                "position": p.position,
                "url": p.article.url,
                "title": p.article.title,
                "views": p.views,
                "reason": p.reason,
                "block": p.block,
                "sponsored": p.is_sponsored,
            }
            for p in picks
        ]
        shown["candidates"] = [candidate_json(each) for each in record.candidates]
    return shown


def print_edition(app: App, edition: Edition, *, explained: bool = False) -> None:
    """The edition on one screen; `explained`: with every number of its ranking, on as many as it takes."""
    newsletter = app.newsletters[edition.newsletter]
    shown = edition_json(app.store, edition, full=False)
    why = f" ({edition.reason})" if edition.reason else ""
    say(f"{newsletter.title}, edition {edition.number} (id {edition.id}): {edition.state}{why}", "bold")
    say(f"  {local(edition.period.start, newsletter.zone)} up to {local(edition.period.end, newsletter.zone)}")
    if edition.subject:
        say(f"  Subject: {edition.subject}")
        say(f"  See it:  {app.links.preview(edition.id)}")
    show_notes(edition.notes)
    with app.store.read() as tx:
        record = candidates.load(tx, edition.id, whole=explained)
    if explained:
        explain(record, edition.basis, newsletter.zone)
    else:
        show_ranked(record.candidates)
    if edition.frozen_at:
        counts = ", ".join(f"{number:,} {state}" for state, number in shown["counts"].items() if number)
        say(f"{many(edition.audience, 'reader')}, {edition.excluded:,} excluded: {counts or 'nothing queued'}")
    elif edition.audience and edition.state is not EditionState.SKIPPED:
        say(f"{many(edition.audience, 'reader')} would get it.")
    elif not record.candidates:
        say("No article was read or published in that period. Is everything collected? digest collect --check")
    if shown["clicks"]:
        _show_clicks(app.store, edition, {each["position"]: each["clicks"] for each in shown["clicks"]})
    if edition.state is EditionState.SENDING:
        say(f"Watch it: digest edition watch {edition.id}, or {app.links.progress(edition.id)}")
    if edition.state is EditionState.PAUSED:
        say(f"To go on: digest edition send {edition.id}")


def _show_clicks(store: Store, edition: Edition, followed: dict[int, int]) -> None:
    """How often each article was opened from the mail, most first."""
    with store.read() as tx:
        titles = {pick.position: pick.article.title for pick in editions.picked(tx, edition.id)}
    say(f"{many(sum(followed.values()), 'click')}:")
    most = sorted(followed.items(), key=lambda each: (-each[1], each[0]))
    table(("clicks", "no.", "title"), [(n, place, titles.get(place, "")) for place, n in most], right=("clicks", "no."))


def write_preview(folder: Path, edition: Edition, samples: Sequence[tuple[Rendering, Parcel]]) -> list[dict[str, str]]:
    """Write html, text and .eml, as a reader would get them, into `folder`; returns subject, language, paths of each.

    The first is in the newsletter's own language, and has the plain names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[dict[str, str]] = []
    for rendering, message in samples:
        suffix = f"-{rendering.language}" if written else ""
        paths = {kind: folder / f"{edition.newsletter}-{edition.number}{suffix}.{end}" for kind, end in KINDS.items()}
        parsed = email.message_from_bytes(message.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        for kind, subtype in (("html", "html"), ("text", "plain")):
            part = parsed.get_body((subtype,))
            said = str(part.get_content()) if part is not None else ""
            paths[kind].write_text(said.replace("\r\n", "\n"), encoding="utf-8")
        paths["eml"].write_bytes(message.content)
        named = {kind: str(path) for kind, path in paths.items()}
        written.append({"language": rendering.language, "subject": rendering.subject, **named})
    return written
