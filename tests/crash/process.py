"""A `digest` process that sends, until it ends or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """For processes of ours: this very tree, and no configuration of the person who runs the test."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}
    return ours | {"PYTHONPATH": str(ROOT)} | dict(more or {})


class Sender:
    """`digest WORDS...` over the configuration in `folder`; what it says is kept in files there."""

    def __init__(self, folder: Path, words: Sequence[str], number: int, env: Mapping[str, str] | None = None) -> None:
        self.words = " ".join(words)
        self.started = time.monotonic()
        self._said = folder / f"said-{number}"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "digest", *words],
                cwd=folder,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    @property
    def pid(self) -> int:
        """The process to hit."""
        return self._process.pid

    @property
    def status(self) -> int:
        """The exit status, minus the signal's number when one ended it."""
        assert self._process.returncode is not None, "it has not ended"
        return self._process.returncode

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_until_open(self) -> bool:
        """Wait until it has opened its database, or the line to it; False when it ended before."""
        files = Path(f"/proc/{self.pid}/fd")
        while self.is_running():
            with suppress(OSError):  # it ends, or closes a file, while we look
                if any(_is_store(str(file.readlink())) for file in files.iterdir()):
                    return True
            time.sleep(0.003)
        return False

    def said(self) -> str:
        """Everything it said."""
        return self._said.read_text(errors="replace")

    def kill(self) -> bool:
        """kill -9. False when it had ended by itself before."""
        self._process.kill()
        return self._process.wait() == -signal.SIGKILL

    def ask_to_stop(self, how: signal.Signals) -> float:
        """Send a polite signal and wait for the end; returns the seconds that took."""
        asked = time.monotonic()
        self._process.send_signal(how)
        self.wait()
        return time.monotonic() - asked

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait until it ends; returns its exit status. One that does not end is killed, and its status says so."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.status


def _is_store(target: str) -> bool:
    return target.endswith(".db") or target.startswith("socket:")
