"""One mail server as a sender uses it: as many connections as it bears, each fed from what is ready.

Trouble halves the connections and success lets them grow again. A server nobody can reach is left alone for a
while; what was meant for it stays with its owner, who may give it to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable

from digest.domain.masking import masked, without
from digest.domain.pace import Bucket
from digest.errors import TransportError
from digest.mail.envelope import Answer, Loss, Parcel
from digest.mail.session import Session
from digest.mail.smtp import Server, connect

Answered = Callable[[Parcel, Answer], None]
Lost = Callable[[Parcel, str, Loss], None]  # (parcel, words, loss)

GROW_AFTER = 2.0  # seconds without trouble until there is one connection more
REST = 30.0  # seconds a server is left alone that could not be reached
LOCKSTEP_AFTER = 2  # lines in a row that broke while commands went out together: one by one after that
LOCKSTEP_FOR = 600.0  # seconds; then they are tried together again

log = logging.getLogger("digest.relay")


class Relay:
    """The connections to one server. `put` gives it work; `answered` and `lost` tell what became of it."""

    def __init__(
        self,
        server: Server,
        *,
        answered: Answered,
        lost: Lost,
        is_wanted: Callable[[Parcel], bool],
        connect_tries: int = 6,
        first_wait: float = 0.5,
    ) -> None:
        self.server = server
        self.allowed = server.connections  # connections it bears at present
        self.failures = 0  # to connect, in a row
        self.trouble: TransportError | None = None  # the last, while the server is left alone
        self.is_open = True
        self._tell_answered = answered
        self._tell_lost = lost
        self._wants = is_wanted
        self._connect_tries = connect_tries
        self._first_wait = first_wait
        self._ready: deque[Parcel] = deque()
        self._resting: dict[Session, None] = {}  # have nothing to do at all
        self._hungry: dict[Session, None] = {}  # would take the next message's envelope already
        self._sessions: set[Session] = set()
        self._bucket = Bucket(0.0)
        self._lockstep_until = 0.0
        self._suspicions = 0
        self._resting_until = 0.0
        self._changed_at = 0.0
        self._failed_at = 0.0
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._lines: list[asyncio.Task[None]] = []
        self._connecting: dict[int, None] = {}  # the numbers of the lines that are being opened
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    # --- for the owner ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; connections are opened when there is work."""
        self._lines = [asyncio.create_task(self._line(n)) for n in range(self.server.connections)]

    @property
    def is_usable(self) -> bool:
        """Whether it can be given work now."""
        return self.is_open and self._loop.time() >= self._resting_until

    def room(self, held: int, window: float) -> int:
        """How many more messages it can be given, when it holds `held` and each connection may have `window`."""
        if not self.is_usable:
            return 0
        room = max(1, int(self.allowed * window)) - held
        if self._bucket.rate:  # no more than go out within a moment: what waits here is not re-read
            room = min(room, max(1, int(self._bucket.rate / 2)) - len(self._ready))
            if self._bucket.wait(self._loop.time()) > 0.5:
                return 0
        return max(0, room)

    def try_again(self) -> None:
        """Forget past trouble: somebody says that it is mended."""
        self.failures, self.trouble, self._resting_until = 0, None, 0.0
        self._work.set()

    def set_share(self, share: float) -> None:
        """How much of the server's rate is ours."""
        rate = self.server.per_second * share
        self._bucket.set_rate(rate, burst=max(1.0, rate / 10))

    def put(self, parcels: list[Parcel], *, first: bool = False) -> None:
        """Work, or none. `first`: it overtakes what waits."""
        if first:
            self._ready.extendleft(reversed(parcels))
        else:
            self._ready.extend(parcels)
        self._feed_hungry()
        if self._ready:
            self._work.set()

    def withdraw(self, is_to_go: Callable[[Parcel], bool] = lambda _: True) -> list[Parcel]:
        """Take back what has not begun to go out."""
        back = [each for each in self._ready if is_to_go(each)]
        if back:
            self._ready = deque(each for each in self._ready if not is_to_go(each))
        return back

    async def close(self) -> None:
        """Let what is on the wire finish, and leave in good order."""
        self.is_open = False
        self._closing.set()
        self._work.set()
        for session in list(self._sessions):
            session.close()
        for number in self._connecting:  # no message is under way there
            self._lines[number].cancel()
        if self._lines:
            await asyncio.gather(*self._lines, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    # --- for its sessions (mail.session.Feed) -----------------------------------------------------

    def take(self) -> Parcel | None:
        """The next message, if the pace allows one."""
        if not self._ready or not self.is_open:
            return None
        if self._bucket.rate and not self._bucket.take(self._loop.time()):
            self._wake_later()
            return None
        return self._ready.popleft()

    def is_wanted(self, parcel: Parcel) -> bool:
        """Asked right before the message itself goes out."""
        return self.is_open and self._wants(parcel)

    def answered(self, parcel: Parcel, answer: Answer) -> None:
        """The server has decided."""
        if answer.receipt.code != 421 or answer.command != "MAIL":  # to be turned away before a word is no good news
            self._suspicions = self.failures = 0
            self.trouble = None
            self._grow()
        if answer.receipt.code >= 400:  # its words are kept, logged, and told to the desk: they name no reader there
            answer = Answer(answer.command, answer.receipt.about(parcel.recipient))
        self._tell_answered(parcel, answer)

    def lost(self, parcel: Parcel, words: str, loss: Loss) -> None:
        """The line broke under it."""
        self._tell_lost(parcel, without(words, parcel.recipient), loss)

    def hungry(self, session: Session) -> None:
        """The session waits for work: one with nothing at all to do comes first."""
        (self._resting if session.is_resting else self._hungry)[session] = None

    def _feed_hungry(self) -> None:
        for waiting in (self._resting, self._hungry):
            for session in list(waiting):  # one that has just broken takes nothing: go on to the next
                if not self._ready:
                    return
                waiting.pop(session, None)
                session.wake()

    def _wake_later(self) -> None:
        if self._timer is None:
            wait = max(0.001, self._bucket.wait(self._loop.time()))
            self._timer = self._loop.call_later(wait, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._feed_hungry()
        if self._ready:
            self._wake_later()

    # --- its connections --------------------------------------------------------------------------

    async def _line(self, number: int) -> None:
        """Open a connection when there is work, use it until it ends, and again."""
        while self.is_open:
            if len(self._ready) <= len(self._connecting) or number >= self.allowed or not self.is_usable:
                await self._pause()
                continue
            began = self._loop.time()
            self._connecting[number] = None
            try:
                lockstep = self._loop.time() < self._lockstep_until
                session = await connect(self.server, self, lockstep=lockstep)
            except TransportError as error:
                self._connecting.pop(number, None)
                log.info("%s", error)
                await self._failed(error, began)
            except Exception as error:  # a defect of ours: the other lines, and this one later, go on
                self._connecting.pop(number, None)
                log.exception("a connection to %s failed here, not there", self.server.address)
                await self._failed(TransportError(self.server.address, f"{type(error).__name__}: {error}"), began)
            else:
                self._connecting.pop(number, None)
                if not self.is_open:  # told to stop while it was being opened
                    session.close()
                await self._use(session, began)
            finally:
                self._connecting.pop(number, None)

    async def _pause(self) -> None:
        """Until there is work, or for a moment: whether a line may be open changes with time too."""
        self._work.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._work.wait(), 0.25 if self._ready else 5.0)

    async def _use(self, session: Session, began: float) -> None:
        self._sessions.add(session)
        try:
            words = await session.ended
        finally:
            self._sessions.discard(session)
            self._resting.pop(session, None)
            self._hungry.pop(session, None)
        if not words or not self.is_open:
            return
        log.info("%s: %s", self.server.address, masked(words))
        if session.is_pipelining and (session.is_confused or not session.messages):
            self._suspect(session)
        if not session.messages:
            await self._failed(TransportError(self.server.address, masked(words)), began)

    def _suspect(self, session: Session) -> None:
        """Some servers offer PIPELINING and then lose what came together."""
        self._suspicions += 1
        if session.is_confused or self._suspicions >= LOCKSTEP_AFTER:
            log.warning("%s seems to lose commands that come together; one by one for a while", self.server.address)
            self._lockstep_until = self._loop.time() + LOCKSTEP_FOR
            self._suspicions = 0

    async def _failed(self, error: TransportError, began: float) -> None:
        """It could not be reached, would not have us, or broke off before it decided about any message.

        Lines that tried at the same time count once. A password is not tried again and again.
        """
        if began >= self._failed_at:
            self.failures += 1
            self._failed_at = self._loop.time()
            self._halve()
        if (self.failures >= self._connect_tries or error.code >= 500) and not self._sessions:
            self.trouble = error
            self._resting_until = self._loop.time() + REST
            self._work.set()
            return
        wait = self._first_wait * 2 ** min(max(self.failures - 1, 0), 6)
        await self._sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311 - jitter

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not while we are told to stop."""
        if self.is_open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    def _halve(self) -> None:
        self.allowed = max(1, self.allowed // 2)
        self._changed_at = self._loop.time()

    def _grow(self) -> None:
        if self.allowed < self.server.connections and self._loop.time() - self._changed_at >= GROW_AFTER:
            self.allowed += max(1, self.allowed // 4)
            self.allowed = min(self.allowed, self.server.connections)
            self._changed_at = self._loop.time()
            self._work.set()
