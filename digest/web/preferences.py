"""A reader's own page: which newsletters, how often, in which language, a pause; what we know, and being forgotten.

Its token is the authority: there is no session and no cookie, so nothing a strange site could make a browser send.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from digest import subscribing
from digest.app import App, Clock
from digest.domain.cells import name_in
from digest.domain.deliveries import Mail
from digest.domain.newsletters import BlockKind, Newsletter
from digest.domain.pauses import WEEKS, pause_end
from digest.domain.subscribers import Evidence, Rhythm, SubscriptionState
from digest.errors import InvalidToken
from digest.subscribing import preferring
from digest.subscribing.preferring import Standing
from digest.web.clients import Clients
from digest.web.forms import read_form
from digest.web.leaving import Goodbye, cut_off, evidence_of, paused_until, site_zone
from digest.web.limiting import Limits
from digest.web.pages import NAMES, Pages

_LONGEST_NAME = 100  # characters
_NO_WAIT = timedelta(0)
_ASKED_BY_MAIL = {"own-data": Mail.OWN_DATA, "forget": Mail.ERASURE}


def router(app: App, pages: Pages, clients: Clients, limits: Limits, clock: Clock) -> APIRouter:
    """`/preferences/<token>`."""
    routes = APIRouter(include_in_schema=False)
    page = Preferences(app, pages, clients, limits, clock)
    routes.add_api_route("/preferences/{token}", page.show, methods=["GET", "HEAD"])
    routes.add_api_route("/preferences/{token}", page.act, methods=["POST"])
    return routes


class Preferences:
    """The page, and what its buttons do."""

    def __init__(self, app: App, pages: Pages, clients: Clients, limits: Limits, clock: Clock) -> None:
        self._app, self._pages, self._clients, self._limits, self._clock = app, pages, clients, limits, clock
        self._goodbye = Goodbye(app, pages)

    def show(self, token: str) -> Response:
        """How it stands."""
        return self._page(token)

    async def act(self, token: str, request: Request) -> Response:
        """Save; or leave everything; or ask by mail what only the reader's mailbox may ask."""
        form = await read_form(request, max_fields=20 + 3 * len(self._app.newsletters))
        acts = {"save": self._save, "leave": self._leave, "own-data": self._ask, "forget": self._ask}
        act = acts.get(form.get("do", ""))
        if act is None:
            return await run_in_threadpool(self._page, token, 400, said="nothing")
        proof, network = evidence_of(request, self._clients), self._clients.network(self._clients.address(request))
        try:
            return await run_in_threadpool(act, token, form, proof, network)
        except InvalidToken:
            return cut_off(self._app, self._pages, "page")

    def _save(self, token: str, form: Mapping[str, str], proof: Evidence, network: str) -> Response:
        now, store, links = self._clock(), self._app.store, self._app.links
        standing = self._standing(token, now)
        if standing is None:
            return self._page(token)
        had, wanted = ({each for each in self._app.newsletters if f"{word}-{each}" in form} for word in ("had", "get"))
        joins = [each for each in self._app.newsletters if each in wanted - had and not standing.gets(each)]
        if joins and not self._limits.allow(network, standing.named.address.domain):
            raise HTTPException(429, headers={"Retry-After": "3600"})
        if standing.may_ask:
            for name in joins:
                self._sign_up(standing, name, form, proof, now)
        preferring.change(store, links, token, self._wishes(standing, had - wanted, form, now), proof, now)
        gone = [each for each in self._app.newsletters if each in had - wanted and standing.gets(each)]
        return self._page(token, said="saved", joined=joins, gone=gone)

    def _sign_up(self, standing: Standing, name: str, form: Mapping[str, str], proof: Evidence, now: datetime) -> None:
        """As the form would: a mail asks to confirm. The wait between two was looked at before, for all of them."""
        newsletter, named = self._app.newsletters[name], standing.named
        code = self._language(standing, form) or self._pages.chosen(named.language, newsletter)
        evidence = replace(
            proof,
            address_as_typed=named.address.text,
            wording=self._pages.words(newsletter, code)["consent"],
            language=code,
            form=self._app.links.url("preferences"),
        )
        limits = replace(self._app.config.subscribing.limits(), cool_down=_NO_WAIT)
        request = subscribing.SignUp(named.address, name, code, named.name, evidence)
        subscribing.sign_up(self._app.store, self._app.links, request, limits, now)

    def _wishes(
        self, standing: Standing, leaves: set[str], form: Mapping[str, str], now: datetime
    ) -> preferring.Wishes:
        rhythms = {"every": Rhythm.EVERY, "monthly": Rhythm.MONTHLY}
        chosen = {each: rhythms.get(form.get(f"rhythm-{each}", "")) for each in self._app.newsletters}
        pauses = {str(weeks): pause_end(now, weeks, site_zone(self._app)) for weeks in WEEKS} | {"0": now}
        return preferring.Wishes(
            leaves=leaves,
            rhythms={name: rhythm for name, rhythm in chosen.items() if rhythm is not None},
            language=self._language(standing, form),
            name=name_in(form["name"][:_LONGEST_NAME]) if "name" in form else None,
            paused_until=pauses.get(form.get("pause", "")),
        )

    def _language(self, standing: Standing, form: Mapping[str, str]) -> str | None:
        """The language chosen now, if it is offered and another than before."""
        code = form.get("language", "")
        return code if code in self._pages.languages and code != standing.named.language else None

    def _leave(self, token: str, form: Mapping[str, str], proof: Evidence, network: str) -> Response:
        left = preferring.leave_everything(self._app.store, self._app.links, token, proof, self._clock())
        if not left:
            return self._page(token, said="left")
        still = [each for each in left if each.newsletter in self._app.newsletters]  # one that can be come back to
        return self._goodbye.page(still or left)

    def _ask(self, token: str, form: Mapping[str, str], proof: Evidence, network: str) -> Response:
        mail, limits = _ASKED_BY_MAIL[form["do"]], self._app.config.subscribing.limits()
        preferring.ask_by_mail(self._app.store, self._app.links, token, mail, limits, self._clock())
        return self._page(token, said=form["do"])

    # --- what is shown ---------------------------------------------------------------------------

    def _standing(self, token: str, now: datetime) -> Standing | None:
        limits = self._app.config.subscribing.limits()
        return preferring.standing(self._app.store, self._app.links, token, limits, now)

    def _page(
        self, token: str, status: int = 200, *, said: str = "", joined: Sequence[str] = (), gone: Sequence[str] = ()
    ) -> Response:
        now = self._clock()
        try:
            standing = self._standing(token, now)
        except InvalidToken:
            return cut_off(self._app, self._pages, "page")
        if standing is None:
            return cut_off(self._app, self._pages, "gone", 410)
        named = standing.named
        offered = dict.fromkeys((*self._pages.languages, named.language))
        pauses = [
            until
            for each in standing.subscriptions
            if standing.gets(each.newsletter) and (until := paused_until(each, now, self._app))
        ]
        facts: dict[str, Any] = {
            "address": named.address.masked,
            "name": named.name,
            "choices": [self._choice(each, standing, named.language) for each in self._app.newsletters.values()],
            "spoken": [(code, NAMES.get(code, code)) for code in offered],
            "until": max(pauses, default=None),
            "weeks": WEEKS,
            "said": said,
            "joined": [self._app.newsletters[each].title for each in joined],
            "gone": [self._app.newsletters[each].title for each in gone],
        }
        return self._pages.page("preferences.html", status, code=named.language, **facts)

    def _choice(self, newsletter: Newsletter, standing: Standing, code: str) -> dict[str, Any]:
        found = standing.to(newsletter.name)
        blocks = newsletter.selection.blocks
        sections = [each.section for each in blocks if each.kind is BlockKind.SECTION]
        languages = {each.language for each in self._app.newsletters.values()}
        return {
            **self._pages.words(newsletter, code),
            "schedule": newsletter.schedule,
            "sections": sections if len(sections) == len(blocks) else [],
            "spoken": NAMES.get(newsletter.language, "") if len(languages) > 1 else "",
            "gets": standing.gets(newsletter.name),
            "is_asked": found is not None and found.state is SubscriptionState.PENDING,
            "is_monthly": found is not None and found.rhythm is Rhythm.MONTHLY,
        }
