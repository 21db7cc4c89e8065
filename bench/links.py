"""A long way to the server: by the kernel's netem in a network namespace, or by a delaying proxy where it has none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO

from bench.errors import BenchBroken
from bench.processes import ROOT, running, tail
from bench.sinks import Prefix, Sink, smtp_sink
from tests.servers import free_port


@dataclass(frozen=True, slots=True)
class Link:
    """A sink and the way to it. Commands that begin with `prefix` reach it at `port`, so far away."""

    sink: Sink
    port: int
    prefix: Prefix
    how: str  # netem or proxy
    round_trip: float  # seconds, as ordered
    measured: float  # seconds, as found on the idle link


@contextmanager
def far_away(round_trip: float, log: IO[bytes], *options: str, alone: bool = True) -> Iterator[Link]:
    """A sink that many seconds there and back away. Not `alone`: the sender needs our network for other things."""
    with _namespace(round_trip) if alone else nullcontext("") as namespace:
        if namespace:
            prefix = ("ip", "netns", "exec", namespace)
            with smtp_sink(log, *options, prefix=prefix) as sink:
                yield Link(sink, sink.port, prefix, "netem", round_trip, _ping(sink.port, prefix))
            return
    with smtp_sink(log, *options) as sink, _proxy(sink.port, round_trip / 2, log) as port:
        yield Link(sink, port, (), "proxy", round_trip, _ping(port, ()))


@contextmanager
def _namespace(round_trip: float) -> Iterator[str]:
    """A network of its own whose loopback is slow, by its name; an empty one where the kernel cannot."""
    name = f"digest-bench-{os.getpid()}"
    if os.geteuid() or not shutil.which("ip") or not shutil.which("tc") or not _done("ip", "netns", "add", name):
        yield ""
        return
    slow = ("root", "netem", "delay", f"{round_trip / 2 * 1e6:.0f}us", "limit", "100000")
    try:
        able = _done("ip", "-n", name, "link", "set", "lo", "up") and _done(
            "tc", "-n", name, "qdisc", "add", "dev", "lo", *slow
        )
        yield name if able else ""
    finally:
        _done("ip", "netns", "del", name)


def _done(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


@contextmanager
def _proxy(target: int, delay: float, log: IO[bytes]) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "bench.proxy", str(port), str(target), str(delay)]
    with running(command, log) as process:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.ended():
                raise BenchBroken(f"the proxy does not start: {tail(log)}")
            time.sleep(0.02)
        time.sleep(2 * delay + 0.2)  # our visit is forgotten at the far end, too
        yield port


def _ping(port: int, prefix: Prefix) -> float:
    command = [*prefix, sys.executable, "-m", "bench.ping", str(port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise BenchBroken(f"the link is dead: {done.stderr[-500:]}")
    return float(done.stdout)
