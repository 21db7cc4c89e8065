"""A small disk of one's own: mounted where nobody else sees it, gone with the thread that asked for it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.servers import require

T = TypeVar("T")
_CLONE_NEWNS = 0x00020000
_CHUNK = 1 << 16


def in_private(work: Callable[[], T]) -> T:
    """Do `work` in a thread whose mounts, and those of the processes it starts, are its own."""
    if os.geteuid():
        require("mount", "it is installed, but mounting a small disk needs root")
    with ThreadPoolExecutor(max_workers=1, initializer=_leave_the_others) as thread:
        return thread.submit(work).result()


def mount(folder: Path, megabytes: int) -> None:
    """A disk of that size on `folder`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], check=True)


def unmount(folder: Path) -> None:
    """Take it away."""
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    """Leave no byte free on the disk at `folder`."""
    with (folder / "ballast").open("ab", buffering=0) as ballast:
        size = _CHUNK
        while size:
            try:
                ballast.write(b"\0" * size)
            except OSError:
                size //= 2


def free(folder: Path) -> None:
    """Take the ballast away."""
    (folder / "ballast").unlink()


def _leave_the_others() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
