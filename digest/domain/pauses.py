"""How long a reader may be let alone."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKS = (2, 4, 8)  # what is offered


def pause_end(now: datetime, weeks: int, zone: ZoneInfo) -> datetime:
    """When a pause of so many weeks is over, in `zone`: as its last day begins, so that its edition comes."""
    day = now.astimezone(zone).date() + timedelta(weeks=weeks)
    return datetime.combine(day, time(0), zone)
