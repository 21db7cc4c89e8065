"""FLOW, subscribing's part: readers the operator brings in, with the statement of consent that covers them.

One by one (`bring_in`), or a whole list from elsewhere (`bring_file`): batch after batch, each with the place it has
come to in one transaction, so that whatever ends the process, the next one goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

from digest.domain.addresses import Address
from digest.domain.arrivals import STRICTNESS, Arrival, Intake, Outcome, Standing, short
from digest.domain.deliveries import Mail
from digest.domain.intake_rows import Writes
from digest.domain.links import Links
from digest.domain.peers import PEERS
from digest.domain.seen import Seen
from digest.domain.subscribers import ASKING, EventKind, Evidence, SubscriptionState, Way, may_ask
from digest.domain.suppressions import SuppressionKind
from digest.errors import StoreConflict, UsageError, WrongState
from digest.store import Store, Transaction, consent, deliveries, imports, subscribers, suppressions
from digest.subscribing.arriving import Reader, Report, Request, Said
from digest.tables.files import fingerprint
from digest.tables.writing import Errors

BATCH = 5_000  # rows a transaction: others write in between
_TRIES = 5  # of a batch somebody got in the way of


@dataclass(frozen=True, slots=True)
class Entry:
    """A reader the operator brings in, with the statement of consent that covers them."""

    address: Address
    name: str = ""
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of readers the operator brought in."""

    added: int = 0
    already: int = 0
    unsubscribed: int = 0  # left before; bringing them back takes their own sign-up
    suppressed: int = 0


def bring_in(
    store: Store,
    links: Links,
    entries: Iterable[Entry],
    newsletter: str,
    language: str,
    evidence: Evidence,
    now: datetime,
) -> Brought:
    """Add readers by the operator's word, recorded in `evidence.form`. Who left, or is suppressed, stays out."""
    tally = {"added": 0, "already": 0, "unsubscribed": 0, "suppressed": 0}
    with store.begin() as tx:
        for entry in entries:
            tally[_bring_one(tx, links, entry, newsletter, language, evidence, now)] += 1
    return Brought(**tally)


def _bring_one(
    tx: Transaction,
    links: Links,
    entry: Entry,
    newsletter: str,
    language: str,
    evidence: Evidence,
    now: datetime,
) -> str:
    is_domain = suppressions.is_domain_suppressed(tx, entry.address.domain)
    if is_domain or suppressions.of(tx, links.address_hash(entry.address.key)):
        return "suppressed"
    subscriber_id = subscribers.add(tx, entry.address, entry.name, now)
    standing = subscribers.subscription_to(tx, subscriber_id, newsletter)
    if standing and standing.unsubscribed_at:  # also while a form asks them to come back: anybody may have filled it
        return "unsubscribed"
    wanted = SubscriptionState.CONFIRMED if entry.confirmed else SubscriptionState.PENDING
    if standing and standing.state is SubscriptionState.CONFIRMED:
        return "already"  # who is still pending is asked again: the first mail may not have arrived
    made_id = subscribers.subscribe(tx, subscriber_id, newsletter, wanted, language, now)
    kind, proof = EventKind.CONFIRMED, evidence
    if not entry.confirmed:
        kind = EventKind.REQUESTED
        proof = replace(evidence, delivery_id=deliveries.queue_letter(tx, Mail.CONFIRMATION, made_id, now))
    consent.record(tx, subscriber_id, newsletter, kind, proof, now)
    return "added"


def needs_consent(request: Request, now: datetime) -> bool:
    """Whether a file holds readers who are to be mailed without being asked. Reads up to the first of them.

    Not those of our own exports that bring the consent with them.
    """
    reader = Reader(request, Report(request.path.name), now)
    reader.look_at_lists()
    arrivals = (said.arrival for said in reader if said.arrival is not None)
    return any(each.standing is Standing.CONFIRMED and each.carried is None for each in arrivals)


def bring_file(
    store: Store, links: Links, request: Request, now: datetime, progress: Callable[[int, int], None] = lambda *_: None
) -> Report:
    """Bring in a file, or say what would come of it. `progress` is told (bytes read, rows done) now and then.

    Cut off at any moment and called again, it goes on where it was. Raises UsageError, WrongState, StoreUnavailable.
    """
    report = Report(request.path.name)
    Reader(request, report, now).look_at_lists()
    if request.dry_run:
        _Bringing(store, links, request, report, None, now).run(progress)
        return report
    file_hash, plan = fingerprint(request.path), request.as_plan()
    with store.begin() as tx:
        one = imports.latest(tx, file_hash, request.newsletter, plan)
        if one is None or (one.finished_at and request.again):
            one = imports.begin(tx, file_hash, request.path.name, request.newsletter, request.consent, plan, now)
    _recall(report, one)
    if not one.finished_at:
        _Bringing(store, links, request, report, one, now).run(progress)
    return report


def _recall(report: Report, one: imports.Import) -> None:
    report.resumed_at, report.finished_before = one.position, one.finished_at
    report.recall(one.counts)


class _Bringing:
    """One file on its way in."""

    def __init__(
        self, store: Store, links: Links, request: Request, report: Report, one: imports.Import | None, now: datetime
    ) -> None:
        self._store, self._links, self._request, self._report = store, links, request, report
        self._import, self._now = one, now
        self._seen, self._gone = Seen(), set[int]()
        self._levels = {name: 16 * place for place, name in enumerate(sorted(request.newsletters))}
        self._evidence = Evidence(Way.IMPORT, form=request.consent)
        path = request.errors or Path(f"{request.path}.errors.csv")
        if path.exists() and request.path.exists() and path.samefile(request.path):
            raise UsageError(f"--errors {path} is the very file that is read: name another one")
        self._errors = Errors(path, one.counts.get("errors_size", 0) if one else 0)

    def run(self, progress: Callable[[int, int], None]) -> None:
        """Every row that is not done yet; the last transaction says that there are no more."""
        self._report.warnings = {}  # counted anew: the rows that are done are read again, to know them
        reader = Reader(self._request, self._report, self._now)
        position = self._import.position if self._import else 0
        batch: list[Said] = []
        try:
            for number, said in enumerate(reader):
                if number < position:
                    self._recognise(said)
                    continue
                batch.append(said)
                if len(batch) == BATCH:
                    self._settle(batch, is_last=False)
                    batch = []
                    progress(reader.tell(), self._report.rows)
            self._settle(batch, is_last=True)
            progress(reader.tell(), self._report.rows)
        finally:
            self._errors.close()

    def _recognise(self, said: Said) -> None:
        if said.arrival is None:
            self._report.point_out(said, said.why)
        else:
            self._remember(said.arrival, self._links.address_hash(said.arrival.key))

    def _remember(self, arrival: Arrival, address_hash: str) -> None:
        level = self._levels[arrival.newsletter]
        if arrival.standing is Standing.LEFT_LIST:
            self._gone.add(short(address_hash))
        for strictness in range(STRICTNESS[arrival.standing] + 1):
            self._seen.add(address_hash, level + strictness)

    def _settle(self, batch: list[Said], *, is_last: bool) -> None:
        """Decide a batch and write it with the place it brings us to; once more when somebody got in the way."""
        for tries_left in reversed(range(_TRIES)):
            try:
                report, taken = self._once(batch, is_last=is_last)
            except StoreConflict:
                if not tries_left:
                    raise
            else:
                self._report.take(report)
                for arrival, address_hash in taken:
                    self._remember(arrival, address_hash)
                return

    def _once(self, batch: list[Said], *, is_last: bool) -> tuple[Report, list[tuple[Arrival, str]]]:
        report, one = self._report.copy(), self._import
        if one is None:
            with self._store.read() as tx:
                _, taken = self._decide(tx, batch, report)
            return report, taken
        with self._store.begin() as tx:
            imports.tune(tx)
            writes, taken = self._decide(tx, batch, report)
            imports.write(tx, writes, self._evidence, _reasons(report.shape), self._now)
            size = self._errors.write(one.counts.get("errors_size", 0), report.refused)
            report.errors = str(self._errors.path) if size else ""
            counts = {**report.kept(), "errors_size": size}
            moved = imports.advance(tx, one, one.position + len(batch), counts, self._now if is_last else None)
            if moved is None:
                raise WrongState("import", one.id, "under way in another process", "continued here")
        self._import = moved
        return report, taken

    def _decide(self, tx: Transaction, batch: list[Said], report: Report) -> tuple[Writes, list[tuple[Arrival, str]]]:
        """What is to be written, and the rows that were taken; each row is counted."""
        arrivals = [each.arrival for each in batch if each.arrival is not None]
        known = [self._links.address_hash(each.key) for each in arrivals]
        intake = self._intake(tx, arrivals, known)
        hashes = iter(known)
        taken: dict[tuple[str, str], Arrival] = {}
        for said in batch:
            if said.arrival is None:
                report.count(said, Outcome.REFUSED, said.why)
                continue
            address_hash = next(hashes)
            outcome, changes, why = intake.place(said.arrival, address_hash)
            if outcome is not Outcome.REFUSED:
                key = (address_hash, said.arrival.newsletter)
                if self._came_before(said.arrival, address_hash, changes=changes, is_near=key in taken):
                    outcome = Outcome.DUPLICATES
                taken[key] = _stricter(taken.get(key), said.arrival)
            report.count(said, outcome, why)
        return intake.writes, [(arrival, address_hash) for (address_hash, _), arrival in taken.items()]

    def _came_before(self, arrival: Arrival, address_hash: str, *, changes: bool, is_near: bool) -> bool:
        """Whether an earlier row said as much. A dry run has not written those of earlier batches."""
        if not changes:
            return is_near or self._seen.has(address_hash, self._levels[arrival.newsletter])
        if self._import is not None or is_near:
            return False
        return self._seen.has(address_hash, self._levels[arrival.newsletter] + STRICTNESS[arrival.standing])

    def _intake(self, tx: Transaction, arrivals: list[Arrival], hashes: list[str]) -> Intake:
        held = imports.held(tx, [each.key for each in arrivals])
        new = len({each.key for each in arrivals} - held.keys())
        asked: dict[str, list[datetime]] = {}

        def may_ask_now(variant_key: str) -> bool:
            known = asked.get(variant_key)
            if known is None:
                known = deliveries.asked_at(tx, variant_key, self._now - timedelta(days=1), ASKING)
            if not may_ask(known, self._now, self._request.limits):
                return False
            asked[variant_key] = [*known, self._now]
            return True

        is_dry = self._import is None
        return Intake(
            now=self._now,
            held=held,
            suppressed=imports.suppressed(tx, hashes),
            domains=imports.suppressed_domains_among(tx, {each.address.domain for each in arrivals}),
            ids=partial(next, count(1)) if is_dry else imports.ids(tx, "subscribers", new),
            places=partial(next, count(1)) if is_dry else imports.ids(tx, "subscriptions", len(arrivals)),
            may_ask=may_ask_now,
            gone=self._gone,
        )


def _stricter(before: Arrival | None, arrival: Arrival) -> Arrival:
    if before is None or STRICTNESS[arrival.standing] > STRICTNESS[before.standing]:
        return arrival
    return before


def _reasons(shape: str) -> dict[SuppressionKind, str]:
    where = f"at {shape}" if shape in PEERS else "says the imported list"
    words = {
        SuppressionKind.UNSUBSCRIBED: "had left",
        SuppressionKind.BOUNCED: "mail came back",
        SuppressionKind.COMPLAINED: "complained",
        SuppressionKind.REPORTED: "complained",
        SuppressionKind.OPERATOR: "was blocked",
    }
    return {kind: f"{words.get(kind, kind.value)}, {where}" for kind in SuppressionKind}
