"""What STARTTLS costs the sender: the same mail to the same sink with and without it."""

from __future__ import annotations

from bench.figures import AT_MOST, Findings, per_round
from bench.sending import Sent, Way, send
from bench.sinks import python_sink
from bench.stage import Stage
from tests.servers.certificates import self_signed

TARGET = 0.25


def run(stage: Stage) -> Findings:
    """Plain and STARTTLS in turns."""
    options = stage.options
    readers = options.pick(options.readers, options.readers // 2)
    connections = options.connections[0]
    findings = Findings(settings={"readers": readers, "rounds": options.rounds, "connections": connections})
    certificate = self_signed(stage.folder)
    trust = {"DIGEST_SMTP__SECURITY": "starttls", "DIGEST_SMTP__CA_FILE": str(certificate.authority)}
    plain = {"DIGEST_SMTP__SECURITY": "none"}
    found: dict[str, list[Sent]] = {"plain": [], "STARTTLS": []}
    with python_sink(stage.log) as open_sink, python_sink(stage.log, certificate.chain) as secure_sink:
        for number in range(1, options.rounds + 1):
            for who, sink, settings in (("plain", open_sink, plain), ("STARTTLS", secure_sink, trust)):
                with stage.database(stage.sqlite, readers) as (url, edition_id):
                    sent = send(stage, url, edition_id, sink, Way(connections=connections, settings=settings))
                found[who].append(sent)
                findings.keep(number, who, sent)
                stage.say(f"round {number}: {who} {sent.rate:,.0f}/s, {sent.cpu_per_thousand:.3f} CPU s a thousand")
    for who, runs in found.items():
        sense = AT_MOST if who == "STARTTLS" else ""
        cpu = [each.cpu_per_thousand for each in runs]
        findings.add("CPU seconds a thousand messages", f"{who}, Python sink", "s", cpu, sense, TARGET)
        findings.add("Messages a second", f"{who}, Python sink", "/s", [each.rate for each in runs])
    rates = [[each.rate for each in found[who]] for who in ("STARTTLS", "plain")]
    findings.add("STARTTLS / plain", "messages a second", "x", per_round(*rates))
    findings.note("The sink is ours, in Python: it shares the cores with the sender, so only the CPU figures are ours.")
    return findings
