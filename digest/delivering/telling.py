"""FLOW, delivering's part: what the log says of letters, which belong to no edition. Addresses stay out of it."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from digest.domain.deliveries import UNSETTLED, Delivery, DeliveryState, Mail

_NAMES = {
    Mail.CONFIRMATION: ("confirmation", "confirmations"),
    Mail.REMINDER: ("reminder", "reminders"),
    Mail.WELCOME: ("welcome", "welcomes"),
    Mail.GOODBYE: ("goodbye", "goodbyes"),
    Mail.OWN_DATA: ("link to own data", "links to own data"),
    Mail.ERASURE: ("link to be forgotten", "links to be forgotten"),
    Mail.NOTICE: ("note to the desk", "notes to the desk"),
}
log = logging.getLogger("digest.delivering")


@dataclass(slots=True)
class Letters:
    """Letters that were settled since the last line about them."""

    _settled: dict[DeliveryState, Counter[Mail]] = field(default_factory=dict)

    def note(self, delivery: Delivery, state: DeliveryState) -> None:
        """What became of a delivery is recorded now. Those of an edition are told elsewhere."""
        if not delivery.edition_id and state not in UNSETTLED:
            self._settled.setdefault(state, Counter())[delivery.mail] += 1

    def tell(self) -> None:
        """A line for each thing that became of them, if any: `3 letters sent: 2 confirmations, 1 welcome`."""
        for state, mails in sorted(self._settled.items()):
            parts = ", ".join(_some(mails[mail], *_NAMES[mail]) for mail in Mail if mails[mail])
            log.info("%s %s: %s", _some(mails.total(), "letter", "letters"), state, parts)
        self._settled.clear()


def _some(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
