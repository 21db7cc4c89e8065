"""How a list came to be, for people and for scripts: enough to do the ranking again by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from digest.cli.printing import say, table
from digest.domain.newsletters import Selection
from digest.domain.ranking import Ranked

_SCREENFUL = 30
_DEFAULTS = Selection()


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
        "shares": candidate.shares,
        "views": candidate.views,
        "views_beside": dict(candidate.beside),
        "score": ranked.score,
        "rank": ranked.rank,
        "kept": ranked.kept,
        "reason": ranked.reason,
        "block": ranked.block,
        "sponsored": ranked.is_sponsored,
    }


def explain(rules: Mapping[str, Any], window: Mapping[str, Any], ranked: Sequence[Ranked], zone: ZoneInfo) -> None:
    """The rules that were set, what was counted, and every number a candidate was judged by."""
    if window:
        names = ", ".join(window["sources"]) or "no source"
        say(f"Views counted by {names}: {window['views']:,}, the newest hour up to {window['newest'] or 'never'}")
        for name, number in window["beside"].items():
            say(f"Beside it, not counted: {name} says {number:,}")
    say(f"Score: {_formula(rules)}. Ties: more views, then published later, then the higher id.")
    say(f"Rules: {_set(rules)}")
    columns = ("rank", "id", "score", "views", "published", "section", "author", "title", "why")
    rows = (_row(each, zone) for each in ranked)
    table(columns, rows, right=("rank", "id", "score", "views"))


def show_ranked(ranked: Sequence[Ranked]) -> None:
    """The first of them on one screen."""
    rows = [("in" if each.kept else "", each.candidate.views, each.candidate.title, each.reason) for each in ranked]
    table(("", "views", "title", "why"), rows[:_SCREENFUL], right=("views",))
    if (more := len(rows) - _SCREENFUL) > 0:
        say(f"  and {more:,} more; --explain and --json have them all")


def show_notes(notes: Iterable[str]) -> None:
    """What one should know of the list."""
    for note in notes:
        say(f"  {note}", "yellow")


def _row(ranked: Ranked, zone: ZoneInfo) -> tuple[Any, ...]:
    candidate = ranked.candidate
    published = f"{candidate.published_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    score = f"{ranked.score:,.4f}".rstrip("0").rstrip(".")
    in_block = f"{ranked.reason} [{ranked.block}]" if ranked.block else ranked.reason
    words = (candidate.section, candidate.author, candidate.title, f"{'in: ' if ranked.kept else ''}{in_block}")
    return (ranked.rank or "", candidate.id, score, candidate.views, published, *words)


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
    always = ("count", "min_articles", "min_views", "published")
    off: tuple[Any, ...] = ([], "", 0, 0.0, "0s", None)
    quiet = ("fair_start", "fair_floor", "half_life", "too_few", *always)
    shown = [*always, *(name for name, value in rules.items() if name not in quiet and value not in off)]
    return "; ".join(f"{name} = {rules[name]}" for name in shown if name in rules)
