"""The readers' numbers, against a life whose numbers are known."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from digest.cli.report_page import page
from digest.cli.statistics import sparkline
from digest.domain.addresses import Address
from digest.domain.subscribers import Evidence, Way
from digest.store.schema import bounces, farewells, subscriptions
from digest.subscribing import importing, preferring, statistics
from digest.web import create_web
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service

KEPT = {"confirm_within": timedelta(hours=72), "purge_after": timedelta(days=30)}


@pytest.fixture
def service(tmp_path, store_url):
    with RecordingServer() as smtpd:
        made = Service(tmp_path, store_url, smtpd.port)
        yield made
        made.close()


def life(service: Service) -> None:
    """Twenty readers come three weeks ago; ten ask, six confirm; an edition goes out, three leave after it."""
    service.clock.forward(-timedelta(days=21))
    entries = [importing.Entry(Address(f"old{n}", "gmail.com" if n < 12 else "wp.pl")) for n in range(20)]
    evidence = Evidence(Way.IMPORT, form="by letter")
    importing.bring_in(service.app.store, service.app.links, entries, "weekly", "en", evidence, service.clock())
    service.clock.forward(timedelta(days=11))
    for n in range(10):
        service.sign_up(f"new{n}@example.com")
        if n < 6:
            confirm(service, f"new{n}@example.com")
    service.clock.forward(timedelta(days=10))
    edition = service.send()
    service.clock.forward(timedelta(hours=3))
    for n in range(3):
        preferring.leave(
            service.app.store, service.find(f"old{n}@gmail.com").id, Evidence(Way.ONE_CLICK), service.clock()
        )
    report(service, edition.id)


def confirm(service: Service, address: str) -> None:
    found = service.find(address)
    token = service.app.links.confirm(found.id, found.requested_at).rpartition("/")[2]
    from digest import subscribing

    within = service.app.config.subscribing.confirm_within
    subscribing.confirm(service.app.store, service.app.links, token, Evidence(Way.LINK), service.clock(), within)


def report(service: Service, edition_id: int) -> None:
    """Two hard bounces and a complaint came back, and somebody said why they left."""
    rows = service.listed(service.app and service.get(_edition(service)))
    kinds = ("hard bounce", "hard bounce", "complaint")
    with service.app.store.begin() as tx:
        for row, kind in zip(rows, kinds, strict=False):
            provider = row.address.rpartition("@")[2]
            values = {"at": service.clock(), "delivery_id": row.id, "kind": kind, "provider": provider, "via": "pipe"}
            tx.execute(sa.insert(bounces).values(values))
        month = f"{service.clock():%Y-%m}"
        tx.execute(sa.insert(farewells).values(newsletter="weekly", month=month, reason="too often", readers=2))


def _edition(service: Service):
    from digest.store import editions

    with service.app.store.read() as tx:
        found = editions.latest(tx, "weekly")
    assert found
    return found


def numbers(service: Service, days: int = 30):
    return statistics.of_readers(service.app.store, service.newsletter, days, service.clock(), **KEPT)


def test_readers_are_counted_by_state_and_by_day(service):
    life(service)
    found = numbers(service)
    assert found.states == {"pending": 4, "confirmed": 23, "unsubscribed": 3}
    by_day = {day.day: day for day in found.days}
    assert len(found.days) == 30 and found.days[-1].day == date(2026, 11, 28)
    assert by_day[date(2026, 11, 7)].confirmed == 20 and by_day[date(2026, 11, 7)].readers == 20
    assert by_day[date(2026, 11, 18)].asked == 10 and by_day[date(2026, 11, 18)].confirmed == 6
    assert by_day[date(2026, 11, 28)].left == 3 and by_day[date(2026, 11, 28)].readers == 23
    assert sum(day.confirmed for day in found.days) == 26


def test_readers_from_before_the_first_day_are_counted_on_it(service):
    life(service)
    assert [day.readers for day in numbers(service, 7).days] == [26, 26, 26, 26, 26, 26, 23]


def test_only_sign_ups_that_had_their_time_count_for_the_confirm_rate(service):
    life(service)
    service.sign_up("a-minute-ago@example.com")
    found = numbers(service)
    assert (found.asked, found.answered) == (10, 6) and found.confirm_rate == 0.6


def test_a_day_is_the_newsletters_own(service):
    entry = importing.Entry(Address("night", "example.com"))
    late = SATURDAY.replace(hour=23, minute=30) - timedelta(days=1)  # 00:30 on Saturday in Warsaw
    importing.bring_in(service.app.store, service.app.links, [entry], "weekly", "en", Evidence(Way.IMPORT), late)
    assert {day.day for day in numbers(service).days if day.confirmed} == {date(2026, 11, 28)}


def test_an_edition_is_told_who_left_after_it_and_what_came_back(service):
    life(service)
    (edition,) = numbers(service).editions
    assert (edition.number, edition.sent, edition.left, edition.bounced, edition.complained) == (1, 26, 3, 2, 1)
    assert edition.leaving_rate == pytest.approx(3 / 26)


def test_providers_have_their_readers_and_their_reports(service):
    life(service)
    found = {each.provider: each for each in numbers(service).providers}
    assert found["gmail.com"].readers == 9 and found["wp.pl"].readers == 8 and found["example.com"].readers == 6
    assert sum(each.hard for each in found.values()) == 2 and sum(each.complaints for each in found.values()) == 1
    assert numbers(service).farewells == {"too often": 2}


def test_pausing_and_monthly_readers_are_told_apart(service):
    life(service)
    with service.app.store.begin() as tx:
        some = sa.update(subscriptions).where(subscriptions.c.state == "confirmed")
        tx.execute(some.where(subscriptions.c.id % 2 == 0).values(paused_until=service.clock() + timedelta(days=7)))
        tx.execute(some.where(subscriptions.c.id % 5 == 0).values(rhythm="monthly"))
    found = numbers(service)
    assert found.paused > 0 and found.monthly > 0 and found.suppressed == 0


def test_an_empty_newsletter_has_numbers_too(service):
    found = numbers(service)
    assert found.confirm_rate is None and not found.editions and found.days[-1].readers == 0
    assert "<svg" in page(service.newsletter, found)


def test_the_page_names_nobody_loads_nothing_and_escapes_what_is_foreign(service):
    life(service)
    with service.app.store.begin() as tx:
        month = f"{service.clock():%Y-%m}"
        values = {"newsletter": "weekly", "month": month, "reason": "<script>x</script>", "readers": 1}
        tx.execute(sa.insert(farewells).values(values))
    html = page(service.newsletter, numbers(service))
    assert (
        "@" not in re.sub(r"@media", "", html)
        and "<script>" not in html
        and "http" not in html.replace("http-equiv", "")
    )
    assert "23</b><span>confirmed" in html


@pytest.mark.parametrize(
    ("given", "room", "drawn"),
    [([1, 2, 3], 10, "▁▅█"), ([5, 5], 10, "▁▁"), ([], 10, ""), (list(range(100)), 4, "▁▃▆█")],
)
def test_a_row_of_bars_fits_its_room_and_ends_with_today(given, room, drawn):
    assert sparkline(given, room) == drawn


def test_the_command_prints_for_people_for_scripts_and_as_a_page(service, tmp_path, monkeypatch, capsys):
    life(service)
    from contextlib import contextmanager

    from digest.cli import statistics as command

    @contextmanager
    def opened():
        yield service.app

    monkeypatch.setattr(command, "opened", opened)
    monkeypatch.setattr(command, "clock", service.clock)
    file = tmp_path / "readers.html"
    command.stats(newsletter=None, days=30, html=file, as_json=False)
    said = capsys.readouterr().out
    assert "23 confirmed" in said and "6 of 10 sign-ups were confirmed (60%)" in said and "too often" in said
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    command.stats(newsletter=None, days=30, html=None, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["states"]["confirmed"] == 23 and printed["confirm_rate"] == 0.6


def test_metrics_say_what_the_database_holds(service):
    life(service)
    with TestClient(create_web(service.app, service.clock), client=("127.0.0.1", 5000)) as client:
        reply = client.get("/metrics")
    assert reply.status_code == 200
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }
    assert found["digest_subscriptions", (("newsletter", "weekly"), ("state", "confirmed"))] == 23
    assert found["digest_deliveries", (("edition", "1"), ("newsletter", "weekly"), ("state", "sent"))] == 26
    assert found["digest_reports_total", (("kind", "hard_bounce"),)] == 2
    assert found["digest_letters_waiting", ()] == 0


LABEL = r'[a-z_]+="[a-z0-9_.-]+"'
SAMPLE = re.compile(rf"([a-z_]+)(\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9.e+]+)")


def scraped(service) -> dict[str, float]:
    """Series -> value, from a text that keeps to the exposition format to the letter."""
    with TestClient(create_web(service.app, service.clock), client=("127.0.0.1", 5000)) as client:
        text = client.get("/metrics").text
    assert text.endswith("\n") and "\n\n" not in text
    kinds: dict[str, str] = {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds and (kind == "counter") == name.endswith("_total"), line
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            sample = SAMPLE.fullmatch(line)
            assert sample and sample[1] == list(kinds)[-1], line  # after its type, and together with its kin
            series = line.rpartition(" ")[0]
            assert series not in found, line
            found[series] = float(sample[3])
    assert all(name.startswith("digest_") for name in kinds)
    return found


def test_every_series_is_there_with_nothing_in_it_before_the_first_reader(service):
    found = scraped(service)
    assert set(found.values()) == {0.0}
    for series in (
        'digest_subscriptions{newsletter="weekly",state="confirmed"}',
        'digest_suppressions{kind="complained"}',
        'digest_reports_total{kind="hard_bounce"}',
        'digest_reports_total{kind="refused_by_policy"}',
        'digest_reports_total{kind="unsubscribed"}',
        'digest_deliveries{edition="0",newsletter="weekly",state="sent"}',
        'digest_edition_sent_timestamp_seconds{newsletter="weekly"}',
        "digest_letters_waiting",
        "digest_senders",
        "digest_messages_per_second",
    ):
        assert series in found
    assert 'digest_reports_total{kind="no_report"}' not in found  # of ordinary mail no row is kept


def test_the_series_stay_the_same_when_there_is_something_to_count(service):
    before = set(scraped(service))
    life(service)
    after = scraped(service)
    assert {series for series in before if 'edition="0"' not in series} <= set(after)
    assert after['digest_reports_total{kind="hard_bounce"}'] == 2
    assert after['digest_edition_sent_timestamp_seconds{newsletter="weekly"}'] > 1.7e9


def test_without_a_newsletter_the_numbers_of_the_house_are_there_all_the_same(service):
    service.app.newsletters.clear()
    assert {"digest_letters_waiting", 'digest_suppressions{kind="operator"}'} <= set(scraped(service))


@pytest.mark.parametrize(
    ("client", "headers", "token", "status"),
    [
        ("127.0.0.1", {}, "", 200),
        ("::1", {}, "", 200),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, "", 404),
        ("203.0.113.9", {}, "", 404),
        ("203.0.113.9", {"Authorization": "Bearer right"}, "right", 200),
        ("203.0.113.9", {"Authorization": "Bearer wrong"}, "right", 404),
        ("127.0.0.1", {}, "right", 404),
    ],
)
def test_metrics_are_shown_to_who_may_see_them(tmp_path: Path, client, headers, token, status):
    made = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, metrics={"token": token})
    with TestClient(create_web(made.app, made.clock), client=(client, 5000)) as web:
        assert web.get("/metrics", headers=headers).status_code == status
    made.close()
