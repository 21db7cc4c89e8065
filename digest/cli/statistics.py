"""`digest subscribers stats`: the readers' numbers, in the terminal, as JSON, or as one HTML page with a chart."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from digest.cli.opening import clock, newsletter_named, opened
from digest.cli.printing import console, print_json, say, table
from digest.domain.newsletters import Newsletter
from digest.domain.statistics import ReaderStatistics
from digest.errors import UsageError
from digest.subscribing import statistics

MOST_DAYS = 3_660
_BARS = "▁▂▃▄▅▆▇█"


def stats(
    newsletter: str | None = typer.Option(None, help="Only this one; otherwise all."),
    days: int = typer.Option(90, min=7, max=MOST_DAYS, help="How far back."),
    html: Path | None = typer.Option(None, help="Write a page with a chart to this file."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Readers in numbers: growth, leaving, bounces.

    By state and day; who confirms, who leaves after which edition, what bounces where. A page with --html is of one
    newsletter, and the JSON of several is a list.
    """
    with opened() as opening:
        is_one = newsletter is not None or html is not None or len(opening.newsletters) == 1
        chosen = [newsletter_named(opening, newsletter)] if is_one else list(opening.newsletters.values())
        settings, now = opening.config.subscribing, clock()
        keeping = {"confirm_within": settings.confirm_within, "purge_after": settings.purge_after}
        found = [statistics.of_readers(opening.store, each, days, now, **keeping) for each in chosen]
    if html is not None:
        _write(html, chosen[0], found[0])
    if as_json:
        made = [{**asdict(each), "confirm_rate": each.confirm_rate} for each in found]
        print_json(made[0] if is_one else made)
        return
    for each, numbers in zip(chosen, found, strict=True):
        _show(each, numbers)
    if html is not None:
        say(f"The page is in {html}.")


def _write(file: Path, newsletter: Newsletter, found: ReaderStatistics) -> None:
    from digest.cli.report_page import page  # templates are loaded for those only who want the page

    try:
        file.write_text(page(newsletter, found), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None


def _show(newsletter: Newsletter, found: ReaderStatistics) -> None:
    say(newsletter.title, "bold")
    states = ", ".join(f"{number:,} {state}" for state, number in found.states.items())
    say(f"  {states}.")
    asides = ((found.suppressed, "suppressed"), (found.paused, "pausing"), (found.monthly, "monthly"))
    if said := ", ".join(f"{number:,} {word}" for number, word in asides if number):
        say(f"  Of the confirmed: {said}.")
    if found.confirm_rate is not None:
        say(f"  {found.answered:,} of {found.asked:,} sign-ups were confirmed ({found.confirm_rate:.0%}).")
    _growth(found)
    _editions(newsletter, found)
    _providers(found)
    if found.farewells:
        say("Why readers left")
        table(("reason", "readers"), found.farewells.items(), right=("readers",))


def _growth(found: ReaderStatistics) -> None:
    confirmed, left = sum(day.confirmed for day in found.days), sum(day.left for day in found.days)
    say(f"  In {len(found.days)} days: {confirmed:,} came, {left:,} left.")
    room = max(20, min(console.width - 4, len(found.days)))
    say(f"  {sparkline([day.readers for day in found.days], room)}", "cyan")
    lively = [day for day in found.days if day.asked or day.confirmed or day.left][-14:]
    if lively:
        rows = [(f"{day.day:%a %d %b %Y}", day.asked, day.confirmed, day.left, day.readers) for day in lively]
        table(("day", "asked", "confirmed", "left", "readers"), rows, right=("asked", "confirmed", "left", "readers"))


def sparkline(numbers: list[int], room: int) -> str:
    """Numbers as a row of bars, at most `room` wide: each bar the last of its days."""
    step = -(-len(numbers) // room) if numbers else 1
    shown = numbers[::-1][::step][::-1]
    low, high = min(shown, default=0), max(shown, default=0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((each - low) * scale)] for each in shown)


def _editions(newsletter: Newsletter, found: ReaderStatistics) -> None:
    rows = [
        (
            each.number,
            f"{each.sent_at.astimezone(newsletter.zone):%d %b %Y}",
            each.sent,
            each.left,
            f"{each.leaving_rate:.2%}",
            each.complained,
            each.bounced,
        )
        for each in found.editions
    ]
    if rows:
        say("Editions")
        columns = ("no.", "sent", "to", "left after it", "rate", "complaints", "bounces")
        table(columns, rows, right=("no.", "to", "left after it", "rate", "complaints", "bounces"))


def _providers(found: ReaderStatistics) -> None:
    rows = [
        (each.provider, each.readers, each.hard, each.soft, each.policy, each.complaints) for each in found.providers
    ]
    if rows:
        say("Mailbox providers")
        columns = ("provider", "readers", "hard", "soft", "policy", "complaints")
        table(columns, rows, right=columns[1:])
