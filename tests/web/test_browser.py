"""Sign-up to unsubscribe in a real Chromium at 390 px, without JavaScript; every page kept as a picture."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from digest.demo.serving import address, listening, serving
from digest.web import create_web
from tests.servers import require
from tests.servers.smtpd import RecordingServer
from tests.service import Service

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READER = "anna@example.com"


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        require("Chromium", "apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def pictures() -> Path:
    folder = Path(os.environ.get("ARTIFACTS", "artifacts")) / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def town(tmp_path) -> Iterator[tuple[Service, RecordingServer, str]]:
    with RecordingServer() as smtpd:
        listener = listening()
        web = {"base_url": address(listener), "secret": "a secret of at least thirty-two characters"}
        service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, web=web)
        with serving(create_web(service.app, service.clock), listener) as url:
            yield service, smtpd, url
        service.close()


def apart(work: Callable[[], object]) -> None:
    """Run in a thread of its own: the browser's driver keeps a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def link(smtpd: RecordingServer, kind: str) -> str:
    text = smtpd.received_by(READER)[-1].parsed.get_body(("plain",)).get_content()
    found = re.search(rf"http://\S+/{kind}/\S+", text)
    assert found
    return found[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_sign_up_to_unsubscribe_on_a_phone(chromium, town, pictures, scheme):
    service, smtpd, url = town
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, java_script_enabled=False, device_scale_factor=2
    )
    page = context.new_page()

    def look(name: str) -> None:
        assert page.locator("h1").count() == 1
        page.screenshot(path=pictures / f"{name}-{scheme}.png", full_page=True)

    page.goto(url)
    look("1-sign-up")
    page.get_by_label("Your e-mail address").fill(READER)
    page.get_by_role("button", name="Sign up").click()
    look("2-check-inbox")
    assert "spam folder" in page.inner_text("main")
    apart(service.deliver_all)
    page.goto(link(smtpd, "confirm"))
    look("3-confirm")
    assert service.find(READER).state == "pending"
    page.get_by_role("button").click()
    look("4-confirmed")
    assert service.find(READER).state == "confirmed"
    apart(service.send)
    page.goto(link(smtpd, "archive"))
    page.screenshot(path=pictures / f"5-archive-{scheme}.png", full_page=True)
    page.goto(link(smtpd, "unsubscribe"))
    look("6-unsubscribe")
    assert service.find(READER).state == "confirmed"
    page.get_by_role("button").click()
    look("7-unsubscribed")
    assert service.find(READER).state == "unsubscribed"
    page.goto(f"{url}/confirm/nonsense")
    look("8-expired")
    context.close()


@pytest.mark.parametrize("width", [360, 600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_mail_is_wider_than_its_window(chromium, town, pictures, width, scheme):
    service, smtpd, _ = town
    service.sign_up(READER)
    apart(service.deliver_all)
    service.add_readers(1)
    apart(service.send)
    mails = {"confirmation": smtpd.received_by(READER)[0], "digest": smtpd.received_by("reader0@example.com")[0]}
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.route("**/*", lambda route: route.abort())
    for name, mail in mails.items():
        page.set_content(mail.parsed.get_body(("html",)).get_content())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=pictures / f"mail-{name}-{width}-{scheme}.png", full_page=True)
    page.close()


def test_a_browser_does_the_work_a_form_asks_for(chromium, tmp_path):
    with RecordingServer() as smtpd:
        listener = listening()
        web = {"base_url": address(listener), "secret": "a secret of at least thirty-two characters"}
        url = f"sqlite:///{tmp_path}/digest.db"
        service = Service(tmp_path, url, smtpd.port, web=web, subscribing={"proof_of_work": 14})
        with serving(create_web(service.app, service.clock), listener) as url:
            page = chromium.new_context().new_page()
            page.goto(url)
            page.get_by_label("Your e-mail address").fill(READER)
            page.get_by_role("button", name="Sign up").click()
            page.get_by_text("check your inbox").first.wait_for()
            assert service.find(READER).state == "pending"
            page.go_back()
            assert page.get_by_role("button", name="Sign up").is_enabled()
        service.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_arrow_of_a_choice_has_air_around_it(chromium, town, pictures, scheme):
    service, _, _ = town
    service.add_readers(1)
    own = service.app.links.preferences(service.find("reader0@example.com").id)
    for width in (390, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.goto(own)
        look = "each => { const s = getComputedStyle(each); return [s.appearance, s.backgroundImage, s.paddingRight] }"
        for each in page.locator("select").all():
            appearance, image, padding = each.evaluate(look)
            assert (appearance, image.count("linear-gradient")) == ("none", 2)
            assert float(padding.removesuffix("px")) > 40
        assert page.locator("select").count() > 0
        page.screenshot(path=pictures / f"preferences-{width}-{scheme}.png", full_page=True)
        page.close()
