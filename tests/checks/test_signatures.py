"""DKIM after a real hop: two verifiers believe what Postfix delivered, and stop to when anything signed is changed.

EMAIL.md 1.9; tests/mail/test_dkim.py tries many more changes, with one verifier and no hop.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dkim
import pytest

from digest.domain.addresses import Address
from digest.domain.subscribers import Evidence, Way
from digest.subscribing import importing
from tests.checks.keys import Keys, make_keys
from tests.servers import postfix, require
from tests.service import SATURDAY, Service

READER, NEWCOMER = "anna@mail.test", "bob@mail.test"

Change = Callable[[bytes], bytes]
FATAL: dict[str, Change] = {
    "the body": lambda mail: re.sub(rb"(\r\n\r\n.*?)</html>", rb"\1 </html>", mail, count=1, flags=re.S),
    "List-Unsubscribe": lambda mail: mail.replace(b"List-Unsubscribe: <https://recap", b"List-Unsubscribe: <https://x"),
    "List-Unsubscribe-Post": lambda mail: mail.replace(b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Clicks"),
    "an added From": lambda mail: b"From: somebody@else.example\r\n" + mail,
    "an added List-Unsubscribe": lambda mail: b"List-Unsubscribe: <https://else.example/>\r\n" + mail,
}
RECEIVED = b"Received: from a.example by b.example;\r\n\tSat, 28 Nov 2026 07:00:00 +0000\r\n"
HARMLESS: dict[str, Change] = {"nothing": lambda mail: mail, "an added Received": lambda mail: RECEIVED + mail}


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> tuple[Keys, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return make_keys(folder), folder


@pytest.fixture(scope="module")
def delivered(keys) -> dict[str, bytes]:
    """A digest and a confirmation as Postfix put them into mailboxes."""
    made, folder = keys
    with postfix.running() as server:
        service = Service(folder, f"sqlite:///{folder}/digest.db", server.port, dkim=made.section)
        entry, evidence = importing.Entry(Address.parse(READER)), Evidence(Way.OPERATOR, form="by letter")
        store, links = service.app.store, service.app.links
        importing.bring_in(store, links, [entry], "weekly", "en", evidence, SATURDAY - timedelta(days=3))
        service.sign_up(NEWCOMER)
        service.send()
        service.deliver_all()
        service.close()
        stored = {"digest": server.wait_for(READER)[0], "confirmation": server.wait_for(NEWCOMER)[0]}
    for content in stored.values():
        assert content.count(b"Received: ") == 1
    return {name: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for name, content in stored.items()}


def variants(delivered: dict[str, bytes]) -> dict[str, bytes]:
    """What arrived, changed in every way that it can be; by what was done to which mail."""
    made = {}
    for mail, content in delivered.items():
        for name, change in {**HARMLESS, **FATAL}.items():
            changed = change(content)
            if changed != content or name == "nothing":  # a confirmation has no way to unsubscribe from
                made[f"{mail}: {name}"] = changed
    assert len(made) == 12
    return made


def expected(name: str) -> list[bool]:
    return [name.partition(": ")[2] in HARMLESS] * 2  # both signatures


def by_dkimpy(content: bytes, keys: Keys) -> list[bool]:
    found = []
    for number in range(2):
        try:
            found.append(bool(dkim.DKIM(content).verify(idx=number, dnsfunc=keys.dns)))
        except dkim.DKIMException:
            found.append(False)
    return found


def by_opendkim(contents: list[bytes], keys: Keys, folder: Path) -> list[list[bool]]:
    """What OpenDKIM would write into Authentication-Results; its exit code is the same for good and bad."""
    if shutil.which("opendkim", path=_PATH) is None:
        require("opendkim", "it verifies our signatures")
    (folder / "zone").write_text("".join(f"{name} {record}\n" for name, record in keys.records.items()))
    (folder / "conf").write_text(f"Mode v\nTestPublicKeys {folder}/zone\nUserID root\nSyslog no\n")
    files = [folder / f"{number:02}.eml" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    command = ["opendkim", "-x", folder / "conf", "-vvv", "-t", ",".join(map(str, files))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": _PATH})
    results = re.findall(r"Authentication-Results' hvalue='(.*?)'\n", done.stdout + done.stderr, re.S)
    assert len(results) == len(contents), done.stdout + done.stderr
    return [[word == "pass" for word in re.findall(r"\bdkim=(\w+)", result)] for result in results]


_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def test_dkimpy_believes_what_postfix_delivered_and_nothing_else(delivered, keys):
    found = {name: by_dkimpy(content, keys[0]) for name, content in variants(delivered).items()}
    assert found == {name: expected(name) for name in found}


def test_opendkim_believes_what_postfix_delivered_and_nothing_else(delivered, keys, tmp_path):
    made = variants(delivered)
    found = dict(zip(made, by_opendkim(list(made.values()), keys[0], tmp_path), strict=True))
    assert found == {name: expected(name) for name in made}
