"""Makes a source from its section of config.toml."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from digest.config.sources import (
    AnySource,
    BeaconSource,
    FeedSource,
    FilesSource,
    Ga4Source,
    GoatCounterSource,
    MatomoSource,
    PlausibleSource,
    PushSource,
    SqlSource,
    UmamiSource,
    WordPressSource,
)
from digest.sources import Source
from digest.sources.beacon import Beacon
from digest.sources.feed import Feed
from digest.sources.files import Files
from digest.sources.wordpress import WordPress


def build(section: AnySource, *, site_url: str, zone: ZoneInfo, folder: Path) -> Source:
    """The adapter for a section. Paths in it are relative to `folder`, dates to `zone`."""
    match section:
        case FeedSource():
            return Feed(section, zone)
        case WordPressSource():
            return WordPress(section)
        case FilesSource():
            return Files(section, site_url, zone, folder)
        case BeaconSource():
            return Beacon(section)
        case MatomoSource():
            from digest.sources.matomo import Matomo

            return Matomo(section, site_url, zone)
        case PlausibleSource():
            from digest.sources.plausible import Plausible

            return Plausible(section, site_url, zone)
        case UmamiSource():
            from digest.sources.umami import Umami

            return Umami(section, site_url, zone)
        case GoatCounterSource():
            from digest.sources.goatcounter import GoatCounter

            return GoatCounter(section, site_url, zone)
        case Ga4Source():
            from digest.sources.ga4 import Ga4

            return Ga4(section, site_url, zone, folder)
        case SqlSource():
            from digest.sources.sql import Sql

            return Sql(section, site_url, zone)
        case PushSource():
            from digest.sources.push import Push

            return Push(section)
