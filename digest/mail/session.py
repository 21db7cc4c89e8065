"""An SMTP session from EHLO's answer on: many messages, one round trip each (RFC 5321, 2920, 3461).

aiosmtplib has connected, encrypted and logged in; this protocol takes its transport over. Where the server offers
PIPELINING, the end of one message and the next one's envelope go out in one write. Everything the server is asked
stands in `_asked`, in order, and each reply is held against the first of them. Without PIPELINING the very same
steps go out one by one: there is one place that knows what a broken line means.
"""

from __future__ import annotations

import asyncio
from collections import deque

from digest.domain.deliveries import Receipt
from digest.mail.envelope import Answer, Ask, Feed, Limits, Loss, Offers, Parcel, commands
from digest.mail.replies import Replies

_END = b".\r\n"


class Session(asyncio.Protocol):
    """One connection's messages. `ended` is set when the line is gone, with the words why; empty: in good order."""

    def __init__(self, feed: Feed, offers: Offers, limits: Limits, *, lockstep: bool = False) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.messages = 0  # the server has decided about
        self.is_confused = False  # replies did not fit what was asked while several were under way
        self._feed = feed
        self._offers = offers
        self._limits = limits
        self._pipelines = offers.pipelining and not lockstep
        self._replies = Replies()
        self._asked: deque[tuple[Ask, Parcel | None]] = deque()
        self._to_say: deque[tuple[Ask, bytes, Parcel]] = deque()  # without PIPELINING: what comes next
        self._enveloped: Parcel | None = None  # its envelope is out, its message is not
        self._refusal: Answer | None = None  # of that envelope
        self._started = 0
        self._needs_reset = False
        self._is_last = True  # of the replies that arrived together
        self._is_stalled = False  # the network takes no more at present
        self._tail = 0  # octets written behind the last message's final dot
        self._is_over = False  # nothing is said or heard any more; `ended` follows when the socket is closed
        self._words = ""
        self._leaving = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over. The first message goes out at once if there is one."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)  # so that we hear when a write did not go through whole
        self._go_on()

    # --- for the owner ------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be work."""
        if self._enveloped is None and not self._leaving and not self._is_over:
            self._go_on()

    def close(self) -> None:
        """Leave in good order: what is out is waited for, what is not stays with its owner."""
        self._leaving = True
        if not self._asked:
            self._quit()

    @property
    def is_resting(self) -> bool:
        """Whether nothing at all is under way."""
        return not self._asked

    @property
    def is_pipelining(self) -> bool:
        """Whether several commands go out together."""
        return self._pipelines

    # --- what arrives ---------------------------------------------------------------------------

    def data_received(self, arrived: bytes) -> None:
        """Replies, matched in order with what was asked."""
        receipts = self._replies.feed(arrived)
        for number, receipt in enumerate(receipts, start=1):
            if self._is_over:
                return
            self._is_last = number == len(receipts) and self._replies.is_between
            self._match(receipt)
        if self._replies.garbage and not self._is_over:
            self._hang_up(self._replies.garbage, confused=True)

    def _match(self, receipt: Receipt) -> None:
        if not self._asked:  # unasked: most likely a 421, "you were idle too long"
            self._hang_up(f"the server said {receipt}", confused=receipt.code != 421)
            return
        ask, parcel = self._asked.popleft()
        self._set_deadline()
        if receipt.code == 421 and ask is not Ask.END:
            self._turned_away(ask, receipt)
            return
        if ask is Ask.END:
            assert parcel is not None
            self._decided(parcel, receipt)
        elif ask is Ask.DATA:
            assert parcel is not None
            self._at_data(parcel, receipt)
        elif ask in (Ask.MAIL, Ask.RCPT):
            self._at_envelope(ask, parcel, receipt)
        elif ask is Ask.QUIT:
            self._hang_up("")
        elif receipt.code >= 300 and ask is Ask.RSET:
            self._hang_up(f"the server would not start anew: {receipt}")
        self._say_next()

    def _turned_away(self, ask: Ask, receipt: Receipt) -> None:
        """The server closes, as it may at any command (RFC 5321 section 3.8).

        Often after so many messages a connection: that is a farewell, and no answer to the next of them.
        """
        is_farewell = self.messages and ask in (Ask.RSET, Ask.MAIL)
        if is_farewell:
            self._asked.appendleft((ask, self._enveloped))  # unanswered, then
        elif self._enveloped is not None and self._refusal is None:
            self._refusal = Answer(ask.value, receipt)
        self._hang_up(f"the server closed the connection: {receipt}")

    def _at_envelope(self, ask: Ask, parcel: Parcel | None, receipt: Receipt) -> None:
        if 200 <= receipt.code < 300:
            return
        if receipt.code < 400:
            self._hang_up(f"the server answered {ask.value} with {receipt}", confused=True)
        elif self._refusal is None:
            self._refusal = Answer(ask.value, receipt)
            self._needs_reset = True
            if self._to_say and parcel is not None:
                self._to_say.clear()  # step by step: the rest of its envelope is not said at all
                self._settle_refused(parcel)

    def _at_data(self, parcel: Parcel, receipt: Receipt) -> None:
        if receipt.code == 354:
            if not self._is_last:
                self._hang_up("the server answered a message before it had it", confused=True)
            elif self._refusal is not None:  # it waits for a message to nobody: give it an empty one (RFC 2920 3.1)
                self._asked.append((Ask.DOT, None))
                self._write(_END)
                self._settle_refused(parcel)
            elif self._feed.is_wanted(parcel):
                self._send_message(parcel)
            else:
                self._hang_up("")  # told to stop: the server throws away what has no message
        elif receipt.code >= 400:
            self._needs_reset = True
            self._refusal = self._refusal or Answer("DATA", receipt)
            self._settle_refused(parcel)
        else:
            self._hang_up(f"the server answered DATA with {receipt}", confused=True)

    def _settle_refused(self, parcel: Parcel) -> None:
        refusal, self._refusal, self._enveloped = self._refusal, None, None
        assert refusal is not None
        self._feed.answered(parcel, refusal)

    def _decided(self, parcel: Parcel, receipt: Receipt) -> None:
        self.messages += 1
        if receipt.code == 421:
            self._feed.answered(parcel, Answer("END", receipt))
            self._hang_up(f"the server closed the connection: {receipt}")
        elif 300 <= receipt.code < 400 or (receipt.code < 300 and self._is_unsent()):
            # Not an answer to a message, or a yes before all of it was there: nobody knows what it means.
            self._asked.appendleft((Ask.END, parcel))
            self._hang_up(f"the server answered the message with {receipt}", confused=True)
        else:
            self._feed.answered(parcel, Answer("END", receipt))

    def _is_unsent(self) -> bool:
        """Whether we still hold back more than what stands behind the final dot, so that the dot is not out.

        TLS adds a little to what is counted.
        """
        slack = 4096 if self._transport.get_extra_info("ssl_object") else 0
        return self._transport.get_write_buffer_size() > self._tail + slack

    # --- what goes out --------------------------------------------------------------------------

    def _send_message(self, parcel: Parcel) -> None:
        """The message, and in the same breath the next one's envelope."""
        self._enveloped = None
        self._asked.append((Ask.END, parcel))
        envelope = self._next_envelope() if self._pipelines else b""
        self._tail = -len(parcel.content) - len(_END)
        self._write(b"".join((parcel.content, _END, envelope)))
        if self._pipelines and not envelope and not self._leaving:
            self._feed.hungry(self)  # an envelope that goes out before the answer comes still saves a round trip

    def _say_next(self) -> None:
        """After a reply: the next step, the next message, or rest."""
        if self._is_over:
            return
        if self._to_say and not self._asked:
            ask, command, parcel = self._to_say.popleft()
            self._asked.append((ask, parcel))
            self._write(command)
        elif self._enveloped is None:
            self._go_on()

    def _go_on(self) -> None:
        if self._asked and not self._pipelines:
            return
        if envelope := self._next_envelope():
            self._write(envelope)
        elif not self._asked:
            self._rest()

    def _next_envelope(self) -> bytes:
        """Ask for the next message and write its envelope, if there is one and it may go over this line."""
        if self._leaving or 0 < self._limits.messages <= self._started:
            return b""
        while parcel := self._feed.take():
            if parcel.recipient.isascii() or self._offers.smtputf8:
                break
            words = "the mail server does not take addresses with such letters (it offers no SMTPUTF8)"
            self._feed.answered(parcel, Answer("ADDRESS", Receipt(0, words)))
        else:
            return b""
        self._started += 1
        self._enveloped = parcel
        steps = commands(parcel, self._offers)
        if self._needs_reset:
            self._needs_reset = False
            steps.insert(0, (Ask.RSET, b"RSET\r\n"))
        if self._pipelines:
            self._asked.extend((ask, parcel) for ask, _ in steps)
            return b"".join(command for _, command in steps)
        self._to_say.extend((ask, command, parcel) for ask, command in steps[1:])
        self._asked.append((steps[0][0], parcel))
        return steps[0][1]

    def _rest(self) -> None:
        if self._leaving or 0 < self._limits.messages <= self._started:
            self._quit()
            return
        self._deadline = self._loop.time() + self._limits.idle
        self._watch()
        self._feed.hungry(self)

    def _quit(self) -> None:
        if not self._is_over:
            self._leaving = True
            self._asked.append((Ask.QUIT, None))
            self._write(b"QUIT\r\n")

    def _write(self, octets: bytes) -> None:
        self._tail += len(octets)
        self._transport.write(octets)
        self._set_deadline()

    # --- time-outs ------------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        """The first thing asked must be answered by then, or the network must move on."""
        if self._asked:
            self._deadline = self._loop.time() + self._patience(self._asked[0][0])
            self._watch()

    def _patience(self, ask: Ask) -> float:
        if self._is_stalled:
            return self._limits.block
        if ask is Ask.END:
            return self._limits.end
        if ask is Ask.QUIT:
            return min(5.0, self._limits.command)
        return self._limits.data if ask is Ask.DATA else self._limits.command

    def _watch(self) -> None:
        """One timer a session. It is set anew when it fires or is too late, so a message costs none."""
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._is_over:
            return
        if self._loop.time() < self._deadline:
            self._watch()
        elif not self._asked:
            self._quit()
        else:
            ask = self._asked[0][0]
            waited = self._patience(ask)
            if self._is_stalled:
                self._hang_up(f"the network took nothing for {waited:g} seconds")
            else:
                envelope = ask in (Ask.MAIL, Ask.RCPT, Ask.DATA, Ask.RSET)
                self._hang_up(f"no answer to {ask.value} within {waited:g} seconds", confused=envelope)

    def pause_writing(self) -> None:
        """The network does not take all at once."""
        self._is_stalled = True
        self._set_deadline()

    def resume_writing(self) -> None:
        """All that was written is on its way."""
        self._is_stalled = False
        self._set_deadline()

    # --- the end --------------------------------------------------------------------------------

    def connection_lost(self, error: Exception | None) -> None:
        """The line is gone, whoever closed it."""
        if self._asked and self._asked[0][0] is not Ask.QUIT:
            self._end(f"the connection broke: {error}" if error else "the server closed the connection")
        else:
            self._end("")
        if not self.ended.done():  # its owner may be gone
            self.ended.set_result(self._words)

    def _hang_up(self, words: str, *, confused: bool = False) -> None:
        """End the line at once; whatever is still to be written is not."""
        if self._is_over:
            return
        self.is_confused = confused and self._pipelines
        unsent = self._is_unsent()
        self._transport.abort()
        self._end(words, message_unsent=unsent)

    def _end(self, words: str, *, message_unsent: bool = False) -> None:
        if self._is_over:
            return
        self._is_over, self._words = True, words
        if self._timer is not None:
            self._timer.cancel()
        asked = [*self._asked, *((ask, parcel) for ask, _, parcel in self._to_say)]
        self._asked.clear()
        self._to_say.clear()
        under_way = [parcel for ask, parcel in asked if ask is Ask.END and parcel]
        for parcel in under_way:
            self._feed.lost(parcel, words, Loss.UNSENT if message_unsent else Loss.UNKNOWN)
        if self._enveloped is not None:
            parcel, self._enveloped = self._enveloped, None
            if self._refusal is not None:  # it had its answer already; the rest was form
                self._feed.answered(parcel, self._refusal)
            else:
                is_farewell = self.messages and any(ask is Ask.MAIL for ask, _ in asked)
                self._feed.lost(parcel, words, Loss.FAREWELL if is_farewell else Loss.UNSENT)
