"""The checks that are written for Node.js: installed once from package-lock.json, then run over many documents."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import require

HERE = Path(__file__).parent
_INSTALLED = HERE / "node_modules"  # no part of the repository
_OLDEST = 20  # of Node.js: what the tools run on


class Finding(NamedTuple):
    """What a tool has to say about one place of one document."""

    document: str
    rule: str
    message: str
    where: str

    def __str__(self) -> str:
        return f"{self.document}: {self.rule}: {self.message} [{self.where}]"


def look(tool: str, documents: Mapping[str, str], **options: Any) -> list[Finding]:
    """What `tool` finds in these documents, by name; one start of Node.js for all of them."""
    install()
    asked = json.dumps({"tool": tool, "documents": dict(documents), **options})
    done = subprocess.run(["node", HERE / "checks.mjs"], input=asked, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, f"{tool} broke:\n{done.stderr[-3000:]}"
    answer = json.loads(done.stdout)
    assert list(answer) == list(documents), f"{tool} did not look at every document"
    return [Finding(name, **each) for name, found in answer.items() for each in found]


def axe_source() -> str:
    """The text of axe-core, to be run inside a page."""
    install()
    return (_INSTALLED / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def install() -> None:
    """Put the packages of package-lock.json into node_modules, unless they are there already."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        require("nodejs npm", f"mails and pages are checked with tools that run on Node.js {_OLDEST} or newer")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < _OLDEST:
        require("nodejs", f"it is {version}, and the tools need {_OLDEST} or newer")
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = _INSTALLED / ".digest-checks"
    with (HERE / "package.json").open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # two runs at once would install into one folder
        if stamp.exists() and stamp.read_text() == wanted:
            return
        # No script of a package runs. Some ask for a newer Node.js than they need, which npm only mentions.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=150)
        if done.returncode:
            require("npm", f"it could not install tests/checks/package-lock.json: {done.stderr[-500:]}")
        stamp.write_text(wanted)
