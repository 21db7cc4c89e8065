"""A private Dovecot: real IMAP and POP3 on loopback, over Maildirs in a temporary folder. Starting one needs root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, require
from tests.servers.certificates import Certificate, self_signed

USER, PASSWORD = "bounces", "open sesame"

_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3
listen = 127.0.0.1
ssl = {ssl}
ssl_cert = <{chain}
ssl_key = <{chain}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
imap_capability = {capability}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwords
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""


class Dovecot:
    """One running instance; `imap` and `pop3` are its ports for plain lines and STARTTLS, `imaps` and `pop3s` for TLS.

    There is one account, USER with PASSWORD, whose Maildir is `mail`. `capability` overrides what IMAP offers,
    `ssl` = no leaves out STARTTLS.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, capability: str = "", ssl: str = "yes") -> None:
        self.folder = folder
        self.certificate: Certificate = self_signed(folder)
        self.imap, self.imaps, self.pop3, self.pop3s = (free_port() for _ in range(4))
        self._count = 0
        self._process: subprocess.Popen[bytes] | None = None
        folder.chmod(0o755)
        (folder / "passwords").write_text(f"{USER}:{PASSWORD}\n")
        (folder / "mail").mkdir()
        self.mail = folder / "mail" / USER
        for name in ("", "cur", "new", "tmp"):
            (self.mail / name).mkdir()
        self._own(folder / "mail")
        ports = {"imap": self.imap, "imaps": self.imaps, "pop3": self.pop3, "pop3s": self.pop3s}
        text = _CONFIG.format(folder=folder, chain=self.certificate.chain, capability=capability, ssl=ssl, **ports)
        if not capability:
            text = text.replace("imap_capability = \n", "")
        (folder / "dovecot.conf").write_text(text)

    def put(self, *messages: bytes) -> None:
        """Deliver messages, as a mail server does."""
        for message in messages:
            self._count += 1
            name = f"{int(time.time())}.{os.getpid()}_{self._count:06}.test"
            unready = self.mail / "tmp" / name
            unready.write_bytes(message.replace(b"\r\n", b"\n"))
            shutil.chown(unready, "nobody", "nogroup")
            unready.rename(self.mail / "new" / name)

    def start(self) -> None:
        """Start, and wait until it greets."""
        command = ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
        with (self.folder / "said").open("wb") as said:
            self._process = subprocess.Popen(command, env=_ENVIRONMENT, stdout=said, stderr=said)
        deadline = time.monotonic() + 20
        while not self._greets():
            assert time.monotonic() < deadline and self._process.poll() is None, self.log()
            time.sleep(0.02)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.host, self.imap), timeout=5) as line:
                return line.recv(4) == b"* OK"
        except OSError:
            return False

    def stop(self) -> None:
        """Stop every process of this instance."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def log(self) -> str:
        """What Dovecot wrote down."""
        files = [self.folder / name for name in ("said", "log")]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def _own(self, folder: Path) -> None:
        shutil.chown(folder, "nobody", "nogroup")
        for each in folder.rglob("*"):
            shutil.chown(each, "nobody", "nogroup")


_ENVIRONMENT = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}


@contextmanager
def running(capability: str = "", ssl: str = "yes") -> Iterator[Dovecot]:
    """A started instance, stopped and removed at the end. Skips the test when Dovecot cannot be had."""
    found = shutil.which("dovecot", path=_ENVIRONMENT["PATH"])
    modules = Path("/usr/lib/dovecot")
    if found is None or not (modules / "imap").exists() or not (modules / "pop3").exists():
        require("dovecot-imapd dovecot-pop3d", "mailboxes are read over real IMAP and POP3")
    if os.geteuid():
        require("dovecot-imapd", "it is installed, but starting a private one needs root")
    with tempfile.TemporaryDirectory(prefix="digest-dovecot-") as folder:
        server = Dovecot(Path(folder), capability, ssl)
        server.start()
        try:
            yield server
        finally:
            server.stop()
