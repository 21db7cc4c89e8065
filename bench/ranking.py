"""Drafting last week's edition out of a million articles and a year of hourly views, beside the bare sum."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from bench import town
from bench.databases import Databases
from bench.figures import AT_MOST, Findings
from bench.reading import Readership, fill, settle
from bench.stage import Stage
from digest.app import App
from digest.config.reading import read_config
from digest.domain.periods import Period
from digest.store import Store, candidates
from digest.store.migrate import migrate

TARGET = 1.5
GROWTH = 1.2  # a year of history beside a quarter of it
_WEEKS, _QUARTER = 52, 13


@dataclass(frozen=True, slots=True)
class Drafted:
    """Seconds for the bare sum and for the whole draft of one period, and how much there was."""

    history: int  # weeks
    bare: float
    drafting: float
    pages: int
    candidates: int


def run(stage: Stage) -> Findings:
    """Each database with a quarter's history first, then with the year's."""
    options = stage.options
    articles = options.pick(20_000, 1_000_000)
    findings = Findings(settings={"articles": articles, "weeks": _WEEKS, "rounds": options.rounds})
    sizes = ((stage.sqlite, options.pick(400_000, 20_500_000)), (stage.postgresql, options.pick(800_000, 51_000_000)))
    for kind, rows in sizes:
        _measure(stage, kind, Readership(articles, _WEEKS, rows, _last_cutoff(stage)), findings)
    return findings


def _last_cutoff(stage: Stage) -> datetime:
    newsletter = read_config(stage.config, {}).newsletter("weekly")
    return newsletter.period(datetime.now(UTC)).end


def _measure(stage: Stage, kind: Databases, readership: Readership, findings: Findings) -> None:
    url = kind.new()
    store = Store(url)
    migrate(store)
    found: dict[int, list[Drafted]] = {}
    for weeks in (_QUARTER, _WEEKS):
        began = time.perf_counter()
        rows = fill(store, readership, weeks)
        settle(store)
        stage.say(f"{kind.name}: {weeks} weeks, {rows:,} rows of views, filled in {time.perf_counter() - began:.0f} s")
        findings.settings[f"rows, {kind.name}"] = rows
        found[weeks] = _rounds(stage, kind, url, readership, weeks, findings)
    store.close()
    kind.drop(url)
    ratios = [each.drafting / each.bare for each in found[_WEEKS]]
    findings.add("Drafting / the bare sum of the same rows", kind.name, "x", ratios, AT_MOST, TARGET)
    growth = [year.drafting / quarter.drafting for year, quarter in zip(found[_WEEKS], found[_QUARTER], strict=True)]
    findings.add("Drafting with 52 weeks of history / with 13", kind.name, "x", growth, AT_MOST, GROWTH)
    findings.add("Drafting last week's edition", kind.name, "s", [each.drafting for each in found[_WEEKS]])
    first = found[_WEEKS][0]
    findings.notes.append(f"{kind.name}: {first.pages:,} pages were read in the week, {first.candidates:,} candidates")


def _rounds(
    stage: Stage, kind: Databases, url: str, readership: Readership, weeks: int, findings: Findings
) -> list[Drafted]:
    with town.opened(stage.config, url) as app:
        newsletter = app.newsletters["weekly"]
        at = readership.end
        for _ in range(_WEEKS - weeks):
            at = newsletter.cutoff.before(at)
        _draft(app, at)  # the weeks before are added up once and for all, by the first draft that asks for them
        rounds = []
        for number in range(1, stage.options.rounds + 1):
            began = time.perf_counter()
            pages = _bare(app.store, newsletter.period(at))
            bare = time.perf_counter() - began
            drafting, judged = _draft(app, at)
            measured = Drafted(weeks, bare, drafting, pages, judged)
            rounds.append(measured)
            findings.keep(number, f"{kind.name}, {weeks} weeks", measured)
            stage.say(f"round {number}: {kind.name}, {weeks} weeks: bare {bare:.3f} s, draft {measured.drafting:.3f} s")
        return rounds


def _bare(store: Store, period: Period) -> int:
    """What has to be added up anyway, and fetched."""
    query = sa.text("SELECT page_id, sum(views) FROM views WHERE until > :start AND until <= :end GROUP BY page_id")
    with store.read() as tx:
        found = tx.execute(query, {"start": period.start.timestamp(), "end": period.end.timestamp()}).all()
    return len(found)


def _draft(app: App, at: datetime) -> tuple[float, int]:
    """The whole of it, ranked, explained, laid out, recorded and committed: (seconds, candidates in the record)."""
    began = time.perf_counter()
    edition = app.draft(app.newsletters["weekly"], at, datetime.now(UTC))
    took = time.perf_counter() - began
    with app.store.read() as tx:
        return took, candidates.number(tx, edition.id)
