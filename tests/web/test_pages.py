"""Headers, errors, the archive, the beacon."""

from __future__ import annotations

from datetime import timedelta
from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree

import feedparser
import pytest
from lxml import html as lxml_html
from starlette.testclient import TestClient

from digest.config.mail import ThemeSection
from digest.domain.articles import FoundArticle
from digest.store import articles
from digest.web import create_web
from digest.web.dress import dress
from digest.web.signposts import icon, robots
from tests.service import SATURDAY, Service, every_candidate
from tests.web.gates import gate

PATHS = ["/", "/snippet", "/archive", "/archive/feed.xml", "/assets/pages.css", "/healthz", "/readyz", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_every_page_has_its_guards_and_no_cookie(web, path):
    reply = web.client.get(path)
    assert reply.status_code == (404 if path == "/nowhere" else 200)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in reply.headers


def test_while_the_database_is_away_a_reader_is_asked_to_come_back(web, monkeypatch):
    from digest.errors import StoreUnavailable

    def away(*_):
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr("digest.subscribing.sign_up", away)
    reply = web.client.post("/subscribe", data={"email": "alice@example.com"})
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "60"
    assert "connection refused" not in reply.text


def test_no_slash_is_ever_redirected(web):
    assert web.client.get("/archive/").status_code == 404
    assert web.client.post("/subscribe/", data={}).status_code == 404


def test_a_body_without_end_is_refused(web):
    assert web.client.post("/subscribe", data={"email": "a" * 100_000}).status_code == 413


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xfe\x00", "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"--x", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"a=" * 5000, "application/x-www-form-urlencoded"),
    ],
)
def test_broken_forms_are_never_our_fault(web, content, kind):
    reply = web.client.post("/subscribe", content=content, headers={"Content-Type": kind})
    assert 400 <= reply.status_code < 500


def test_the_archive_shows_what_was_sent_and_nothing_personal(web):
    web.service.add_readers(2)
    edition = web.service.send()
    page = web.client.get(f"/archive/{edition.id}")
    assert page.status_code == 200
    assert "Story story-0" in page.text
    assert "slot.invalid" not in page.text
    assert "/unsubscribe/" not in page.text
    listed = web.client.get("/archive").text
    assert edition.subject.split(" · ")[0] in listed
    feed = feedparser.parse(web.client.get("/archive/feed.xml").content)
    assert [entry.title for entry in feed.entries] == [edition.subject]
    assert feed.bozo == 0


def test_the_archive_keeps_the_frozen_copy(web):
    web.service.add_readers(1)
    edition = web.service.send()
    before = web.client.get(f"/archive/{edition.id}").text
    web.service.add_articles({"story-0": 999})
    with web.service.app.store.begin() as tx:
        page = articles.page_ids(tx, ["news.example.com/story-0"])["news.example.com/story-0"]
        changed = FoundArticle("https://news.example.com/story-0", "Changed later", SATURDAY - timedelta(days=2))
        articles.save(tx, 1, {page: changed}, SATURDAY)
    assert web.client.get(f"/archive/{edition.id}").text == before


@pytest.mark.parametrize("name", ["0", "99", "x", "-1", "1.5", "9" * 40, "feed"])
def test_an_edition_that_is_not_there_is_a_page_that_says_so(web, name):
    assert web.client.get(f"/archive/{name}").status_code == 404


def test_a_draft_is_not_in_the_archive(web):
    from digest import publishing

    service = web.service
    draft = publishing.draft(service.app.store, service.app.press, service.newsletter, SATURDAY, service.clock())
    assert web.client.get(f"/archive/{draft.id}").status_code == 404


BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"}


def counted(web, path="news.example.com/story-0"):
    web.service.clock.forward(timedelta(0))
    with web.service.app.store.read() as tx:
        period = web.service.newsletter.period(SATURDAY + timedelta(days=7))
        return {c.url: c.views for c in every_candidate(tx, period)}.get(f"https://{path}", 0)


def test_the_beacon_counts_readers_of_our_site_and_nobody_else(web):
    page = '{"url": "https://news.example.com/story-0/?utm_source=x"}'
    for _ in range(5):
        assert web.client.post("/beacon", content=page, headers=BROWSER).status_code == 204
    web.client.post("/beacon", content=page, headers={"User-Agent": "Googlebot/2.1"})
    web.client.post("/beacon", content='{"url": "https://evil.example/story-0"}', headers=BROWSER)
    web.client.post("/beacon", content="nonsense", headers=BROWSER)
    web.client.__exit__(None, None, None)  # the end of the service stores the last views
    assert counted(web) == 5
    web.client.__enter__()


def test_the_beacon_script_is_small_and_cacheable(web):
    reply = web.client.get("/beacon.js")
    assert len(reply.content) < 1024
    assert "max-age" in reply.headers["cache-control"]


def test_a_beacon_may_come_from_the_site(web):
    reply = web.client.post("/beacon", content="{}", headers={**BROWSER, "Origin": "https://news.example.com"})
    assert reply.headers["access-control-allow-origin"] == "*"


def test_pages_wear_the_publishers_look(tmp_path):
    theme = {
        "accent": "#ffcc00",
        "accent_dark": "#ffe680",
        "logo": "https://news.example.com/logo.png",
        "logo_dark": "https://news.example.com/dark.png",
        "serif": "'Playfair Display', Georgia, serif",
        "radius": 0,
    }
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, theme=theme)
    with TestClient(create_web(service.app, service.clock)) as client:
        page, style = client.get("/").text, client.get("/assets/pages.css").text
    service.close()
    assert '<img src="https://news.example.com/logo.png" alt="The Vistula Post" width="240">' in page
    assert 'srcset="https://news.example.com/dark.png"' in page
    light, dark = style.rpartition("@media (prefers-color-scheme: dark)")[::2]
    changed = light.rpartition(":root {")[2]
    for rule in (
        "--accent: #ffcc00;",
        "--button: #ffcc00;",
        "--button-ink: #1d1d1f;",
        "--radius: 0px;",
        "--serif: 'Play",
    ):
        assert rule in changed
    assert "--accent: #ffe680;" in dark


def test_the_look_of_pages_is_ours_where_nothing_was_changed():
    assert dress(ThemeSection()) == ""


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("ul. Prosta 1", "The Vistula Post · ul. Prosta 1"),
        ("The Vistula Post, ul. Prosta 1", "The Vistula Post, ul. Prosta 1"),
        ("", "The Vistula Post"),
    ],
)
def test_the_foot_of_a_page_says_the_sites_name_once(tmp_path, address, line):
    site = {"name": "The Vistula Post", "url": "https://news.example.com", "postal_address": address}
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, site=site)
    with TestClient(create_web(service.app, service.clock)) as client:
        assert f"<span>{line}</span>" in client.get("/").text
    service.close()


# --- what browsers and crawlers ask for by themselves -----------------------------------------------------------


def test_crawlers_are_kept_from_pages_for_one_reader_and_let_into_the_archive(web):
    reply = web.client.get("/robots.txt")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    rules = RobotFileParser()
    rules.parse(reply.text.splitlines())
    links, base = web.service.app.links, "https://recap.example.com"
    private = [links.unsubscribe(1), links.preferences(1), links.preview(1), f"{base}/confirm/x", f"{base}/own-data/x"]
    private += [f"{base}/forget/x", f"{base}/return/x", f"{base}/api/v1/progress/x", f"{base}/r/x", f"{base}/metrics"]
    assert [url for url in private if rules.can_fetch("Any", url)] == []
    public = ["/", "/subscribe", "/archive", "/archive/1", "/archive/feed.xml", "/assets/pages.css", "/img/x.jpg"]
    assert [path for path in public if not rules.can_fetch("Any", base + path)] == []


def test_an_archive_that_is_not_to_be_listed_can_be_read_so_that_its_noindex_is_seen():
    text = robots("/recap", archive_noindex=True)
    assert "noindex" in text and "noindex" not in robots("", archive_noindex=False)
    assert "Allow: /recap/archive\n" in text and "Disallow: /recap/confirm/\n" in text


@pytest.mark.parametrize("path", ["/favicon.ico", "/favicon.svg"])
def test_the_icon_is_the_first_letter_on_the_colour_of_the_site(web, path):
    reply = web.client.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/svg+xml")
    drawn = ElementTree.fromstring(reply.text)
    assert [each.get("fill") for each in drawn] == ["#a3172a", "#ffffff"]
    assert "".join(drawn.itertext()).strip() == "T"
    assert 'href="/favicon.svg"' in web.client.get("/").text


def test_any_name_makes_an_icon():
    assert ">&lt;" not in icon("<&", "#ffffff", "#000000") and ">D<" in icon("<&", "#ffffff", "#000000")
    assert ">Ż<" in icon("„żółw”", "#ffffff", "#000000")


def test_what_is_asked_for_by_itself_is_found_below_a_path_too(tmp_path):
    web = {"base_url": "https://x.example.com/recap", "secret": "a secret of at least thirty-two characters"}
    with gate(tmp_path, web=web) as made:
        page = made.client.get("/recap/subscribe")
        assert 'action="/recap/subscribe"' in page.text and 'href="/recap/favicon.svg"' in page.text
        assert made.client.get("/recap/favicon.svg").status_code == 200
        assert "Disallow: /recap/confirm/" in made.client.get("/recap/robots.txt").text


def test_the_address_the_form_is_sent_to_shows_the_form(web):
    reply = web.client.get("/subscribe")
    assert reply.status_code == 200 and 'action="/subscribe"' in reply.text
    assert '<link rel="canonical" href="https://recap.example.com/">' in reply.text
    assert web.client.head("/subscribe").status_code == 200
    assert web.client.put("/subscribe").status_code == 405


def test_no_word_of_an_error_page_breaks_at_its_hyphen(web):
    assert "sign-up" not in web.client.get("/nowhere").text.partition("<main>")[2]


def test_code_is_code_in_the_page_of_the_api_and_every_box_has_a_name(web):
    for path in ("/api/docs", "/snippet"):
        page = lxml_html.document_fromstring(web.client.get(path).text)
        boxes = page.xpath("//pre[@tabindex]")
        names = [each.get("aria-label") for each in boxes]
        assert boxes and all(names) and len(set(names)) == len(names), path
        assert "`" not in page.xpath("string(//main)"), path
    assert "<code>stamp</code>" in web.client.get("/api/docs").text
