"""Connecting to a mail server: aiosmtplib greets, encrypts and logs in; our session then takes the line over.

A message goes out as the bytes it was compiled to, with an explicit envelope; aiosmtplib's own commands would take
four round trips for it and search each body three times (RFC 5321, 3207, 8314, 4954).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

import aiosmtplib

from digest.domain.deliveries import Receipt
from digest.domain.pace import Caps
from digest.errors import TransportError
from digest.mail.envelope import Answer, Feed, Limits, Loss, Offers, Parcel
from digest.mail.session import Session


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server and how to speak to it. `security` is starttls, tls or none; `name` is for people and counters."""

    host: str
    port: int
    security: str
    name: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    local_hostname: str = ""
    connections: int = 10
    weight: int = 1  # how much of the mail it gets beside others; 0: only when the others fail
    per_second: float = 0.0  # over all workers; 0: no limit
    caps: Caps = field(default_factory=Caps)
    pipelining: bool = True
    messages_per_connection: int = 0
    connect_timeout: timedelta = timedelta(seconds=30)
    greeting_timeout: timedelta = timedelta(minutes=5)
    command_timeout: timedelta = timedelta(minutes=5)
    data_timeout: timedelta = timedelta(minutes=2)
    block_timeout: timedelta = timedelta(minutes=3)
    end_timeout: timedelta = timedelta(minutes=10)

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"

    @property
    def limits(self) -> Limits:
        """What a session must know."""
        return Limits(
            command=self.command_timeout.total_seconds(),
            data=self.data_timeout.total_seconds(),
            block=self.block_timeout.total_seconds(),
            end=self.end_timeout.total_seconds(),
            messages=self.messages_per_connection,
        )


class ConnectionLost(Exception):
    """The session broke. `after_data` tells whether the message may have been taken all the same."""

    def __init__(self, words: str, *, after_data: bool) -> None:
        self.after_data = after_data
        super().__init__(words)


async def connect(server: Server, feed: Feed, *, lockstep: bool = False) -> Session:
    """Open a session: greeting, EHLO, TLS as the configuration wants it, login. Raises TransportError.

    TLS is never optional: a server that was to speak it and does not gets no message and no password. `lockstep`
    sends one command at a time whatever the server offers.
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        local_hostname=server.local_hostname or await asyncio.to_thread(_own_name),
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=None if server.security == "none" else _tls_context(server.ca_file),
        timeout=server.greeting_timeout.total_seconds(),
    )
    try:
        await client.connect(sock=await _open_socket(server))
        if server.username:
            await client.login(server.username, server.password)
        else:
            await client.ehlo()
    except aiosmtplib.SMTPResponseException as error:
        await _hang_up(client)
        raise TransportError(server.address, _one_line(error.message), error.code) from error
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        await _hang_up(client)
        raise TransportError(server.address, _words(error)) from error
    except BaseException:  # told to stop meanwhile
        await _hang_up(client)
        raise
    return _take_over(client, server, feed, lockstep)


async def _open_socket(server: Server) -> socket.socket:
    """A connected socket, to whichever of the host's addresses answers first in time. Raises OSError."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{server.host} has no address")
    for family, kind, number, _, where in await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM):
        opened = socket.socket(family, kind, number)
        opened.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(opened, where), server.connect_timeout.total_seconds())
            return opened
        except TimeoutError:
            failure = OSError(f"no connection within {server.connect_timeout.total_seconds():g} seconds")
            opened.close()
        except OSError as error:
            failure = error
            opened.close()
        except BaseException:
            opened.close()
            raise
    raise failure


def _take_over(client: aiosmtplib.SMTP, server: Server, feed: Feed, lockstep: bool) -> Session:
    transport = client.transport
    assert isinstance(transport, asyncio.Transport), "aiosmtplib has connected"
    offers = Offers(
        pipelining=client.supports_extension("pipelining"),
        size=client.supports_extension("size"),
        dsn=client.supports_extension("dsn"),
        smtputf8=client.supports_extension("smtputf8"),
    )
    session = Session(feed, offers, server.limits, lockstep=lockstep or not server.pipelining)
    transport.set_protocol(session)
    session.connection_made(transport)
    return session


async def send_one(server: Server, parcel: Parcel) -> Receipt:
    """Send a single message over a connection of its own. Raises TransportError, ConnectionLost."""
    once = _Once(parcel)
    session = await connect(server, once)
    await session.ended
    if once.answer is None:
        raise ConnectionLost(once.words, after_data=once.loss is Loss.UNKNOWN)
    return once.answer.receipt


class _Once:
    """The feed of a single message."""

    def __init__(self, parcel: Parcel) -> None:
        self.answer: Answer | None = None
        self.words = ""
        self.loss = Loss.UNSENT
        self._left: Parcel | None = parcel

    def take(self) -> Parcel | None:
        parcel, self._left = self._left, None
        return parcel

    def is_wanted(self, parcel: Parcel) -> bool:
        return True

    def answered(self, parcel: Parcel, answer: Answer) -> None:
        self.answer = answer

    def lost(self, parcel: Parcel, words: str, loss: Loss) -> None:
        self.words, self.loss = words, loss

    def hungry(self, session: Session) -> None:
        session.close()


async def _hang_up(client: aiosmtplib.SMTP) -> None:
    """Drop the line at once, whatever is still to be written, and let the loop close the socket."""
    if isinstance(client.transport, asyncio.WriteTransport):
        client.transport.abort()
    client.close()
    await asyncio.sleep(0)


@lru_cache(maxsize=1)
def _own_name() -> str:
    """Looked up once: it may take the resolver seconds."""
    return socket.getfqdn()


@lru_cache(maxsize=8)
def _tls_context(ca_file: str) -> ssl.SSLContext:
    """Read once: the system's authorities take 20 ms to load, and every connection would."""
    return ssl.create_default_context(cafile=ca_file or None)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
