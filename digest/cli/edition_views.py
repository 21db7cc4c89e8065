"""An edition for people, for scripts, and as files to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digest.app import App
from digest.cli.printing import local, say, table
from digest.domain.editions import Edition, EditionState, Rendering
from digest.store import Store, deliveries, editions


def edition_json(store: Store, edition: Edition, *, full: bool = True) -> dict[str, Any]:
    """The shape scripts rely on; `full` adds picks and candidates."""
    with store.read() as tx:
        picks = editions.picked(tx, edition.id) if full else []
        judged = editions.judged(tx, edition.id) if full else []
        counts = deliveries.counts(tx, edition.id)
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
    }
    if full:
        shown["picks"] = [
            {
                "position": p.position,
                "url": p.article.url,
                "title": p.article.title,
                "views": p.views,
                "reason": p.reason,
            }
            for p in picks
        ]
        shown["candidates"] = [
            {"url": c.url, "title": c.title, "views": c.views, "score": c.score, "kept": c.kept, "reason": c.reason}
            for c in judged
        ]
    return shown


def print_edition(app: App, edition: Edition) -> None:
    """The edition on one screen."""
    newsletter = app.newsletters[edition.newsletter]
    shown = edition_json(app.store, edition)
    why = f" ({edition.reason})" if edition.reason else ""
    say(f"{newsletter.title}, edition {edition.number} (id {edition.id}): {edition.state}{why}", "bold")
    say(f"  {local(edition.period.start, newsletter.zone)} up to {local(edition.period.end, newsletter.zone)}")
    if edition.subject:
        say(f"  Subject: {edition.subject}")
    rows = [("" if not c["kept"] else "in", c["views"], c["title"], c["reason"]) for c in shown["candidates"][:30]]
    table(("", "views", "title", "why"), rows, right=("views",))
    if (more := len(shown["candidates"]) - 30) > 0:
        say(f"  and {more} more; --json has them all")
    if edition.frozen_at:
        counts = ", ".join(f"{number:,} {state}" for state, number in shown["counts"].items() if number)
        say(f"{edition.audience:,} readers, {edition.excluded:,} excluded: {counts or 'nothing queued'}")
    elif shown["picks"] and edition.state is not EditionState.SKIPPED:
        say(f"{edition.audience:,} readers would get it. See it: digest edition preview {edition.id}")
    elif not shown["candidates"]:
        say("No article was read or published in that period. Is everything collected? digest collect --check")
    if edition.state is EditionState.SENDING:
        say(f"Watch it: digest edition watch {edition.id}, or {app.links.progress(edition.id)}")
    if edition.state is EditionState.PAUSED:
        say(f"To go on: digest edition send {edition.id}")


def write_preview(folder: Path, edition: Edition, rendering: Rendering, message: bytes) -> dict[str, str]:
    """Write html, text and .eml into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{edition.newsletter}-{edition.number}"
    paths = {kind: f"{stem}.{suffix}" for kind, suffix in (("html", "html"), ("text", "txt"), ("eml", "eml"))}
    Path(paths["html"]).write_text(rendering.html, encoding="utf-8")
    Path(paths["text"]).write_text(rendering.text, encoding="utf-8")
    Path(paths["eml"]).write_bytes(message)
    return paths
