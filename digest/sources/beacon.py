"""Our own counter, for sites without any: a script of less than a kilobyte, and the rules of what counts.

It keeps nothing on the reader's device and learns nothing of the reader; it says only "this page was seen".
Do-Not-Track is not asked for: nobody is tracked, a page's count goes up by one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from digest.config import BeaconSource
from digest.domain.articles import Harvest
from digest.sources import Reading

MAX_BODY = 2048  # bytes
SCRIPT = """(function () {
  var done = false, script = document.currentScript;
  if (!script || navigator.webdriver) return;
  var to = script.src.replace(/beacon\\.js.*$/, "beacon");
  function count() {
    if (done || document.visibilityState !== "visible") return;
    done = true;
    var link = document.querySelector('link[rel="canonical"]');
    var body = JSON.stringify({ url: (link && link.href) || location.href });
    if (navigator.sendBeacon) navigator.sendBeacon(to, body);
    else fetch(to, { method: "POST", body: body, keepalive: true, mode: "no-cors" });
  }
  document.addEventListener("visibilitychange", count);
  count();
})();
"""
_BOTS = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|headless|phantom|lighthouse|pagespeed|preview|fetch|monitor|uptime|validator|archiver"
    r"|facebookexternalhit|embedly|curl|wget|python-|httpx|okhttp|java/|go-http|libwww|scrapy|axios|node-fetch|ruby|perl",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Beacon:
    """A source whose views come by themselves; there is nothing to read."""

    section: BeaconSource

    @property
    def name(self) -> str:
        """The name given in config.toml."""
        return self.section.name

    async def collect(self, reading: Reading) -> Harvest:
        """Nothing: the views are stored as they arrive."""
        return Harvest(remembered=dict(reading.remembered))


def read_beacon(body: bytes, user_agent: str, hosts: tuple[str, ...], site_url: str) -> str | None:
    """The address of the page that was seen, or None when it does not count: a bot, another site, nonsense."""
    if len(body) > MAX_BODY or not user_agent or _BOTS.search(user_agent):
        return None
    try:
        value = json.loads(body)
        url = value.get("url") if isinstance(value, dict) else None
        if not isinstance(url, str) or not url.isprintable():
            return None
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except (ValueError, RecursionError):
        return None
    allowed = hosts or ((urlsplit(site_url).hostname or "").lower(),)
    return url if parts.scheme in ("http", "https") and host in allowed else None
