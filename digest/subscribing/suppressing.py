"""FLOW, subscribing's part: who is never mailed, by the operator's word, and what is known of an address.

A suppression holds by the hash of an address, so it outlives the reader; for readers who are here it also names them,
as that is what a claim looks at. A domain's holds for everybody who is here now by a row of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from digest.domain.addresses import Address
from digest.domain.links import Links
from digest.domain.subscribers import EventKind, Evidence, Subscription, Way
from digest.domain.suppressions import SuppressedDomain, Suppression, SuppressionKind
from digest.errors import NotFound, UsageError
from digest.store import Store, Transaction, consent, erasure, marks, subscribers, suppressions
from digest.store.engine import chunks
from digest.store.scrubbing import scrub

_OPERATOR = "the operator"
_SECRET, _TOLD = "secret", "other secret told"  # names of marks


def find(store: Store, address: Address) -> list[Subscription]:
    """All subscriptions of an address. Raises NotFound when we do not know it."""
    with store.read() as tx:
        found = subscribers.subscriptions_of(tx, address)
    if not found:
        raise NotFound("subscriber", address.text, "see `digest subscribers list`")
    return found


def suppress(store: Store, links: Links, address: Address, reason: str, evidence: Evidence, now: datetime) -> bool:
    """Never mail this address again; False when that was so already."""
    with store.begin() as tx:
        subscriber_id = suppressions.ids_of(tx, [address.key]).get(address.key)
        kind, address_hash = SuppressionKind.OPERATOR, links.address_hash(address.key)
        new = suppressions.suppress(
            tx, Suppression(address_hash, kind, reason, now, by=_OPERATOR, subscriber_id=subscriber_id)
        )
        if new and subscriber_id is not None:
            consent.record(tx, subscriber_id, "", EventKind.SUPPRESSED, evidence, now)
        return new


def suppress_domain(store: Store, links: Links, domain: str, reason: str, now: datetime) -> tuple[bool, int]:
    """Nothing goes to a domain any more: (whether that is new, how many readers are suppressed because of it).

    `domain` is in lower-case A-labels. Cut off in the middle, it goes on when it is called again.
    """
    suppressed = SuppressedDomain(domain, reason, now, _OPERATOR)
    with store.begin() as tx:  # first: from here on nobody comes in
        new = suppressions.suppress_domain(tx, suppressed)
    return new, _hold(store, links, {domain: suppressed}, now, domain=domain).suppressed


def lift(store: Store, links: Links, address: Address, reason: str, now: datetime) -> Suppression:
    """Let an address go again; returns what had been said of it. Raises NotFound, UsageError while its domain is.

    A domain's row whose domain is not suppressed here came with a list from elsewhere, and goes like any other.
    """
    with store.begin() as tx:
        found = suppressions.of(tx, links.address_hash(address.key))
        if found is None:
            raise NotFound("suppression of", address.text)
        if suppressions.is_domain_suppressed(tx, domain := address.domain):
            raise UsageError(f"all of {domain} is suppressed; lift that first: digest suppressions lift {domain}")
        suppressions.lift(tx, replace(found, reason=reason, by=_OPERATOR, at=now))
        if subscriber_id := suppressions.ids_of(tx, [address.key]).get(address.key):
            evidence = Evidence(Way.OPERATOR, form=f"{reason} (was: {found.kind}, {found.reason})")
            consent.record(tx, subscriber_id, "", EventKind.LIFTED, evidence, now)
        return found


def lift_domain(store: Store, domain: str, reason: str, now: datetime) -> int:
    """Let a domain go; returns how many readers may be mailed again. Raises NotFound."""
    with store.begin() as tx:
        readers = suppressions.lift_domain(tx, SuppressedDomain(domain, reason, now, _OPERATOR))
    if readers is None:
        raise NotFound("suppression of", domain)
    return readers


# --- lists from elsewhere, and our own after a restore --------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a list of suppressions: an address, or the hash of one, or a domain."""

    kind: SuppressionKind
    reason: str
    by: str
    at: datetime
    address: Address | None = None
    address_hash: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of a list. `forgotten`: readers of a restored backup who had been forgotten since."""

    suppressed: int = 0
    already: int = 0
    lifted_since: int = 0  # lines older than that their address or domain was let go here
    domains: int = 0
    linked: int = 0  # readers here whom a hash turned out to be of
    forgotten: int = 0


def bring_in(
    store: Store,
    links: Links,
    lines: Iterable[Listed],
    now: datetime,
    *,
    dry_run: bool = False,
    even_lifted: bool = False,
) -> Brought:
    """Suppress what a list names, in small transactions; doing it again changes nothing.

    What was let go here after a line was written stays so, unless `even_lifted`. Where hashes or domains came, all
    readers are looked through afterwards: a restored backup may have who is on it.
    """
    total, domains, has_hashes = Brought(), dict[str, SuppressedDomain](), False
    for listed in chunks(lines):
        with store.read() if dry_run else store.begin() as tx:
            batch = _still_held(tx, links, listed, forced_at=now if even_lifted else None)
            new, already = _bring_some(tx, links, batch, now, dry_run=dry_run)
        domains |= {each.domain: SuppressedDomain(each.domain, each.reason, each.at, each.by) for each in _whole(batch)}
        has_hashes = has_hashes or any(each.address is None and each.address_hash for each in batch)
        lifted = total.lifted_since + len(listed) - len(batch)
        total = Brought(total.suppressed + new, total.already + already, lifted)
    with store.read() if dry_run else store.begin() as tx:
        fresh = [each for each in domains.values() if suppressions.domain(tx, each.domain) is None]
        if not dry_run:
            for each in fresh:
                suppressions.suppress_domain(tx, each)
    total = replace(total, domains=len(fresh))
    if dry_run or not (domains or has_hashes):
        return total
    held = _hold(store, links, domains, now)
    if held.forgotten:
        scrub(store)
    suppressed = total.suppressed + held.suppressed
    return replace(total, suppressed=suppressed, linked=held.linked, forgotten=held.forgotten)


def _still_held(tx: Transaction, links: Links, batch: list[Listed], forced_at: datetime | None) -> list[Listed]:
    """The lines whose address and domain were not let go since.

    What is forced all the same is said at `forced_at`: by its old day, an import of our own export would pass it over.
    """
    hashes = [links.address_hash(each.address.key) if each.address else each.address_hash for each in batch]
    subjects = {*hashes, *(each.domain for each in batch)} - {""}
    lifted, held = suppressions.lifted_at(tx, subjects), []
    for each, address_hash in zip(batch, hashes, strict=True):
        if not any(subject in lifted and each.at < lifted[subject] for subject in (address_hash, each.domain)):
            held.append(each)
        elif forced_at:
            held.append(replace(each, at=forced_at))
    return held


def _whole(batch: list[Listed]) -> list[Listed]:
    """The lines about a whole domain."""
    return [each for each in batch if each.domain and each.address is None and not each.address_hash]


def _bring_some(tx: Transaction, links: Links, batch: list[Listed], now: datetime, *, dry_run: bool) -> tuple[int, int]:
    ids = suppressions.ids_of(tx, [each.address.key for each in batch if each.address])
    several: dict[str, Suppression] = {}
    for each in batch:
        address_hash = links.address_hash(each.address.key) if each.address else each.address_hash
        if address_hash:
            reader = ids.get(each.address.key) if each.address else None
            known = Suppression(address_hash, each.kind, each.reason, each.at, each.by, each.domain, reader)
            several.setdefault(address_hash, known)
    if dry_run:
        new = set(several) - set(suppressions.among(tx, several))
    else:
        new = suppressions.suppress_some(tx, list(several.values()))
        for address_hash in new:
            if (reader := several[address_hash].subscriber_id) is not None:
                evidence = Evidence(Way.IMPORT, form=several[address_hash].reason)
                consent.record(tx, reader, "", EventKind.SUPPRESSED, evidence, now)
    return len(new), len(several) - len(new)


def _hold(
    store: Store, links: Links, domains: Mapping[str, SuppressedDomain], now: datetime, *, domain: str = ""
) -> Brought:
    """Go through the readers (of one domain, if it is given) and let suppressions hold for those they are of."""
    total, after = Brought(), 0
    while True:
        with store.begin() as tx:
            readers = suppressions.readers_after(tx, after, domain)
            if not readers:
                return total
            held = _hold_some(tx, links, readers, domains, now)
        after = readers[-1][0]
        total = Brought(
            suppressed=total.suppressed + held.suppressed,
            linked=total.linked + held.linked,
            forgotten=total.forgotten + held.forgotten,
        )


def _hold_some(
    tx: Transaction,
    links: Links,
    readers: list[tuple[int, str, datetime]],
    domains: Mapping[str, SuppressedDomain],
    now: datetime,
) -> Brought:
    hashes = {links.address_hash(key): (reader, key, created_at) for reader, key, created_at in readers}
    known = suppressions.among(tx, hashes)
    loose = {each: found for each, found in known.items() if found.subscriber_id != hashes[each][0]}
    # Not who came back after they had been forgotten: they are asked to confirm, which lifts it.
    gone = {
        each for each, found in loose.items() if found.kind is SuppressionKind.FORGOTTEN and hashes[each][2] <= found.at
    }
    for each in gone:
        reader, key, _ = hashes[each]
        erasure.erase(tx, reader, Address(*key.rsplit("@", 1)), loose[each])
    stay = {each: hashes[each][0] for each in loose if each not in gone}
    suppressions.link_some(tx, stay)
    new = suppressions.suppress_some(
        tx,
        [
            Suppression(each, SuppressionKind.DOMAIN, of.reason, now, of.by, of.domain, reader)
            for each, (reader, key, _) in hashes.items()
            if each not in known and (of := domains.get(key.rpartition("@")[2]))
        ],
    )
    return Brought(suppressed=len(new), linked=len(stay), forgotten=len(gone))


# --- the secret they hang on ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OtherSecret:
    """[web] secret is not the one the suppressions were made with: so many are of nobody we could recognise."""

    orphans: int


def check_secret(store: Store, links: Links) -> OtherSecret | None:
    """Whether the suppressions still hold; the first time it is only remembered which secret they hang on."""
    with store.begin() as tx:
        made_with = marks.get(tx, _SECRET)
        if not made_with:
            marks.put(tx, _SECRET, links.fingerprint)
        if made_with in ("", links.fingerprint):
            return None
        return OtherSecret(suppressions.without_reader(tx))


def is_news(store: Store, links: Links) -> bool:
    """Whether this other secret was not told of yet."""
    with store.begin() as tx:
        is_known = marks.get(tx, _TOLD) == links.fingerprint
        marks.put(tx, _TOLD, links.fingerprint)
        return not is_known


def take_new_secret(store: Store, links: Links) -> tuple[int, int]:
    """Make the suppressions of readers who are here anew with the secret of today: (those, the others, now lost)."""
    renewed = after = 0
    while True:
        with store.begin() as tx:
            found = suppressions.linked(tx, after)
            if not found:
                marks.put(tx, _SECRET, links.fingerprint)
                return renewed, suppressions.without_reader(tx)
            for subscriber_id, key, address_hash in found:
                if (wanted := links.address_hash(key)) != address_hash:
                    suppressions.rehash(tx, address_hash, wanted)
                    renewed += 1
                after = subscriber_id
