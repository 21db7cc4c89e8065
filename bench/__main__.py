"""`python -m bench [NAME ...]`: measure, print, and keep bench/results.json; `python -m bench report` writes it out."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.errors import BenchBroken
from bench.figures import Findings
from bench.report import print_findings, write_report
from bench.results import RESULTS, keep
from bench.stage import Options, Stage

NAMES = (
    "wire",
    "latency",
    "tls",
    "dkim",
    "memory",
    "queueing",
    "claims",
    "workers",
    "import",
    "ranking",
    "beacon",
    "web",
    "render",
    "naive",
)
console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def main() -> int:
    """Exit status: 0 measured, 1 a bench broke. A missed target is a finding, not a failure."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and databases are cleared away
    if asked.names == ["report"]:
        write_report(asked.results)
        return 0
    options = Options(
        readers=asked.readers or (2_000 if asked.quick else 100_000),
        rounds=asked.rounds or (1 if asked.quick else 5),
        connections=tuple(int(each) for each in asked.connections.split(",")),
        quick=asked.quick,
        full=asked.full,
    )
    given = [f"--{key} {getattr(asked, key)}" for key in ("readers", "rounds") if getattr(asked, key)]
    given += [f"--{key}" for key in ("quick", "full") if getattr(asked, key)]
    broken = [name for name in asked.names or NAMES if not _measure(name, options, asked.results, given)]
    if broken:
        console.print(f"broken: {', '.join(broken)}", style="red")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the sending.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {' '.join(NAMES)}; or: report")
    parser.add_argument("--quick", action="store_true", help="small and once: does it still run?")
    parser.add_argument("--full", action="store_true", help="also what takes long: a million readers' memory")
    parser.add_argument("--readers", type=int, help="how many readers an edition has (100,000)")
    parser.add_argument("--rounds", type=int, help="how often in turns (5)")
    parser.add_argument("--connections", default="10,20", help="how many connections (10,20)")
    parser.add_argument("--results", type=Path, help="where the figures go (bench/results.json; not with --quick)")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in (*NAMES, "report")]:
        parser.error(f"there is no bench {unknown[0]!r}; there are: {' '.join(NAMES)}")
    if asked.results is None and not asked.quick:
        asked.results = RESULTS
    return asked


def _measure(name: str, options: Options, results: Path | None, given: list[str]) -> bool:
    """One bench from nothing to its table; False when it broke."""
    console.rule(name)
    began = time.monotonic()
    try:
        findings = _run(name, options)
    except BenchBroken as error:
        console.print(f"{name}: {error}", style="red", markup=False)
        return False
    except Exception:
        console.print_exception(max_frames=6)
        return False
    findings.settings["seconds"] = round(time.monotonic() - began)
    print_findings(console, name, findings)
    if results:
        keep(results, name, findings, given)
    return True


def _run(name: str, options: Options) -> Findings:
    bench = importlib.import_module(f"bench.{'importing' if name == 'import' else name}")
    with tempfile.TemporaryDirectory(prefix="digest-bench-") as folder:
        path = Path(folder)
        path.chmod(0o755)  # the sink is `nobody` and may have to write below
        with (path / "log").open("w+b") as log, Stage(options, path, log, lambda text: console.print(text)) as stage:
            findings: Findings = bench.run(stage)
            return findings


if __name__ == "__main__":
    sys.exit(main())
