"""What mail providers report to us: `/webhooks/<provider>`. They prove who they are; a replay changes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from digest.app import App, Clock
from digest.app.bounces import Returns
from digest.domain.reports import Report
from digest.errors import SourceError, StoreUnavailable
from digest.web import webhook_events as events
from digest.web.webhook_signatures import Fetch, Sns, confirms_at, is_of_mailgun, is_of_sendgrid, shows

PROVIDERS = ("ses", "mailgun", "postmark", "sendgrid", "brevo")
PATHS = frozenset(f"/webhooks/{name}" for name in PROVIDERS)
_MAX_BYTES = 1_000_000  # of a request: a batch of events, or a report by mail inside one
_MOST_EVENTS = 5_000  # of a request
log = logging.getLogger("digest.web")


class _Refused(Exception):
    """Answered with `status` and a JSON object that says why."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        self.reply = JSONResponse({"error": error}, status, headers)


def router(app: App, clock: Clock, fetch: Fetch | None = None) -> APIRouter:
    """One route for all providers; one that is not configured is not there. `fetch` asks Amazon."""
    routes = APIRouter(include_in_schema=False)
    intake = _Intake(app, clock, fetch or _from_amazon)
    takers = {name: getattr(intake, name) for name in intake.configured()}

    @routes.post("/webhooks/{provider}")
    async def take(provider: str, request: Request) -> Response:
        if provider not in takers:
            raise HTTPException(404)
        try:
            reports = await takers[provider](request)
            followed = await run_in_threadpool(intake.follow, provider, reports)
            return JSONResponse({"events": followed})
        except _Refused as refused:
            return refused.reply
        except (SourceError, StoreUnavailable) as error:
            log.error("webhook of %s: %s", provider, error)
            return JSONResponse({"error": "not now; send it again"}, 503, {"Retry-After": "60"})

    return routes


class _Intake:
    """Takes what each provider posts: sees that it is from them, and makes reports of it."""

    def __init__(self, app: App, clock: Clock, fetch: Fetch) -> None:
        self._returns = Returns(app)
        self._settings = app.config.webhooks
        self._clock = clock
        self._sns = Sns(fetch)

    def configured(self) -> Iterator[str]:
        """The providers that have a secret."""
        settings = self._settings
        secrets = (
            settings.ses.topics,
            settings.mailgun.secret.get_secret_value(),
            settings.postmark.password.get_secret_value(),
            settings.sendgrid.public_key,
            settings.brevo.token.get_secret_value(),
        )
        return (name for name, secret in zip(PROVIDERS, secrets, strict=True) if secret)

    def follow(self, provider: str, reports: list[Report]) -> int:
        """Act on reports; returns how many had a token of ours."""
        return sum(self._returns.follow(each, self._clock(), provider).is_ours for each in reports)

    async def ses(self, request: Request) -> list[Report]:
        """SNS posts JSON as text/plain; what it carries is JSON again, in `Message`."""
        message = _object(_parsed(await _body(request)))
        if not await self._sns.is_signed(message, self._clock()):
            raise _Refused(403, "the signature is not Amazon's")
        if message.get("TopicArn") not in self._settings.ses.topics:
            raise _Refused(403, "the topic is not among [webhooks.ses] topics")
        if message["Type"] == "SubscriptionConfirmation":
            if not (url := confirms_at(message)):
                raise _Refused(400, "SubscribeURL is no address of SNS")
            await self._sns.fetch(url)
            log.info("the SNS topic %s reports to us from now on", message["TopicArn"])
        if message["Type"] != "Notification":
            return []
        try:
            return list(events.of_ses(_object(_parsed(str(message.get("Message", "")).encode("utf-8", "replace")))))
        except _Refused:
            return []  # SNS's own test message, or another service's: signed, and no news of mail

    async def mailgun(self, request: Request) -> list[Report]:
        """Signed inside the JSON."""
        message = _object(_parsed(await _body(request)))
        secret = self._settings.mailgun.secret.get_secret_value()
        if not is_of_mailgun(message.get("signature"), secret, self._clock()):
            raise _Refused(403, "the signature is not Mailgun's, or more than twelve hours old")
        if not isinstance(message.get("event-data"), Mapping):
            raise _Refused(400, "there is no event-data in it")
        return list(events.of_mailgun(message))

    async def postmark(self, request: Request) -> list[Report]:
        """The password comes first; only then is anything read."""
        _check_shown(request, self._settings.postmark.password.get_secret_value())
        return list(events.of_postmark(_object(_parsed(await _body(request)))))

    async def sendgrid(self, request: Request) -> list[Report]:
        """The body is signed as it came."""
        body = await _body(request)
        name = "x-twilio-email-event-webhook"
        timestamp, signature = (request.headers.get(f"{name}-{part}", "") for part in ("timestamp", "signature"))
        if not is_of_sendgrid(self._settings.sendgrid.public_key, timestamp, signature, body):
            raise _Refused(403, "the signature is not SendGrid's")
        return _each(body, events.of_sendgrid)

    async def brevo(self, request: Request) -> list[Report]:
        """The token comes first; only then is anything read."""
        _check_shown(request, self._settings.brevo.token.get_secret_value())
        return _each(await _body(request), events.of_brevo)


def _check_shown(request: Request, secret: str) -> None:
    if not shows(request.headers.get("authorization", ""), secret):
        raise _Refused(401, "the password or token is missing or wrong", {"WWW-Authenticate": 'Basic realm="Digest"'})


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _MAX_BYTES:
            raise _Refused(413, f"it is larger than {_MAX_BYTES:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(400, "it is not JSON") from None


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Refused(400, "it is not a JSON object")
    return value


def _each(body: bytes, made: Callable[[Mapping[str, Any]], Iterator[Report]]) -> list[Report]:
    """Reports of a list of events, or of one event."""
    value = _parsed(body)
    items = value if isinstance(value, list) else [value]
    if len(items) > _MOST_EVENTS:
        raise _Refused(400, f"there are more than {_MOST_EVENTS:,} events in it")
    return [report for item in items for report in made(_object(item))]


async def _from_amazon(url: str) -> bytes:
    """What is at an SNS address; never in a private network, wherever its name may lead."""
    # Here, not at the top: only who has SES needs an HTTP client.
    from digest.sources.fetch import Fetcher

    async with Fetcher("sns", timedelta(seconds=10), 100_000, tries=2) as fetcher:
        return (await fetcher.get(url)).content or b""
