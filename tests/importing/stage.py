"""A place to import into: one database, and shorthands for what came of a file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from digest.domain.addresses import Address
from digest.domain.gate import Domains
from digest.domain.links import Links
from digest.domain.subscribers import Evidence, Subscription, Way
from digest.mail.addresses import parse
from digest.store import Store, consent, subscribers
from digest.store.schema import subscriptions, suppressions
from digest.subscribing import importing
from digest.subscribing.arriving import Report, Request

NOW = datetime(2026, 11, 28, 7, 0, 30, tzinfo=UTC)
LINKS = Links("a secret of at least thirty-two characters", "https://recap.example.com")


class Stage:
    """One database and one folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def request(self, path: Path, **more: Any) -> Request:
        """What is asked for, with the usual answers."""
        usual = Request(
            path=path,
            newsletter="weekly",
            newsletters={"weekly": "pl", "daily": "en"},
            languages=frozenset({"en", "pl", "uk"}),
            admit=Domains(refused=frozenset({"refused.example"})).admit,
            parse=parse,
            consent="the form on our old site",
        )
        return replace(usual, **more)

    def bring(self, content: str | bytes, name: str = "readers.csv", **more: Any) -> Report:
        """Import what is in a file of that name. Its numbers add up."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        report = importing.bring_file(self.store, LINKS, self.request(path, **more), NOW)
        assert sum(report.counts.values()) == report.rows
        return report

    def confirm(self, address: str, newsletter: str = "weekly", at: datetime = NOW) -> None:
        """A reader who is here already."""
        evidence = Evidence(Way.OPERATOR, form="by letter")
        entry = importing.Entry(Address.parse(address))
        importing.bring_in(self.store, LINKS, [entry], newsletter, "pl", evidence, at)

    def find(self, address: str) -> dict[str, Subscription]:
        """A reader's subscriptions by newsletter."""
        with self.store.read() as tx:
            return {each.newsletter: each for each in subscribers.subscriptions_of(tx, parse(address))}

    def states(self) -> dict[str, str]:
        """address -> state in the weekly, of all there are."""
        with self.store.read() as tx:
            return {str(each.address): each.state.value for each in subscribers.listed(tx, "weekly")}

    def kept_out(self, address: str) -> str:
        """The kind of an address's suppression; empty when there is none."""
        query = sa.select(suppressions.c.kind).where(
            suppressions.c.address_hash == LINKS.address_hash(parse(address).key)
        )
        with self.store.read() as tx:
            return tx.scalar(query) or ""

    def trail(self, address: str) -> list[tuple[str, str, str, str, datetime]]:
        """(kind, way, form, network, moment) of a reader's events."""
        one = next(iter(self.find(address).values()))
        with self.store.read() as tx:
            trail = consent.trail(tx, one.subscriber_id)
        return [(each.kind, each.evidence.way, each.evidence.form, each.evidence.ip, each.at) for each in trail]

    def everything(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        """All that an export keeps, by (address, newsletter)."""
        with self.store.read() as tx:
            kinds = dict(iter(tx.execute(sa.select(suppressions.c.subscriber_id, suppressions.c.kind))))
            assert tx.scalar(sa.select(sa.func.count()).select_from(subscriptions)) is not None
            return {
                (str(each.address), each.newsletter): (
                    *(each.name, each.state, each.language, each.requested_at, each.confirmed_at),
                    *(each.unsubscribed_at, each.rhythm, each.paused_until, kinds.get(each.subscriber_id)),
                )
                for each in subscribers.listed(tx)
            }
