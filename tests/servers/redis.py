"""A private Redis: a port of its own on loopback, nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, require


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its address, while it runs."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        require("Redis", "apt-get install redis-server")
    port = free_port()
    settings = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen([program, *settings], stdout=subprocess.DEVNULL) as server:
        try:
            _await(port, server)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(10)


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert server.poll() is None, "Redis has stopped"
            time.sleep(0.05)
    raise AssertionError("Redis does not answer")
