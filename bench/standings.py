"""Does the time of a sign-up tell who subscribes? Medians by state of the address, over many tries in random order.

    python -m bench.standings [tries [answer_after]]

Each try is a POST of the form through the whole application, for an address nobody tried before: there are as many
readers in each state as there are tries. The last column is the distance of a state's median from that of `new`, in
standard errors of the difference: beyond four or so somebody with patience could tell them apart.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from digest import subscribing
from digest.domain.addresses import Address
from digest.domain.subscribers import ConfirmationLimits, Evidence, Way
from digest.domain.suppressions import Suppression, SuppressionKind
from digest.store import suppressions
from digest.subscribing import forgetting, preferring, suppressing
from tests.servers import postgres
from tests.web.gates import gate

STATES = (
    "new",
    "pending",
    "confirmed",
    "unsubscribed",
    "bounced",
    "reported",
    "complained",
    "forgotten",
    "domain",
    "capped",
    "trap",
)
WIDE = {f"{name}_per_hour": 10_000_000 for name in ("sign_ups", "domain_sign_ups", "all_sign_ups")}
WIDE |= {"answer_after": sys.argv[2] if len(sys.argv) > 2 else "0.05s"}  # as it is where nobody sets it
BEFORE = timedelta(days=3)


def address(state: str, number: int) -> str:
    """The reader with that number in a state."""
    return f"reader{number}@{'elsewhere.example' if state == 'domain' else f'{state}.example'}"


def fill(web, tries: int) -> None:
    """As many readers in each state as there are tries."""
    app, now = web.service.app, web.service.clock() - BEFORE
    store, links, limits = app.store, app.links, ConfirmationLimits(timedelta(0), 1000)
    suppressing.suppress_domain(store, links, "elsewhere.example", "x", now)
    for number in range(tries):
        for state in STATES:
            if state in ("new", "domain", "trap"):
                continue
            typed = Address.parse(address(state, number))
            at = web.service.clock() if state == "capped" else now
            request = subscribing.SignUp(typed, "weekly", "en", "", Evidence(Way.FORM))
            subscribing.sign_up(store, links, request, limits, at)
            found = suppressing.find(store, typed)[0]
            if state in ("confirmed", "unsubscribed", "bounced", "reported", "complained"):
                token = links.confirm(found.id, found.requested_at).rpartition("/")[2]
                subscribing.confirm(store, links, token, Evidence(Way.LINK), at, timedelta(days=1))
            if state == "unsubscribed":
                preferring.leave(store, found.id, Evidence(Way.LINK), at)
            if state in ("bounced", "reported", "complained"):
                hashed = links.address_hash(typed.key)
                with store.begin() as tx:
                    held = Suppression(hashed, SuppressionKind(state), "x", at, subscriber_id=found.subscriber_id)
                    suppressions.suppress(tx, held)
    for number in range(tries):
        with store.begin() as tx:  # as forgetting leaves it, without its cleaning up behind each
            hashed = links.address_hash(Address.parse(address("forgotten", number)).key)
            erase(tx, links, address("forgotten", number), hashed, now)


def erase(tx, links, text: str, hashed: str, now) -> None:
    """Forget a reader."""
    forgetting._erase(tx, links, Address.parse(text), Evidence(Way.PAGE), now)


def measure(web, tries: int) -> dict[str, list[float]]:
    """Seconds of each try by state."""
    took: dict[str, list[float]] = {state: [] for state in STATES}
    order = [(state, number) for state in STATES for number in range(tries)]
    random.Random(7).shuffle(order)
    for number in range(50):  # to warm up
        web.sign_up(f"warm{number}@warm.example")
    for state, number in order:
        fields = {"website": "x"} if state == "trap" else {}
        began = time.perf_counter()
        reply = web.sign_up(address(state, number), **fields)
        took[state].append(time.perf_counter() - began)
        assert reply.status_code == 200
    return took


def show(name: str, took: dict[str, list[float]]) -> None:
    """A table."""
    new = took["new"]
    print(f"\n{name}: {len(new)} tries a state\n{'state':14}{'median ms':>10}{'p90 ms':>9}{'to new':>9}{'errors':>8}")
    for state, times in took.items():
        median, mid = statistics.median(times), statistics.median(new)
        error = math.hypot(_error(times), _error(new))
        p90 = statistics.quantiles(times, n=10)[8]
        print(f"{state:14}{median * 1e3:10.2f}{p90 * 1e3:9.2f}{median / mid:9.3f}{(median - mid) / error:8.1f}")


def _error(times: list[float]) -> float:
    """The standard error of a median, by the spread of its middle half."""
    low, _, high = statistics.quantiles(times, n=4)
    return 1.2533 * (high - low) / 1.349 / math.sqrt(len(times))


def main() -> None:
    """On both databases."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with postgres.running() as server:
        for name in ("sqlite", "postgresql"):
            with tempfile.TemporaryDirectory() as folder:
                url = server.new_database() if name == "postgresql" else ""
                with gate(Path(folder), store_url=url, subscribing=WIDE) as web:
                    fill(web, tries)
                    show(name, measure(web, tries))


if __name__ == "__main__":
    main()
