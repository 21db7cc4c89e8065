"""Through a real Postfix: the confirmation and the digest arrive in a local mailbox without any defect."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from datetime import timedelta

import httpx
import pytest

from digest.domain.addresses import Address
from digest.domain.editions import EditionState
from digest.domain.subscribers import Evidence, Way
from digest.mail.checks import check_message
from digest.subscribing import importing
from digest.web import create_web
from tests.servers import postfix
from tests.service import SATURDAY, Service


@pytest.fixture(scope="module")
def server():
    with postfix.running(tls=True) as made:
        yield made


@pytest.fixture
def service(server, tmp_path):
    smtp = {
        "host": "localhost",
        "port": server.port,
        "security": "starttls",
        "ca_file": server.ca_file,
        "connections": 3,
    }
    made = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", server.port, smtp=smtp)
    yield made
    made.close()


def as_sent(stored: bytes) -> bytes:
    """The message without the lines Postfix put on top, with the line ends it travelled with."""
    content = stored.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return content[content.index(b"\r\nTo: ") + 2 :]


def test_a_reader_signs_up_confirms_and_reads_through_postfix(server, service):
    reader = "anna@mail.test"
    service.sign_up(reader)
    service.deliver_all()
    asked = email.message_from_bytes(server.wait_for(reader)[0], policy=email.policy.strict)
    assert asked["From"].addresses[0].addr_spec == "hello@news.example.com"
    link = re.search(r"https://recap\.example\.com(/confirm/\S+)", asked.get_body(("plain",)).get_content())
    assert link
    _press(service, link[1])
    edition = service.send()
    assert edition.state is EditionState.SENT
    stored = next(each for each in server.wait_for(reader, 2) if b"List-Id" in each)
    assert check_message(as_sent(stored), edition.subject) == []
    parsed = email.message_from_bytes(stored, policy=email.policy.strict)
    assert not any(part.defects for part in parsed.walk())
    assert parsed["Subject"] == edition.subject
    assert "Story story-0" in parsed.get_body(("html",)).get_content()


def test_a_mailbox_postfix_does_not_know_is_refused_and_the_others_get_theirs(server, service):
    for name in ("nobody-x", "bob", "charlie"):
        _confirmed(service, f"{name}@mail.test")
    edition = service.send()
    assert service.counts(edition) == {"refused": 1, "sent": 2}
    assert [each.code for each in service.listed(edition, "refused")] == [550]


def test_a_relay_that_will_not_have_us_pauses_the_run(server, service):
    for n in range(8):
        _confirmed(service, f"reader{n}@elsewhere.test")
    edition = service.send()
    assert edition.state is EditionState.PAUSED
    assert "Relay access denied" in edition.reason
    assert service.counts(edition) == {"queued": 8}


def _press(service: Service, path: str) -> None:
    transport = httpx.ASGITransport(app=create_web(service.app, service.clock))

    async def press() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="https://recap.example.com") as browser:
            (await browser.post(path, data={"confirm": "yes"})).raise_for_status()

    asyncio.run(press())


def _confirmed(service: Service, address: str) -> None:
    entry = importing.Entry(Address.parse(address))
    evidence = Evidence(Way.OPERATOR, form="by letter")
    store, links = service.app.store, service.app.links
    importing.bring_in(store, links, [entry], "weekly", "en", evidence, SATURDAY - timedelta(days=3))
