"""Random situations for the sender: scripts of faults, offers, connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tests.faults.cases import GARBAGE, LONG_LINE, MANY_LINES
from tests.faults.stage import CHUNKED, PATIENT, reader
from tests.servers.smtpd import Fault, Pipelining

HASTY = 0.25  # seconds
LATE = 0.6

REFUSALS = (
    "421 4.3.2 {recipient} closing",
    "450 4.2.0 {recipient} later",
    "451 {recipient} later",
    "452 4.5.3 {recipient} too many",
    "550 5.1.1 {recipient} unknown",
    "550 {recipient} no",
    "552 5.2.2 {recipient} full",
    "554 5.6.0 {recipient} no",
    "550 5.7.1 {recipient} not from you",
    "535 5.7.8 {recipient} log in",
)
TWICE = b"250 2.0.0 ok\r\n250 2.0.0 ok, I said\r\n"
WRONG_CLASS = ("354 {recipient} go on", "250 2.0.0 {recipient} fine", "220 {recipient} hello")
ODD = (*WRONG_CLASS, TWICE, "550-5.1.1 {recipient}\n550 5.1.1 no", LONG_LINE, MANY_LINES, *GARBAGE.values())

COMMANDS = ("CONNECT", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "END", "REPLY", "RSET", "QUIT")
ABOUT_A_READER = ("RCPT", "DATA", "BODY", "END", "REPLY")  # the more likely places
PIPELINING: tuple[Pipelining, ...] = (
    "works", "forgets group", "forgets after dot", "goes ahead", "hangs up", "one packet", "byte by byte",
)  # fmt: skip

places = st.sampled_from(ABOUT_A_READER) | st.sampled_from(COMMANDS)
recipients = st.just("*") | st.integers(0, 4).map(reader)
counting = st.tuples(st.just("server"), st.integers(0, 5)) | st.tuples(
    st.sampled_from(["connection", "transaction", "recipient"]), st.integers(0, 1)
)
drops = st.sampled_from([True, "after", "reset"])
cuts = st.sampled_from([True, "reset"])
few = st.integers(1, 3)


@dataclass(frozen=True)
class Play:
    """A situation. `seconds` is how long the sender waits: little where the server may keep silent."""

    faults: tuple[Fault, ...]
    readers: int
    connections: int
    offers: tuple[str, ...]
    pipelining: Pipelining
    security: str

    @property
    def seconds(self) -> float:
        """The patience it takes."""
        is_slow = self.pipelining.startswith("forgets") or any(f.delay or f.reply in ODD for f in self.faults)
        return HASTY if is_slow else PATIENT

    @property
    def is_fair(self) -> bool:
        """Whether a client can know what happens to it.

        A reply too many moves all that follow by one: a wrong class further on may then look like the right one.
        """
        replies = [fault.reply for fault in self.faults]
        return TWICE not in replies or not any(wrong in replies for wrong in WRONG_CLASS)


def _fault(at: str, counted: tuple[str, int], **what: Any) -> Fault:
    per, after = counted
    reply = what.get("reply", "")
    if at == "BODY" and reply:
        at = "END"  # nothing is said in the middle of a message
    if at == "DATA" and reply == TWICE:
        at = "RCPT"  # has a test of its own: had the two not come together, nobody could tell them apart
    return Fault(at=at, per=per, after=after, **what)  # type: ignore[arg-type]


def _faults(at: st.SearchStrategy[str], **what: st.SearchStrategy[Any]) -> st.SearchStrategy[Fault]:
    return st.builds(_fault, at, counting, **what)


_at = st.just
KINDS: dict[str, st.SearchStrategy[Fault]] = {
    "refusals": _faults(places, reply=st.sampled_from(REFUSALS), recipient=recipients, times=st.none() | few),
    "odd words": _faults(places, reply=st.sampled_from(ODD), recipient=recipients, times=few),
    "drops": _faults(places, drop=drops, recipient=recipients, times=st.none() | few),
    "late words": _faults(
        places, delay=_at(LATE), drop=drops | st.just(False), recipient=recipients, times=st.integers(1, 2)
    ),
    "half a message": _faults(_at("BODY"), after_bytes=st.integers(0, 13_000), recipient=recipients, times=few),
    "half a session": _faults(_at("WIRE"), after_read=st.integers(0, 40_000), drop=cuts, times=few),
    "half an answer": _faults(_at("WIRE"), after_written=st.integers(0, 900), drop=cuts, times=few),
    "no TLS": _faults(_at("TLS"), reply=st.sampled_from(["", b"\x15\x03\x03\x00\x02\x02\x28", "220 TLS?"]), times=few),
}
faults = st.one_of(*KINDS.values())


@st.composite
def plays(draw: st.DrawFn, kind: str) -> Play:
    """Any situation that is fair to the sender, with a fault of one kind at least."""
    script = [draw(KINDS[kind]), *(draw(faults) for _ in range(draw(st.integers(0, 3))))]
    wants_tls = any(fault.at in ("TLS", "STARTTLS") for fault in script)
    offers = draw(st.sets(st.sampled_from(CHUNKED)))
    pipelined = draw(st.sampled_from([True, True, False]))
    play = Play(
        faults=tuple(script),
        readers=draw(st.sampled_from([9, 5])),
        connections=draw(st.integers(1, 3)),
        offers=tuple(each for each in CHUNKED if each in offers or (each == "PIPELINING" and pipelined)),
        pipelining=draw(st.just("works") | st.sampled_from(PIPELINING)) if pipelined else "works",
        security="starttls" if wants_tls or draw(st.integers(0, 5)) == 5 else "none",
    )
    assume(play.is_fair)
    return play
