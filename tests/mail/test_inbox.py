"""Mailboxes over real IMAP and POP3 (Dovecot) and in a Maildir: what is ours goes away, the rest stays as it was."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from imapclient import IMAPClient

from digest.bouncing import Followed
from digest.bouncing.emptying import Act, Emptied, empty, failed
from digest.domain.reports import ReportKind
from digest.errors import MailboxError, StoreConflict
from digest.mail.inbox import MAX_BYTES, Inbox
from digest.mail.inbox.imap import ImapInbox
from digest.mail.inbox.login import Login
from digest.mail.inbox.maildir import MaildirInbox
from digest.mail.inbox.pop3 import Pop3Inbox
from digest.store import Store, Transaction, mailboxes, marks
from digest.store.migrate import migrate
from tests.servers import dovecot, free_port
from tests.servers.dovecot import PASSWORD, USER, Dovecot
from tests.servers.smtpd import RecordingServer

NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)
Look = Callable[[bytes], bytes]
KINDS = ["maildir", "imap", "imap tls", "imap starttls", "pop3", "pop3 tls", "pop3 starttls"]


def ours(number: int = 0) -> bytes:
    return f"To: bounces+x@example.com\r\nSubject: report {number}\r\n\r\nIt came back.\r\n".encode()


def letter(number: int = 0) -> bytes:
    return f"To: bounces@example.com\r\nSubject: letter {number}\r\n\r\nDear desk,\r\n.\r\n".encode()


@dataclass
class Reading:
    """A mailbox, and somebody who reads it; what is addressed to `bounces+` counts as ours."""

    server: Dovecot
    store: Store
    make: Callable[[], Inbox]
    read: list[bytes] = field(default_factory=list)

    def look(self, content: bytes) -> bytes:
        self.read.append(content)
        return content

    def act(self, tx: Transaction, content: bytes) -> Followed:
        is_ours = b"To: bounces+" in content
        if is_ours:  # what follows is one more in a number that only ever grows
            marks.put(tx, "followed", str(int(marks.get(tx, "followed") or 0) + 1))
        return Followed(ReportKind.HARD if is_ours else ReportKind.OTHER, is_ours=is_ours)

    def empty(self, look: Look | None = None, act: Act[bytes] | None = None) -> Emptied:
        with self.make() as inbox:
            return empty(self.store, inbox, look or self.look, act or self.act, lambda: NOW)

    def followed(self) -> int:
        """How often something followed from a message."""
        with self.store.read() as tx:
            return int(marks.get(tx, "followed") or 0)

    def subjects(self, folder: str = "") -> list[str]:
        """What lies in a folder of the Maildir, flags behind the subject; POP3 has none, and reading counts as seen."""
        is_pop3 = isinstance(self.make(), Pop3Inbox)
        found = []
        place = self.server.mail / folder
        for file in [*place.glob("new/*"), *place.glob("cur/*")]:
            subject = file.read_bytes().partition(b"Subject: ")[2].partition(b"\n")[0].decode().strip()
            found.append(subject + ("" if is_pop3 else file.name.partition(":2,")[2]))
        return sorted(found)


@pytest.fixture(scope="module")
def shared() -> Iterator[Dovecot]:
    with dovecot.running() as server:
        yield server


@pytest.fixture
def server(shared: Dovecot) -> Dovecot:
    for each in shared.mail.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    for name in ("cur", "new", "tmp"):
        (shared.mail / name).mkdir()
        shutil.chown(shared.mail / name, "nobody", "nogroup")
    return shared


@pytest.fixture
def smtpd() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/digest.db")
    migrate(made)
    yield made
    made.close()


def login(server: Dovecot, protocol: str, security: str, **more) -> Login:
    name = protocol + ("s" if security == "tls" else "")
    known = {"host": "localhost", "username": USER, "password": PASSWORD, "port": getattr(server, name)}
    return Login(**known | {"security": security, "ca_file": str(server.certificate.authority)} | more)


def opener(server: Dovecot, kind: str, processed: str = "Digest/Processed", **more) -> Callable[[], Inbox]:
    protocol, _, security = kind.partition(" ")
    if protocol == "maildir":
        return lambda: MaildirInbox(server.mail, processed)
    where = login(server, protocol, **{"security": security or "none"} | more)
    return (lambda: Pop3Inbox(where)) if protocol == "pop3" else lambda: ImapInbox(where, "INBOX", processed)


@pytest.fixture(params=KINDS)
def reading(request, server, store) -> Reading:
    return Reading(server, store, opener(server, request.param))


@pytest.fixture(params=["maildir", "imap", "pop3"])
def plainly(request, server, store) -> Reading:
    return Reading(server, store, opener(server, request.param))


def test_what_is_ours_goes_and_the_rest_stays_unread_and_is_not_read_again(reading):
    reading.server.put(ours(1), letter(1), ours(2), letter(2))
    emptied = reading.empty()
    assert (emptied.read, emptied.put_away, emptied.left) == (4, 2, 2)
    assert [each.replace(b"\r\n", b"\n") for each in reading.read[:2]] == [
        each.replace(b"\r\n", b"\n") for each in (ours(1), letter(1))
    ]
    assert reading.subjects() == ["letter 1", "letter 2"]
    assert reading.empty().read == 0
    reading.server.put(ours(3))
    assert (reading.empty().put_away, len(reading.read)) == (1, 5)
    assert reading.subjects() == ["letter 1", "letter 2"]
    is_pop3 = isinstance(reading.make(), Pop3Inbox)
    kept = [] if is_pop3 else ["report 1", "report 2", "report 3"]
    assert [each.removesuffix("S") for each in reading.subjects(".Digest.Processed")] == kept


@pytest.mark.parametrize("kind", ["maildir", "imap"])
def test_without_a_folder_for_them_reports_are_deleted(server, store, kind):
    reading = Reading(server, store, opener(server, kind, processed=""))
    server.put(ours(), letter())
    reading.empty()
    assert reading.subjects() == ["letter 0"]
    assert not (server.mail / ".Digest.Processed").exists()


def test_a_large_message_is_left_alone_and_never_read(plainly):
    plainly.server.put(ours(1), ours(2) + b"x" * 70 + b"\r\n" + b"y" * 70 * 30_000, ours(3))
    emptied = plainly.empty()
    assert (emptied.read, emptied.put_away, emptied.too_large, len(plainly.read)) == (3, 2, 1, 2)
    assert max(map(len, plainly.read)) < MAX_BYTES
    assert plainly.subjects() == ["report 2"]
    assert plainly.empty().read == 0


def test_lines_of_any_length_are_read(plainly):
    plainly.server.put(ours() + b"x" * 15_000 + b"\r\n")
    assert plainly.empty().put_away == 1


def test_a_crash_before_a_batch_is_stored_reads_it_once_more_and_nothing_has_followed(plainly):
    plainly.server.put(*(ours(n) for n in range(5)))

    def crash(tx: Transaction, content: bytes) -> Followed:
        if b"report 3" in content:
            raise KeyboardInterrupt
        return plainly.act(tx, content)

    with pytest.raises(KeyboardInterrupt):
        plainly.empty(act=crash)
    assert (len(plainly.subjects()), plainly.followed()) == (5, 0)
    plainly.read.clear()
    assert (plainly.empty().put_away, len(plainly.read)) == (5, 5)
    assert (plainly.subjects(), plainly.followed()) == ([], 5)


def test_a_crash_before_a_batch_is_put_away_puts_it_away_unread(plainly, monkeypatch):
    def crash(inbox, done):
        raise KeyboardInterrupt

    plainly.server.put(ours(1), letter(1), ours(2))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(plainly.make()), "put_away", crash)
        plainly.empty()
    assert (len(plainly.subjects()), plainly.followed()) == (3, 2)
    plainly.server.put(ours(3))
    emptied = plainly.empty()
    assert (emptied.read, emptied.put_away, emptied.left) == (1, 1, 0)
    assert (plainly.subjects(), plainly.followed(), len(plainly.read)) == (["letter 1"], 3, 4)
    assert plainly.empty().read == 0


@pytest.mark.parametrize("is_read", [False, True])
def test_a_message_we_stumble_over_is_left_for_people_and_takes_none_of_its_batch_along(plainly, is_read):
    plainly.server.put(ours(0), ours(1), ours(2))

    def stumble(content: bytes) -> bytes:
        if b"report 1" in content:
            raise ValueError("what is this?")
        return plainly.look(content)

    def stumble_late(tx: Transaction, content: bytes) -> Followed:
        followed = plainly.act(tx, content)
        if b"report 1" in content:
            tx.exec_driver_sql("SELECT nothing FROM nowhere")
        return followed

    emptied = plainly.empty(act=stumble_late) if is_read else plainly.empty(stumble)
    assert (emptied.put_away, emptied.left, plainly.followed()) == (2, 1, 2)
    assert plainly.subjects() == ["report 1"]
    assert plainly.empty().read == 0


def test_a_batch_that_another_transaction_gets_in_the_way_of_is_stored_the_next_time(plainly):
    plainly.server.put(ours(0), ours(1), ours(2))
    tries = 0

    def conflict(tx: Transaction, content: bytes) -> Followed:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise StoreConflict("deadlock detected")
        return plainly.act(tx, content)

    assert plainly.empty(act=conflict).put_away == 3
    assert (plainly.followed(), len(plainly.read)) == (3, 3)


@pytest.mark.parametrize("kind", ["maildir", "imap", "pop3"])
def test_a_long_row_is_read_in_batches_and_our_place_is_kept_in_between(server, store, kind):
    reading = Reading(server, store, opener(server, kind))
    server.put(*(letter(n) if n % 10 else ours(n) for n in range(1_050)))

    def crash(content: bytes) -> bytes:
        if len(reading.read) == 250:
            raise KeyboardInterrupt
        return reading.look(content)

    with pytest.raises(KeyboardInterrupt):
        reading.empty(crash)
    emptied = reading.empty()
    assert (emptied.read, emptied.put_away) == (850, 85)
    # POP3 deletes only when a session ends well: what it had marked is marked again, unread.
    assert (len(reading.subjects()), reading.followed()) == (945, 105)
    assert reading.empty().read == 0


def test_a_folder_that_begins_a_new_life_is_read_anew(server, store):
    reading = Reading(server, store, opener(server, "imap"))
    server.put(letter(1))
    reading.empty()
    with store.begin() as tx:
        before = mailboxes.known(tx, reading.make().name).remembered
        mailboxes.keep(tx, reading.make().name, {**before, "validity": before["validity"] - 1}, NOW)
    assert reading.empty().read == 1


def test_a_server_without_move_copies_and_deletes_only_what_is_ours(store):
    with dovecot.running(capability="IMAP4rev1 UIDPLUS") as server:
        reading = Reading(server, store, opener(server, "imap"))
        server.put(ours(1), letter(1))
        with IMAPClient(server.host, server.imap, ssl=False) as other:
            other.login(USER, PASSWORD)
            other.select_folder("INBOX")
            other.add_flags(other.search(["SUBJECT", "letter"]), ["\\Deleted"])  # somebody else's wish, not yet done
            assert reading.empty().put_away == 1
        assert reading.subjects() == ["letter 1T"]
        assert [each.rstrip("ST") for each in reading.subjects(".Digest.Processed")] == ["report 1"]


def test_imap_tells_of_new_mail_at_once(server):
    with opener(server, "imap")() as inbox:
        assert inbox.tells
        assert not inbox.wait(0.1, lambda: False)
        said: list[bool] = []
        thread = threading.Thread(target=lambda: said.append(inbox.wait(60, lambda: False)))
        thread.start()
        for _ in range(60):
            server.put(ours())  # one that comes before the server listens goes untold
            thread.join(1)
            if said:
                break
        assert said == [True]
        assert not inbox.wait(60, lambda: True)  # told to stop
        assert sum(len(batch) for batch in inbox.waiting({})) >= 1


def test_a_server_that_cannot_tell_says_so(store):
    with dovecot.running(capability="IMAP4rev1 MOVE") as server, opener(server, "imap")() as inbox:
        assert not inbox.tells


def test_a_line_that_breaks_is_told_in_one_line(server):
    inbox = opener(server, "imap")()
    with pytest.raises(MailboxError) as caught, inbox:
        list(inbox.waiting({}))
        inbox._open.socket().shutdown(socket.SHUT_RDWR)
        list(inbox.waiting({}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["imap", "pop3"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "uthentication"),
        ({"port": 0}, "nothing answers there"),
        ({"security": "tls", "ca_file": ""}, "TLS"),
        ({"host": "nowhere.invalid"}, "there is no such host"),
    ],
)
def test_trouble_is_said_in_one_clear_line_without_the_password(server, kind, change, said):
    if change.get("port") == 0:
        change = {"port": free_port()}
    security = "tls" if change.get("security") else "starttls"
    with pytest.raises(MailboxError) as caught, opener(server, f"{kind} {security}", **change)():
        pass
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and PASSWORD not in str(caught.value)


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("kind", ["imap", "pop3"])
@pytest.mark.parametrize(
    ("security", "behind", "said"),
    [
        ("tls", "", "there is no TLS at port {port}: set [bounces] port = {tls} with security = "),
        ("starttls", "s", 'port {port} wants TLS from the first byte: set [bounces] security = "tls"'),
        ("none", "s", 'port {port} wants TLS from the first byte: set [bounces] security = "tls"'),
        ("tls", "web", "there is no TLS at port {port}: set [bounces] port = {tls}"),
        ("starttls", "web", "port {port} says nothing, so it is no {name} server: set [bounces] port = {tls}"),
        ("none", "web", 'or port = {plain} with security = "starttls"'),
    ],
)
def test_a_wrong_port_is_said_with_what_to_set(server, web, kind, security, behind, said):
    port = web if behind == "web" else getattr(server, kind + behind)
    tls, plain = (993, 143) if kind == "imap" else (995, 110)
    with pytest.raises(MailboxError) as caught, opener(server, f"{kind} {security}", port=port, timeout=1.0)():
        pass
    assert said.format(port=port, tls=tls, plain=plain, name=kind.upper()) in str(caught.value)


@pytest.mark.parametrize("kind", ["imap", "pop3"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_is_not_accepted_is_said_with_what_to_set(server, kind, security, tmp_path):
    for change, said in (
        ({"ca_file": ""}, "set [bounces] ca_file"),
        ({"host": "127.1"}, "set [bounces] host"),  # another way to write 127.0.0.1
        ({"ca_file": str(tmp_path / "nowhere.pem")}, "[bounces] ca_file cannot be read: No such file"),
        ({"ca_file": str(server.certificate.authority.parent / "said")}, "no certificate in PEM"),
    ):
        with pytest.raises(MailboxError) as caught, opener(server, f"{kind} {security}", **change)():
            pass
        assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["imap", "pop3"])
def test_a_server_of_another_kind_or_without_starttls_is_said(server, smtpd, store, kind):
    with pytest.raises(MailboxError, match=f"says .*220.* no {kind.upper()} server"):
        opener(server, f"{kind} none", port=smtpd.port, timeout=5.0)().__enter__()
    with dovecot.running(ssl="no") as plain, pytest.raises(MailboxError, match="offers no STARTTLS"):
        opener(plain, f"{kind} starttls")().__enter__()


def test_a_folder_that_is_not_there_is_named(server, tmp_path):
    with pytest.raises(MailboxError, match="Nowhere"), ImapInbox(login(server, "imap", "none"), "Nowhere", ""):
        pass
    with pytest.raises(MailboxError, match="no Maildir"), MaildirInbox(tmp_path / "nowhere", ""):
        pass


def test_a_failure_is_new_once_until_it_is_read_again(store):
    error = MailboxError("imap bounces@mail", "it does not answer")
    assert [failed(store, error, NOW) for _ in range(3)] == [True, False, False]
    with store.begin() as tx:
        mailboxes.keep(tx, error.mailbox, {"uid": 3}, NOW)
    assert failed(store, error, NOW)
    with store.read() as tx:
        known = mailboxes.known(tx, error.mailbox)
    assert (known.remembered, known.read_at, known.error) == ({"uid": 3}, NOW, "it does not answer")


def test_a_message_that_a_mail_program_took_meanwhile_is_no_error(server, store):
    reading = Reading(server, store, opener(server, "maildir"))
    server.put(ours(1), ours(2), ours(3))

    def act(tx: Transaction, content: bytes) -> Followed:
        for file in (server.mail / "new").glob("*"):
            if b"report 2" in file.read_bytes():
                file.unlink()
            elif b"report 1" in file.read_bytes():
                file.rename(server.mail / "cur" / f"{file.name}:2,S")  # shown, between our reading and our moving
        return reading.act(tx, content)

    reading.empty(act=act)
    assert [each.rstrip("S") for each in reading.subjects()] == ["report 1"]
    reading.empty()
    assert (reading.subjects(), reading.followed(), len(reading.read)) == ([], 3, 3)


def test_messages_that_a_mail_program_has_shown_meanwhile_are_found_where_it_put_them(server, store):
    reading = Reading(server, store, opener(server, "maildir"))
    server.put(*(ours(n) for n in range(120)))

    def look(content: bytes) -> bytes:
        for file in (server.mail / "new").glob("*"):
            file.rename(server.mail / "cur" / f"{file.name}:2,S")  # all at once, as an IMAP server does
        return reading.look(content)

    assert (reading.empty(look).put_away, len(reading.read), reading.subjects()) == (120, 120, [])


def test_copies_that_share_an_id_in_pop3_go_together(server, store):
    reading = Reading(server, store, opener(server, "pop3"))
    server.put(ours(1), ours(1), letter(2))
    copies = [file for file in (server.mail / "new").iterdir() if b"report 1" in file.read_bytes()]
    known = [f"{number} Psame :{file.name}" for number, file in enumerate(copies, 1)]
    (server.mail / "dovecot-uidlist").write_text("\n".join(["3 V1800000000 N3", *known, ""]))
    assert (reading.empty().put_away, reading.followed(), reading.subjects()) == (1, 1, ["letter 2"])
    assert reading.empty().read == 0


def test_a_file_whose_name_is_not_utf_8_is_remembered_by_a_name_every_database_keeps(tmp_path):
    for folder in ("new", "cur"):
        (tmp_path / folder).mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "new") + b"/1800000000.\xff")).write_bytes(ours())
    with MaildirInbox(tmp_path, "") as inbox:
        (waiting,) = next(inbox.waiting({}))
        assert waiting.key.encode()
        assert [content for _, content in inbox.contents([waiting])] == [ours()]
        inbox.put_away([waiting])
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("kind", ["pop3", "maildir"])
def test_a_message_that_is_listed_and_not_given_out_takes_none_of_its_batch_along(
    server, store, kind, monkeypatch, caplog
):
    reading = Reading(server, store, opener(server, kind))
    server.put(*(ours(n) for n in range(1, 6)))
    (locked,) = (file for file in (server.mail / "new").iterdir() if b"report 3" in file.read_bytes())
    of_kind = {"pop3": Pop3Inbox, "maildir": MaildirInbox}[kind]
    whole, known = of_kind.contents, Path.open

    def lock(inbox, batch):
        for file in server.mail.glob(f"*/{locked.name}*"):
            file.chmod(0)  # the server does not run as root
            shutil.chown(file, "root", "root")
        yield from whole(inbox, batch)

    def refuse(path: Path, *more, **named):
        if path.name.partition(":")[0] == locked.name:
            raise PermissionError(13, "Permission denied")
        return known(path, *more, **named)

    monkeypatch.setattr(of_kind, "contents", lock)
    if kind == "maildir":
        monkeypatch.setattr(Path, "open", refuse)  # whoever runs the tests may read everything
    assert reading.empty().put_away == 4
    monkeypatch.undo()
    assert (reading.subjects(), reading.followed()) == (["report 3"], 4)
    assert "cannot be read and is left where it is" in caplog.text


def test_what_was_read_before_a_line_broke_is_acted_on(server, store, monkeypatch):
    reading = Reading(server, store, opener(server, "maildir"))
    server.put(*(ours(n) for n in range(5)))
    whole = MaildirInbox.contents

    def breaks(inbox: MaildirInbox, batch):
        for place, each in enumerate(whole(inbox, batch)):
            if place == 2:
                raise MailboxError(inbox.name, "the line broke")
            yield each

    monkeypatch.setattr(MaildirInbox, "contents", breaks)
    with pytest.raises(MailboxError, match="broke"):
        reading.empty()
    assert reading.followed() == 2
    monkeypatch.undo()
    reading.empty()
    assert (reading.followed(), len(reading.read), reading.subjects()) == (5, 5, [])
