"""A WordPress of paper: posts and a log of views, answering as WordPress and WP Popular Posts document it.

The windows of WP Popular Posts are counted from the log as the plugin counts them: it writes down local times and
compares them as text with the local time so many times sixty seconds before its own local "now".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.sources.web import Answer, Asked, Web

POPULAR = "wordpress-popular-posts/v1"


@dataclass
class Site:
    """What the site holds. `clock` is the time by its own clock; `views` are (post id, moment)."""

    web: Web
    zone: ZoneInfo
    clock: Callable[[], datetime]
    posts: list[dict[str, Any]] = field(default_factory=list)
    views: list[tuple[int, datetime]] = field(default_factory=list)
    popular: bool = True
    _written: list[str] = field(default_factory=list)  # the local time of each view

    def __post_init__(self) -> None:
        link = f'<{self.web.url}/wp-json/>; rel="https://api.w.org/", <{self.web.url}/?p=1>; rel=shortlink'
        self.web.says("/", Answer("<html>", headers={"Link": link}))
        self.web.routes["/wp-json/"] = lambda _: Answer(self.index())
        self.web.routes["/wp-json/wp/v2/posts"] = self.answer_posts
        self.web.routes[f"/wp-json/{POPULAR}/popular-posts"] = self.answer_popular

    def index(self) -> dict[str, Any]:
        """What `/wp-json/` says."""
        namespaces = ["oembed/1.0", "wp/v2", *([POPULAR] if self.popular else [])]
        return {"name": "News", "gmt_offset": 1, "timezone_string": self.zone.key, "namespaces": namespaces}

    def publish(self, number: int, at: datetime, **more: Any) -> dict[str, Any]:
        """Add a post with the id `number`."""
        post = {
            "id": number,
            "date": f"{at.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}",
            "date_gmt": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
            "modified": f"{at.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}",
            "link": f"{self.web.url}/article-{number}/",
            "title": {"rendered": f"Article {number}"},
            "excerpt": {"rendered": "<p>Words [&hellip;]</p>\n", "protected": False},
            "_links": {},
            "_embedded": {"author": [{"id": 1, "name": "Anna"}]},
        } | more
        self.posts.append(post)
        return post

    def answer_posts(self, asked: Asked) -> Answer:
        """`GET wp/v2/posts`."""
        found = [post for post in self.posts if _wanted(post, asked)]
        size, page = int(asked.query.get("per_page", 10)), int(asked.query.get("page", 1))
        pages = -(-len(found) // size)
        if size > 100 or (page > max(pages, 1)):
            return Answer({"code": "rest_invalid_param", "message": "no", "data": {"status": 400}}, 400)
        found.sort(key=lambda post: post["id"])
        headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)}
        return Answer(found[(page - 1) * size : page * size], headers=headers)

    def answer_popular(self, asked: Asked) -> Answer:
        """`GET wordpress-popular-posts/v1/popular-posts`, for a custom range of minutes."""
        assert (asked.query["range"], asked.query["time_unit"]) == ("custom", "minute")
        wall = self.clock().astimezone(self.zone).replace(tzinfo=None)
        # current_time('mysql') forgets which of two equal hours it is; DateTime then takes the first.
        now = wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        start = self._local(now - timedelta(seconds=60 * int(asked.query["time_quantity"])))
        known = {post["id"]: post for post in self.posts}
        counts: dict[int, int] = {}
        moment = self.clock()
        self._written += [self._local(at) for _, at in self.views[len(self._written) :]]
        for (number, at), written in zip(self.views, self._written, strict=True):
            if at <= moment and written >= start and number in known:
                counts[number] = counts.get(number, 0) + 1
        ranked = sorted(counts, key=lambda number: -counts[number])
        offset, limit = int(asked.query.get("offset", 0)), int(asked.query.get("limit", 10))
        wanted = ranked[offset : offset + limit]
        return Answer([{"id": n, "link": known[n]["link"], "pageviews": str(counts[n])} for n in wanted])

    def _local(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"


def _wanted(post: dict[str, Any], asked: Asked) -> bool:
    if included := asked.query.get("include"):
        return str(post["id"]) in included.split(",")
    after, modified = asked.query.get("after", ""), asked.query.get("modified_after", "")
    return bool(post["date"] > after and post["modified"] > modified)
