"""A private Exim: the second real MTA, of another make than Postfix, that keeps everything and lets nothing out.

Debian's packages of the two exclude one another, the programs do not: Exim is unpacked beside the installed
Postfix, into FOLDER, and each instance runs from a copy of its own, with its own configuration, spool, log and port.
Starting one needs root; its processes run as the package's user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import free_port, require
from tests.servers.certificates import Certificate, self_signed
from tests.servers.maildir import Maildir

DOMAIN = "exim.test"
FOLDER = "/opt/exim4"
USER = "Debian-exim"

_PATIENCE = 20.0
_CONFIGURATION = """\
exim_path = {folder}/exim4
exim_user = {user}
exim_group = {user}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/spool/exim.pid
keep_environment =
primary_hostname = mx.{domain}
domainlist ours = {domain}
local_interfaces = 127.0.0.1
disable_ipv6 = true
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_certificate = {chain}
tls_advertise_hosts = *
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}}}
pipelining_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
# Nothing is asked of the network: no names, no ident.
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 200
smtp_accept_max_per_connection = {messages_per_connection}
# Each message is delivered at once, however many came before it on its connection.
smtp_accept_queue_per_connection = 0
# Without root's rights there is nothing to drop later on.
deliver_drop_privilege = true
log_selector = +pipelining +smtp_protocol_error +smtp_syntax_error +smtp_no_mail
acl_smtp_mail = check_sender
acl_smtp_rcpt = check_recipient

begin acl

check_sender:
  deny  condition = {asks_for_login}
        !authenticated = *
        message = 530 5.7.0 authentication required
  accept

check_recipient:
  deny  !domains = +ours
        message = 550 5.7.1 relay not permitted
  deny  local_parts = ^nobody-
        message = 550 5.1.1 there is no such mailbox
  defer local_parts = ^later-
        !condition = ${{if exists{{{folder}/later-is-open}}}}
        message = 450 4.2.1 come back later
  accept

begin routers

everybody:
  driver = accept
  domains = +ours
  transport = maildir

begin transports

# One Maildir for all: a path may not be made from what a stranger sent, and the header tells whose it is.
maildir:
  driver = appendfile
  directory = {folder}/mailboxes
  create_directory = false
  maildir_format
  return_path_add
  envelope_to_add
  user = {user}
  group = {user}

# Without a rule Exim would give up, and bounce, when a delivery is killed in the middle.
begin retry

* * F,2h,1s

begin authenticators
"""

_LOGIN = """
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq {{$auth2}}{{{name}}}}}{{eq {{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and {{{{eq {{$auth1}}{{{name}}}}}{{eq {{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""


class Exim:
    """One running instance, on 127.0.0.1:`port`, that has a mailbox for any address at `domain`.

    It offers STARTTLS, and speaks TLS from the first byte on `tls_port`; `login` (user, password) is asked for if
    given, over TLS only. `nobody-...@` is refused at RCPT with 550 5.1.1 and `later-...@` with 450 4.2.1. After
    `messages_per_connection` it answers 421 to MAIL and hangs up.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        program: Path,
        *,
        domain: str = DOMAIN,
        login: tuple[str, str] | None = None,
        messages_per_connection: int = 0,
    ) -> None:
        self.folder = folder
        self.domain = domain
        self.port, self.tls_port = free_port(), free_port()
        self.login = login
        self.messages_per_connection = messages_per_connection
        self.maildir = Maildir(folder / "mailboxes")
        self._daemon: subprocess.Popen[bytes] | None = None
        folder.chmod(0o755)  # Exim's processes drop root's rights and still must pass
        shutil.copyfile(program, folder / "exim4")  # without the set-user-id bit, and where its user can reach it
        (folder / "exim4").chmod(0o755)
        for name in ("spool", "log", "mailboxes", "mailboxes/new", "mailboxes/cur", "mailboxes/tmp"):
            (folder / name).mkdir()
            shutil.chown(folder / name, USER, USER)
        self.certificate: Certificate = self_signed(folder)
        shutil.chown(self.certificate.chain, USER, USER)
        self._configure()

    @property
    def ca_file(self) -> str:
        """The certificate a client may trust."""
        return str(self.certificate.authority)

    def start(self) -> None:
        """Start, and wait until it greets. It keeps its ports over restarts, and delivers what it still holds."""
        command = [self.folder / "exim4", "-C", self.folder / "config", "-bdf", "-q1s"]
        output = (self.folder / "output").open("ab")
        with output:
            self._daemon = subprocess.Popen(
                command, cwd=self.folder, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._greets():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Exim does not start:\n{self.log()[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the daemon as an operator would, if it runs, and hang up on everybody.

        Sessions are killed, not asked to end: Exim 4.96 then deletes the message it just said yes to.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process of this instance."""
        self._end(signal.SIGKILL)

    def open_later(self) -> None:
        """From now on, `later-...@` has a mailbox as anybody else."""
        (self.folder / "later-is-open").touch()

    def received(self, address: str | None = None) -> list[bytes]:
        """The messages in one mailbox, or in all, oldest first, as Exim stored them.

        Their first lines are Exim's: Return-path is the envelope sender, Envelope-to the envelope recipient.
        """
        return self.maildir.received(address)

    def wait_for(self, address: str | None = None, count: int = 1, timeout: float = 30) -> list[bytes]:
        """Wait until `count` messages are in the mailbox."""
        return self.maildir.wait_for(address, count, timeout, self.log)

    def waiting(self) -> int:
        """How many messages it took and has not put into a mailbox yet; a whole one has its -H and its -D file."""
        heads = (self.folder / "spool" / "input").glob("*-H")
        return sum(head.with_name(head.name[:-1] + "D").exists() for head in heads)

    def log(self) -> str:
        """What Exim wrote down: its output, then its logs."""
        files = [self.folder / "output", self.folder / "log" / "mainlog", self.folder / "log" / "paniclog"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def _configure(self) -> None:
        text = _CONFIGURATION.format(
            folder=self.folder,
            user=USER,
            domain=self.domain,
            port=self.port,
            tls_port=self.tls_port,
            chain=self.certificate.chain,
            messages_per_connection=self.messages_per_connection,
            asks_for_login="yes" if self.login else "no",
        )
        if self.login:
            text += _LOGIN.format(name=self.login[0], password=self.login[1])
        (self.folder / "config").write_text(text)
        (self.folder / "config").chmod(0o640)
        shutil.chown(self.folder / "config", "root", USER)

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=_PATIENCE).close()
        except ConnectionRefusedError:
            return False
        except OSError:
            pass
        return True

    def _greets(self) -> bool:
        try:
            smtplib.SMTP(self.host, self.port, timeout=_PATIENCE).close()
        except OSError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        """End the daemon, then its group: each session and each delivery is a process of its own."""
        if self._daemon is None:
            return
        self._daemon.send_signal(how)
        self._daemon.wait(_PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self._daemon.pid, signal.SIGKILL)
        self._daemon = None
        deadline = time.monotonic() + _PATIENCE
        while self._listens():  # a killed session holds the daemon's socket until the kernel has cleared it away
            if time.monotonic() > deadline:
                raise RuntimeError("Exim does not stop")
            time.sleep(0.01)


@contextmanager
def running(
    *, domain: str = DOMAIN, login: tuple[str, str] | None = None, messages_per_connection: int = 0
) -> Iterator[Exim]:
    """A started instance, stopped and removed at the end. Skips the test when Exim cannot be had."""
    program = _program()
    with tempfile.TemporaryDirectory(prefix="digest-exim-", ignore_cleanup_errors=True) as folder:
        server = Exim(
            Path(folder), program, domain=domain, login=login, messages_per_connection=messages_per_connection
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _program() -> Path:
    found = shutil.which("exim4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:{FOLDER}/usr/sbin")
    if found is None:
        require("exim4-daemon-light", f"but that would replace Postfix, so unpack it (dpkg-deb -x) into {FOLDER}")
    if os.geteuid():
        require("exim4-daemon-light", "it is there, but starting a private one needs root")
    try:
        pwd.getpwnam(USER)
    except KeyError:
        require("exim4-base", f"or a user {USER}, whom Exim's processes run as")
    return Path(found)
