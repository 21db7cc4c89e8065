"""A private Postfix: a real MTA on loopback that keeps everything and lets nothing out.

It shares the installed programs with the system's Postfix and nothing else: configuration, queue, data and
log lie in a temporary folder. Any number may run at once. Starting one needs root.
Logins are Cyrus SASL's with a password file of its own: no daemon beside Postfix, and no user of this machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, require
from tests.servers.certificates import Certificate, self_signed
from tests.servers.maildir import Maildir

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
# A queue id is never used again: it names one acceptance of a message, even over a restart.
enable_long_queue_ids = yes
# Mail may come in faster than it is put away.
in_flow_delay = 0
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

_LOGIN = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {domain}
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_tls_auth_only = yes
smtpd_sender_restrictions = permit_sasl_authenticated, reject
"""

_SASL = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/passwords
mech_list: PLAIN LOGIN CRAM-MD5
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

_WRAPPED = """\
127.0.0.1:{tls_port} inet n - n - - smtpd
    -o smtpd_tls_wrappermode=yes
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
    With `tls` it offers STARTTLS, and speaks TLS from the first byte on `tls_port`; `login` (user, password) is
    then asked for, over TLS only. `settings` are put at the end of main.cf.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        domain: str = DOMAIN,
        tls: bool = False,
        login: tuple[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        assert tls or login is None, "a password travels over TLS only"
        self.folder = folder
        self.domain = domain
        self.port = free_port()
        self.tls_port = 0
        self.login = login
        self.settings = dict(settings or {})
        self.certificate: Certificate | None = None
        self.maildir = Maildir(folder / "mailboxes")
        self._is_running = False
        folder.chmod(0o755)  # Postfix's processes drop root's rights and still must pass
        for name in ("etc", "queue", "data", "mailboxes"):
            (folder / name).mkdir()
        (folder / "log").touch()
        shutil.chown(folder / "log", "postfix")  # what checks the queue after a crash has no more rights, and logs
        shutil.chown(folder / "data", "postfix")
        shutil.chown(folder / "mailboxes", "nobody")
        if tls:
            self.certificate = self_signed(folder / "etc")
            self.tls_port = free_port()
        self._configure()

    @property
    def ca_file(self) -> str:
        """The certificate a client may trust."""
        assert self.certificate is not None, "this Postfix speaks no TLS"
        return str(self.certificate.authority)

    def start(self) -> None:
        """Start, and wait until it greets."""
        self._postfix("start")
        self._is_running = True

    def stop(self) -> None:
        """Stop every process of this instance, if it runs; sessions break off."""
        self._end("stop")

    def kill(self) -> None:
        """The same at once: no process may finish what it is at."""
        self._end("abort")

    def open_later(self) -> None:
        """From now on, `later-...@` has a mailbox as anybody else. Restarts, as a process keeps the table it read."""
        (self.folder / "etc" / "refused").write_text(_REFUSED.splitlines()[0] + "\n")
        self.stop()
        self.start()

    def received(self, address: str | None = None) -> list[bytes]:
        """The messages in one mailbox, or in all, oldest first, as Postfix stored them.

        Their first lines are Postfix's: Return-Path is the envelope sender, Delivered-To the envelope recipient.
        """
        return self.maildir.received(address)

    def wait_for(self, address: str | None = None, count: int = 1, timeout: float = 30) -> list[bytes]:
        """Wait until `count` messages are in the mailbox."""
        return self.maildir.wait_for(address, count, timeout, self.log)

    def waiting(self) -> int:
        """How many messages it took and has not put into a mailbox yet; it marks a whole one as executable."""
        queues = [self.folder / "queue" / name for name in ("incoming", "active", "deferred")]
        return sum(file.is_file() and os.access(file, os.X_OK) for queue in queues for file in queue.glob("**/*"))

    def log(self) -> str:
        """What Postfix wrote down."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _configure(self) -> None:
        owner = pwd.getpwnam("nobody")
        main = _MAIN.format(folder=self.folder, domain=self.domain, uid=owner.pw_uid, gid=owner.pw_gid)
        master = _MASTER.format(port=self.port)
        if self.certificate is not None:
            main += _TLS.format(chain=self.certificate.chain)
            master += _WRAPPED.format(tls_port=self.tls_port)
        if self.login is not None:
            main += _LOGIN.format(folder=self.folder, domain=self.domain)
            self._keep_password(*self.login)
        main += "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        files = {"main.cf": main, "master.cf": master, "refused": _REFUSED, "transport": _TRANSPORT}
        for name, text in files.items():
            (self.folder / "etc" / name).write_text(text)

    def _keep_password(self, user: str, password: str) -> None:
        settings = self.folder / "etc" / "sasl" / "smtpd.conf"  # Debian's Postfix looks there and nowhere else
        settings.parent.mkdir()
        settings.write_text(_SASL.format(folder=self.folder))
        passwords = self.folder / "passwords"
        command = ["saslpasswd2", "-p", "-c", "-f", passwords, "-u", self.domain, user]
        subprocess.run(command, input=password, text=True, check=True, capture_output=True, env=_ENVIRONMENT)
        shutil.chown(passwords, "postfix")

    def _end(self, how: str) -> None:
        if self._is_running:
            self._is_running = False
            self._postfix(how)

    def _postfix(self, command: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", self.folder / "etc", command],
            capture_output=True,
            text=True,
            env=_ENVIRONMENT,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"postfix {command} failed:\n{done.stdout}{done.stderr}{self.log()[-3000:]}")


_ENVIRONMENT = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}


@contextmanager
def running(
    *,
    domain: str = DOMAIN,
    tls: bool = False,
    login: tuple[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Postfix]:
    """A started instance, stopped and removed at the end. Skips the test when Postfix cannot be had."""
    if shutil.which("postfix", path=_ENVIRONMENT["PATH"]) is None:
        require("postfix", "mail is delivered through a real MTA")
    if os.geteuid():
        require("postfix", "it is installed, but starting a private one needs root")
    if login is not None and shutil.which("saslpasswd2", path=_ENVIRONMENT["PATH"]) is None:
        require("sasl2-bin libsasl2-modules", "Postfix asks for a password")
    with tempfile.TemporaryDirectory(prefix="digest-postfix-") as folder:
        server = Postfix(Path(folder), domain=domain, tls=tls, login=login, settings=settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
