"""The Maildir a private server delivers to, for all readers together: who got what, and in which shape it travelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# What a server writes on top of a message that passes through it (RFC 5321 section 4.4, and its own marks).
_TRACE = frozenset({b"return-path", b"received", b"delivered-to", b"x-original-to", b"envelope-to", b"delivery-date"})


class Maildir:
    """`folder` with its new/, each file read once; the server wrote the envelope recipient on top of each message."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[str, bytes]] = {}

    def received(self, address: str | None = None) -> list[bytes]:
        """The messages for one address, or for all, oldest first, as the server stored them."""
        return [stored for reader, stored in self.deliveries() if address is None or reader == address.lower()]

    def deliveries(self) -> list[tuple[str, bytes]]:
        """(envelope recipient, stored message), oldest first."""
        fresh = [path for path in (self._folder / "new").glob("*") if path not in self._read]
        for path in sorted(fresh, key=_arrival):
            stored = path.read_bytes()
            reader = header(stored, "Delivered-To") or header(stored, "Envelope-To")  # Postfix, Exim
            self._read[path] = reader.lower(), stored
        return list(self._read.values())

    def wait_for(self, address: str | None, count: int, timeout: float, log: Callable[[], str]) -> list[bytes]:
        """Wait until `count` messages are there; the server's `log` tells why they are not."""
        deadline = time.monotonic() + timeout
        while len(messages := self.received(address)) < count:
            assert time.monotonic() < deadline, f"{len(messages)} of {count} came; the server says:\n{log()[-3000:]}"
            time.sleep(0.05)
        return messages


def header(stored: bytes, name: str) -> str:
    """The first header field of that name, unfolded; an empty string when there is none."""
    wanted = name.lower().encode() + b":"
    found: list[bytes] = []
    for line in stored.split(b"\n"):
        line = line.rstrip(b"\r")
        if (found and not line.startswith((b" ", b"\t"))) or not line:
            break
        if found or line.lower().startswith(wanted):
            found.append(line.strip())
    return b" ".join(found)[len(wanted) :].strip().decode("utf-8", "replace")


def as_sent(stored: bytes) -> bytes:
    """The message as it travelled: without the lines the server put on top, with CRLF line ends."""
    lines = stored.replace(b"\r\n", b"\n").split(b"\n")
    at = 0
    while lines[at].startswith((b" ", b"\t")) or lines[at].partition(b":")[0].lower() in _TRACE:
        at += 1
    return b"\r\n".join(lines[at:])


def _arrival(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name
