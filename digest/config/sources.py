"""The sources of articles and views: what each kind is asked for in its [[sources]] section of config.toml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from digest.config.types import Duration, Section, WebAddress, WebPage


class SourceSection(Section):
    """What every source has."""

    name: str = Field(min_length=1, max_length=64)
    timeout: Duration = timedelta(seconds=30)
    max_bytes: int = Field(32_000_000, ge=1000)
    private_hosts: tuple[str, ...] = ()  # hosts in a private network it may lead us to; its own address always may


class FeedSource(SourceSection):
    """RSS 2.0, Atom or JSON Feed: articles, no views."""

    kind: Literal["feed"]
    url: WebPage


class WordPressSource(SourceSection):
    """WordPress core REST for articles; counts from WP Popular Posts, or from our own plugin for any counter."""

    kind: Literal["wordpress"]
    url: WebAddress
    views: Literal["auto", "popular-posts", "plugin", "none"] = "auto"
    secret: SecretStr = SecretStr("")  # shared with our plugin


class FilesSource(SourceSection):
    """CSV, JSON or NDJSON of articles, views, lifetime counters, plain or gzipped; a path or an https address each."""

    kind: Literal["files"]
    articles: str = ""
    views: str = ""
    totals: str = ""


class BeaconSource(SourceSection):
    """Views counted by our own script on the publisher's pages."""

    kind: Literal["beacon"]
    hosts: tuple[str, ...] = ()  # empty: the host of [site] url


class PushSource(SourceSection):
    """Articles and views that the publisher's own system sends to /api/v1/articles, /views and /totals."""

    kind: Literal["push"]
    token: SecretStr = Field(min_length=16)


class SqlSource(SourceSection):
    """Counter tables in a database, read with a user who may only read."""

    kind: Literal["sql"]
    url: SecretStr  # any SQLAlchemy URL; it may hold a password
    preset: Literal["", "popular-posts", "jnews", "post-views-counter"] = ""
    prefix: str = Field("wp_", pattern=r"^[A-Za-z0-9_]{0,64}$")  # of a preset's tables
    articles: str = ""  # a query; its columns as in a file of articles
    views: str = ""  # a query with :since and :until; columns url, at, views
    totals: str = ""  # a query of lifetime counters; columns url, total

    @model_validator(mode="after")
    def _asks_something(self) -> SqlSource:
        if not (self.preset or self.articles or self.views or self.totals):
            raise ValueError("give a preset, or a query for articles, for views or for totals")
        return self


class MatomoSource(SourceSection):
    """Views by day from Matomo's Reporting API."""

    kind: Literal["matomo"]
    url: WebAddress
    site_id: int = Field(ge=1)
    token: SecretStr


class PlausibleSource(SourceSection):
    """Views by hour from Plausible's Stats API v2."""

    kind: Literal["plausible"]
    url: WebAddress = "https://plausible.io"
    site_id: str = Field(min_length=1)  # the domain, as Plausible lists it
    token: SecretStr


class UmamiSource(SourceSection):
    """Views from Umami, its own server (username and password) or its cloud (token)."""

    kind: Literal["umami"]
    url: WebAddress
    website_id: str = Field(min_length=1)
    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _may_enter(self) -> UmamiSource:
        if not self.token.get_secret_value() and not (self.username and self.password.get_secret_value()):
            raise ValueError("give username and password (your own server), or token (the cloud's API key)")
        return self


class GoatCounterSource(SourceSection):
    """Visitors by hour from GoatCounter."""

    kind: Literal["goatcounter"]
    url: WebAddress
    token: SecretStr


class Ga4Source(SourceSection):
    """Views from Google Analytics 4, read with a service account."""

    kind: Literal["ga4"]
    property_id: str = Field(pattern=r"^\d{1,20}$")
    credentials_file: str = Field(min_length=1)  # the service account's JSON key
    host: str = ""  # of the pages counted; empty: that of [site] url
    url: WebAddress = "https://analyticsdata.googleapis.com"


AnySource = Annotated[
    FeedSource
    | WordPressSource
    | FilesSource
    | BeaconSource
    | PushSource
    | SqlSource
    | MatomoSource
    | PlausibleSource
    | UmamiSource
    | GoatCounterSource
    | Ga4Source,
    Field(discriminator="kind"),
]
