"""Looking from the most read down gives the very list that looking at everything gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from digest.domain.newsletters import Block, BlockKind, FairStart, Published, Selection
from digest.domain.periods import Period
from digest.domain.ranking import Candidate, Ranked, rank
from digest.publishing import descent
from digest.publishing.descent import Descent

END = datetime(2026, 11, 28, 7, tzinfo=UTC)
WEEK = Period(END - timedelta(days=7), END)
HOUR = timedelta(hours=1)


def article(random: Random, id_: int) -> Candidate:
    return Candidate(
        id=id_,
        url=f"https://x/{random.choice('abc')}/{id_}",
        title=random.choice(["a b c", "a b d", "x y z", "a b c d"]) + random.choice(["", f" {id_}"]),
        published_at=END - random.choice([0, 1, 10, 24, 100, 167, 168, 169, 400, -1]) * HOUR,
        views=0,
        section=random.choice(["S", "T", "s", ""]),
        author=random.choice(["A", "B", ""]),
        tags=tuple(random.sample(["ad", "ban", "k"], random.randint(0, 2))) if random.random() < 0.3 else (),
        shares=random.choice([None, 0, 3, 9]),
        pinned_at=END - random.randint(1, 5) * HOUR if random.random() < 0.08 else None,
        pinned_position=random.choice([None, None, 1, 2, 5, 40]),
        banned_at=END if random.random() < 0.05 else None,
        gone_at=END if random.random() < 0.05 else None,
    )


def selection(random: Random) -> Selection:
    def block() -> Block:
        kind = random.choice(list(BlockKind))
        return Block("t", kind, random.randint(1, 4), random.choice("ST") if kind is BlockKind.SECTION else "")

    return Selection(
        count=random.randint(1, 6),
        min_views=random.choice([0, 1, 3]),
        published=random.choice(list(Published)),
        fair_start=random.choice(list(FairStart)),
        fair_floor=random.choice([0, 1, 24]) * HOUR,
        half_life=random.choice([0.001, 5, 72]) * HOUR,
        max_per_section=random.choice([0, 0, 1, 2]),
        max_per_author=random.choice([0, 0, 1, 2]),
        ban_tags=random.choice([(), ("BAN",)]),
        ban_patterns=random.choice([(), ("/a/*",)]),
        cool_down=timedelta(days=random.choice([0, 14])),
        similar=random.choice([0, 0.5, 0.7, 1.0]),
        sponsored_tags=random.choice([(), ("ad",)]),
        sponsored_count=random.choice([0, 0, 1]),
        blocks=tuple(block() for _ in range(random.choice([0, 0, 1, 2, 3]))),
    )


class World:
    """A random week: some pages are no articles, some articles are pinned, banned, gone or were sent."""

    def __init__(self, random: Random) -> None:
        number = random.randint(0, 60)
        self.articles = {n: article(random, n) for n in range(1, number + 1) if random.random() > 0.15}
        counts = [0, 1, 2, 3, 3, 5, 8, 8, 100, random.randint(0, 50)]
        views = {n: random.choice(counts) for n in range(1, number + 1) if random.random() < 0.8}
        views |= {n: 0 for n, each in self.articles.items() if each.published_at in WEEK and n not in views}
        self.views: Mapping[int, int] = views
        self.ordered = sorted(views.items(), key=lambda page: page[1], reverse=True)
        self.sent = {
            n: END - timedelta(days=random.choice([7, 14, 21])) for n in self.articles if random.random() < 0.15
        }
        self.pinned = [n for n, each in self.articles.items() if each.pinned_at]
        self.selection = selection(random)

    def fetch(self, pages: Sequence[int]) -> list[Candidate]:
        found = [self.articles[page] for page in pages if page in self.articles]
        return [each._replace(views=self.views.get(each.id, 0)) for each in found]

    def whole(self) -> descent.Pages:
        return self.ordered, self.fetch

    def all_of_it(self) -> list[Ranked]:
        pages = dict.fromkeys([*self.pinned, *(page for page, _ in self.ordered)])
        every = [each._replace(sent_at=self.sent.get(each.id)) for each in self.fetch(list(pages))]
        return rank(every, WEEK, self.selection)


def kept(ranked: Sequence[Ranked]) -> list[tuple[int, str, str, bool]]:
    return [(each.candidate.id, each.block, each.reason, each.is_sponsored) for each in ranked if each.kept]


@pytest.mark.parametrize("counted", [0, 1, 4, 1000])
@pytest.mark.parametrize("first", [1, 2, 7])
def test_the_list_is_the_same_however_little_is_looked_at_first(monkeypatch, first, counted):
    """`counted`: how many pages the first statement brings; those behind them only if they are needed."""
    monkeypatch.setattr(descent, "FIRST_LOOK", first)
    stopped = 0
    for seed in range(250):
        world = World(Random(seed))
        top, unseen = world.ordered, None
        if len(top) > counted:
            unseen = top[counted][1]
            top = [page for page in top[:counted] if page[1] > unseen]
        down = Descent(world.selection, WEEK, world.sent, (top, world.fetch), unseen, world.whole)
        ranked = down.judge(world.fetch(world.pinned))
        everything = world.all_of_it()
        assert kept(ranked) == kept(everything), seed
        ranks = {each.candidate.id: each.rank for each in everything}
        assert all(each.rank in (0, ranks[each.candidate.id]) for each in ranked if not each.candidate.pinned_at), seed
        stopped += len(ranked) < len(everything)
    assert stopped > 20, "it hardly ever stopped early, so this says little"
