"""A link is for one purpose and one person."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.domain.links import Links
from digest.errors import InvalidToken

LINKS = Links("a secret of at least thirty-two characters", "https://recap.example.com/")
NOW = datetime(2026, 11, 28, 7, 0, 0, 123456, tzinfo=UTC)
DAYS = timedelta(hours=72)


def token(link: str) -> str:
    return link.rpartition("/")[2]


def test_a_confirmation_link_is_read_back_to_the_microsecond():
    link = LINKS.confirm(7, NOW)
    assert link.startswith("https://recap.example.com/confirm/")
    assert LINKS.read_confirm(token(link), NOW, DAYS) == (7, NOW)


def test_a_confirmation_link_expires_and_an_unsubscribe_link_does_not():
    with pytest.raises(InvalidToken) as caught:
        LINKS.read_confirm(token(LINKS.confirm(7, NOW)), NOW + DAYS + timedelta(seconds=1), DAYS)
    assert caught.value.expired
    assert LINKS.read_unsubscribe(token(LINKS.unsubscribe(7))) == 7


def test_a_link_cannot_serve_another_purpose():
    with pytest.raises(InvalidToken):
        LINKS.read_unsubscribe(token(LINKS.confirm(7, NOW)))
    with pytest.raises(InvalidToken):
        LINKS.read_confirm(token(LINKS.unsubscribe(7)), NOW, DAYS)


def test_another_installation_cannot_make_our_links():
    foreign = Links("another secret of at least thirty-two chars", "https://recap.example.com")
    with pytest.raises(InvalidToken):
        LINKS.read_unsubscribe(token(foreign.unsubscribe(7)))


@given(st.integers(0, 200), st.characters())
def test_a_token_that_was_changed_is_refused(place, character):
    good = token(LINKS.unsubscribe(7))
    place %= len(good)
    bad = good[:place] + character + good[place + 1 :]
    if bad != good and place < len(good) - 1:  # the last character holds unused bits
        with pytest.raises(InvalidToken):
            LINKS.read_unsubscribe(bad)


@given(st.text())
def test_garbage_is_refused_and_never_anything_else(text):
    for read in (LINKS.read_unsubscribe, LINKS.read_envelope_sender, lambda t: LINKS.read_confirm(t, NOW, DAYS)):
        with pytest.raises(InvalidToken):
            read(text)
    assert LINKS.read_message_id(text) == 0


@pytest.mark.parametrize(
    "text", [f"<{'9' * 5000}.00@example.com>", "<1.\ud800@example.com>", "<\u0663.00@example.com>"]
)
def test_a_message_id_made_to_be_stumbled_over_is_just_not_ours(text):
    assert LINKS.read_message_id(text) == 0


@given(st.integers(0, 2**63 - 1))
def test_a_bounce_address_fits_and_survives_a_change_of_case(number):
    address = LINKS.envelope_sender("bounces@recap.example.com", number)
    assert len(address.partition("@")[0]) <= 64
    assert LINKS.read_envelope_sender(address.upper()) == number


@given(st.integers(1, 2**63 - 1))
def test_a_message_id_names_its_delivery(number):
    message_id = LINKS.message_id(number, "recap.example.com")
    assert message_id == LINKS.message_id(number, "recap.example.com")
    assert LINKS.read_message_id(message_id) == number
    assert LINKS.read_message_id(f"<{number}.{'0' * 16}@recap.example.com>") == 0
