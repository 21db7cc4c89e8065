"""A sink that speaks STARTTLS and pipelining: python -m bench.tls_sink PORT [CHAIN.PEM].

smtp-sink has no TLS, and a whole MTA would take the cores from the sender that is being measured. This one reads,
looks for the final dot, and forgets.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys

_END = b"\r\n.\r\n"


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.waiting = b""  # the beginning of a command, or the end of what was read of a message
        self.in_message = False
        self.securing = False  # between STARTTLS and the end of the handshake
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None  # kept, so that the loop's collector leaves it alone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = transport  # type: ignore[assignment]
        transport.write(b"220 sink.test ESMTP\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Any piece of a session, however it was cut."""
        replies: list[bytes] = []
        self.waiting += data
        while not self.securing and self._step(replies):
            pass
        assert self.transport is not None, "data comes over a connection"
        if replies:
            self.transport.write(b"".join(replies))
        if replies and replies[-1].startswith(b"220"):
            self.task = asyncio.get_running_loop().create_task(self._secure())
        if replies and replies[-1].startswith(b"221"):
            self.transport.close()

    def _step(self, replies: list[bytes]) -> bool:
        """Take one command or one message off what waits; False when more must come first."""
        if self.in_message:
            end = self.waiting.find(_END)
            if end < 0:
                self.waiting = self.waiting[-len(_END) + 1 :]
                return False
            self.waiting, self.in_message = self.waiting[end + len(_END) :], False
            replies.append(b"250 2.0.0 Ok\r\n")
            return True
        command, found, rest = self.waiting.partition(b"\r\n")
        if not found:
            return False
        self.waiting = rest
        replies.append(self._answer(command[:8].upper().split(b" ")[0].rstrip(b":")))
        if self.in_message:
            self.waiting = b"\r\n" + self.waiting  # so that a message which is a dot alone ends, too
        return True

    def _answer(self, verb: bytes) -> bytes:
        if verb in (b"EHLO", b"HELO"):
            offers = [b"sink.test", b"PIPELINING", b"8BITMIME"] + [b"STARTTLS"] * (self.context is not None)
            return b"".join(b"250-%s\r\n" % each for each in offers) + b"250 ENHANCEDSTATUSCODES\r\n"
        if verb == b"DATA":
            self.in_message = True
            return b"354 go on\r\n"
        if verb == b"STARTTLS" and self.context is not None:
            self.securing, self.waiting = True, b""  # what came with it was not encrypted
            return b"220 2.0.0 ready\r\n"
        return b"221 2.0.0 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 Ok\r\n"

    async def _secure(self) -> None:
        """The first command may come before the handshake is reported as done, so it waits for this."""
        assert self.transport is not None and self.context is not None
        secured = await asyncio.get_running_loop().start_tls(self.transport, self, self.context, server_side=True)
        if secured is None:
            return
        self.transport, self.context, self.securing = secured, None, False
        self.data_received(b"")


async def serve(port: int, chain: str | None) -> None:
    """Listen until SIGTERM."""
    context = None
    if chain:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_server(lambda: Line(context), "127.0.0.1", port, backlog=512)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
