"""How many sign-ups an hour: from one network, to one domain, in all; counted here, or in Redis for all processes."""

from __future__ import annotations

import logging
import time
from threading import Lock

from limits import RateLimitItemPerHour
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from digest.config.subscribing import Subscribing
from digest.domain.pace import is_large

_AWAY = 30.0  # seconds before a Redis that did not answer is asked again
_PATIENCE = 0.5  # seconds for one answer of it
log = logging.getLogger("digest.web")


class Limits:
    """The three limits. While Redis is away each process counts for itself: the form stays open, and guarded."""

    def __init__(self, settings: Subscribing) -> None:
        self._network = RateLimitItemPerHour(settings.sign_ups_per_hour, namespace="digest-network")
        self._domain = RateLimitItemPerHour(settings.domain_sign_ups_per_hour, namespace="digest-domain")
        self._all = RateLimitItemPerHour(settings.all_sign_ups_per_hour, namespace="digest-all")
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if settings.limits_storage:
            waits = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}
            storage = storage_from_string(settings.limits_storage, wrap_exceptions=True, **waits)
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._away_until = 0.0
        self._lock = Lock()

    def allow(self, network: str, domain: str) -> bool:
        """Count one sign-up from a network, empty when that is not known, to an address of a domain.

        The domains of the large providers are not counted by themselves: half of all readers are there.
        """
        if network and not self._hit(self._network, network):
            return False
        if not is_large(domain) and not self._hit(self._domain, domain):
            return False
        return self._hit(self._all, "all")

    def _hit(self, limit: RateLimitItemPerHour, key: str) -> bool:
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                allowed = self._shared.hit(limit, key)
                self._came_back()
                return allowed
            except StorageError as error:
                self._went_away(error)
        return self._own.hit(limit, key)

    def _went_away(self, error: StorageError) -> None:
        with self._lock:
            if not self._away_until:
                log.warning("the limits' storage does not answer, each process counts for itself: %s", error)
            self._away_until = time.monotonic() + _AWAY

    def _came_back(self) -> None:
        with self._lock:
            if self._away_until:
                log.warning("the limits' storage answers again")
            self._away_until = 0.0
