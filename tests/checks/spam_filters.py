"""Two spam filters as mailboxes run them, without the network: SpamAssassin, and a private rspamd."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.checks.specimens import Mail
from tests.servers import free_port, require


@dataclass(frozen=True)
class Verdict:
    """What a filter says about one mail: points, and each rule that matched with its own."""

    score: float
    symbols: Mapping[str, float]


# --- SpamAssassin ---------------------------------------------------------------------------------

_STATUS = re.compile(r"^X-Spam-Status: (?:Yes|No), score=(\S+) .*?tests=(.*?)\s+autolearn=", re.M | re.S)


def spamassassin(mails: list[Mail], folder: Path, without: Collection[str] = ()) -> dict[str, Verdict]:
    """Its verdicts by the mails' names, one start for all; the rules `without` count next to nothing.

    It tells no points of single rules: they are 0 in the verdict.
    """
    if shutil.which("spamassassin") is None:
        require("spamassassin", "it judges every mail")
    files = [folder / f"{mail.name}.eml" for mail in mails]
    for mail, file in zip(mails, files, strict=True):
        file.write_bytes(mail.content)
    # -L: no network. -x: nothing is written to the home of whoever runs this.
    settings = ["report_safe 0", *(f"score {rule} 0.01" for rule in without)]
    command = ["spamassassin", "--test-mode", "-L", "-x", *(f"--cf={line}" for line in settings), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=150)
    assert done.returncode == 0, done.stderr[-2000:]
    found = _STATUS.findall(done.stdout)
    assert len(found) == len(mails), f"{len(found)} verdicts on {len(mails)} mails"
    return {
        mail.name: Verdict(float(score), dict.fromkeys(re.findall(r"\w+", tests), 0.0))
        for mail, (score, tests) in zip(mails, found, strict=True)
    }


# --- rspamd ---------------------------------------------------------------------------------------

# What asks the network or another service, or judges the client's address, which is nobody's here.
_OFF = (
    *("antivirus", "arc", "asn", "aws_s3", "bimi", "clickhouse", "dcc", "dkim", "dkim_signing", "dmarc", "elastic"),
    *("external_relay", "external_services", "fuzzy_check", "greylist", "hfilter", "history_redis"),
    *("metadata_exporter", "metric_exporter", "multimap", "mx_check", "neural", "p0f", "ratelimit", "rbl", "redis"),
    *("replies", "reputation", "rspamd_update", "spamtrap", "spf", "surbl", "url_redirector", "whitelist"),
)
_OVERRIDES = {
    # Compiling its patterns takes half a minute; it is quick enough without.
    "options.inc": "disable_hyperscan = true;\n"
    'dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.01s; retransmits = 1; }}',
    "worker-normal.inc": 'bind_socket = "127.0.0.1:{port}";\ncount = 1;',
    "worker-controller.inc": "enabled = false;",
    "worker-proxy.inc": "enabled = false;",
    "logging.inc": 'type = "console";\nlevel = "warning";',
    "statistic.conf": "enabled = false;",
    **{f"{module}.conf": "enabled = false;" for module in _OFF},
}


class Rspamd:
    """A running rspamd on loopback with a configuration of its own."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self._client.get("/ping").status_code == 200
        except httpx.TransportError:
            return False

    def judge(self, mail: Mail) -> Verdict:
        """Its verdict, all rules asked, with the mail's own envelope."""
        envelope = {"From": mail.sender, "Rcpt": mail.recipient, "Pass": "all"}
        answer = self._client.post("/checkv2", content=mail.content, headers=envelope).json()
        symbols = {name: float(each["score"]) for name, each in answer["symbols"].items()}
        return Verdict(float(answer["score"]), symbols)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


@contextmanager
def running_rspamd() -> Iterator[Rspamd]:
    """A started rspamd, stopped and removed at the end. Starting takes some ten seconds."""
    if shutil.which("rspamd") is None:
        require("rspamd", "it judges every mail")
    with tempfile.TemporaryDirectory(prefix="digest-rspamd-") as name:
        folder, port = Path(name), free_port()
        for each in ("local.d", "override.d", "db", "log", "run"):
            (folder / each).mkdir()
        for file, text in _OVERRIDES.items():
            (folder / "override.d" / file).write_text(text.format(port=port) if "{" in text else text)
        places = {"LOCAL_CONFDIR": folder, "DBDIR": folder / "db", "LOGDIR": folder / "log", "RUNDIR": folder / "run"}
        command = ["rspamd", "-f", "--insecure", *(f"--var={key}={place}" for key, place in places.items())]
        with (folder / "said").open("wb") as said:
            program = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        server = Rspamd(port)
        try:
            _wait(server, program, folder / "said")
            yield server
        finally:
            server.close()
            program.terminate()
            program.wait(timeout=30)


def _wait(server: Rspamd, program: subprocess.Popen[bytes], said: Path) -> None:
    until = time.monotonic() + 100
    while not server.is_up():
        alive = program.poll() is None and time.monotonic() < until
        assert alive, f"rspamd did not start:\n{said.read_text(errors='replace')[-3000:]}"
        time.sleep(0.1)
