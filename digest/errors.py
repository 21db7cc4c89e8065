"""Every error Digest raises on purpose: few classes, facts as attributes, one line a person can act on."""

from __future__ import annotations

from collections.abc import Sequence


class DigestError(Exception):
    """Something went wrong that a person should hear about in one line. `exit_code` is the command's."""

    exit_code = 1


class ConfigurationError(DigestError):
    """The configuration cannot be used. `problems` holds every mistake found, one line each."""

    exit_code = 2

    def __init__(self, problems: list[str] | tuple[str, ...], path: str = "config.toml") -> None:
        self.problems = tuple(problems)
        self.path = path
        super().__init__("\n".join([f"{path} cannot be used:", *(f"  - {line}" for line in self.problems)]))


class UsageError(DigestError):
    """The command was called with something that cannot be meant."""

    exit_code = 2


class InvalidAddress(DigestError):
    """`text` is not an address mail can be sent to; `reason` says why in plain words."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(f"{text!r} is not an address we can mail: {reason}")


class RefusedDomain(InvalidAddress):
    """The address is well made, but its domain is not taken: it is disposable, or the configuration refuses it."""


class InvalidToken(DigestError):
    """A link's token is not ours, is for another purpose, or (`expired`) came too late."""

    def __init__(self, purpose: str, *, expired: bool = False) -> None:
        self.purpose = purpose
        self.expired = expired
        super().__init__(f"this {purpose} link {'has expired' if expired else 'is not valid'}")


class SourceError(DigestError):
    """A source could not be read. Names the source, the place in it, what is wrong, and the remedy."""

    def __init__(self, source: str, place: str, reason: str, remedy: str = "", *, status: int = 0) -> None:
        self.status = status  # what an HTTP server answered, if one did
        self.source = source
        self.place, self.reason, self.remedy = _shown(place), _shown(reason), _shown(remedy)
        super().__init__(f"source {source!r}: {self.place}: {self.reason}" + (f". {self.remedy}" if remedy else ""))


def _shown(text: str) -> str:
    """One line that can be printed and stored: what a broken source says comes along in its errors."""
    return "".join(each if each.isprintable() else "?" for each in text)


class RenderError(DigestError):
    """A mail failed the check called `check` after rendering; it must not be sent."""

    def __init__(self, check: str, detail: str) -> None:
        self.check = check
        self.detail = detail
        super().__init__(f"the mail failed the check {check!r}: {detail}")


class TemplateMistake(RenderError):
    """A template cannot be used: `place` is its file, `line` counts from 1; the rest is for its author."""

    def __init__(self, place: str, line: int, reason: str, remedy: str = "") -> None:
        self.place, self.line, self.reason, self.remedy = place, line, reason, remedy
        super().__init__("template", reason)
        said = f"{place}, line {line}: {reason}" + (f". {remedy}" if remedy else "")
        self.args = (_shown(said),)


class NotFit(DigestError):
    """An edition has faults that keep it from being sent: `faults` holds (name, what, remedy) of each."""

    def __init__(self, edition_id: int, faults: Sequence[tuple[str, str, str]]) -> None:
        self.edition_id = edition_id
        self.faults = tuple(faults)
        names = " ".join(f"--allow {name}" for name in dict.fromkeys(name for name, _, _ in faults))
        listed = "".join(f"\n  - {name}: {text}. {fix}" for name, text, fix in faults)
        super().__init__(
            f"edition {edition_id} is not sent:{listed}\n"
            f"To send it all the same: digest edition send {edition_id} {names}"
        )


class NotFound(DigestError):
    """There is no such `noun` (an edition, a subscriber, an article) by the name `key`."""

    def __init__(self, noun: str, key: object, hint: str = "") -> None:
        self.noun = noun
        self.key = key
        super().__init__(f"no {noun} {key}" + (f": {hint}" if hint else ""))


class WrongState(DigestError):
    """The thing exists, but in a state in which this cannot be done."""

    def __init__(self, noun: str, key: object, state: str, wish: str, hint: str = "") -> None:
        self.noun = noun
        self.key = key
        self.state = state
        super().__init__(f"{noun} {key} is {state}, so it cannot be {wish}" + (f": {hint}" if hint else ""))


class TooFewArticles(DigestError):
    """The closed period has fewer articles worth mailing than the newsletter's policy asks for."""

    def __init__(self, found: int, wanted: int) -> None:
        self.found = found
        self.wanted = wanted
        super().__init__(f"{found} of the {wanted} articles the edition needs at least")


class StoreUnavailable(DigestError):
    """The database does not answer now; what was being done was not done."""

    def __init__(self, words: str) -> None:
        self.words = words
        super().__init__(f"the database does not answer: {words}")


class StoreConflict(StoreUnavailable):
    """Another transaction changed the same thing first; this one was undone and may be tried again."""


class SchemaMismatch(DigestError):
    """The database's schema is older or newer than this program."""

    def __init__(self, found: str | None, expected: str, *, newer: bool) -> None:
        self.found = found
        self.expected = expected
        self.newer = newer
        if found is None:
            advice = "the database is empty: run `digest migrate` (or `digest init` for a new installation)"
        elif newer:
            advice = f"the database ({found}) is newer than this Digest ({expected}): install the newer Digest"
        else:
            advice = f"the database ({found}) is older than this Digest ({expected}): run `digest migrate`"
        super().__init__(advice)


class TransportError(DigestError):
    """The mail server cannot be used at all now: it is about us, never about a reader.

    `code` is the server's reply code, or 0 where there was none; `reply` is its words, or the network's.
    """

    def __init__(self, server: str, reply: str, code: int = 0) -> None:
        self.server = server
        self.code = code
        self.reply = reply
        super().__init__(f"the mail server {server} cannot be used: {f'{code} ' if code else ''}{reply}")


class MailboxError(DigestError):
    """The mailbox reports come into cannot be read now. Names it, and what is wrong in one line."""

    def __init__(self, mailbox: str, reason: str) -> None:
        self.mailbox = mailbox
        self.reason = _shown(reason)
        super().__init__(f"the mailbox of reports ({_shown(mailbox)}) cannot be read: {self.reason}")
