"""Readers of the service behind `web`, and what the pages' tests ask of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from digest.domain.addresses import Address
from digest.domain.deliveries import Mail
from digest.domain.subscribers import ConsentEvent, Evidence, Subscription, Way
from digest.store import consent, deliveries, subscribers
from digest.subscribing import importing

ALICE = "alice@example.com"
BASE = "https://recap.example.com"
TWO = {
    "newsletters": {
        "weekly": {"title": "The Weekly Recap"},
        "sport": {
            "title": "Sport on Monday",
            "schedule": "mon,thu 07:30",
            "selection": {"blocks": [{"title": "Sport", "kind": "section", "section": "Sport", "count": 5}]},
        },
    }
}


def add(service: Any, address: str = ALICE, newsletter: str = "weekly", name: str = "", language: str = "en") -> None:
    """A confirmed reader, brought in by the operator a month ago."""
    entries = [importing.Entry(Address.parse(address), name)]
    evidence = Evidence(Way.OPERATOR, form="by letter")
    month_ago = service.clock() - timedelta(30)
    importing.bring_in(service.app.store, service.app.links, entries, newsletter, language, evidence, month_ago)


def to(service: Any, newsletter: str = "weekly", address: str = ALICE) -> Subscription | None:
    """How a reader stands with a newsletter."""
    with service.app.store.read() as tx:
        found = subscribers.subscriptions_of(tx, Address.parse(address))
    return next((each for each in found if each.newsletter == newsletter), None)


def state(service: Any, newsletter: str = "weekly", address: str = ALICE) -> str:
    """The subscription's state; empty when there is none."""
    found = to(service, newsletter, address)
    return found.state if found else ""


def path(url: str) -> str:
    """Of a link of ours."""
    return url.removeprefix(BASE)


def leave_path(service: Any, address: str = ALICE) -> str:
    """Where the unsubscribe link of a reader's mails leads."""
    found = to(service, address=address)
    assert found
    return path(service.app.links.unsubscribe(found.id))


def own_page(service: Any, address: str = ALICE, newsletter: str = "weekly") -> str:
    """Where the preference link of a reader's mails leads."""
    found = to(service, newsletter, address)
    assert found
    return path(service.app.links.preferences(found.id))


def return_path(page: str) -> str:
    """Where the goodbye page's buttons lead."""
    found = re.search(r'action="(/return/[^"]+)"', page)
    assert found, page
    return found[1]


def events(service: Any, address: str = ALICE) -> list[ConsentEvent]:
    """A reader's trail of consent."""
    with service.app.store.read() as tx:
        found = subscribers.subscriptions_of(tx, Address.parse(address))
        return consent.trail(tx, found[0].subscriber_id)


def kinds(service: Any, address: str = ALICE) -> list[str]:
    """What the trail records, in order."""
    return [str(each.kind) for each in events(service, address)]


def queued(service: Any, mail: Mail, address: str = ALICE) -> int:
    """How many mails of a kind were queued to a reader, a day back."""
    with service.app.store.read() as tx:
        since = service.clock() - timedelta(days=1)
        return len(deliveries.asked_at(tx, Address.parse(address).variant_key, since, mail))
