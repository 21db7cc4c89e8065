"""How a list came to be, for people and for scripts: enough to do the ranking again by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from digest.cli.printing import local, say, table
from digest.domain.editions import Basis
from digest.domain.ranking import Ranked
from digest.store.candidates import Record

_SCREENFUL = 30


def candidate_json(ranked: Ranked) -> dict[str, Any]:
    """A candidate with all that it was judged by; `views_beside` is what sources that do not count say."""
    candidate = ranked.candidate
    return {
        "id": candidate.id,
        "url": candidate.url,
        "title": candidate.title,
        "published_at": candidate.published_at,
        "section": candidate.section,
        "author": candidate.author,
        "tags": candidate.tags,
        "shares": candidate.shares,
        "views": candidate.views,
        "views_beside": dict(candidate.beside),
        "score": ranked.score,
        "rank": ranked.rank,
        "kept": ranked.kept,
        "reason": ranked.reason,
        "block": ranked.block,
        "pinned_at": candidate.pinned_at,
        "pinned_position": candidate.pinned_position,
        "banned_at": candidate.banned_at,
        "gone_at": candidate.gone_at,
        "sent_for": candidate.sent_at,
        "sponsored": ranked.is_sponsored,
    }


def explain(record: Record, basis: Basis, zone: ZoneInfo) -> None:
    """The rules that were set, what was counted, and every number a candidate was judged by."""
    rules, window, ranked = record.rules, record.window, record.candidates
    if window:
        names = ", ".join(window["sources"]) or "no source"
        say(f"Views counted by {names}: {window['views']:,}, the newest hour up to {_local(window['newest'], zone)}")
        for name, number in window["beside"].items():
            say(f"Beside it, not counted: {name} says {number:,}")
    formula = "the time of publication; views do not count" if basis is Basis.NEWEST else _formula(rules)
    say(f"Score: {formula}. Ties: more views, then published later, then the higher id.")
    say(f"Rules: {_set(rules)}")
    columns = ("rank", "id", "score", "views", "published", "section", "author", "title", "why")
    rows = (_row(each, zone) for each in ranked)
    table(columns, rows, right=("rank", "id", "score", "views"))


def show_ranked(ranked: Sequence[Ranked]) -> None:
    """The first of them on one screen."""
    if not ranked:
        return
    rows = [("in" if each.kept else "", each.candidate.views, each.candidate.title, each.reason) for each in ranked]
    table(("", "views", "title", "why"), rows[:_SCREENFUL], right=("views",))
    if (more := len(rows) - _SCREENFUL) > 0:
        say(f"  and {more:,} more; --explain and --json have them all")


def show_notes(notes: Iterable[str]) -> None:
    """What one should know of the list."""
    for note in notes:
        say(f"  {note}", "yellow")


def _local(moment: str | None, zone: ZoneInfo) -> str:
    return local(datetime.fromisoformat(moment) if moment else None, zone)


def _row(ranked: Ranked, zone: ZoneInfo) -> tuple[Any, ...]:
    candidate = ranked.candidate
    published = f"{candidate.published_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    score = f"{ranked.score:,.4f}".rstrip("0").rstrip(".")
    in_block = f"{ranked.reason} [{ranked.block}]" if ranked.block else ranked.reason
    more = [f"{candidate.shares:,} shares"] if candidate.shares else []
    more += [f"{name} says {views:,}" for name, views in candidate.beside.items()]
    more += [f"sent for {candidate.sent_at.astimezone(zone):%Y-%m-%d}"] if candidate.sent_at else []
    more += [f"tags {', '.join(candidate.tags)}"] if candidate.tags else []
    why = "; ".join([f"{'in: ' if ranked.kept else ''}{in_block}", *more])
    words = (candidate.section, candidate.author, candidate.title, why)
    return (ranked.rank or "", str(candidate.id), score, candidate.views, published, *words)


def _formula(rules: Mapping[str, Any]) -> str:
    match rules.get("fair_start"):
        case "per_hour":
            floor = rules["fair_floor"]
            return f"views / hours from publication (or the period's start) to its end, taken as {floor} at the least"
        case "half_life":
            return f"views x 0.5 ^ (time from publication to the period's end / {rules['half_life']})"
        case _:
            return "views in the period"


def _set(rules: Mapping[str, Any]) -> str:
    """The rules that are in force: the list's length, and what is not as it is by itself."""
    always = ("blocks" if rules.get("blocks") else "count", "min_articles", "min_views", "published")
    off: tuple[Any, ...] = ([], "", 0, 0.0, "0s", None)
    quiet = ("count", "fair_start", "fair_floor", "half_life", "too_few", *always)
    shown = [*always, *(name for name, value in rules.items() if name not in quiet and value not in off)]
    return "; ".join(f"{name} = {rules[name]}" for name in shown if name in rules)
