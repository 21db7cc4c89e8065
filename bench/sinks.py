"""Servers that take every message and forget it, and Postfix's generator that fills them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.errors import BenchBroken
from bench.processes import Watched, bytes_read, cpu_of, open_files, running, tail
from tests.servers import free_port

Prefix = Sequence[str]  # what stands before a command, so that it runs in a network namespace
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Sink:
    """A server that listens on loopback. Its open files tell how many connections it has."""

    pid: int
    port: int
    idle_files: int

    def connections(self) -> int:
        """How many are open now."""
        return open_files(self.pid) - self.idle_files

    def cpu(self) -> float:
        """CPU seconds it has taken so far."""
        return cpu_of(self.pid)

    def taken(self) -> int:
        """Bytes it has read so far."""
        return bytes_read(self.pid)


@contextmanager
def smtp_sink(log: IO[bytes], *options: str, prefix: Prefix = ()) -> Iterator[Sink]:
    """Postfix's own sink, on a free port."""
    port = free_port()
    user = () if os.geteuid() else ("-u", "nobody")  # it will not run as root
    command = [*prefix, tool("smtp-sink"), *user, "-m", "512", *options, f"127.0.0.1:{port}", "1024"]
    with running(command, log) as process:
        _wait_until_it_listens(process, port, prefix, log)
        yield Sink(process.pid, port, open_files(process.pid))


@contextmanager
def python_sink(log: IO[bytes], *options: str | Path) -> Iterator[Sink]:
    """Our own sink, the one that speaks TLS."""
    port = free_port()
    with running([sys.executable, "-m", "bench.tls_sink", str(port), *options], log) as process:
        _wait_until_it_listens(process, port, (), log)
        yield Sink(process.pid, port, open_files(process.pid))


def tool(name: str) -> str:
    """Where one of Postfix's tools is. Raises BenchBroken."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise BenchBroken(f"{name} is missing: apt-get install postfix")
    return found


def _wait_until_it_listens(process: Watched, port: int, prefix: Prefix, log: IO[bytes]) -> None:
    deadline = time.monotonic() + 20
    while not process.ended() and time.monotonic() < deadline:
        if prefix:  # its loopback is not ours
            listening = f":{port:04X} " in Path(f"/proc/{process.pid}/net/tcp").read_text()
        else:
            with socket.socket() as probe:
                listening = probe.connect_ex(("127.0.0.1", port)) == 0
        if listening:
            time.sleep(0.1)  # it forgets our visit
            return
        time.sleep(0.02)
    raise BenchBroken(f"the sink does not listen: {tail(log)}")


@dataclass(frozen=True, slots=True)
class Generated:
    """One run of smtp-source."""

    messages: int
    rate: float  # messages a second
    wall: float
    cpu_per_thousand: float
    sink_cpu_per_thousand: float


def smtp_source(
    sink: Sink, message: Path, count: int, connections: int, log: IO[bytes], port: int = 0, prefix: Prefix = ()
) -> Generated:
    """Send `count` copies of the message over connections that are kept open."""
    command: list[str | Path] = [
        *prefix,
        tool("smtp-source"),
        "-s",
        str(connections),
        "-d",
        "-m",
        str(count),
        "-F",
        message,
    ]
    command += ["-f", "recap@news.example.com", "-t", "reader@example.com", f"127.0.0.1:{port or sink.port}"]
    before = sink.cpu()
    process = Watched(command, log)
    try:
        process.wait(1800)
    finally:
        process.stop()
    if process.code:
        raise BenchBroken(f"smtp-source failed: {tail(log)}")
    return Generated(
        messages=count,
        rate=count / process.wall,
        wall=process.wall,
        cpu_per_thousand=process.cpu / count * 1000,
        sink_cpu_per_thousand=(sink.cpu() - before) / count * 1000,
    )
