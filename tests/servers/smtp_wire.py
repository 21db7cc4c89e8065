"""The bytes of an SMTP session: lines, messages, TLS, and ways to hang up."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct

_CHUNK = 1 << 16
_MAX_LINE = 998  # RFC 5321 section 4.5.3.1.6, without the CRLF
_UNSTUFFED_DOT = re.compile(rb"\r\n\.(?!\.)")


class HungUp(Exception):
    """The client has gone, or the script says that we go. `reset`: without a proper good-bye."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Wire:
    """A connection with a buffer of its own, so that pipelined commands are seen as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    @property
    def has_more(self) -> bool:
        """Whether the client has said more already."""
        return bool(self._buffer)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self._writer.get_extra_info("ssl_object") is not None

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

    async def say(self, reply: str | bytes) -> None:
        """Send a reply; a newline in text separates lines, bytes go out as they are. Raises HungUp."""
        wire = reply if isinstance(reply, bytes) else (reply.replace("\n", "\r\n") + "\r\n").encode()
        self._writer.write(wire)
        if not self._buffer:  # answers to pipelined commands may travel together
            await self.flush()

    async def flush(self) -> None:
        """Let the replies go out. Raises HungUp."""
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

    async def close(self) -> None:
        """Good-bye. A client that does not answer TLS's closing words is left after a second."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1)
        self._writer.transport.abort()

    def reset(self) -> None:
        """Hang up with a RST, as a crashed machine or a firewall does."""
        plain: socket.socket | None = self._writer.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _read_more(self) -> None:
        try:
            chunk = await self._reader.read(_CHUNK)
        except OSError:
            chunk = b""
        if not chunk:
            raise HungUp
        self._buffer += chunk

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


def unstuff(body: bytes) -> bytes:
    """Take away the dot every line that begins with one was given (RFC 5321 section 4.5.2)."""
    return (b"\r\n" + body).replace(b"\r\n.", b"\r\n")[2:]


def defects(body: bytes, *, eight_bit: bool) -> tuple[str, ...]:
    """What is wrong with a message as it came, still stuffed, for a server that takes the RFC at its word."""
    lines = body.split(b"\r\n")  # counting is some twenty times faster than patterns are
    findings = {
        "bare LF": body.count(b"\n") != len(lines) - 1,
        "bare CR": body.count(b"\r") != len(lines) - 1,
        "line over 998 bytes": max(map(len, lines)) > _MAX_LINE,
        "NUL byte": b"\0" in body,
        "dot not stuffed": _UNSTUFFED_DOT.search(b"\r\n" + body) is not None,
        "8-bit bytes without BODY=8BITMIME": not eight_bit and not body.isascii(),
    }
    return tuple(name for name, found in findings.items() if found)
