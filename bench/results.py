"""bench/results.json: the last measurement of every bench, and on what kind of machine it was made."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.figures import Findings
from tests.servers import postgres

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results.json"
_LIBRARIES = ("aiosmtplib", "cryptography", "fastapi", "psycopg", "sqlalchemy", "starlette", "uvicorn")


def read(path: Path) -> dict[str, Any]:
    """What is there, or an empty record."""
    if not path.exists():
        return {"benches": {}}
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def keep(path: Path, name: str, findings: Findings, options: Sequence[str]) -> None:
    """Put one bench's findings in the place of its last ones."""
    record = {
        "command": " ".join(["python -m bench", name, *options]),
        "measured_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine(),
        **findings.as_json(),
    }
    stored = read(path)
    stored["benches"][name] = record
    path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """What the figures depend on; no name of a host, no path."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": f"{_distribution()}, Linux {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _postgresql(),
        "postfix": _postfix(),
        **{name: _library(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1].strip() if found else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "an unknown distribution"


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _postgresql() -> str:
    binaries = postgres.find_binaries()
    return _said(str(binaries / "postgres"), "--version") if binaries else "missing"


def _postfix() -> str:
    return _said("/usr/sbin/postconf", "-dh", "mail_version")


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "missing"
    found = re.search(r"\d+(?:\.\d+)+", done.stdout)
    return found[0] if found else "unknown"
