"""DOOR: the gate of the composition root: what every address passes, whoever brings it in."""

from __future__ import annotations

from functools import lru_cache

from digest.config import Config
from digest.domain.addresses import Address
from digest.domain.gate import Domains
from digest.mail import disposable
from digest.mail.addresses import parse


def admit(config: Config, typed: str) -> Address:
    """The address in `typed`, parsed once, if its domain is taken here.

    Raises InvalidAddress, and RefusedDomain, which is one, when the domain is disposable or refused.
    """
    settings = config.subscribing
    return domains(settings.refused_domains, settings.disposable).admit(parse(typed, smtputf8=settings.smtputf8))


@lru_cache(8)
def domains(refused: tuple[str, ...], disposable_ones: str) -> Domains:
    """Whose addresses are not taken, by the settings of these names."""
    return Domains(frozenset(refused), disposable.domains if disposable_ones == "refuse" else frozenset)
