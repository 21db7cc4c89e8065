"""How much memory a sending takes, whatever the size of the list."""

from __future__ import annotations

from bench.figures import AT_MOST, Findings
from bench.sending import Way, send
from bench.sinks import smtp_sink
from bench.stage import Stage

TARGET_MB = 120
TARGET_GROWTH_MB = 10


def run(stage: Stage) -> Findings:
    """Each size in turns; the million once, and only when asked for."""
    options = stage.options
    sizes = [1_000, 5_000] if options.quick else [10_000, 100_000]
    rounds = min(options.rounds, 3)  # it hardly varies
    findings = Findings(settings={"rounds": rounds, "connections": options.connections[0]})
    peaks: dict[int, list[float]] = {}
    with smtp_sink(stage.log) as sink:
        for number in range(1, rounds + 1):
            for readers in [*sizes, *([1_000_000] if options.full and number == 1 else [])]:
                with stage.database(stage.sqlite, readers) as (url, edition_id):
                    sent = send(stage, url, edition_id, sink, Way(connections=options.connections[0]))
                peaks.setdefault(readers, []).append(sent.peak_mb)
                findings.keep(number, f"{readers:,} readers", sent)
                stage.say(f"round {number}: {readers:,} readers: {sent.peak_mb:.1f} MB, {sent.rate:,.0f}/s")
    for readers, values in peaks.items():
        findings.add("Peak memory", f"{readers:,} readers, SQLite", "MB", values, AT_MOST, TARGET_MB)
    least, most = min(peaks), max(peaks)
    growth = max(peaks[most]) - min(peaks[least])
    findings.add("Growth of the peak", f"from {least:,} to {most:,} readers", "MB", [growth], AT_MOST, TARGET_GROWTH_MB)
    findings.note("The peak is VmHWM, which the kernel keeps; MB are millions of bytes.")
    return findings
