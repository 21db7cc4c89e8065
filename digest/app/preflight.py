"""DOOR: the preflight's side of the composition root: an edition's mail and the configuration, ready for the rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from digest.config import Config, is_loopback, split_mailbox
from digest.domain.editions import Edition, EditionState, Pick, Rendering
from digest.domain.findings import Finding, ordered
from digest.domain.newsletters import Newsletter
from digest.mail.letters import Letters
from digest.mail.preflight import examine
from digest.mail.specimen import Circumstances, Specimen
from digest.publishing import Press, preflight

READER = "reader@example.com"  # whom specimens are written to


@dataclass(frozen=True, slots=True)
class Preflight:
    """Looks at editions before they go out."""

    config: Config
    letters: Letters

    def specimen(self, edition: Edition, rendering: Rendering, now: datetime) -> Specimen:
        """The message as a reader would get it."""
        parcel = self.letters.sample(rendering, edition.newsletter, READER, now)
        around = circumstances(self.config, edition.audience)
        return Specimen(rendering.subject, rendering.preheader, parcel.content, around)

    def watching(self, press: Press, now: datetime, allowed: Collection[str] = ()) -> Press:
        """The same press, which looks at what it makes for readers, by the rules that need no network.

        It raises NotFit when an error is left that neither the desk nor config.toml has allowed. A draft may have any.
        """

        def watched(newsletter: Newsletter, edition: Edition, picks: Sequence[Pick], language: str) -> Rendering:
            rendering = press(newsletter, edition, picks, language)
            if edition.state is EditionState.SENDING:
                found = examine(self.specimen(edition, rendering, now))
                preflight.refuse(edition, found, self.allowed(newsletter.name, allowed))
            return rendering

        return watched

    def allowed(self, newsletter: str, names: Collection[str] = ()) -> frozenset[str]:
        """These findings, and those that config.toml allows."""
        return frozenset({*names, *self.config.newsletters[newsletter].allow})

    def by_rules(self, edition: Edition, specimens: Sequence[Specimen]) -> list[Finding]:
        """What the rules find in the mail, and what was noted of the list; the newsletter's own language comes first.

        What is found in another language only is said so.
        """
        main, *others = specimens
        found = [*preflight.of_list(edition), *examine(main)]
        for other in others:
            code = str(other.parsed["Content-Language"])
            found += [replace(each, text=f"in {code}: {each.text}") for each in examine(other) if each not in found]
        return ordered(found)

    async def around(self, html: str, edition: Edition, picks: Sequence[Pick]) -> list[Finding]:
        """What comes of asking for the pages and pictures of an html with the links as they are on the site."""
        hosts = [host for each in self.config.sources for host in each.private_hosts]
        own, site = f"{self.config.web.base_url}/", self.config.site.url
        known = preflight.origins(picks, edition.note, site)
        return await preflight.look_around(html, own, [site], hosts, known)


def circumstances(config: Config, audience: int) -> Circumstances:
    """What the rules need to know of the configuration."""
    sender = split_mailbox(config.mail.from_)[1].rpartition("@")[2]
    bounces = split_mailbox(config.mail.bounce_address or "")[1].rpartition("@")[2]
    signs = config.dkim.key_file or config.dkim.ed25519_key_file
    return Circumstances(
        site_url=config.site.url,
        dkim_domain=(config.dkim.domain or sender) if signs else "",
        bounce_domain=bounces,
        is_relay_local=all(is_loopback(each.host) for each in config.smtp.each().values()),
        postal_address=config.site.postal_address,
        audience=audience,
        theme={name: value for name, value in dict(config.theme).items() if str(value).startswith("#")},
    )
