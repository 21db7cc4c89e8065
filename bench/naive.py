"""The ordinary way for comparison: a template for each reader, EmailMessage, aiosmtplib.send_message."""

from __future__ import annotations

import sys

from bench.errors import BenchBroken
from bench.figures import Findings, per_round
from bench.processes import Watched, tail
from bench.sending import Sent, Way, send
from bench.sinks import smtp_sink
from bench.stage import Stage


def run(stage: Stage) -> Findings:
    """The ordinary way and ours in turns; it keeps no record, so it has less to do."""
    options = stage.options
    count = options.pick(200, 2_000)
    readers = options.pick(2_000, 20_000)
    connections = options.connections[0]
    findings = Findings(settings={"messages": count, "readers": readers, "rounds": options.rounds})
    ordinary: list[dict[str, float]] = []
    ours: list[Sent] = []
    message = stage.message(readers)
    with smtp_sink(stage.log) as sink:
        for number in range(1, options.rounds + 1):
            ordinary.append(_ordinary(stage, [message, sink.port, count, connections], count))
            findings.keep(number, "the ordinary way", ordinary[-1])
            with stage.database(stage.sqlite, readers) as (url, edition_id):
                ours.append(send(stage, url, edition_id, sink, Way(connections=connections)))
            findings.keep(number, "ours", ours[-1])
            stage.say(f"round {number}: ordinary {ordinary[-1]['rate']:,.0f}/s, ours {ours[-1].rate:,.0f}/s")
    rates = [each.rate for each in ours], [each["rate"] for each in ordinary]
    costs = [each["cpu_per_thousand"] for each in ordinary], [each.cpu_per_thousand for each in ours]
    findings.add("Ours / the ordinary way", "messages a second", "x", per_round(*rates))
    findings.add("The ordinary way / ours", "CPU a message", "x", per_round(*costs))
    findings.add("Messages a second", "the ordinary way", "/s", rates[1])
    findings.add("The ordinary way's CPU seconds a thousand", "the ordinary way", "s", costs[0])
    return findings


def _ordinary(stage: Stage, arguments: list[object], count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.naive_sender", *map(str, arguments)]
    with stage.said.open("wb") as said:
        process = Watched(command, stage.log, out=said)
    try:
        process.wait(600)
    finally:
        process.stop()
    if process.code:
        raise BenchBroken(f"the ordinary way failed: {tail(stage.log)}")
    window = float(stage.said.read_text())
    return {"rate": count / window, "window": window, "cpu_per_thousand": process.cpu / count * 1000}
