"""FLOW, subscribing's part: the readers' numbers put together; nothing is changed and nobody is named."""

from __future__ import annotations

from datetime import datetime, timedelta

from digest.domain.newsletters import Newsletter
from digest.domain.statistics import ReaderStatistics
from digest.domain.subscribers import SubscriptionState
from digest.store import Store, statistics

EDITIONS = 12
PROVIDERS = 10


def of_readers(
    store: Store,
    newsletter: Newsletter,
    days: int,
    now: datetime,
    *,
    confirm_within: timedelta,
    purge_after: timedelta,
) -> ReaderStatistics:
    """The numbers of the last so many days, today included.

    A sign-up counts for the confirm rate once its link is over, and only while those never confirmed are still kept.
    """
    today = now.astimezone(newsletter.zone).date()
    since = now - timedelta(days=days)
    name = newsletter.name
    with store.read() as tx:
        states = statistics.states(tx)
        suppressed, paused, monthly = statistics.asides(tx, name, now)
        asked, answered = statistics.answered(tx, name, max(since, now - purge_after), now - confirm_within)
        return ReaderStatistics(
            newsletter=name,
            at=now,
            states={each.value: states.get((name, each.value), 0) for each in SubscriptionState},
            suppressed=suppressed,
            paused=paused,
            monthly=monthly,
            asked=asked,
            answered=answered,
            days=tuple(statistics.days(tx, name, newsletter.zone, today - timedelta(days=days - 1), today)),
            editions=tuple(statistics.by_edition(tx, name, EDITIONS, now)),
            providers=tuple(statistics.by_provider(tx, name, since, PROVIDERS)),
            farewells=statistics.farewell_reasons(tx, name, since),
        )
