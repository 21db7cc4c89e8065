"""Any script of faults, any offers, any number of connections: the same must hold, and all ends well.

Forty scripts by default, always the same ones. DIGEST_FAULT_EXAMPLES=1000 tries so many new ones.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.invariants import check_invariants, check_settled
from tests.faults.plays import KINDS, plays
from tests.faults.stage import LONG_RUN, Shelf, staged

EXAMPLES = LONG_RUN or 40


@pytest.mark.timeout(0 if LONG_RUN else 900)  # a failure is made small before it is shown
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=-(-EXAMPLES // len(KINDS)),
    derandomize=not LONG_RUN,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
@given(everything=st.data())
def test_whatever_the_server_does_nobody_is_lost_or_mailed_twice(
    shelf: Shelf, kind: str, everything: st.DataObject
) -> None:
    play = everything.draw(plays(kind), label="the play")
    with staged(
        shelf,
        *play.faults,
        readers=play.readers,
        connections=play.connections,
        offers=play.offers,
        pipelining=play.pipelining,
        security=play.security,
        seconds=play.seconds,
        articles=1,
    ) as stage:
        stage.deliver()
        check_invariants(stage.service, stage.smtpd, stage.edition)
        stage.recover()
        check_settled(stage.service, stage.smtpd, stage.edition)
