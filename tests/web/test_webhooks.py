"""What mail providers report: believed when they prove who they are, harmless when repeated, refused when it is odd."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from digest.domain.reports import ReportKind
from digest.domain.subscribers import SubscriptionState
from digest.domain.suppressions import SuppressionKind
from digest.errors import SourceError
from digest.store import bounces, suppressions
from digest.store.schema import bounces as kept
from digest.web import create_web, webhook_events, webhooks
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
TOPIC = "arn:aws:sns:eu-central-1:123456789012:digest"
SECRETS = {
    "ses": {"topics": [TOPIC]},
    "mailgun": {"secret": "mailgun signing key"},
    "postmark": {"password": "postmark password"},
    "sendgrid": {"public_key": PUBLIC},
    "brevo": {"token": "brevo token"},
}


class Post:
    """A service that sent an edition to a few readers, and providers that report about it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        service.add_readers(4)
        edition = service.send()
        self.ids = {each.address: each.id for each in service.listed(edition)}
        self.client = TestClient(create_web(service.app, service.clock))

    def message_id(self, address: str) -> str:
        return self.service.app.links.message_id(self.ids[address], "news.example.com")

    def verp(self, address: str) -> str:
        return self.service.app.links.envelope_sender("bounces@news.example.com", self.ids[address])

    def mailgun(self, event: dict, **signature: str):
        timestamp = signature.pop("signed_at", str(int(self.service.clock().timestamp())))
        signed = {"timestamp": timestamp, "token": "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"}
        key = SECRETS["mailgun"]["secret"].encode()
        signed["signature"] = hmac.digest(key, (signed["timestamp"] + signed["token"]).encode(), "sha256").hex()
        return self.client.post("/webhooks/mailgun", json={"signature": signed | signature, "event-data": event})

    def postmark(self, event: object, password: str = "postmark password"):
        return self.client.post("/webhooks/postmark", json=event, auth=("digest", password))

    def sendgrid(self, events: object, key: ec.EllipticCurvePrivateKey = KEY, body: bytes | None = None):
        content = json.dumps(events).encode() if body is None else body
        signature = base64.b64encode(key.sign(b"1600112502" + content, ec.ECDSA(hashes.SHA256()))).decode()
        name = "X-Twilio-Email-Event-Webhook-"
        headers = {f"{name}Signature": signature, f"{name}Timestamp": "1600112502"}
        return self.client.post("/webhooks/sendgrid", content=content, headers=headers)

    def brevo(self, event: object, token: str = "brevo token"):
        return self.client.post("/webhooks/brevo", json=event, headers={"Authorization": f"Bearer {token}"})

    def standing(self, address: str) -> str:
        """`suppressed for ...`, `unsubscribed`, or `confirmed`."""
        subscription = self.service.find(address)
        with self.service.app.store.read() as tx:
            found = suppressions.of(tx, self.service.app.links.address_hash(address))
        return f"suppressed: {found.kind}" if found else subscription.state

    def kept(self) -> list[tuple[str, str]]:
        with self.service.app.store.read() as tx:
            return [(each.kind, each.via) for each, _ in bounces.listed(tx, since=SATURDAY - timedelta(days=1))]


@pytest.fixture
def post(tmp_path) -> Iterator[Post]:
    with RecordingServer() as smtpd:
        service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, webhooks=SECRETS)
        yield Post(service)
        service.close()


ONE, TWO, THREE, FOUR = (f"reader{n}@example.com" for n in range(4))
GONE = f"suppressed: {SuppressionKind.BOUNCED}"
COMPLAINED = f"suppressed: {SuppressionKind.COMPLAINED}"
STAYS, LEFT = SubscriptionState.CONFIRMED, SubscriptionState.UNSUBSCRIBED

# --- Mailgun -------------------------------------------------------------------------------------


def mailgun(post: Post, address: str, event: str = "failed", **more) -> dict:
    headers = {"message-id": post.message_id(address).strip("<>"), "to": address}
    return {"event": event, "recipient": address, "message": {"headers": headers}} | more


def permanent(message: str, **more) -> dict:
    return {"severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550, "message": message}} | more


def test_mailguns_events_do_what_they_say_and_a_replay_changes_nothing(post):
    gone = mailgun(post, ONE, **permanent("5.1.1 The email account that you tried to reach does not exist"))
    assert [post.mailgun(gone).json() for _ in range(3)] == [{"events": 1}] * 3
    assert post.mailgun(mailgun(post, TWO, "complained")).status_code == 200
    assert post.mailgun(mailgun(post, THREE, "unsubscribed")).status_code == 200
    assert post.mailgun(mailgun(post, FOUR, severity="temporary", reason="generic")).json() == {"events": 0}
    assert post.mailgun(mailgun(post, FOUR, "delivered")).json() == {"events": 0}
    assert [post.standing(each) for each in (ONE, TWO, THREE, FOUR)] == [GONE, COMPLAINED, LEFT, STAYS]
    assert sorted(post.kept()) == [("complaint", "mailgun"), ("hard bounce", "mailgun"), ("unsubscribed", "mailgun")]


@pytest.mark.parametrize(
    ("hours", "status"), [(0, 200), (-8, 200), (-11.9, 200), (11.9, 200), (-12.1, 403), (-24 * 365, 403), (12.1, 403)]
)
def test_a_signature_of_mailgun_is_good_for_as_long_as_it_tries_and_not_for_ever(post, hours, status):
    gone = mailgun(post, ONE, **permanent("5.1.1 no such user"))
    signed_at = str(int((post.service.clock() + timedelta(hours=hours)).timestamp()))
    assert post.mailgun(gone, signed_at=signed_at).status_code == status
    assert post.standing(ONE) == (GONE if status == 200 else STAYS)


@pytest.mark.parametrize("signed_at", ["", "never", "-1", "1e9", "9" * 400, "\u0661\u0662", "1770920772.5"])
def test_a_signature_of_mailgun_without_a_moment_is_refused(post, signed_at):
    assert post.mailgun(mailgun(post, ONE, **permanent("5.1.1")), signed_at=signed_at).status_code == 403


def test_mailguns_permanent_failures_that_are_no_dead_mailbox_are_none(post):
    post.mailgun(mailgun(post, ONE, **permanent("5.7.1 message refused as spam by our policy")))
    post.mailgun(mailgun(post, TWO, **permanent("552 5.2.2 mailbox full")))
    post.mailgun(mailgun(post, THREE, **permanent("Not delivering to previously bounced", reason="suppress-bounce")))
    post.mailgun(mailgun(post, FOUR, **permanent("", reason="old")))
    assert [post.standing(each) for each in (ONE, TWO, THREE, FOUR)] == [STAYS] * 4
    assert sorted(kind for kind, _ in post.kept()) == ["refused by policy", "soft bounce", "soft bounce", "soft bounce"]


def test_a_wrong_signature_of_mailgun_is_refused(post):
    gone = mailgun(post, ONE, **permanent("5.1.1 no such user"))
    later = str(int(post.service.clock().timestamp()) + 60)
    for wrong in ({"signature": "0" * 64}, {"signature": ""}, {"token": "other"}, {"timestamp": later}):
        assert post.mailgun(gone, **wrong).status_code == 403
    assert post.client.post("/webhooks/mailgun", json={"event-data": gone}).status_code == 403
    assert post.standing(ONE) == STAYS


# --- Postmark ------------------------------------------------------------------------------------


def test_postmark_is_understood_by_its_metadata_or_by_the_report_it_brings(post):
    report = f"Message-ID: {post.message_id(TWO)}\nFrom: recap@news.example.com\n\n"
    dump = (
        f"To: {post.verp(ONE)}\nFrom: MAILER-DAEMON@x\nSubject: Undelivered mail\n\n<{ONE}>: 550 5.1.1 unknown user\n\n"
    )
    event = {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "MessageID": "883953f4-6105"}
    assert post.postmark(event | {"Details": "smtp;550 5.1.1 user unknown", "Content": dump}).json() == {"events": 1}
    complaint = {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Metadata": {"id": post.message_id(TWO)}}
    assert post.postmark(complaint | {"Content": report}).json() == {"events": 1}
    change = {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "ManualSuppression"}
    change |= {"Origin": "Recipient", "Metadata": {"any": post.verp(THREE)}}
    assert post.postmark(change).json() == {"events": 1}
    assert post.postmark({"RecordType": "Delivery", "Metadata": {"a": post.verp(FOUR)}}).json() == {"events": 0}
    blocked = {"RecordType": "Bounce", "Type": "SpamNotification", "Metadata": {"a": post.verp(FOUR)}}
    assert post.postmark(blocked).json() == {"events": 1}
    assert [post.standing(each) for each in (ONE, TWO, THREE, FOUR)] == [GONE, COMPLAINED, LEFT, STAYS]


def test_postmark_without_the_password_is_not_even_read(post):
    for headers in ({}, {"Authorization": "Basic !!!"}, {"Authorization": "Basic ZGlnZXN0OndyB25n"}):
        reply = post.client.post("/webhooks/postmark", content=b"no JSON", headers=headers)
        assert (reply.status_code, "password" in reply.json()["error"]) == (401, True)
    assert post.postmark({}, password="").status_code == 401


# --- SendGrid ------------------------------------------------------------------------------------


def test_sendgrids_batches_are_understood_by_the_message_id_it_was_given(post):
    def event(address: str, kind: str, **more) -> dict:
        return {"email": address, "event": kind, "smtp-id": post.message_id(address), "timestamp": 1} | more

    batch = [
        event(ONE, "bounce", type="bounce", status="5.1.1", reason="550 5.1.1 no such user"),
        event(TWO, "spamreport"),
        event(THREE, "group_unsubscribe", asm_group_id=10),
        event(FOUR, "bounce", type="blocked", status="5.1.1", reason="550 5.7.1 blocked, see https://block.example"),
        event(FOUR, "open", useragent="x"),
        event(FOUR, "deferred", response="400 try again later"),
    ]
    assert post.sendgrid(batch).json() == {"events": 4}
    assert [post.standing(each) for each in (ONE, TWO, THREE, FOUR)] == [GONE, COMPLAINED, LEFT, STAYS]


def test_a_wrong_signature_of_sendgrid_is_refused(post):
    batch = [{"event": "spamreport", "smtp-id": post.message_id(ONE)}]
    assert post.sendgrid(batch, key=ec.generate_private_key(ec.SECP256R1())).status_code == 403
    assert post.client.post("/webhooks/sendgrid", json=batch).status_code == 403
    signed = post.sendgrid(batch).request
    changed = signed.content.replace(b"spamreport", b"unsubscribe")
    assert post.client.post("/webhooks/sendgrid", content=changed, headers=signed.headers).status_code == 403


# --- Brevo ---------------------------------------------------------------------------------------


def test_brevos_events_are_understood_by_the_message_id_or_the_custom_header(post):
    gone = {
        "event": "hard_bounce",
        "email": ONE,
        "message-id": post.message_id(ONE),
        "reason": "550 5.1.1 no such user",
    }
    assert post.brevo(gone).json() == {"events": 1}
    theirs = {"message-id": "<202611@smtp-relay.mailin.fr>"}
    spam = {"event": "spam", "email": TWO, "X-Mailin-custom": json.dumps({"id": post.message_id(TWO)})} | theirs
    assert post.brevo(spam).json() == {"events": 1}
    assert post.brevo([{"event": "unsubscribed", "X-Mailin-custom": post.verp(THREE)}]).json() == {"events": 1}
    assert post.brevo({"event": "soft_bounce", "message-id": post.message_id(FOUR)}).json() == {"events": 1}
    assert [post.standing(each) for each in (ONE, TWO, THREE, FOUR)] == [GONE, COMPLAINED, LEFT, STAYS]
    assert post.brevo(gone, token="wrong").status_code == 401


# --- Amazon --------------------------------------------------------------------------------------


class Amazon:
    """Signs as SNS does, and has what SNS has on its servers."""

    def __init__(self, post: Post) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.url = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-abc.pem"
        self.asked: list[str] = []
        self.is_up = True
        me = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        certificate = (
            x509.CertificateBuilder(issuer_name=me, subject_name=me)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
            .sign(self.key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)
        web = FastAPI()
        web.include_router(webhooks.router(post.service.app, post.service.clock, self.fetch))
        self.client = TestClient(web)
        self.post = post

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if not self.is_up:
            raise SourceError("sns", url, "no answer")
        return self.certificate if url.endswith(".pem") else b"<ok/>"

    def send(self, message: object, *, version: str = "1", kind: str = "Notification", **change: str):
        said = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": message if isinstance(message, str) else json.dumps(message),
            "Timestamp": "2026-11-28T07:00:00.000Z",
            "SignatureVersion": version,
            "SigningCertURL": self.url,
        }
        if kind != "Notification":
            said |= {
                "Token": "abc",
                "SubscribeURL": f"https://sns.eu-central-1.amazonaws.com/?Action=x&TopicArn={TOPIC}",
            }
        said |= change
        names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        signed = "".join(f"{name}\n{said[name]}\n" for name in names if name in said)
        hash_ = hashes.SHA1() if version == "1" else hashes.SHA256()
        said["Signature"] = base64.b64encode(self.key.sign(signed.encode(), padding.PKCS1v15(), hash_)).decode()
        return self.client.post("/webhooks/ses", content=json.dumps(said), headers={"Content-Type": "text/plain"})


@pytest.fixture
def amazon(post) -> Amazon:
    return Amazon(post)


def ses_bounce(post: Post, address: str, kind: str = "Permanent", detail: str = "General", **reader: str) -> dict:
    headers = [{"name": "Message-ID", "value": post.message_id(address)}]
    mail = {"source": "recap@news.example.com", "messageId": "010201", "headers": headers, "destination": [address]}
    recipients = [{"emailAddress": address, "action": "failed"} | reader]
    bounce = {"bounceType": kind, "bounceSubType": detail, "bouncedRecipients": recipients}
    return {"notificationType": "Bounce", "mail": mail, "bounce": bounce}


@pytest.mark.parametrize("version", ["1", "2"])
def test_sess_notifications_signed_by_sns_do_what_they_say(amazon, version):
    post = amazon.post
    said = ses_bounce(post, ONE, status="5.1.1", diagnosticCode="smtp; 550 5.1.1 user unknown")
    assert amazon.send(said, version=version).json() == {"events": 1}
    mail = {"source": post.verp(TWO), "commonHeaders": {}}
    complaint = {"eventType": "Complaint", "mail": mail, "complaint": {"complaintFeedbackType": "abuse"}}
    assert amazon.send(complaint, version=version).json() == {"events": 1}
    mail = {"source": "x@y.example", "commonHeaders": {"messageId": post.message_id(THREE)}}
    fine = {"notificationType": "Complaint", "mail": mail, "complaint": {"complaintFeedbackType": "not-spam"}}
    assert amazon.send(fine, version=version).json() == {"events": 0}
    suppressed = ses_bounce(post, FOUR, detail="OnAccountSuppressionList")
    assert amazon.send(suppressed, version=version).json() == {"events": 1}
    assert amazon.send(ses_bounce(post, THREE, "Transient", "General"), version=version).json() == {"events": 1}
    assert [post.standing(each) for each in (ONE, TWO, THREE, FOUR)] == [GONE, COMPLAINED, STAYS, STAYS]
    assert amazon.asked == [amazon.url], "a certificate is fetched once"


def test_what_amazon_did_not_sign_is_refused_and_no_other_host_is_asked(amazon):
    said = ses_bounce(amazon.post, ONE, status="5.1.1")
    for url in (
        "http://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/x.pem",
        "https://s3.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com/../x.pem",
        "",
    ):
        assert amazon.send(said, SigningCertURL=url).status_code == 403
    assert amazon.asked == []
    amazon.key = rsa.generate_private_key(65537, 2048)
    assert amazon.send(said).status_code == 403
    assert amazon.send(said, version="3").status_code == 403
    assert amazon.post.standing(ONE) == STAYS


def test_a_certificate_out_of_its_time_is_not_believed(amazon):
    amazon.post.service.clock.forward(timedelta(days=365))
    assert amazon.send(ses_bounce(amazon.post, ONE, status="5.1.1")).status_code == 403


def test_a_subscription_is_confirmed_for_our_topics_only(amazon):
    assert amazon.send("You have chosen to subscribe", kind="SubscriptionConfirmation").json() == {"events": 0}
    assert amazon.asked[-1].startswith("https://sns.eu-central-1.amazonaws.com/?Action=")
    amazon.asked.clear()
    other = "arn:aws:sns:eu-central-1:999999999999:other"
    assert amazon.send("x", kind="SubscriptionConfirmation", TopicArn=other).status_code == 403
    evil = "https://evil.example/?Action=ConfirmSubscription"
    assert amazon.send("x", kind="SubscriptionConfirmation", SubscribeURL=evil).status_code == 400
    assert amazon.send(ses_bounce(amazon.post, ONE), TopicArn=other).status_code == 403
    assert amazon.asked == []


def test_when_amazon_does_not_answer_it_is_asked_to_send_again(amazon):
    amazon.is_up = False
    reply = amazon.send(ses_bounce(amazon.post, ONE, status="5.1.1"))
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "60")
    amazon.is_up = True
    assert amazon.send("Successfully validated SNS topic for Amazon SES event publishing.").json() == {"events": 0}


# --- all of them ---------------------------------------------------------------------------------


def test_who_is_unknown_or_not_configured_is_not_there(post, tmp_path):
    for name in ("nobody", "SES", "ses/"):
        assert post.client.post(f"/webhooks/{name}", json={}).status_code == 404
    assert post.client.get("/webhooks/mailgun").status_code == 405
    service = Service(tmp_path, post.service.store_url, 25, fresh=False)
    with TestClient(create_web(service.app, service.clock)) as bare:
        for name in webhooks.PROVIDERS:
            assert bare.post(f"/webhooks/{name}", json={}).status_code == 404
        assert not any("webhook" in path for path in bare.get("/api/openapi.json").json()["paths"])
    service.close()


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b"[" * 20_000])
def test_what_cannot_be_read_is_refused_with_a_reason(post, body):
    replies = [
        post.sendgrid(None, body=body),
        post.client.post("/webhooks/brevo", content=body, headers={"Authorization": "Bearer brevo token"}),
        post.client.post("/webhooks/postmark", content=body, auth=("x", "postmark password")),
        post.client.post("/webhooks/mailgun", content=body),
        post.client.post("/webhooks/ses", content=body),
    ]
    assert {each.status_code for each in replies} == {400}
    assert all(each.json()["error"].startswith("it is not") for each in replies)


def test_a_body_beyond_a_megabyte_is_refused(post):
    reply = post.client.post("/webhooks/postmark", content=b" " * 1_000_001, auth=("x", "postmark password"))
    assert reply.status_code == 413
    large = {"RecordType": "Bounce", "Type": "HardBounce", "Content": "x" * 300_000}
    assert post.postmark(large).json() == {"events": 0}


def test_an_event_with_a_forged_token_changes_nothing(post):
    forged = {"event": "hard_bounce", "email": ONE, "message-id": "<1.0123456789abcdef@news.example.com>"}
    assert post.brevo(forged | {"reason": "550 5.1.1 unknown"}).json() == {"events": 0}
    with post.service.app.store.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(kept)) == 0


NAMES = (
    *("event", "event-data", "notificationType", "mail", "bounce", "headers", "bouncedRecipients", "message"),
    *("RecordType", "Type", "Content", "Metadata", "reason", "status", "severity", "delivery-status", "smtp-id"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=12,
)
MADE = (
    webhook_events.of_ses,
    webhook_events.of_mailgun,
    webhook_events.of_postmark,
    webhook_events.of_sendgrid,
    webhook_events.of_brevo,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.sampled_from(MADE), st.sampled_from(("Bounce", "failed", "x")))
def test_no_event_makes_the_reader_of_them_raise(event, made, kind):
    for changed in (event, event | {"event": kind, "notificationType": kind, "RecordType": kind}):
        assert all(isinstance(each.kind, ReportKind) for each in made(changed))
