"""A Google Analytics of paper: it verifies who signs in, and reports page views by day of its own zone."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from digest.config.sources import Ga4Source
from digest.domain.articles import Harvest
from digest.domain.periods import day_bucket
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources import ga4 as ga4_module
from digest.sources.ga4 import Ga4
from tests.sources.conftest import NOW
from tests.sources.test_fetch import Naps
from tests.sources.web import Answer, Asked, Web

WARSAW, NEW_YORK = ZoneInfo("Europe/Warsaw"), ZoneInfo("America/New_York")
DAY = timedelta(days=1)
SATURDAY = date(2026, 11, 28)
REPORT = "/v1beta/properties/123456789:runReport"
EMAIL = "digest@project.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, lock: KeySerializationEncryption | None = None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()).decode()


def error(code: int, message: str, status: str) -> Answer:
    return Answer({"error": {"code": code, "message": message, "status": status}}, code)


@dataclass
class Property:
    """Answers as Google does. `visits`: views by (host, day, path)."""

    web: Web
    folder: Path
    zone: str = "Europe/Warsaw"
    visits: dict[tuple[str, date, str], int] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.web.routes["/token"] = self.token
        self.web.routes[REPORT] = self.report
        self.write()

    def write(self, **changes: Any) -> None:
        content = {
            "type": "service_account",
            "client_email": EMAIL,
            "private_key_id": "abc",
            "private_key": pem(KEY),
            "token_uri": f"{self.web.url}/token",
            **changes,
        }
        kept = {name: value for name, value in content.items() if value is not None}
        (self.folder / "ga4.json").write_text(json.dumps(kept))

    def read(self, path: str, day: date, times: int = 1, host: str = "news.example.com") -> None:
        self.visits[host, day, path] = self.visits.get((host, day, path), 0) + times

    def token(self, asked: Asked) -> Answer:
        assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        head, claims, signature = asked.form["assertion"].split(".")
        self.header, self.claims = json.loads(decoded(head)), json.loads(decoded(claims))
        try:
            KEY.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return Answer({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        return Answer({"access_token": "ya29.sesame", "expires_in": 3599, "token_type": "Bearer"})

    def report(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != "Bearer ya29.sesame":
            return error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED")
        question = asked.json
        ((span),) = question["dateRanges"]
        assert span["endDate"] == "today" and question["keepEmptyRows"] is False
        assert question["metrics"] == [{"name": "screenPageViews"}]
        assert question["orderBys"][0] == {"dimension": {"dimensionName": "date"}}
        only = question["dimensionFilter"]["filter"]
        assert only["fieldName"] == "hostName" and only["stringFilter"]["matchType"] == "EXACT"
        first, last = date.fromisoformat(span["startDate"]), NOW.astimezone(ZoneInfo(self.zone)).date()
        rows = [
            row(f"{day:%Y%m%d}", path, count)
            for (host, day, path), count in sorted(self.visits.items())
            if first <= day <= last and host == only["stringFilter"]["value"]
        ]
        offset, limit = int(question["offset"]), int(question["limit"])
        answer = {
            "dimensionHeaders": [{"name": "date"}, {"name": "pagePath"}],
            "metricHeaders": [{"name": "screenPageViews", "type": "TYPE_INTEGER"}],
            "rows": rows[offset : offset + limit],
            "rowCount": len(rows),
            "metadata": {"currencyCode": "EUR", "timeZone": self.zone, **self.metadata},
            "kind": "analyticsData#runReport",
        }
        # What is empty or zero is not written at all.
        return Answer({name: value for name, value in answer.items() if value not in ([], 0)})

    @property
    def asked(self) -> list[Any]:
        return [each.json for each in self.web.asked if each.path == REPORT]


def row(day: str, path: str, count: object) -> dict[str, Any]:
    return {"dimensionValues": [{"value": day}, {"value": path}], "metricValues": [{"value": str(count)}]}


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def google(web: Web, tmp_path: Path) -> Property:
    return Property(web, tmp_path)


def collect(google: Property, now: datetime = NOW, naps: Naps | None = None, **details: Any) -> Harvest:
    keys = {name: details.pop(name) for name in ("host", "credentials_file", "url") if name in details}
    section: Any = {"url": google.web.url, "property_id": "123456789", "credentials_file": "ga4.json", **keys}
    source = Ga4(
        Ga4Source(name="ga", kind="ga4", **section), "https://news.example.com", WARSAW, google.folder, naps or Naps()
    )
    assert source.name == "ga"
    return asyncio.run(source.collect(Reading(now, **details)))


def refused(google: Property, **details: Any) -> str:
    with pytest.raises(SourceError) as caught:
        collect(google, **details)
    assert caught.value.source == "ga"
    assert "PRIVATE KEY" not in str(caught.value) and "sesame" not in str(caught.value)
    return str(caught.value)


def counts(*harvests: Harvest, zone: ZoneInfo = WARSAW) -> dict[tuple[str, date], int]:
    found = {}
    for view in (view for harvest in harvests for view in harvest.views):
        day = view.at.astimezone(zone).date()
        assert (view.at, view.span) == day_bucket(day, zone)
        found[view.url, day] = view.views
    return found


def test_views_are_read_by_day_with_a_token_that_is_signed_for(google: Property) -> None:
    google.read("/a", SATURDAY, times=1234)
    google.read("/a", SATURDAY - DAY, times=5)
    google.read("/elsewhere", SATURDAY, host="shop.example.com")
    harvest = collect(google)
    page = "https://news.example.com/a"
    assert counts(harvest) == {(page, SATURDAY): 1234, (page, SATURDAY - DAY): 5} and harvest.notes == ()
    assert google.header == {"alg": "RS256", "typ": "JWT", "kid": "abc"}
    assert google.claims == {
        "iss": EMAIL,
        "scope": "https://www.googleapis.com/auth/analytics.readonly",
        "aud": f"{google.web.url}/token",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
    }


def test_a_first_reading_goes_back_five_weeks_and_a_later_one_two_days(google: Property) -> None:
    collect(google)
    collect(google, since=NOW - timedelta(minutes=15))
    # A day more, as the property's zone is not known before it answers.
    assert [each["dateRanges"][0]["startDate"] for each in google.asked] == ["2026-10-23", "2026-11-25"]


def test_a_day_that_grew_replaces_what_was_read_of_it(google: Property) -> None:
    google.read("/a", SATURDAY, times=2)
    first = collect(google)
    google.read("/a", SATURDAY, times=3)
    assert counts(first, collect(google, since=NOW)) == {("https://news.example.com/a", SATURDAY): 5}


def test_days_are_those_of_the_property(google: Property) -> None:
    google.zone = "America/New_York"
    google.read("/a", date(2026, 11, 1))  # 25 hours there
    harvest = collect(google)
    assert counts(harvest, zone=NEW_YORK) == {("https://news.example.com/a", date(2026, 11, 1)): 1}
    assert harvest.views[0].span == timedelta(hours=25)
    assert harvest.notes == ("the property's days are those of America/New_York, not of Europe/Warsaw",)


def test_another_host_may_be_counted(google: Property) -> None:
    google.read("/a", SATURDAY, host="www.example.com")
    assert counts(collect(google, host="WWW.example.com")) == {("https://www.example.com/a", SATURDAY): 1}


def test_a_long_report_is_read_to_its_end(google: Property, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ga4_module, "ROWS", 1000)
    for number in range(2500):
        google.read(f"/{number}", SATURDAY - DAY * (number % 7), times=number)
    google.visits = {key: count for key, count in google.visits.items() if count}
    harvest = collect(google)
    assert len(harvest.views) == 2499 and sum(view.views for view in harvest.views) == sum(range(2500))
    assert [each["offset"] for each in google.asked] == ["0", "1000", "2000"]


def test_a_page_that_fails_half_way_stores_nothing(google: Property, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ga4_module, "ROWS", 10)
    for number in range(15):
        google.read(f"/{number}", SATURDAY)
    google.web.routes[REPORT] = lambda asked: (
        error(503, "The service is currently unavailable.", "UNAVAILABLE")
        if asked.json["offset"] == "10"
        else google.report(asked)
    )
    assert "it answered 503: The service is currently unavailable" in refused(google)


def test_a_report_that_repeats_itself_is_refused(google: Property, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ga4_module, "ROWS", 10)
    for number in range(15):
        google.read(f"/{number}", SATURDAY)
    first = google.report
    google.web.routes[REPORT] = lambda asked: first(
        Asked(asked.path, asked.query, asked.headers, "POST", json.dumps({**asked.json, "offset": "0"}).encode())
    )
    assert "same rows again" in refused(google)


def test_a_report_in_crumbs_is_given_up(google: Property, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ga4_module, "ROWS", 1)
    for number in range(150):
        google.read(f"/{number:03}", SATURDAY)
    assert "it gave 100 of 150 rows in 100 answers" in refused(google)


def test_a_report_that_lacks_rows_is_refused(google: Property) -> None:
    google.read("/a", SATURDAY)
    whole = google.report
    google.web.routes[REPORT] = lambda asked: Answer({**whole(asked).body, "rowCount": 3})
    assert "it says it has 3 rows, and gave 1" in refused(google)


def test_what_google_keeps_for_itself_is_said(google: Property) -> None:
    google.read("/a", SATURDAY)
    google.read("(other)", SATURDAY, times=900)
    google.read("(not set)", SATURDAY)
    google.metadata = {
        "dataLossFromOtherRow": True,
        "subjectToThresholding": True,
        "samplingMetadatas": [{"samplesReadCount": "5", "samplingSpaceSize": "10"}],
    }
    harvest = collect(google)
    assert len(harvest.views) == 1
    assert harvest.notes == (
        "Google put little-read pages together in one row",
        "Google left out rows of few people (thresholding)",
        "Google estimated the counts from a sample",
        "900 views of other pages came in one row, and count for none",
        "no pages, so not counted: '(not set)'",
    )


def test_a_wrong_key_a_wrong_property_a_wrong_host_and_an_empty_site_read_differently(google: Property) -> None:
    google.write(private_key=pem(STRANGER))
    lines = [refused(google)]
    google.write()
    lines += [refused(google, url=f"{google.web.url}/elsewhere"), *collect(google).notes]
    words = "User does not have sufficient permissions for this property."
    google.web.says(REPORT, error(403, words, "PERMISSION_DENIED"))
    lines.append(refused(google))
    assert f"does not accept the key of {EMAIL} (400: Invalid JWT Signature). Check this machine's clock" in lines[0]
    assert "/elsewhere/v1beta/properties/123456789:runReport" in lines[1] and "answered 404. Check" in lines[1]
    assert "the service counted nothing from 2026-10-24 09:00 to 2026-11-28 08:00" in lines[2]
    assert "news.example.com" in lines[2] and "host" in lines[2]
    assert f"it answered 403: {words} In Google Analytics, give {EMAIL} the role Viewer" in lines[3]
    assert len(lines) == 4


def test_a_quota_that_is_used_up_is_waited_for_and_then_named(google: Property) -> None:
    naps = Naps()
    words = "Exhausted property tokens per hour. These quota tokens will return in under an hour."
    google.web.says(REPORT, error(429, words, "RESOURCE_EXHAUSTED"))
    assert f"it answered 429: {words} Google's quota is used up" in refused(google, naps=naps)
    assert naps.taken == [1, 2, 4]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            error(400, "Field hostNam is not a valid dimension.", "INVALID_ARGUMENT"),
            "400: Field hostNam is not a valid",
        ),
        (error(403, "Google Analytics Data API has not been used. Enable it.", "PERMISSION_DENIED"), "Enable it"),
        (error(401, "Request had invalid credentials.", "UNAUTHENTICATED"), "make a new key"),
        (Answer("<html>Forbidden</html>", 403), "the server answered 403"),
    ],
)
def test_errors_are_told_in_googles_words(google: Property, answer: Answer, words: str) -> None:
    google.web.says(REPORT, answer)
    assert words in refused(google)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it cannot be read: No such file or directory. Check credentials_file"),
        ("{", "it is not JSON"),
        ("[" * 90_000, "it is not JSON"),
        ("\udcff", "it is not JSON"),
        ("[]", "no key of a service account"),
        ('{"type": "authorized_user"}', "no client_email and no private_key and no token_uri. It is of type"),
        ({"private_key": None}, "it has no private_key"),
        ({"client_email": " "}, "it has no client_email"),
        ({"token_uri": 5}, "it has no token_uri"),
        ({"token_uri": "http://oauth2.example.com/token"}, "is not https"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "private_key is broken"),
        ({"private_key": pem(KEY).replace("\n", "\\n")}, "private_key is broken"),
        ({"private_key": pem(KEY)[:800]}, "private_key is broken"),
        ({"private_key": pem(KEY, BestAvailableEncryption(b"secret"))}, "private_key is broken"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "no RSA key"),
    ],
)
def test_a_credentials_file_that_is_none_is_refused(google: Property, content: Any, words: str) -> None:
    path = google.folder / "ga4.json"
    if isinstance(content, dict):
        google.write(**content)
    elif content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert words in (line := refused(google)) and str(path) in line
    assert google.web.asked == []


@pytest.mark.parametrize("answer", [[], {}, {"access_token": 5}, {"access_token": "two\r\nlines"}])
def test_an_answer_without_a_token_is_refused(google: Property, answer: Any) -> None:
    google.web.says("/token", answer)
    assert "it gave no access_token" in refused(google)


def test_a_token_server_in_trouble_is_not_blamed_on_the_key(google: Property) -> None:
    google.web.says("/token", Answer({"error": "internal_failure"}, 500))
    assert "the server answered 500" in refused(google)


def reported(*rows: Any, **changes: Any) -> dict[str, Any]:
    return {
        "dimensionHeaders": [{"name": "date"}, {"name": "pagePath"}],
        "metricHeaders": [{"name": "screenPageViews"}],
        "rows": list(rows),
        "rowCount": len(rows),
        "metadata": {"timeZone": "Europe/Warsaw"},
        **changes,
    }


GOOD = row("20261127", "/a", 1)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        reported(row("20261127", "/a", -1)),
        reported(row("20261127", "/a", "1.5")),
        reported(row("20261127", "/a", 10**12)),
        reported(row("20261131", "/a", 1)),
        reported(row("2026-11-27", "/a", 1)),
        reported({"dimensionValues": [{"value": "20261127"}], "metricValues": [{"value": "1"}]}),
        reported({"dimensionValues": [{"value": []}, {"value": "/a"}], "metricValues": [{"value": "1"}]}),
        reported("/a"),
        reported(GOOD, rowCount="many"),
        reported(GOOD, rowCount=10**9),
        reported(GOOD, dimensionHeaders=[{"name": "pagePath"}, {"name": "date"}]),
        reported(GOOD, metricHeaders=[{"name": "sessions"}]),
        reported(GOOD, dimensionHeaders=None),
        reported(GOOD, metadata={"timeZone": "Mars/Olympus"}),
        reported(GOOD, metadata={"timeZone": 5}),
        reported(GOOD, metadata="none"),
        reported(GOOD, rows={"a": 1}),
    ],
)
def test_a_report_of_another_shape_is_refused(google: Property, answer: Any) -> None:
    google.web.says(REPORT, answer)
    assert "its report cannot be read" in refused(google)


def test_odd_rows_are_left_out_and_named(google: Property) -> None:
    odd = [row("20261127", path, 1) for path in ("", "/half\ud83d", '/<b>"x"</b>', "//evil.example/a")]
    tomorrow, other = row("20261130", "/b", 1), row("(other)", "(other)", 7)
    google.web.says(REPORT, reported(*odd, tomorrow, other, metadata={}))
    harvest = collect(google, since=NOW)
    assert [view.url for view in harvest.views] == [
        'https://news.example.com/<b>"x"</b>',
        "https://news.example.com//evil.example/a",
    ]
    assert harvest.notes == (
        "the report does not tell its time zone; the newsletter's is taken",
        "days that have not begun are left out",
        "7 views of other pages came in one row, and count for none",
        "no pages, so not counted: '', '/half'",
    )


def test_secrets_stay_out_of_sight(google: Property) -> None:
    section = Ga4Source(name="ga", kind="ga4", property_id="1", credentials_file="ga4.json")
    source = Ga4(section, "https://news.example.com", WARSAW, google.folder)
    assert "PRIVATE" not in repr(source)
    account = ga4_module.ServiceAccount.read("ga", google.folder / "ga4.json")
    assert "key=" not in repr(account) and "PRIVATE" not in repr(account)
