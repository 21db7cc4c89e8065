"""DOOR: the composition root. `build` puts every part in its place; nothing else knows them all."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from zoneinfo import ZoneInfo

from digest import collecting, publishing
from digest.app.mail import letters, renderer_of, server, targets
from digest.app.preflight import Preflight
from digest.config import Config, split_mailbox
from digest.config.sources import FilesSource
from digest.delivering import Sender, accounting
from digest.delivering.bookkeeping import Books
from digest.domain import notices
from digest.domain.attempts import Judge, Patience
from digest.domain.deliveries import Receipt
from digest.domain.editions import Basis, Edition, Pick, Rendering
from digest.domain.links import Links
from digest.domain.looking import LookAgain
from digest.domain.newsletters import Newsletter
from digest.domain.pace import DomainPace
from digest.errors import NotFit, RenderError, WrongState
from digest.mail import smtp
from digest.mail.envelope import Parcel
from digest.mail.letters import Letters
from digest.mail.render import DigestIssue, Renderer
from digest.mail.targets import Targets
from digest.sources import Source
from digest.store import Store, deliveries, editions
from digest.store.migrate import check_schema

Clock = Callable[[], datetime]
READ_AGAIN = 60.0  # seconds, for all sources, before an edition is frozen by hand
EDGES_BACK = timedelta(days=15)  # how far back a source that counts "up to now" is asked about past cut-offs


@dataclass(frozen=True)
class App:
    """Every part, ready for use. Doors call flows with parts of it and with the time."""

    config: Config
    store: Store
    links: Links
    renderer: Renderer
    letters: Letters
    servers: tuple[smtp.Server, ...]
    newsletters: dict[str, Newsletter]

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The sources in config.toml; made when first asked for, as a process that only sends never does."""
        from digest.sources.build import build as build_source

        site, folder = self.config.site, self.config.folder
        return tuple(
            build_source(each, site_url=site.url, zone=ZoneInfo(site.timezone), folder=folder)
            for each in self.config.sources
        )

    @cached_property
    def preflight(self) -> Preflight:
        """What looks at editions before they go out."""
        return Preflight(self.config, self.letters)

    @cached_property
    def targets(self) -> Targets:
        """Where the links of mails lead, and where their pictures come from."""
        return targets(self.config, self.links, self.newsletters)

    @property
    def homes(self) -> tuple[list[str], list[str]]:
        """(addresses, hosts) we may read even in a private network: the site's, the sources', and what these name."""
        own = [url for each in self.config.sources if isinstance(url := getattr(each, "url", ""), str) and url]
        return [self.config.site.url, *own], [host for each in self.config.sources for host in each.private_hosts]

    async def collect(self, now: datetime, names: Sequence[str] = ()) -> list[collecting.Collected]:
        """Read the sources (all, or those named) side by side."""
        chosen = [source for source in self.sources if not names or source.name in names]
        edges = self._edges(now)
        pages = self.config.pages
        return await asyncio.gather(*(collecting.collect(self.store, each, pages, edges, now) for each in chosen))

    def _edges(self, now: datetime) -> list[datetime]:
        edges: set[datetime] = set()
        for newsletter in self.newsletters.values():
            moment = newsletter.cutoff.last(now)
            while moment > now - EDGES_BACK:
                edges.add(moment)
                moment = newsletter.cutoff.before(moment)
        return sorted(edges)

    def press(self, newsletter: Newsletter, edition: Edition, picks: Sequence[Pick], language: str) -> Rendering:
        """Lay an edition out in a language: what every reader of it gets, before any reader."""
        section = self.config.newsletters[newsletter.name]
        other = f"?lang={language}" if language != newsletter.language else ""
        rendered = self.renderer.digest(
            DigestIssue(
                newsletter_title=newsletter.title,
                site_name=self.config.site.name,
                site_url=self.targets.links.tagged(edition, self.config.site.url),
                number=edition.number,
                published_on=edition.send_at.astimezone(newsletter.zone).date(),
                picks=tuple(self.targets.of(edition, pick) for pick in picks),
                archive_url=self.links.url(f"archive/{edition.id}{other}"),
                sign_up_url=self.links.url(""),
                postal_address=self.config.site.postal_address,
                language=language,
                by_newest=edition.basis is Basis.NEWEST,
                is_weekly=150 < edition.period.hours < 186,
                layout=section.layout,
                show_views=section.show_views,
                note=edition.note,
                editor=section.editor,
                archives_url=self.links.url("archive"),
            )
        )
        parts = (rendered.subject, rendered.preheader, rendered.html, rendered.text, rendered.mark)
        return Rendering(edition.id, language, *parts, rendered.shortened)

    def plain(self, edition: Edition, html: str) -> str:
        """An edition's html for the archive: its links lead straight to the site, without counter and campaign."""
        with self.store.read() as tx:
            picks = editions.picked(tx, edition.id)
        return self.targets.links.plain(edition, picks, html)

    async def publish_due(self, newsletter: Newsletter, now: datetime) -> Edition | None:
        """The scheduled job: read the sources once more, then do what the schedule asks for."""
        known = await asyncio.to_thread(collecting.failures, self.store)  # the desk hears of a failure once
        failed = [each.error for each in await self.collect(now) if each.error and each.error not in known]

        def work() -> Edition | None:
            if failed:
                self.tell_desk(0, f"{newsletter.title}: a source could not be read", "\n\n".join(failed), now)
            tell_desk = partial(self.tell_desk, now=now)
            look = self._look_again(now, read=False)  # they were read a moment ago
            try:
                press = self.preflight.watching(self.press, now)
                return publishing.publish_due(self.store, press, newsletter, tell_desk, now, look)
            except NotFit as error:
                subject, text = f"{newsletter.title}: {notices.NOT_FIT}", notices.not_fit(error)
                if not publishing.was_told(self.store, error.edition_id, subject, text):  # each start tries again
                    tell_desk(error.edition_id, subject, text)
                return publishing.get(self.store, error.edition_id)
            except RenderError as error:
                self.tell_desk(0, f"{newsletter.title}: the edition could not be made", str(error), now)
                raise

        return await asyncio.to_thread(work)

    def import_articles(self, path: Path, now: datetime) -> collecting.Collected:
        """Store the articles of a file once, under the source `import`."""
        from digest.sources.files import Files

        section = FilesSource(name="import", kind="files", articles=str(path.absolute()))
        site = self.config.site
        source = Files(section, site.url, ZoneInfo(site.timezone), self.config.folder)
        return asyncio.run(collecting.collect(self.store, source, self.config.pages, [], now))

    def draft(self, newsletter: Newsletter, at: datetime, now: datetime) -> Edition:
        """The edition of the period that closed last at `at`, ranked afresh."""
        return publishing.draft(self.store, self.press, newsletter, at, now, partial(self.tell_desk, now=now))

    def release(self, edition: Edition, now: datetime, allowed: Collection[str] = ()) -> Edition:
        """Look at its pages once more, freeze it if need be, and queue its deliveries.

        Raises NotFit when the preflight finds an error that is not among those allowed.
        """
        newsletter = self.newsletters[edition.newsletter]
        press = self.preflight.watching(self.press, now, allowed)
        return publishing.release(self.store, press, newsletter, edition.id, now, self._look_again(now, read=True))

    def _look_again(self, now: datetime, *, read: bool) -> LookAgain | None:
        """What says which pages are gone; what cannot be seen counts as there. `read`: the sources first, once."""
        if not self.config.collecting.look_again:
            return None
        to_read = [now] if read else []

        def look(urls: Sequence[str]) -> dict[str, str]:
            if to_read:
                asyncio.run(self._read_again(to_read.pop()))
            asked = missing(urls, *self.homes)
            found: dict[str, str] = {}
            # A resolver that hangs keeps its thread, and not us.
            thread = threading.Thread(target=lambda: found.update(asyncio.run(asked)), name="presence", daemon=True)
            thread.start()
            thread.join(PATIENCE + 1.0)
            return dict(found)

        from digest.sources.presence import PATIENCE, missing

        return look

    async def _read_again(self, now: datetime) -> None:
        """For changed titles; a source that takes too long is let be, as Saturday does not wait."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_AGAIN):
                await self.collect(now)

    def tell_desk(self, edition_id: int, subject: str, text: str, now: datetime) -> None:
        """Keep a notice and mail it to the desk, if the desk has an address."""
        addresses = [split_mailbox(each)[1] for each in self.config.desk.addresses]
        publishing.tell_desk(self.store, addresses, edition_id, subject, text, now)

    def sender(self, clock: Clock, *, patient: bool = True, share: int = 1, is_member: bool = False) -> Sender:
        """A sender over this database and these mail servers. An impatient one gives up on a dead server at once.

        `share` processes divide the connections among them; a member is not the first of them.
        """
        settings = self.config.delivering
        patience = Patience(
            give_up_after=settings.give_up_after,
            refusals_in_a_row=settings.refusals_in_a_row,
            first_retry=settings.first_retry,
            connect_tries=6 if patient else 3,
        )
        books = Books(
            store=self.store.sibling(),
            write=self.letters.write,
            servers=[replace(each, connections=-(-each.connections // share)) for each in self.servers],
            clock=clock,
            pace=DomainPace(settings.domains),
            hash_address=self.links.address_hash,
            tell_desk=lambda edition_id, subject, text: self.tell_desk(edition_id, subject, text, clock()),
            is_member=is_member,
        )
        return Sender(books, Judge(patience))

    def sample(self, edition: Edition, address: str, now: datetime) -> tuple[Rendering, Parcel]:
        """An edition as a reader at `address` would get it, frozen or not, in the newsletter's language."""
        return next(self.samples(edition, address, now))

    def samples(self, edition: Edition, address: str, now: datetime) -> Iterator[tuple[Rendering, Parcel]]:
        """The same in every language it goes out in, the newsletter's own first. Raises WrongState."""
        newsletter = self.newsletters[edition.newsletter]
        with self.store.read() as tx:
            frozen = {each.language: each for each in editions.frozen(tx, edition.id)}
            picks = editions.picked(tx, edition.id)
            others = list(frozen) or deliveries.other_languages(tx, newsletter.name, newsletter.language)
        if not picks:
            hint = "it has no articles; run `digest collect`, then `digest edition draft`"
            raise WrongState("edition", edition.id, edition.state, "shown", hint)
        for code in dict.fromkeys((newsletter.language, *others)):
            if not frozen or code in frozen:
                rendering = frozen.get(code) or self.press(newsletter, edition, picks, code)
                yield rendering, self.letters.sample(rendering, newsletter.name, address, now)

    async def send_one(self, parcel: Parcel) -> Receipt:
        """Hand one message to the first mail server, outside of any edition. Raises TransportError, ConnectionLost."""
        return await smtp.send_one(self.servers[0], parcel)

    def fold(self, now: datetime) -> int:
        """Turn sent rows that are older than is kept into numbers; returns how many."""
        return accounting.fold(self.store, now - self.config.delivering.keep_sent)

    def fold_hours(self, now: datetime) -> int:
        """Turn hours that are older than is kept into days, forget old keys of pushes; returns how many rows less."""
        before = now - self.config.collecting.keep_hours
        zone = ZoneInfo(self.config.site.timezone)
        return collecting.fold_hours(self.store, zone, before) + collecting.forget_pushes(self.store, now)

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()


def build(config: Config, *, checked: bool = True) -> App:
    """The whole service from its configuration. Raises SchemaMismatch when `checked` and the schema is another."""
    renderer = renderer_of(config)
    store = Store(config.database_url)
    if checked:
        check_schema(store)
    links = Links(config.web.secret.get_secret_value(), config.web.base_url)
    newsletters = {name: config.newsletter(name) for name in config.newsletters}
    return App(
        config=config,
        store=store,
        links=links,
        renderer=renderer,
        letters=letters(config, store, links, renderer, newsletters),
        servers=tuple(server(config, name, each) for name, each in config.smtp.each().items()),
        newsletters=newsletters,
    )
