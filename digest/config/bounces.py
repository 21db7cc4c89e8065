"""Settings of what comes back: the mailbox of reports, the patience with soft bounces, providers that report to us."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from digest.config.types import Duration, Section
from digest.domain.bouncing import SoftRule

_SECRET = SecretStr("")


class Bounces(Section):
    """Where reports about our mail are read, and when failing for a while means failing for good."""

    inbox: Literal["", "imap", "pop3", "maildir"] = ""  # empty: none; a pipe or webhooks may bring reports
    host: str = ""
    port: int = Field(0, ge=0, le=65535)  # 0: the usual port of `security`
    security: Literal["tls", "starttls", "none"] = "tls"
    username: str = ""
    password: SecretStr = _SECRET
    ca_file: str = ""
    folder: str = Field("INBOX", min_length=1)
    path: str = ""
    processed: str = Field("Digest/Processed", pattern=r"^$|^[^./\x00-\x1f][^\x00-\x1f]*$")
    every: Duration = timedelta(minutes=5)
    soft_limit: int = Field(5, ge=2)
    soft_over: Duration = timedelta(weeks=3)

    @model_validator(mode="after")
    def _whole(self) -> Bounces:
        if self.inbox == "maildir" and not self.path:
            raise ValueError("a maildir needs its path")
        if self.inbox in ("imap", "pop3"):
            missing = [key for key in ("host", "username") if not getattr(self, key)]
            if missing:
                raise ValueError(f"{self.inbox} needs {' and '.join(missing)} too")
            if not self.password.get_secret_value():
                raise ValueError(f"{self.inbox} needs a password: give it a password_file")
        if self.every < timedelta(seconds=30):
            raise ValueError("every: write 30s at least")
        return self

    def rule(self) -> SoftRule:
        """When soft bounces mean that a mailbox is given up."""
        return SoftRule(self.soft_limit, self.soft_over)


class Ses(Section):
    """Amazon SES, through SNS."""

    topics: tuple[Annotated[str, Field(pattern=r"^arn:aws[\w-]*:sns:[\w-]+:\d+:[\w-]+$")], ...] = ()


class Mailgun(Section):
    """Mailgun signs with a key of the account."""

    secret: SecretStr = _SECRET


class Postmark(Section):
    """Postmark shows the password that stands in the address it is given."""

    password: SecretStr = _SECRET


class SendGrid(Section):
    """SendGrid signs with a key of its own; this is its public half."""

    public_key: str = ""

    @field_validator("public_key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            raise ValueError("write the verification key as SendGrid shows it: one line of base64") from None
        return value


class Brevo(Section):
    """Brevo shows a token."""

    token: SecretStr = _SECRET


class Webhooks(Section):
    """The secrets of mail providers that report to us."""

    ses: Ses = Ses()
    mailgun: Mailgun = Mailgun()
    postmark: Postmark = Postmark()
    sendgrid: SendGrid = SendGrid()
    brevo: Brevo = Brevo()
