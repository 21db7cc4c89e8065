"""Makes a source from its section of config.toml."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from digest.config import BeaconSource, FeedSource, FilesSource, SourceSection, WordPressSource
from digest.sources import Source
from digest.sources.beacon import Beacon
from digest.sources.feed import Feed
from digest.sources.files import Files
from digest.sources.wordpress import WordPress


def build(section: SourceSection, *, site_url: str, zone: ZoneInfo, folder: Path) -> Source:
    """The adapter for a section. Paths in it are relative to `folder`, dates to `zone`."""
    match section:
        case FeedSource():
            return Feed(section)
        case WordPressSource():
            return WordPress(section)
        case FilesSource():
            return Files(section, site_url, zone, folder)
        case BeaconSource():
            return Beacon(section)
