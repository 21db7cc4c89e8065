"""Readers' settings: how sign-ups are answered, how long things are kept, where bounces are read."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from digest.config_types import Duration, Section
from digest.domain.subscribers import ConfirmationLimits


class Subscribing(Section):
    """How sign-ups are answered."""

    confirm_within: Duration = timedelta(hours=72)
    cool_down: Duration = timedelta(minutes=10)
    daily_cap: int = Field(3, ge=1)
    sign_ups_per_hour: int = Field(20, ge=1)  # from one network
    remind_after: Duration = timedelta(hours=24)  # 0s: never
    purge_after: Duration = timedelta(days=30)
    keep_ip: Duration = timedelta(days=90)
    keep_proof: Duration = timedelta(days=3 * 365)
    consent: str = "I want {title} by e-mail. I can leave with one click, any time."

    def limits(self) -> ConfirmationLimits:
        """How often one mailbox may be asked."""
        return ConfirmationLimits(self.cool_down, self.daily_cap)


class Bounces(Section):
    """Where reports about our mail are read, and when failing for a while means failing for good."""


class Webhooks(Section):
    """The secrets of mail providers that report to us."""
