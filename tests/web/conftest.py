"""The pages over a whole service on SQLite, asked as a browser would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from digest.web import create_web
from tests.servers.smtpd import RecordingServer
from tests.service import Service


@dataclass
class Web:
    """A browser, the service behind the pages, and the server its mail goes to."""

    client: TestClient
    service: Service
    smtpd: RecordingServer

    def sign_up(self, email: str, **fields: str):
        """Send the form."""
        return self.client.post("/subscribe", data={"email": email, "newsletter": "weekly", **fields})

    def state(self, address: str) -> str:
        """Where a reader stands."""
        return self.service.find(address).state

    def confirm_link(self, address: str) -> str:
        """The path of the link in the last mail the reader got."""
        self.service.deliver_all()
        return self.link(address, "confirm")

    def link(self, address: str, kind: str) -> str:
        """The path of a link of that kind in the last mail the reader got."""

        text = self.smtpd.received_by(address)[-1].parsed.get_body(("plain",)).get_content()
        found = re.search(rf"https://recap\.example\.com(/{kind}/\S+)", text)
        assert found, text
        return found[1]


@pytest.fixture
def web(tmp_path) -> Iterator[Web]:
    with RecordingServer() as smtpd:
        sources = [{"name": "beacon", "kind": "beacon"}]
        service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, sources=sources)
        with TestClient(create_web(service.app, service.clock), follow_redirects=False) as client:
            yield Web(client, service, smtpd)
        service.close()
