"""What signing costs the sender, and whether strangers find the signatures good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from bench.errors import BenchBroken
from bench.figures import Findings, per_round
from bench.sending import Sent, Way, send
from bench.signatures import good_signatures, public_record
from bench.sinks import Generated, smtp_sink, smtp_source
from bench.stage import Stage
from digest.config import Config

DOMAIN = "news.example.com"
_CHECKED = 20  # messages verified, of each kind


def run(stage: Stage) -> Findings:
    """Unsigned, ed25519 and rsa2048 in turns; first a few messages of each are verified."""
    if "dkim" not in Config.model_fields:
        return Findings(notes=["left out: there is no [dkim] to configure"])
    options = stage.options
    readers = options.pick(options.readers, options.readers // 4)
    connections = options.connections[0]
    findings = Findings(settings={"readers": readers, "rounds": options.rounds, "connections": connections})
    ways, records = _keys(stage.folder)
    _verify(stage, findings, ways, records)
    found: dict[str, list[Sent]] = {}
    generated: list[Generated] = []
    message = stage.message(readers)
    with smtp_sink(stage.log) as sink:
        for number in range(1, options.rounds + 1):
            generated.append(smtp_source(sink, message, readers, connections, stage.log))
            findings.keep(number, "smtp-source", generated[-1])
            for who, settings in ways.items():
                with stage.database(stage.sqlite, readers) as (url, edition_id):
                    sent = send(stage, url, edition_id, sink, Way(connections=connections, settings=settings))
                found.setdefault(who, []).append(sent)
                findings.keep(number, who, sent)
                stage.say(f"round {number}: {who} {sent.rate:,.0f}/s, {sent.cpu_per_thousand:.3f} CPU s a thousand")
    for who, runs in found.items():
        findings.add("CPU seconds a thousand messages", who, "s", [each.cpu_per_thousand for each in runs])
        findings.add("Messages a second", who, "/s", [each.rate for each in runs])
        ratios = per_round([each.rate for each in runs], [each.rate for each in generated])
        findings.add("Ours, signing / smtp-source", who, "x", ratios)
    return findings


def _keys(folder: Path) -> tuple[dict[str, Mapping[str, str]], dict[str, bytes]]:
    """The settings of each way of signing, and what DNS would say of the keys."""
    ed25519_key = ed25519.Ed25519PrivateKey.generate()
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    paths = {name: folder / f"{name}.pem" for name in ("ed25519", "rsa2048")}
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths["ed25519"].write_bytes(ed25519_key.private_bytes(*form))
    paths["rsa2048"].write_bytes(rsa_key.private_bytes(*form))
    with_ed25519 = {
        "DIGEST_DKIM__DOMAIN": DOMAIN,
        "DIGEST_DKIM__ED25519_SELECTOR": "ed25519",
        "DIGEST_DKIM__ED25519_KEY_FILE": str(paths["ed25519"]),
    }
    with_rsa = {
        "DIGEST_DKIM__DOMAIN": DOMAIN,
        "DIGEST_DKIM__SELECTOR": "rsa2048",
        "DIGEST_DKIM__KEY_FILE": str(paths["rsa2048"]),
    }
    records = {
        f"ed25519._domainkey.{DOMAIN}": public_record(ed25519_key),
        f"rsa2048._domainkey.{DOMAIN}": public_record(rsa_key),
    }
    return {"unsigned": {}, "ed25519": with_ed25519, "rsa2048": with_rsa}, records


def _verify(
    stage: Stage, findings: Findings, ways: Mapping[str, Mapping[str, str]], records: Mapping[str, bytes]
) -> None:
    """Raises BenchBroken when a signature is missing or bad."""
    for who, settings in ways.items():
        if not settings:
            continue
        kept = stage.folder / f"received-{who}"
        kept.mkdir()
        kept.chmod(0o777)  # the sink is `nobody`
        with (
            smtp_sink(stage.log, "-d", f"{kept}/") as sink,
            stage.database(stage.sqlite, _CHECKED) as (url, edition_id),
        ):
            send(stage, url, edition_id, sink, Way(connections=2, settings=settings))
        messages = [_as_sent(path.read_bytes()) for path in sorted(kept.iterdir())]
        if len(messages) != _CHECKED:
            raise BenchBroken(f"{len(messages)} of {_CHECKED} messages were kept by the sink")
        good = sum(good_signatures(each, records) == [who] for each in messages)
        if good != _CHECKED:
            raise BenchBroken(f"{_CHECKED - good} of {_CHECKED} {who} signatures are missing or bad")
        findings.note(f"{who}: dkimpy found the signature good in {good} of {_CHECKED} received messages")


def _as_sent(dumped: bytes) -> bytes:
    """Without what smtp-sink wrote on top: its X- lines and a folded Received; and with CRLF again."""
    message = re.sub(rb"\A(?:X-[^\n]*\n)*Received:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", dumped)
    message = message.removesuffix(b"\n")  # the empty line after each
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
