"""The gate every address passes: form, snippet, API; its checks, its limits, and who is believed about where from."""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest
from starlette.requests import Request

from digest.app.gate import admit
from digest.domain.subscribers import Way
from digest.errors import InvalidAddress, NotFound, RefusedDomain
from digest.store import consent, deliveries
from digest.web.clients import Clients, shortened
from digest.web.limiting import Limits
from tests.servers.redis import running
from tests.web.gates import TOKEN, gate, stamp_in, work

ALICE = "alice@example.com"
API = "/api/v1/subscriptions"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def is_known(web, address):
    try:
        web.service.find(address)
    except NotFound:
        return False
    return True


def mails(web):
    web.service.deliver_all()
    return [each.recipients for each in web.smtpd.received]


def trail(web, address=ALICE):
    with web.service.app.store.read() as tx:
        return consent.trail(tx, web.service.find(address).subscriber_id)


# --- whose addresses are taken --------------------------------------------------------------------


@pytest.mark.parametrize("address", ["x@mailinator.com", "x@Sub.Mailinator.com", "x@guerrillamail.com"])
def test_a_mailbox_to_throw_away_is_refused_openly_at_every_door(web, address):
    reply = web.sign_up(address)
    assert reply.status_code == 422
    assert "another address" in reply.text
    stamp = web.client.get(f"{API}/form").json()["stamp"]
    said = web.client.post(API, json={"email": address, "stamp": stamp})
    assert (said.status_code, said.json()["where"]) == (422, "email")
    with pytest.raises(RefusedDomain):
        admit(web.service.app.config, address)
    assert not is_known(web, address)


def test_it_is_taken_where_the_publisher_says_so(tmp_path):
    with gate(tmp_path, subscribing={"disposable": "allow"}) as web:
        assert web.sign_up("x@mailinator.com").status_code == 200
        assert mails(web) == [["x@mailinator.com"]]


def test_domains_the_publisher_refuses_are_refused_with_all_below_them(tmp_path):
    with gate(tmp_path, subscribing={"refused_domains": ["Rival.example", "żółw.pl"]}) as web:
        for address in ("a@rival.example", "a@mail.rival.example", "a@ŻÓŁW.pl", "a@xn--w-uga1v8h.pl"):
            assert web.sign_up(address).status_code == 422, address
        assert web.sign_up("a@notrival.example").status_code == 200


def test_letters_beyond_ascii_before_the_at_need_the_setting_and_a_server_that_takes_them(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with gate(tmp_path / "a") as web:
        assert web.sign_up("żółw@example.com").status_code == 422
    with gate(tmp_path / "b", subscribing={"smtputf8": True}) as web:
        assert web.sign_up("żółw@example.com").status_code == 200
        web.service.deliver_all()
        state = [each.state for each in mails_of(web, "żółw@example.com")]
        assert state == (["sent"] if web.smtpd.received else ["failed"])


def mails_of(web, address):
    with web.service.app.store.read() as tx:
        found = web.service.app.store, admit(web.service.app.config, address)
        from digest.subscribing import suppressing

        subscriber = suppressing.find(*found)[0].subscriber_id
        return list(deliveries.listed(tx, subscriber_id=subscriber))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna@gmail.com", "a.n.n.a+x@googlemail.com"),
        ("anna@example.com", "ANNA+news@example.com"),
        ("anna@yahoo.com", "anna-news@yahoo.com"),
        ("anna@fastmail.com", "news@anna.fastmail.com"),
        ("anna@icloud.com", "anna+1@me.com"),
        ("anna@proton.me", "anna@pm.me"),
    ],
)
def test_spellings_of_one_mailbox_share_its_cap(tmp_path, one, other):
    with gate(tmp_path) as web:
        web.sign_up(one)
        web.sign_up(other)
        assert len(mails(web)) == 1


# --- whether a person filled in the form ----------------------------------------------------------


def filled(web, stamp, **fields):
    return web.sign_up(ALICE, page="yes", stamp=stamp, **fields)


def test_a_form_that_comes_back_in_a_blink_is_shown_once_more_and_then_taken(tmp_path):
    with gate(tmp_path, subscribing={"min_form_time": "2s"}) as web:
        again = filled(web, stamp_in(web.client.get("/").text))
        assert "once more" in again.text
        assert f'value="{ALICE}"' in again.text
        assert not is_known(web, ALICE)
        web.service.clock.forward(timedelta(seconds=3))
        assert "check your inbox" in filled(web, stamp_in(again.text)).text
        assert web.state(ALICE) == "pending"


def test_a_form_that_lay_open_for_a_day_is_taken_at_the_second_press(tmp_path):
    with gate(tmp_path) as web:
        stamp = stamp_in(web.client.get("/").text)
        web.service.clock.forward(timedelta(hours=25))
        again = filled(web, stamp)
        assert "once more" in again.text
        assert "check your inbox" in filled(web, stamp_in(again.text)).text


@pytest.mark.parametrize("stamp", ["", "nonsense", "A" * 5000, "żółw", "'"])
def test_a_stamp_that_is_not_ours_opens_nothing(tmp_path, stamp):
    with gate(tmp_path) as web:
        assert "once more" in filled(web, stamp).text
        assert not is_known(web, ALICE)


def test_a_stamp_is_of_one_purpose(tmp_path):
    with gate(tmp_path) as web:
        web.sign_up("bob@example.com")
        token = web.confirm_link("bob@example.com").removeprefix("/confirm/")
        assert "once more" in filled(web, token).text


def test_a_static_form_is_taken_as_it_is_or_leads_to_ours(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with gate(tmp_path / "a") as web:
        assert "check your inbox" in web.sign_up(ALICE).text
    with gate(tmp_path / "b", subscribing={"static_forms": "ask"}) as web:
        again = web.sign_up(ALICE)
        assert "once more" in again.text
        assert not is_known(web, ALICE)
        assert "check your inbox" in filled(web, stamp_in(again.text)).text


def test_work_is_asked_for_each_address_when_it_is_switched_on(tmp_path):
    with gate(tmp_path, subscribing={"proof_of_work": 8}) as web:
        page = web.client.get("/")
        assert "/assets/work.js" in page.text
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert web.client.get("/assets/work.js").headers["Content-Type"].startswith("text/javascript")
        stamp = stamp_in(page.text)
        assert "once more" in filled(web, stamp).text
        assert "once more" in filled(web, stamp, proof=work(stamp, "bob@example.com", 8)).text
        assert "once more" in web.sign_up(ALICE).text  # a static form too
        assert "check your inbox" in filled(web, stamp, proof=work(stamp, ALICE, 8)).text


def test_without_it_no_page_has_a_script(web):
    page = web.client.get("/")
    assert "<script" not in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]


class Verifier(BaseHTTPRequestHandler):
    asked: list[dict[str, list[str]]] = []  # noqa: RUF012

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.asked.append(form)
        body = json.dumps({"success": form["response"] == ["a person's"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def verifier():
    server = HTTPServer(("127.0.0.1", 0), Verifier)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_captcha_is_asked_and_when_it_is_away_readers_still_come_in(tmp_path, verifier, caplog):
    address = f"http://127.0.0.1:{verifier.server_port}/siteverify"
    script = "https://js.captcha.example/1.js"
    captcha = {"verify_url": address, "secret": "ours", "site_key": "theirs", "script": script}
    with gate(tmp_path, subscribing={"captcha": captcha}) as web:
        page = web.client.get("/")
        assert 'class="h-captcha" data-sitekey="theirs"' in page.text
        assert "script-src 'self' https://js.captcha.example;" in page.headers["Content-Security-Policy"]
        stamp = stamp_in(page.text)
        assert "once more" in filled(web, stamp).text
        assert "once more" in filled(web, stamp, **{"h-captcha-response": "a robot's"}).text
        assert "check your inbox" in filled(web, stamp, **{"h-captcha-response": "a person's"}).text
        assert Verifier.asked[-1]["secret"] == ["ours"]
        assert not any(ALICE in str(each) for each in Verifier.asked)
        verifier.socket.close()
        reply = web.sign_up("bob@example.com", page="yes", stamp=stamp, **{"h-captcha-response": "whatever"})
        assert "check your inbox" in reply.text
        assert "does not answer" in caplog.text


# --- limits ---------------------------------------------------------------------------------------


def test_sign_ups_are_limited_by_network_domain_and_in_all(tmp_path):
    limits = {"sign_ups_per_hour": 2, "domain_sign_ups_per_hour": 3, "all_sign_ups_per_hour": 4}
    with gate(tmp_path, peer="8.8.8.8", subscribing=limits) as web:
        assert [web.sign_up(f"r{n}@example.com").status_code for n in range(3)] == [200, 200, 429]
    settings = web.service.app.config.subscribing
    counted = Limits(settings)
    assert [counted.allow("", "example.com") for _ in range(4)] == [True, True, True, False]
    assert counted.allow("", "other.example")
    assert not counted.allow("", "third.example")
    counted = Limits(settings)
    assert [counted.allow("", "gmail.com") for _ in range(5)] == [True] * 4 + [False]  # in all, not by domain


def test_the_limits_answer_is_the_same_for_every_address(tmp_path):
    with gate(tmp_path, peer="8.8.8.8", subscribing={"sign_ups_per_hour": 1}) as web:
        web.sign_up(ALICE)
        replies = [web.sign_up(each) for each in (ALICE, "new@example.com")]
        assert {each.status_code for each in replies} == {429}
        assert replies[0].text == replies[1].text
        assert replies[0].headers["Retry-After"] == "3600"


def test_several_processes_count_together_in_redis_and_each_alone_while_it_is_away(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    with running(tmp_path) as url:
        with gate(tmp_path, subscribing={"limits_storage": url, "sign_ups_per_hour": 2}) as web:
            settings = web.service.app.config.subscribing
        one, other = Limits(settings), Limits(settings)
        assert [each.allow("8.8.8.0/24", "a.example") for each in (one, other, one, other)] == [
            True,
            True,
            False,
            False,
        ]
    assert [one.allow("8.8.8.0/24", "a.example") for _ in range(3)] == [True, True, False]
    assert caplog.text.count("each process counts for itself") == 1


def request(peer, forwarded=""):
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return Request({"type": "http", "client": (peer, 1), "headers": headers})


def test_only_trusted_proxies_are_believed():
    clients = Clients(("10.0.0.0/8",))
    assert str(clients.address(request("203.0.113.9", "198.51.100.1"))) == "203.0.113.9"
    assert str(clients.address(request("10.0.0.1", "6.6.6.6, 198.51.100.1"))) == "198.51.100.1"
    assert str(clients.address(request("10.0.0.1", "198.51.100.1, 10.9.9.9"))) == "198.51.100.1"
    assert str(clients.address(request("10.0.0.1", "nonsense"))) == "10.0.0.1"
    assert str(clients.address(request("::ffff:10.0.0.1", "8.8.4.4"))) == "8.8.4.4"
    assert clients.network(clients.address(request("8.8.8.200"))) == "8.8.8.0/24"
    assert clients.network(clients.address(request("2a00:1450:4001:810::1%eth0"))) == "2a00:1450:4001:810::/64"
    assert shortened(clients.address(request("8.8.8.200"))) == "8.8.8.0"


def test_nobody_gets_around_the_limit_by_claiming_to_come_from_within():
    clients = Clients(("10.0.0.0/8",))
    for claimed in ("127.0.0.1", "192.168.1.1", "10.0.0.7, 172.16.0.1", "::1"):
        assert clients.network(clients.address(request("10.0.0.1", claimed))) != ""
    unaware = Clients(())
    assert unaware.network(unaware.address(request("8.8.8.8", "127.0.0.1"))) == "8.8.8.0/24"
    assert unaware.network(unaware.address(request("172.17.0.2", "8.8.8.8"))) == ""  # a proxy nobody told us of


# --- mail servers ---------------------------------------------------------------------------------


def test_a_domain_that_takes_no_mail_gets_none_and_the_answer_is_the_same(tmp_path):
    asked = []

    def takes_mail(domain):
        asked.append(domain)
        return {"gone.example": False, "there.example": True}.get(domain)

    with gate(tmp_path, takes_mail=takes_mail, subscribing={"check_mx": True}) as web:
        replies = [web.sign_up(f"a@{name}.example") for name in ("gone", "there", "silent")]
        assert len({each.text for each in replies}) == 1
        web.client.portal.call(settled)
        assert mails(web) == [["a@there.example"], ["a@silent.example"]]
        assert sorted(asked) == ["gone.example", "silent.example", "there.example"]
        [skipped] = mails_of(web, "a@gone.example")
        assert (skipped.state, skipped.reply[:26]) == ("skipped", "its domain takes no mail: ")


async def settled():
    """Until the looks that were begun have ended."""
    import asyncio

    while waiting := [each for each in asyncio.all_tasks() if "_screen" in str(each.get_coro())]:
        await asyncio.wait(waiting)


def test_a_look_that_fails_or_dies_holds_nobodys_mail_for_longer_than_a_minute(tmp_path, caplog):
    def takes_mail(_):
        raise RuntimeError("no resolver here")

    with gate(tmp_path, takes_mail=takes_mail, subscribing={"check_mx": True}) as web:
        web.sign_up(ALICE)
        web.client.portal.call(settled)
        assert mails(web) == []
        web.service.clock.forward(timedelta(seconds=61))
        assert mails(web) == [[ALICE]]


# --- the API --------------------------------------------------------------------------------------


@pytest.fixture
def api(tmp_path):
    with gate(tmp_path, peer="8.8.8.8", subscribing={"api_token": TOKEN, "min_form_time": "2s"}) as web:
        yield web


def test_a_form_of_ones_own_asks_for_a_stamp_and_sends_it_back(api):
    form = api.client.get(f"{API}/form?language=pl").json()
    assert form["newsletters"][0]["consent"].startswith("I want The Weekly Recap")
    assert api.client.post(API, json={"email": ALICE, "stamp": form["stamp"]}).status_code == 422
    api.service.clock.forward(timedelta(seconds=3))
    reply = api.client.post(API, json={"email": ALICE, "stamp": form["stamp"], "name": "Alice"})
    assert reply.status_code == 202
    assert reply.json() == {"status": "asked to confirm by mail"}
    assert mails(api) == [[ALICE]]
    assert trail(api)[0].evidence.way == Way.API
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def test_a_browser_may_ask_from_the_publishers_page(api):
    asked = {"Origin": "https://news.example.com", "Access-Control-Request-Method": "POST"}
    reply = api.client.options(API, headers=asked)
    assert (reply.status_code, reply.headers["Access-Control-Allow-Headers"]) == (204, "Content-Type")


def test_the_publishers_server_needs_no_stamp_and_says_for_whom_it_asks(api):
    said = {"email": ALICE, "ip": "9.9.9.9", "user_agent": "A browser", "page": "https://news.example.com/x"}
    assert api.client.post(API, json={**said, "consent": "Yes, please."}, headers=BEARER).status_code == 202
    proof = trail(api)[0].evidence
    assert (proof.ip, proof.user_agent, proof.form) == ("9.9.9.0", "A browser", "https://news.example.com/x")
    assert proof.wording == "Yes, please."


def test_its_readers_are_limited_as_all_are(tmp_path):
    with gate(tmp_path, peer="8.8.8.8", subscribing={"api_token": TOKEN, "sign_ups_per_hour": 1}) as web:
        said = [("a@example.com", "9.9.9.9"), ("b@example.com", "9.9.9.8"), ("c@example.com", "7.7.7.7")]
        replies = [web.client.post(API, json={"email": a, "ip": ip}, headers=BEARER) for a, ip in said]
        assert [each.status_code for each in replies] == [202, 429, 202]


@pytest.mark.parametrize(
    ("body", "headers", "status", "where"),
    [
        ({"email": ALICE}, {}, 422, "stamp"),
        ({"email": ALICE}, {"Authorization": "Bearer wrong"}, 401, "the Authorization header"),
        ({"email": ALICE}, {"Authorization": f"Basic {TOKEN}"}, 401, "the Authorization header"),
        ({"email": ALICE, "ip": "1.2.3.4"}, {}, 422, "ip"),
        ({"email": ALICE, "ip": "x"}, BEARER, 422, "ip"),
        ({"email": ALICE, "newsletter": "daily"}, BEARER, 404, "newsletter"),
        ({"email": "alice"}, BEARER, 422, "email"),
        ({"email": 5}, BEARER, 422, "email"),
        ({"email": "a\x00@example.com"}, BEARER, 422, "email"),
        ({}, BEARER, 422, "email"),
        ({"email": ALICE, "emial": "x"}, BEARER, 422, "emial"),
        ([ALICE], BEARER, 400, "the body"),
    ],
)
def test_every_mistake_is_named(api, body, headers, status, where):
    reply = api.client.post(API, json=body, headers=headers)
    assert (reply.status_code, reply.json()["where"]) == (status, where)
    assert not is_known(api, ALICE)


def test_what_is_not_json_or_too_large_is_told_in_json(api):
    assert api.client.post(API, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert api.client.post(API, data={"email": ALICE}).status_code == 415
    large = api.client.post(API, content=b"x" * 70_000, headers={"Content-Type": "application/json"})
    assert (large.status_code, large.json()["error"]) == (413, "it is too large")


def test_without_a_token_in_the_configuration_none_opens_anything(tmp_path):
    with gate(tmp_path) as web:
        for shown in ("Bearer ", "Bearer x", ""):
            reply = web.client.post(API, json={"email": ALICE}, headers={"Authorization": shown})
            assert reply.status_code in (401, 422)
        assert not is_known(web, ALICE)


# --- what was agreed to ---------------------------------------------------------------------------


def test_the_privacy_notice_is_shown_linked_and_kept_with_its_version(tmp_path):
    url = "https://news.example.com/privacy"
    with gate(tmp_path, subscribing={"privacy_url": url, "privacy_version": "3"}) as web:
        assert f'Privacy notice: <a href="{url}"' in web.client.get("/").text
        web.sign_up(ALICE)
        link = web.confirm_link(ALICE)
        assert f'Privacy notice: <a href="{url}"' in web.client.get(link).text
        web.client.post(link, data={"confirm": "yes"})
        for event in trail(web):
            assert event.evidence.wording.endswith(f"any time. Privacy notice: {url} (3)")
        own = web.service.app.links.preferences(web.service.find(ALICE).id).removeprefix("https://recap.example.com")
        web.client.post(own, data={"do": "leave"})
        assert f'Privacy notice: <a href="{url}"' in web.client.get(own).text


def test_the_docs_of_the_api_load_nothing_from_elsewhere(web):
    reply = web.client.get("/api/docs")
    assert reply.status_code == 200
    assert API in reply.text
    for sign in ("<script", 'src="http', 'rel="stylesheet" href="http', "cdn"):
        assert sign not in reply.text.lower()


@pytest.mark.parametrize("typed", ["", "x", "a@b", "a@@b.pl", "\ud83d@x.pl", "a@" + "b" * 300 + ".pl"])
def test_what_is_no_address_is_told_at_every_door(web, typed):
    with pytest.raises(InvalidAddress):
        if "." not in admit(web.service.app.config, typed).domain:
            raise InvalidAddress(typed, "")
