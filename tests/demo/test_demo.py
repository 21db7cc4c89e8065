"""The demonstration: the sample site, the mailbox, and the whole story told once."""

from __future__ import annotations

import json
import re
import smtplib
import struct
import subprocess
import sys
import zlib
from collections import Counter
from datetime import timedelta
from pathlib import Path

import feedparser
import httpx
import pytest

from digest.demo.content import sample_articles, views_log
from digest.demo.inbox import create_inbox
from digest.demo.mailbox import Mailbox
from digest.demo.pictures import HEIGHT, WIDTH, picture
from digest.demo.serving import listening, serving
from digest.demo.site import create_site
from digest.demo.story import SATURDAY
from digest.domain.articles import canonical_url


def test_the_whole_story_in_a_folder_of_its_own(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "digest", "demo", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=120,
        check=True,
    )
    told = json.loads(done.stdout)
    assert (told["readers"], told["confirmed"], told["sent"]) == (12, 11, 11)
    assert (told["unsubscribed"], told["second_run_sent"]) == (1, 0)
    assert len(list((tmp_path / "demo" / "inbox").glob("*.eml"))) == 12 + 11
    assert [(each["title"], each["views"]) for each in told["picks"]] == counted_by_hand()
    assert all(each["reason"] for each in told["picks"])
    inbox = tmp_path / "demo" / "inbox"
    shown = [
        found for copy in inbox.glob("*.html") for found in re.findall(r'<img[^>]*src="([^"]+)"', copy.read_text())
    ]
    assert len(shown) == 11 * 4  # the site is gone by now
    assert all((inbox / each).read_bytes().startswith(b"\x89PNG") for each in shown)


def counted_by_hand() -> list[tuple[str, int]]:
    """The ten most read of the closed week, added up without any of the product's ranking."""
    start, site = SATURDAY - timedelta(days=7), "http://news.example"
    views: Counter[str] = Counter()
    for url, at, count in views_log(SATURDAY, site):
        if start <= at < SATURDAY:
            views[canonical_url(url, site)] += count
    week = [each for each in sample_articles(SATURDAY) if start <= each.published_at < SATURDAY]
    ranked = sorted(week, key=lambda each: -views[canonical_url(each.path, site)])[:10]
    return [(" ".join(each.title.split()), views[canonical_url(each.path, site)]) for each in ranked]


@pytest.fixture(scope="module")
def site():
    with serving(create_site(SATURDAY), listening()) as url:
        yield url


def test_the_stories_people_see_first_are_stories():
    for each in sample_articles(SATURDAY):
        words = f"{each.title} {each.summary}"
        assert not re.search(r"[<>\x00-\x1f\u2028]|=\?|Last week", words), words
        assert 15 <= len(each.title) <= 90 and len(each.summary) >= 40 and each.alt


def test_the_feed_tells_every_article(site):
    reply = httpx.get(f"{site}/feed.xml")
    parsed = feedparser.parse(reply.content, response_headers={"content-type": reply.headers["content-type"]})
    assert parsed.bozo == 0
    titles = {" ".join(entry.title.split()) for entry in parsed.entries}
    assert titles == {" ".join(each.title.split()) for each in sample_articles(SATURDAY)}
    again = httpx.get(f"{site}/feed.xml", headers={"If-None-Match": reply.headers["etag"]})
    assert again.status_code == 304


def test_every_page_and_picture_of_the_site_is_there(site):
    for article in sample_articles(SATURDAY)[:12]:
        page = httpx.get(site + article.path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
    image = httpx.get(f"{site}/images/{sample_articles(SATURDAY)[0].slug}.png").content
    assert image.startswith(b"\x89PNG")


def test_slugs_differ():
    slugs = [each.slug for each in sample_articles(SATURDAY)]
    assert len(slugs) == len(set(slugs)) == 60


def test_a_picture_is_a_png_that_can_be_read_and_stays_the_same():
    made = picture("a-name", "Cities")
    assert struct.unpack(">II", made[16:24]) == (WIDTH, HEIGHT)
    data = made[made.index(b"IDAT") + 4 : made.index(b"IEND") - 8]
    assert len(zlib.decompress(data)) == (WIDTH + 1) * HEIGHT
    assert made == picture("a-name", "Cities")
    assert made != picture("another", "Cities")


def test_the_mailbox_keeps_the_bytes_it_got(tmp_path):
    sent = b"Subject: x\r\nTo: anna@readers.example\r\n\r\n.dot\r\n" + "zażółć\r\n".encode()
    with Mailbox(tmp_path) as mailbox:
        with smtplib.SMTP("127.0.0.1", mailbox.port) as client:
            client.sendmail("recap@x.example", ["anna@readers.example"], sent)
        mail = mailbox.wait_for("anna@readers.example")
        assert mail.path.read_bytes() == sent
        with pytest.raises(TimeoutError):
            mailbox.wait_for("bob@readers.example", seconds=0.05)


def test_the_inbox_page_shows_hostile_mail_harmlessly(tmp_path):
    sent = b"Subject: <script>alert(1)</script>\r\nContent-Type: text/html\r\n\r\n<script>alert(2)</script>Hello\r\n"
    with Mailbox(tmp_path) as mailbox, serving(create_inbox(mailbox), listening()) as url:
        with smtplib.SMTP("127.0.0.1", mailbox.port) as client:
            client.sendmail("a@b.example", ["anna@readers.example"], sent)
        mailbox.wait_for("anna@readers.example")
        for page in ("/", "/1"):
            assert "<script>alert" not in httpx.get(url + page).text
        assert "sandbox" in httpx.get(f"{url}/1/html").headers["content-security-policy"]
        assert httpx.get(f"{url}/99").status_code == 404
