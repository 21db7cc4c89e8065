"""A private Postfix: a real MTA on loopback that keeps everything and lets nothing out.

It shares the installed programs with the system's Postfix and nothing else: configuration, queue, data and
log lie in a temporary folder. Any number may run at once. Starting one needs root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, require
from tests.servers.certificates import Certificate, self_signed

DOMAIN = "mail.test"

_MAIN = """\
compatibility_level = 3.6
config_directory = {folder}/etc
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = mx.{domain}
mydomain = {domain}
myorigin = {domain}
# Nothing leaves: there is no SMTP client in master.cf, and all that is not ours is refused.
default_transport = error:5.4.4 nothing leaves this machine
relay_transport = $default_transport
local_transport = $default_transport
relayhost =
mydestination =
alias_maps =
local_recipient_maps =
notify_classes =
# Every local part has a mailbox. All share one Maildir: Postfix puts Delivered-To on top of each message,
# and the mailbox map may not make paths from patterns.
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}
virtual_mailbox_maps = static:mailboxes/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
virtual_minimum_uid = 100
recipient_delimiter = +
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/etc/refused, permit
transport_maps = regexp:{folder}/etc/transport
"""

_TLS = """\
smtpd_tls_security_level = may
smtpd_tls_chain_files = {chain}
smtp_tls_security_level = none
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
proxymap  unix  -       -       n       -       -       proxymap
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
virtual   unix  -       n       n       -       -       virtual
# Knows nobody: what the SMTP server took for a mailbox here is found unknown when it is delivered.
gone      unix  -       n       n       -       -       virtual
    -o virtual_mailbox_maps=inline:{{nothing=here}}
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
"""

_REFUSED = """\
/^nobody-/  550 5.1.1 there is no such mailbox
/^later-/   450 4.2.1 come back later
"""

_TRANSPORT = """\
/^gone-/  gone:
"""


class Postfix:
    """One running instance, on 127.0.0.1:`port`, that has a mailbox for any address at `domain`.

    `nobody-...@` is refused at RCPT with 550 5.1.1 and `later-...@` with 450 4.2.1; `gone-...@` is taken first,
    and a bounce (RFC 3464) goes to the envelope sender, which arrives here if that is at `domain` too.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, *, domain: str = DOMAIN, tls: bool = False) -> None:
        self.folder = folder
        self.domain = domain
        self.port = free_port()
        self.certificate: Certificate | None = None
        self._read: dict[Path, tuple[str, bytes]] = {}
        folder.chmod(0o755)  # Postfix's processes drop root's rights and still must pass
        for name in ("etc", "queue", "data", "mailboxes"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        shutil.chown(folder / "mailboxes", "nobody")
        if tls:
            self.certificate = self_signed(folder / "etc")
        self._configure()

    @property
    def ca_file(self) -> str:
        """The certificate a client may trust."""
        assert self.certificate is not None, "this Postfix speaks no TLS"
        return str(self.certificate.authority)

    def start(self) -> None:
        """Start, and wait until it greets."""
        self._postfix("start")

    def stop(self) -> None:
        """Stop every process of this instance."""
        self._postfix("stop")

    def received(self, address: str | None = None) -> list[bytes]:
        """The messages in one mailbox, or in all, oldest first, as Postfix stored them.

        Their first lines are Postfix's: Return-Path is the envelope sender, Delivered-To the envelope recipient.
        """
        for path in sorted((self.folder / "mailboxes").glob("new/*"), key=_arrival):
            if path not in self._read:
                stored = path.read_bytes()
                self._read[path] = _delivered_to(stored), stored
        return [stored for reader, stored in self._read.values() if address is None or reader == address.lower()]

    def wait_for(self, address: str | None = None, count: int = 1, timeout: float = 30) -> list[bytes]:
        """Wait until `count` messages are in the mailbox."""
        deadline = time.monotonic() + timeout
        while len(messages := self.received(address)) < count:
            assert time.monotonic() < deadline, f"{len(messages)} of {count} came; Postfix says:\n{self.log()[-3000:]}"
            time.sleep(0.05)
        return messages

    def log(self) -> str:
        """What Postfix wrote down."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _configure(self) -> None:
        owner = pwd.getpwnam("nobody")
        main = _MAIN.format(folder=self.folder, domain=self.domain, uid=owner.pw_uid, gid=owner.pw_gid)
        if self.certificate is not None:
            main += _TLS.format(chain=self.certificate.chain)
        files = {
            "main.cf": main,
            "master.cf": _MASTER.format(port=self.port),
            "refused": _REFUSED,
            "transport": _TRANSPORT,
        }
        for name, text in files.items():
            (self.folder / "etc" / name).write_text(text)

    def _postfix(self, command: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", self.folder / "etc", command],
            capture_output=True,
            text=True,
            env={"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"},
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"postfix {command} failed:\n{done.stdout}{done.stderr}{self.log()[-3000:]}")


@contextmanager
def running(*, domain: str = DOMAIN, tls: bool = False) -> Iterator[Postfix]:
    """A started instance, stopped and removed at the end. Skips the test when Postfix cannot be had."""
    if shutil.which("postfix", path="/usr/sbin:" + os.environ.get("PATH", "")) is None:
        require("postfix", "mail is delivered through a real MTA")
    if os.geteuid():
        require("postfix", "it is installed, but starting a private one needs root")
    with tempfile.TemporaryDirectory(prefix="digest-postfix-") as folder:
        server = Postfix(Path(folder), domain=domain, tls=tls)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _arrival(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _delivered_to(stored: bytes) -> str:
    for line in stored.split(b"\n", 10):
        name, _, rest = line.partition(b":")
        if name.lower() == b"delivered-to":
            return rest.strip().decode("utf-8", "replace").lower()
    return ""
