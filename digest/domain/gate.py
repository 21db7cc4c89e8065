"""The gate every address passes: which domains are taken, and whether a person filled in the form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.domain.addresses import Address
from digest.errors import RefusedDomain

STALE_AFTER = timedelta(days=1)  # a form that lay open for longer is shown again
MOST_BITS = 24  # of a proof of work: more would keep an old telephone busy for a minute
_MAX_PROOF = 40  # characters


@dataclass(frozen=True, slots=True)
class Domains:
    """Whose addresses are not taken. `disposable` gives the list of throw-away providers; it is asked late."""

    refused: Collection[str] = frozenset()
    disposable: Callable[[], Collection[str]] = frozenset

    def admit(self, address: Address) -> Address:
        """The address, if its domain and those above it are welcome. Raises RefusedDomain."""
        for name in _upwards(address.domain):
            if name in self.refused:
                raise RefusedDomain(address.text, "addresses of this domain are not taken here")
        disposable = self.disposable()
        if disposable and any(name in disposable for name in _upwards(address.domain)):
            raise RefusedDomain(address.text, "this is a mailbox to throw away, so our mail would soon reach nobody")
        return address


def _upwards(domain: str) -> Iterator[str]:
    """`a.b.example.com`, `b.example.com`, `example.com`."""
    while "." in domain:
        yield domain
        domain = domain.partition(".")[2]


def is_by_hand(shown_at: datetime, now: datetime, min_time: timedelta) -> bool:
    """Whether a form came back late enough for a person: nobody types an address in a blink."""
    return now - shown_at >= min_time


def is_worked(stamp: str, typed: str, proof: str, bits: int) -> bool:
    """Whether SHA-256 of `stamp:typed:proof` begins with so many zero bits: a second's work for each single address."""
    if bits <= 0:
        return True
    if not 0 < len(proof) <= _MAX_PROOF:
        return False
    digest = hashlib.sha256(f"{stamp}:{typed}:{proof}".encode()).digest()
    return int.from_bytes(digest, "big") >> (256 - bits) == 0
