"""Signing up, confirming and leaving, through the pages and the mail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from lxml import html as lxml_html

from digest.domain.addresses import Address
from digest.domain.subscribers import EventKind, Evidence, Way
from digest.errors import NotFound
from digest.store import consent
from digest.subscribing import preferring, suppressing
from tests.web.gates import gate
from tests.web.readers import TWO

ALICE = "alice@example.com"


def events(web, address=ALICE):
    with web.service.app.store.read() as tx:
        return consent.trail(tx, web.service.find(address).subscriber_id)


def test_the_whole_way_from_the_form_to_one_click(web):
    assert web.sign_up(ALICE).status_code == 200
    link = web.confirm_link(ALICE)
    assert web.client.get(link).status_code == 200
    assert web.state(ALICE) == "pending"
    assert "You are in" in web.client.post(link, data={"confirm": "yes"}).text
    assert web.state(ALICE) == "confirmed"
    web.service.send()
    digest = web.smtpd.received_by(ALICE)[-1].parsed
    one_click = digest["List-Unsubscribe"].strip("<>").removeprefix("https://recap.example.com")
    reply = web.client.post(one_click, data={"List-Unsubscribe": "One-Click"})
    assert reply.status_code == 200
    assert web.state(ALICE) == "unsubscribed"
    assert [each.kind for each in events(web)] == [EventKind.REQUESTED, EventKind.CONFIRMED, EventKind.UNSUBSCRIBED]


def test_the_first_event_proves_what_was_agreed_to(web):
    web.client.post(
        "/subscribe",
        data={"email": " Alice@Example.COM ", "newsletter": "weekly"},
        headers={"Referer": "https://news.example.com/story", "User-Agent": "A browser"},
    )
    proof = events(web)[0].evidence
    assert proof.address_as_typed == " Alice@Example.COM "
    assert proof.wording == "I want The Weekly Recap by e-mail. I can leave with one click, any time."
    assert (proof.form, proof.user_agent, proof.way) == ("https://news.example.com/story", "A browser", Way.FORM)


def test_a_name_steers_no_terminal_and_turns_no_writing_round(web):
    typed = {"email": ALICE, "newsletter": "weekly", "name": " Zażółć\x1b[2J\u009b31m  \u202eGęślą\nBcc: x "}
    web.client.post("/subscribe", data=typed)
    assert web.service.find(ALICE).name == "Zażółć [2J 31m Gęślą Bcc: x"


def test_the_name_a_stranger_typed_is_gone_when_the_reader_asks_and_a_readers_name_stays(web):
    form = {"email": ALICE, "newsletter": "weekly"}
    for name, kept in (("Silly Goose", "Silly Goose"), ("Alice", "Alice")):
        web.client.post("/subscribe", data={**form, "name": name})
        assert web.service.find(ALICE).name == kept
        web.service.clock.forward(timedelta(hours=1))
    web.client.post(web.confirm_link(ALICE), data={"confirm": "yes"})
    web.client.post("/subscribe", data={**form, "name": "Silly Goose"})
    assert (web.state(ALICE), web.service.find(ALICE).name) == ("confirmed", "Alice")


def test_no_reply_tells_who_subscribes(web):
    service = web.service
    for name in ("pending", "confirmed", "unsubscribed", "suppressed"):
        web.sign_up(f"{name}@example.com")
    for name in ("confirmed", "unsubscribed", "suppressed"):
        web.client.post(web.confirm_link(f"{name}@example.com"), data={"confirm": "yes"})
    preferring.leave(
        service.app.store, service.find("unsubscribed@example.com").id, Evidence(Way.LINK), service.clock()
    )
    address = Address("suppressed", "example.com")
    suppressing.suppress(
        service.app.store, service.app.links, address, "complaint", Evidence(Way.COMPLAINT), service.clock()
    )
    service.clock.forward(timedelta(hours=1))
    replies = [web.sign_up(f"{n}@example.com") for n in ("new", "pending", "confirmed", "unsubscribed", "suppressed")]
    assert len({(each.status_code, each.text, tuple(sorted(each.headers.items()))) for each in replies}) == 1


def test_looking_changes_nothing(web):
    web.sign_up(ALICE)
    link = web.confirm_link(ALICE)
    for _ in range(2):
        web.client.get(link)
        web.client.head(link)
    assert web.state(ALICE) == "pending"
    web.client.post(link, data={"confirm": "yes"})
    leave = web.service.app.links.unsubscribe(web.service.find(ALICE).id).removeprefix("https://recap.example.com")
    assert web.client.get(leave).status_code == web.client.head(leave).status_code == 200
    assert web.state(ALICE) == "confirmed"


@pytest.mark.parametrize("how", ["urlencoded", "multipart"])
def test_one_click_works_in_both_encodings_without_cookie_or_redirect(web, how):
    web.sign_up(ALICE)
    web.client.post(web.confirm_link(ALICE), data={"confirm": "yes"})
    link = web.service.app.links.unsubscribe(web.service.find(ALICE).id).removeprefix("https://recap.example.com")
    pair = {"List-Unsubscribe": "One-Click"}
    sent = {"data": pair} if how == "urlencoded" else {"files": {name: (None, value) for name, value in pair.items()}}
    reply = web.client.post(link, **sent)
    assert reply.status_code == 200
    assert "set-cookie" not in reply.headers
    assert web.state(ALICE) == "unsubscribed"
    assert web.client.post(link, **sent).status_code == 200


def test_a_post_without_the_pair_or_the_button_does_nothing(web):
    web.sign_up(ALICE)
    web.client.post(web.confirm_link(ALICE), data={"confirm": "yes"})
    link = web.service.app.links.unsubscribe(web.service.find(ALICE).id).removeprefix("https://recap.example.com")
    assert web.client.post(link).status_code == 400
    assert web.client.post(link, data={"List-Unsubscribe": "maybe"}).status_code == 400
    assert web.state(ALICE) == "confirmed"


def test_twenty_parallel_confirms_make_one_consent(web):
    web.sign_up(ALICE)
    link = web.confirm_link(ALICE)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: web.client.post(link, data={"confirm": "yes"}), range(20)))
    assert {each.status_code for each in replies} == {200}
    assert [each.kind for each in events(web)].count(EventKind.CONFIRMED) == 1


def test_a_confirmation_link_dies_with_time_with_a_new_request_and_with_leaving(web):
    web.sign_up(ALICE)
    first = web.confirm_link(ALICE)
    web.service.clock.forward(timedelta(hours=1))
    web.sign_up(ALICE)
    second = web.confirm_link(ALICE)
    replaced = web.client.get(first)
    assert (replaced.status_code, "a newer mail of ours has replaced it" in replaced.text) == (410, True)
    web.client.post(second, data={"confirm": "yes"})
    preferring.leave(web.service.app.store, web.service.find(ALICE).id, Evidence(Way.LINK), web.service.clock())
    assert web.client.post(second, data={"confirm": "yes"}).status_code == 410
    assert web.state(ALICE) == "unsubscribed"


def test_a_link_that_came_too_late_says_what_to_do(web):
    web.sign_up(ALICE)
    link = web.confirm_link(ALICE)
    web.service.clock.forward(timedelta(hours=73))
    reply = web.client.get(link)
    assert reply.status_code == 410
    assert "Sign up again" in reply.text


def test_a_token_serves_one_purpose(web):
    web.sign_up(ALICE)
    token = web.confirm_link(ALICE).removeprefix("/confirm/")
    assert web.client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 404
    assert web.state(ALICE) == "pending"


@pytest.mark.parametrize("token", ["x", "%00", "../../etc/passwd", "A" * 5000, "żółw", "' OR 1=1 --"])
def test_garbage_for_a_token_is_a_friendly_page(web, token):
    for kind in ("confirm", "unsubscribe"):
        for reply in (
            web.client.get(f"/{kind}/{token}"),
            web.client.post(f"/{kind}/{token}", data={"List-Unsubscribe": "One-Click"}),
        ):
            assert reply.status_code == 404
            assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "empty"),
        ("alice", "no @"),
        ("a@b@c.pl", "more than one @"),
        ("alice@localhost", "example.com"),
        ("a b@c.pl", "space"),
    ],
)
def test_a_wrong_address_is_told_and_kept(web, typed, said):
    reply = web.sign_up(typed)
    assert reply.status_code == 422
    assert said in reply.text


def test_what_was_typed_comes_back_escaped(web):
    reply = web.sign_up('"><script>alert(1)</script>@x.pl')
    assert reply.status_code == 422
    assert "<script" not in reply.text


def test_a_robot_that_fills_the_hidden_field_sees_the_same_and_gets_nothing(web):
    reply = web.sign_up(ALICE, website="http://spam.example")
    assert reply.text == web.sign_up("bob@example.com").text
    with pytest.raises(NotFound):
        web.service.find(ALICE)


def test_one_mailbox_is_asked_no_more_than_the_cap_in_whatever_spelling(web):
    for _ in range(10):
        for spelling in ("victim@gmail.com", "vic.tim@gmail.com", "Victim+x@gmail.com", "victim+y@googlemail.com"):
            web.sign_up(spelling)
        web.service.clock.forward(timedelta(minutes=11))
    web.service.deliver_all()
    assert len(web.smtpd.received) == 3


def test_a_confirmed_reader_who_signs_up_again_is_told_by_mail_and_stays_confirmed(web):
    web.sign_up(ALICE)
    web.client.post(web.confirm_link(ALICE), data={"confirm": "yes"})
    web.service.clock.forward(timedelta(hours=1))
    web.sign_up(ALICE)
    web.service.deliver_all()
    again = web.smtpd.received_by(ALICE)[-1].parsed
    assert "already" in again["Subject"]
    assert web.state(ALICE) == "confirmed"


def test_the_host_header_cannot_steer_a_link(web):
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    web.client.post("/subscribe", data={"email": ALICE}, headers=headers)
    web.service.deliver_all()
    assert b"evil.example" not in web.smtpd.received_by(ALICE)[-1].data
    assert web.link(ALICE, "confirm")


# --- the form --------------------------------------------------------------------------------------------------


def form_of(reply):
    (form,) = lxml_html.document_fromstring(reply.text).xpath("//form")
    return form


def words_of(form, name):
    """What the page says under that id, as a person reads it."""
    return " ".join(form.get_element_by_id(name).text_content().split())


PRIVACY = {"privacy_url": "https://news.example.com/privacy", "privacy_version": "2026-05"}


@pytest.mark.parametrize("language", ["en", "pl", "uk"])
@pytest.mark.parametrize("chosen", ["weekly", "sport"])
def test_what_is_kept_is_the_consent_that_stands_by_the_choice(tmp_path, chosen, language):
    site = {"name": "Post", "url": "https://news.example.com", "languages": ["en", "pl", "uk"]}
    with gate(tmp_path, **TWO, site=site, subscribing=PRIVACY) as web:
        form = form_of(web.client.get("/", params={"lang": language}))
        (radio,) = form.xpath(f".//input[@type='radio'][@value='{chosen}']")
        shown = words_of(form, radio.get("aria-describedby"))
        assert radio.getparent().text_content().count(PRIVACY["privacy_url"]) == 1
        fields = dict(form.fields) | {"email": ALICE, "newsletter": chosen}
        assert web.client.post(form.action, data=fields).status_code == 200
        assert " ".join(events(web)[0].evidence.wording.split()) == shown
        assert f"{PRIVACY['privacy_url']} (2026-05)" in shown


def test_a_form_that_chose_nothing_is_shown_again_with_the_first_one_chosen_and_its_consent(tmp_path):
    with gate(tmp_path, **TWO) as web:
        for chosen, expected in (("", "weekly"), ("sport", "sport")):
            form = form_of(web.client.post("/subscribe", data={"email": "anna@", "newsletter": chosen}))
            assert form.fields["newsletter"] == expected


def test_of_several_consents_only_that_of_the_choice_is_seen(web):
    assert ".choice input:not(:checked) ~ .small { display: none; }" in web.client.get("/assets/pages.css").text


def test_a_mistake_is_told_by_its_field_and_the_field_has_the_focus(web):
    form = form_of(web.client.post("/subscribe", data={"email": "anna@"}))
    field = form.get_element_by_id("email")
    told = form.get_element_by_id(field.get("aria-describedby"))
    assert told.get("role") == "alert"
    assert told.getnext() is field
    assert told.getprevious().tag == "label"
    assert (field.get("aria-invalid"), "autofocus" in field.attrib) == ("true", True)
    again = form_of(web.client.post("/subscribe", data={"email": ALICE, "page": "yes"}))
    (button,) = again.xpath(".//button")
    assert "once more" in again.get_element_by_id(button.get("aria-describedby")).text_content()
    assert button.getprevious().get("role") == "status"
    assert "autofocus" not in again.get_element_by_id("email").attrib
