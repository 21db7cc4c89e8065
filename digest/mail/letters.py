"""From a delivery to its message: the right rendering, the right headers, one reader's own values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from digest.domain.deliveries import Delivery, Mail
from digest.domain.editions import Rendering
from digest.domain.links import Links
from digest.mail.clean import clean_header
from digest.mail.envelope import Parcel
from digest.mail.render import Rendered
from digest.mail.wire import Compiled, Heading, Reader, Sign

LONGEST_NAME = 60  # characters of a reader's name that a mail says


@dataclass(frozen=True, slots=True)
class Senders:
    """Who mail is from: (name, address) pairs, and where answers and bounces go."""

    digest: tuple[str, str]
    confirmation: tuple[str, str]
    reply_to: str = ""
    bounce_address: str = ""
    unsubscribe_address: str = ""  # a message to it, with a token, unsubscribes


Write = Callable[
    [Mail, str, str, bool, datetime], Rendered
]  # (mail, newsletter, language, confirmed already, queued at)


@dataclass(frozen=True, slots=True)
class Publication:
    """What letters need to know of a newsletter."""

    name: str
    title: str
    language: str


@dataclass(slots=True)
class Letters:
    """Writes messages. Renderings are compiled once and kept; a reader costs a join of bytes."""

    links: Links
    senders: Senders
    publications: Mapping[str, Publication]
    frozen: Callable[[int], Sequence[Rendering]]  # the frozen renderings of an edition
    letter: Write
    notice: Callable[[int], Rendered]
    sign: Sign | None = None
    _compiled: dict[tuple[object, ...], Compiled] = field(default_factory=dict)

    def write(self, delivery: Delivery, key: object = None) -> Parcel:
        """The message of a delivery; the same for every attempt at it. `key` is the caller's own."""
        compiled = self._find(delivery)
        sender = self._from(delivery.mail)[1]
        message_id = self.links.message_id(delivery.id, sender.rpartition("@")[2])
        if self.senders.bounce_address and delivery.mail is not Mail.NOTICE:
            sender = self.links.envelope_sender(self.senders.bounce_address, delivery.id)
        content = compiled.message(self._reader(delivery, message_id), self.sign)
        return Parcel(key, sender, delivery.address, content, message_id[1:-1])

    def sample(self, rendering: Rendering, newsletter: str, address: str, now: datetime) -> Parcel:
        """An edition's message as a reader at `address` would get it; its links name nobody."""
        publication = self.publications[newsletter]
        compiled = Compiled(self._list_heading(publication, rendering), rendering.text, rendering.html, rendering.mark)
        domain = self.senders.digest[1].rpartition("@")[2]
        leave, preferences = self.links.leaving(0)
        values = {"unsubscribe": leave, "preferences": preferences, "name": ""}
        reader = Reader(address, self.links.message_id(0, domain), now, values, leave)
        return Parcel(None, self.senders.digest[1], address, compiled.message(reader, self.sign))

    def _find(self, delivery: Delivery) -> Compiled:
        if delivery.mail is Mail.DIGEST:
            return self._cached(("digest", delivery.edition_id, delivery.language), lambda: self._digest(delivery))
        if delivery.mail is Mail.NOTICE:
            return self._plain(self.notice(delivery.notice_id), self.senders.digest)
        hour = delivery.queued_at.replace(minute=0, second=0) if delivery.mail is Mail.WELCOME else None
        key = (delivery.mail, delivery.newsletter, delivery.language, delivery.confirmed, hour)
        return self._cached(key, lambda: self._letter(delivery))

    def _cached(self, key: tuple[object, ...], compile_it: Callable[[], Compiled]) -> Compiled:
        if key not in self._compiled:
            if len(self._compiled) > 64:  # editions of years past, in a process that never stops
                self._compiled.clear()
            self._compiled[key] = compile_it()
        return self._compiled[key]

    def _digest(self, delivery: Delivery) -> Compiled:
        renderings = {each.language: each for each in self.frozen(delivery.edition_id)}
        publication = self.publications[delivery.newsletter]
        # The last, for when the newsletter speaks another language since it was frozen.
        rendering = renderings.get(delivery.language) or renderings.get(publication.language)
        rendering = rendering or next(iter(renderings.values()))
        return Compiled(self._list_heading(publication, rendering), rendering.text, rendering.html, rendering.mark)

    def _list_heading(self, publication: Publication, rendering: Rendering) -> Heading:
        name, address = self.senders.digest
        domain = address.rpartition("@")[2]
        return Heading(
            from_name=name,
            from_address=address,
            subject=rendering.subject,
            language=rendering.language,
            list_id=f"{publication.name}.{domain}",
            list_name=publication.title,
            reply_to=self.senders.reply_to,
            feedback_id=f"{rendering.edition_id}:{publication.name}:digest:{domain.split('.')[0]}",
        )

    def _letter(self, delivery: Delivery) -> Compiled:
        asked = (delivery.mail, delivery.newsletter, delivery.language, delivery.confirmed, delivery.queued_at)
        return self._plain(self.letter(*asked), self._from(delivery.mail))

    def _plain(self, rendered: Rendered, sender: tuple[str, str]) -> Compiled:
        heading = Heading(sender[0], sender[1], rendered.subject, rendered.language, reply_to=self.senders.reply_to)
        return Compiled(heading, rendered.text, rendered.html, rendered.mark)

    def _reader(self, delivery: Delivery, message_id: str) -> Reader:
        if delivery.mail is Mail.DIGEST:
            leave, preferences = self.links.leaving(delivery.subscription_id)
            name = clean_header(delivery.name, LONGEST_NAME) if delivery.name else ""
            values = {"unsubscribe": leave, "preferences": preferences, "name": name}
            by_mail = self._leave_by_mail(delivery.subscription_id)
            return Reader(delivery.address, message_id, delivery.queued_at, values, leave, by_mail)
        values = {"name": ""}  # nothing anybody typed into a form stands in these
        if number := delivery.subscription_id:
            values["unsubscribe"], values["preferences"] = self.links.leaving(number)
            values["own_data"] = self.links.own_data(number, delivery.queued_at)
            values["erasure"] = self.links.erasure(number, delivery.queued_at)
            if delivery.requested_at:
                values["confirm"] = self.links.confirm(number, delivery.requested_at)
        if number and delivery.mail is Mail.WELCOME:  # the only letter to somebody who gets the newsletter
            by_mail = self._leave_by_mail(number)
            return Reader(delivery.address, message_id, delivery.queued_at, values, values["unsubscribe"], by_mail)
        return Reader(delivery.address, message_id, delivery.queued_at, values)

    def _leave_by_mail(self, subscription_id: int) -> str:
        to = self.senders.unsubscribe_address
        return self.links.leave_by_mail(to, subscription_id) if to else ""

    def _from(self, mail: Mail) -> tuple[str, str]:
        return self.senders.digest if mail in (Mail.DIGEST, Mail.NOTICE) else self.senders.confirmation
