"""`/metrics` for Prometheus: readers, editions, deliveries, reports; counted anew twice a minute at most."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest.app import App, Clock
from digest.domain.deliveries import DeliveryState
from digest.domain.editions import EditionState
from digest.domain.reports import ReportKind
from digest.domain.subscribers import SubscriptionState
from digest.domain.suppressions import SuppressionKind
from digest.store import Transaction, deliveries, editions, statistics, workers

ALIVE = timedelta(seconds=20)  # since the last heartbeat
FRESH_FOR = 30.0  # seconds: a count of a million readers is not made for every scrape


class Numbers:
    """What Prometheus is given: a collector that asks the database."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        with self._app.store.read() as tx:
            readers = GaugeMetricFamily(
                "digest_subscriptions", "Subscriptions by state.", labels=["newsletter", "state"]
            )
            none = {(name, str(state)): 0 for name in self._app.newsletters for state in SubscriptionState}
            for (newsletter, state), number in sorted((none | statistics.states(tx)).items()):
                readers.add_metric([newsletter, state], number)
            suppressed = GaugeMetricFamily("digest_suppressions", "Suppressed addresses by kind.", labels=["kind"])
            _add_kinds(suppressed, SuppressionKind, statistics.suppressed(tx))
            reports = CounterMetricFamily("digest_reports", "Reports about our mail by kind.", labels=["kind"])
            kept = (kind for kind in ReportKind if kind is not ReportKind.OTHER)  # ordinary mail leaves no row
            _add_kinds(reports, kept, statistics.returned(tx))
            yield from (readers, suppressed, reports)
            yield GaugeMetricFamily("digest_letters_waiting", "Letters that wait to be sent.", statistics.waiting(tx))
            yield from self._of_editions(tx)
            now = self._clock()
            alive = [each for each in workers.not_stopped(tx) if now - each.heartbeat_at < ALIVE]
        yield GaugeMetricFamily("digest_senders", "Senders that are alive.", len(alive))
        yield GaugeMetricFamily("digest_messages_per_second", "What they send, lately.", sum(e.rate for e in alive))

    def _of_editions(self, tx: Transaction) -> Iterator[Metric]:
        sent = GaugeMetricFamily(
            "digest_edition_sent_timestamp_seconds", "When the last edition had gone out.", labels=["newsletter"]
        )
        rows = GaugeMetricFamily(
            "digest_deliveries", "Deliveries of the newest edition by state.", labels=["newsletter", "edition", "state"]
        )
        for name in self._app.newsletters:
            out = editions.listed(tx, name, (EditionState.SENDING, EditionState.PAUSED, EditionState.SENT), 1)
            number, counts = (out[0].number, deliveries.counts(tx, out[0].id)) if out else (0, {})
            for state in DeliveryState:
                rows.add_metric([name, str(number), state], counts.get(state, 0))
            gone = editions.listed(tx, name, (EditionState.SENT,), 1)
            sent.add_metric([name], gone[0].sent_at.timestamp() if gone and gone[0].sent_at else 0.0)
        yield from (rows, sent)


def _add_kinds(family: GaugeMetricFamily | CounterMetricFamily, kinds: Iterable[str], found: Mapping[str, int]) -> None:
    """A series for each kind, also where there is none yet: what appears only with its first count has no increase."""
    for kind, number in sorted((dict.fromkeys(map(str, kinds), 0) | dict(found)).items()):
        family.add_metric([re.sub(r"\W", "_", kind)], number)


def router(app: App, clock: Clock) -> APIRouter:
    """`/metrics`: for who shows the token of [metrics] token; without one, for this very machine only."""
    routes = APIRouter(include_in_schema=False)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Numbers(app, clock))
    kept: list[tuple[float, bytes]] = []

    @routes.api_route("/metrics", methods=["GET", "HEAD"])
    def show(request: Request) -> Response:
        if not _may_see(request, app.config.metrics.token.get_secret_value()):
            raise HTTPException(404)
        if not kept or time.monotonic() - kept[0][0] > FRESH_FOR:
            kept[:] = [(time.monotonic(), generate_latest(registry))]
        return Response(kept[0][1], media_type=CONTENT_TYPE_LATEST)

    return routes


def _may_see(request: Request, token: str) -> bool:
    """A proxy before us says for whom it asks; who comes through one has to show the token."""
    if token:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())
    if any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via")):
        return False
    try:
        return ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False
