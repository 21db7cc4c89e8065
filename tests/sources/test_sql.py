"""Articles and views out of databases: SQLite and PostgreSQL here; MariaDB, with a real WordPress, in tests/real."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from digest.config.sources import SqlSource
from digest.domain.articles import FoundArticle, Harvest, Image, LifetimeTotal, ViewCount
from digest.errors import SourceError
from digest.sources import Reading
from digest.sources.sql import Sql
from tests.servers import free_port
from tests.servers.postgres import Postgres
from tests.sources.conftest import NOW
from tests.sources.wordpress_database import JNEWS, POST_VIEWS, WordPressDatabase

SITE = "https://news.example.com"
WARSAW = ZoneInfo("Europe/Warsaw")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERYTHING = "SELECT url, at, views FROM hits"
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def collect(url: str, now: datetime = NOW, *, since: datetime | None = None, **section: Any) -> Harvest:
    remembered = section.pop("remembered", {})
    source = Sql(SqlSource(name="counter", kind="sql", url=url, **section), SITE, WARSAW)
    return asyncio.run(source.collect(Reading(now, since=since, remembered=remembered)))


def refused(url: str, **section: Any) -> str:
    with pytest.raises(SourceError) as caught:
        collect(url, **section)
    assert caught.value.source == "counter"
    return str(caught.value)


def database(folder: Path, *statements: str) -> str:
    with sqlite3.connect(folder / "site.db") as db:
        for statement in statements:
            db.executescript(statement)
    db.close()
    return f"sqlite:///{folder}/site.db"


def hits(folder: Path, *rows: tuple[str, Any, Any]) -> str:
    url = database(folder, "CREATE TABLE hits (url, at, views)")
    with sqlite3.connect(folder / "site.db") as db:
        db.executemany("INSERT INTO hits VALUES (?, ?, ?)", rows)
    db.close()
    return url


# --- The operator's own queries


def test_articles_come_with_the_columns_of_a_file(tmp_path: Path) -> None:
    url = database(
        tmp_path,
        "CREATE TABLE story (id, headline, published, lead, picture, rubric, byline, words, shared);"
        "INSERT INTO story VALUES (7, 'Tea &amp; coffee', '2026-11-27 18:30:00', 'Why', '/t.jpg', 'Food', 'Anna',"
        "'a;b', 3);"
        "INSERT INTO story VALUES (8, 'Tomorrow', '2026-12-24', '', '', '', '', '', NULL)",
    )
    query = (
        "-- our own\nSELECT '/story/' || id AS url, headline AS title, published AS Published_At, lead AS summary, "
        "picture AS image, rubric AS section, byline AS author, words AS tags, shared AS shares FROM story ORDER BY id;"
    )
    harvest = collect(url, articles=query)
    assert harvest.articles == (
        FoundArticle(
            f"{SITE}/story/7",
            "Tea & coffee",
            datetime(2026, 11, 27, 17, 30, tzinfo=UTC),
            "Why",
            Image(f"{SITE}/t.jpg"),
            "Food",
            "Anna",
            ("a", "b"),
            3,
        ),
    )
    assert "future" in harvest.notes[0]


def test_lifetime_counters_come_by_a_query_of_their_own(tmp_path: Path) -> None:
    url = database(tmp_path, "CREATE TABLE story (path, hits); INSERT INTO story VALUES ('/a', 7), ('/b', 5000000000)")
    harvest = collect(url, totals="SELECT path AS url, hits AS total FROM story")
    assert harvest == Harvest(totals=(LifetimeTotal(f"{SITE}/a", 7), LifetimeTotal(f"{SITE}/b", 5_000_000_000)))
    empty = collect(url, totals="SELECT path AS url, hits AS total FROM story WHERE 0")
    assert empty == Harvest(notes=("the query for totals gave no row",))
    assert "query totals, row 1: total is" in refused(url, totals="SELECT path AS url, 'many' AS total FROM story")
    assert "total" in refused(url, totals="SELECT path AS url, hits FROM story")


def test_views_may_be_by_hour_or_by_day_and_come_in_many_forms_of_time(tmp_path: Path) -> None:
    url = hits(
        tmp_path,
        ("/a", "2026-11-27 18:20:00", 3),
        ("/a", "2026-11-27T17:59:59Z", 4),
        ("/a", "2026-11-27", 50.0),
        ("https://other.example/b", "2026-11-27T18:00+01:00", "6"),
    )
    hour, day = datetime(2026, 11, 27, 17, tzinfo=UTC), datetime(2026, 11, 26, 23, tzinfo=UTC)
    assert collect(url, views=EVERYTHING).views == (
        ViewCount(f"{SITE}/a", hour, HOUR, 3),
        ViewCount(f"{SITE}/a", hour, HOUR, 4),  # added to the one above when they are stored
        ViewCount(f"{SITE}/a", day, DAY, 50),
        ViewCount("https://other.example/b", hour, HOUR, 6),
    )


def test_the_first_reading_asks_for_five_weeks_and_later_ones_for_two_days_more(tmp_path: Path) -> None:
    url = hits(tmp_path)
    shown = (
        "SELECT '/' || :since || '|' || :until || '|' || :since_local || '|' || :until_local || '|' || :since_day "
        "|| '|' || :until_day AS url, :until_day AS at, 1 AS views"
    )
    first = collect(url, views=shown).views[0].url
    assert first.removeprefix(f"{SITE}/").replace("%20", " ").split("|") == [
        *("2026-10-23 22:00:00", "2026-11-28 07:00:00"),  # a local midnight, in summer time
        *("2026-10-24 00:00:00", "2026-11-28 08:00:00", "2026-10-24", "2026-11-28"),
    ]
    later = collect(url, views=shown, since=NOW - HOUR).views[0].url
    assert later.startswith(f"{SITE}/2026-11-25%2023:00:00|")


def test_what_begins_before_the_span_or_after_now_is_not_counted(tmp_path: Path) -> None:
    # A query that looks at the end of a bucket would give its first one by halves.
    rows = [("/a", "2026-11-25", 1), ("/a", "2026-11-26", 2), ("/a", "2026-11-28T09:00+01:00", 4)]
    harvest = collect(hits(tmp_path, *rows), views=EVERYTHING, since=NOW - HOUR)
    assert [each.views for each in harvest.views] == [2]
    assert harvest.notes == ("1 counts left out: they are of the future",)


def test_a_table_without_rows_says_that_nothing_was_counted(tmp_path: Path) -> None:
    url = database(tmp_path, "CREATE TABLE hits (url, at, views); CREATE TABLE story (url, title, published_at)")
    harvest = collect(url, views=EVERYTHING, articles="SELECT * FROM story")
    assert (harvest.views, harvest.articles) == ((), ())
    assert harvest.notes == (
        "the query for articles gave no row",
        "the query for views counted nothing from 2026-10-24 00:00 to 2026-11-28 08:00",
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("/a", "yesterday", 1), "query views, row 1: at is 'yesterday'"),
        (("/a", None, 1), "row 1: at is"),
        (("/a", "2026-11-27", -1), "views is -1, which cannot be"),
        (("/a", "2026-11-27", 10**12), "views is 1000000000000, which cannot be"),
        (("/a", "2026-11-27", 1.5), "views is '1.5'"),
        (("/a", "2026-11-27", "many"), "views is 'many'"),
        (("/a", "2026-11-27", None), "views is 'None'"),
        (("", "2026-11-27", 1), "the url is empty"),
        (("javascript:alert(1)", "2026-11-27", 1), "not a web address"),
        (("/a", b"2026-11-\xff", 1), "row 1: at is"),
    ],
)
def test_one_row_that_cannot_be_refuses_all(tmp_path: Path, row: tuple[str, Any, Any], words: str) -> None:
    assert words in refused(hits(tmp_path, row), views=EVERYTHING)


def test_ten_thousand_rows_are_read(tmp_path: Path) -> None:
    rows = [(f"/{n}", "2026-11-27", n) for n in range(10_000)]
    assert sum(each.views for each in collect(hits(tmp_path, *rows), views=EVERYTHING).views) == sum(range(10_000))


def test_rows_without_end_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digest.sources.sql_session.MAX_ROWS", 2500)
    endless = f"{ENDLESS} SELECT '/a' AS url, '2026-11-27' AS at, i AS views FROM n"
    assert "more than 2,500 rows" in refused(hits(tmp_path), views=endless)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DELETE FROM hits", "the query is no SELECT"),
        ("PRAGMA query_only = OFF", "the query is no SELECT"),
        ("/* SELECT */ UPDATE hits SET views = 1", "the query is no SELECT"),
        ("WITH a AS (SELECT 1) DELETE FROM hits", "the query wants to write"),
        ("SELECT url, at FROM hits", "no column views; found: url, at"),
        ("SELECT url, at, views FROM visits", "there is no such table (no such table: visits)"),
        ("SELECT url, at, count FROM hits", "there is no such column (no such column: count)"),
        ("SELECT url at views FROM hits", "it does not understand the query"),
        ("SELECT url, at, views FROM hits WHERE at > :from_", "asks for :from_. Known are :since, "),
    ],
)
def test_a_query_that_cannot_be_run_says_why(tmp_path: Path, query: str, words: str) -> None:
    url = hits(tmp_path, ("/a", "2026-11-27", 1))
    assert words in refused(url, views=query)
    assert len(collect(url, views=EVERYTHING).views) == 1


def test_a_query_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    slow = f"{ENDLESS} SELECT '/a' AS url, '2026-11-27' AS at, MAX(i) AS views FROM n"
    assert "no full answer within 0.2 seconds" in refused(hits(tmp_path), views=slow, timeout=timedelta(seconds=0.2))


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert "there is no such file" in refused(f"sqlite:///{tmp_path}/none.db", views=EVERYTHING)
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at" * 30)
    message = refused(f"sqlite:///{tmp_path}/text.db", views=EVERYTHING)
    assert f"sqlite:///{tmp_path}/text.db" in message and "no SQLite database" in message


@pytest.mark.parametrize(
    "url",
    ["not a url", "oracle://anna:s3cret@db/x", "nothing://anna:s3cret@db/x", "mysql+pymysql://anna:s3cret@db:port/x"],
)
def test_a_url_that_leads_to_no_database_is_refused_without_its_password(url: str) -> None:
    message = refused(url, views=EVERYTHING)
    assert "none of a database that can be read" in message and "s3cret" not in message


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    for scheme in ("mysql", "postgresql"):
        message = refused(f"{scheme}://anna:s3cret@127.0.0.1:{free_port()}/site", views=EVERYTHING)
        assert "it cannot be reached" in message and f"{scheme}://127.0.0.1:" in message
        assert "s3cret" not in message


# --- PostgreSQL


@pytest.fixture
def site(postgres: Postgres) -> str:
    url = postgres.new_database()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:
        db.execute("CREATE TABLE hits (url text, seen timestamptz, local timestamp, day date, n numeric)")
        moment = datetime(2026, 11, 27, 17, 40, tzinfo=UTC)
        local = moment.astimezone(WARSAW).replace(tzinfo=None)
        db.execute("INSERT INTO hits VALUES ('/a', %s, %s, %s, 5)", (moment, local, date(2026, 11, 27)))
        db.execute("INSERT INTO hits VALUES ('/old', '2026-10-23 21:59Z', '2026-10-23 23:59', '2026-10-23', 1)")
    return url


@pytest.mark.parametrize(
    ("at", "bucket"),
    [
        ("seen", (datetime(2026, 11, 27, 17, tzinfo=UTC), HOUR)),
        ("local", (datetime(2026, 11, 27, 17, tzinfo=UTC), HOUR)),
        ("day", (datetime(2026, 11, 26, 23, tzinfo=UTC), DAY)),
        ("seen::text", (datetime(2026, 11, 27, 17, tzinfo=UTC), HOUR)),
    ],
)
def test_in_postgresql_instants_local_times_and_dates_compare_with_the_span(site: str, at: str, bucket: Any) -> None:
    column = at.partition("::")[0]
    query = (
        f"SELECT url, {at} AS at, SUM(n) AS views FROM hits WHERE {column} >= :since AND {column} < :until "
        "AND url NOT LIKE '%x%' GROUP BY 1, 2"
    )
    assert collect(site, views=query).views == (ViewCount(f"{SITE}/a", *bucket, 5),)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("WITH gone AS (DELETE FROM hits RETURNING *) SELECT url, seen AS at, n AS views FROM gone", "wants to write"),
        ("SELECT url, seen AS at, n AS views FROM visits", "there is no such table"),
        ("SELECT url, seen AS at, m AS views FROM hits", "there is no such column"),
        ("SELECT url seen n FROM hits", "does not understand"),
        ("SELECT '/a' AS url, now() AS at, 1 AS views FROM pg_sleep(20)", "the query takes too long|no full answer"),
    ],
)
def test_in_postgresql_a_query_that_cannot_be_run_says_why(site: str, query: str, words: str) -> None:
    message = refused(site, views=query, timeout=timedelta(seconds=1 if "sleep" in query else 30))
    assert any(each in message for each in words.split("|")), message


def test_in_postgresql_a_missing_database_or_user_is_named(postgres: Postgres) -> None:
    assert "there is no such database" in refused(postgres.url("nowhere"), views=EVERYTHING)
    stranger = postgres.url().replace("postgres@", "stranger:s3cret@")
    message = refused(stranger, views=EVERYTHING)
    assert "s3cret" not in message and "stranger" in message


# --- WordPress's tables


def read(wordpress: WordPressDatabase, preset: str = "popular-posts", **more: Any) -> Harvest:
    return collect(wordpress.url, preset=preset, **more)


def test_a_post_is_read_whole_with_its_picture_in_the_size_a_mail_needs(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(
        12,
        NOW - DAY,
        post_title="Tea &amp; <em>coffee</em>: 5 < 6",
        post_excerpt="<p>Why tea [&hellip;]</p>",
        post_name="tea",
    )
    wordpress.term("Uncategorized", "uncategorized", posts=(12,))
    wordpress.term("City &amp; region", "city", posts=(12,))
    wordpress.term("tram", "tram", "post_tag", posts=(12,))
    wordpress.publish(40, NOW, post_type="attachment", post_status="inherit", post_mime_type="image/jpeg")
    wordpress.meta(12, "_thumbnail_id", "40")
    wordpress.meta(40, "_wp_attached_file", "2026/11/tea-scaled.jpg")
    wordpress.meta(40, "_wp_attachment_image_alt", "A cup &amp; a pot – ażur")
    size = 'a:4:{s:4:"file";s:%d:"%s";s:5:"width";i:%d;s:6:"height";i:%d;s:9:"mime-type";s:10:"image/jpeg";}'
    large, square = size % (16, "tea-1024x576.jpg", 1024, 576), size % (15, "tea-150x150.jpg", 150, 150)
    wordpress.meta(
        40,
        "_wp_attachment_metadata",
        f'a:4:{{s:5:"width";i:2560;s:6:"height";i:1440;s:4:"file";s:22:"2026/11/tea-scaled.jpg";s:5:"sizes";a:2:{{'
        f's:5:"large";{large}s:9:"thumbnail";{square}}}}}',
    )
    wordpress.view(12, "2026-11-27 18:30:00")
    harvest = read(wordpress)
    assert harvest.notes == ()
    assert harvest.articles == (
        FoundArticle(
            url=f"{SITE}/2026/11/tea/",
            title="Tea & coffee: 5 < 6",
            published_at=NOW - DAY,
            summary="Why tea…",
            image=Image(f"{SITE}/cms/wp-content/uploads/2026/11/tea-1024x576.jpg", "A cup & a pot – ażur", 1024, 576),
            section="City & region",
            author="Anna Nowak",
            tags=("tram",),
        ),
    )


def test_what_nobody_can_read_is_no_article_and_has_no_views(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    for number, more in enumerate(
        [{}, {"post_status": "draft"}, {"post_password": "x"}, {"post_type": "page"}, {"post_title": ""}], start=1
    ):
        wordpress.publish(number, NOW - DAY, **more)
        wordpress.view(number, "2026-11-27 10:00:00")
    harvest = read(wordpress)
    assert [article.title for article in harvest.articles] == ["Article 1"]
    assert harvest.notes == ("post 5 left out: it has no title",)
    assert {each.url for each in harvest.views} == {f"{SITE}/2026/11/article-1/", f"{SITE}/2026/11/article-5/"}


def test_words_of_the_article_stand_in_for_an_excerpt(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(1, NOW - DAY, post_content='<!-- wp:paragraph --><p>[caption id="x"]One two.[/caption] Three</p>')
    wordpress.publish(2, NOW - DAY, post_content="<p>" + "word " * 80 + "</p>")
    short, long = (article.summary for article in read(wordpress).articles)
    assert short == "One two. Three"
    assert long.split() == ["word"] * 54 + ["word…"]


def test_popular_posts_are_counted_by_the_hour_in_local_time(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(1, NOW - DAY)
    wordpress.publish(2, NOW - 400 * DAY)
    for local, views in (("2026-11-27 18:05:00", 1), ("2026-11-27 18:59:59", 2), ("2026-11-28 07:30:00", 1)):
        wordpress.view(1, local, views)
    wordpress.view(2, "2026-11-21 09:00:00", 9)
    wordpress.view(3, "2026-11-21 09:00:00", 9)  # its post is gone
    wordpress.view(1, "2026-09-01 09:00:00", 100)
    harvest = read(wordpress)
    page, old = f"{SITE}/2026/11/article-1/", f"{SITE}/2025/10/article-2/"
    assert set(harvest.views) == {
        ViewCount(page, datetime(2026, 11, 27, 17, tzinfo=UTC), HOUR, 3),
        ViewCount(page, datetime(2026, 11, 28, 6, tzinfo=UTC), HOUR, 1),
        ViewCount(old, datetime(2026, 11, 21, 8, tzinfo=UTC), HOUR, 9),
    }
    assert {article.url for article in harvest.articles} == {page, old}  # an old one that is read again is an article
    assert harvest.notes == ()


def test_the_hour_that_comes_twice_is_one_bucket_of_two_hours(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(1, NOW - DAY)
    wordpress.view(1, "2026-10-25 02:30:00", 7)
    wordpress.view(1, "2026-11-28 00:30:00", 1)
    assert (
        ViewCount(f"{SITE}/2026/11/article-1/", datetime(2026, 10, 25, 0, tzinfo=UTC), 2 * HOUR, 7)
        in read(wordpress).views
    )


def test_jnews_counts_whole_local_days(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path, JNEWS)
    wordpress.publish(1, NOW - DAY)
    wordpress.day(1, "2026-11-27", 40)
    wordpress.day(1, "2026-10-25", 5)
    assert set(read(wordpress, "jnews").views) == {
        ViewCount(f"{SITE}/2026/11/article-1/", datetime(2026, 11, 26, 23, tzinfo=UTC), DAY, 40),
        ViewCount(f"{SITE}/2026/11/article-1/", datetime(2026, 10, 24, 22, tzinfo=UTC), 25 * HOUR, 5),
    }


def test_a_row_a_day_gives_no_hours_though_it_has_a_time(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path, JNEWS.replace("last_viewed", "view_datetime"))
    wordpress.publish(1, NOW - DAY)
    wordpress.view(1, "2026-11-27 23:59:00", 40)
    (count,) = read(wordpress, "jnews").views
    assert (count.at, count.span) == (datetime(2026, 11, 26, 23, tzinfo=UTC), DAY)


@pytest.mark.parametrize(
    ("setting", "at"),
    [
        ("", datetime(2026, 11, 27, tzinfo=UTC)),
        ('a:2:{s:4:"mode";s:2:"js";s:10:"count_time";s:3:"gmt";}', datetime(2026, 11, 27, tzinfo=UTC)),
        ('a:2:{s:4:"mode";s:2:"js";s:10:"count_time";s:5:"local";}', datetime(2026, 11, 26, 23, tzinfo=UTC)),
    ],
)
def test_post_views_counter_counts_days_of_utc_unless_it_is_told_otherwise(
    tmp_path: Path, setting: str, at: datetime
) -> None:
    wordpress = WordPressDatabase(tmp_path, POST_VIEWS)
    wordpress.set("post_views_counter_settings_general", setting)
    wordpress.publish(1, NOW - DAY)
    for period, kind in (("20261127", 0), ("202648", 1), ("202611", 2), ("2026", 3), ("total", 4)):
        wordpress.period(1, period, 30 + kind, kind)
    assert read(wordpress, "post-views-counter").views == (ViewCount(f"{SITE}/2026/11/article-1/", at, DAY, 30),)


def test_a_counter_that_stopped_or_never_began_is_told(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(1, NOW - DAY)
    assert read(wordpress).notes == ("WP Popular Posts has not counted anything yet",)
    wordpress.view(1, "2026-11-26 12:00:00")
    assert read(wordpress).notes == ("WP Popular Posts counted last on 2026-11-26: it seems to be switched off",)
    wordpress.view(999, "2026-11-27 12:00:00")
    assert read(wordpress, since=NOW).notes == ()
    wordpress.run("DELETE FROM wp_popularpostssummary WHERE postid = 1")
    assert read(wordpress, since=NOW).notes == ("WP Popular Posts counted nothing from 2026-11-26 to 2026-11-28",)


def test_sampled_counts_are_called_estimates(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    sampling = 'a:2:{s:6:"active";b:1;s:4:"rate";i:100;}'
    wordpress.set("wpp_settings_config", f'a:1:{{s:5:"tools";a:1:{{s:8:"sampling";{sampling}}}}}')
    wordpress.publish(1, NOW - DAY)
    wordpress.view(1, "2026-11-28 07:00:00", 100)
    assert read(wordpress).notes == ("WP Popular Posts looks at one view in 100 only: its numbers are estimates",)


def test_an_odd_count_is_left_out_and_named(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(1, NOW - DAY)
    wordpress.view(1, "2026-11-28 07:00:00", 5)
    wordpress.view(1, "2026-11-28 06:00:00", -5)
    wordpress.view(1, "2026-11-28 05:00:00", 10**12)
    wordpress.view(1, "0000-00-00 00:00:00", 5)
    harvest = read(wordpress)
    assert [each.views for each in harvest.views] == [5]
    assert len(harvest.notes) == 2 and all("cannot be" in note for note in harvest.notes)


def test_days_and_hours_of_one_counter_are_never_both_stored(tmp_path: Path) -> None:
    """JNews 9 becomes JNews 11: what was stored by the day stays so, and hours begin the next day."""
    wordpress = WordPressDatabase(tmp_path, JNEWS)
    wordpress.publish(1, NOW - DAY)
    wordpress.day(1, "2026-11-27", 40)
    first = read(wordpress, "jnews")
    wordpress.run("DROP TABLE wp_popularpostssummary")
    wordpress.run(
        "CREATE TABLE wp_popularpostssummary (ID INTEGER PRIMARY KEY, postid, pageviews, view_date, view_datetime)"
    )
    for local in ("2026-11-27 10:00:00", "2026-11-27 11:00:00", "2026-11-28 06:00:00"):
        wordpress.view(1, local, 20)
    later = read(wordpress, "jnews", since=NOW, remembered=dict(first.remembered))
    assert {(each.at, each.span, each.views) for each in later.views} == {
        (datetime(2026, 11, 26, 23, tzinfo=UTC), DAY, 40),
        (datetime(2026, 11, 27, 23, tzinfo=UTC), DAY, 20),
    }
    assert "JNews View Counter counts in another way now: by the hour from 2026-11-29 on" in later.notes
    wordpress.view(1, "2026-11-29 06:00:00", 3)
    remembered = dict(later.remembered)
    next_day = read(wordpress, "jnews", now=NOW + DAY, since=NOW, remembered=remembered)
    assert (datetime(2026, 11, 29, 5, tzinfo=UTC), HOUR, 3) in {
        (each.at, each.span, each.views) for each in next_day.views
    }


@pytest.mark.parametrize(
    ("structure", "path"),
    [
        ("/%postname%/", "/tea/"),
        ("/%postname%", "/tea"),
        ("/%year%/%monthnum%/%day%/%postname%.html", "/2026/11/27/tea.html"),
        ("/%hour%-%minute%-%second%/%post_id%/", "/08-00-00/12/"),
        ("/archives/%post_id%", "/archives/12"),
        ("/index.php/%author%/%postname%/", "/index.php/anna-nowak/tea/"),
        ("/%category%/%postname%/", "/news/city/tea/"),
        ("", "/?p=12"),
        ("/%our_own_tag%/%postname%/", "/?p=12"),
    ],
)
def test_addresses_are_made_as_wordpress_makes_them(tmp_path: Path, structure: str, path: str) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.set("permalink_structure", structure)
    wordpress.publish(12, NOW - DAY, post_name="tea")
    news = wordpress.term("News", "news")
    wordpress.term("City", "city", parent=news, posts=(12,))
    wordpress.term("A later one", "later", posts=(12,))
    wordpress.view(12, "2026-11-28 06:00:00")
    harvest = read(wordpress)
    assert harvest.articles[0].url == harvest.views[0].url == SITE + path
    assert any("addresses are plain" in note for note in harvest.notes) == path.startswith("/?p=")


def test_a_post_without_category_has_the_default_one_in_its_address(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.set("permalink_structure", "/%category%/%postname%/")
    wordpress.set("default_category", str(wordpress.term("Other", "other")))
    wordpress.publish(12, NOW - DAY, post_name="tea")
    assert read(wordpress).articles[0].url == f"{SITE}/other/tea/"


def test_a_preset_without_its_table_says_what_is_missing(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    assert "there is no such table (no such table: wp_post_views)" in refused(
        wordpress.url, preset="post-views-counter"
    )
    assert "no such table: news_options" in refused(wordpress.url, preset="popular-posts", prefix="news_")


def test_a_site_known_by_another_name_is_told(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.set("home", "https://old.example.com")
    wordpress.publish(1, NOW - DAY)
    wordpress.view(1, "2026-11-28 07:00:00")
    assert "WordPress calls itself https://old.example.com" in read(wordpress).notes[0]


def test_queries_of_ones_own_may_stand_beside_a_preset(tmp_path: Path) -> None:
    wordpress = WordPressDatabase(tmp_path)
    wordpress.publish(1, NOW - DAY)
    wordpress.view(1, "2026-11-28 07:00:00")
    mine = "SELECT '/mine' AS url, :until_day AS at, 5 AS views"
    assert {each.views for each in read(wordpress, views=mine).views} == {1, 5}
