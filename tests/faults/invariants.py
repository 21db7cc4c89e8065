"""What must hold after any run against any server, whatever went wrong at it."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta

from digest.domain.deliveries import Settled
from digest.domain.editions import Edition, EditionState
from tests.servers.smtpd import Received, RecordingServer, Said, Script
from tests.service import Service

_WINDOW = 3  # deliveries of one connection whose fate may be unknown when it breaks
_PATIENT = timedelta(seconds=5)
_LONGEST_REPLY = 8000  # bytes of a reply that a client must bear; RFC 5321 section 4.5.3.1.5 says 512 a line
_ADDRESS = re.compile(r"reader\d+@example\.com")
_CONSEQUENCE = "503"  # what the server says to a command whose forerunner it refused: no word about the reader


def check_invariants(service: Service, smtpd: RecordingServer, edition: Edition) -> None:
    """Nobody lost, nobody mailed twice, and each state is the true one, for the reader it was said about."""
    smtpd.wait_until_quiet()
    rows = {row.address: row for row in service.listed(edition)}
    ledger = _Ledger(smtpd)
    _nobody_is_missing_from_the_books(service, edition, rows)
    _nobody_has_two_copies(ledger)
    _who_is_sent_has_a_copy(ledger, rows)
    hasty = service.app.config.smtp.command_timeout < _PATIENT  # it may miss a word on a busy machine
    if not hasty:
        _a_clear_yes_was_heard(ledger, rows)
    _uncertain_is_only_who_may_have_a_copy(smtpd, rows, hasty)
    _each_is_judged_by_what_was_said_about_them(ledger, rows)
    _messages_are_whole_and_for_their_reader(smtpd)


def check_settled(service: Service, smtpd: RecordingServer, edition: Edition) -> None:
    """The invariants, and besides: everybody has the edition, or there is a cause why not."""
    check_invariants(service, smtpd, edition)
    assert service.get(edition).state is EditionState.SENT
    ledger = _Ledger(smtpd)
    for row in service.listed(edition):
        assert row.state in ("sent", "refused", "failed", "uncertain"), f"{row.address} is still {row.state}"
        if row.state in ("refused", "failed") and not ledger.confused:
            causes = ledger.codes_about(row.address) | ledger.codes_at("MAIL")
            assert any(code.startswith("5") for code in causes), f"{row.address} {row.state} without a cause: {row}"


class _Ledger:
    """The server's record, in the order of the questions asked of it."""

    def __init__(self, smtpd: RecordingServer) -> None:
        self.smtpd = smtpd
        self.copies: dict[str, list[Received]] = defaultdict(list)
        for message in smtpd.received:
            for recipient in message.recipients:
                self.copies[recipient].append(message)
        self._answers = {(said.connection, said.transaction): said for said in smtpd.said if said.at == "END"}
        self.confused = {said.connection for said in smtpd.said if not _is_plain(said)}

    def answer_to(self, message: Received) -> Said | None:
        """What was said to a message that was taken, if the word got out whole."""
        return self._answers.get((message.connection, message.transaction))

    def was_denied(self, message: Received) -> bool:
        """Whether the server took a message and then lied: such a copy is not the client's fault."""
        answer = self.answer_to(message)
        return answer is not None and any(code[:1] in ("4", "5") for code in answer.codes)

    def was_clearly_taken(self, message: Received) -> bool:
        """Whether any client must have heard the yes."""
        answer = self.answer_to(message)
        return (
            answer is not None
            and answer.codes == ("250",)
            and not answer.is_late
            and message.connection not in self.confused | self.smtpd.resets
        )

    def codes_about(self, address: str) -> set[str]:
        """The reply codes to this reader's own commands."""
        return {code for said in self.smtpd.said if address in said.recipients for code in said.codes} - {_CONSEQUENCE}

    def codes_at(self, at: str) -> set[str]:
        """The reply codes to one command, whomever it concerned."""
        return {code for said in self.smtpd.said if said.at == at for code in said.codes}


def _is_plain(said: Said) -> bool:
    """Whether a reply is one reply, well formed, and of the class its command asks for."""
    lines = said.reply.splitlines()
    if len(said.codes) != 1 or not said.codes[0].isdigit():
        return False
    continued = all(line[3:4] == "-" for line in lines[:-1]) and lines[-1][3:4] in ("", " ")
    right_class = (said.codes == ("354",)) == (said.at == "DATA") or said.codes[0][0] in "45"
    return continued and right_class and len(said.reply) < _LONGEST_REPLY


def _nobody_is_missing_from_the_books(service: Service, edition: Edition, rows: dict[str, Settled]) -> None:
    counts = service.counts(edition)
    assert sum(counts.values()) == len(rows) == edition.audience - edition.excluded
    assert "sending" not in counts, "rows stay claimed although no sender runs"


def _nobody_has_two_copies(ledger: _Ledger) -> None:
    for reader, copies in ledger.copies.items():
        excused = all(map(ledger.was_denied, copies[:-1]))
        assert excused, f"{reader} has {len(copies)} copies: {[ledger.answer_to(copy) for copy in copies]}"
        assert len({copy.parsed["Message-ID"] for copy in copies}) == 1, f"{reader} has two different messages"


def _who_is_sent_has_a_copy(ledger: _Ledger, rows: dict[str, Settled]) -> None:
    sent = {address for address, row in rows.items() if row.state == "sent"}
    lost = sent - set(ledger.copies)
    assert not lost, f"said to be sent, and never taken: {[rows[each] for each in sorted(lost)]}"


def _a_clear_yes_was_heard(ledger: _Ledger, rows: dict[str, Settled]) -> None:
    for reader, copies in ledger.copies.items():
        if any(map(ledger.was_clearly_taken, copies)):
            assert rows[reader].state == "sent", f"the server said yes, and we did not hear it: {rows[reader]}"


def _uncertain_is_only_who_may_have_a_copy(smtpd: RecordingServer, rows: dict[str, Settled], hasty: bool) -> None:
    uncertain = {address for address, row in rows.items() if row.state == "uncertain"}
    if "CHUNKING" not in smtpd.offers:  # there the message may go out behind the envelope, unasked
        rash = uncertain - smtpd.asked_for
        assert not rash, f"uncertain, and the server had not asked for the message: {[rows[each] for each in rash]}"
    assert isinstance(smtpd.script, Script)
    broken = smtpd.script.acted.total() + (smtpd.connections if hasty or smtpd.pipelining != "works" else 0)
    assert len(uncertain) <= _WINDOW * broken, f"{len(uncertain)} uncertain after {broken} faults"


def _each_is_judged_by_what_was_said_about_them(ledger: _Ledger, rows: dict[str, Settled]) -> None:
    if ledger.confused:
        return  # the server's words were not where they belonged
    for address, row in rows.items():
        others = set(_ADDRESS.findall(row.reply)) - {address}
        assert not others, f"{address} was given words about {others}: {row}"
        if row.state in ("refused", "failed"):
            own = ledger.codes_about(address) | ledger.codes_at("MAIL")
            assert str(row.code) in own, f"{address} is {row.state}, and was told only {sorted(own)}: {row}"
        if row.state == "refused":
            assert str(row.code) in ledger.codes_about(address), f"nothing was said about the mailbox: {row}"


def _messages_are_whole_and_for_their_reader(smtpd: RecordingServer) -> None:
    for message in smtpd.received:
        (recipient,) = message.recipients
        assert message.defects == ()
        assert message.data.endswith(b"--\r\n"), f"the message for {recipient} was cut short, and taken"
        assert recipient in str(message.parsed["To"]), f"{recipient} has the message of {message.parsed['To']}"
        assert message.tls or smtpd.security == "none", f"the message for {recipient} went in the clear"
