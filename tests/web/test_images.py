"""Pictures by way of us: fetched once, kept within bounds, whole or not at all, and only what our articles name."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient

from digest.domain.links import Links
from digest.errors import StoreUnavailable
from digest.mail.targets import version_of
from digest.store import Store
from digest.store.schema import articles
from digest.web import create_web
from digest.web.image_folder import ImageFolder
from digest.web.images import images_of
from tests.service import Service
from tests.sources.test_pictures import HOSTILE, noise, written
from tests.sources.web import Answer, Web, serving

LARGE = written(noise(2400, 1260), "JPEG")


class Gallery:
    """A service whose articles' pictures lie on a site of the test's own, and a browser."""

    def __init__(self, folder: Path, site: Web, **mail: object) -> None:
        self.site, self.folder = site, folder / "cache" / "img"
        self.service = Service(
            folder,
            f"sqlite:///{folder}/digest.db",
            25,
            site={"name": "The Vistula Post", "url": site.url, "timezone": "Europe/Warsaw"},
            mail={"from": "recap@news.example.com", "resize_images": True, **mail},
        )
        self.start()

    def start(self) -> None:
        """A new process, as far as memory goes."""
        self.client = TestClient(create_web(self.service.app, self.service.clock), follow_redirects=False)

    def shows(self, url: str, article: int = 1) -> str:
        """Give an article this picture; returns where we serve it."""
        image = {"url": url, "alt": "A river", "width": 2400, "height": 1260} if url else None
        with self.service.app.store.begin() as tx:
            tx.execute(sa.update(articles).where(articles.c.id == article).values(image=image))
        return self.path(article, url)

    def path(self, article: int, url: str) -> str:
        link = self.service.app.links.picture(article, version_of(url))
        return link.removeprefix("https://recap.example.com")

    def kept(self) -> list[str]:
        """What lies in the folder."""
        return sorted(each.name for each in self.folder.iterdir()) if self.folder.is_dir() else []


@pytest.fixture
def site() -> Iterator[Web]:
    with serving() as running:
        yield running


@pytest.fixture
def gallery(tmp_path: Path, site: Web) -> Iterator[Gallery]:
    made = Gallery(tmp_path, site)
    yield made
    made.service.close()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_large_picture_comes_small_and_may_be_kept_for_a_year(gallery):
    reply = gallery.client.get(gallery.shows(gallery.site.says("/a.jpg", LARGE)))
    assert reply.status_code == 200
    assert opened(reply.content).size == (1072, 563)
    assert len(reply.content) < len(LARGE) / 3
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "set-cookie" not in reply.headers


def test_who_has_it_is_not_sent_it_again(gallery):
    path = gallery.shows(gallery.site.says("/a.jpg", LARGE))
    etag = gallery.client.get(path).headers["etag"]
    for said in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = gallery.client.get(path, headers={"If-None-Match": said})
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["etag"] == etag and "max-age" in reply.headers["cache-control"]
    assert gallery.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    head = gallery.client.head(path)
    assert (head.status_code, head.headers["etag"]) == (200, etag)


def test_it_is_fetched_once_for_all_and_for_every_process(gallery):
    path = gallery.shows(gallery.site.says("/a.jpg", LARGE))
    first = gallery.client.get(path).content
    assert gallery.client.get(path).content == first
    gallery.start()
    assert gallery.client.get(path).content == first
    assert len(gallery.site.asked) == 1
    assert gallery.kept() == [f"1-{version_of(gallery.site.url + '/a.jpg').hex()}.jpg"]


def test_many_who_ask_at_once_wait_for_one_fetch(gallery):
    url = gallery.site.says("/a.jpg", LARGE)
    gallery.shows(url)
    images = images_of(gallery.service.app, gallery.service.clock)
    name = (1, version_of(url))

    async def ask() -> list[object]:
        leaves = asyncio.create_task(images.get(name))
        others = [asyncio.create_task(images.get(name)) for _ in range(20)]
        await asyncio.sleep(0)
        leaves.cancel()  # the first to ask does not wait; the others have their picture all the same
        return await asyncio.gather(*others)

    found = asyncio.run(ask())
    assert len(gallery.site.asked) == 1
    assert all(each is found[0] for each in found) and found[0] is not None


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_not_shown_and_not_fetched_again_for_an_hour(gallery, name):
    path = gallery.shows(gallery.site.says("/a.jpg", HOSTILE[name], headers={"Content-Type": "image/jpeg"}))
    assert gallery.client.get(path).status_code == 404
    gallery.service.clock.forward(timedelta(minutes=59))
    reply = gallery.client.get(path)
    assert (reply.status_code, len(gallery.site.asked)) == (404, 1)
    assert reply.headers["cache-control"] == "no-store"
    gallery.service.clock.forward(timedelta(minutes=2))
    assert gallery.client.get(path).status_code == 404
    assert len(gallery.site.asked) == 2
    assert gallery.kept() == []


def test_a_picture_that_is_gone_may_come_back_after_an_hour(gallery):
    path = gallery.shows(gallery.site.says("/a.jpg", Answer("gone", 404), Answer(LARGE)))
    assert gallery.client.get(path).status_code == 404
    assert gallery.client.get(path).status_code == 404
    gallery.service.clock.forward(timedelta(hours=1, seconds=1))
    assert gallery.client.get(path).status_code == 200
    assert len(gallery.site.asked) == 2


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(status=429), Answer(LARGE, breaks=True)])
def test_a_site_in_trouble_is_asked_again_in_some_minutes(gallery, answer):
    path = gallery.shows(gallery.site.says("/a.jpg", answer, Answer(LARGE)))
    assert gallery.client.get(path).status_code == 404
    assert gallery.client.get(path).status_code == 404
    assert len(gallery.site.asked) == 1
    gallery.service.clock.forward(timedelta(minutes=5, seconds=1))
    assert gallery.client.get(path).status_code == 200


def test_a_picture_that_hangs_is_given_up(gallery, monkeypatch):
    monkeypatch.setattr("digest.sources.pictures.PATIENCE", 0.2)
    path = gallery.shows(gallery.site.says("/a.jpg", Answer(hangs=True)))
    assert gallery.client.get(path).status_code == 404
    assert gallery.client.get(path).status_code == 404
    assert len(gallery.site.asked) == 1


def test_a_redirect_to_a_private_address_is_not_followed(gallery):
    port = gallery.site.url.rpartition(":")[2]
    with serving() as secret:
        for there in (f"http://localhost:{port}/secret.jpg", secret.url.replace("127.0.0.1", "localhost") + "/x.jpg"):
            url = gallery.site.says(f"/{hash(there)}.jpg", Answer(status=302, headers={"Location": there}))
            assert gallery.client.get(gallery.shows(url)).status_code == 404
        assert gallery.client.get(gallery.shows(f"http://localhost:{port}/secret.jpg")).status_code == 404
        assert secret.asked == []
    assert "/secret.jpg" not in [asked.path for asked in gallery.site.asked]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a.jpg", "data:image/png;base64,AAAA", "a.jpg"])
def test_only_web_addresses_are_fetched(gallery, url):
    assert gallery.client.get(gallery.shows(url)).status_code == 404


def test_nothing_in_a_request_says_what_is_fetched(gallery):
    path = gallery.shows(gallery.site.says("/a.jpg", LARGE))
    evil = gallery.site.says("/evil.jpg", LARGE)
    token = path.removeprefix("/img/").removesuffix(".jpg")
    foreign = Links("another secret of at least thirty-two chars", "https://recap.example.com")
    unsubscribe = gallery.service.app.links.unsubscribe(1).rpartition("/")[2]
    others = [token[:-3] + "AAA", "x", foreign.picture(1, version_of(evil)).rpartition("/")[2][:-4], unsubscribe]
    for other in others:
        assert gallery.client.get(f"/img/{other}.jpg?url={evil}").status_code == 404
    assert gallery.site.asked == []
    assert gallery.client.get(f"{path}?url={evil}", headers={"Host": "evil.example"}).status_code == 200
    assert [asked.path for asked in gallery.site.asked] == ["/a.jpg"]
    assert gallery.client.post(path).status_code == 405


def test_an_article_that_got_another_picture_shows_it_under_old_links_too(gallery):
    old = gallery.shows(gallery.site.says("/old.jpg", LARGE))
    new = gallery.shows(gallery.site.says("/new.jpg", written(noise(500, 400), "PNG")))
    assert old != new
    reply = gallery.client.get(old)
    assert opened(reply.content).size == (500, 400)
    assert reply.headers["cache-control"] == "public, max-age=3600"
    assert "immutable" in gallery.client.get(new).headers["cache-control"]
    assert [asked.path for asked in gallery.site.asked] == ["/new.jpg"]
    gallery.shows("")
    assert gallery.client.get(gallery.path(1, "https://news.example.com/none.jpg")).status_code == 404


def test_an_article_we_do_not_know_has_no_picture(gallery):
    assert gallery.client.get(gallery.path(10_000, gallery.site.url)).status_code == 404


def test_while_the_database_is_away_pictures_we_have_are_shown(gallery, monkeypatch):
    path = gallery.shows(gallery.site.says("/a.jpg", LARGE))
    gallery.client.get(path)
    other = gallery.path(2, gallery.site.url)
    gallery.start()

    def away(*_: object) -> None:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(Store, "read", away)
    assert gallery.client.get(path).status_code == 200
    assert gallery.client.get(other).status_code == 503


def test_a_folder_that_takes_nothing_keeps_nobody_from_a_picture(gallery):
    gallery.folder.parent.mkdir()
    gallery.folder.write_text("this is a file")
    path = gallery.shows(gallery.site.says("/a.jpg", LARGE))
    assert gallery.client.get(path).status_code == 200
    assert gallery.client.get(path).status_code == 200
    assert len(gallery.site.asked) == 1  # it is at hand


def test_half_a_picture_on_disk_is_fetched_anew(gallery):
    path = gallery.shows(gallery.site.says("/a.jpg", LARGE))
    whole = gallery.client.get(path).content
    (file,) = gallery.folder.iterdir()
    file.write_bytes(whole[:1000])
    gallery.start()
    assert gallery.client.get(path).content == whole == file.read_bytes()


# --- the folder ----------------------------------------------------------------------------------


def picture(size: int) -> bytes:
    return b"\xff\xd8" + bytes(size - 4) + b"\xff\xd9"


def test_beyond_its_space_what_was_not_asked_for_the_longest_goes(tmp_path: Path):
    folder = ImageFolder(tmp_path, 100_000)
    for article in range(1, 10):
        folder.put(article, bytes(8), picture(10_000))
        os.utime(tmp_path / f"{article}-{bytes(8).hex()}.jpg", (article, article))
    assert folder.get(1, bytes(8)) == picture(10_000)  # so it is the newest now
    folder.put(10, bytes(8), picture(10_000))
    folder.put(11, bytes(8), picture(10_000))
    assert [article for article in range(1, 12) if folder.get(article, bytes(8))] == [1, *range(4, 12)]


def test_what_is_not_ours_in_the_folder_stays(tmp_path: Path):
    (tmp_path / "holidays.jpg").write_bytes(bytes(500_000))
    os.utime(tmp_path / "holidays.jpg", (1, 1))
    (tmp_path / ".new-left-behind").write_bytes(bytes(500_000))
    os.utime(tmp_path / ".new-left-behind", (1, 1))
    folder = ImageFolder(tmp_path, 100_000)
    for article in range(20):
        folder.put(article, bytes(8), picture(10_000))
    names = {each.name for each in tmp_path.iterdir()}
    assert "holidays.jpg" in names and ".new-left-behind" not in names
    assert sum(each.stat().st_size for each in tmp_path.iterdir() if each.name != "holidays.jpg") <= 100_000


def test_others_see_a_picture_whole_or_not_at_all(tmp_path: Path):
    folder = ImageFolder(tmp_path, 100_000)
    folder.put(1, bytes(8), picture(5000))
    folder.put(1, bytes(8), picture(6000))
    assert folder.get(1, bytes(8)) == picture(6000)
    assert folder.get(1, b"another8") is None
    assert [each.name for each in tmp_path.iterdir()] == [f"1-{bytes(8).hex()}.jpg"]


# --- the mail ------------------------------------------------------------------------------------


def test_the_mail_shows_our_address_and_nothing_is_fetched_while_it_is_made(gallery):
    url = gallery.site.says("/a.jpg", LARGE)
    paths = [gallery.shows(url, article) for article in range(1, 13)]
    edition = gallery.service.release()
    page = gallery.client.get(f"/archive/{edition.id}").text
    assert f'src="https://recap.example.com{paths[0]}"' in page
    assert url not in page
    assert 'width="536" height="282"' in page  # of 1072 x 563
    assert gallery.site.asked == []
    assert opened(gallery.client.get(paths[0]).content).size == (1072, 563)


def test_without_resizing_the_mail_shows_the_sites_own_address(tmp_path: Path, site: Web):
    gallery = Gallery(tmp_path, site, resize_images=False)
    url = site.says("/a.jpg", LARGE)
    path, *_ = [gallery.shows(url, article) for article in range(1, 13)]
    edition = gallery.service.release()
    page = gallery.client.get(f"/archive/{edition.id}").text
    assert f'src="{url}"' in page and "/img/" not in page
    assert gallery.client.get(path).status_code == 200  # of mails sent before it was switched off
    gallery.service.close()


def test_the_folder_lies_beside_the_database_or_where_it_is_told(tmp_path: Path, site: Web):
    gallery = Gallery(tmp_path, site)
    assert gallery.service.app.config.image_folder == tmp_path / "cache" / "img"
    gallery.service.close()
    (tmp_path / "other").mkdir()
    elsewhere = Gallery(tmp_path / "other", site, image_folder="pictures")
    elsewhere.client.get(elsewhere.shows(site.says("/a.jpg", LARGE)))
    assert len(list((tmp_path / "other" / "pictures").iterdir())) == 1
    elsewhere.service.close()
