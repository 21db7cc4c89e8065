"""How long a round trip to an SMTP server takes: python -m bench.ping PORT. Prints the median of some, in seconds."""

from __future__ import annotations

import smtplib
import statistics
import sys
import time

_TIMES = 15


def round_trip(port: int) -> float:
    """The median time from a NOOP to its answer."""
    times = []
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as session:
        session.ehlo()
        for _ in range(_TIMES):
            before = time.perf_counter()
            session.noop()
            times.append(time.perf_counter() - before)
    return statistics.median(times)


if __name__ == "__main__":
    print(round_trip(int(sys.argv[1])))
