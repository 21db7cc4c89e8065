"""The whole way from the rows of a database to a sink, beside Postfix's own generator and the same sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.databases import Databases
from bench.errors import NotOffered
from bench.figures import AT_LEAST, AT_MOST, Findings, per_round
from bench.sending import Sent, Way, send
from bench.sinks import Generated, Sink, smtp_sink, smtp_source
from bench.stage import Stage

TARGETS = {"SQLite": 1.0, "PostgreSQL": 0.8}
CPU_TARGET = 0.16


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of sending, and smtp-source over as many connections just before it."""

    kind: Databases
    connections: int
    processes: int

    @property
    def name(self) -> str:
        """For people."""
        several = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.kind.name}, {self.connections} connections{several}"


def run(stage: Stage) -> Findings:
    """Rounds in turns: smtp-source, ours, smtp-source, the next of ours."""
    options = stage.options
    findings = Findings(settings={"readers": options.readers, "rounds": options.rounds})
    message = stage.message(options.readers)
    findings.settings["message_bytes"] = message.stat().st_size
    generated = max(options.readers // 2, 1000)
    found: dict[str, list[tuple[Generated, Sent]]] = {}
    contenders = _contenders(stage)
    with smtp_sink(stage.log) as sink:
        for number in range(1, options.rounds + 1):
            for each in list(contenders):
                try:
                    pair = _pair(stage, sink, each, lambda n: smtp_source(sink, message, generated, n, stage.log))
                except NotOffered as lack:
                    findings.note(f"{each.name}: left out, {lack}")
                    contenders.remove(each)
                    continue
                found.setdefault(each.name, []).append(pair)
                _tell(stage, findings, number, each, *pair)
    for contender in contenders:
        _conclude(findings, contender, found[contender.name])
    for connections in options.connections:
        name = f"smtp-source, {connections} connections"
        rates = [each["rate"] for each in findings.runs if each["who"] == name]
        findings.add("Messages a second", name, "/s", rates)
    return findings


def _contenders(stage: Stage) -> list[Contender]:
    kinds = (stage.sqlite, stage.postgresql)
    ways = [(stage.options.connections[0], 1), (stage.options.connections[0], 2)]
    ways += [(each, 1) for each in stage.options.connections[1:]]
    return [Contender(kind, connections, processes) for connections, processes in ways for kind in kinds]


def _pair(
    stage: Stage, sink: Sink, contender: Contender, generate: Callable[[int], Generated]
) -> tuple[Generated, Sent]:
    with stage.database(contender.kind, stage.options.readers) as (url, edition_id):
        generated = generate(contender.connections)
        way = Way(connections=contender.connections, processes=contender.processes)
        return generated, send(stage, url, edition_id, sink, way)


def _tell(
    stage: Stage, findings: Findings, number: int, contender: Contender, generated: Generated, sent: Sent
) -> None:
    findings.keep(number, f"smtp-source, {contender.connections} connections", generated)
    findings.keep(number, contender.name, sent)
    if sent.connections != contender.connections:
        findings.note(f"{contender.name}: {sent.connections} connections were seen")
    stage.say(
        f"round {number}: smtp-source {generated.rate:,.0f}/s, {contender.name} {sent.rate:,.0f}/s,"
        f" {sent.cpu_per_thousand:.3f} CPU s a thousand"
    )


def _conclude(findings: Findings, contender: Contender, pairs: list[tuple[Generated, Sent]]) -> None:
    generated, sent = zip(*pairs, strict=True)
    name = contender.name
    target = TARGETS[contender.kind.name]
    ratios = per_round([each.rate for each in sent], [each.rate for each in generated])
    findings.add("Ours / smtp-source", name, "x", ratios, AT_LEAST, target)
    findings.add("Messages a second", name, "/s", [each.rate for each in sent])
    cpu = [each.cpu_per_thousand for each in sent]
    findings.add("CPU seconds a thousand messages", name, "s", cpu, AT_MOST, CPU_TARGET)
    if all(each.tenths and each.tenths[1] for each in sent):  # a short edition may have moved between two looks
        lasts = [each.tenths[-2] / each.tenths[1] for each in sent]
        findings.add("Ninth tenth of the sending / second", name, "x", lasts)
