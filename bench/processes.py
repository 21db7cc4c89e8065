"""A child process watched from outside: CPU by wait4, peak memory and the clock by /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bench.errors import BenchBroken

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")


class Watched:
    """A process from its start to its end. `cpu` holds user and system seconds, its ended children's included."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: IO[bytes],
        *,
        env: Mapping[str, str] | None = None,
        out: IO[bytes] | None = None,
    ) -> None:
        self.began = time.time()
        self.wall = 0.0
        self.cpu = 0.0
        self.peaks: dict[int, int] = {}  # bytes of memory at most, by process
        self.code: int | None = None
        self._child = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=out or log,
            stderr=log,
        )
        self.pid = self._child.pid

    def ended(self) -> bool:
        """Look once, without waiting."""
        if self.code is not None:
            return True
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return False
        self.wall = time.time() - self.began
        self.cpu = usage.ru_utime + usage.ru_stime
        self.code = self._child.returncode = os.waitstatus_to_exitcode(status)
        return True

    def wait(self, seconds: float) -> None:
        """Wait for the end. Raises BenchBroken when it does not come."""
        deadline = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > deadline:
                raise BenchBroken(f"a process did not end within {seconds:g} seconds")
            time.sleep(0.01)

    def look(self) -> None:
        """Note how much memory each of its processes has taken at most.

        Not ru_maxrss: a child begins with its parent's there, so it would tell of this program's own size.
        """
        for pid in family(self.pid):
            self.peaks[pid] = max(self.peaks.get(pid, 0), _high_water(pid))

    def cpu_so_far(self) -> float:
        """CPU seconds of it and its living children up to now."""
        return sum(cpu_of(pid) for pid in family(self.pid))

    def stop(self, seconds: float = 20) -> None:
        """SIGTERM, then wait; killed when that does not help."""
        if self.ended():
            return
        self._child.send_signal(signal.SIGTERM)
        try:
            self.wait(seconds)
        except BenchBroken:
            for pid in family(self.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.wait(5)


@contextmanager
def running(command: Sequence[str | Path], log: IO[bytes]) -> Iterator[Watched]:
    """A process that is stopped at the end of the block, however the block ends."""
    process = Watched(command, log)
    try:
        yield process
    finally:
        process.stop()


def family(pid: int) -> list[int]:
    """The process and all that come from it and still live."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def cpu_of(pid: int) -> float:
    """User and system seconds of one living process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def open_files(pid: int) -> int:
    """How many files and sockets a process has open."""
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return sum(1 for _ in entries)
    except OSError:
        return 0


def bytes_read(pid: int) -> int:
    """How much a process has read in all its life, from files and sockets."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("rchar:"):
                return int(line.split()[1])
    return 0


def _high_water(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def tail(log: IO[bytes], size: int = 1500) -> str:
    """The last words of a process that wrote to `log`."""
    log.flush()
    path = Path(log.name)
    return path.read_bytes()[-size:].decode(errors="replace").strip() if path.exists() else ""
