"""How an edition will look: the very bytes, in every way a mailbox may show them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from digest import publishing
from digest.demo.pictures import picture
from digest.demo.serving import address, listening, serving
from digest.mail.forcing import forced
from digest.store.schema import subscriptions
from digest.web import create_web
from digest.web.guards import masked
from tests.servers import require
from tests.service import SATURDAY, Service
from tests.web.test_browser import ARGUMENTS, pictures

__all__ = ["pictures"]  # a fixture

PICTURE = picture("a river", "Cities")


def drafted(service: Service):
    return publishing.draft(service.app.store, service.app.press, service.newsletter, SATURDAY, service.clock())


@pytest.fixture
def path(web) -> str:
    return urlsplit(web.service.app.links.preview(drafted(web.service).id)).path


def test_the_page_shows_mail_text_source_and_size_without_a_script(web, path):
    page = web.client.get(path)
    assert page.status_code == 200
    assert "script" not in page.text.lower().replace("text/javascript", "")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "List-Unsubscribe: &lt;https://recap.example.com/unsubscribe/" in page.text
    assert "The Weekly Recap" in page.text
    assert re.search(r"The html has [\d,]+ of at most 100,000 bytes", page.text)
    assert page.text.count("<iframe") == 8
    assert page.text.count('sandbox="allow-popups allow-popups-to-escape-sandbox"') == 8


def test_each_language_that_readers_have_can_be_looked_at(web):
    web.service.add_readers(1)
    with web.service.app.store.begin() as tx:
        tx.execute(sa.update(subscriptions).values(language="pl"))
    path = urlsplit(web.service.app.links.preview(drafted(web.service).id)).path
    own, polish = web.client.get(path).text, web.client.get(f"{path}?lang=pl").text
    assert '<strong>English</strong> · <a href="?lang=pl"' in own
    assert "Content-Language: pl" in polish and polish.count("&amp;lang=pl") == 8
    assert 'lang="pl"' in web.client.get(f"{path}/html?lang=pl").text
    assert b"Content-Language: pl" in web.client.get(f"{path}/message.eml?lang=pl").content
    assert web.client.get(f"{path}?lang=uk").status_code == 404
    with web.service.app.store.begin() as tx:
        tx.execute(sa.update(subscriptions).values(language="de"))  # which we do not write, and some list brought along
    assert web.client.get(path).status_code == 200
    assert web.client.get(f"{path}/html?lang=<b>").status_code == 404


def test_the_source_holds_the_bytes_of_the_message_file(web, path):
    from html import unescape

    message = web.client.get(f"{path}/message.eml")
    assert message.headers["content-type"] == "message/rfc822"
    shown = re.search(r'aria-label="The source">.*?<pre>(.*?)</pre>', web.client.get(path).text, re.S)
    assert shown and unescape(shown[1]) == message.content.decode().replace("\r\n", "\n")


def test_the_mail_in_it_runs_nothing_and_loads_images_only_when_they_are_on(web, path):
    on, off = (web.client.get(f"{path}/html?scheme=light&images={images}") for images in (1, 0))
    for reply in (on, off):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "sandbox" in policy and "allow-scripts" not in policy
        assert reply.headers["x-frame-options"] == "SAMEORIGIN"
        assert "slot.invalid" not in reply.text
    assert "img-src http: https: data:" in on.headers["content-security-policy"]
    assert "img-src 'none'" in off.headers["content-security-policy"]


def test_a_scheme_is_forced_in_the_copy_only(web, path):
    dark = web.client.get(f"{path}/html?scheme=dark&images=1").text
    assert "prefers-color-scheme" not in dark
    assert "prefers-color-scheme" in web.client.get(f"{path}/message.eml").content.decode()


@pytest.mark.parametrize(("scheme", "holds", "fails"), [("dark", "B", "A"), ("light", "A", "B")])
def test_a_media_query_is_answered_and_words_stay_words(scheme, holds, fails):
    html = (
        '<head><meta name="color-scheme" content="light dark"><style>:root { color-scheme: light dark; }'
        "@media screen and (prefers-color-scheme: light) { a { color: A } }"
        "@media (prefers-color-scheme:dark) { a { color: B } }</style></head>"
        "<body>(prefers-color-scheme: dark)</body>"
    )
    copy = forced(html, scheme)
    assert re.search(rf"\(min-width: 0px\) {{ a {{ color: {holds}", copy)
    assert re.search(rf"\(max-width: 0px\) {{ a {{ color: {fails}", copy)
    assert f'content="{scheme}"' in copy and f"color-scheme: {scheme}" in copy
    assert "<body>(prefers-color-scheme: dark)</body>" in copy


def test_it_shows_what_the_rules_find(web, path):
    page = web.client.get(path).text
    assert "Nothing stands against sending it." in page
    assert "preheader-length" in page  # 29 characters


def test_it_follows_the_draft(web, path):
    before = web.client.get(path).text
    assert "Story fresh" not in before
    web.service.add_articles({"fresh": 5000})
    drafted(web.service)
    assert "Story fresh" in web.client.get(path).text


@pytest.fixture
def designed(tmp_path) -> Iterator[tuple[object, str, Path]]:
    """A service from a file, with templates of its own: (client, path of a preview, folder)."""
    from starlette.testclient import TestClient

    from digest.config.reading import read_config

    (tmp_path / "templates" / "digest").mkdir(parents=True)
    (tmp_path / "config.toml").write_text(
        '[site]\nname = "The Post"\nurl = "https://news.example.com"\ntimezone = "Europe/Warsaw"\n[web]\nbase_url = "https://recap.example.com"\n'
        'secret = "a secret of at least thirty-two characters"\n[mail]\nfrom = "recap@news.example.com"\n'
        '[newsletters.weekly]\ntitle = "The Weekly Recap"\n[theme]\ntemplates = "templates"\naccent = "#00539f"\n'
    )
    config = read_config(tmp_path / "config.toml", {})
    fields = {name: getattr(config, name) for name in ("site", "web", "mail", "newsletters", "theme", "file")}
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, **fields)
    edition = drafted(service)
    with TestClient(create_web(service.app, service.clock), base_url="https://recap.example.com") as client:
        yield client, urlsplit(service.app.links.preview(edition.id)).path, tmp_path
    service.close()


def test_it_follows_the_theme_and_the_templates_while_the_service_runs(designed):
    client, path, folder = designed
    assert "was changed since" not in client.get(path).text
    assert "#00539f" in client.get(f"{path}/html").text
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("#00539f", "#007a3d"))
    shown = client.get(f"{path}/html").text
    assert "#007a3d" in shown and "#00539f" not in shown
    (folder / "templates" / "digest" / "subject.txt").write_text("Of our own: {{ title }}")
    page = client.get(path).text
    assert "Of our own: The Weekly Recap" in page
    assert "start it again before the mail goes out" in page


def test_a_mistake_is_shown_to_the_desk_in_the_words_of_the_command(designed):
    client, path, folder = designed
    body = folder / "templates" / "digest" / "body.html"
    body.write_text("{% extends 'layout.html' %}\n{% block content %}\n{{ titel }}{% endblock %}")
    page = client.get(path)
    assert page.status_code == 200
    assert "templates/digest/body.html, line 3: nothing is known by the name" in page.text
    assert "Did you mean" in page.text
    assert client.get(f"{path}/html").status_code == 404
    body.unlink()
    assert "The Weekly Recap" in client.get(f"{path}/html").text
    (folder / "config.toml").write_text("[site]\nname = Post\n")
    assert "line 2 cannot be read: name = Post" in client.get(path).text


def test_it_says_that_an_edition_does_not_go_out_by_itself_and_what_to_do(web, path):
    from digest.publishing import desk

    assert 'class="notice"' not in web.client.get(path).text
    desk.hold(web.service.app.store, 1, "a word is missing")
    page = web.client.get(path).text
    assert "A word is missing." in page and "digest edition approve 1" in page


def test_addresses_in_findings_begin_as_addresses_do(web, path):
    assert '<p dir="auto">Http' not in web.client.get(path).text


def test_no_other_link_opens_it_and_no_log_holds_its_token(web, path):
    other = web.service.app.links.progress(1).rpartition("/")[2]
    for token in (other, "x", path.rpartition("/")[2][:-2]):
        assert web.client.get(f"/desk/preview/{token}").status_code == 404
        assert web.client.get(f"/desk/preview/{token}/html").status_code == 404
        assert web.client.get(f"/desk/preview/{token}/message.eml").status_code == 404
    assert web.client.get(f"{path}/html?scheme=red").status_code == 404
    assert path.rpartition("/")[2] not in masked(path)


def test_looking_changes_nothing(web, path):
    before = drafted(web.service)
    assert web.client.head(path).status_code == 200
    web.client.get(path)
    assert web.service.get(before) == before


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        require("chromium", "the page is looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def desk(tmp_path) -> Iterator[str]:
    """The address of a preview, in a running service."""
    listener = listening()
    settings = {"base_url": address(listener), "secret": "a secret of at least thirty-two characters"}
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, web=settings)
    edition = drafted(service)
    with serving(create_web(service.app, service.clock), listener):
        yield service.app.links.preview(edition.id)
    service.close()


def frame(page, scheme: str, images: int, width: int = 600):
    title = f"The mail at {width} px, {scheme}, images {'on' if images else 'off'}"
    return page.frame_locator(f'iframe[title="{title}"]')


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works_without_javascript_on_a_phone_and_on_a_desk(chromium, desk, pictures: Path, width, scheme):
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=False
    )
    context.route("https://news.example.com/**", lambda route: route.fulfill(body=PICTURE, content_type="image/png"))
    page = context.new_page()
    page.goto(desk)

    def look(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=pictures / f"preview-{width}-{scheme}-{name}.png", full_page=True)

    def choose(words: str) -> None:
        page.locator("label", has_text=words).first.click()

    def wait(scheme: str, images: int) -> None:
        for shown in (600, 360) if width > 1000 else (360,):  # on a phone it begins with the narrow one
            frame(page, scheme, images, shown).locator("h1").wait_for()

    wait("light", 1)
    look("1-mail-light")
    choose("Dark")
    wait("dark", 1)
    look("2-mail-dark")
    choose("Off")
    wait("dark", 0)
    look("3-images-off")
    choose("Light")
    if width < 1000:
        choose("600 px")
        frame(page, "light", 0, 600).locator("h1").wait_for()
        look("4-wide")
    for name in ("Plain text", "Source", "Checks"):
        choose(name)
        look(f"5-{name.split()[-1].lower()}")
    assert page.locator(".view.checks").is_visible()
    assert not page.locator(".view.mail").is_visible()
    context.close()


def test_the_dark_copy_is_dark_in_a_light_browser(chromium, desk):
    page = chromium.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    for scheme, is_dark in (("light", False), ("dark", True)):
        page.goto(f"{desk}/html?scheme={scheme}")
        ground = page.evaluate("getComputedStyle(document.querySelector('.sheet') || document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 300) is is_dark
    page.close()


def test_with_images_off_the_browser_asks_for_none(chromium, desk):
    page = chromium.new_page()
    asked: list[str] = []

    def answer(route) -> None:
        asked.append(route.request.url)
        route.fulfill(body=PICTURE, content_type="image/png")

    page.route("https://news.example.com/**", answer)
    for images in (0, 1):
        page.goto(f"{desk}/html?scheme=light&images={images}", wait_until="load")
        loaded = page.evaluate("[...document.images].filter(each => each.naturalWidth > 0).length")
        assert (loaded > 0) == bool(images) == bool(asked)
    page.close()
