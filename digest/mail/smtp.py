"""The transport: aiosmtplib sessions kept open and used for many messages (RFC 5321, 3207, 8314, 4954).

A message goes out as the bytes it was compiled to, with an explicit envelope; aiosmtplib's own handling of
message objects would write the headers anew and break long ones.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import aiosmtplib

from digest.domain.deliveries import Receipt
from digest.errors import TransportError


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server and how to speak to it. `security` is starttls, tls or none."""

    host: str
    port: int
    security: str
    username: str = ""
    password: str = ""
    ca_file: str = ""
    local_hostname: str = ""
    connect_timeout: timedelta = timedelta(seconds=30)
    command_timeout: timedelta = timedelta(minutes=5)
    data_timeout: timedelta = timedelta(minutes=10)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply that decided a transaction, and the command it answered: MAIL, RCPT or DATA."""

    command: str
    receipt: Receipt


class ConnectionLost(Exception):
    """The session broke. `after_data` tells whether the message may have been taken all the same."""

    def __init__(self, words: str, *, after_data: bool) -> None:
        self.after_data = after_data
        super().__init__(words)


class Session(Protocol):
    """An open line to a server. One transaction at a time."""

    async def send(self, sender: str, recipient: str, message: bytes) -> Answer:
        """One transaction. Raises ConnectionLost."""
        ...

    async def close(self) -> None:
        """Say good-bye; never raises."""
        ...


class SmtpSession:
    """A session that aiosmtplib speaks, command by command."""

    def __init__(self, client: aiosmtplib.SMTP, server: Server) -> None:
        self._client = client
        self._server = server

    async def send(self, sender: str, recipient: str, message: bytes) -> Answer:
        """One transaction; a refusal leaves the session ready for the next."""
        command = "MAIL"
        patience = self._server.command_timeout.total_seconds()
        try:
            await self._client.mail(sender, options=self._mail_options(len(message)), timeout=patience)
            command = "RCPT"
            await self._client.rcpt(recipient, timeout=patience)
            command = "DATA"
            reply = await self._client.data(message, timeout=self._server.data_timeout.total_seconds())
        except aiosmtplib.SMTPResponseException as error:
            await self._reset(error.code)
            return Answer(command, Receipt(error.code, _one_line(error.message)))
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # In DATA nobody can tell whether the server had the whole message before the line broke.
            await _hang_up(self._client)
            raise ConnectionLost(_words(error), after_data=command == "DATA") from error
        return Answer(command, Receipt(reply.code, _one_line(reply.message)))

    async def close(self) -> None:
        """QUIT if the line still stands; what was sent is settled already."""
        try:
            if self._client.is_connected:
                await self._client.quit(timeout=5)
        except aiosmtplib.SMTPException:
            await _hang_up(self._client)

    def _mail_options(self, size: int) -> list[str]:
        return [f"SIZE={size}"] if self._client.supports_extension("size") else []

    async def _reset(self, code: int) -> None:
        """Ready for the next reader; a server that says 421, or answers no RSET, is left (RFC 5321 section 3.8)."""
        if not self._client.is_connected:
            return
        try:
            if code == 421:
                await _hang_up(self._client)
            else:
                await self._client.rset(timeout=self._server.command_timeout.total_seconds())
        except aiosmtplib.SMTPException:
            await _hang_up(self._client)

    @property
    def is_open(self) -> bool:
        """Whether another transaction can be tried on this line."""
        return self._client.is_connected


async def connect(server: Server) -> SmtpSession:
    """Open a session: greeting, EHLO, TLS as the configuration wants it, login. Raises TransportError.

    TLS is never optional: a server that was to speak it and does not gets no message and no password.
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        local_hostname=server.local_hostname or None,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=_tls_context(server),
        timeout=server.connect_timeout.total_seconds(),
    )
    try:
        await client.connect()
        if server.username:
            await client.login(server.username, server.password)
        else:
            await client.ehlo()
    except aiosmtplib.SMTPResponseException as error:
        await _hang_up(client)
        raise TransportError(server.name, _one_line(error.message), error.code) from error
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        await _hang_up(client)
        raise TransportError(server.name, _words(error)) from error
    return SmtpSession(client, server)


async def _hang_up(client: aiosmtplib.SMTP) -> None:
    """Drop the line at once, whatever is still to be written, and let the loop close the socket."""
    if isinstance(client.transport, asyncio.WriteTransport):
        client.transport.abort()
    client.close()
    await asyncio.sleep(0)


def _tls_context(server: Server) -> ssl.SSLContext | None:
    if server.security == "none":
        return None
    return ssl.create_default_context(cafile=server.ca_file or None)


def _words(error: Exception) -> str:
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
