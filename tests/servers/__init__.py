"""Real servers for the tests: PostgreSQL, Postfix, and an SMTP server that records and misbehaves on request.

Each is private to the test run: a temporary folder, the loopback interface, a port of its own.
"""

from __future__ import annotations

import os
import socket
from typing import NoReturn

import pytest


def require(name: str, reason: str) -> NoReturn:
    """Called when the Debian package `name` is missing: the test is skipped here, and fails in CI.

    CI installs everything, so that nothing is skipped there unseen.
    """
    line = f"needs {name} (apt-get install {name}): {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


def free_port() -> int:
    """A loopback port nobody listens on now. For servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
