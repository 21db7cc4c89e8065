"""Pages with settings of one's own, over a whole service on either database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from digest.web import create_web
from tests.servers.smtpd import RecordingServer
from tests.service import Service
from tests.web.conftest import Web

TOKEN = "a token of the publisher's server"
FRIENDLY = {"Host": "recap.example.com"}


@contextmanager
def gate(folder: Path, *, store_url: str = "", takes_mail: Any = None, peer: str = "", **more: Any) -> Iterator[Web]:
    """A browser at `peer` before the pages. `more` is of the configuration."""
    with RecordingServer() as smtpd:
        service = Service(folder, store_url or f"sqlite:///{folder}/digest.db", smtpd.port, **more)
        made = create_web(service.app, service.clock, **({"takes_mail": takes_mail} if takes_mail else {}))
        seen = {"client": (peer, 50000)} if peer else {}
        with TestClient(made, follow_redirects=False, **seen) as client:
            yield Web(client, service, smtpd)
        service.close()


def stamp_in(text: str) -> str:
    """The stamp of a form."""
    found = re.search(r'name="stamp" value="([^"]+)"', text)
    assert found, text
    return found[1]


def work(stamp: str, typed: str, bits: int) -> str:
    """What a browser works out for a form."""
    for number in count():
        digest = hashlib.sha256(f"{stamp}:{typed}:{number}".encode()).digest()
        if int.from_bytes(digest, "big") >> (256 - bits) == 0:
            return str(number)
    raise AssertionError
