"""What every sign-up passes, be it a form's or a program's: address, checks, limits, then the flow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from digest import subscribing
from digest.app import App, Clock
from digest.app.gate import admit
from digest.domain.addresses import Address
from digest.domain.gate import STALE_AFTER, is_by_hand, is_worked
from digest.domain.links import Purpose
from digest.domain.newsletters import Newsletter
from digest.domain.subscribers import Evidence
from digest.errors import InvalidAddress, InvalidToken
from digest.mail.exchangers import TakesMail
from digest.web.captcha import is_person
from digest.web.limiting import Limits

HONEYPOT = "website"  # a field no person sees; only programs fill it
HOLD = timedelta(seconds=60)  # a mail whose domain is being looked at goes out after that, whatever comes of it
_LOOKUPS = 8  # at a time
log = logging.getLogger("digest.web")


class OnceMore(Exception):
    """The form is to be shown once more, filled in: its stamp is missing, too fresh or too old, or a proof is."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a form has to show for itself. `is_static`: it stands on another's page, where no stamp can be."""

    stamp: str = ""
    work: str = ""
    captcha: str = ""
    is_static: bool = False

    @classmethod
    def of(cls, form: Mapping[str, str], captcha_field: str, *, is_static: bool) -> Proofs:
        """As a form of ours sends them."""
        return cls(form.get("stamp", ""), form.get("proof", ""), form.get(captcha_field, ""), is_static)


@dataclass(frozen=True, slots=True)
class Typed:
    """One attempt. `network` is what it is counted by; `proofs` None: a trusted server speaks, not a form."""

    email: str
    newsletter: Newsletter
    language: str
    name: str
    evidence: Evidence
    network: str
    proofs: Proofs | None
    is_trap: bool = False


@dataclass(slots=True)
class Entering:
    """The gate of the web; one for all ways in, as they share the limits."""

    app: App
    clock: Clock
    limits: Limits
    takes_mail: TakesMail
    _looks: set[asyncio.Task[None]] = field(default_factory=set)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LOOKUPS))

    def stamp(self) -> str:
        """For a form shown now."""
        return self.app.links.timed(Purpose.FORM, 0, self.clock())

    async def take(self, typed: Typed) -> None:
        """Let one attempt in. Whatever its address's standing, it takes the same way and the same time.

        Raises InvalidAddress, OnceMore, and HTTPException 429.
        """
        address = _mailable(self.app, typed.email)
        if typed.proofs is not None:
            self._look_at(typed.proofs, typed.email)
        began = asyncio.get_running_loop().time()
        if not await run_in_threadpool(self.limits.allow, typed.network, address.domain):
            raise HTTPException(429, headers={"Retry-After": "3600"})
        captcha = self.app.config.subscribing.captcha
        if typed.proofs is not None and captcha.verify_url and not await is_person(captcha, typed.proofs.captcha):
            raise OnceMore
        delivery_id = await run_in_threadpool(self._sign_up, address, typed)
        if delivery_id is not None and self.app.config.subscribing.check_mx:
            look = asyncio.create_task(self._screen(delivery_id, address.domain))
            self._looks.add(look)  # the loop itself keeps no hold of it
            look.add_done_callback(self._looks.discard)
        # A new row costs a database a tenth of a millisecond more than one that is there: nobody is to see that either.
        rest = began + self.app.config.subscribing.answer_after.total_seconds() - asyncio.get_running_loop().time()
        await asyncio.sleep(max(rest, 0.0))

    def _look_at(self, proofs: Proofs, typed: str) -> None:
        settings = self.app.config.subscribing
        has_more = settings.proof_of_work or settings.captcha.verify_url
        if proofs.is_static and not proofs.stamp and settings.static_forms == "accept" and not has_more:
            return
        now = self.clock()
        try:
            _, shown_at = self.app.links.read_timed(Purpose.FORM, proofs.stamp, now, STALE_AFTER)
        except InvalidToken:
            raise OnceMore from None
        if not is_by_hand(shown_at, now, settings.min_form_time):
            raise OnceMore
        if not is_worked(proofs.stamp, typed, proofs.work, settings.proof_of_work):
            raise OnceMore

    def _sign_up(self, address: Address, typed: Typed) -> int | None:
        request = subscribing.SignUp(
            address, typed.newsletter.name, typed.language, typed.name, typed.evidence, typed.is_trap
        )
        settings = self.app.config.subscribing
        hold = HOLD if settings.check_mx else timedelta(0)
        return subscribing.sign_up(self.app.store, self.app.links, request, settings.limits(), self.clock(), hold)

    async def _screen(self, delivery_id: int, domain: str) -> None:
        try:
            async with self._turns:
                found = await run_in_threadpool(self.takes_mail, domain)
            await run_in_threadpool(subscribing.screen, self.app.store, delivery_id, found, self.clock())
        except Exception:
            log.exception("whether %s takes mail could not be found out; its mail goes out all the same", domain)


def _mailable(app: App, typed: str) -> Address:
    address = admit(app.config, typed)
    if "." not in address.domain:
        raise InvalidAddress(typed, "the part after the @ should look like example.com")
    return address
