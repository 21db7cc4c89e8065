"""Our own counter, for sites without any: a script of less than a kilobyte, and the rules of what counts.

The script stores nothing on the reader's device, sends no name of the reader, and says only "this page is seen".
Do-Not-Track is not asked for: it asks not to be followed from page to page, and here nobody is; a page's count
goes up by one. A publisher who wants to honour it all the same leaves the script out for those readers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from digest.config.sources import BeaconSource
from digest.domain.articles import Harvest
from digest.sources import Reading

MAX_BODY = 2048  # bytes
_LONGEST_AGENT = 1000  # characters looked at: browsers and robots say what they are in fewer
# One report a page seen: not while it is rendered ahead of a click or sits in a hidden tab, not from a robot's
# browser. The text is sent as text/plain, which needs no preflight from another host.
SCRIPT = """(function () {
  var script = document.currentScript, done = navigator.webdriver;
  if (!script) return;
  var to = script.src.replace(/beacon\\.js.*$/, "beacon");
  function count() {
    if (done || document.prerendering || document.visibilityState !== "visible") return;
    done = true;
    var link = document.querySelector('link[rel="canonical"]');
    var body = JSON.stringify({ url: (link && link.href) || location.href });
    if (!(navigator.sendBeacon && navigator.sendBeacon(to, body)))
      fetch(to, { method: "POST", body: body, keepalive: true, mode: "no-cors" }).catch(function () {});
  }
  document.addEventListener("visibilitychange", count);
  document.addEventListener("prerenderingchange", count);
  count();
})();
"""
_ROBOTS = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|headless|phantom|puppeteer|playwright|selenium|lighthouse|pagespeed"
    r"|monitor|uptime|validator|archiver|preview|externalhit|mediapartners|embedly|feedfetcher|google-read-aloud"
    r"|\b(?:curl|wget|python|httpx|aiohttp|okhttp|java|go-http|libwww|scrapy|axios|node|undici|ruby|perl|php)[-/ ]",
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


def is_robot(user_agent: str) -> bool:
    """Whether a report comes from a program that reads by itself; so does one that does not say what it is."""
    return not user_agent or _ROBOTS.search(user_agent[:_LONGEST_AGENT]) is not None


def read_beacon(body: bytes, hosts: Collection[str], site_url: str) -> str | None:
    """The address of the page that was seen, or None when it does not count: another site, or nonsense.

    `body` is JSON with a `url`, or the address as plain text; a path is one of `site_url`. `hosts` are the host
    names whose pages count (`host:port` for one port only); when empty, the host and port of `site_url`.
    """
    if len(body) > MAX_BODY:
        return None
    try:
        url = urljoin(site_url, _said(body.decode("utf-8")))
        seen = urlsplit(url)
        places = {_place(seen), _ascii(seen.hostname or "")} if hosts else {_place(seen)}
        ours = places & ({_ascii(host) for host in hosts} or {_place(urlsplit(site_url))})
    except (ValueError, RecursionError):
        return None
    clean = url.isprintable() and " " not in url and not (seen.username or seen.password)
    return url if ours and clean and seen.scheme in ("http", "https") else None


def _said(text: str) -> str:
    """The address in a report. Raises ValueError when there is none."""
    said = json.loads(text).get("url") if text.lstrip().startswith("{") else text.strip()
    if not isinstance(said, str) or not said.startswith(("/", "http://", "https://")):
        raise ValueError("no address")
    return said


def _place(parts: SplitResult) -> str:
    """`host:port`, the usual port left out."""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return _ascii(parts.hostname or "") + ("" if parts.port in (None, usual) else f":{parts.port}")


def _ascii(host: str) -> str:
    """A host as browsers report it, however it is written in config.toml; `www.` makes no other site of it."""
    return (host.lower() if host.isascii() else host.encode("idna").decode()).removeprefix("www.")
