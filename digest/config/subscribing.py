"""Readers' settings: how sign-ups are answered, how long things are kept."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from digest.config.types import Duration, Section, between
from digest.domain.addresses import Address
from digest.domain.gate import MOST_BITS
from digest.domain.subscribers import ConfirmationLimits
from digest.errors import InvalidAddress


class Captcha(Section):
    """A service that tells people from programs, asked as hCaptcha and Turnstile are; none without `verify_url`."""

    verify_url: str = ""
    secret: SecretStr = SecretStr("")
    field: str = Field("h-captcha-response", pattern=r"^[A-Za-z0-9_-]+$")  # of the form, where its script puts its word
    site_key: str = ""
    script: str = ""  # the address of its script
    hosts: tuple[str, ...] = ()  # what the page may load from, such as https://*.hcaptcha.com

    @model_validator(mode="after")
    def _whole(self) -> Captcha:
        if not self.verify_url:
            return self
        if not (self.secret.get_secret_value() and self.site_key and self.script):
            raise ValueError("a captcha needs verify_url, secret, site_key and script, all of them")
        for each in (self.verify_url, self.script, *self.hosts):
            if not re.fullmatch(r"https?://[^\s;,'\"<>]+", each):
                raise ValueError(f"write a full web address, not {each!r}")
        return self


_CAN_BE_MET = between(
    "no link could be pressed in time; write 1m at least, better some days", least=timedelta(minutes=1)
)
_CAN_BE_WAITED = between("nobody looks at a form for that long; write 5m at most", most=timedelta(minutes=5))
_IS_BEARABLE = between("readers would think that nothing happens; write 2s at most", most=timedelta(seconds=2))


class Subscribing(Section):
    """How sign-ups are answered."""

    confirm_within: Annotated[Duration, _CAN_BE_MET] = timedelta(hours=72)
    cool_down: Duration = timedelta(minutes=10)
    daily_cap: int = Field(3, ge=1)
    sign_ups_per_hour: int = Field(20, ge=1)  # from one network
    domain_sign_ups_per_hour: int = Field(300, ge=1)
    all_sign_ups_per_hour: int = Field(3000, ge=1)
    limits_storage: str = Field("", pattern=r"^$|^(rediss?|unix|redis\+unix)://\S+$")
    min_form_time: Annotated[Duration, _CAN_BE_WAITED] = timedelta(seconds=2)
    answer_after: Annotated[Duration, _IS_BEARABLE] = timedelta(milliseconds=50)
    static_forms: Literal["accept", "ask"] = "accept"
    disposable: Literal["refuse", "allow"] = "refuse"
    refused_domains: tuple[str, ...] = ()
    check_mx: bool = False
    smtputf8: bool = False
    proof_of_work: int = Field(0, ge=0, le=MOST_BITS)
    captcha: Captcha = Captcha()
    api_token: SecretStr = SecretStr("")
    remind_after: Duration = timedelta(hours=24)  # 0s: never
    purge_after: Duration = timedelta(days=30)
    keep_ip: Duration = timedelta(days=90)
    keep_proof: Duration = timedelta(days=3 * 365)
    consent: str = "I want {title} by e-mail. I can leave with one click, any time."
    privacy_url: str = Field("", pattern=r"^$|^https?://\S+$")
    privacy_version: str = Field("", max_length=60)

    @field_validator("consent")
    @classmethod
    def _can_be_filled(cls, value: str) -> str:
        try:
            value.format(title="", site="")
        except (LookupError, ValueError, AttributeError):
            raise ValueError("of braces only {title} and {site} may stand in it; write {{ and }} for others") from None
        return value

    @field_validator("refused_domains")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({_domain(each) for each in value}))

    @field_validator("api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 16:
            raise ValueError("write at least 16 characters: whoever guesses it passes the form's checks")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Subscribing:
        if self.purge_after < self.confirm_within + self.remind_after:
            raise ValueError("purge_after comes before a reminder's link has ended: confirm_within + remind_after")
        return self

    def limits(self) -> ConfirmationLimits:
        """How often one mailbox may be asked."""
        return ConfirmationLimits(self.cool_down, self.daily_cap)


def _domain(text: str) -> str:
    """In lower-case A-labels, as addresses have it."""
    try:
        return Address.parse(f"x@{text.strip().lower().encode('idna').decode()}").domain
    except (InvalidAddress, UnicodeError):
        raise ValueError(f"{text!r} is not a domain: write it as in example.com") from None
