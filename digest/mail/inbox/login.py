"""What IMAP and POP3 have in common: how the line is opened and made safe, and what is wrong when it cannot be."""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar

from digest.errors import MailboxError

Line = TypeVar("Line")  # a library's session
_LONGEST_OPENING = 30.0  # seconds to connect, to agree on TLS, to be greeted
# OpenSSL's words for bytes that are no TLS: the server greets in the clear, or hangs up on what it does not understand.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "PACKET_LENGTH_TOO_LONG"})
_OTHER_NAME = "it is for another name; set [bounces] host to the name it is for"
_OTHERS = "this machine does not know who vouches for it; if they are yours, set [bounces] ca_file"
_REMEDIES = {  # by X509_V_ERR_*
    10: "it has expired; renew it on that server",
    18: "nobody vouches for it; if it is your own, set [bounces] ca_file",
    19: _OTHERS,
    20: _OTHERS,
    62: _OTHER_NAME,
    64: _OTHER_NAME,  # host is an IP address
}


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to read a mailbox, and the ports it usually has."""

    name: str
    tls_port: int  # TLS from the first byte
    plain_port: int  # in the clear, or STARTTLS


@dataclass(frozen=True, slots=True)
class Login:
    """A mail server and the account on it; `port` 0 is the usual one, `timeout` is in seconds for each answer."""

    host: str
    username: str
    password: str
    security: str = "tls"  # tls, starttls or none
    port: int = 0
    ca_file: str = ""
    timeout: float = 60.0


class LoggedIn(ABC, Generic[Line]):
    """A session with a mail server, opened and closed with `with`. Raises MailboxError with what to do about it."""

    protocol: ClassVar[Protocol]
    complaints: ClassVar[tuple[type[Exception], ...]]  # what the library raises when the server says no
    name: str

    def __init__(self, login: Login) -> None:
        self._login = login
        self._line: Line | None = None

    def __enter__(self) -> Self:
        try:
            self._begin(_Opening(self.name, self._login, self.protocol, self.complaints))
        except BaseException:
            self._drop()
            raise
        return self

    def _begin(self, opening: _Opening) -> None:
        """Connect, be greeted, make the line safe, log in: what fails in each step has causes of its own."""
        context = opening.trust()
        sock = opening.connect(context)
        try:
            with opening.greeting():
                self._line = self._greet(sock)
        except BaseException:
            sock.close()
            raise
        if self._login.security == "starttls":
            with opening.making_safe():
                self._start_tls(self._open, context)
        with opening.logging_in():
            self._log_in(self._open)

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._close(line)

    @property
    def _open(self) -> Line:
        assert self._line is not None, "use `with`"
        return self._line

    @contextmanager
    def _said(self, but: Callable[[Exception], bool] = lambda _: False) -> Iterator[None]:
        """Whatever goes wrong later, `but` what the caller makes something of."""
        try:
            yield
        except self.complaints as error:
            if but(error):
                raise
            raise MailboxError(self.name, words_of(error)) from None
        except (OSError, EOFError) as error:
            raise MailboxError(self.name, _broken(error)) from None

    @abstractmethod
    def _greet(self, sock: socket.socket) -> Line:
        """Read the greeting."""

    @abstractmethod
    def _start_tls(self, line: Line, context: ssl.SSLContext) -> None:
        """Ask for TLS."""

    @abstractmethod
    def _log_in(self, line: Line) -> None:
        """Say who we are."""

    @abstractmethod
    def _close(self, line: Line) -> None:
        """Hang up; never raises."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """The steps to an open session, and what each may run into."""

    mailbox: str
    login: Login
    protocol: Protocol
    complaints: tuple[type[Exception], ...]

    @property
    def port(self) -> int:
        usual = self.protocol.tls_port if self.login.security == "tls" else self.protocol.plain_port
        return self.login.port or usual

    def trust(self) -> ssl.SSLContext:
        """Whose certificates are believed."""
        try:
            return ssl.create_default_context(cafile=self.login.ca_file or None)
        except OSError as error:
            why = error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else "no certificate in PEM"
            raise self._error(f"[bounces] ca_file cannot be read: {why}") from None

    def connect(self, context: ssl.SSLContext) -> socket.socket:
        """A line to the server, within TLS if it is to be so from the first byte."""
        try:
            sock = self._reach()
        except OSError as error:
            raise self._error(_unreachable(error)) from None
        if self.login.security != "tls":
            return sock
        try:
            return context.wrap_socket(sock, server_hostname=self.login.host)
        except OSError as error:
            sock.close()
            raise self._error(self._unsafe(error)) from None

    def _reach(self) -> socket.socket:
        return socket.create_connection((self.login.host, self.port), min(self.login.timeout, _LONGEST_OPENING))

    @contextmanager
    def greeting(self) -> Iterator[None]:
        """Whoever does not greet is no such server, or waits for TLS."""
        failures: tuple[type[Exception], ...] = (*self.complaints, OSError, EOFError)
        try:
            yield
        except failures as error:
            silent = isinstance(error, (OSError, EOFError)) or "EOF" in str(error)
            if self.login.security != "tls" and self._begins_with_tls():
                remedy = f'port {self.port} wants TLS from the first byte: set [bounces] security = "tls"'
                raise self._error(remedy) from None
            said = "says nothing" if silent else f"says {words_of(error)!r}"
            raise self._error(
                f"port {self.port} {said}, so it is no {self.protocol.name} server: {self._ports}"
            ) from None

    @contextmanager
    def making_safe(self) -> Iterator[None]:
        try:
            yield
        except self.complaints as error:
            usual = self.protocol.tls_port
            remedy = f'set [bounces] security = "tls" and port = {usual}, if it has that'
            raise self._error(f"it offers no STARTTLS ({words_of(error)}): {remedy}") from None
        except (OSError, EOFError) as error:
            raise self._error(self._unsafe(error)) from None

    @contextmanager
    def logging_in(self) -> Iterator[None]:
        try:
            yield
        except self.complaints as error:
            raise self._error(f"{words_of(error)}; check [bounces] username and password_file") from None
        except (OSError, EOFError) as error:
            raise self._error(_broken(error)) from None

    def _begins_with_tls(self) -> bool:
        """Whether that port would have spoken TLS; who it is does not matter here."""
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        try:
            with self._reach() as sock, anybody.wrap_socket(sock, server_hostname=self.login.host):
                return True
        except OSError:
            return False

    def _unsafe(self, error: BaseException) -> str:
        """Why the line cannot be made safe."""
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = _REMEDIES.get(error.verify_code, error.verify_message)
            return f"no safe connection (TLS): the certificate of {self.login.host} is not accepted: {remedy}"
        if not isinstance(error, ssl.SSLError) or error.reason in _NO_TLS:
            return f"there is no TLS at port {self.port}: {self._ports}"
        return f"no safe connection (TLS): {error.reason or error}"

    @property
    def _ports(self) -> str:
        kind = self.protocol
        usual = f'set [bounces] port = {kind.tls_port} with security = "tls"'
        return f'{usual}, or port = {kind.plain_port} with security = "starttls"'

    def _error(self, reason: str) -> MailboxError:
        return MailboxError(self.mailbox, reason)


def words_of(error: Exception) -> str:
    """The server's words in one line."""
    said = error.args[0] if error.args else error
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())[:300] or "no words"


def _unreachable(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such host; check [bounces] host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers there; check [bounces] host and port"
    if isinstance(error, TimeoutError):
        return "it does not answer; check [bounces] host and port, and whether a firewall is in between"
    return f"{error.strerror or words_of(error)}; check [bounces] host and port"


def _broken(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, EOFError):
        return "it ended the connection"
    return getattr(error, "strerror", None) or str(error)
