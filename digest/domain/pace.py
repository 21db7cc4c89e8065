"""How fast mail may go: token buckets, recipient domains that ask for patience, a new address's gentle start.

All pure: `at` is a moment in seconds that only moves forward (a monotonic clock), rates are messages a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

# Providers whose many names lead to the same servers: what one of them learns of us, all know.
_SAME_SERVERS = {
    "gmail.com": ("googlemail.com",),
    "outlook.com": ("hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "live.co.uk", "outlook.pl", "hotmail.pl"),
    "yahoo.com": ("ymail.com", "rocketmail.com", "yahoo.co.uk", "aol.com"),
    "icloud.com": ("me.com", "mac.com"),
    "onet.pl": ("poczta.onet.pl", "onet.eu", "op.pl", "vp.pl", "onet.com.pl", "poczta.onet.eu"),
    "wp.pl": ("o2.pl", "tlen.pl", "go2.pl"),
    "interia.pl": ("interia.eu", "poczta.fm", "interia.com", "intmail.pl"),
    "ukr.net": (),
}
_PROVIDER = {name: provider for provider, names in _SAME_SERVERS.items() for name in names}


def provider(domain: str) -> str:
    """The one name under which a domain's servers are known here."""
    return _PROVIDER.get(domain, domain)


def is_large(domain: str) -> bool:
    """Whether the domain is of a provider of mailboxes for everybody."""
    return provider(domain) in _SAME_SERVERS


def domains_of(name: str) -> tuple[str, ...]:
    """Every domain whose servers are known under that one name."""
    return name, *_SAME_SERVERS.get(name, ())


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` a second on the long run, `burst` at once. A rate of 0 is no limit."""

    rate: float
    burst: float = 1.0
    _tokens: float = -1.0
    _at: float = 0.0

    def wait(self, at: float) -> float:
        """Seconds until there is a token; 0 when there is one now."""
        if not self.rate:
            return 0.0
        if self._tokens < 0:
            self._tokens = self.burst
        else:
            self._tokens = min(self.burst, self._tokens + (at - self._at) * self.rate)
        self._at = at
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def take(self, at: float) -> bool:
        """Take a token if there is one."""
        if self.wait(at):
            return False
        self._tokens -= 1.0
        return True

    def set_rate(self, rate: float, burst: float = 1.0) -> None:
        """Go on at another rate; what has gathered stays."""
        self.rate, self.burst = rate, max(1.0, burst)


FIRST_SLOWDOWN = 16.0  # messages a second a domain without a limit gets, halved at the first trouble
SLOWEST = 0.5
FULL_SPEED = 64.0  # a slowdown that has grown back so far is over
_TROUBLED = 0.3  # share of recent answers that asked for patience
_STEP = 2.0  # seconds between two steps down
_GROW = 1.0  # seconds between two steps up


@dataclass(slots=True)
class _Domain:
    bucket: Bucket
    next_slot: float = 0.0  # when the next message beyond the bucket may go
    trouble: float = 0.0  # a moving share of answers that asked for patience
    stepped_at: float = -1e9


@dataclass(slots=True)
class DomainPace:
    """The pace for each recipient domain: the configured limit, and what trouble has taught us.

    `limits` and what `changed` tells are rates of all workers together; of those this worker takes its `share`.
    """

    limits: Mapping[str, float]
    share: float = 1.0
    slowed: dict[str, float] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    _domains: dict[str, _Domain] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Whether no domain is limited, so that nobody need be asked."""
        return not self.limits and not self.slowed

    @property
    def is_learning(self) -> bool:
        """Whether good answers matter too: some domain is limited, or was in trouble."""
        return bool(self._domains)

    def admit(self, domain: str, at: float, *, again: bool = False) -> float:
        """0: send it now, a token is taken. Otherwise how many seconds from now its turn comes.

        `again` says that it was given a turn before: it does not queue up behind the others once more.
        """
        name = provider(domain)
        if (rate := self._rate(name)) is None:
            return 0.0
        known = self._known(name, rate)
        if (again or known.next_slot <= at) and known.bucket.take(at):
            return 0.0
        known.next_slot = max(known.next_slot, at) + 1.0 / known.bucket.rate
        return known.next_slot - at

    def answered(self, domain: str, wants_patience: bool, at: float) -> None:
        """Learn from an answer that spoke for the whole domain."""
        name = provider(domain)
        known = self._domains.get(name)
        if known is None:
            if not wants_patience:
                return  # nearly every answer ends here
            known = self._known(name, self._rate(name) or 0.0)
        known.trouble = 0.8 * known.trouble + (0.2 if wants_patience else 0.0)
        if wants_patience and known.trouble > _TROUBLED and at - known.stepped_at >= _STEP:
            self._set(name, max(SLOWEST, (self._whole_rate(name) or FIRST_SLOWDOWN) / 2), known, at)
        elif name in self.slowed and known.trouble < _TROUBLED and at - known.stepped_at >= _GROW:
            self._set(name, self.slowed[name] * 2, known, at)

    def hear(self, slowed: Mapping[str, float], share: float) -> None:
        """What all workers know now, and how much of each rate is ours."""
        self.slowed = {**slowed, **{name: self.slowed[name] for name in self.changed if name in self.slowed}}
        self.share = share
        for name, known in self._domains.items():
            rate = self._rate(name) or 0.0
            known.bucket.set_rate(rate, rate / 4)
            if not rate:
                known.next_slot = 0.0

    def take_changes(self) -> dict[str, float]:
        """The rates that changed here since last asked, for the other workers; 0: the slowdown is over."""
        changes = {name: self.slowed.get(name, 0.0) for name in self.changed}
        self.changed.clear()
        return changes

    def _set(self, name: str, rate: float, known: _Domain, at: float) -> None:
        if rate >= min(FULL_SPEED, self.limits.get(name, FULL_SPEED)):
            self.slowed.pop(name, None)
        else:
            self.slowed[name] = rate
        self.changed.add(name)
        known.stepped_at, known.next_slot = at, at
        share = self._rate(name) or 0.0
        known.bucket.set_rate(share, share / 4)

    def _known(self, name: str, rate: float) -> _Domain:
        if name not in self._domains:
            self._domains[name] = _Domain(Bucket(rate, max(1.0, rate / 4)))
        return self._domains[name]

    def _whole_rate(self, name: str) -> float | None:
        return self.slowed.get(name, self.limits.get(name))

    def _rate(self, name: str) -> float | None:
        whole = self._whole_rate(name)
        return None if whole is None else whole * self.share


@dataclass(frozen=True, slots=True)
class Caps:
    """The most one mail server is given in any hour and any day (24 hours); 0 is no limit.

    `warm_up` is a new sending address's gentle start: the most on its first, second, ... day.
    """

    per_hour: int = 0
    per_day: int = 0
    warm_up: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.per_hour or self.per_day or self.warm_up)

    def left(self, this_hour: int, this_day: int, first_day: date | None, today: date) -> int | None:
        """How many more may go now, given how many went in the last hour and 24 hours; None: no limit."""
        day = (today - first_day).days if first_day else 0
        limits = [
            (self.per_hour, this_hour),
            (self.per_day, this_day),
            (self.warm_up[day] if 0 <= day < len(self.warm_up) else 0, this_day),
        ]
        rooms = [max(0, most - given) for most, given in limits if most]
        return min(rooms) if rooms else None
