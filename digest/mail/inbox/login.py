"""What IMAP and POP3 have in common: where the server is, how the line is made safe, and what went wrong."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass


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

    def effective_port(self, tls: int, plain: int) -> int:
        """The port to connect to."""
        return self.port or (tls if self.security == "tls" else plain)


def trust(login: Login) -> ssl.SSLContext:
    """Whose certificates are believed."""
    return ssl.create_default_context(cafile=login.ca_file or None)


def refused(said: object) -> str:
    """The server's words in one line."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())[:300] or "no words"


def unreachable(error: BaseException) -> str:
    """Why there is no line to the server, and the remedy."""
    if isinstance(error, ssl.SSLError):
        words = getattr(error, "verify_message", "") or error.reason or str(error)
        return f"no safe connection (TLS): {words}"
    if isinstance(error, socket.gaierror):
        return "there is no such host; check [bounces] host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers there; check [bounces] host and port"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, EOFError):
        return "it ended the connection"
    return refused(error)
