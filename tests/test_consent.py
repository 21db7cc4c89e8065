"""The record of consent: complete, never changed, and shown to whoever may ask."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from digest.domain.addresses import Address
from digest.domain.proofs import consents, seal
from digest.domain.subscribers import ConsentEvent, EventKind, Evidence, Way
from digest.errors import NotFound
from digest.subscribing import forgetting, preferring, proving
from digest.web import create_web
from tests.conftest import NOW
from tests.servers.smtpd import RecordingServer
from tests.service import Service
from tests.test_forgetting import link

ROOT = Path(__file__).parent.parent
PUBLISHER = proving.Publisher(
    "The Vistula Post", "ul. Prosta 1", "hello@news.example.com", {"weekly": "The Weekly Recap"}
)
# Who may write into the trail after a line stands: network and browser go in time, and all of it when one is forgotten.
MAY_CHANGE = {("store/consent.py", "blank_network"), ("store/erasure.py", "erase")}


@pytest.fixture
def smtpd() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
def service(store_url, tmp_path, smtpd) -> Iterator[Service]:
    made = Service(tmp_path, store_url, smtpd.port)
    yield made
    made.close()


def proof_of(service: Service, address: str) -> dict:
    return proving.prove(service.app.store, service.app.links, PUBLISHER, Address.parse(address), service.clock())


def signed_up(service: Service, smtpd: RecordingServer) -> None:
    """Through the pages, as a reader would."""
    app = create_web(service.app, service.clock)
    with TestClient(app, follow_redirects=False, base_url="https://recap.example.com") as client:
        agent = {"user-agent": "Firefox on a telephone", "referer": "https://news.example.com/story-1"}
        client.post("/subscribe", data={"email": " Anna@Example.COM", "newsletter": "weekly"}, headers=agent)
        service.deliver_all()
        client.post(link(smtpd, "confirm", "Anna@example.com"), data={"confirm": "yes"}, headers=agent)


def test_the_proof_answers_all_that_the_law_may_ask(service, smtpd):
    signed_up(service, smtpd)
    proof = proof_of(service, "anna@example.com")
    record = proof["record"]
    assert record["person"]["address"] == "Anna@example.com"
    assert record["person"]["normalised"] == "anna@example.com"
    (given,) = record["consents"]
    assert (given["newsletter"], given["title"], given["result"]) == ("weekly", "The Weekly Recap", "confirmed")
    assert given["requested"]["address_as_typed"].strip() == "Anna@Example.COM"
    assert given["requested"]["way"] == "form"
    assert given["requested"]["user_agent"] == given["confirmed"]["user_agent"] == "Firefox on a telephone"
    assert given["requested"]["source"].startswith("https://")
    assert given["requested"]["at"] < given["confirmed"]["at"]
    assert len(given["confirmed"]["token_sha256"]) == 64
    wording = given["wording"]
    assert "The Weekly Recap" in wording["text"]
    assert wording["sha256"] == hashlib.sha256(wording["text"].encode()).hexdigest()
    assert wording["language"] == "en"
    asked = given["asked_by_mail"]
    assert asked["state"] == "sent"
    assert asked["message_id"] == smtpd.received_by("Anna@example.com")[0].parsed["Message-ID"]
    assert given["withdrawn"] is None


def test_leaving_stands_in_the_proof_with_its_time_and_way(service, smtpd):
    signed_up(service, smtpd)
    found = service.find("anna@example.com")
    preferring.leave(service.app.store, found.id, Evidence(Way.MAILTO), service.clock())
    (given,) = proof_of(service, "anna@example.com")["record"]["consents"]
    assert given["result"] == "withdrawn"
    assert given["withdrawn"]["way"] == "mailto"
    assert given["withdrawn"]["in_force_at"] == given["withdrawn"]["at"]


def test_the_seal_stays_the_same_until_something_happens_and_anybody_can_make_it_again(service, smtpd):
    signed_up(service, smtpd)
    first = proof_of(service, "anna@example.com")
    second = proof_of(service, "ANNA@example.com")
    assert first["sha256"] == second["sha256"] == seal(json.loads(json.dumps(first["record"])))
    canonical = json.dumps(first["record"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert first["sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    preferring.leave(service.app.store, service.find("anna@example.com").id, Evidence(Way.LINK), service.clock())
    assert proof_of(service, "anna@example.com")["sha256"] != first["sha256"]


def test_what_is_left_of_a_forgotten_reader_is_found_by_their_address(service, smtpd):
    signed_up(service, smtpd)
    text = proof_of(service, "anna@example.com")["record"]["consents"][0]["wording"]["text"]
    forgetting.forget_address(
        service.app.store, service.app.links, Address.parse("anna@example.com"), Evidence(Way.OPERATOR), service.clock()
    )
    record = proof_of(service, "Anna@example.com")["record"]
    assert record["person"]["is_forgotten"]
    assert (record["consents"], record["events"]) == ([], [])
    (kept,) = record["consents_before_erasure"]
    assert kept["wording"]["text"] == text
    assert kept["confirmed_at"] < kept["forgotten_at"]
    assert record["suppressed"]["kind"] == "forgotten"
    with pytest.raises(NotFound):
        proof_of(service, "stranger@example.com")


# --- the trail ------------------------------------------------------------------------------------


def event(kind: EventKind, minutes: int, way: Way = Way.FORM) -> ConsentEvent:
    return ConsentEvent(NOW + timedelta(minutes=minutes), kind, "weekly", Evidence(way))


def test_a_trail_falls_into_consents():
    asked, gave, left, back = (
        event(EventKind.REQUESTED, 0),
        event(EventKind.CONFIRMED, 1, Way.LINK),
        event(EventKind.UNSUBSCRIBED, 2),
        event(EventKind.RETURNED, 3),
    )
    again, brought = event(EventKind.REQUESTED, 5), event(EventKind.CONFIRMED, 6, Way.OPERATOR)
    paused = event(EventKind.CHANGED, 4)
    assert [each.result for each in consents([asked])] == ["never confirmed"]
    assert [each.result for each in consents([asked, gave, paused])] == ["confirmed"]
    assert [each.result for each in consents([asked, gave, left])] == ["withdrawn"]
    assert [each.result for each in consents([asked, gave, left, back])] == ["confirmed"]
    assert [each.result for each in consents([asked, gave, left, again])] == ["withdrawn", "never confirmed"]
    assert [each.requested for each in consents([brought])] == [None]
    assert [each.requested for each in consents([asked, again, gave])] == [asked, again]
    assert consents([left, back, paused]) == []


def test_leaving_withdraws_an_older_consent_too_that_a_new_request_stands_before():
    def event(kind: EventKind, way: Way, day: int) -> ConsentEvent:
        return ConsentEvent(NOW + timedelta(day), kind, "weekly", Evidence(way))

    asked, gave = event(EventKind.REQUESTED, Way.FORM, 0), event(EventKind.CONFIRMED, Way.LINK, 1)
    again = event(EventKind.REQUESTED, Way.FORM, 2)  # their mail had come back; nobody ever pressed the button
    left, back = event(EventKind.UNSUBSCRIBED, Way.MAILTO, 3), event(EventKind.RETURNED, Way.PAGE, 4)
    assert [each.withdrawn for each in consents([asked, gave, again, left])] == [left, left]
    assert [each.withdrawn for each in consents([asked, gave, again, left, back])] == [None, None]
    assert [each.withdrawn for each in consents([asked, gave, left, again, back])] == [left, None]


def changes_of_events(path: Path) -> Iterator[tuple[str, str]]:
    """(file, function) of every place that updates or deletes rows of `events`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    names = [each.id for each in node.args if isinstance(each, ast.Name)]
                    if node.func.attr in ("update", "delete") and "events" in names:
                        yield str(path.relative_to(ROOT / "digest")), function.name
                text = node.value.lower() if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
                if "update events" in text or "delete from events" in text:
                    yield str(path.relative_to(ROOT / "digest")), function.name


def test_nothing_changes_a_line_of_the_trail_but_what_must():
    found = {each for path in (ROOT / "digest").rglob("*.py") for each in changes_of_events(path)}
    assert found - MAY_CHANGE - PURGE == set()
    assert found >= MAY_CHANGE


PURGE = {("store/pending.py", "_forget")}  # who never confirmed is deleted whole


@pytest.mark.parametrize(
    ("way", "days", "number"), [(Way.LINK, 1, 1), (Way.IMPORT, 1, 2), (Way.OPERATOR, -900, 2), (Way.LINK, -900, 2)]
)
def test_a_consent_brought_from_elsewhere_takes_no_words_of_a_request_that_was_never_confirmed(way, days, number):
    asked = Evidence(Way.FORM, wording="I agree to the weekly", form="/subscribe", delivery_id=7)
    given = Evidence(way, form="the form of the old site")
    trail = [
        ConsentEvent(NOW, EventKind.REQUESTED, "weekly", asked),
        ConsentEvent(NOW + timedelta(days=days), EventKind.CONFIRMED, "weekly", given),
    ]
    found = consents(trail)
    assert len(found) == number
    if number == 2:
        first, second = found
        assert (first.result, second.result) == ("never confirmed", "confirmed")
        assert second.requested is None
        assert second.shown is not None
        assert second.shown.evidence.wording == ""


def test_whom_an_import_asked_by_mail_and_who_pressed_has_one_consent():
    asked, pressed = Evidence(Way.IMPORT, form="the old site", delivery_id=7), Evidence(Way.LINK)
    trail = [
        ConsentEvent(NOW, EventKind.REQUESTED, "weekly", asked),
        ConsentEvent(NOW, EventKind.CONFIRMED, "weekly", pressed),
    ]
    assert [each.result for each in consents(trail)] == ["confirmed"]
