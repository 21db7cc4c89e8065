"""A whole service for a test: a store, sample articles, a set clock, a real SMTP server to send to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from digest import publishing, subscribing
from digest.app import App, build
from digest.config import Config
from digest.domain.addresses import Address
from digest.domain.articles import FoundArticle, Image
from digest.domain.deliveries import Settled
from digest.domain.editions import Edition, EditionState
from digest.domain.periods import Period
from digest.domain.ranking import Candidate
from digest.domain.subscribers import Evidence, Subscription, Way
from digest.store import Store, Transaction, articles, candidates, deliveries, readership, workers
from digest.store.migrate import migrate
from digest.subscribing import importing, suppressing

SATURDAY = datetime(2026, 11, 28, 7, tzinfo=UTC)  # 08:00 in Warsaw


def every_candidate(tx: Transaction, period: Period) -> list[Candidate]:
    """The articles of a period with their counts."""
    found = candidates.of_period(tx, period)
    return candidates.of_pages(tx, found, period, [page for page, _ in found.views])


class SetClock:
    """A clock that shows what it is told and runs on from there."""

    def __init__(self, moment: datetime) -> None:
        self._ahead = moment - datetime.now(UTC)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def forward(self, by: timedelta) -> None:
        """Let time pass."""
        self._ahead += by


def settings(folder: Path, database_url: str, smtp_port: int, **more: Any) -> dict[str, Any]:
    """A small, whole configuration. A program fills in forms faster than people do, and waits for nothing."""
    subscribing = {"min_form_time": "0s", "answer_after": "0s"} | more.pop("subscribing", {})
    return {
        "subscribing": subscribing,
        "site": {
            "name": "The Vistula Post",
            "url": "https://news.example.com",
            "timezone": "Europe/Warsaw",
            "postal_address": "ul. Prosta 1, Warszawa",
        },
        "web": {"base_url": "https://recap.example.com", "secret": "a secret of at least thirty-two characters"},
        "database": {"url": database_url},
        "smtp": {
            "host": "127.0.0.1",
            "port": smtp_port,
            "connections": more.pop("connections", 4),
            "command_timeout": "10s",
        },
        "mail": {"from": "recap@news.example.com", "confirmation_from": "hello@news.example.com"},
        "newsletters": {"weekly": {"title": "The Weekly Recap"}},
        "folder": folder,
    } | more


class Service:
    """The service, and shorthands for what tests ask of it."""

    def __init__(self, folder: Path, store_url: str, smtp_port: int, *, fresh: bool = True, **more: Any) -> None:
        self.store_url = store_url
        self.clock = SetClock(SATURDAY + timedelta(seconds=5))
        config = Config.model_validate(settings(folder, store_url, smtp_port, **more))
        if fresh:
            store = Store(config.database_url)
            migrate(store)
            store.close()
        self.app: App = build(config)
        self.newsletter = self.app.newsletters["weekly"]
        if fresh:
            self.add_articles({f"story-{n}": 100 - n for n in range(12)})

    def close(self) -> None:
        """Let go of the database."""
        self.app.close()

    def add_articles(
        self, views: dict[str, int], published: datetime = SATURDAY - timedelta(days=2), until: datetime = SATURDAY
    ) -> None:
        """Articles read so often in the period that closes at `until`."""
        with self.app.store.begin() as tx:
            source = articles.source(tx, "site").id
            pages = articles.page_ids(tx, [f"news.example.com/{slug}" for slug in views])
            by_slug = {slug: pages[f"news.example.com/{slug}"] for slug in views}
            image = Image("https://news.example.com/picture.jpg", "A river", 1200, 630)
            found = {
                by_slug[slug]: FoundArticle(
                    f"https://news.example.com/{slug}", f"Story {slug}", published, "What happened.", image, "Cities"
                )
                for slug in views
            }
            articles.save(tx, source, found, SATURDAY)
            hour = timedelta(hours=1)
            at = until.replace(minute=0) - 20 * hour
            readership.put_views(tx, source, {(by_slug[s], at, hour): n for s, n in views.items() if n})

    def add_readers(self, count: int) -> None:
        """reader0 to reader<count-1> at example.com, confirmed."""
        entries = [importing.Entry(Address(f"reader{n}", "example.com")) for n in range(count)]
        evidence = Evidence(Way.OPERATOR, form="by letter")
        importing.bring_in(self.app.store, self.app.links, entries, "weekly", "en", evidence, SATURDAY - timedelta(30))

    def sign_up(self, address: str) -> None:
        """As the form would."""
        request = subscribing.SignUp(Address.parse(address), "weekly", "en", "", Evidence(Way.FORM))
        limits = self.app.config.subscribing.limits()
        subscribing.sign_up(self.app.store, self.app.links, request, limits, self.clock())

    def find(self, address: str) -> Subscription:
        """The reader's subscription."""
        return suppressing.find(self.app.store, Address.parse(address))[0]

    def release(self) -> Edition:
        """Draft, freeze and queue the edition of the closed week."""
        now = self.clock()
        edition = publishing.draft(self.app.store, self.app.press, self.newsletter, SATURDAY, now)
        return publishing.release(self.app.store, self.app.press, self.newsletter, edition.id, now)

    def send(self) -> Edition:
        """Release and deliver until the edition is settled or paused."""
        return self.deliver(self.release())

    def deliver(self, edition: Edition, until: Callable[[], bool] = lambda: False) -> Edition:
        """Run a sender in this process until the edition is settled, or `until` says so."""
        sender = self.app.sender(self.clock, patient=False)
        asyncio.run(sender.run(lambda: until() or self.get(edition).state is not EditionState.SENDING))
        return self.get(edition)

    def deliver_all(self) -> None:
        """Run a sender until nothing is due."""
        asyncio.run(self.app.sender(self.clock, patient=False).run(lambda: True))

    def idle(self) -> bool:
        """For `until`: a sender asks only while it holds nothing, so this means that nothing is due now."""
        return True

    def get(self, edition: Edition) -> Edition:
        """The edition as it stands now."""
        return publishing.get(self.app.store, edition.id)

    def counts(self, edition: Edition) -> dict[str, int]:
        """Deliveries by state, those that are not zero."""
        with self.app.store.read() as tx:
            return {state: number for state, number in deliveries.counts(tx, edition.id).items() if number}

    def listed(self, edition: Edition, state: str = "") -> list[Settled]:
        """The edition's deliveries."""
        return list(publishing.deliveries_of(self.app.store, edition.id, state))

    def notices(self, edition: Edition) -> list[workers.Notice]:
        """What the desk was told about the edition."""
        with self.app.store.read() as tx:
            return workers.notices_of(tx, edition.id)
