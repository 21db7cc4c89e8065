"""The bytes of an SMTP session: lines, messages, TLS, and ways to hang up."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from typing import Literal

_CHUNK = 1 << 16
_MAX_LINE = 998  # RFC 5321 section 4.5.3.1.6, without the CRLF
_UNSTUFFED_DOT = re.compile(rb"\r\n\.(?!\.)")


class HungUp(Exception):
    """The client has gone, or the script says that we go. `reset`: without a proper good-bye."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Wire:
    """A connection with a buffer of its own, so that pipelined commands are seen as they come.

    `rhythm` is how replies travel: each at once, those to a pipelined group in one packet, or byte by byte.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._unsaid = bytearray()
        self._client_left = False
        self._may_read: int | None = None
        self._may_write: int | None = None
        self._resets = False
        self.rhythm: Literal["each", "together", "bytes"] = "each"
        self.bytes_read = 0  # in the clear
        self.bytes_written = 0

    @property
    def has_more(self) -> bool:
        """Whether the client has said more already."""
        return bool(self._buffer)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self._writer.get_extra_info("ssl_object") is not None

    def cut_after(self, *, read: int | None, written: int | None, reset: bool) -> None:
        """Hang up after so many bytes of either direction; what the bytes read call for is done first."""
        self._may_read, self._may_write, self._resets = read, written, reset

    async def line(self) -> bytes:
        """The next line with its end. Raises HungUp."""
        while (end := self._buffer.find(b"\n")) < 0:
            await self._read_more()
        return self._take(end + 1)

    async def body(self, at_most: int | None = None) -> bytes:
        """The message up to its final CRLF.CRLF, still stuffed, without the dot.

        With `at_most`, raises HungUp after so many bytes. A dot between bare line feeds ends nothing:
        servers that thought otherwise let mail be smuggled in (2023, "SMTP smuggling").
        """
        searched = 0
        while True:
            if self._buffer.startswith(b".\r\n"):
                self._take(3)
                return b""
            end = self._buffer.find(b"\r\n.\r\n", searched)
            if at_most is not None and (end >= 0 or len(self._buffer) >= at_most):
                raise HungUp
            if end >= 0:
                message = self._take(end + 2)
                self._take(3)
                return message
            searched = max(len(self._buffer) - 4, 0)
            await self._read_more()

    async def octets(self, count: int, at_most: int | None = None) -> bytes:
        """Exactly `count` bytes, as BDAT announces them; with `at_most`, raises HungUp after so many."""
        while len(self._buffer) < count and (at_most is None or len(self._buffer) < at_most):
            await self._read_more()
        if at_most is not None:
            raise HungUp
        return self._take(count)

    def forget(self) -> None:
        """Throw away what the client has said already, as servers do that do not know of pipelining."""
        self._buffer.clear()

    async def pause(self, seconds: float) -> None:
        """Wait; a client that hangs up ends it. Raises HungUp only for a wire that is cut."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._client_left and (left := until - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hear(), left)

    async def say(self, reply: str | bytes) -> None:
        """Send a reply; a newline in text separates lines, bytes go out as they are. Raises HungUp."""
        if self._client_left:
            raise HungUp
        self._unsaid += reply if isinstance(reply, bytes) else (reply.replace("\n", "\r\n") + "\r\n").encode()
        if self.rhythm == "bytes":
            while len(self._unsaid) > 1:
                self._write(1)
                await asyncio.sleep(0)  # a packet of its own
        if self.rhythm != "together" or self._may_write is not None:
            self._write()
        if not self._buffer:  # answers to pipelined commands may travel together
            await self.flush()

    async def flush(self) -> None:
        """Let the replies go out. Raises HungUp."""
        self._write()
        try:
            await self._writer.drain()
        except OSError:
            raise HungUp from None

    async def start_tls(self, context: ssl.SSLContext) -> bool:
        """Encrypt. Tells whether the client had nothing slipped in before (CVE-2011-0411); that is thrown away."""
        clean = not self._buffer
        self._buffer.clear()
        try:
            await self._writer.start_tls(context)
        except OSError:
            raise HungUp from None
        return clean

    async def spoil_tls(self, answer: bytes, delay: float, *, reset: bool) -> None:
        """Hear the client's first words of TLS, answer them with something else or nothing, and hang up."""
        await self._read_more()
        await self.pause(delay)
        if answer:
            await self.say(answer)
            await self.flush()
        raise HungUp(reset=reset)

    async def close(self) -> None:
        """Good-bye. A client that does not answer TLS's closing words is left after a second."""
        with contextlib.suppress(HungUp):
            self._write()  # the replies before the one that never came were given
        self._writer.close()
        try:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), 1)
        finally:
            self._writer.transport.abort()

    def reset(self) -> None:
        """Hang up with a RST, as a crashed machine or a firewall does."""
        plain: socket.socket | None = self._writer.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._unsaid.clear()
        self._writer.transport.abort()

    async def _read_more(self) -> None:
        await self.flush()
        await self._hear()
        if self._client_left:
            raise HungUp

    async def _hear(self) -> None:
        if self._may_read == 0 or self._may_write == 0:
            raise HungUp(reset=self._resets)
        try:
            chunk = await self._reader.read(_CHUNK if self._may_read is None else min(_CHUNK, self._may_read))
        except OSError:
            chunk = b""
        self._client_left = not chunk
        self._buffer += chunk
        self.bytes_read += len(chunk)
        if self._may_read is not None:
            self._may_read -= len(chunk)

    def _write(self, at_most: int | None = None) -> None:
        wire = bytes(self._unsaid[:at_most])
        del self._unsaid[:at_most]
        allowed = len(wire) if self._may_write is None else min(self._may_write, len(wire))
        if allowed:
            self._writer.write(wire[:allowed])
        self.bytes_written += allowed
        if self._may_write is not None:
            self._may_write -= allowed
        if allowed < len(wire):
            self._unsaid.clear()
            raise HungUp(reset=self._resets)

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


def unstuff(body: bytes) -> bytes:
    """Take away the dot every line that begins with one was given (RFC 5321 section 4.5.2)."""
    return (b"\r\n" + body).replace(b"\r\n.", b"\r\n")[2:]


def defects(body: bytes, *, eight_bit: bool, stuffed: bool = True) -> tuple[str, ...]:
    """What is wrong with a message as it came, for a server that takes the RFC at its word."""
    lines = body.split(b"\r\n")  # counting is some twenty times faster than patterns are
    findings = {
        "bare LF": body.count(b"\n") != len(lines) - 1,
        "bare CR": body.count(b"\r") != len(lines) - 1,
        "line over 998 bytes": max(map(len, lines)) > _MAX_LINE,
        "NUL byte": b"\0" in body,
        "dot not stuffed": stuffed and _UNSTUFFED_DOT.search(b"\r\n" + body) is not None,
        "8-bit bytes without BODY=8BITMIME": not eight_bit and not body.isascii(),
    }
    return tuple(name for name, found in findings.items() if found)
