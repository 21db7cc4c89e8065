"""What strangers may try: bombing a mailbox, asking who subscribes, steering a link, breaking the API."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import cycle

import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.config import SchemathesisConfig

from digest.domain.addresses import Address
from digest.domain.subscribers import EventKind, Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.errors import InvalidAddress
from digest.mail.addresses import parse
from digest.store import consent, suppressions
from digest.store.schema import metadata
from digest.subscribing import forgetting, preferring, suppressing
from tests.web.gates import TOKEN, gate, stamp_in

ALICE = "alice@example.com"
EVERYBODY = (
    *("new", "pending", "confirmed", "unsubscribed", "bounced", "reported", "complained", "operator", "forgotten"),
    *("elsewhere", "capped", "trapped"),
)
WIDE = {f"{name}_per_hour": 100_000 for name in ("sign_ups", "domain_sign_ups", "all_sign_ups")}


def rows(web):
    """How many rows every table has, and what is in those about readers."""
    with web.service.app.store.read() as tx:
        return {
            table.name: tx.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in metadata.sorted_tables
            if table.name not in ("workers", "usage")
        }


def spellings(name="vic.tim"):
    plain = name.replace(".", "")
    for n in cycle(range(1000)):
        yield from (f"{name}@gmail.com", f"{plain.upper()}@gmail.com", f"{plain}+{n}@googlemail.com")
        yield f"{plain[: n % 5 + 1]}.{plain[n % 5 + 1 :]}@GMail.com"


@pytest.mark.timeout(900)
def test_ten_thousand_sign_ups_from_a_thousand_addresses_send_one_mailbox_the_cap(tmp_path):
    web_settings = {"base_url": "https://recap.example.com", "secret": "s" * 40, "trusted_proxies": ["10.0.0.0/8"]}
    with gate(tmp_path, peer="10.0.0.1", web=web_settings, subscribing=WIDE) as web:
        engine = web.service.app.store.engine  # what a disk takes for ten thousand commits is not the question
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        engine.dispose()
        statuses = set()
        for n, spelling in zip(range(10_000), spellings(), strict=False):
            headers = {"X-Forwarded-For": f"100.{n % 250}.{n % 4}.7, 81.{n % 10}.{n // 10 % 100}.7"}
            statuses.add(web.client.post("/subscribe", data={"email": spelling}, headers=headers).status_code)
            if n % 100 == 99:
                web.service.clock.forward(timedelta(minutes=11))  # a patient attacker, for eighteen hours
        assert statuses == {200}
        asked_no_more_than_the_cap(web)


def asked_no_more_than_the_cap(web):
    web.service.deliver_all()
    assert len(web.smtpd.received) == 3
    kept = rows(web)
    assert len(kept["subscribers"]) <= 3
    assert len(kept["events"]) == 3


def test_sign_ups_of_the_same_second_share_the_cap(tmp_path, store_url):
    with gate(tmp_path, store_url=store_url, subscribing={"cool_down": "0s", **WIDE}) as web:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(web.sign_up, [f"victim+{n}@gmail.com" for n in range(24)]))
        web.service.deliver_all()
        assert len(web.smtpd.received) == 3


def with_everybody(web):
    """One reader in each state; `new` is not among them."""
    service = web.service
    store, links, clock = service.app.store, service.app.links, service.clock
    asked = [each for each in EVERYBODY if each not in ("new", "trapped", "elsewhere")]
    for name in asked:
        web.sign_up(f"{name}@example.com")
    for name in ("confirmed", "unsubscribed", "bounced", "reported", "complained"):
        web.client.post(web.confirm_link(f"{name}@example.com"), data={"confirm": "yes"})
    preferring.leave(store, service.find("unsubscribed@example.com").id, Evidence(Way.LINK), clock())
    with store.begin() as tx:
        for kind in ("bounced", "reported", "complained", "operator"):
            found = service.find(f"{kind}@example.com")
            hashed = links.address_hash(found.address.key)
            held = Suppression(hashed, SuppressionKind(kind), "x", clock(), subscriber_id=found.subscriber_id)
            suppressions.suppress(tx, held)
    forgetting.forget_address(store, links, Address.parse("forgotten@example.com"), Evidence(Way.LINK), clock())
    suppressing.suppress_domain(store, links, "elsewhere.example", "x", clock())
    clock.forward(timedelta(hours=30))
    web.sign_up("capped@example.com")


def attempt(web, name):
    domain = "elsewhere.example" if name == "elsewhere" else "example.com"
    return web.sign_up(f"{name}@{domain}", **({"website": "x"} if name == "trapped" else {}))


def test_no_answer_tells_anybodys_state(tmp_path, store_url):
    with gate(tmp_path, store_url=store_url, subscribing=WIDE) as web:
        with_everybody(web)
        replies = {name: attempt(web, name) for name in EVERYBODY}
        said = {(each.status_code, each.text, tuple(sorted(each.headers.items()))) for each in replies.values()}
        assert len(said) == 1
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert web.client.post("/api/v1/subscriptions", json={"email": ALICE}, headers=bearer).status_code == 401


def test_who_gets_nothing_leaves_nothing_behind(tmp_path, store_url):
    with gate(tmp_path, store_url=store_url, subscribing=WIDE) as web:
        with_everybody(web)
        before = rows(web)
        for name in ("complained", "operator", "elsewhere", "capped", "trapped"):
            attempt(web, name)
        assert rows(web) == before


def test_looking_at_any_page_changes_nothing(web):
    web.sign_up(ALICE)
    confirm = web.confirm_link(ALICE)
    links, found = web.service.app.links, web.service.find(ALICE)
    inside = [each.removeprefix("https://recap.example.com") for each in links.leaving(found.id)]
    now = web.service.clock()
    inside += [
        link(found.id, now).removeprefix("https://recap.example.com") for link in (links.own_data, links.erasure)
    ]
    before = rows(web)
    scanner = {"User-Agent": "scanner", "Purpose": "prefetch", "Sec-Purpose": "prefetch;prerender"}
    for path in ("/", "/subscribe", "/snippet", "/archive", "/api/v1/subscriptions", confirm, *inside):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert web.client.request(method, path, headers=scanner).status_code < 500
            assert web.client.request(method, f"{path}?confirm=yes&email=x@example.com").status_code < 500
    assert rows(web) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "81"},
        {
            "Forwarded": "host=evil.example;proto=http",
            "X-Original-URL": "/evil.example",
            "X-Rewrite-URL": "/evil.example",
        },
        {"X-Forwarded-Prefix": "/evil.example", "X-Script-Name": "/evil.example"},
    ],
)
def test_no_header_steers_a_link(web, headers):
    stamp = stamp_in(web.client.get("/", headers=headers).text)
    reply = web.client.post("/subscribe", data={"email": ALICE, "page": "yes", "stamp": stamp}, headers=headers)
    web.service.deliver_all()
    link = web.link(ALICE, "confirm")
    page = web.client.get(link, headers=headers)
    answer = web.client.post(link, data={"confirm": "yes"}, headers=headers)
    form = web.client.get("/snippet", headers=headers)
    mail = web.smtpd.received_by(ALICE)[-1].data.decode()
    for text in (reply.text, page.text, answer.text, form.text, mail):
        assert "evil" not in text


def test_every_standing_waits_out_the_same_moment_before_it_is_answered(tmp_path, monkeypatch):
    waited, sleep = [], asyncio.sleep

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    with gate(tmp_path, subscribing={"answer_after": "2s", "cool_down": "0s", **WIDE}) as web:
        monkeypatch.setattr("digest.web.entering.asyncio.sleep", wait)
        with_everybody(web)
        waited.clear()
        for name in EVERYBODY:
            web.sign_up(f"{name}@example.com")
    assert len(waited) == len(EVERYBODY)
    assert all(0 < each < 2 for each in waited), "what the work has taken is not added"


def test_twenty_presses_at_once_make_one_consent_and_one_welcome(tmp_path, store_url):
    newsletters = {"weekly": {"title": "The Weekly Recap", "welcome": True}}
    with gate(tmp_path, store_url=store_url, newsletters=newsletters) as web:
        web.sign_up(ALICE)
        link = web.confirm_link(ALICE)
        with ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(lambda _: web.client.post(link, data={"confirm": "yes"}), range(20)))
        assert {each.status_code for each in replies} == {200}
        with web.service.app.store.read() as tx:
            kinds = [each.kind for each in consent.trail(tx, web.service.find(ALICE).subscriber_id)]
        assert kinds.count(EventKind.CONFIRMED) == 1
        web.service.deliver_all()
        assert len(web.smtpd.received_by(ALICE)) == 2
        welcome = web.smtpd.received_by(ALICE)[-1].parsed
        assert "welcome" in welcome["Subject"].lower()
        assert welcome["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        one_click = welcome["List-Unsubscribe"].strip("<>").removeprefix("https://recap.example.com")
        assert web.client.post(one_click, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert web.state(ALICE) == "unsubscribed"


# --- anything at all -----------------------------------------------------------------------------

_TEXT = st.text() | st.from_regex(r"[ -~]{0,70}@[ -~]{0,70}") | st.emails()
_ODD = st.text("aż.@+-_=?<>\"'()[]{}\\ ,;:\x00\u202e\ud83d\u0130ﬁ①．。xn--8", max_size=60)


@given(st.one_of(_TEXT, _ODD, st.tuples(_ODD, _ODD).map("@".join)), st.booleans())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_address_parser_refuses_or_gives_what_can_be_mailed(typed, smtputf8):
    try:
        found = parse(typed, smtputf8=smtputf8)
    except InvalidAddress as error:
        error.reason.encode()
        str(error).encode()
        return
    assert found.domain.isascii()
    assert found.domain == found.domain.lower()
    assert smtputf8 or found.local.isascii()
    assert not any(each in found.text for each in '\r\n\x00 <>"')
    assert len(found.text.encode()) <= 254
    assert parse(found.text, smtputf8=smtputf8) == found
    assert "@" in found.variant_key
    assert not found.variant_key.startswith("@")


CHECKS = [
    *(checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance),
    *(checks.response_headers_conformance, checks.response_schema_conformance),
]


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    push = [{"name": "ours", "kind": "push", "token": TOKEN}]
    folder = tmp_path_factory.mktemp("api")
    with gate(folder, peer="8.8.8.8", sources=push, subscribing={**WIDE, "api_token": TOKEN}) as web:
        yield web


def operations():
    return [
        ("POST", "/api/v1/subscriptions"),
        ("GET", "/api/v1/subscriptions/form"),
        *(("POST", f"/api/v1/{name}") for name in ("articles", "views", "totals")),
        ("GET", "/api/v1/progress/{token}"),
    ]


@pytest.mark.parametrize(("method", "path"), operations())
@pytest.mark.parametrize("authorized", [False, True])
def test_whatever_is_sent_the_api_answers_as_it_says(described, method, path, authorized):
    config = SchemathesisConfig()
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", described.client.app, config=config)
    operation = schema[path][method]
    headers = {"Authorization": f"Bearer {TOKEN}"} if authorized else {}

    @given(case=operation.as_strategy())
    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case):
        case.call_and_validate(headers=headers, checks=CHECKS)

    ask()


def test_every_path_of_the_api_is_in_that_list(described):
    paths = described.client.get("/api/openapi.json").json()["paths"]
    known = {(method.upper(), path) for path, methods in paths.items() for method in methods if path.startswith("/api")}
    assert known == set(operations())
