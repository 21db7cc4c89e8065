"""The preflight: each rule finds what it is for and nothing else; a mail of ours has no error, whatever its titles."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest import publishing
from digest.domain.editions import Basis, EditionState
from digest.domain.findings import NAMES, Level, stoppers
from digest.errors import NotFit
from digest.mail.preflight import BULK, are_aligned, examine
from digest.mail.specimen import Circumstances, Specimen
from digest.publishing import preflight
from digest.store import Store
from digest.store.schema import subscriptions
from tests.mail.test_render import HOSTILE, pick
from tests.servers.smtpd import RecordingServer
from tests.service import SATURDAY, Service
from tests.sources.web import Answer
from tests.sources.web import serving as site_serving

AROUND = Circumstances("https://news.example.com", "news.example.com", "bounces.example.com", True, "Street 1", 10)
WORDS = "Words that say what happened, and why it matters to those who live by the river. " * 4
LEAVE = "https://recap.example.com/unsubscribe/abc"


def specimen(
    body: str = f"<p>{WORDS}</p>",
    subject: str = "What the river left",
    preheader: str = "The second story · The third story",
    sender: str = "recap@news.example.com",
    head: str = "",
    text: str = "Words\n{leave}",
    leave: str = LEAVE,
    **around,
) -> Specimen:
    """A message by hand, with all that it must have."""
    from email.message import EmailMessage
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    message["From"], message["To"], message["Subject"] = sender, "anna@example.com", subject
    message["Date"], message["Message-ID"] = "Sat, 28 Nov 2026 07:00:00 +0000", "<1@news.example.com>"
    message["List-Unsubscribe"] = f"<{leave}>"
    message.set_content(text.format(leave=leave), cte="quoted-printable")
    html = f"<!DOCTYPE html><html><head>{head}</head><body>{body}<a href='{leave}'>Leave</a></body></html>"
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    circumstances = Circumstances(**{**{name: getattr(AROUND, name) for name in AROUND.__slots__}, **around})
    return Specimen(subject, preheader, message.as_bytes(), circumstances)


def names(made: Specimen, level: Level | None = None) -> list[str]:
    return [each.name for each in examine(made) if level in (None, each.level)]


def test_the_document_names_every_finding_and_its_level():
    text = (Path(__file__).parents[2] / "docs" / "preflight.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    listed = {name: row[2] for row in rows for name in re.findall("`([a-z-]+)`", row[1])}
    assert list(listed) == sorted(listed, key=list(NAMES).index) and set(listed) == set(NAMES)
    for _, name, level in CASES:
        assert level in listed[name], f"{name} is found as {level}"


def test_a_good_mail_has_nothing():
    assert examine(specimen()) == []


IMAGE = "https://news.example.com/a.jpg"
CASES = [
    ({"subject": ""}, "no-subject", Level.ERROR),
    ({"subject": "x" * 61}, "subject-length", Level.HINT),
    ({"subject": "x" * 79}, "subject-length", Level.WARNING),
    ({"subject": "READ THIS NOW"}, "shouting-subject", Level.WARNING),
    ({"subject": "ПРОЧИТАЙТЕ ЦЕ"}, "shouting-subject", Level.WARNING),
    ({"subject": "Look! Now!"}, "exclamation-marks", Level.WARNING),
    ({"body": f"<p>{WORDS} Oh!! No!! And!!!</p>"}, "exclamation-marks", Level.HINT),
    ({"preheader": ""}, "no-preheader", Level.HINT),
    ({"preheader": "short"}, "preheader-length", Level.HINT),
    ({"preheader": "x" * 150}, "preheader-length", Level.HINT),
    ({"body": f"<p>{WORDS * 255}</p>"}, "html-size", Level.WARNING),
    ({"body": f"<p>{WORDS * 310}</p>"}, "html-size", Level.ERROR),
    ({"body": f"<img src='{IMAGE}'><p>{WORDS}</p>"}, "image-alt", Level.ERROR),
    ({"body": f"<a href='https://x.example'><img src='{IMAGE}' alt=''></a><p>{WORDS}</p>"}, "image-alt", Level.WARNING),
    ({"body": f"<img alt='A' src='http://news.example.com/a'><p>{WORDS}</p>"}, "image-https", Level.WARNING),
    ({"body": f"<img alt='A' src='{IMAGE}'>"}, "only-images", Level.WARNING),
    ({"body": f"<p>{WORDS}</p>" + "<i></i>" * 3000}, "text-share", Level.HINT),
    ({"body": f"<p>{WORDS}</p><a href='https://bit.ly/x'>more</a>"}, "shortener", Level.WARNING),
    ({"body": f"<p>{WORDS}</p><a href='https://evil.example/'>https://bank.com</a>"}, "link-text", Level.WARNING),
    ({"body": f"<p style='color:#bbb'>{WORDS}</p>"}, "contrast-light", Level.ERROR),
    ({"body": f"<p style='color:#888'>{WORDS}</p>"}, "contrast-light", Level.WARNING),
    (
        {
            "head": "<meta name='color-scheme' content='light dark'>",
            "body": f"<p style='background:#000;color:#555'>{WORDS}</p>",
        },
        "contrast-dark",
        Level.WARNING,
    ),
    ({"postal_address": " "}, "missing-address", Level.WARNING),
    ({"postal_address": "", "audience": BULK}, "missing-address", Level.ERROR),
    ({"text": "no link"}, "missing-unsubscribe", Level.ERROR),
    ({"leave": LEAVE.replace("https", "http")}, "one-click", Level.WARNING),
    ({"leave": LEAVE.replace("https", "http"), "audience": BULK}, "one-click", Level.ERROR),
    ({"sender": "recap@other.org"}, "from-site", Level.WARNING),
    ({"dkim_domain": "provider.net"}, "from-dkim", Level.WARNING),
    ({"bounce_domain": "provider.net"}, "from-bounce", Level.WARNING),
    ({"dkim_domain": "", "is_relay_local": False}, "no-dkim", Level.HINT),
]


@pytest.mark.parametrize(("change", "name", "level"), CASES, ids=[f"{name}-{level}" for _, name, level in CASES])
def test_each_rule_finds_what_it_is_for(change, name, level):
    found = [each for each in examine(specimen(**change)) if each.name == name]
    assert found and {each.level for each in found} == {level}
    assert all(each.text and each.fix for each in found)


def test_every_rule_without_network_is_tried_above():
    asked_for = {"link-gone", "link-unreachable", "image-gone", "image-unreachable", "image-kind", "image-size"}
    noted = {"not-plausible", "shortened", "list-note"}
    assert {name for _, name, _ in CASES} | asked_for | noted | {"not-looked-at", "message"} == set(NAMES)


def fixes(name: str, **change) -> list[tuple[str, str]]:
    return [(each.text, each.fix) for each in examine(specimen(**change)) if each.name == name]


def test_pictures_with_one_fault_are_one_finding():
    tags = "".join(
        f"<a href='https://x.example'><img class='picture' alt='' src='http://news.example.com/{n}.jpg'></a>"
        for n in range(4)
    )
    body = f"{tags}<img src='https://news.example.com/logo.png'><p>{WORDS}</p>"
    (logo, of_template), (stories, of_articles) = fixes("image-alt", body=body)
    assert stories.startswith("4 pictures have no alt text (http://news.example.com/0.jpg, ") and "…" in stories
    assert "column `alt`" in of_articles and "site's editor" in of_articles
    assert logo.startswith("the picture https://news.example.com/logo.png has no alt text")
    assert "into your template" in of_template
    assert len(fixes("image-https", body=body)) == 1


THEME = {"accent": "#ffcc00", "accent_dark": "#a3172a", "paper": "#ffffff", "paper_dark": "#1b1c1f"}
DARK = "<meta name='color-scheme' content='light dark'>"


@pytest.mark.parametrize(
    ("colour", "ground", "fix"),
    [
        ("#ffcc00", "#fff", r'Set \[theme\] accent = "(#[0-9a-f]{6})", which can be read there'),
        (
            "#eeeeee",
            "#fff",
            r"Change the colour #eeeeee in your template; (#[0-9a-f]{6}) can be read on \[theme\] paper",
        ),
    ],
)
def test_a_colour_that_cannot_be_read_comes_with_its_setting_and_a_better_one(colour, ground, fix):
    from digest.mail.contrast import parsed, ratio

    body = f"<p style='color:{colour};background:{ground}'>{WORDS}</p>"
    (_, said), *_ = fixes("contrast-light", body=body, theme=THEME)
    found = re.fullmatch(fix, said)
    assert found, said
    assert ratio(parsed(found[1]), parsed(ground)) >= 4.5
    assert fixes("contrast-light", body=body.replace(colour, found[1])) == []


def test_in_dark_mode_the_better_colour_is_a_lighter_one_of_the_dark_setting():
    body = f"<p style='color:#a3172a;background:#1b1c1f'>{WORDS}</p>"
    (_, said), *_ = fixes("contrast-dark", body=body, head=DARK, theme=THEME)
    assert re.match(r'Set \[theme\] accent_dark = "#[b-f]', said)


def test_a_defect_of_the_bytes_is_an_error():
    made = specimen()
    broken = Specimen(made.subject, made.preheader, made.content.replace(b"Date: ", b"X-Date: "), made.around)
    assert names(broken) == ["message"]
    assert examine(broken)[0].level is Level.ERROR


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "UE i NATO"},  # two words are names, not shouting
        {"subject": "OK!"},
        {"body": f"<p>{WORDS}</p><a href='https://www.news.example.com/x'>news.example.com</a>"},
        {"body": f"<p>{WORDS}</p><a href='https://news.example.com/x'>A story about evil.example and others</a>"},
        {"site_url": "http://localhost:8000", "bounce_domain": "localhost"},
        {"site_url": "http://127.0.0.1"},
        {"dkim_domain": "", "is_relay_local": True},
        {"body": f"<img src='{IMAGE}' alt=''><p>{WORDS}</p>"},  # decoration
    ],
)
def test_no_rule_finds_what_is_fine(change):
    assert examine(specimen(**change)) == []


@pytest.mark.parametrize(
    ("one", "other", "aligned"),
    [
        ("example.com", "example.com", True),
        ("news.example.com", "Example.com.", True),
        ("mail.example.com", "news.example.com", True),
        ("example.com", "example.org", False),
        ("example.co.uk", "other.co.uk", False),
        ("a.example.co.uk", "b.example.co.uk", True),
        ("gazeta.com.pl", "inna.com.pl", False),
        ("com", "example.com", False),
    ],
)
def test_domains_belong_together_as_dmarc_sees_it(one, other, aligned):
    assert are_aligned(one, other) is aligned


# --- a whole service -----------------------------------------------------------------------------


@pytest.fixture
def smtpd():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def service(tmp_path, smtpd):
    made = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, desk={"addresses": ["desk@example.com"]})
    yield made
    made.close()


def drafted(service: Service):
    return publishing.draft(service.app.store, service.app.press, service.newsletter, SATURDAY, service.clock())


def laid_out(service: Service, *picks) -> Specimen:
    """A mail of these picks, as a reader would get it."""
    edition = drafted(service)
    rendering = service.app.press(service.newsletter, edition, picks, "en")
    return service.app.preflight.specimen(edition, rendering, service.clock())


@pytest.mark.parametrize("title", [*HOSTILE, "x" * 300])
def test_whatever_titles_there_are_a_mail_of_ours_has_no_error(service, title):
    made = laid_out(service, pick(1, title), pick(2, "Second", summary=title), pick(3, title, section=title))
    assert names(made, Level.ERROR) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=120), st.text(max_size=300))
def test_nor_with_any_text_at_all(service, title, summary):
    made = laid_out(service, pick(1, title, summary=summary), pick(2, "Second"), pick(3, title))
    assert names(made, Level.ERROR) == []


def test_one_article_without_a_picture_has_no_error_and_no_warning(service):
    found = examine(laid_out(service, pick(1, "Only one", image=None)))
    assert {each.level for each in found} <= {Level.HINT}


@pytest.fixture
def faulty(tmp_path, smtpd, monkeypatch):
    """A service without a postal address, for which every list is a large one."""
    monkeypatch.setattr("digest.mail.preflight.BULK", 1)
    site = {"name": "The Vistula Post", "url": "https://news.example.com", "timezone": "Europe/Warsaw"}
    more = {"site": site, "desk": {"addresses": ["desk@example.com"]}}
    made = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", smtpd.port, **more)
    made.add_readers(2)
    yield made
    made.close()


def test_an_error_stops_a_send_and_nothing_is_queued(faulty):
    edition = drafted(faulty)
    with pytest.raises(NotFit) as caught:
        faulty.app.release(edition, faulty.clock())
    assert [name for name, _, _ in caught.value.faults] == ["missing-address"]
    assert f"digest edition send {edition.id} --allow missing-address" in str(caught.value)
    assert faulty.get(edition).state is EditionState.DRAFTED
    assert faulty.counts(edition) == {}


def test_an_error_that_is_allowed_by_its_name_stops_nothing(faulty):
    edition = drafted(faulty)
    with pytest.raises(NotFit):
        faulty.app.release(edition, faulty.clock(), ["html-size"])
    released = faulty.app.release(edition, faulty.clock(), ["missing-address"])
    assert released.state is EditionState.SENDING
    assert faulty.counts(edition) == {"queued": 2}


async def _due(service: Service):
    return await service.app.publish_due(service.newsletter, service.clock())


def test_at_its_hour_an_edition_with_an_error_stays_and_the_desk_is_told_once(faulty, smtpd):
    import asyncio

    for _ in range(3):
        edition = asyncio.run(_due(faulty))
        assert edition and edition.state is EditionState.DRAFTED
    told = [each for each in faulty.notices(edition) if "was not sent" in each.subject]
    assert len(told) == 1
    assert f"digest edition send {edition.id} --allow missing-address" in told[0].text
    faulty.deliver_all()
    assert {each.recipients[0] for each in smtpd.received} == {"desk@example.com"}


def test_the_configuration_may_allow_it_for_the_schedule(faulty, smtpd, tmp_path):
    import asyncio

    newsletters = {"weekly": {"title": "The Weekly Recap", "allow": ["missing-address"]}}
    site = {"name": "The Vistula Post", "url": "https://news.example.com", "timezone": "Europe/Warsaw"}
    again = Service(tmp_path, faulty.store_url, smtpd.port, fresh=False, newsletters=newsletters, site=site)
    edition = asyncio.run(_due(again))
    assert edition and edition.state is EditionState.SENDING
    again.close()


def test_the_configuration_allows_only_names_that_there_are(tmp_path):
    with pytest.raises(ValueError, match="missing-adress"):
        newsletters = {"weekly": {"title": "The Weekly Recap", "allow": ["missing-adress"]}}
        Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 25, newsletters=newsletters)


# --- asking the site -----------------------------------------------------------------------------


@pytest.fixture
def site():
    with site_serving() as web:
        yield web


async def _look(html: str, site_url: str):
    return await preflight.look_around(html, "http://127.0.0.1:1/", [site_url])


def look(html: str, site) -> list[tuple[str, str]]:
    import asyncio

    found = asyncio.run(_look(f"<html><body>{html}</body></html>", site.url))
    return [(each.name, each.level) for each in found]


def a(url: str) -> str:
    return f"<a href='{url}'>words</a>"


def img(url: str) -> str:
    return f"<img src='{url}' alt='A'>"


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, []),
        (404, [("link-gone", "error")]),
        (410, [("link-gone", "error")]),
        (403, [("link-unreachable", "warning")]),
        (500, [("link-unreachable", "warning")]),
    ],
)
def test_a_page_that_is_gone_is_an_error_and_one_that_says_nothing_a_warning(site, status, found):
    url = site.says("/a", Answer("page", status))
    assert look(a(url), site) == found


def test_a_server_that_knows_no_head_is_asked_with_get(site):
    for status in (403, 404, 405, 501):
        site.asked.clear()
        site.routes["/a"] = lambda asked, status=status: Answer("page", status if asked.method == "HEAD" else 200)
        assert look(a(f"{site.url}/a"), site) == []
        assert [each.method for each in site.asked] == ["HEAD", "GET"]


def test_each_address_is_asked_for_once_and_a_good_head_is_enough(site):
    url = site.says("/a", "page")
    assert look(a(url) * 5 + a("mailto:x@y.example") + a("#top"), site) == []
    assert [each.method for each in site.asked] == ["HEAD"]


def test_a_redirect_is_followed(site):
    site.says("/new", Answer("gone", 404))
    url = site.says("/old", Answer("", 301, {"Location": "/new"}))
    assert look(a(url), site) == [("link-gone", "error")]


def findings_of(html: str, site, known):
    import asyncio

    async def look_at():
        return await preflight.look_around(
            f"<html><body>{html}</body></html>", "http://127.0.0.1:1/", [site.url], (), known
        )

    return asyncio.run(look_at())


def test_a_dead_address_is_named_with_where_it_comes_from(site):
    from dataclasses import replace

    story, noted, other = (site.says(path, Answer("gone", 404)) for path in ("/story", "/noted", "/other"))
    photo = site.says("/photo.png", Answer("gone", 404))
    chosen = pick(5, "The river")
    image = replace(chosen.article.image, url=photo)
    chosen = replace(chosen, article=replace(chosen.article, url=story, image=image))
    known = preflight.origins([chosen], f"See [this]({noted}).")
    found = {each.text.split(" ")[0]: each for each in findings_of(a(story) + a(noted) + a(other), site, known)}
    assert "article 5, “The river”" in found[story].text and "digest articles ban 5" in found[story].fix
    assert "the editor's note" in found[noted].text and "digest edition note" in found[noted].fix
    assert "templates" in found[other].fix
    (gone,) = findings_of(img(photo), site, known)
    assert "article 5" in gone.text and "digest articles ban 5" in gone.fix


def test_a_heavy_picture_names_the_setting_that_makes_it_small(site):
    url = site.says("/heavy.png", Answer(b"x" * 1_000_001, headers={"Content-Type": "image/png"}))
    (heavy,) = findings_of(img(url), site, {})
    assert "[mail] resize_images = true" in heavy.fix


def test_a_picture_in_a_private_network_says_what_to_set(site):
    (unseen,) = findings_of(img("http://10.255.255.1/a.png"), site, {})
    assert "private_hosts" in unseen.fix


def test_a_host_that_is_down_is_one_warning_however_many_pages_it_has(site):
    pages = "".join(a(f"http://127.0.0.1:9/{n}") for n in range(5))
    assert look(pages, site) == [("link-unreachable", "warning")]


def test_our_own_pages_are_one_and_nobodys_link_is_tried():
    import asyncio

    with site_serving() as own:
        own.says("/", "front")
        html = "".join(a(f"{own.url}/{path}") for path in ("archive/1", "unsubscribe/abc", "r/xyz", ""))
        found = asyncio.run(preflight.look_around(f"<html><body>{html}</body></html>", f"{own.url}/", []))
        assert found == []
        assert [each.path for each in own.asked] == ["/"]


def test_a_private_address_of_anybody_else_is_not_asked(site):
    url = site.says("/secret", "page").replace("127.0.0.1", "localhost")
    assert look(a(url), site) == [("link-unreachable", "warning")]
    assert site.asked == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(b"x" * 10, headers={"Content-Type": "image/png"}), []),
        (Answer(b"x" * 10, 404), [("image-gone", "error")]),
        (Answer(b"x" * 10, 502), [("image-unreachable", "warning")]),
        (Answer(b"x" * 10, headers={"Content-Type": "text/html; charset=utf-8"}), [("image-kind", "warning")]),
        (Answer(b"x" * 1_000_001, headers={"Content-Type": "image/png"}), [("image-size", "warning")]),
    ],
)
def test_a_picture_is_there_and_is_not_heavy(site, answer, found):
    assert look(img(site.says("/a.png", answer)), site) == found


def test_a_picture_whose_head_tells_no_size_is_read(site):
    heavy = Answer(b"x" * 1_500_000, headers={"Content-Type": "image/png", "Transfer-Encoding": "identity"})

    def answer(asked):
        return Answer(b"", headers={"Content-Length": "unknown"}) if asked.method == "HEAD" else heavy

    site.routes["/a.png"] = answer
    assert look(img(f"{site.url}/a.png"), site) in ([("image-size", "warning")], [("image-unreachable", "warning")])


def test_there_is_an_end_to_waiting(site, monkeypatch):
    monkeypatch.setattr("digest.sources.answers.PATIENCE", 0.3)
    hanging = site.says("/slow", Answer(hangs=True))
    good = site.says("/good", "page")
    assert look(a(good) + a(hanging), site) == [("not-looked-at", "warning")]


def test_nothing_is_asked_while_sending(service, smtpd):
    """The rules that stop a send know no network: a site that is down holds nobody's mail."""
    service.add_readers(1)
    edition = service.deliver(service.app.release(drafted(service), service.clock()))
    assert edition.state is EditionState.SENT
    assert stoppers([], []) == []


def test_what_the_draft_noted_of_its_list_is_said_again(service):
    edition = drafted(service)
    notes = ("not plausible: no view was counted", "so that mailboxes show it whole: no excerpts", "block 'A' is empty")
    rendering, _ = service.app.sample(edition, "a@example.com", service.clock())
    mail = service.app.preflight.specimen(edition, rendering, service.clock())
    found = service.app.preflight.by_rules(replace(edition, basis=Basis.NEWEST, notes=notes), [mail])
    said = {each.name: each for each in found}
    assert said["not-plausible"].level is Level.WARNING
    assert "goes by the newest: no view was counted" in said["not-plausible"].text
    assert (said["shortened"].level, said["list-note"].level) == (Level.HINT, Level.HINT)
    assert not {"not-plausible", "shortened", "list-note"} & {
        each.name for each in service.app.preflight.by_rules(edition, [mail])
    }


def test_every_language_that_readers_have_is_looked_at_before_the_hour(service):
    service.add_readers(1)
    with service.app.store.begin() as tx:
        tx.execute(sa.update(subscriptions).values(language="uk"))
    edition = drafted(service)
    renderings = [each for each, _ in service.app.samples(edition, "a@example.com", service.clock())]
    assert [each.language for each in renderings] == ["en", "uk"]
    mails = [service.app.preflight.specimen(edition, each, service.clock()) for each in renderings]
    bad = replace(mails[1], subject="Another", content=mails[1].content.replace(b"https://", b"nothing:"))
    errors = [each for each in service.app.preflight.by_rules(edition, [mails[0], bad]) if each.level is Level.ERROR]
    assert any(each.name == "missing-unsubscribe" and each.text.startswith("in uk: ") for each in errors)
    assert not stoppers(service.app.preflight.by_rules(edition, mails), ())


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_what_it_finds_and_ends_with_one_when_errors_are_left(tmp_path, smtpd, site):
    from tests.test_commands import Operator

    for n in range(4):
        site.says(f"/s{n}", Answer("gone", 404) if n == 3 else Answer("page"))
    site.says("/", "front")
    operator = Operator(tmp_path, smtpd.port)
    operator.run("init", "--site-url", site.url, "--from", "recap@news.example.com", "--base-url", f"{site.url}/recap")
    site.says("/recap/", "ours")
    site.says("", "front")
    published = "2026-10-26T10:00+01:00"
    rows = "".join(f"/s{n},Story {n},{published},What happened\n" for n in range(4))
    (tmp_path / "a.csv").write_text("url,title,published_at,summary\n" + rows)
    views = "".join(f"/s{n},2026-10-27T10:00+01:00,{n * 10 + 5}\n" for n in range(4))
    (tmp_path / "v.csv").write_text("url,at,views\n" + views)
    config = tmp_path / "config.toml"
    source = '[[sources]]\nname = "files"\nkind = "files"\narticles = "a.csv"\nviews = "v.csv"\n'
    config.write_text(config.read_text() + source)
    operator.run("collect")
    operator.run("edition", "draft", "--at", "2026-10-31T08:00")
    shown = operator.json("edition", "check", status=1)
    assert not shown["fit"]
    errors = [each for each in shown["findings"] if each["level"] == "error"]
    assert [(each["name"], each["allowed"]) for each in errors] == [("link-gone", False)]
    assert re.search(r"/s3 is not there", errors[0]["text"])
    assert operator.json("edition", "check", "--allow", "link-gone")["fit"]
    assert operator.json("edition", "check", "--offline")["fit"]
    said = operator.run("edition", "check", status=1)
    assert "error: link-gone" in said and "--allow link-gone" in said
    assert "no check finds 'gone'" in operator.run("edition", "check", "--allow", "gone", status=2)
    assert "no check finds 'gone'" in operator.run("edition", "send", "--allow", "gone", status=2)
    assert "/desk/preview/" in operator.run("edition", "preview")
    operator.run("subscribers", "add", "oksana@example.com", "--confirmed", "--consent-from", "a letter")
    with closing(Store(f"sqlite:///{tmp_path}/digest.db")) as store, store.begin() as tx:
        tx.execute(sa.update(subscriptions).values(language="uk"))
    shown = operator.json("edition", "preview")
    assert [(each["language"], Path(each["html"]).name) for each in shown["others"]] == [("uk", "weekly-1-uk.html")]
    assert 'lang="uk"' in (tmp_path / shown["others"][0]["html"]).read_text()
