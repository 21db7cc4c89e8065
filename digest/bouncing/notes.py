"""FLOW, bouncing's part: what the desk must hear of, found in what is stored; so nothing is lost with a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.store import Store, Transaction, bounces

_DAILY = timedelta(hours=24)
_LOOK_BACK = timedelta(days=7)
_MOST_WORDS = 5  # different refusals that are quoted


@dataclass(frozen=True, slots=True)
class Note:
    """For the desk; `edition_id` is 0 when it is about none."""

    edition_id: int
    subject: str
    text: str


def to_tell(store: Store, now: datetime) -> list[Note]:
    """What the desk has not heard yet: held bounces once, refusals by policy once a day for each provider."""
    with store.read() as tx:
        return [*_held(tx), *_refusals(tx, now)]


def _held(tx: Transaction) -> Iterator[Note]:
    for group in bounces.held(tx):
        subject = f"{group.provider} says that many mailboxes are gone"
        if bounces.told_at(tx, subject, group.edition_id) is None:
            yield Note(group.edition_id, subject, _HELD.format(group=group, words=group.words or "nothing more"))


def _refusals(tx: Transaction, now: datetime) -> Iterator[Note]:
    fresh: dict[str, Counter[str]] = {}
    told: dict[str, datetime | None] = {}
    for provider, at, status, words in bounces.refusals_since(tx, now - _LOOK_BACK):
        if provider not in told:
            told[provider] = bounces.told_at(tx, _subject(provider))
        last = told[provider]
        if last is None or at > last:
            said = words if words.startswith(status) or status in words else f"{status} {words}".strip()
            fresh.setdefault(provider, Counter())[said] += 1
    for provider, counted in fresh.items():
        last = told[provider]
        if last is None or now - last >= _DAILY:
            yield Note(0, _subject(provider), _refused(provider, counted))


def _subject(provider: str) -> str:
    return f"{provider} refuses our mail"


def _refused(provider: str, counted: Counter[str]) -> str:
    number = sum(counted.values())
    lines = [f"  {times:,} x {words}" for words, times in counted.most_common(_MOST_WORDS)]
    if more := len(counted) - len(lines):
        lines.append(f"  and {more:,} more kinds")
    messages = "message was" if number == 1 else "messages were"
    return _REFUSED.format(number=f"{number:,}", messages=messages, provider=provider, lines="\n".join(lines))


_HELD = (
    "{group.bounces:,} readers of edition {group.edition_id} at {group.provider} came back as if their mailboxes did "
    "not exist. So many do not vanish in a week: most likely their server is wrong. So these are held, and none of "
    "the readers is suppressed.\n\nWhat it said: {group.words}\n\n"
    "If you believe it:     digest bounces apply {group.provider}\n"
    "If you do not:         digest bounces discard {group.provider}"
)
_REFUSED = (
    "Since you last heard of it, {number} {messages} refused by {provider} for what we are or send, not for "
    "the readers' mailboxes. Nobody was suppressed. In their words:\n\n{lines}\n\n"
    "Codes such as 5.7.1 speak about the sender: its reputation, SPF, DKIM and DMARC, or the content.\n"
    "See all:  digest bounces list --kind policy"
)
