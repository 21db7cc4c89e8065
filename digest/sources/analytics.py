"""What adapters of analytics services share: where to begin, counts, refusals told with their remedy."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from digest.config.sources import SourceSection
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.counting import AttentiveFetcher
from digest.sources.fetch import Fetched
from digest.sources.plain import folded
from digest.sources.rows import MOST_VIEWS

FIRST_BACK = timedelta(weeks=5)  # so that the desk has weeks to compare with
_MOST_REQUESTS = 500  # in one reading; five weeks of a large site take a hundred
_LONGEST_REASON = 300


class ApiFetcher(AttentiveFetcher):
    """Tells a refusal in the service's own words, never with `secret`, and says what to do by its status."""

    secret: str = ""
    remedies: Mapping[int, str] = {}
    requests: int = 0

    @classmethod
    def asking(
        cls,
        section: SourceSection,
        url: str,
        secret: str,
        remedies: Mapping[int, str],
        *,
        headers: Mapping[str, str] | None = None,
        every: float = 0.0,
    ) -> ApiFetcher:
        """For the API at `url`, with the limits of `section`."""
        fetcher = cls.of(section, url, headers=headers, every=every)
        assert isinstance(fetcher, cls)
        fetcher.secret, fetcher.remedies = secret, remedies
        return fetcher

    def shown(self, text: object) -> str:
        """What the service said, as it may be shown."""
        said = str(text).replace(self.secret, "…") if self.secret else str(text)
        return folded(html.unescape(said), _LONGEST_REASON)

    async def get_json(self, url: str, **asked: Any) -> tuple[Any, Fetched]:
        """Read JSON: (value, reply). Raises SourceError, also when there is no end to a reading."""
        self.requests += 1
        if self.requests > _MOST_REQUESTS:
            raise self._error(
                url, f"it has no end: we asked {_MOST_REQUESTS} times", "See what answers at this address"
            )
        try:
            return await super().get_json(url, **asked)
        except SourceError as error:
            if self.refusal is None:
                raise
            said = self.refusal.words("error", "message")
            reason = f"the server answered {self.refusal.status}: {self.shown(said)}" if said else error.reason
            remedy = self.remedies.get(self.refusal.status, error.remedy)
            raise SourceError(error.source, error.place, reason, remedy, status=self.refusal.status) from None


def begin(reading: Reading, late: timedelta) -> datetime:
    """The moment to read from: the last reading less what may come `late`, but no more than five weeks back."""
    earliest = reading.now - FIRST_BACK
    if reading.since is None:
        return earliest
    return max(earliest, min(reading.since, reading.now) - late)


def views_in(value: object) -> int:
    """A count as JSON brings it, also as text. Raises ValueError when it cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > MOST_VIEWS:
        raise ValueError(f"{str(value)[:40]!r} is no count of views")
    return int(text)


def unreadable(source: str, place: str, answer: object, service: str) -> SourceError:
    """The error for an answer whose shape is not the documented one."""
    begins = folded(json.dumps(answer)[:500], 120)
    remedy = f"Check that this is the address of {service}, and update it"
    return SourceError(source, place, f"its answer is not one of {service}'s; it begins {begins}", remedy)
