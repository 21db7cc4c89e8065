"""What follows from reports: the right reader, once, and only with a token of ours; and nobody when too many come."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from digest import bouncing, subscribing
from digest.bouncing import notes
from digest.domain.bouncing import SoftRule, is_given_up, is_unbelievable, kept_words
from digest.domain.reports import Report, ReportKind
from digest.domain.subscribers import EventKind, Evidence, SubscriptionState, Way
from digest.domain.suppressions import SuppressionKind
from digest.errors import NotFound
from digest.store import bounces, consent, statistics, subscribers, suppressions
from digest.store.schema import bounces as schema_bounces
from digest.store.schema import deliveries
from digest.subscribing import suppressing
from tests.servers.smtpd import Fault, RecordingServer
from tests.service import SATURDAY, Service

HARD, SOFT, POLICY, COMPLAINT = ReportKind.HARD, ReportKind.SOFT, ReportKind.POLICY, ReportKind.COMPLAINT
WEEK = timedelta(weeks=1)


class Post:
    """A service that has sent an edition, and reports about it."""

    def __init__(self, service: Service, readers: int = 3) -> None:
        self.service = service
        self.app = service.app
        service.add_readers(readers)
        self.edition = service.send()
        self.ids = {each.address: each.id for each in service.listed(self.edition)}

    def report(self, address: str, kind: ReportKind, words: str = "550 5.1.1 no such user", **more) -> Report:
        sender = self.app.links.envelope_sender("bounces@news.example.com", self.ids[address])
        return Report(kind, words, envelope_senders=(sender,), status="5.1.1", **more)

    def receive(self, report: Report, **more) -> bouncing.Followed:
        return bouncing.receive(self.app.store, self.app.links, report, self.service.clock(), **more)

    def suppression(self, address: str):
        subscription = self.service.find(address)
        with self.app.store.read() as tx:
            return suppressions.of(tx, self.app.links.address_hash(subscription.address.key))

    def listed(self):
        with self.app.store.read() as tx:
            return list(bounces.listed(tx, since=SATURDAY - WEEK))

    def events(self, address: str):
        with self.app.store.read() as tx:
            return consent.trail(tx, self.service.find(address).subscriber_id)

    def notes(self):
        """What the desk is told now."""
        found = notes.to_tell(self.app.store, self.service.clock())
        for note in found:
            self.app.tell_desk(note.edition_id, note.subject, note.text, self.service.clock())
        return found


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def make(store_url, tmp_path, smtpd):
    made: list[Service] = []

    def make(readers: int = 3) -> Post:
        made.append(Service(tmp_path, store_url, smtpd.port))
        made[-1].smtpd = smtpd
        return Post(made[-1], readers)

    yield make
    for each in made:
        each.close()


@pytest.fixture
def post(make):
    return make()


ANNA = "reader0@example.com"


def test_a_hard_bounce_suppresses_its_reader_once_however_often_it_is_read(post):
    said = "550 5.1.1 <reader0@example.com>: user reader0 unknown"
    assert post.receive(post.report(ANNA, HARD, said)).consequence == "suppressed"
    assert post.receive(post.report(ANNA, HARD, said)).consequence == "it was known already"
    suppression = post.suppression(ANNA)
    assert (suppression.kind, suppression.by) == (SuppressionKind.BOUNCED, "example.com")
    (bounce, address), *more = post.listed()
    assert (address, bounce.kind, bounce.outcome, bounce.via, more) == (ANNA, HARD, "suppressed", "pipe", [])
    assert [each.kind for each in post.events(ANNA)][-1] is EventKind.SUPPRESSED
    for words in (suppression.reason, bounce.words, post.events(ANNA)[-1].evidence.form):
        assert "no longer" not in words and "reader0" not in words, "what is kept must survive that she is forgotten"
    assert post.suppression("reader1@example.com") is None


def test_the_token_may_be_the_message_id_or_the_unsubscribe_link_too(post):
    links, subscription = post.app.links, post.service.find("reader1@example.com")
    by_id = Report(HARD, message_ids=("<x@y>", links.message_id(post.ids[ANNA], "news.example.com").strip("<>")))
    assert post.receive(by_id).consequence == "suppressed"
    by_link = Report(COMPLAINT, "abuse", unsubscribe_links=("https://x/", links.unsubscribe(subscription.id)))
    assert post.receive(by_link).consequence == "suppressed"
    assert post.suppression("reader1@example.com").kind is SuppressionKind.REPORTED
    third = post.service.find("reader2@example.com")
    by_mailto = "mailto:" + links.leave_by_mail("leave@news.example.com", third.id) + "?subject=unsubscribe"
    assert post.receive(Report(COMPLAINT, "abuse", unsubscribe_links=(by_mailto,))).consequence == "suppressed"


def test_a_forged_report_changes_nothing(post):
    other = post.app.links.leave_by_mail("bounces@news.example.com", post.ids[ANNA])
    for report in (
        Report(HARD, envelope_senders=(ANNA, "bounces+forged@news.example.com", other), message_ids=("1.ab@x", "")),
        Report(COMPLAINT, message_ids=(f"{post.ids[ANNA]}.0000000000000000@news.example.com",)),
        Report(HARD, unsubscribe_links=("https://recap.example.com/unsubscribe/AAAA", "mailto:leave+aa@x", "")),
    ):
        followed = post.receive(report)
        assert (followed.consequence, followed.is_ours) == ("nothing changes", False)
    assert post.listed() == []


def test_a_report_about_mail_that_never_went_out_or_long_ago_changes_nothing(post):
    with post.app.store.begin() as tx:
        tx.execute(sa.update(deliveries).where(deliveries.c.id == post.ids[ANNA]).values(state="queued"))
    assert "never went out" in post.receive(post.report(ANNA, HARD)).consequence
    assert "never went out" in post.receive(post.report(ANNA, COMPLAINT)).consequence
    post.service.clock.forward(timedelta(days=91))
    late = "reader1@example.com"
    assert "too old" in post.receive(post.report(late, HARD)).consequence
    assert post.receive(post.report(late, COMPLAINT)).consequence == "suppressed"  # she may press it years later


def test_a_reader_who_is_gone_is_no_error(post):
    with post.app.store.begin() as tx:
        tx.execute(sa.update(deliveries).where(deliveries.c.id == post.ids[ANNA]).values(subscription_id=10**6))
    followed = post.receive(post.report(ANNA, HARD))
    assert (followed.consequence, followed.is_ours) == ("the reader is gone already", True)


@pytest.mark.parametrize(
    ("via", "kind"),
    [
        ("mailbox", SuppressionKind.REPORTED),
        ("pipe", SuppressionKind.REPORTED),
        ("ses", SuppressionKind.COMPLAINED),
        ("mailgun", SuppressionKind.COMPLAINED),
    ],
)
def test_a_complaint_unsubscribes_and_suppresses_and_is_firm_only_if_a_provider_vouches_for_it(post, via, kind):
    assert post.receive(post.report(ANNA, COMPLAINT, "abuse"), via=via).consequence == "suppressed"
    assert post.service.find(ANNA).state is SubscriptionState.UNSUBSCRIBED
    assert (post.suppression(ANNA).kind, post.suppression(ANNA).is_firm) == (kind, kind is SuppressionKind.COMPLAINED)
    ways = {each.kind: each.evidence.way for each in post.events(ANNA)}
    assert ways[EventKind.UNSUBSCRIBED] is ways[EventKind.SUPPRESSED] is Way.COMPLAINT


def test_a_complaint_that_came_by_mail_is_over_when_the_reader_signs_up_again_and_confirms(post):
    post.receive(post.report(ANNA, COMPLAINT, "abuse"), via="mailbox")
    press(post, ANNA)
    assert post.suppression(ANNA) is None
    assert post.service.find(ANNA).state is SubscriptionState.CONFIRMED
    assert post.events(ANNA)[-1].kind is EventKind.LIFTED
    assert post.receive(post.report(ANNA, COMPLAINT, "abuse"), via="mailbox").consequence == "it was known already"
    assert post.suppression(ANNA) is None


def test_a_providers_complaint_stands_whatever_the_reader_signs_up_for(post):
    post.receive(post.report(ANNA, COMPLAINT, "abuse"), via="ses")
    sent = len(post.service.smtpd.received)
    post.service.sign_up(ANNA)
    post.service.deliver_all()
    assert len(post.service.smtpd.received) == sent
    assert post.suppression(ANNA).kind is SuppressionKind.COMPLAINED


def test_a_provider_that_vouches_for_what_came_by_mail_makes_it_firm_once(post):
    complaint = post.report(ANNA, COMPLAINT, "abuse")
    post.receive(complaint, via="mailbox")
    assert post.receive(complaint, via="ses").consequence == "suppressed"
    assert post.suppression(ANNA).kind is SuppressionKind.COMPLAINED
    for via in ("ses", "mailbox"):
        assert post.receive(complaint, via=via).consequence == "it was known already"


def press(post, address):
    """Sign up, and press the button in the mail that came."""
    post.service.sign_up(address)
    post.service.deliver_all()
    assert "/confirm/" in post.service.smtpd.received_by(address)[-1].parsed.get_body(("plain",)).get_content()
    confirm(post, address)


def confirm(post, address):
    found, store, links = post.service.find(address), post.app.store, post.app.links
    token = links.confirm(found.id, found.requested_at).rpartition("/")[2]
    subscribing.confirm(store, links, token, Evidence(Way.LINK), post.service.clock(), timedelta(hours=72))


def test_leaving_at_the_provider_unsubscribes_and_no_more(post):
    assert post.receive(post.report(ANNA, ReportKind.LEFT), via="mailgun").consequence == "unsubscribed"
    assert post.service.find(ANNA).state is SubscriptionState.UNSUBSCRIBED
    assert post.suppression(ANNA) is None
    with post.service.app.store.read() as tx:
        assert statistics.returned(tx) == {"unsubscribed": 1}  # as /metrics counts it


def test_a_refusal_by_policy_touches_no_reader_and_the_desk_hears_of_it_once_a_day(post):
    for address in post.ids:
        said = post.receive(post.report(address, POLICY, "550 5.7.1 our spam filter does not like you")).consequence
        assert "the desk is told" in said
        assert post.suppression(address) is None
    (note,) = post.notes()
    assert note.subject == "example.com refuses our mail"
    assert "3 messages were refused" in note.text and "3 x " in note.text and "does not like you" in note.text
    assert post.notes() == []
    post.service.clock.forward(timedelta(hours=23))
    later = post.service.find(ANNA)
    with post.app.store.begin() as tx:  # another mail to her, refused as well
        values = {"mail": "welcome", "subscription_id": later.id, "state": "sent", "queued_at": post.service.clock()}
        post.ids[ANNA] = tx.execute(sa.insert(deliveries).values(values).returning(deliveries.c.id)).scalar_one()
    post.receive(post.report(ANNA, POLICY, "550 5.7.1 again"))
    assert post.notes() == []
    post.service.clock.forward(timedelta(hours=2))
    (note,) = post.notes()
    assert "1 message was refused" in note.text


def test_more_than_a_fifth_of_a_providers_readers_are_held_and_nobody_is_suppressed(make):
    post = make(100)
    readers = list(post.ids)
    for address in readers[:20]:
        assert post.receive(post.report(address, HARD)).consequence == "suppressed"
    assert post.notes() == []
    assert "held" in post.receive(post.report(readers[20], HARD)).consequence
    assert [address for address in readers if post.suppression(address)] == []
    assert [each.kind for each in post.events(readers[0])][-2:] == [EventKind.SUPPRESSED, EventKind.LIFTED]
    assert "held" in post.receive(post.report(readers[21], HARD)).consequence
    (note,) = post.notes()
    assert note.edition_id == post.edition.id
    assert "22 readers" in note.text and "digest bounces apply example.com" in note.text
    assert post.notes() == []
    return_ = bouncing.settle_held(post.app.store, post.app.links, "Example.com", post.service.clock(), believe=True)
    assert return_ == 22
    assert len([address for address in readers if post.suppression(address)]) == 22
    assert post.receive(post.report(readers[22], HARD)).consequence == "suppressed"
    with pytest.raises(NotFound):
        bouncing.settle_held(post.app.store, post.app.links, "example.com", post.service.clock(), believe=True)


def test_what_the_desk_does_not_believe_is_not_believed_later_either(make):
    post = make(60)
    readers = list(post.ids)
    for address in readers[:30]:
        post.receive(post.report(address, HARD))
    store, links, now = post.app.store, post.app.links, post.service.clock()
    assert bouncing.settle_held(store, links, "example.com", now, believe=False) == 30
    assert "did not believe" in post.receive(post.report(readers[30], HARD)).consequence
    assert [address for address in readers if post.suppression(address)] == []


def test_a_fifth_and_less_is_believed(make):
    post = make(105)
    readers = list(post.ids)
    assert {post.receive(post.report(address, HARD)).consequence for address in readers[:21]} == {"suppressed"}
    assert is_unbelievable(21, 104) and not is_unbelievable(21, 105) and not is_unbelievable(20, 20)


def test_a_suppression_of_another_kind_stays_when_the_held_are_let_go(make):
    post = make(40)
    readers = list(post.ids)
    post.receive(post.report(readers[0], COMPLAINT, "abuse"))
    for address in readers[:25]:
        post.receive(post.report(address, HARD))
    assert [address for address in readers if post.suppression(address)] == [readers[0]]


def test_soft_bounces_in_a_row_over_weeks_give_a_mailbox_up(post):
    subscription = post.service.find(ANNA)
    number = []
    with post.app.store.begin() as tx:
        for week in range(1, 5):
            at = SATURDAY + week * WEEK
            values = {"mail": "welcome", "subscription_id": subscription.id, "state": "sent", "queued_at": at}
            statement = sa.insert(deliveries).values(**values, settled_at=at).returning(deliveries.c.id)
            number.append(tx.execute(statement).scalar_one())
    followed = []
    for delivery_id in (post.ids[ANNA], *number):
        post.ids[ANNA] = delivery_id
        followed.append(post.receive(post.report(ANNA, SOFT, "452 4.2.2 mailbox full")).consequence)
        post.service.clock.forward(WEEK)
    assert followed == ["counted"] * 4 + ["suppressed"]
    assert post.suppression(ANNA).reason.startswith("failing for weeks")


@pytest.mark.parametrize("by", ["the desk", "the desk, with its domain", "the reader"])
def test_soft_bounces_from_before_the_address_was_let_go_count_no_more(post, by):
    def fail(weeks: int) -> list[str]:
        """A mail a week that comes back soft, and what follows."""
        followed = []
        for _ in range(weeks):
            post.service.clock.forward(WEEK)
            now = post.service.clock()
            values = {"mail": "welcome", "subscription_id": post.service.find(ANNA).id, "state": "sent"}
            with post.app.store.begin() as tx:
                statement = sa.insert(deliveries).values(**values, queued_at=now, settled_at=now)
                post.ids[ANNA] = tx.execute(statement.returning(deliveries.c.id)).scalar_one()
            followed.append(post.receive(post.report(ANNA, SOFT, "452 4.2.2 mailbox full")).consequence)
        return followed

    assert fail(5)[-1] == "suppressed"
    post.service.clock.forward(timedelta(days=1))
    if by == "the desk":
        anna = post.service.find(ANNA).address
        suppressing.lift(post.app.store, post.app.links, anna, "she has made room", post.service.clock())
    elif by == "the desk, with its domain":
        anna = post.service.find(ANNA).address
        store, links, now = post.app.store, post.app.links, post.service.clock()
        suppressing.lift(store, links, anna, "she has made room", now)
        post.service.clock.forward(2 * WEEK)
        assert fail(2) == ["counted", "counted"]
        suppressing.suppress_domain(store, links, anna.domain, "it moves", post.service.clock())
        post.service.clock.forward(timedelta(days=1))
        suppressing.lift_domain(store, anna.domain, "it has moved", post.service.clock())
    else:
        post.service.sign_up(ANNA)
        confirm(post, ANNA)
    assert fail(5) == ["counted"] * 4 + ["suppressed"]


START = SATURDAY


def row(*kinds: ReportKind | None, every: timedelta = WEEK):
    """Mails sent in this order, newest first as the rule wants them."""
    return list(reversed([(START + n * every, kind) for n, kind in enumerate(kinds)]))


@pytest.mark.parametrize(
    ("history", "is_so"),
    [
        (row(*[SOFT] * 5), True),
        (row(*[SOFT] * 4), False),
        (row(SOFT, SOFT, None, SOFT, SOFT, SOFT), False),  # one was delivered in between
        (row(None, *[SOFT] * 5), True),
        (row(SOFT, SOFT, POLICY, SOFT, SOFT, SOFT), True),  # that one says nothing of the mailbox
        (row(*[POLICY] * 9), False),
        (row(*[SOFT] * 5, every=timedelta(days=1)), False),  # five days are a holiday
        (row(*[SOFT] * 22, every=timedelta(days=1)), True),
        (row(*[SOFT] * 5, None), False),  # delivered since
        ([], False),
    ],
)
def test_a_mailbox_is_given_up_after_so_many_in_a_row_over_so_long(history, is_so):
    now = (history[0][0] if history else START) + timedelta(days=6)
    assert is_given_up(history, now, SoftRule(5, timedelta(weeks=3))) is is_so


def test_what_went_out_a_day_ago_may_yet_come_back():
    history = row(*[SOFT] * 5, None)
    assert is_given_up(history, history[0][0] + timedelta(days=1), SoftRule())


@pytest.mark.parametrize(
    "words",
    [
        "550 5.1.1 <anna.kowalska@example.com>: Recipient address rejected",
        "550 5.1.1 anna.kowalska@EXAMPLE.com\r\n unknown",
        "user anna.kowalska does not exist",
        "no mailbox ANNA.KOWALSKA here \x00 really",
    ],
)
def test_no_address_is_kept_in_a_servers_words(words):
    kept = kept_words(words, "anna.kowalska@example.com")
    assert "anna.kowalska" not in kept.lower()
    assert "\n" not in kept and "\x00" not in kept
    assert len(kept_words("x" * 5000, "a@b.example")) == 300


def test_a_mailbox_the_server_refuses_at_once_counts_as_a_bounce(make, smtpd):
    words = "550 5.1.1 <reader1@example.com> unknown"
    smtpd.faults.append(Fault(at="RCPT", recipient="reader1@example.com", reply=words))
    post = make(9)
    (bounce, address) = post.listed()[0]
    assert (address, bounce.kind, bounce.status, bounce.via) == ("reader1@example.com", HARD, "5.1.1", "smtp")
    assert "reader1" not in bounce.words
    assert post.suppression("reader1@example.com").kind is SuppressionKind.BOUNCED
    with post.app.store.read() as tx:
        assert len(list(subscribers.listed(tx, "weekly"))) == 9


@pytest.mark.parametrize("kind", [HARD, SOFT])
def test_a_late_report_about_mail_from_before_they_confirmed_anew_changes_nothing(post, kind):
    post.receive(post.report("reader0@example.com", HARD))
    found = post.service.find("reader0@example.com")
    post.service.clock.forward(timedelta(hours=1))
    post.service.sign_up("reader0@example.com")
    now = post.service.clock()
    token = post.app.links.confirm(found.id, post.service.find("reader0@example.com").requested_at).rpartition("/")[2]
    subscribing.confirm(post.app.store, post.app.links, token, Evidence(Way.LINK), now, WEEK)
    assert post.suppression("reader0@example.com") is None
    with post.app.store.begin() as tx:
        tx.execute(sa.delete(schema_bounces))  # as if the first one had been of another kind
    followed = post.receive(post.report("reader0@example.com", kind))
    assert (followed.consequence, followed.is_ours) == ("they have confirmed since", True)
    assert post.suppression("reader0@example.com") is None
    assert post.receive(post.report("reader0@example.com", COMPLAINT)).consequence == "suppressed"
