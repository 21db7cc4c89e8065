"""The campaign: what a link to the site says of where its visit comes from, in UTM parameters.

The names are those of Google's Urchin, which every counter reads: utm_source, utm_medium, utm_campaign.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote, unquote, urlsplit

PLACEHOLDERS = ("newsletter", "number", "date")


@dataclass(frozen=True, slots=True)
class Campaign:
    """The values of the parameters; an empty one is left out, and without any a link stays as it is."""

    source: str = ""
    medium: str = ""
    campaign: str = ""

    def filled(self, newsletter: str, number: int, on: date) -> Campaign:
        """For one edition: {newsletter} is its name, {number} its number, {date} its day, as in 2026-11-28."""
        said = {"newsletter": newsletter, "number": str(number), "date": on.isoformat()}
        return Campaign(*(_filled(each, said) for each in (self.source, self.medium, self.campaign)))

    def parameters(self) -> list[str]:
        """As they stand in a query."""
        named = {"utm_source": self.source, "utm_medium": self.medium, "utm_campaign": self.campaign}
        return [f"{name}={quote(value, safe='')}" for name, value in named.items() if value]


def tagged(url: str, campaign: Campaign, hosts: Collection[str]) -> str:
    """The address with the campaign in its query, if its host is one of `hosts`; any other address as it is.

    What the address said of another campaign goes (feeds write such things): a visit comes from one place. The rest of
    the query, and the fragment, stay to the letter.
    """
    if not (added := campaign.parameters()) or not is_on(url, hosts):
        return url
    return _with_query(url, [*_others(url), *added])


def untagged(url: str, hosts: Collection[str]) -> str:
    """The address without any campaign, if its host is one of `hosts`."""
    return _with_query(url, _others(url)) if "utm_" in unquote(url).lower() and is_on(url, hosts) else url


def is_on(url: str, hosts: Collection[str]) -> bool:
    """Whether a web address lies on one of these hosts; `www.`, the port and the case make no difference."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and _ascii(parts.hostname or "") in {_ascii(each) for each in hosts}
    except ValueError:
        return False


def unknown_placeholder(text: str) -> str:
    """The first thing in braces that nothing is known to stand for; empty when all is well."""
    for name in PLACEHOLDERS:
        text = text.replace(f"{{{name}}}", "")
    found = re.search(r"\{[^{}]*\}?|\}", text)
    return found[0] if found else ""


def _filled(text: str, said: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: said.get(found[1], found[0]), text)


def _others(url: str) -> list[str]:
    """The parts of the query that are of no campaign, each as it is written."""
    query = url.partition("#")[0].partition("?")[2]
    return [each for each in query.split("&") if not unquote(each).lower().startswith("utm_")] if query else []


def _with_query(url: str, parameters: list[str]) -> str:
    before, mark, fragment = url.partition("#")
    place = before.partition("?")[0]
    return place + ("?" + "&".join(parameters) if parameters else "") + mark + fragment


def _ascii(host: str) -> str:
    """A host as it goes over the wire. Raises ValueError."""
    name = host if host.isascii() else host.encode("idna").decode()
    return name.lower().rstrip(".").removeprefix("www.")
