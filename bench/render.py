"""What a reader's message costs once an edition is rendered, beside rendering it anew for each reader."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import town
from bench.errors import BenchBroken
from bench.figures import AT_MOST, Findings
from bench.stage import Stage
from digest.app import App
from digest.domain.deliveries import Delivery, Mail
from digest.domain.editions import Edition
from digest.mail import inlining
from digest.store import editions

TARGET = 0.01  # of a whole rendering
_ANEW = 20  # whole renderings a round


@dataclass(frozen=True, slots=True)
class Written:
    """Microseconds a reader: joined, and rendered anew. `rendered`: how often styles were moved inline meanwhile."""

    joined: float
    anew: float
    rendered: int


def run(stage: Stage) -> Findings:
    """One frozen edition, written to so many readers, and rendered anew a few times, in turns."""
    options = stage.options
    readers = options.pick(5_000, 100_000)
    findings = Findings(settings={"readers": readers, "rendered anew": _ANEW, "rounds": options.rounds})
    found: list[Written] = []
    with (
        stage.database(stage.sqlite, 100) as (url, edition_id),
        town.opened(stage.config, url) as app,
        app.store.read() as tx,
    ):
        edition = editions.required(tx, edition_id)
        for number in range(1, options.rounds + 1):
            found.append(_measure(app, edition, readers))
            findings.keep(number, "a reader", found[-1])
            stage.say(f"round {number}: joined {found[-1].joined:.1f} us a reader, anew {found[-1].anew:,.0f} us")
    ratios = [each.joined / each.anew for each in found]
    findings.add("A reader's message / a rendering of its own", "one edition", "x", ratios, AT_MOST, TARGET)
    findings.add("A reader's message", "joined from pieces", "us", [each.joined for each in found])
    findings.add("A reader's message", "rendered for each", "us", [each.anew for each in found])
    findings.notes.append(f"templates rendered and styles inlined for {readers:,} readers: {found[0].rendered} times")
    return findings


def _measure(app: App, edition: Edition, readers: int) -> Written:
    """Raises BenchBroken when what is frozen is rendered again."""
    rendered = 0
    inline = inlining.inline

    def counted(html: str) -> str:
        nonlocal rendered
        rendered += 1
        return inline(html)

    inlining.inline = counted
    try:
        now = datetime.now(UTC)
        reader = Delivery(1, Mail.DIGEST, edition.id, "anna@example.com", now, 1, newsletter="weekly", language="en")
        began = time.perf_counter()
        for number in range(1, readers + 1):
            app.letters.write(reader._replace(id=number, subscription_id=number))
        joined = (time.perf_counter() - began) / readers
        if rendered:
            raise BenchBroken(f"a frozen edition was rendered {rendered} times again")
        anew = _anew(app, edition)
    finally:
        inlining.inline = inline
    return Written(joined * 1e6, anew * 1e6, rendered - _ANEW)


def _anew(app: App, edition: Edition) -> float:
    """Seconds for a whole rendering."""
    newsletter = app.newsletters[edition.newsletter]
    with app.store.read() as tx:
        picks = editions.picked(tx, edition.id)
    began = time.perf_counter()
    for _ in range(_ANEW):
        app.press(newsletter, edition, picks, newsletter.language)
    return (time.perf_counter() - began) / _ANEW
