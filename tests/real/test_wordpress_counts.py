"""Our plugin and the `sql` source on a real WordPress, held against what its database says by itself."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from digest.config.sources import SqlSource, WordPressSource
from digest.domain.articles import FoundArticle, Harvest
from digest.domain.periods import Period, Schedule
from digest.errors import NotFound, SourceError
from digest.sources import Reading
from digest.sources.sql import Sql
from digest.sources.wordpress import WordPress
from digest.sources.wordpress_plugin import signature
from digest.web import create_web
from tests.real.wordpress_server import PLUGIN, WordPressServer, running
from tests.service import Service

WARSAW = ZoneInfo("Europe/Warsaw")
POSTS = 60
READER, PASSWORD = "reader", "only-to-look"
# The shapes of the counters' tables, from their documentation; WP Popular Posts' own is in wordpress/popular-posts.php.
JNEWS = """CREATE TABLE news_popularpostssummary (ID bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, postid bigint NOT NULL,
  pageviews bigint NOT NULL DEFAULT 1, view_date date NOT NULL, last_viewed datetime NOT NULL,
  UNIQUE KEY compositeID (postid, view_date))"""
POST_VIEWS = """CREATE TABLE news_post_views (id bigint unsigned NOT NULL, type tinyint unsigned NOT NULL,
  period varchar(8) NOT NULL, count bigint unsigned NOT NULL, PRIMARY KEY (type, period, id), KEY id (id))"""


@dataclass
class Site:
    """A filled site, when it was filled, and the closed week."""

    server: WordPressServer
    now: datetime
    week: Period

    @property
    def secret(self) -> str:
        """What the settings page shows."""
        (row,) = self.server.run("SELECT option_value FROM news_options WHERE option_name = 'digest_newsletter_secret'")
        return str(row["option_value"])

    def by_plugin(self, **section: Any) -> Harvest:
        """What the source says that asks our plugin."""
        named = {"name": "site", "kind": "wordpress", "url": self.server.url, "secret": self.secret} | section
        return asyncio.run(WordPress(WordPressSource.model_validate(named)).collect(Reading(datetime.now(UTC))))

    def by_sql(self, preset: str = "popular-posts", user: str = READER, **section: Any) -> Harvest:
        """What the source says that looks into the database."""
        url = self.server.database_url(user, PASSWORD)
        named = {"name": "site", "kind": "sql", "url": url, "preset": preset, "prefix": "news_"} | section
        source = Sql(SqlSource.model_validate(named), self.server.url, WARSAW)
        return asyncio.run(source.collect(Reading(datetime.now(UTC))))

    def in_week(self, harvest: Harvest) -> Counter[str]:
        """Views of the closed week by address."""
        counted: Counter[str] = Counter()
        for each in harvest.views:
            if self.week.counts(each.at, each.span):
                counted[each.url] += each.views
        return counted

    def said_by_the_database(self, query: str, first: str, last: str) -> Counter[str]:
        """An independent count: rows of post and views, as addresses."""
        public = "post_type = 'post' AND post_status = 'publish' AND post_password = ''"
        rows = self.server.run(
            f"SELECT p.post_name AS name, YEAR(p.post_date) AS year, c.n FROM ({query}) c "
            f"JOIN news_posts p ON p.ID = c.post WHERE {public}",
            first,
            last,
        )
        return Counter({f"{self.server.url}/{row['year']}/{row['name']}/": int(row["n"]) for row in rows})

    def days(self) -> tuple[str, str]:
        """The first and the last whole day that counts in the week."""
        first = self.week.start.astimezone(WARSAW).date()
        return first.isoformat(), (self.week.end.astimezone(WARSAW).date() - timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    now = datetime.now(UTC)
    schedule = Schedule.parse("sat 08:00", WARSAW)
    last = schedule.last(now)
    week = Period(schedule.before(last), last)
    with running() as server:
        posts = [_post(n, now - timedelta(hours=5 * n + 1)) for n in range(POSTS)]
        posts[1] |= {"section": "Food", "tags": ["tea", "zażółć"], "image": "A cup", "excerpt": "<p>Why <b>tea</b></p>"}
        posts[2] |= {"password": "sesame"}
        posts[3] |= {"status": "draft"}
        posts[4] |= {"content": "<p>" + "word " * 80 + "</p>", "title": "Tea &amp; “coffee” < 5 zł"}
        server.fill({"posts": posts, "views": _views(week, now), "first": 0, "ids": []})
        server.run(f"CREATE USER '{READER}'@'localhost' IDENTIFIED BY '{PASSWORD}'")
        server.run(f"GRANT SELECT ON wordpress.* TO '{READER}'@'localhost'")
        yield Site(server, now, week)


def _post(number: int, at: datetime) -> dict[str, Any]:
    return {"title": f"Article {number}", "date_gmt": f"{at:%Y-%m-%d %H:%M:%S}"}


def _views(week: Period, now: datetime) -> list[tuple[int, str]]:
    """Four thousand views since a week before the closed one, as (post, local time), many right at the cut-offs."""
    dice = random.Random(11)
    start = week.start - timedelta(days=7)
    length = (now - start).total_seconds()
    moments = [start + timedelta(seconds=dice.random() * length) for _ in range(4000)]
    for edge in (week.start, week.end):
        moments += [edge - timedelta(seconds=1), edge, edge + timedelta(seconds=1)]
    return [(dice.randrange(POSTS), f"{at.astimezone(WARSAW):%Y-%m-%d %H:%M:%S}") for at in moments]


@contextmanager
def counter(site: Site, table: str = "", fill: str = "") -> Iterator[None]:
    """Another counter, or none, in the place of WP Popular Posts, whose log it takes over."""
    made = re.findall(r"CREATE TABLE (\w+)", table)
    site.server.run("RENAME TABLE news_popularpostssummary TO old_log")
    try:
        for statement in filter(None, (table, fill)):
            site.server.run(statement)
        yield
    finally:
        for name in made:
            site.server.run(f"DROP TABLE {name}")
        site.server.run("RENAME TABLE old_log TO news_popularpostssummary")


JNEWS_FILL = """INSERT INTO news_popularpostssummary (postid, pageviews, view_date, last_viewed)
  SELECT postid, COUNT(*), view_date, MAX(view_datetime) FROM old_log GROUP BY postid, view_date"""
POST_VIEWS_FILL = """INSERT INTO news_post_views
  SELECT postid, 0, DATE_FORMAT(view_date, '%Y%m%d'), COUNT(*) FROM old_log
  GROUP BY postid, view_date UNION ALL SELECT postid, 4, 'total', COUNT(*) FROM old_log GROUP BY postid
  UNION ALL SELECT postid, 2, DATE_FORMAT(view_date, '%Y%m'), COUNT(*) FROM old_log GROUP BY postid, 3"""


# --- The same counts, whoever is asked


def test_a_week_of_popular_posts_is_counted_to_the_hour_by_both(site: Site) -> None:
    local = [f"{edge.astimezone(WARSAW):%Y-%m-%d %H:%M:%S}" for edge in (site.week.start, site.week.end)]
    query = (
        "SELECT postid AS post, SUM(pageviews) AS n FROM news_popularpostssummary "
        "WHERE view_datetime >= %s AND view_datetime < %s GROUP BY postid"
    )
    expected = site.said_by_the_database(query, *local)
    assert len(expected) == POSTS - 2 and expected.total() > 1000
    assert site.in_week(site.by_plugin()) == expected
    assert site.in_week(site.by_sql()) == expected


def test_a_week_of_jnews_is_counted_in_whole_days_by_both(site: Site) -> None:
    query = "SELECT postid AS post, SUM(pageviews) AS n FROM news_popularpostssummary WHERE view_date BETWEEN %s AND %s"
    with counter(site, JNEWS, JNEWS_FILL):
        expected = site.said_by_the_database(f"{query} GROUP BY postid", *site.days())
        plugin, sql = site.by_plugin(), site.by_sql("jnews")
    assert len(expected) == POSTS - 2
    assert (site.in_week(plugin), site.in_week(sql)) == (expected, expected)
    assert plugin.remembered["grain"] == sql.remembered["grain"] == "JNews View Counter Europe/Warsaw day"
    assert (plugin.notes[:-1], sql.notes) == ((), ())  # the last tells of the post with a password


@pytest.mark.parametrize("count_time", ["gmt", "local"])
def test_a_week_of_post_views_counter_is_counted_in_whole_days_by_both(site: Site, count_time: str) -> None:
    query = "SELECT id AS post, SUM(count) AS n FROM news_post_views WHERE type = 0 AND period BETWEEN %s AND %s"
    site.server.fill({"options": {"post_views_counter_settings_general": {"count_time": count_time, "amp": False}}})
    with counter(site, POST_VIEWS, POST_VIEWS_FILL):
        first, last = (day.replace("-", "") for day in site.days())
        expected = site.said_by_the_database(f"{query} GROUP BY id", first, last)
        plugin, sql = site.by_plugin(), site.by_sql("post-views-counter")
    assert len(expected) == POSTS - 2
    assert (site.in_week(plugin), site.in_week(sql)) == (expected, expected)
    zone = {"gmt": "UTC", "local": "Europe/Warsaw"}[count_time]
    assert plugin.remembered["grain"] == sql.remembered["grain"] == f"Post Views Counter {zone} day"


def test_articles_pictures_and_sections_out_of_the_tables_are_those_of_the_rest_api(site: Site) -> None:
    rest, sql = (_by_url(harvest) for harvest in (site.by_plugin(), site.by_sql()))
    (row,) = site.server.run(
        "SELECT COUNT(*) AS n FROM news_posts "
        "WHERE post_type = 'post' AND post_status = 'publish' AND post_password = ''"
    )
    assert len(sql) == row["n"] == POSTS - 2
    assert sql == rest
    tea = next(article for article in sql.values() if article.section)
    assert (tea.title, tea.section, tea.author, set(tea.tags)) == ("Article 1", "Food", "Anna Nowak", {"tea", "zażółć"})
    assert tea.image is not None and (tea.image.width, tea.image.alt) == (1024, "A cup")


def _by_url(harvest: Harvest) -> dict[str, FoundArticle]:
    return {article.url: article for article in harvest.articles}


@pytest.mark.parametrize(
    "structure",
    [
        "/%postname%/",
        "/%postname%",
        "/%year%/%monthnum%/%day%/%postname%.html",
        "/archives/%post_id%",
        "/%category%/%postname%/",
        "/%author%/%hour%%minute%%second%/%postname%/",
        "",
    ],
)
def test_addresses_out_of_the_tables_are_wordpress_own(site: Site, structure: str) -> None:
    ids = [int(row["ID"]) for row in site.server.run("SELECT ID FROM news_posts WHERE post_type = 'post'")]
    try:
        said = site.server.fill({"structure": structure, "ids": ids})
        harvest = site.by_sql()
    finally:
        site.server.fill({"structure": "/%year%/%postname%/"})
    known = dict(zip(said["urls"], said["ids"], strict=True))
    assert len(harvest.articles) == POSTS - 2
    assert {article.url for article in harvest.articles} <= set(known)
    assert {each.url for each in harvest.views} <= set(known)


# --- Who may ask, and what


def ask(site: Site, secret: str, *, age: float = 0, then: str = "", **query: str) -> tuple[int, Any]:
    """Ask the route as the plugin's reader does; `then` is put behind what was signed."""
    day = f"{site.now.astimezone(WARSAW):%Y-%m-%d}"
    query = {"from": day, "to": day, "page": "1", "per_page": "2"} | query
    timestamp = str(int(time.time() - age))
    headers = {"X-Digest-Timestamp": timestamp, "X-Digest-Signature": signature(secret, timestamp, query)}
    url = f"{site.server.url}/wp-json/digest/v1/views?{urllib.parse.urlencode(query)}{then}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers if secret else {})) as reply:
            assert "no-store" in reply.headers["Cache-Control"]
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_only_who_knows_the_secret_is_told(site: Site) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", site.secret)
    status, reply = ask(site, site.secret)
    assert (status, len(reply["views"]), reply["counter"]) == (200, 2, "WP Popular Posts")
    for refused in (
        ask(site, ""),
        ask(site, "0" * 64),
        ask(site, site.secret, then="&page=2"),
        ask(site, site.secret, then="&grain=day"),
        ask(site, site.secret, then="&from=2020-01-01"),
    ):
        assert (refused[0], refused[1]["code"]) == (401, "digest_signature")
    for age in (301, -320):
        status, reply = ask(site, site.secret, age=age)
        assert (status, reply["code"]) == (412, "digest_time")


@pytest.mark.parametrize(
    "query",
    [{"from": "2026-02-30"}, {"from": "x"}, {"grain": "minute"}, {"page": "0"}, {"per_page": "5001"},
     {"to": "2020-01-01"}, {"from": "2026-01-01' OR 1=1"}],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(site: Site, query: dict[str, str]) -> None:
    assert ask(site, site.secret, **query)[0] == 400


def test_a_wrong_secret_is_told_in_one_clear_line(site: Site) -> None:
    with pytest.raises(SourceError, match="does not accept our secret. Copy it from the plugin's settings page"):
        site.by_plugin(secret="1" * 64)


def test_without_pretty_addresses_the_plugin_is_asked_all_the_same(site: Site) -> None:
    expected = site.in_week(site.by_plugin()).total()
    try:
        site.server.fill({"structure": ""})
        assert site.in_week(site.by_plugin()).total() == expected > 1000
    finally:
        site.server.fill({"structure": "/%year%/%postname%/"})


def test_pages_hold_everything_once(site: Site) -> None:
    day = site.days()[0]
    seen: list[tuple[int, int]] = []
    page = pages = 1
    while page <= pages:
        _, reply = ask(site, site.secret, **{"from": day, "to": day, "per_page": "50", "page": str(page)})
        seen += [(row["id"], row["hour"]) for row in reply["views"]]
        pages, page = reply["pages"], page + 1
    assert pages > 2 and len(seen) == len(set(seen)) == reply["total"]


def test_a_site_without_a_counter_says_what_it_looked_for(site: Site) -> None:
    with counter(site):
        status, reply = ask(site, site.secret)
        assert (status, reply["code"]) == (501, "digest_no_counter")
        assert "news_popularpostssummary and news_post_views" in reply["message"]
        with pytest.raises(SourceError, match="runs no view counter that the plugin knows"):
            site.by_plugin(views="plugin")
        with pytest.raises(SourceError, match="there is no such table"):
            site.by_sql("jnews")


def test_a_counter_that_was_switched_off_is_told_by_both(site: Site) -> None:
    old = "INSERT INTO news_popularpostssummary (postid, view_date, last_viewed) VALUES (1, '2026-01-05', '2026-01-05')"
    with counter(site, JNEWS, old):
        for harvest in (site.by_plugin(), site.by_sql("jnews")):
            assert "JNews View Counter counted last on 2026-01-05: it seems to be switched off" in harvest.notes


# --- The database


def test_a_user_who_may_not_read_names_gets_articles_without_them(site: Site) -> None:
    tables = ["options", "posts", "postmeta", "terms", "term_taxonomy", "term_relationships", "popularpostssummary"]
    site.server.run(f"CREATE USER 'few'@'localhost' IDENTIFIED BY '{PASSWORD}'")
    for table in tables:
        site.server.run(f"GRANT SELECT ON wordpress.news_{table} TO 'few'@'localhost'")
    harvest = site.by_sql(user="few")
    assert len(harvest.articles) == POSTS - 2 and {article.author for article in harvest.articles} == {""}
    assert any(note.startswith("no authors: the user may not read this") for note in harvest.notes)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"user": "stranger"}, "it refuses the user"),
        ({"url": "mysql://reader:{password}@localhost/elsewhere?unix_socket={socket}"}, "the user may not read this"),
        ({"views": "SELECT url, at, views FROM visits"}, "there is no such table"),
        ({"views": "SELECT url, at, views FROM news_posts"}, "there is no such column"),
        ({"views": "SELECT url at views FROM"}, "it does not understand the query"),
        ({"views": "SELECT ID AS url, 1 AS at FROM news_posts"}, "no column views; found: url, at"),
        ({"views": "SELECT '/a' AS url, CURDATE() AS at, NEXTVAL(wordpress.tickets) AS views"}, "wants to write"),
        ({"views": "SELECT '/a' AS url, '2026-01-01' AS at, BENCHMARK(1000000000, MD5('x')) AS views", "timeout": "1s"},
         "takes too long|no full answer"),
    ],
)  # fmt: skip
def test_mariadbs_refusals_are_told_in_plain_words(site: Site, section: dict[str, Any], words: str) -> None:
    site.server.run("CREATE SEQUENCE IF NOT EXISTS tickets")
    site.server.run(f"GRANT ALL ON wordpress.tickets TO '{READER}'@'localhost'")
    named = {**section, **({"preset": ""} if "views" in section else {})}
    if "url" in named:
        named["url"] = named["url"].format(password=PASSWORD, socket=site.server.socket)
    with pytest.raises(SourceError) as caught:
        site.by_sql(**named)
    assert any(each in str(caught.value) for each in words.split("|")), caught.value
    assert PASSWORD not in str(caught.value)


def test_instants_and_local_times_of_mariadb_are_told_apart(site: Site) -> None:
    site.server.run("CREATE TABLE hits (seen TIMESTAMP NULL, local DATETIME, day DATE, n INT)")
    moment = site.now.replace(minute=30, second=0, microsecond=0) - timedelta(hours=30)
    local = moment.astimezone(WARSAW)
    site.server.run(
        "INSERT INTO hits SELECT FROM_UNIXTIME(%s), %s, %s, 5",
        moment.timestamp(),
        local.replace(tzinfo=None),
        local.date(),
    )
    for column, span in (("seen", "since"), ("local", "since_local"), ("day", "since_day")):
        query = f"SELECT '/a' AS url, {column} AS at, SUM(n) AS views FROM hits WHERE {column} >= :{span} GROUP BY 2"
        (count,) = site.by_sql(preset="", views=query).views
        start = local.replace(hour=0, minute=0) if column == "day" else moment.replace(minute=0)
        assert (count.at, count.views) == (start.astimezone(UTC), 5), column


# --- The sign-up form


class Form(HTMLParser):
    """The fields of the first form of class digest-signup, its address, and which fields have a label."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.fields, self.labelled, self.button = "", {}, set(), ""
        self._ids: dict[str, str] = {}
        self._in = self._in_button = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and "digest-signup" in values.get("class", ""):
            self._in, self.action = True, values["action"]
            assert values["method"] == "post"
        elif self._in and tag == "input":
            self.fields[values["name"]] = values.get("value", "")
            self._ids[values.get("id", "")] = values["name"]
        elif self._in and tag == "label":
            self.labelled.add(values["for"])
        self._in_button = self._in and tag == "button"

    def handle_endtag(self, tag: str) -> None:
        self._in = self._in and tag != "form"
        self._in_button = False

    def handle_data(self, data: str) -> None:
        self.button += data if self._in_button else ""

    def named(self) -> set[str]:
        """The names of the fields that have a label."""
        return {self._ids[each] for each in self.labelled}


def show(site: Site, content: str, **options: Any) -> str:
    """A page with this content, as anybody sees it."""
    settings = {"service": "https://recap.example.com", "consent": ""} | options.pop("settings", {})
    ids = [int(row["ID"]) for row in site.server.run("SELECT ID FROM news_posts WHERE post_name = 'form'")]
    for number in ids:
        site.server.run("DELETE FROM news_posts WHERE ID = %s", number)
    post = {"title": "Form", "date_gmt": "2020-01-01 10:00:00", "content": content}
    said = site.server.fill(
        {"posts": [post], "first": 9000, "options": {"digest_newsletter_settings": settings, **options}}
    )
    try:
        with urllib.request.urlopen(said["urls"][-1]) as reply:
            return reply.read().decode()
    finally:
        site.server.run("DELETE FROM news_posts WHERE ID = %s", said["ids"][-1])


def test_a_form_from_the_site_signs_up_at_the_service(site: Site, tmp_path: Path) -> None:
    form = Form(show(site, '[digest_signup newsletter="weekly" name="yes"]'))
    assert form.fields == {"newsletter": "weekly", "email": "", "name": "", "website": ""}
    assert form.named() == {"email", "name", "website"}
    service = Service(tmp_path, f"sqlite:///{tmp_path}/digest.db", 1)
    path = urllib.parse.urlsplit(form.action)
    assert f"{path.scheme}://{path.netloc}" == "https://recap.example.com"
    with TestClient(create_web(service.app, service.clock), follow_redirects=False) as client:
        fields = {**form.fields, "email": "anna@example.com", "name": "Anna"}
        reply = client.post(path.path, data=fields, headers={"Origin": site.server.url})
        assert reply.status_code == 200
        caught = client.post(path.path, data={**fields, "email": "bot@example.com", "website": "x"})
        assert caught.status_code == 200
    assert service.find("anna@example.com").state == "pending"
    assert not _knows(service, "bot@example.com")
    service.close()


def _knows(service: Service, address: str) -> bool:
    try:
        service.find(address)
    except NotFound:
        return False
    return True


@pytest.mark.parametrize(
    ("locale", "button"), [("", "Sign up"), ("pl_PL", "Zapisz się"), ("uk", "Підписатися"), ("de_DE", "Sign up")]
)
def test_the_form_speaks_the_language_of_the_site(site: Site, locale: str, button: str) -> None:
    site.server.fill({"options": {"WPLANG": ""}})
    # WordPress takes only languages that are installed there; the database does not mind.
    site.server.run("UPDATE news_options SET option_value = %s WHERE option_name = 'WPLANG'", locale)
    try:
        form = Form(show(site, '<!-- wp:digest/signup {"newsletter":"daily"} /-->'))
    finally:
        site.server.run("UPDATE news_options SET option_value = '' WHERE option_name = 'WPLANG'")
    assert (form.button, form.fields["newsletter"]) == (button, "daily")
    assert "name" not in form.fields


def test_what_is_typed_into_the_form_settings_does_no_harm(site: Site) -> None:
    page = show(
        site,
        """[digest_signup newsletter='"><script>alert(1)</script>']""",
        settings={"consent": "<script>alert(2)</script>", "service": "javascript:alert(3)//"},
    )
    assert "<script>alert" not in page and "javascript:" not in page


def test_without_a_service_readers_see_no_form(site: Site) -> None:
    assert "digest" not in show(site, "[digest_signup]", settings={"service": ""}).partition("Form")[2]


# --- The settings page


@dataclass
class Browser:
    """An administrator at the site."""

    site: Site
    opener: urllib.request.OpenerDirector

    def get(self, path: str) -> str:
        with self.opener.open(self.site.server.url + path) as reply:
            return str(reply.read().decode())

    def post(self, path: str, fields: Mapping[str, str]) -> int:
        try:
            with self.opener.open(self.site.server.url + path, urllib.parse.urlencode(fields).encode()) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture
def desk(site: Site) -> Browser:
    browser = Browser(site, urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())))
    browser.get("/wp-login.php")  # for the cookie by which it knows that there are cookies
    browser.post("/wp-login.php", {"log": "desk", "pwd": "not-a-secret", "testcookie": "1"})
    return browser


SETTINGS = "/wp-admin/options-general.php?page=digest-newsletter"


def nonce(page: str, before: str) -> str:
    found = re.search(r'name="_wpnonce" value="(\w+)"', page.partition(before)[2])
    assert found
    return found[1]


def test_the_settings_page_shows_the_secret_and_the_counter(site: Site, desk: Browser) -> None:
    page = desk.get(SETTINGS)
    assert site.secret in page and "WP Popular Posts, which counted last on" in " ".join(page.split())
    stranger = Browser(site, urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())))
    assert site.secret not in stranger.get(SETTINGS)


def test_a_new_secret_is_made_on_purpose_only(site: Site, desk: Browser) -> None:
    before = site.secret
    action = {"action": "digest_newsletter_new_secret"}
    assert desk.post("/wp-admin/admin-post.php", action) == 403
    assert desk.post("/wp-admin/admin-post.php", {**action, "_wpnonce": "0123456789"}) == 403
    assert site.secret == before
    key = nonce(desk.get(SETTINGS), 'value="digest_newsletter_new_secret"')
    desk.post("/wp-admin/admin-post.php", {**action, "_wpnonce": key})
    assert site.secret != before and re.fullmatch(r"[0-9a-f]{64}", site.secret)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://recap.example.com/", "https://recap.example.com"),
        ("javascript:alert(1)", "https://before.example.com"),
        ("nothing", "https://before.example.com"),
        ("", ""),
    ],
)
def test_only_a_web_address_is_kept_as_the_service(site: Site, desk: Browser, typed: str, kept: str) -> None:
    name = "digest_newsletter_settings"
    site.server.fill({"options": {name: {"service": "https://before.example.com", "consent": ""}}})
    key = nonce(desk.get(SETTINGS), "option_page")
    fields = {f"{name}[service]": typed, f"{name}[consent]": "<b>Yes</b>", "option_page": "digest_newsletter"}
    desk.post("/wp-admin/options.php", {**fields, "action": "update", "_wpnonce": key})
    (row,) = site.server.run("SELECT option_value AS v FROM news_options WHERE option_name = %s", name)
    assert f'"{kept}"' in row["v"] and '"Yes"' in row["v"]


def test_the_plugin_is_php_without_mistakes() -> None:
    done = subprocess.run(["php", "-l", PLUGIN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_php_complains_of_nothing_in_the_plugin(site: Site) -> None:
    ask(site, site.secret)
    complaints = site.server.complaints.read_text() if site.server.complaints.exists() else ""
    assert [
        line for line in complaints.splitlines() if "digest-newsletter" in line or "digest_newsletter" in line
    ] == []
