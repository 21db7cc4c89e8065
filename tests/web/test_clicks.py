"""Counted links: they lead where the edition says, they count links and no readers, and nothing counted is lost."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from digest import publishing
from digest.cli.edition_views import edition_json, print_edition
from digest.domain.editions import Edition
from digest.errors import StoreUnavailable
from digest.publishing import desk
from digest.store import Store, clicks
from digest.store.schema import picks
from digest.web import create_web
from digest.web.clicks import Clicks
from tests.servers import free_port
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service
from tests.web.conftest import Web
from tests.web.test_beacon_process import BROWSER, ROOT, listens, wait

MAIL = {"from": "recap@news.example.com", "count_clicks": True}
UTM = {"source": "recap", "medium": "email", "campaign": "{newsletter}-{date}-{number}"}
FILLED = "utm_source=recap&utm_medium=email&utm_campaign=weekly-2026-11-28-1"
FIRST = f"https://news.example.com/story-0?{FILLED}"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """The pages of a service with these keys in [mail]."""
    opened: list[Web] = []
    with RecordingServer() as smtpd:

        def made(**mail: object) -> Web:
            url = f"sqlite:///{tmp_path}/digest.db"
            service = Service(tmp_path, url, smtpd.port, fresh=not opened, mail={**MAIL, **mail})
            client = TestClient(create_web(service.app, service.clock), follow_redirects=False)
            client.headers["user-agent"] = BROWSER
            client.__enter__()
            opened.append(Web(client, service, smtpd))
            return opened[-1]

        yield made
        for web in opened:
            web.client.__exit__()
            web.service.close()


@pytest.fixture
def counting(make: Callable[..., Web]) -> Web:
    """One that counts, and names its campaign."""
    web = make(utm=UTM)
    web.service.add_readers(2)
    return web


def followed(web: Web, edition: Edition) -> dict[int, int]:
    """What is stored, once all is."""
    web.client.__exit__()
    web.client.__enter__()
    with web.service.app.store.read() as tx:
        return clicks.of_edition(tx, edition.id)


def path(web: Web, edition: Edition, position: int = 1) -> str:
    return web.service.app.links.click(edition.id, position).removeprefix("https://recap.example.com")


def links_in(web: Web, reader: str, kind: str) -> list[str]:
    body = web.smtpd.received_by(reader)[-1].parsed.get_body((kind,)).get_content()
    return re.findall(r"https://recap\.example\.com(/r/[\w-]+)", body)


def test_every_reader_has_the_same_links_and_each_leads_to_its_article(counting):
    edition = counting.service.send()
    html, text = (links_in(counting, "reader0@example.com", kind) for kind in ("html", "plain"))
    assert len(set(html)) == len(set(text)) == 10 and set(html) == set(text)
    assert html == links_in(counting, "reader1@example.com", "html")
    body = counting.smtpd.received_by("reader0@example.com")[-1].parsed.get_body(("html",)).get_content()
    assert "https://news.example.com/story-" not in body.replace("&amp;", "&")
    for position, link in enumerate(dict.fromkeys(html)):
        reply = counting.client.get(link)
        assert reply.status_code == 302
        assert reply.headers["location"] == f"https://news.example.com/story-{position}?{FILLED}"
    assert followed(counting, edition) == dict.fromkeys(range(1, 11), 1)


def test_the_reply_keeps_nothing_and_tells_nothing(counting):
    reply = counting.client.get(path(counting, counting.service.release()))
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in reply.headers
    assert reply.content == b""


def test_only_readers_count(counting):
    edition = counting.service.release()
    link = path(counting, edition, 3)
    for agent in ("Googlebot/2.1 (+http://www.google.com/bot.html)", "curl/8.5.0", "", "Digest/0.1.0"):
        assert counting.client.get(link, headers={"User-Agent": agent}).status_code == 302
    assert counting.client.get(link, headers={"Sec-Purpose": "prefetch;prerender"}).status_code == 302
    assert counting.client.head(link).status_code == 302
    assert counting.client.post(link).status_code == 405
    assert followed(counting, edition) == {}
    counting.client.get(link)
    counting.client.get(link)
    assert followed(counting, edition) == {3: 2}


@pytest.mark.parametrize("change", [lambda t: t[:-3] + "AAA", lambda t: "", lambda t: t + "x", lambda t: "\u017c" * 9])
def test_a_link_that_is_not_ours_gets_a_friendly_page(counting, change):
    good = path(counting, counting.service.release())
    reply = counting.client.get("/r/" + change(good.removeprefix("/r/")))
    assert reply.status_code == 404
    assert "There is no such page" in reply.text
    assert "location" not in reply.headers


def test_links_of_other_purposes_editions_and_places_lead_nowhere(counting):
    edition = counting.service.release()
    links = counting.service.app.links
    for link in (links.unsubscribe(edition.id), links.progress(edition.id)):
        assert counting.client.get("/r/" + link.rpartition("/")[2]).status_code == 404
    for link in (links.click(edition.id, 99), links.click(edition.id + 1, 1), links.click(2**63 - 1, 1)):
        assert counting.client.get("/r/" + link.rpartition("/")[2]).status_code == 404
    assert followed(counting, edition) == {}


def test_nothing_in_a_request_changes_where_it_leads(counting):
    link = path(counting, counting.service.release())
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Referer": "https://evil.example/"}
    reply = counting.client.get(f"{link}?url=https://evil.example/&next=//evil.example", headers=evil)
    assert reply.headers["location"] == FIRST


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://news.example.com\\@evil.example/", "//x"]
)
def test_an_address_that_is_none_is_not_followed(counting, url):
    edition = counting.service.release()
    with counting.service.app.store.begin() as tx:
        tx.execute(sa.update(picks).where(picks.c.position == 1).values(url=url))
    assert counting.client.get(path(counting, edition)).status_code == 404


def test_a_password_in_an_address_goes_to_no_reader(counting):
    edition = counting.service.release()
    with counting.service.app.store.begin() as tx:
        tx.execute(sa.update(picks).where(picks.c.position == 1).values(url="https://user:pw@news.example.com/a"))
    assert counting.client.get(path(counting, edition)).headers["location"].startswith("https://news.example.com/a?")


def test_a_line_break_in_an_address_makes_no_header(counting):
    edition = counting.service.release()
    with counting.service.app.store.begin() as tx:
        tx.execute(sa.update(picks).values(url="https://news.example.com/a\r\nSet-Cookie: x=y\u2028"))
    reply = counting.client.get(path(counting, edition))
    assert reply.status_code == 302
    assert "set-cookie" not in reply.headers


def test_a_draft_leads_on_but_does_not_count(counting):
    service = counting.service
    edition = service.app.draft(service.newsletter, SATURDAY, service.clock())
    assert counting.client.get(path(counting, edition)).headers["location"] == FIRST
    service.add_articles({"late": 1000})
    service.app.draft(service.newsletter, SATURDAY, service.clock())
    link = path(counting, edition)
    assert counting.client.get(link).headers["location"] == f"https://news.example.com/late?{FILLED}"
    assert followed(counting, edition) == {}
    service.release()
    assert counting.client.get(link).status_code == 302
    assert followed(counting, edition) == {1: 1}


def test_a_cancelled_edition_keeps_its_links(counting):
    service = counting.service
    edition = desk.cancel(service.app.store, service.release().id, service.clock())
    assert counting.client.get(path(counting, edition)).headers["location"] == FIRST
    assert followed(counting, edition) == {1: 1}


def test_the_archive_leads_straight_to_the_site(counting):
    edition = counting.service.send()
    page = counting.client.get(f"/archive/{edition.id}").text
    assert "/r/" not in page and "utm_" not in page
    for number in range(10):
        assert f'href="https://news.example.com/story-{number}"' in page
    assert counting.client.get(f"/archive/{edition.id}").text == page


def test_without_the_counter_links_have_the_campaign_only(make):
    web = make(count_clicks=False, utm=UTM)
    web.service.add_readers(1)
    edition = web.service.send()
    body = web.smtpd.received_by("reader0@example.com")[-1].parsed.get_body(("html",)).get_content()
    assert FIRST.replace("&", "&amp;") in body and "/r/" not in body
    assert "utm_" not in web.client.get(f"/archive/{edition.id}").text


def test_without_either_links_are_the_articles_own(make):
    web = make(count_clicks=False)
    web.service.add_readers(1)
    web.service.send()
    for kind in ("html", "plain"):
        body = web.smtpd.received_by("reader0@example.com")[-1].parsed.get_body((kind,)).get_content()
        assert "https://news.example.com/story-0" in body
        assert "/r/" not in body and "utm_" not in body


def test_links_that_were_sent_lead_on_when_counting_is_switched_off(counting, make):
    edition = counting.service.send()
    off = make(count_clicks=False)
    assert off.client.get(path(off, edition)).headers["location"] == "https://news.example.com/story-0"
    assert followed(off, edition) == {}


def test_the_desk_sees_the_clicks(counting, capsys):
    edition = counting.service.send()
    for position in (2, 2, 1, 3, 3, 3):
        counting.client.get(path(counting, edition, position))
    followed(counting, edition)
    shown = edition_json(counting.service.app.store, counting.service.get(edition))
    assert shown["clicks"] == [{"position": n, "clicks": c} for n, c in ((1, 1), (2, 2), (3, 3))]
    print_edition(counting.service.app, counting.service.get(edition))
    said = capsys.readouterr().out
    assert "6 clicks" in said
    assert said.index("Story story-2", said.index("6 clicks")) < said.index("Story story-1", said.index("6 clicks"))


def test_no_table_says_who_clicked(counting):
    edition = counting.service.send()
    counting.client.get(path(counting, edition), headers={"X-Forwarded-For": "192.0.2.77"})
    assert followed(counting, edition) == {1: 1}
    with counting.service.app.store.read() as tx:
        assert [tuple(row) for row in tx.execute(sa.text("SELECT * FROM clicks"))] == [(edition.id, 1, 1)]


def test_while_the_database_is_away_known_links_lead_on_and_are_counted_later(counting, monkeypatch):
    edition = counting.service.release()
    known, unknown = path(counting, edition), path(counting, edition, 2)
    counting.client.get(known)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "begin", away)
        patch.setattr(Store, "read", away)
        assert counting.client.get(known).headers["location"] == FIRST
        reply = counting.client.get(unknown)
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "60")
    assert followed(counting, edition) == {1: 2}


def test_two_processes_add_up(store: Store, tmp_path: Path):
    service = Service(tmp_path, store.url.render_as_string(hide_password=False), 25, mail=MAIL)
    edition = service.release()
    first, second = Clicks(store), Clicks(store)
    for tally, link in ((first, 1), (second, 1), (second, 2)):
        tally.counts[edition.id, link] += 5
    assert asyncio.run(first.flush()) and asyncio.run(second.flush())
    first.counts[edition.id, 1] += 1
    assert asyncio.run(first.flush())
    with store.read() as tx:
        assert clicks.of_edition(tx, edition.id) == {1: 11, 2: 5}
    service.close()


# --- a real process ------------------------------------------------------------------------------

CONFIG = """
[site]
name = "The Vistula Post"
url = "https://news.example.com"
[web]
base_url = "https://recap.example.com"
secret = "a secret of at least thirty-two characters"
[smtp]
host = "127.0.0.1"
[mail]
from = "recap@news.example.com"
count_clicks = true
[newsletters.weekly]
title = "The Weekly Recap"
"""


class Crowd:
    """Readers who follow links side by side until the service is gone."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self.sent = self.answered = 0
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._read, args=(port, each)) for each in paths]
        for each in self._threads:
            each.start()

    def _read(self, port: int, link: str) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            while True:
                with self._counting:
                    self.sent += 1
                try:
                    connection.request("GET", link, headers={"User-Agent": BROWSER})
                    reply = connection.getresponse()
                    reply.read()
                except (OSError, http.client.HTTPException):
                    return  # the service has stopped
                assert reply.status == 302
                with self._counting:
                    self.answered += 1

    def leave(self) -> None:
        for each in self._threads:
            each.join(30)


def test_stopped_under_load_a_service_keeps_every_click_it_has_answered(tmp_path: Path):
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25)
    edition = service.release()
    (tmp_path / "config.toml").write_text(CONFIG)
    port = free_port()
    command = [sys.executable, "-m", "digest", "serve", "--port", str(port), "--without", "sender,scheduler"]
    environ = {**os.environ, "DIGEST_CONFIG": str(tmp_path / "config.toml"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: listens(port))
        links = [service.app.links.click(edition.id, n).removeprefix("https://recap.example.com") for n in range(1, 7)]
        crowd = Crowd(port, links)
        wait(lambda: crowd.answered >= 1000)
        process.terminate()
        assert process.wait(30) == 0
        crowd.leave()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    with service.app.store.read() as tx:
        stored = clicks.of_edition(tx, edition.id)
    # A click may be counted and its answer not heard; it is never the other way round.
    assert crowd.answered <= sum(stored.values()) <= crowd.sent
    assert set(stored) == set(range(1, 7))
    service.close()


def test_the_shape_of_the_archive_is_kept_when_nothing_is_counted(make):
    web = make(count_clicks=False)
    edition = web.service.release()
    _, rendering = publishing.archived(web.service.app.store, edition.id)
    assert web.service.app.plain(edition, rendering.html) == rendering.html
