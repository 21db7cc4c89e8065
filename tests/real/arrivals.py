"""What arrived at a real server, held against what the edition says: each reader's copy, complete, theirs, and once."""

from __future__ import annotations

import email
import email.policy
import re
import time
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from html import escape

from digest.domain.editions import Edition
from digest.mail.checks import check_message
from digest.mail.slots import slot
from digest.store import editions, subscribers
from tests.servers.exim import Exim
from tests.servers.maildir import as_sent
from tests.servers.postfix import Postfix
from tests.service import Service

Server = Postfix | Exim

_ACCEPTANCE = re.compile(rb"^Received: .*(?:\n[ \t].*)*?\s+id\s(?P<id>[\w-]+)", re.M)


def copies(server: Server, readers: Iterable[str]) -> dict[str, list[bytes]]:
    """The copies of each reader, once the server has put away all it took.

    A server killed after it put a message into the mailbox may put it there again, being a real one; its id in
    Received tells that it took the message once. So a copy is here what the server said yes to.
    """
    wait_until(lambda: not server.waiting(), server.log)
    found: dict[str, dict[bytes, bytes]] = {reader: {} for reader in readers}
    for reader, stored in server.maildir.deliveries():
        if reader in found:
            acceptance = _ACCEPTANCE.search(stored)
            assert acceptance, stored[:1000]
            found[reader][acceptance["id"]] = stored
    return {reader: list(by_id.values()) for reader, by_id in found.items()}


def how_often(server: Server, readers: Iterable[str]) -> dict[int, list[str]]:
    """Readers by their number of copies: `{1: everybody}` when all is well."""
    counted: dict[int, list[str]] = {}
    for reader, found in copies(server, readers).items():
        counted.setdefault(len(found), []).append(reader)
    return counted


class Frozen:
    """An edition as it was frozen, to compare a reader's copy with."""

    def __init__(self, service: Service, edition: Edition) -> None:
        self.edition = edition
        self.links = service.app.links
        self.delivery_ids = {each.address: each.id for each in service.listed(edition)}
        with service.app.store.read() as tx:
            (self.rendering,) = editions.frozen(tx, edition.id)
            self.subscription_ids = {each.address.text: each.id for each in subscribers.listed(tx, "weekly")}

    def check(self, reader: str, stored: bytes) -> None:
        """The copy is without defect, is the edition word for word, and its links are this reader's."""
        content = as_sent(stored)
        assert check_message(content, self.edition.subject) == [], reader
        message = email.message_from_bytes(content, policy=email.policy.strict)
        assert message["To"] == reader
        assert self.links.read_message_id(message["Message-ID"]) == self.delivery_ids[reader]
        link = message["List-Unsubscribe"].strip("<>")
        assert self.links.read_unsubscribe(link.rpartition("/")[2]) == self.subscription_ids[reader]
        own = {"unsubscribe": link, "preferences": self.links.preferences(self.subscription_ids[reader])}
        text, html = self.rendering.text, self.rendering.html
        for name, value in own.items():
            place = slot(self.rendering.mark, name)
            text, html = text.replace(place, value), html.replace(place, escape(value))
        assert _body(message, "plain") == text
        assert _body(message, "html") == html


def wait_until(is_so: Callable[[], bool], log: Callable[[], str], timeout: float = 30) -> None:
    """Wait for something that comes about by itself in a server; its `log` tells why it does not."""
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline, f"it did not come about; the server says:\n{log()[-3000:]}"
        time.sleep(0.02)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None, f"there is no {kind} part"
    return part.get_content().replace("\r\n", "\n")
