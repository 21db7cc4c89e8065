"""A WordPress's tables in SQLite, as its schema has them (wp-admin/includes/schema.php), filled row by row."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

WARSAW = ZoneInfo("Europe/Warsaw")
_TABLES = """
CREATE TABLE wp_options (option_name TEXT UNIQUE, option_value TEXT);
CREATE TABLE wp_users (ID INTEGER PRIMARY KEY, user_pass TEXT, user_nicename TEXT, display_name TEXT);
CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY, post_author INTEGER, post_date TEXT, post_date_gmt TEXT,
  post_content TEXT, post_title TEXT, post_excerpt TEXT, post_status TEXT, post_password TEXT, post_name TEXT,
  post_type TEXT, post_mime_type TEXT);
CREATE TABLE wp_postmeta (meta_id INTEGER PRIMARY KEY, post_id INTEGER, meta_key TEXT, meta_value TEXT);
CREATE TABLE wp_terms (term_id INTEGER PRIMARY KEY, name TEXT, slug TEXT);
CREATE TABLE wp_term_taxonomy (term_taxonomy_id INTEGER PRIMARY KEY, term_id INTEGER, taxonomy TEXT, parent INTEGER);
CREATE TABLE wp_term_relationships (object_id INTEGER, term_taxonomy_id INTEGER);
"""
POPULAR_POSTS = """CREATE TABLE wp_popularpostssummary (ID INTEGER PRIMARY KEY, postid INTEGER, pageviews INTEGER,
  view_date TEXT, view_datetime TEXT)"""
JNEWS = """CREATE TABLE wp_popularpostssummary (ID INTEGER PRIMARY KEY, postid INTEGER, pageviews INTEGER,
  view_date TEXT, last_viewed TEXT, UNIQUE (postid, view_date))"""
POST_VIEWS = """CREATE TABLE wp_post_views (id INTEGER, type INTEGER, period TEXT, count INTEGER,
  PRIMARY KEY (type, period, id))"""


class WordPressDatabase:
    """One site. `counter` is the CREATE TABLE of its counter, or empty."""

    def __init__(self, folder: Path, counter: str = POPULAR_POSTS) -> None:
        self.path = folder / "wordpress.db"
        self.url = f"sqlite:///{self.path}"
        self._terms = 0
        with sqlite3.connect(self.path) as db:
            db.executescript(f"{_TABLES}{counter};")
            db.execute("INSERT INTO wp_users VALUES (7, 'hash', 'anna-nowak', 'Anna Nowak')")
        self.close(db)
        self.set("home", "https://news.example.com")
        self.set("siteurl", "https://news.example.com/cms")
        self.set("permalink_structure", "/%year%/%monthnum%/%postname%/")
        self.set("timezone_string", "Europe/Warsaw")

    def close(self, db: sqlite3.Connection) -> None:
        """Python leaves it open."""
        db.close()

    def run(self, statement: str, *values: Any) -> None:
        """Execute and commit."""
        with sqlite3.connect(self.path) as db:
            db.execute(statement, values)
        self.close(db)

    def set(self, option: str, value: str) -> None:
        """An option."""
        self.run("INSERT OR REPLACE INTO wp_options VALUES (?, ?)", option, value)

    def publish(self, number: int, at: datetime, **more: Any) -> None:
        """A post with the id `number`."""
        row = {
            "ID": number,
            "post_author": 7,
            "post_date": f"{at.astimezone(WARSAW):%Y-%m-%d %H:%M:%S}",
            "post_date_gmt": f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "post_content": "<p>Words.</p>",
            "post_title": f"Article {number}",
            "post_excerpt": "",
            "post_status": "publish",
            "post_password": "",
            "post_name": f"article-{number}",
            "post_type": "post",
            "post_mime_type": "",
        } | more
        self.run(f"INSERT INTO wp_posts ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())

    def term(
        self, name: str, slug: str, taxonomy: str = "category", parent: int = 0, posts: tuple[int, ...] = ()
    ) -> int:
        """A category or tag, and the posts it is on."""
        self._terms += 1
        self.run("INSERT INTO wp_terms VALUES (?, ?, ?)", self._terms, name, slug)
        taxonomy_id = 100 + self._terms
        self.run("INSERT INTO wp_term_taxonomy VALUES (?, ?, ?, ?)", taxonomy_id, self._terms, taxonomy, parent)
        for post in posts:
            self.run("INSERT INTO wp_term_relationships VALUES (?, ?)", post, taxonomy_id)
        return self._terms

    def meta(self, post: int, key: str, value: str) -> None:
        """A field of a post."""
        self.run("INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (?, ?, ?)", post, key, value)

    def view(self, post: int, local: str, views: int = 1) -> None:
        """What WP Popular Posts writes down."""
        query = "INSERT INTO wp_popularpostssummary (postid, pageviews, view_date, view_datetime) VALUES (?, ?, ?, ?)"
        self.run(query, post, views, local[:10], local)

    def day(self, post: int, day: str, views: int) -> None:
        """What JNews writes down."""
        self.run("INSERT INTO wp_popularpostssummary (postid, pageviews, view_date) VALUES (?, ?, ?)", post, views, day)

    def period(self, post: int, period: str, views: int, kind: int = 0) -> None:
        """What Post Views Counter writes down."""
        self.run("INSERT INTO wp_post_views VALUES (?, ?, ?, ?)", post, kind, period, views)
