"""Every setting with its type and default; `reading` reads them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from digest.config.bounces import Bounces, Webhooks
from digest.config.mail import Dkim, Mail, ThemeSection
from digest.config.newsletters import NewsletterSection
from digest.config.sources import AnySource
from digest.config.subscribing import Subscribing
from digest.config.types import (
    Duration,
    Line,
    Mailbox,
    PublicAddress,
    Section,
    WebAddress,
    Zone,
    is_loopback,
    split_mailbox,
)
from digest.domain.articles import Pages
from digest.domain.newsletters import (
    Newsletter,
    Plausibility,
)
from digest.domain.pace import provider
from digest.domain.periods import Schedule

__all__ = ["Config", "is_loopback", "split_mailbox"]


class Site(Section):
    """The publisher's site."""

    name: Line
    url: WebAddress
    language: Literal["en", "pl", "uk"] = "en"
    timezone: Zone = "UTC"
    postal_address: str = ""
    languages: tuple[Literal["en", "pl", "uk"], ...] = ()  # that sign-up pages offer besides `language`
    prefixes: tuple[Annotated[str, Field(pattern=r"^(/[^/?#\s]+)+/?$")], ...] = ()


class Web(Section):
    """The public pages. Links in mails are made from `base_url` only."""

    base_url: PublicAddress
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    secret: SecretStr
    trusted_proxies: tuple[str, ...] = ()
    archive_noindex: bool = False

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 8:
            raise ValueError("the secret is too short to protect anything; `digest init` makes a good one")
        return value


class Metrics(Section):
    """Who may look at /metrics."""

    token: SecretStr = SecretStr("")  # empty: only who asks from this very machine


class Database(Section):
    """Where the state is kept."""

    url: str = "sqlite:///digest.db"

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.startswith("postgresql://"):
            return value.replace("postgresql://", "postgresql+psycopg://", 1)
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("write sqlite:///digest.db or postgresql+psycopg://user:password@host/database")
        return value


class SmtpServer(Section):
    """A mail server or provider the mail leaves through."""

    host: str = "localhost"
    port: int = Field(0, ge=0, le=65535)  # 0: the usual port of `security`
    security: Literal["", "starttls", "tls", "none"] = ""  # empty: starttls, or none on this machine
    username: str = ""
    password: SecretStr = SecretStr("")
    connections: int = Field(10, ge=1, le=200)
    messages_per_connection: int = Field(0, ge=0)
    per_second: float = Field(0, ge=0)
    per_hour: int = Field(0, ge=0)
    per_day: int = Field(0, ge=0)
    warm_up: tuple[Annotated[int, Field(ge=1)], ...] = ()
    weight: int = Field(1, ge=0, le=1000)
    pipelining: Literal["auto", "never"] = "auto"
    ca_file: str = ""
    connect_timeout: Duration = timedelta(seconds=30)
    greeting_timeout: Duration = timedelta(minutes=5)
    command_timeout: Duration = timedelta(minutes=5)
    data_timeout: Duration = timedelta(minutes=2)
    block_timeout: Duration = timedelta(minutes=3)
    end_timeout: Duration = timedelta(minutes=10)
    local_hostname: str = ""

    @property
    def effective_security(self) -> str:
        """What `security` means for this host."""
        return self.security or ("none" if is_loopback(self.host) else "starttls")

    @property
    def effective_port(self) -> int:
        """The port to connect to."""
        return self.port or {"starttls": 587, "tls": 465, "none": 25}[self.effective_security]


class Smtp(SmtpServer):
    """The mail server; or what several have in common, each of which may say otherwise for itself."""

    servers: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")], SmtpServer] = Field({})

    @field_validator("password")
    @classmethod
    def _with_a_name(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("username") and not value.get_secret_value():
            raise ValueError("username is set but the password is missing: set DIGEST_SMTP__PASSWORD or password_file")
        return value

    def each(self) -> dict[str, SmtpServer]:
        """Every server by its name, whole."""
        shared = self.model_dump(exclude={"servers"})
        merged = {
            name: SmtpServer.model_validate(shared | {key: getattr(own, key) for key in own.model_fields_set})
            for name, own in self.servers.items()
        }
        return merged or {"smtp": SmtpServer.model_validate(shared)}


class Desk(Section):
    """The editors. Each address hears of drafts, holds and troubles."""

    addresses: tuple[Mailbox, ...] = ()


class Collecting(Section):
    """How often the sources are read."""

    every: Duration = timedelta(minutes=15)
    keep_hours: Duration = timedelta(days=90)
    look_again: bool = True

    @field_validator("keep_hours")
    @classmethod
    def _six_weeks(cls, value: timedelta) -> timedelta:
        # Sources are first read five weeks back, and a week is held against the four before: those need their hours.
        if value < timedelta(weeks=6):
            raise ValueError("write six weeks (42d) at least: five are read and compared by the hour")
        return value


class Delivering(Section):
    """How patient the sender is."""

    give_up_after: Duration = timedelta(hours=24)
    first_retry: Duration = timedelta(minutes=5)
    refusals_in_a_row: int = Field(5, ge=1)
    keep_sent: Duration = timedelta(days=180)
    domains: dict[str, Annotated[float, Field(gt=0)]] = Field({})

    @field_validator("domains")
    @classmethod
    def _lower(cls, value: dict[str, float]) -> dict[str, float]:
        return {provider(name.strip().lower()): rate for name, rate in value.items()}


class Config(Section):
    """The whole configuration; `folder` is where config.toml lies, and what its paths are relative to."""

    site: Site
    web: Web
    database: Database = Database()
    smtp: Smtp = Smtp()
    dkim: Dkim = Dkim()
    mail: Mail
    theme: ThemeSection = ThemeSection()
    desk: Desk = Desk()
    collecting: Collecting = Collecting()
    delivering: Delivering = Delivering()
    subscribing: Subscribing = Subscribing()
    bounces: Bounces = Bounces()
    webhooks: Webhooks = Webhooks()
    metrics: Metrics = Metrics()
    newsletters: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")], NewsletterSection] = Field(
        min_length=1
    )
    sources: tuple[AnySource, ...] = ()
    folder: Path = Field(Path(), exclude=True)
    file: Path | None = Field(None, exclude=True)  # what was read, to see when it changes

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, value: tuple[AnySource, ...]) -> tuple[AnySource, ...]:
        names = [source.name for source in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are named {twice[0]!r}; give each a name of its own")
        return value

    @field_validator("smtp")
    @classmethod
    def _passwords_are_there(cls, value: Smtp) -> Smtp:
        for name, server in value.each().items():  # each may have a name of its own, and one for the other
            if server.username and not server.password.get_secret_value():
                raise ValueError(f"servers.{name} has a username but no password: give it a password_file")
        return value

    @model_validator(mode="after")
    def _views_come_from_sources(self) -> Config:
        known = {source.name for source in self.sources}
        for name, section in self.newsletters.items():
            if unknown := sorted(set(section.selection.views_from) - known):
                raise ValueError(
                    f"newsletters.{name}.selection.views_from: there is no source {unknown[0]!r};"
                    f" config.toml has: {', '.join(sorted(known)) or 'none yet: add a [[sources]] section'}"
                )
        return self

    def newsletter(self, name: str) -> Newsletter:
        """The newsletter of that name. Raises KeyError."""
        section = self.newsletters[name]
        zone = ZoneInfo(section.timezone or self.site.timezone)
        return Newsletter(
            name=name,
            title=section.title,
            language=section.language or self.site.language,
            zone=zone,
            schedule=Schedule.parse(section.schedule, zone),
            cutoff=Schedule.parse(section.cutoff or section.schedule, zone),
            catch_up=section.catch_up,
            approval=section.approval,
            selection=section.selection.selection(),
            plausibility=Plausibility(**dict(section.plausibility)),
            source_order=tuple(source.name for source in self.sources),
        )

    @property
    def pages(self) -> Pages:
        """How the site's pages are told apart."""
        return Pages(self.site.url, self.site.prefixes)

    @property
    def site_hosts(self) -> list[str]:
        """The hosts whose links get the campaign."""
        return [urlsplit(self.site.url).hostname or "", *self.mail.utm.hosts]

    @property
    def image_folder(self) -> Path:
        """Where resized pictures are kept."""
        if self.mail.image_folder:
            return self.folder / self.mail.image_folder
        scheme, _, path = self.database_url.partition(":///")
        return (Path(path).parent if scheme == "sqlite" and path != ":memory:" else self.folder) / "cache" / "img"

    @property
    def database_url(self) -> str:
        """The database's URL with a relative SQLite path resolved against the configuration's folder."""
        scheme, _, path = self.database.url.partition(":///")
        if scheme == "sqlite" and path and path != ":memory:":
            return f"sqlite:///{(self.folder / path).resolve()}"
        return self.database.url
