"""A WordPress's own tables (6.x), and those of its view counters: for sites whose REST API is shut.

Read are posts of the type `post` that everybody may read. WP Popular Posts 7.3 and JNews View Counter 2 to 11 share
{prefix}popularpostssummary, with local times: a row a view with `view_datetime`, or one a day (a unique key over
postid and view_date). Post Views Counter 1.7 has {prefix}post_views: `type` 0 is a day, by UTC unless its setting
`count_time` says local.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from digest.errors import SourceError
from digest.sources.counters import Count, Plan, count_of, site_zone, whole
from digest.sources.permalinks import Permalinks
from digest.sources.php_values import php_value, within
from digest.sources.sql_session import Session

POPULAR_POSTS, JNEWS, POST_VIEWS = "popular-posts", "jnews", "post-views-counter"
NAMES = {POPULAR_POSTS: "WP Popular Posts", JNEWS: "JNews View Counter", POST_VIEWS: "Post Views Counter"}
_OPTIONS = (
    *("home", "siteurl", "permalink_structure", "timezone_string", "gmt_offset", "default_category"),
    *("upload_path", "upload_url_path", "wpp_settings_config", "post_views_counter_settings_general"),
)
_MANY = 500  # ids in one query
_CONTENT = 20_000  # characters of an article that are looked at for its first words
_PUBLIC = "p.post_type = 'post' AND p.post_status = 'publish' AND p.post_password = ''"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter's table as it is here."""

    name: str
    zone: tzinfo
    grain: str
    newest: date | None
    sampling: int = 1  # so many views are written down for one that was looked at


@dataclass(slots=True)
class Tables:
    """The tables of one site. `settings` are its options by name, as far as the user may see them."""

    session: Session
    prefix: str
    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def read_settings(self) -> None:
        """Look at the options. A user who may not read them gets plain addresses and UTC, and is told so."""
        names = ", ".join(f"'{name}'" for name in _OPTIONS)
        query = f"SELECT option_name, option_value FROM {self._of('options')} WHERE option_name IN ({names})"
        try:
            found = {str(row["option_name"]): str(row["option_value"] or "") for row in self.session.rows(query)}
        except SourceError as error:
            if "may not read" not in error.reason:
                raise
            found = {}
            self.notes.append(
                f"{self.prefix}options may not be read: addresses are plain (?p=ID) and days those of UTC"
            )
        self.settings = found

    @property
    def zone(self) -> tzinfo:
        """The zone of the site's local times."""
        return site_zone(self.settings)

    def counter(self, preset: str) -> Counter:
        """How a counter counts here. Raises SourceError when its table is not there."""
        if preset == POST_VIEWS:
            options = php_value(self.settings.get("post_views_counter_settings_general", ""))
            zone = self.zone if within(options, "count_time") == "local" else UTC
            row = self._only(f"SELECT MAX(v.period) AS newest FROM {self._of('post_views')} v WHERE v.type = 0")
            return Counter(NAMES[preset], zone, "day", _day(row["newest"]))
        table = f"{self.prefix}popularpostssummary"
        by_hour = "view_datetime" in self.session.columns(table)
        if by_hour and self.session.is_unique(table, "postid", "view_date"):
            by_hour = False  # one row a day, and `view_datetime` is that of its last view
        row = self._only(f"SELECT MAX(view_date) AS newest FROM {self.session.quoted(table)}")
        sampling = within(php_value(self.settings.get("wpp_settings_config", "")), "tools", "sampling")
        rate = within(sampling, "rate") if preset == POPULAR_POSTS and within(sampling, "active") else 1
        return Counter(NAMES[preset], self.zone, "hour" if by_hour else "day", _day(row["newest"]), whole(rate or 1))

    def counts(self, preset: str, plan: Plan) -> Iterator[Count]:
        """Every count of a plan's days; a row that cannot be one is left out and noted."""
        posts = f"INNER JOIN {self._of('posts')} p ON p.ID ="
        if preset == POST_VIEWS:
            query = f"""SELECT v.id AS id, v.period AS day, NULL AS hour, SUM(v.count) AS views
                FROM {self._of("post_views")} v {posts} v.id
                WHERE v.type = 0 AND v.period BETWEEN :first AND :last AND {_PUBLIC} GROUP BY v.id, v.period"""
            days = {"first": f"{plan.first:%Y%m%d}", "last": f"{plan.last:%Y%m%d}"}
        else:
            moment = "SUBSTR(CAST(v.view_datetime AS CHAR(19)), 1, 13)" if plan.grain == "hour" else "''"
            query = f"""SELECT v.postid AS id, v.view_date AS day, {moment} AS hour, SUM(v.pageviews) AS views
                FROM {self._of("popularpostssummary")} v {posts} v.postid
                WHERE v.view_date BETWEEN :first AND :last AND {_PUBLIC}
                GROUP BY v.postid, v.view_date, {moment}"""
            days = {"first": plan.first.isoformat(), "last": plan.last.isoformat()}
        for row in self.session.rows(query, days, "counts"):
            try:
                yield count_of(_cut(row))
            except ValueError as error:
                self.notes.append(f"left out: {error}")

    def posts(self, published_since: datetime, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The rows of posts published since then, and of those with these ids, by id."""
        columns = "p.ID AS id, p.post_name, p.post_title, p.post_author, p.post_date, p.post_date_gmt, p.post_excerpt"
        columns += f", SUBSTR(p.post_content, 1, {_CONTENT}) AS content"
        # Imported posts may lack the time in UTC: local time less a day is surely early enough.
        first = {"since": f"{published_since - timedelta(days=1):%Y-%m-%d %H:%M:%S}"}
        query = f"SELECT {columns} FROM {self._of('posts')} p WHERE p.post_date >= :since AND {_PUBLIC}"
        found = {whole(row["id"]): row for row in self.session.rows(query, first, "posts")}
        for row in self._by_ids(columns, f"{self._of('posts')} p", "p.ID", set(ids) - set(found), _PUBLIC):
            found[whole(row["id"])] = row
        return found

    def addresses(self, ids: Iterable[int]) -> list[dict[str, Any]]:
        """What the addresses of posts are made of."""
        columns = "p.ID AS id, p.post_name, p.post_author, p.post_date"
        return list(self._by_ids(columns, f"{self._of('posts')} p", "p.ID", ids, _PUBLIC))

    def permalinks(self, site_url: str) -> Permalinks:
        """How addresses are made here."""
        home = self.settings.get("home") or site_url
        links = Permalinks(home, self.settings.get("permalink_structure", ""))
        if links.unknown:
            self.notes.append(f"addresses are plain (?p=ID): {links.unknown[0]} is a plugin's own")
        elif not links.structure and self.settings:
            self.notes.append("addresses are plain (?p=ID): that is how the site is set up")
        if links.is_plain or not links.asks_for("%category%"):
            return links
        rows = list(self.session.rows(self._terms("x.taxonomy = 'category'"), what="categories"))
        slugs = {whole(row["term"]): str(row["slug"]) for row in rows}
        parents = {whole(row["term"]): whole(row["parent"]) for row in rows}
        return Permalinks(home, links.structure, slugs, parents, int(self.settings.get("default_category") or 0))

    def terms(self, ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
        """Categories and tags by post, in the order of their names."""
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        source = f"""{self._of("term_relationships")} r
            INNER JOIN {self._of("term_taxonomy")} x ON x.term_taxonomy_id = r.term_taxonomy_id
            INNER JOIN {self._of("terms")} t ON t.term_id = x.term_id"""
        columns = "r.object_id AS id, t.term_id AS term, t.name, x.taxonomy"
        where = "x.taxonomy IN ('category', 'post_tag') ORDER BY t.name"
        for row in self._by_ids(columns, source, "r.object_id", ids, where):
            found[whole(row["id"])].append(row)
        return found

    def authors(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Names by user id; none when the user may not read that table, as its passwords are a good reason."""
        # All sites of a network share the users of the first one.
        for prefix in dict.fromkeys((self.prefix, re.sub(r"\d+_$", "", self.prefix))):
            table = self.session.quoted(f"{prefix}users")
            try:
                rows = list(self._by_ids("u.ID AS id, u.display_name, u.user_nicename", f"{table} u", "u.ID", ids))
                return {whole(row["id"]): row for row in rows}
            except SourceError as error:
                trouble = error
        self.notes.append(f"no authors: {trouble.reason}")
        return {}

    def meta(self, ids: Iterable[int], *keys: str) -> dict[int, dict[str, str]]:
        """Fields of posts or pictures, by id and name."""
        found: dict[int, dict[str, str]] = defaultdict(dict)
        names = ", ".join(f"'{key}'" for key in keys)
        columns = "m.post_id AS id, m.meta_key, m.meta_value"
        for row in self._by_ids(columns, f"{self._of('postmeta')} m", "m.post_id", ids, f"m.meta_key IN ({names})"):
            found[whole(row["id"])].setdefault(str(row["meta_key"]), str(row["meta_value"] or ""))
        return found

    def kinds(self, ids: Iterable[int]) -> dict[int, str]:
        """What kind of file an attachment is, as image/jpeg."""
        rows = self._by_ids("p.ID AS id, p.post_mime_type AS kind", f"{self._of('posts')} p", "p.ID", ids)
        return {whole(row["id"]): str(row["kind"] or "") for row in rows}

    def _terms(self, where: str) -> str:
        return f"""SELECT t.term_id AS term, t.slug, x.parent FROM {self._of("terms")} t
            INNER JOIN {self._of("term_taxonomy")} x ON x.term_id = t.term_id WHERE {where}"""

    def _by_ids(
        self, columns: str, source: str, key: str, ids: Iterable[int], where: str = "1 = 1"
    ) -> Iterator[dict[str, Any]]:
        for some in _chunks(sorted(set(ids))):
            numbers = ", ".join(map(str, some))
            yield from self.session.rows(f"SELECT {columns} FROM {source} WHERE {key} IN ({numbers}) AND {where}")

    def _only(self, query: str) -> dict[str, Any]:
        (row,) = self.session.rows(query)
        return row

    def _of(self, table: str) -> str:
        return self.session.quoted(f"{self.prefix}{table}")


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(ids), _MANY):
        yield ids[at : at + _MANY]


def _cut(row: dict[str, Any]) -> dict[str, Any]:
    """A day as text, and the hour when it is one of that day."""
    day = str(row["day"])
    day = f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 else day
    moment = str(row["hour"] or "")
    return {**row, "day": day, "hour": moment[11:] if moment.startswith(f"{day} ") else None}


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
