"""What the publisher's own system sends: stored whole or not at all, once, and only with the token."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from digest import collecting
from digest.domain.articles import Harvest
from digest.sources import Reading
from digest.sources.push import Push
from digest.store import Store
from digest.store.schema import articles, pages, pushes, views
from digest.web import create_web
from tests.servers import free_port
from tests.service import SATURDAY, Service

TOKEN, OTHER = "cms token of sixteen and more", "another token of sixteen and more"
SECTIONS = [
    {"name": "cms", "kind": "push", "token": TOKEN, "max_bytes": 20_000},
    {"name": "counter", "kind": "push", "token": OTHER, "max_bytes": 20_000},
]
ARTICLE = {"url": "/tea", "title": "Tea", "published_at": "2026-11-26T10:00+01:00"}
VIEW = {"url": "/tea", "at": "2026-11-27T18:00+01:00", "views": 7}


@dataclass
class Pushing:
    """A whole service, and the publisher's system beside it."""

    client: TestClient
    service: Service

    def send(self, noun: str, body: object, key: str = "", token: str = TOKEN, **headers: str) -> httpx.Response:
        """One request; `body` becomes JSON unless it is bytes. Header names are written with underscores."""
        given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        given |= {"Idempotency-Key": key} if key else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(f"/api/v1/{noun}", content=content, headers=_bytes(given))

    def counted(self, page: str = "news.example.com/tea") -> list[int]:
        """What is stored of a page, bucket by bucket."""
        query = sa.select(views.c.views).join(pages, pages.c.id == views.c.page_id).where(pages.c.canonical == page)
        with self.service.app.store.read() as tx:
            return sorted(tx.scalars(query))

    def count(self, table: sa.Table) -> int:
        """How many rows a table has."""
        with self.service.app.store.read() as tx:
            return int(tx.scalar(sa.select(sa.func.count()).select_from(table)))

    def titles(self) -> set[str]:
        """Of all articles but those every service begins with."""
        with self.service.app.store.read() as tx:
            return set(tx.scalars(sa.select(articles.c.title).where(articles.c.title.not_like("Story %"))))


def _bytes(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """As they go over the wire, whatever is in them."""
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def served(folder: Path, store_url: str, sections: list[dict]) -> Iterator[Pushing]:
    service = Service(folder, store_url, 25, sources=sections)
    with TestClient(create_web(service.app, service.clock)) as client:
        yield Pushing(client, service)
    service.close()


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    yield from served(tmp_path, f"sqlite:///{tmp_path}/digest.db", SECTIONS)


@pytest.fixture
def on_both(tmp_path: Path, store_url: str) -> Iterator[Pushing]:
    yield from served(tmp_path, store_url, SECTIONS)


def test_articles_and_views_are_stored_and_counted_in_the_answer(on_both):
    reply = on_both.send("articles", {"articles": [ARTICLE, ARTICLE | {"url": "/milk", "title": "Milk"}]})
    assert (reply.status_code, reply.json()) == (200, {"stored": {"articles": 2, "new": 2}, "notes": []})
    reply = on_both.send("articles", {"articles": [ARTICLE | {"title": "Green tea"}]})
    assert reply.json()["stored"] == {"articles": 1, "new": 0}
    assert on_both.titles() == {"Green tea", "Milk"}
    reply = on_both.send("views", {"views": [VIEW, VIEW | {"at": "2026-11-26", "views": 100}]})
    assert (reply.status_code, reply.json()) == (200, {"stored": {"counts": 2, "views": 107}, "notes": []})
    assert on_both.counted() == [7, 100]


def test_a_count_replaces_what_was_said_before_so_a_retry_does_no_harm(on_both):
    for number in (7, 7, 9):
        assert on_both.send("views", {"views": [VIEW | {"views": number}]}).status_code == 200
    assert on_both.counted() == [9]


def test_spellings_of_one_page_in_one_body_are_added_up(pushing):
    pushing.send("views", {"views": [VIEW, VIEW | {"url": "https://news.example.com/tea/?utm_source=x", "views": 3}]})
    assert pushing.counted() == [10]


def test_spellings_that_come_apart_are_told_of_as_the_later_replaces_the_earlier(on_both):
    assert on_both.send("views", {"views": [VIEW]}).json()["notes"] == []
    for spelling in ("/tea/amp", "/tea?utm_source=x"):
        (note,) = on_both.send("views", {"views": [VIEW, VIEW | {"url": spelling, "views": 3}]}).json()["notes"]
        assert f"{spelling}, which counts as news.example.com/tea" in note and "in one request" in note
    assert on_both.counted() == [10]
    same = [VIEW | {"url": url} for url in ("/tea/", "https://www.news.example.com/tea", "http://news.example.com/tea")]
    assert on_both.send("views", {"views": same}).json()["notes"] == []


def test_an_hour_that_is_sent_again_after_its_day_was_folded_is_left_out_with_a_note(on_both):
    body = {"views": [VIEW, VIEW | {"at": "2026-11-27T19:00+01:00", "views": 2}]}
    on_both.send("articles", {"articles": [ARTICLE]})
    on_both.send("views", body)
    collecting.fold_hours(on_both.service.app.store, ZoneInfo("Europe/Warsaw"), SATURDAY)
    assert on_both.counted() == [9]
    reply = on_both.send("views", body).json()
    assert (reply["stored"], ["their day" in note for note in reply["notes"]]) == ({"counts": 2, "views": 0}, [True])
    assert on_both.counted() == [9]


def test_lifetime_counters_count_by_what_they_grew(on_both):
    on_both.send("articles", {"articles": [ARTICLE]})
    for total, grew in ((5000, 0), (5000, 0), (5012, 12), (8, 8)):
        reply = on_both.send("totals", {"totals": [{"url": "/tea", "total": total}]})
        assert (reply.status_code, reply.json()) == (200, {"stored": {"counts": 1, "views": grew}, "notes": []})
        on_both.service.clock.forward(timedelta(minutes=10))
    assert sum(on_both.counted()) == 20


def test_a_lifetime_counter_sent_twice_with_one_key_is_one_reading(pushing):
    first = pushing.send("totals", {"totals": [{"url": "/tea", "total": 5}]}, key="a")
    pushing.service.clock.forward(timedelta(hours=1))
    pushing.send("totals", {"totals": [{"url": "/tea", "total": 9}]}, key="b")
    pushing.service.clock.forward(timedelta(hours=1))
    again = pushing.send("totals", {"totals": [{"url": "/tea", "total": 5}]}, key="a")
    assert again.content == first.content
    assert sum(pushing.counted()) == 4


def test_many_spellings_may_come_to_more_than_one_row_may_say(on_both):
    rows = [VIEW | {"url": spelling, "views": 10**9} for spelling in ("/tea", "/tea/", "/tea/amp")]
    assert on_both.send("views", {"views": rows}).json()["stored"]["views"] == 3 * 10**9


def test_lines_and_gzip_are_read_as_well(pushing):
    lines = "\n".join(json.dumps(VIEW | {"url": f"/{n}", "views": n}) for n in range(1, 4)).encode()
    kind = "application/x-ndjson; charset=UTF-8"
    assert pushing.send("views", lines, Content_Type=kind).json()["stored"] == {"counts": 3, "views": 6}
    packed = gzip.compress(json.dumps({"articles": [ARTICLE]}).encode())
    assert pushing.send("articles", packed, Content_Encoding="gzip").json()["stored"]["new"] == 1


def test_the_same_key_with_the_same_body_gets_the_first_answer_and_changes_nothing(on_both):
    first = on_both.send("views", {"views": [VIEW]}, key="monday")
    on_both.send("views", {"views": [VIEW | {"views": 9}]})
    again = on_both.send("views", {"views": [VIEW]}, key="monday")
    assert (again.status_code, again.content) == (200, first.content)
    assert on_both.counted() == [9]


def test_twenty_requests_at_once_with_one_key_are_stored_once_and_answered_alike(on_both):
    body = {"articles": [ARTICLE | {"url": f"/{n}"} for n in range(40)]}
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: on_both.send("articles", body, key="one"), range(20)))
    assert {each.status_code for each in replies} == {200}
    # Without the key those that came later would have found no article new.
    assert {each.text for each in replies} == {'{"notes": [], "stored": {"articles": 40, "new": 40}}'}
    assert on_both.count(pushes) == 1


def test_two_services_over_one_database_store_one_key_once(on_both, tmp_path):
    body = {"articles": [ARTICLE | {"url": f"/{n}"} for n in range(40)]}
    second = Service(tmp_path, on_both.service.store_url, 25, fresh=False, sources=SECTIONS)
    with TestClient(create_web(second.app, second.clock)) as client, ThreadPoolExecutor(8) as pool:
        both = on_both, Pushing(client, second)
        replies = list(pool.map(lambda n: both[n % 2].send("articles", body, key="one"), range(16)))
    second.close()
    assert {(each.status_code, each.json()["stored"]["new"]) for each in replies} == {(200, 40)}


def test_a_key_with_another_body_is_refused(on_both):
    on_both.send("views", {"views": [VIEW]}, key="monday")
    reply = on_both.send("views", {"views": [VIEW | {"views": 9}]}, key="monday")
    assert (reply.status_code, reply.json()["where"]) == (422, "the Idempotency-Key header")
    assert on_both.send("articles", {"articles": [ARTICLE]}, key="monday").status_code == 422
    assert on_both.counted() == [7]
    assert on_both.titles() == set()


def test_packing_makes_no_other_body(pushing):
    body = json.dumps({"views": [VIEW]}).encode()
    assert pushing.send("views", body, key="a").status_code == 200
    assert pushing.send("views", gzip.compress(body), key="a", Content_Encoding="gzip").status_code == 200


def test_each_source_has_its_own_keys_and_counts(pushing):
    pushing.send("views", {"views": [VIEW]}, key="a")
    assert pushing.send("views", {"views": [VIEW | {"views": 5}]}, key="a", token=OTHER).status_code == 200
    assert pushing.counted() == [5, 7]


def test_a_key_is_forgotten_after_thirty_days(on_both):
    on_both.send("views", {"views": [VIEW]}, key="monday")
    on_both.service.clock.forward(timedelta(days=29))
    store, clock = on_both.service.app.store, on_both.service.clock
    assert collecting.forget_pushes(store, clock()) == 0
    clock.forward(timedelta(days=2))
    assert collecting.forget_pushes(store, clock()) == 1
    assert on_both.send("views", {"views": [VIEW | {"views": 9}]}, key="monday").status_code == 200


@pytest.mark.parametrize("key", ["x" * 201, "zażółć".encode().decode("latin-1"), " ", "a\tb"])
def test_a_key_is_short_and_printable(pushing, key):
    reply = pushing.send("views", {"views": [VIEW]}, Idempotency_Key=key)
    assert (reply.status_code, reply.json()["where"]) == (400, "the Idempotency-Key header")
    assert pushing.counted() == []
    assert pushing.send("views", {"views": [VIEW]}, key="x y~" * 50).status_code == 200


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xff"])
def test_without_the_token_nothing_is_read(pushing, said):
    reply = pushing.send("views", b"no JSON at all", Authorization=said)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.json() == {"error": "the token is missing or wrong", "where": "the Authorization header"}


def test_the_word_bearer_may_be_written_in_any_case(pushing):
    assert pushing.send("views", {"views": [VIEW]}, Authorization=f"bearer {TOKEN}").status_code == 200


def test_where_no_source_is_pushed_to_there_is_nothing_to_send_to(tmp_path):
    for pushing in served(tmp_path, f"sqlite:///{tmp_path}/digest.db", []):
        reply = pushing.send("views", {"views": [VIEW]})
        assert (reply.status_code, reply.json()["where"]) == (404, "config.toml")


@pytest.mark.parametrize(
    ("noun", "body", "where", "said"),
    [
        ("views", b"", "line 1", "JSON"),
        ("views", b"{", "line 1", "JSON"),
        ("views", b"[" * 10_000, "the body", "JSON"),
        ("views", b'{"views": \xff}', "line 1", "UTF-8"),
        ("views", {"articles": [ARTICLE]}, "the body", "views"),
        ("views", {"views": {"url": "/tea"}}, "the body", "list"),
        ("views", {"views": [VIEW, 7]}, "item 2", "object"),
        ("views", {"views": [VIEW, {"url": "/a", "at": "2026-11-27"}]}, "item 2", "no views"),
        ("views", {"views": [VIEW, VIEW | {"views": -1}]}, "item 2", "-1"),
        ("views", {"views": [VIEW, VIEW | {"views": 1.5}]}, "item 2", "1.5"),
        ("views", {"views": [VIEW, VIEW | {"views": True}]}, "item 2", "True"),
        ("views", {"views": [VIEW, VIEW | {"views": 10**12}]}, "item 2", "cannot be"),
        ("views", {"views": [VIEW, VIEW | {"at": "yesterday"}]}, "item 2", "yesterday"),
        ("views", {"views": [VIEW, VIEW | {"at": "2026-11-27T18:00"}]}, "item 2", "offset"),
        ("views", {"views": [VIEW, VIEW | {"at": "2027-11-27"}]}, "item 2", "to come"),
        ("views", {"views": [VIEW, VIEW | {"url": "javascript:alert(1)"}]}, "item 2", "web address"),
        ("views", {"views": [VIEW, VIEW | {"url": ""}]}, "item 2", "empty"),
        ("totals", {"totals": [{"url": "/a", "total": 7}, {"url": "/b", "total": -1}]}, "item 2", "-1"),
        ("totals", {"totals": [{"url": "/a", "total": 10**12 + 1}]}, "item 1", "cannot be"),
        ("totals", {"totals": [{"url": "/a", "views": 7}]}, "item 1", "no total"),
        ("articles", {"articles": [ARTICLE, ARTICLE | {"title": " "}]}, "item 2", "title"),
        ("articles", {"articles": [ARTICLE, ARTICLE | {"published_at": "soon"}]}, "item 2", "soon"),
    ],
)
def test_the_first_bad_row_is_named_and_nothing_is_stored(pushing, noun, body, where, said):
    reply = pushing.send(noun, body, key="k")
    assert reply.status_code == 400, reply.text
    assert reply.json()["where"] == where
    assert said in reply.json()["error"]
    assert (pushing.counted(), pushing.titles(), pushing.count(pushes)) == ([], set(), 0)


def test_a_bad_line_is_named_by_its_number(pushing):
    lines = b"\n".join([json.dumps(VIEW).encode(), b"", b"{nonsense}"])
    reply = pushing.send("views", lines, Content_Type="application/x-ndjson")
    assert (reply.status_code, reply.json()["where"]) == (400, "line 3")


def test_what_is_left_out_is_noted(pushing):
    later = ARTICLE | {"url": "/soon", "title": "Soon", "published_at": "2027-01-01T10:00Z"}
    reply = pushing.send("articles", {"articles": [later, ARTICLE]})
    assert reply.json()["stored"] == {"articles": 1, "new": 1}
    assert ["future" in note for note in reply.json()["notes"]] == [True]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=latin-2", "multipart/form-data"])
def test_other_types_are_not_taken(pushing, kind):
    assert pushing.send("views", {"views": [VIEW]}, Content_Type=kind).status_code == 415


def test_other_packings_are_not_taken(pushing):
    assert pushing.send("views", {"views": [VIEW]}, Content_Encoding="br").status_code == 415
    assert pushing.send("views", {"views": [VIEW]}, Content_Encoding="gzip, gzip").status_code == 415
    reply = pushing.send("views", b"not packed", Content_Encoding="gzip")
    assert (reply.status_code, reply.json()["where"]) == (400, "the body")
    cut = gzip.compress(json.dumps({"views": [VIEW]}).encode())[:-6]
    assert pushing.send("views", cut, Content_Encoding="gzip").status_code == 400


def test_a_body_that_is_too_large_is_not_taken(pushing):
    assert pushing.send("views", b" " * 20_001).status_code == 413
    in_parts = iter([b" " * 10_000] * 3)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    reply = pushing.client.post("/api/v1/views", content=in_parts, headers=headers)
    assert (reply.status_code, "20,000" in reply.json()["error"]) == (413, True)


def test_what_unpacks_without_end_is_not_unpacked(pushing):
    bomb = gzip.compress(b" " * 15_000_000)
    assert len(bomb) < 20_000
    assert pushing.send("views", bomb, Content_Encoding="gzip").status_code == 413
    many = gzip.compress(b" " * 15_000) * 2
    assert pushing.send("views", many, Content_Encoding="gzip").status_code == 413


def test_a_body_may_be_larger_than_those_of_pages(tmp_path):
    sections = [{"name": "cms", "kind": "push", "token": TOKEN}]
    for pushing in served(tmp_path, f"sqlite:///{tmp_path}/digest.db", sections):
        rows = [VIEW | {"url": f"/{n}"} for n in range(10_000)]
        assert pushing.send("views", {"views": rows}).json()["stored"] == {"counts": 10_000, "views": 70_000}


def test_hostile_text_is_stored_as_plain_text_or_not_at_all(on_both):
    title = "Tea\u0000 \ud800<script>alert(1)</script> \u202eaet"
    reply = on_both.send("articles", {"articles": [ARTICLE | {"title": title}]}, key="k")
    assert reply.status_code == 200
    assert on_both.titles() == {"Tea aet"}
    odd = [VIEW | {"url": "/\u0000\ud800"}, VIEW | {"url": "/" + "ż" * 1900}, VIEW | {"url": "https://a..b/"}]
    reply = on_both.send("views", {"views": odd}, key="odd")
    assert reply.status_code == 200
    assert [note[:14] for note in reply.json()["notes"]] == ["views left out"]


def test_a_database_that_is_away_is_told_as_such(pushing):
    nobody = Store(f"postgresql+psycopg://digest@127.0.0.1:{free_port()}/digest")
    app = replace(pushing.service.app, store=nobody)
    with TestClient(create_web(app, pushing.service.clock)) as client:
        reply = Pushing(client, pushing.service).send("views", {"views": [VIEW]}, key="k")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "60")
    assert "send it again" in reply.json()["error"]
    assert pushing.send("views", {"views": [VIEW]}, key="k").status_code == 200


def test_the_routes_are_in_the_openapi_document(pushing):
    document = pushing.client.get("/api/openapi.json").json()
    for noun in ("articles", "views", "totals"):
        described = document["paths"][f"/api/v1/{noun}"]["post"]
        assert {"200", "400", "401", "404", "413", "415", "422", "503"} <= set(described["responses"])
        assert set(described["requestBody"]["content"]) == {"application/json", "application/x-ndjson"}
        assert [each["name"] for each in described["parameters"]] == ["Idempotency-Key"]
        assert described["security"]
    assert pushing.client.get("/api/docs").status_code == 200


def test_there_is_nothing_to_collect_but_silence_is_told(pushing):
    source = Push(pushing.service.app.config.sources[0])
    reading = Reading(SATURDAY)
    assert "ever" in (asyncio.run(source.collect(reading))).notes[0]
    fresh = Reading(SATURDAY, remembered={"pushed_at": SATURDAY.isoformat()})
    assert asyncio.run(source.collect(fresh)) == Harvest(remembered={"pushed_at": SATURDAY.isoformat()})
    later = Reading(SATURDAY + timedelta(days=8), remembered=fresh.remembered)
    assert "2026-11-28" in (asyncio.run(source.collect(later))).notes[0]
