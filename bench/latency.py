"""How much of a long way is wasted: messages a second a connection, as a share of one a round trip."""

from __future__ import annotations

from contextlib import ExitStack

from bench.figures import AT_LEAST, Findings
from bench.links import Link, far_away
from bench.sending import Sent, Way, send
from bench.sinks import Generated, smtp_source
from bench.stage import Stage

ROUND_TRIPS = (0.02, 0.05)
CONNECTIONS = (1, 10)
TARGET = 0.85
_GROUP = "Messages a second a connection, of 1 / round trip"
_SLOWER = 5  # smtp-source waits for every answer, so it gets fewer messages for as much time


def run(stage: Stage) -> Findings:
    """Ours and smtp-source in turns, over each link with each number of connections."""
    each_line = stage.options.pick(quick=25, usual=300)
    rounds = stage.options.rounds
    findings = Findings(settings={"messages a connection": each_line, "rounds": rounds})
    shares: dict[str, list[float]] = {}
    for number in range(1, rounds + 1):
        for round_trip in ROUND_TRIPS:
            with ExitStack() as stack:
                link = stack.enter_context(far_away(round_trip, stage.log))
                _describe(findings, link)
                for connections in CONNECTIONS:
                    for who, share in _both(stage, findings, number, link, connections, each_line):
                        shares.setdefault(who, []).append(share)
                        stage.say(f"round {number}: {who}: {share:.2f} of one message a round trip")
    for who, values in sorted(shares.items()):
        findings.add(_GROUP, who, "x", values, "" if who.startswith("smtp-source") else AT_LEAST, TARGET)
    return findings


def _both(
    stage: Stage, findings: Findings, number: int, link: Link, connections: int, each_line: int
) -> list[tuple[str, float]]:
    where = f"{link.round_trip * 1000:.0f} ms, {connections} connection{'s' * (connections > 1)}"
    count = each_line * connections
    generated = smtp_source(
        link.sink, stage.message(count), count // _SLOWER, connections, stage.log, link.port, link.prefix
    )
    with stage.database(stage.sqlite, count) as (url, edition_id):
        way = Way(connections=connections, port=link.port, prefix=link.prefix)
        sent = send(stage, url, edition_id, link.sink, way)
    pairs: list[tuple[str, Generated | Sent]] = [(f"smtp-source, {where}", generated), (f"ours, {where}", sent)]
    for who, measured in pairs:
        findings.keep(number, who, measured)
    return [(who, measured.rate / connections * link.round_trip) for who, measured in pairs]


def _describe(findings: Findings, link: Link) -> None:
    name = f"{link.round_trip * 1000:.0f} ms"
    findings.note(f"{name}: made by {link.how}; the idle link's round trip was {link.measured * 1000:.1f} ms")
