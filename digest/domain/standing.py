"""Whether a mail may go to a reader, asked at the last moment: right before it is claimed for the wire."""

from __future__ import annotations

from digest.domain.deliveries import Mail
from digest.domain.subscribers import SubscriptionState
from digest.domain.suppressions import LIFTED_BY_THE_READER

_WANTED = {
    Mail.DIGEST: SubscriptionState.CONFIRMED,
    Mail.REMINDER: SubscriptionState.PENDING,
    Mail.WELCOME: SubscriptionState.CONFIRMED,
    Mail.GOODBYE: SubscriptionState.UNSUBSCRIBED,
}
_OTHERWISE = {
    Mail.DIGEST: "no longer confirmed",
    Mail.REMINDER: "it needs no reminder any more",
    Mail.WELCOME: "no longer confirmed",
    Mail.GOODBYE: "subscribed again before it was sent",
}
# What readers asked for themselves this very minute reaches them whatever the list says of them.
_THEIR_RIGHT = frozenset({Mail.OWN_DATA, Mail.ERASURE})


def why_not(mail: str, *, is_known: bool, state: str | None, suppression: str | None, is_paused: bool = False) -> str:
    """Why this mail may not go out, in words for the desk; empty: it may.

    `state` is the subscription's, `suppression` the kind of the address's suppression, if there is one.
    """
    if not is_known:
        return "the subscriber was forgotten"
    if mail in _THEIR_RIGHT:
        return ""
    if suppression is not None and not (mail == Mail.CONFIRMATION and suppression in LIFTED_BY_THE_READER):
        return "the address is suppressed"
    if state == SubscriptionState.UNSUBSCRIBED and mail != Mail.GOODBYE:
        return "unsubscribed before it was sent"
    if mail in _WANTED and state != _WANTED[Mail(mail)]:
        return _OTHERWISE[Mail(mail)]
    return "paused by the reader" if is_paused and mail == Mail.DIGEST else ""
