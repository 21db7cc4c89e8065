"""A reader's own page, and what it asks for by mail: what we know, and being forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail
from digest.domain.subscribers import Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.store import subscribers, suppressions
from digest.subscribing import suppressing
from digest.web import create_web
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service
from tests.web.conftest import Web
from tests.web.readers import ALICE, TWO, add, events, kinds, own_page, path, queued, return_path, state, to

HAS = {"had-weekly": "yes"}
KEEPS = {"get-weekly": "yes", **HAS}


@pytest.fixture
def web(tmp_path) -> Iterator[Web]:
    """Two newsletters, in three languages, and one reader of the first."""
    with RecordingServer() as smtpd:
        site = {
            "name": "The Vistula Post",
            "url": "https://news.example.com",
            "timezone": "Europe/Warsaw",
            "languages": ["pl", "uk"],
        }
        subscribing = {"domain_sign_ups_per_hour": 20}
        url = f"sqlite:///{tmp_path}/digest.db"
        service = Service(tmp_path, url, smtpd.port, site=site, subscribing=subscribing, **TWO)
        add(service, name="Ala")
        with TestClient(create_web(service.app, service.clock), follow_redirects=False) as client:
            yield Web(client, service, smtpd)
        service.close()


def save(web, **form: str):
    return web.client.post(own_page(web.service), data={"do": "save", **form})


def ask(web, what: str):
    return web.client.post(own_page(web.service), data={"do": what})


def mailed(web, kind: str) -> str:
    """The path of the link of that kind in the last mail Alice got."""
    web.service.deliver_all()
    text = web.smtpd.received_by(ALICE)[-1].parsed.get_body(("plain",)).get_content()
    found = re.search(rf"https://recap\.example\.com(/{kind}/\S+)", text)
    assert found, text
    return found[1]


def test_the_page_says_what_comes_when_and_to_whom_without_the_address(web):
    page = web.client.get(own_page(web.service))
    assert page.status_code == 200
    assert "a***@example.com" in page.text
    assert ALICE not in page.text
    assert "every Saturday at 08:00" in page.text
    assert "every Monday and every Thursday at 07:30 · Sport" in page.text
    assert 'name="get-weekly" value="yes" checked' in page.text
    assert 'name="get-sport" value="yes">' in page.text
    assert 'value="Ala"' in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "set-cookie" not in page.headers


def test_the_page_speaks_the_readers_language(web):
    save(web, **KEEPS, language="pl")
    page = web.client.get(own_page(web.service)).text
    assert '<html lang="pl">' in page
    assert "w\u00a0każdą sobotę o\u00a008:00" in page
    save(web, **KEEPS, language="uk")
    assert "щопонеділка і\u00a0щочетверга, 07:30" in web.client.get(own_page(web.service)).text


def test_looking_changes_nothing(web):
    for _ in range(2):
        assert web.client.get(own_page(web.service)).status_code == 200
        assert web.client.head(own_page(web.service)).status_code == 200
    assert kinds(web.service) == ["confirmed"]


def test_saving_what_is_so_already_leaves_no_trace(web):
    page = save(web, **KEEPS, **{"rhythm-weekly": "every"}, language="en", name="Ala", pause="")
    assert "Saved." in page.text
    assert kinds(web.service) == ["confirmed"]


def test_unticking_leaves(web):
    page = save(web, **HAS)
    assert "Saved." in page.text
    assert state(web.service) == "unsubscribed"
    assert events(web.service)[-1].evidence.way is Way.PAGE


def test_what_was_unticked_is_said_and_nothing_is_asked_about_it_any_more(web):
    assert 'id="rhythm-weekly"' in web.client.get(own_page(web.service)).text
    page = save(web, **HAS).text
    assert "The Weekly Recap will not come any more." in page
    assert 'id="rhythm-weekly"' not in page
    assert "will not come any more" not in save(web).text


def test_where_there_is_one_newsletter_the_button_says_unsubscribe(web):
    assert "Leave everything" in web.client.get(own_page(web.service)).text
    del web.service.app.newsletters["sport"]
    page = web.client.get(own_page(web.service)).text
    assert "Leave everything" not in page and ">Unsubscribe</button>" in page


def test_what_the_page_did_not_show_as_ticked_is_not_left_by_saving(web):
    save(web, name="Ala")
    assert state(web.service) == "confirmed"


def test_ticking_asks_by_mail_and_only_the_mail_confirms(web):
    page = save(web, **KEEPS, **{"get-sport": "yes"})
    assert "We have sent a mail to a***@example.com" in page.text
    assert "Sport on Monday" in page.text
    assert (state(web.service), state(web.service, "sport")) == ("confirmed", "pending")
    link = mailed(web, "confirm")
    proof = next(each.evidence for each in events(web.service) if each.newsletter == "sport")
    assert proof.wording == "I want Sport on Monday by e-mail. I can leave with one click, any time."
    assert proof.wording in page.text or "We have asked by mail" in page.text
    web.client.post(link, data={"confirm": "yes"})
    assert state(web.service, "sport") == "confirmed"
    assert to(web.service, "sport").subscriber_id == to(web.service).subscriber_id


def test_ticking_again_and_again_sends_no_more_than_the_gate_allows(web):
    replies = [save(web, **KEEPS, **{"get-sport": "yes"}) for _ in range(4)]
    assert len({each.text for each in replies}) == 1
    assert queued(web.service, Mail.CONFIRMATION) == 1
    for _ in range(8):
        web.service.clock.forward(timedelta(minutes=11))
        assert save(web, **KEEPS, **{"get-sport": "yes"}).text == replies[0].text
    assert queued(web.service, Mail.CONFIRMATION) == 3


def test_ticking_counts_against_the_limits_of_sign_ups_and_nothing_else_does(web):
    for number in range(25):
        reply = save(web, **KEEPS, **{"get-sport": "yes"}, name=f"Ala {number}")
        web.service.clock.forward(timedelta(minutes=11))
        if reply.status_code == 429:
            break
    else:
        raise AssertionError("one domain may not be asked about without end")
    assert to(web.service).name != f"Ala {number}"
    assert save(web, **KEEPS, name="Zofia").status_code == 200
    assert save(web, **HAS).status_code == 200
    assert state(web.service) == "unsubscribed"


def test_two_may_be_ticked_at_once(web):
    save(web, **HAS)
    save(web, **{"get-weekly": "yes", "get-sport": "yes"})
    web.service.deliver_all()
    assert (state(web.service), state(web.service, "sport")) == ("pending", "pending")
    assert queued(web.service, Mail.CONFIRMATION) == 2
    for each in web.smtpd.received_by(ALICE)[-2:]:
        text = each.parsed.get_body(("plain",)).get_content()
        link = re.search(r"https://recap\.example\.com(/confirm/\S+)", text)
        web.client.post(link[1], data={"confirm": "yes"})
    assert (state(web.service), state(web.service, "sport")) == ("confirmed", "confirmed")


def test_who_has_left_comes_back_by_mail_and_monthly_if_they_like(web):
    service = web.service
    save(web, **HAS)
    save(web, **{"get-weekly": "yes", "rhythm-weekly": "monthly"})
    assert state(service) == "pending"
    page = web.client.get(own_page(service)).text
    assert "We have asked by mail" in page
    assert re.search(r'<strong>The Weekly Recap</strong> <span class="mark">waiting for your click</span>', page)
    web.client.post(mailed(web, "confirm"), data={"confirm": "yes"})
    assert (state(service), to(service).rhythm) == ("confirmed", "monthly")


@pytest.mark.parametrize("kind", ["complained", "operator"])
def test_the_firmly_suppressed_read_the_same_and_get_nothing(web, kind):
    plain = save(web, **KEEPS, **{"get-sport": "yes"}).text
    suppress(web, SuppressionKind(kind))
    web.service.clock.forward(timedelta(hours=1))
    page = save(web, **{"get-weekly": "yes"}).text
    assert "We have sent a mail to a***@example.com" in page
    assert queued(web.service, Mail.CONFIRMATION) == 1
    assert "complain" not in page + plain


def test_whose_mail_came_back_is_shown_as_getting_nothing_and_may_sign_up_again(web):
    suppress(web, SuppressionKind.BOUNCED)
    page = web.client.get(own_page(web.service)).text
    assert 'name="get-weekly" value="yes">' in page
    save(web, **{"get-weekly": "yes"})
    web.client.post(mailed(web, "confirm"), data={"confirm": "yes"})
    assert 'name="get-weekly" value="yes" checked' in web.client.get(own_page(web.service)).text
    edition = web.service.send()
    assert web.service.counts(edition) == {"sent": 1}


def suppress(web, kind: SuppressionKind) -> None:
    service = web.service
    address_hash = service.app.links.address_hash(Address.parse(ALICE).key)
    found = Suppression(address_hash, kind, "a test", service.clock(), subscriber_id=to(service).subscriber_id)
    with service.app.store.begin() as tx:
        suppressions.suppress(tx, found)


def test_once_a_month_and_back(web):
    save(web, **KEEPS, **{"rhythm-weekly": "monthly"})
    assert to(web.service).rhythm == "monthly"
    assert events(web.service)[-1].evidence.form == "rhythm: monthly"
    assert '<option value="monthly" selected>' in web.client.get(own_page(web.service)).text
    save(web, **KEEPS, **{"rhythm-weekly": "every"})
    assert to(web.service).rhythm == ""
    save(web, **KEEPS, **{"rhythm-weekly": "hourly"})
    assert to(web.service).rhythm == ""


def test_a_pause_and_its_end(web):
    add(web.service, newsletter="sport")
    both = {**KEEPS, "had-sport": "yes", "get-sport": "yes"}
    save(web, **both, pause="4")
    assert to(web.service).paused_until == to(web.service, "sport").paused_until != None  # noqa: E711
    page = web.client.get(own_page(web.service)).text
    assert "Until 26 Dec 2026" in page
    save(web, **both, pause="")
    assert to(web.service).paused_until is not None
    save(web, **both, pause="0")
    assert to(web.service).paused_until is to(web.service, "sport").paused_until is None
    save(web, **both, pause="99999999999999")
    assert to(web.service).paused_until is None


def test_a_language_changes_the_next_mails(web):
    save(web, **KEEPS, language="pl")
    assert to(web.service).language == "pl"
    assert events(web.service)[-1].evidence.form == "language: pl"
    web.service.send()
    mail = web.smtpd.received_by(ALICE)[-1].parsed
    assert mail["Content-Language"] == "pl"
    assert "Zrezygnuj" in mail.get_body(("plain",)).get_content()
    ask(web, "own-data")
    web.service.deliver_all()
    assert "Twoje dane" in web.smtpd.received_by(ALICE)[-1].parsed["Subject"]
    save(web, **KEEPS, language="de")
    assert to(web.service).language == "pl"


def test_a_name_is_kept_in_one_line_and_never_in_the_trail(web):
    save(web, **KEEPS, name="  Ala\r\nBcc: x@y.pl\x00 \N{OLD ITALIC LETTER A} " + "z" * 500)
    name = to(web.service).name
    assert name.startswith("Ala Bcc: x@y.pl \N{OLD ITALIC LETTER A} zzz")
    assert len(name) <= 100
    assert events(web.service)[-1].evidence.form == "name"
    save(web, **KEEPS, name="")
    assert to(web.service).name == ""


def test_what_was_typed_comes_back_escaped(web):
    page = save(web, **KEEPS, name='"><script>alert(1)</script>').text
    assert "<script" not in page


def test_leaving_everything_and_taking_all_of_it_back(web):
    add(web.service, newsletter="sport")
    page = ask(web, "leave")
    assert "You are unsubscribed" in page.text
    assert (state(web.service), state(web.service, "sport")) == ("unsubscribed", "unsubscribed")
    web.client.post(return_path(page.text), data={"pause": "2"})
    assert (state(web.service), state(web.service, "sport")) == ("confirmed", "confirmed")
    assert to(web.service).paused_until and to(web.service, "sport").paused_until
    assert kinds(web.service).count("returned") == 2
    ask(web, "leave")
    assert "You get none of our newsletters." in ask(web, "leave").text


def test_undo_does_not_bring_back_what_was_left_before(web):
    add(web.service, newsletter="sport")
    save(web, **KEEPS, **{"had-sport": "yes"})
    page = ask(web, "leave")
    web.client.post(return_path(page.text), data={"undo": "yes"})
    assert (state(web.service), state(web.service, "sport")) == ("confirmed", "unsubscribed")


def test_a_form_that_says_nothing_changes_nothing(web):
    for form in ({}, {"do": "everything"}, {"had-weekly": "yes"}):
        reply = web.client.post(own_page(web.service), data=form)
        assert (reply.status_code, "Nothing has changed" in reply.text) == (400, True)
    assert state(web.service) == "confirmed"


def test_the_page_works_when_the_newsletter_is_no_more(web):
    add(web.service, newsletter="closed")
    page = web.client.get(own_page(web.service, newsletter="closed"))
    assert page.status_code == 200
    assert "The Weekly Recap" in page.text
    assert web.client.post(own_page(web.service, newsletter="closed"), data={"do": "leave"}).status_code == 200
    assert state(web.service, "closed") == "unsubscribed"


def test_a_stranger_is_told_in_a_friendly_way(web):
    gone = path(web.service.app.links.preferences(987_654))
    for reply in (
        web.client.get(gone),
        *(web.client.post(gone, data={"do": each}) for each in ("save", "leave", "forget")),
    ):
        assert (reply.status_code, "do not know you any more" in reply.text) == (410, True)
    cut = web.client.get(gone[:-4])
    assert (cut.status_code, "not whole" in cut.text) == (404, True)


def test_everything_works_without_an_end_in_time(web):
    web.service.clock.forward(timedelta(days=3650))
    assert save(web, **HAS).status_code == 200
    assert state(web.service) == "unsubscribed"


@pytest.mark.parametrize(("what", "mail"), [("own-data", Mail.OWN_DATA), ("forget", Mail.ERASURE)])
def test_data_and_erasure_are_asked_for_by_mail_once_in_a_while(web, what, mail):
    replies = [ask(web, what) for _ in range(5)]
    assert len({each.text for each in replies}) == 1
    assert "We have sent a mail to a***@example.com" in replies[0].text
    assert ("what we know about you" in replies[0].text) == (what == "own-data")
    assert ("Nothing is deleted yet" in replies[0].text) == (what == "forget")
    assert queued(web.service, mail) == 1
    assert state(web.service) == "confirmed"
    for _ in range(6):
        web.service.clock.forward(timedelta(minutes=11))
        assert ask(web, what).text == replies[0].text
    assert queued(web.service, mail) == 3


def test_the_data_come_as_a_file_and_looking_gives_nothing(web):
    ask(web, "own-data")
    link = mailed(web, "own-data")
    page = web.client.get(link)
    assert (page.status_code, ALICE in page.text, "a***@example.com" in page.text) == (200, False, True)
    assert web.client.head(link).status_code == 200
    reply = web.client.post(link)
    assert reply.status_code == 200
    assert reply.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert reply.headers["cache-control"] == "no-store"
    known = json.loads(reply.content)
    assert (known["address"], known["name"]) == (ALICE, "Ala")
    assert web.client.post(link).status_code == 200


def test_the_link_to_the_data_works_for_a_day(web):
    ask(web, "own-data")
    link = mailed(web, "own-data")
    web.service.clock.forward(timedelta(hours=25))
    for reply in (web.client.get(link), web.client.post(link)):
        assert (reply.status_code, "works for a day" in reply.text) == (410, True)


def test_forgetting_takes_a_button_in_the_mail_and_one_on_the_page(web):
    service = web.service
    ask(web, "forget")
    link = mailed(web, "forget")
    page, own = web.client.get(link), own_page(service)
    assert (page.status_code, "a***@example.com" in page.text) == (200, True)
    assert web.client.head(link).status_code == 200
    assert web.client.post(link).status_code == 400
    assert state(service) == "confirmed"
    reply = web.client.post(link, data={"confirm": "yes"})
    assert (reply.status_code, "You are forgotten" in reply.text) == (200, True)
    assert "for 3 years" in reply.text
    with service.app.store.read() as tx:
        assert subscribers.subscriptions_of(tx, Address.parse(ALICE)) == []
    again = web.client.post(link, data={"confirm": "yes"})
    assert (again.status_code, "you are forgotten" in again.text) == (410, True)
    assert web.client.get(own).status_code == 410
    assert service.counts(service.send()) == {}


def test_a_link_of_one_purpose_serves_no_other(web):
    ask(web, "own-data")
    token = mailed(web, "own-data").removeprefix("/own-data/")
    assert web.client.post(f"/forget/{token}", data={"confirm": "yes"}).status_code == 404
    mine = own_page(web.service).removeprefix("/preferences/")
    for kind in ("forget", "own-data", "return", "unsubscribe", "confirm"):
        assert web.client.post(f"/{kind}/{mine}", data={"confirm": "yes", "undo": "yes"}).status_code == 404
    assert state(web.service) == "confirmed"


def test_every_link_on_these_pages_is_ours_or_the_sites(web):
    for page in (web.client.get(own_page(web.service)), ask(web, "leave")):
        hosts = {urlsplit(each).netloc for each in re.findall(r'(?:href|src|action)="([^"]+)"', page.text)}
        assert hosts <= {"", "recap.example.com", "news.example.com"}


def test_a_whole_life_on_one_page(web):
    """Saving many things in one go does all of them."""
    save(web, **KEEPS, **{"rhythm-weekly": "monthly", "get-sport": "yes"}, language="uk", name="Аля", pause="8")
    found = to(web.service)
    assert (found.language, found.name, found.rhythm) == ("uk", "Аля", "monthly")
    assert found.paused_until is not None
    assert state(web.service, "sport") == "pending"
    assert to(web.service, "sport").language == "uk"
    assert web.service.clock() > SATURDAY


def test_an_operators_word_is_shown_as_getting_nothing(web):
    address, evidence = Address.parse(ALICE), Evidence(Way.OPERATOR)
    suppressing.suppress(web.service.app.store, web.service.app.links, address, "x", evidence, web.service.clock())
    assert 'name="get-weekly" value="yes">' in web.client.get(own_page(web.service)).text
