"""Which articles make the edition, and why."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from digest.domain.articles import Article
from digest.domain.newsletters import Published, Selection
from digest.domain.periods import Period
from digest.domain.ranking import Candidate, rank

END = datetime(2026, 11, 28, 7, tzinfo=UTC)
WEEK = Period(END - timedelta(days=7), END)


def candidate(id, views, *, published=WEEK.start + timedelta(days=1), **wishes):
    url = f"https://news.example.com/{id}"
    return Candidate(Article(id, url, f"Article {id}", published, published, **wishes), views)


def picked(candidates, selection=Selection(), sent=()):
    return [each.article.id for each in rank(candidates, WEEK, selection, sent) if each.kept]


def test_the_most_read_come_first():
    assert picked([candidate(1, 5), candidate(2, 50), candidate(3, 20)]) == [2, 3, 1]


def test_ties_go_to_the_later_one_then_to_the_higher_id():
    late = WEEK.start + timedelta(days=3)
    assert picked([candidate(1, 5), candidate(2, 5), candidate(3, 5, published=late)]) == [3, 2, 1]


def test_only_so_many_as_the_edition_holds():
    assert picked([candidate(n, n) for n in range(1, 20)], Selection(count=3)) == [19, 18, 17]


def test_the_edges_of_the_period_are_exact():
    second = timedelta(seconds=1)
    candidates = [
        candidate(1, 9, published=WEEK.start - second),
        candidate(2, 9, published=WEEK.start),
        candidate(3, 9, published=WEEK.end - second),
        candidate(4, 9, published=WEEK.end),
    ]
    assert picked(candidates) == [3, 2]
    assert picked(candidates, Selection(published=Published.ANY)) == [3, 2, 1]


def test_what_was_sent_before_banned_or_not_read_stays_out_and_says_why():
    candidates = [candidate(1, 9), candidate(2, 8, banned_at=END), candidate(3, 0), candidate(4, 7)]
    ranked = rank(candidates, WEEK, Selection(), sent={1})
    assert {each.article.id: each.reason for each in ranked} == {
        1: "was in an edition sent before",
        2: "banned by the desk",
        3: "no views in the period",
        4: "1st by views",
    }


def test_pinned_ones_come_first_in_the_order_they_were_pinned_whatever_their_views():
    pinned = [candidate(1, 0, pinned_at=END), candidate(2, 1, pinned_at=END - timedelta(hours=1))]
    assert picked([candidate(3, 100), *pinned]) == [2, 1, 3]


def test_a_pinned_article_that_readers_had_is_not_sent_again():
    assert picked([candidate(1, 5, pinned_at=END), candidate(2, 1)], sent={1}) == [2]


_candidates = st.lists(
    st.builds(
        candidate,
        st.integers(1, 10_000),
        st.integers(0, 30),
        published=st.datetimes(datetime(2026, 11, 19), datetime(2026, 11, 30), timezones=st.just(UTC)),
        banned_at=st.sampled_from([None, None, None, END]),
        pinned_at=st.sampled_from([None, None, None, END]),
    ),
    max_size=30,
    unique_by=lambda each: each.article.id,
)


@given(_candidates, st.randoms())
def test_the_order_does_not_depend_on_the_order_of_the_input(candidates, random):
    shuffled = candidates.copy()
    random.shuffle(shuffled)
    assert rank(candidates, WEEK, Selection(), ()) == rank(shuffled, WEEK, Selection(), ())


@given(_candidates, st.data())
def test_more_views_never_lower_a_rank(candidates, data):
    if not candidates:
        return
    lucky = data.draw(st.sampled_from(candidates))
    more = [Candidate(c.article, c.views + 5) if c is lucky else c for c in candidates]

    def place(of):
        ranked = rank(of, WEEK, Selection(), ())
        return next(n for n, each in enumerate(ranked) if each.article.id == lucky.article.id)

    assert place(more) <= place(candidates)


@given(_candidates)
def test_every_candidate_is_judged_once_and_says_why(candidates):
    ranked = rank(candidates, WEEK, Selection(), ())
    assert sorted(each.article.id for each in ranked) == sorted(c.article.id for c in candidates)
    assert all(each.reason for each in ranked)
